import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp import bijectors

tfd = tfp.distributions


def quick(x, *args, **kwargs):
    kwargs = {"epochs": 2, "seed": 0, "verbose": 0, "flow": small, **kwargs}
    return nvp.fit(x, *args, **kwargs)


def test_the_default_fits_in_the_datas_own_units(rng):
    x = rng.normal(size=(400, 2)) @ [[3e6, 1e6], [0.0, 2e6]] + 1e7
    model = nvp.fit(x, epochs=15, seed=0, verbose=0)
    gaussian = tfd.MultivariateNormalFullCovariance(x.mean(0), np.cov(x.T))
    fresh = rng.normal(size=(400, 2)) @ [[3e6, 1e6], [0.0, 2e6]] + 1e7
    assert -np.mean(model.log_prob(fresh)) < -np.mean(gaussian.log_prob(fresh)) + 0.3
    samples = model.sample(2000, seed=1).numpy()
    np.testing.assert_allclose(samples.mean(0), x.mean(0), atol=1e6)


def test_the_same_seed_gives_the_same_model(x):
    first, second, other = quick(x), quick(x), quick(x, seed=1)
    np.testing.assert_array_equal(first.log_prob(x), second.log_prob(x))
    assert not np.allclose(first.log_prob(x), other.log_prob(x))


def test_history_and_best_weights(x):
    model = quick(x, epochs=4)
    history = model.history.history
    assert len(history["val_nll"]) == 4
    held_out = np.random.default_rng(0).permutation(len(x))[: round(0.2 * len(x))]
    assert -np.mean(model.log_prob(x[held_out])) == pytest.approx(min(history["val_nll"]), rel=1e-3)


def test_conditions_are_standardized_inside(rng):
    c = rng.normal(size=(600, 1)) * 1e-6 + 1e-3
    x = (c - 1e-3) * 1e6 * [1.0, -1.0] + 0.1 * rng.normal(size=(600, 2))
    model = quick(x, c, epochs=30, batch_size=32, learning_rate=5e-3)
    samples = model.sample(300, condition=c[:5], seed=0).numpy().mean(0)
    np.testing.assert_allclose(samples, (c[:5] - 1e-3) * 1e6 * [1.0, -1.0], atol=0.5)


def test_support_keeps_samples_and_density_inside(rng):
    x = rng.uniform(size=(500, 2))
    model = quick(x, support=(0.0, [1.0, np.inf]))
    samples = model.sample(1000, seed=0).numpy()
    assert samples.min() >= 0.0
    assert samples[:, 0].max() <= 1.0
    log_prob = model.log_prob([[0.5, 0.5], [1.5, 0.5], [0.5, -0.1], [0.0, 0.0]]).numpy()
    assert np.isfinite(log_prob[[0, 3]]).all()
    assert (log_prob[[1, 2]] == -np.inf).all()


def test_integers_are_dequantized_with_a_warning(rng):
    x = np.stack([rng.poisson(3.0, 500), rng.normal(size=500)], axis=1)
    with pytest.warns(UserWarning, match="dequantized"):
        model = quick(x, epochs=30, batch_size=64)
    # Summed over the integers, unit steps, the density is about one: it has not collapsed on them.
    grid = np.stack(np.meshgrid(np.arange(-2, 15), np.linspace(-4, 4, 81)), -1).reshape(-1, 2)
    assert float(np.exp(model.log_prob(grid)).sum() * 0.1) == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("conditional", [False, True])
def test_any_number_of_columns(d, conditional, rng):
    x, c = rng.normal(size=(60, d)), rng.normal(size=(60, 2)) if conditional else None
    model = nvp.fit(x, c, epochs=1, seed=0, verbose=0, flow=small)
    assert np.isfinite(model.log_prob(x, condition=c)).all()


def test_a_flow_or_a_stock_distribution_can_be_given(x):
    flow = small([2], None, 0)
    model = quick(x, flow=flow)
    assert {id(v) for v in flow.trainable_variables} <= {id(v) for v in model.distribution.trainable_variables}
    stock = tfd.MultivariateNormalDiag(tf.Variable([1.0, 1.0]), tf.ones(2))
    assert isinstance(quick(x, flow=stock).distribution, nvp.Flow)


def test_a_fitted_model_can_be_saved(x, tmp_path):
    model = quick(x, x[:, :1] ** 2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.log_prob(x, condition=x[:, :1]), model.log_prob(x, condition=x[:, :1]))


def test_standardization_takes_all_training_rows(rng):
    x = rng.normal(size=(200, 2)) * [1.0, 5.0] + [0.0, 3.0]
    model = quick(x)
    layer = next(b for b in model.distribution.bijector.bijectors if b.name == "standardize")
    held_out = np.random.default_rng(0).permutation(200)[:40]
    train = np.delete(x, held_out, axis=0)
    np.testing.assert_allclose(layer.shift, train.mean(0), rtol=1e-4)
    assert isinstance(layer, bijectors.ActNorm)
    assert not layer.trainable_variables


def test_a_conditional_fit_is_exported_with_its_encoder(rng, tmp_path):
    c = 1.7e6 + 10.0 * rng.normal(size=(200, 1))
    x = (c - 1.7e6) * [0.1, -0.1] + 0.1 * rng.normal(size=(200, 2))
    model = quick(x, c, epochs=10, batch_size=32)
    served = nvp.serving.load(nvp.export(model, tmp_path / "conditional", verify=False))
    np.testing.assert_allclose(
        served.log_prob(x[:5], condition=c[:5]), model.log_prob(x[:5], condition=c[:5]), rtol=1e-3, atol=1e-3
    )


def test_a_condition_that_float32_cannot_resolve_is_refused(x):
    with pytest.raises(ValueError, match="`condition` has column"):
        quick(x, 1e9 + np.linspace(0.0, 1.0, len(x))[:, None])


def test_lists_of_numbers_are_conditions_too(x):
    model = quick(x, x[:, :1] ** 2)
    np.testing.assert_array_equal(
        model.log_prob(x[:2], condition=x[:2, :1].tolist()), model.log_prob(x[:2], condition=x[:2, :1])
    )


def test_a_float64_flow_is_fitted_to_float64_data(rng):
    x = 1e9 + rng.normal(size=(200, 2))

    def wide(event_shape, condition_shape, seed):
        return nvp.NICE(event_shape, num_layers=2, hidden_units=[8], seed=seed, dtype="float64")

    model = quick(x, flow=wide)
    assert model.log_prob(x).dtype == tf.float64
    assert -np.mean(model.log_prob(x)) < 4.0


def test_epochs_are_passes_over_the_data(x):
    model = quick(x, epochs=3, batch_size=10)
    assert int(model.optimizer.iterations) == 3 * 16  # 20 batches of 10 in 205 rows, cut to a multiple of 16


def test_bad_arguments_are_refused(x):
    for arguments, message in [
        ({"x": x[:10]}, "at least 20 rows"),
        ({"x": x, "condition": x[:5]}, "a row for each"),
        ({"x": x, "flow": 3}, "`flow` must be"),
        ({"x": x, "flow": small([3], None, 0)}, "event shape"),
        ({"x": x, "condition": x, "flow": small([2], None, 0)}, "condition shape"),
        ({"x": x, "validation_split": 0.0}, r"`validation_split` must be in \(0, 1\); got 0"),
        ({"x": x, "validation_split": 1.0}, r"`validation_split` must be in \(0, 1\); got 1"),
        ({"x": x[:20], "validation_split": 0.9}, "rows to train on"),
        ({"x": x, "batch_size": 0}, "`batch_size`"),
        ({"x": x, "epochs": 0}, "`epochs`"),
        ({"x": x, "seed": -1}, "`seed`"),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            nvp.fit(**arguments, verbose=0)


def test_options_of_another_kind_are_refused_by_name(x):
    for arguments, error, message in [
        ({"plan": 3}, TypeError, "`plan` must be a Plan, for example `tfp_nvp.training.plan_for"),
        ({"callbacks": [1]}, TypeError, "`callbacks` must be a list of Keras callbacks"),
        ({"verbose": "x"}, ValueError, "`verbose` must be 0, 1, 2 or \"auto\"; got 'x'"),
        ({"x": x[:0]}, ValueError, "`x` has no rows"),
        ({"validation_data": x[:0]}, ValueError, "`validation_data` has no rows"),
    ]:
        with pytest.raises(error, match=message):
            nvp.fit(**{"x": x, "flow": small, "epochs": 1, "seed": 0, "verbose": 0, **arguments})
