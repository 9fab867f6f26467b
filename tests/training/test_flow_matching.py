"""Flow matching: its loss, pairs, guided samples, files; and exact flows fitted to its result."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.conformance.cases import randomized
from tfp_nvp.solvers import RungeKutta4
from tfp_nvp.training._matching.distill import _angles, _squared_distance
from tfp_nvp.training._matching.pairing import optimal_pairs


def continuous(d: int = 2, num_steps: int = 8, **arguments) -> nvp.Flow:
    return nvp.ContinuousFlow([d], hidden_units=[32, 32], solver=RungeKutta4(num_steps), seed=0, **arguments)


def trained(model: nvp.FlowModel, *data, epochs: int = 30, rate: float = 5e-3) -> nvp.FlowModel:
    steps = epochs * len(data[0]) // 256
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)))
    keras.utils.set_random_seed(0)
    model.fit(*data, batch_size=256, epochs=epochs, verbose=0)
    return model


@pytest.fixture(scope="module")
def two_modes():
    """Two narrow modes, at ±2, and how far from one."""
    rng = np.random.default_rng(0)
    return (np.sign(rng.normal(size=(4096, 1))) * [[2.0, -1.0]] + 0.4 * rng.normal(size=(4096, 2))).astype("float32")


@pytest.fixture(scope="module", params=[pytest.param("independent", marks=pytest.mark.exhaustive), "optimal"])
def matched(request, two_modes):
    return trained(nvp.FlowMatching(continuous(), pairing=request.param), two_modes)


def test_matching_learns_the_density(matched, two_modes):
    entropy = np.log(2.0) + np.log(2.0 * np.pi * np.e * 0.4**2)
    nll = matched.evaluate(two_modes, verbose=0, return_dict=True)["nll"]
    assert entropy - 0.05 < nll < entropy + 0.15
    samples = matched.sample(2000, seed=0).numpy()
    assert 0.4 < (samples[:, 0] > 0.0).mean() < 0.6


def test_the_loss_of_a_known_velocity_is_that_of_the_formula():
    """An untrained velocity is zero: the error is |x₁ − x₀|² / d, of unit normals 2."""
    model = nvp.FlowMatching(continuous(3))
    x = np.random.default_rng(0).normal(size=(20_000, 3)).astype("float32")
    error = model.matching_error(tf.constant(x), seed=1).numpy()
    assert error.mean() == pytest.approx(2.0, abs=5.0 * error.std() / np.sqrt(len(error)))
    np.testing.assert_array_equal(error, model.matching_error(tf.constant(x), seed=1))


def test_a_training_step_reports_the_matching_loss_and_validation_the_likelihood(two_modes):
    model = nvp.FlowMatching(continuous(num_steps=1))
    model.compile("adam", jit_compile=True)
    history = model.fit(two_modes[:512], validation_data=(two_modes[512:640],), epochs=1, verbose=0).history
    assert set(history) == {"loss", "val_loss", "val_nll"}
    assert history["val_loss"] == history["val_nll"]


def test_optimal_pairs_are_close_and_like_conditions_stay_together(rng):
    z, x = (tf.constant(rng.normal(size=(128, 2)), tf.float32) for _ in range(2))
    seed = tf.constant([0, 1])
    chosen = optimal_pairs(z, x, None, 0.0, seed)
    distances = tf.reduce_sum((tf.gather(z, chosen) - x) ** 2, axis=1)
    assert float(tf.reduce_mean(distances)) < 0.35 * float(tf.reduce_mean(tf.reduce_sum((z - x) ** 2, axis=1)))
    label = tf.constant(rng.integers(2, size=(128, 1)), tf.float32)
    shifted = x + 3.0 * label  # without the condition in the cost, latents would follow the label
    for weight, like in ((0.0, 0.9), (1000.0, 0.99)):
        chosen = optimal_pairs(z, shifted, label, weight, seed)
        same = np.mean(tf.gather(label, chosen) == label)
        assert same > like if weight else same < like
    latents = tf.gather(z, optimal_pairs(z, shifted, label, 1000.0, seed)).numpy()
    means = [latents[label.numpy()[:, 0] == i].mean(axis=0) for i in (0, 1)]
    assert np.abs(means[0] - means[1]).max() < 0.6  # of the latents drawn: their own difference


def test_guided_samples_go_where_the_condition_is_typical():
    rng = np.random.default_rng(0)
    c = rng.integers(2, size=(2048, 1)) * 2.0 - 1.0
    x = (1.5 * c + rng.normal(size=(2048, 1))).astype("float32")
    model = trained(nvp.FlowMatching(continuous(1, condition_shape=[1]), condition_dropout=0.2), c, x, epochs=15)
    ones = np.ones([1], "float32")
    means = [float(tf.reduce_mean(model.sample_guided(1000, ones, g, seed=0))) for g in (0.0, 1.0, 3.0)]
    assert means[0] == pytest.approx(0.0, abs=0.4)
    assert means[1] == pytest.approx(1.5, abs=0.4)
    assert means[2] > means[1] + 0.3
    np.testing.assert_allclose(
        model.sample_guided(5, ones, 1.0, seed=2), model.sample(5, condition=ones, seed=2), rtol=1e-4, atol=1e-4
    )
    with pytest.raises(ValueError, match="`condition_dropout`"):
        nvp.FlowMatching(continuous(1, condition_shape=[1])).sample_guided(5, ones, 2.0)


def test_files_keep_its_options(matched, two_modes, tmp_path):
    matched.save(tmp_path / "matched.keras")
    loaded = nvp.load_model(tmp_path / "matched.keras")
    assert (type(loaded), loaded.pairing) == (nvp.FlowMatching, matched.pairing)
    np.testing.assert_array_equal(loaded.log_prob(two_modes[:4]), matched.log_prob(two_modes[:4]))


@pytest.mark.exhaustive
def test_an_exact_flow_takes_the_teachers_place(two_modes):
    teacher = trained(nvp.FlowMatching(continuous()), two_modes, epochs=5)
    transformer = nvp.transformers.RationalQuadratic(num_bins=4)
    student = nvp.NeuralSplineFlow([2], num_layers=2, hidden_units=32, transformer=transformer, seed=0)
    model = nvp.distill(teacher, student, num_samples=2048, epochs=10, likelihood_epochs=5, batch_size=128, verbose=0)
    x = teacher.sample(1000, seed=9)
    gap = teacher.log_prob(x) - model.log_prob(x)
    assert float(tf.reduce_mean(gap)) < 0.08
    assert float(tf.reduce_mean((teacher.encode(x)[0] - model.encode(x)[0]) ** 2)) < 0.2


def test_a_frozen_velocity_is_refused(two_modes):
    model = nvp.FlowMatching(continuous())
    model.compile("adam")
    model.distribution.bijector.parts()[-1].conditioner.trainable = False
    with pytest.raises(ValueError, match="the velocity, which is frozen"):
        model.fit(two_modes[:64], epochs=1, verbose=0)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"`distribution` must have `bijectors\.Continuous`"):
        nvp.FlowMatching(nvp.RealNVP([2]))
    with pytest.raises(ValueError, match="`condition_dropout` must be 0 for a flow that takes no condition"):
        nvp.FlowMatching(continuous(), condition_dropout=0.1)
    with pytest.raises(ValueError, match="`pairing` must be"):
        nvp.FlowMatching(continuous(), pairing="nearest")
    with pytest.raises(ValueError, match="`student` must have the teacher's event_shape"):
        nvp.distill(continuous(2), nvp.RealNVP([3]))
    with pytest.raises(ValueError, match="`condition` must hold conditions"):
        nvp.distill(continuous(2, condition_shape=[1]), nvp.RealNVP([2], condition_shape=[1]))


def test_the_pairs_of_angles_are_compared_around_the_circle():
    """A student that is a turn of its teacher by a little: across ±π too, the distance is that turn's."""
    circle = nvp.CircularSplineFlow([2], circular=[True, False], num_layers=1, hidden_units=8, num_blocks=1, seed=0)
    angles = _angles(circle)
    assert angles.tolist() == [True, False]
    z = tf.constant([[math.pi - 0.05, 1.0], [0.0, -1.0]])
    turned = tf.constant([[-math.pi + 0.05, 1.0], [0.1, -1.0]])
    np.testing.assert_allclose(_squared_distance(angles)(z, turned), [0.005, 0.005], rtol=1e-4)
    assert _angles(nvp.RealNVP([2], num_layers=2, hidden_units=8, seed=0)) is None
    np.testing.assert_allclose(_squared_distance(None)(z[:, 1:], turned[:, 1:] + 2.0), 4.0, rtol=1e-6)


def test_a_flow_of_angles_is_distilled(rng):
    flows = [
        nvp.CircularSplineFlow(
            [1],
            num_layers=1,
            hidden_units=8,
            num_blocks=1,
            transformer=nvp.transformers.CircularSpline(num_bins=4),
            condition_shape=[1],
            seed=seed,
        )
        for seed in (0, 1)
    ]
    teacher = randomized(flows[0])
    condition = rng.normal(size=(64, 1))
    model = nvp.distill(
        teacher,
        flows[1],
        condition,
        num_samples=1024,
        batch_size=64,
        epochs=12,
        likelihood_epochs=0,
        learning_rate=0.01,
        verbose=0,
    )
    x = teacher.sample(condition=condition, seed=3)
    turns = model.encode(x, condition)[0] - teacher.encode(x, condition)[0]
    assert np.mean(np.cos(turns)) > 0.9


def test_conditions_of_another_width_are_refused_by_distill():
    teacher, student = (nvp.RealNVP([2], num_layers=2, hidden_units=8, condition_shape=[3], seed=i) for i in (0, 1))
    for shape in ((64, 2), (64,), (64, 3, 3)):
        with pytest.raises(ValueError, match="`condition` must") as caught:
            nvp.distill(teacher, student, np.zeros(shape), num_samples=64, batch_size=32, verbose=0)
        assert len(str(caught.value)) < 250
    with pytest.raises(ValueError, match="`condition` must have a row for each"):
        nvp.distill(teacher, student, np.zeros([3]), num_samples=64, batch_size=32, verbose=0)


def test_data_and_condition_in_the_wrong_order_are_told():
    for model in (nvp.FlowMatching(continuous(2, condition_shape=[3])), nvp.FlowModel(nvp.MAF([2], condition_shape=3))):
        model.compile("adam")
        x, c = np.zeros([32, 2], "float32"), np.zeros([32, 3], "float32")
        for call in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match=r"must have shape \[n, 2\]; got \[32, 3\]\. .* are the two swapped"):
                call(x, c, verbose=0)
