"""Models that are fitted further learn again."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp.training._models.fit_optimizer import FitOptimizer, cosine_schedule, steps_to_come


def rates(optimizer, steps):
    return [float(optimizer._learning_rate(tf.constant(step))) for step in range(steps)]


@pytest.mark.parametrize("saved", [False, True])
def test_a_model_of_fit_learns_new_data(saved, x, tmp_path):
    model = nvp.fit(x, flow=small, epochs=3, seed=0, verbose=0)
    assert float(model.optimizer.learning_rate) < 1e-4  # spent
    if saved:
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras")
    moved = x + np.float32([3.0, 0.0])
    before = -np.mean(model.log_prob(moved))
    history = model.fit(moved, epochs=40, batch_size=32, verbose=0).history
    assert int(model.optimizer.iterations) == 320
    assert -np.mean(model.log_prob(moved)) < before - 0.8
    assert history["nll"][-1] < history["nll"][0] - 0.8
    assert rates(model.optimizer, 321)[-1] < 1e-4 < 1e-3 < max(rates(model.optimizer, 321))


def test_the_optimizer_of_fit_decays_kernels_alone_after_loading_too():
    network = keras.Sequential([keras.Input([2]), keras.layers.Dense(2, bias_initializer="ones")])
    config = FitOptimizer(cosine_schedule(0.1, 10), weight_decay=1.0, use_ema=True).get_config()
    optimizer = FitOptimizer.from_config(config)
    kernel, bias = network.layers[0].kernel, network.layers[0].bias
    optimizer.build([kernel, bias])
    before = kernel.numpy()
    for _ in range(4):
        optimizer.apply([tf.zeros_like(kernel), tf.zeros_like(bias)])
    np.testing.assert_array_equal(bias, np.ones(2))
    assert (np.abs(kernel) < np.abs(before)).all()
    optimizer.restart(50)
    assert int(optimizer.iterations) == 0
    assert optimizer.ema_momentum == pytest.approx(0.8)
    assert max(rates(optimizer, 50)) == pytest.approx(0.1)
    assert all((np.asarray(variable) == 0).all() for variable in optimizer.variables)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "options", [{}, {"weight_decay": 0.3}, {"weight_decay": 0.3, "use_ema": True, "ema_momentum": 0.8}]
)
def test_a_step_is_that_of_keras_adamw(dtype, options, rng):
    """Up to the rounding of sums in another order, some ulp in a step."""
    values = [rng.normal(size=[3, 2]), rng.normal(size=[2])]

    def trained(optimizer_class):
        optimizer = optimizer_class(cosine_schedule(0.1, 10), global_clipnorm=1.0, **options)
        kernel, bias = (keras.Variable(v, dtype=dtype, name=n) for v, n in zip(values, ["kernel", "bias"], strict=True))
        if optimizer_class is keras.optimizers.AdamW:
            optimizer.exclude_from_weight_decay(var_list=[bias])

        @tf.function
        def step(number):
            gradients = [tf.cos(3.0 * number + v.value) * 10.0**number for v in (kernel, bias)]
            optimizer.apply(gradients, [kernel, bias])

        for number in range(-4, 4):
            step(tf.constant(number, dtype))
        return [kernel, bias, *optimizer.variables]

    for ours, keras_own in zip(trained(FitOptimizer), trained(keras.optimizers.AdamW), strict=True):
        np.testing.assert_allclose(ours, keras_own, rtol=1e-4, atol=1e-6)  # the rates' own float32


def test_a_spent_schedule_of_ones_own_is_told(make_flow, x):
    model = nvp.FlowModel(make_flow())
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 8)))
    model.fit(x, batch_size=32, verbose=0)
    with pytest.warns(UserWarning, match=r"schedule is spent: after 8 steps the rate is 0, .*`compile`"):
        model.fit(x, batch_size=32, verbose=0)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, 80)))
    for _ in range(3):
        model.fit(x, batch_size=32, verbose=0)


def test_the_steps_to_come_are_counted(x):
    dataset = tf.data.Dataset.from_tensor_slices(x).batch(64)
    assert steps_to_come(x, None, {"epochs": 3}) == 24
    assert steps_to_come({"a": x}, 100, {"epochs": 3, "initial_epoch": 1}) == 6
    assert steps_to_come(x, 32, {"validation_split": 0.5}) == 4
    assert steps_to_come(dataset, None, {"epochs": 2}) == 8
    assert steps_to_come(dataset.repeat(), None, {"epochs": 2}) is None
    assert steps_to_come(iter([]), None, {"steps_per_epoch": 5}) == 5
