"""`nvp.fit(stack=True)`: one density of flows and simpler densities."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tfp_nvp.distributions import MixtureOfFlows
from tfp_nvp.training._tables.part import Part
from tfp_nvp.training._tables.split import folds

SMALL = functools.partial(nvp.NICE, num_layers=2, hidden_units=[8])


def moons(rng, count=240):
    """Two groups, which a small NICE joins and a mixture of Gaussians does not."""
    group = rng.integers(0, 2, count)
    return rng.normal(size=[count, 2]) * [0.3, 1.0] + np.stack([4.0 * group, group], axis=1)


@pytest.fixture(scope="module")
def stacked():
    """A stack of groups, and the rows."""
    x = moons(np.random.default_rng(0))
    return nvp.fit(x, flow=SMALL, stack=True, members=3, epochs=4, seed=0, verbose=0), x


@pytest.mark.exhaustive
def test_what_is_simple_has_the_weight_where_flows_are_worse(stacked):
    model, _ = stacked
    mixture = model.distribution
    assert isinstance(mixture, MixtureOfFlows)
    assert sum(flow.name.startswith("nice") for flow in mixture.flows) == 3
    weights = np.exp(mixture.log_weights())
    names = [flow.name for flow in mixture.flows]
    assert weights[[i for i, name in enumerate(names) if "gaussian" in name.lower()]].sum() > 0.5
    new = moons(np.random.default_rng(1), 4000)
    alone = np.array([np.mean(flow.log_prob(new)) for flow in mixture.flows])
    # The truth is log 2 below two Gaussians far apart.
    truth = -np.log(0.3) - 1.0 - np.log(2.0 * np.pi) - np.log(2.0)
    together = np.mean(model.log_prob(new))
    assert together > alone.max() - 0.02
    assert together == pytest.approx(truth, abs=0.15)
    # What is said of them was found on 240 rows that they had not seen.
    kept = [float(score) for score in mixture.scores[3:]]
    np.testing.assert_allclose(kept, alone[3:], atol=0.3)
    assert "log p alone" in mixture.report()


def test_it_is_one_density(stacked):
    model, _ = stacked
    axes = [np.linspace(-6.0, 10.0, 400), np.linspace(-8.0, 9.0, 400)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.exp(model.log_prob(grid)).sum() * (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    assert mass == pytest.approx(1.0, abs=0.01)
    x = model.sample(20_000, seed=1).numpy()
    mean = (np.exp(model.log_prob(grid))[:, np.newaxis] * grid).sum(axis=0) / np.exp(model.log_prob(grid)).sum()
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.1)


def test_files_and_exports_have_it(stacked, tmp_path):
    model, x = stacked
    model.save(tmp_path / "stack.keras")
    loaded = nvp.load_model(tmp_path / "stack.keras")
    np.testing.assert_allclose(loaded.log_prob(x), model.log_prob(x), rtol=1e-5, atol=1e-5)
    served = nvp.serving.load(nvp.export(model, tmp_path / "stack"))
    assert served.signatures == ["log_prob", "sample"]
    np.testing.assert_allclose(served.log_prob(x), model.log_prob(x), rtol=1e-4, atol=1e-4)
    drawn = served.sample(4000, seed=3)
    np.testing.assert_allclose(drawn[:50], served.sample(50, seed=3), rtol=1e-5, atol=1e-5)
    # Five standard errors of two groups 4 apart.
    np.testing.assert_allclose(drawn.mean(axis=0), model.sample(4000, seed=0).numpy().mean(axis=0), atol=0.25)


def test_disagreement_is_larger_far_from_the_data(stacked):
    model, x = stacked
    near = np.mean(model.distribution.disagreement(x.astype(np.float32)))
    far = np.mean(model.distribution.disagreement(x.astype(np.float32) + np.float32(30.0)))
    assert far > 10 * near


def test_a_conditional_stack_is_of_flows_alone(rng):
    condition = rng.normal(size=[160, 1])
    x = condition + 0.3 * rng.normal(size=[160, 2])
    model = nvp.fit(x, condition, flow=SMALL, stack=True, members=2, epochs=2, seed=0, verbose=0)
    assert len(model.distribution.flows) == 2
    assert isinstance(model.encoder, keras.layers.Layer)
    assert np.isfinite(model.log_prob(x, condition=condition)).all()
    means = tf.reduce_mean(model.sample(500, seed=0, condition=[[-2.0], [2.0]]), axis=0)
    assert means[1, 0] - means[0, 0] > 2.0


def test_bounds_and_grids_hold_for_all_of_it(rng):
    counts, shares = rng.binomial(6, 0.5, 200), rng.beta(0.5, 0.5, 200)
    with pytest.warns(UserWarning, match="grid|dequantized"):
        model = nvp.fit(
            np.stack([counts, shares], axis=1),
            support={0: (0, 6), 1: (0, 1)},
            flow=SMALL,
            stack=True,
            members=2,
            epochs=2,
            seed=0,
            verbose=0,
        )
    drawn = model.sample(2000, seed=1).numpy()
    assert set(drawn[:, 0]) <= set(range(7))
    assert ((drawn[:, 1] >= 0) & (drawn[:, 1] <= 1)).all()


def test_it_says_what_it_found(rng, capfd):
    nvp.fit(moons(rng, 120), flow=SMALL, stack=True, members=2, epochs=1, seed=0, verbose=2)
    said = capfd.readouterr().err
    assert "Flow 1 of 2" in said
    assert "held-out NLL alone" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_split": 0.2}, "`validation_split` is for one flow"),
        ({"checkpoint_dir": "state"}, "`checkpoint_dir` is for one flow"),
        ({"members": 1}, "`members` must be"),
        ({"members": 30}, "`members` must leave each fold at least"),
    ],
)
def test_errors(rng, options, message):
    with pytest.raises(ValueError, match=message):
        nvp.fit(moons(rng, 100), flow=SMALL, stack=True, epochs=1, seed=0, verbose=0, **options)


def test_a_flow_alone_is_no_recipe(rng):
    with pytest.raises(TypeError, match="`flow` must be a recipe where `stack=True`"):
        nvp.fit(moons(rng, 100), flow=SMALL([2], seed=0), stack=True, epochs=1, seed=0, verbose=0)


def test_flows_of_folds_of_different_sizes_share_their_graphs(rng, monkeypatch):
    traced, step = [], nvp.FlowModel.train_step
    monkeypatch.setattr(nvp.FlowModel, "train_step", lambda self, data: traced.append(self) or step(self, data))
    nvp.fit(moons(rng, 353), flow=SMALL, stack=True, members=3, epochs=1, seed=0, verbose=0)
    assert len(traced) == 1


def test_folds_keep_groups_and_equal_rows_together(rng):
    x = rng.normal(size=[60, 2])
    table = Part.of(np.concatenate([x, x]), groups=None)
    fold = folds(table, 4, seed=0)
    np.testing.assert_array_equal(fold[:60], fold[60:])
    assert np.bincount(fold).tolist() == [30, 30, 30, 30]
    groups = np.repeat(np.arange(12), 10)
    fold = folds(Part.of(rng.normal(size=[120, 2]), groups=groups), 3, seed=0)
    assert all(len(set(fold[groups == group])) == 1 for group in range(12))
