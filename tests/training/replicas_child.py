"""Trains on several devices, in a process of its own, since devices are set before TensorFlow starts.

`python -m tests.training.replicas_child NAME` prints what the function of this name found, as JSON.
"""

import json
import os
import sys
import tempfile
import warnings

import keras
import numpy as np
import tensorflow as tf

import tfp_nvp as nvp

ROWS = np.random.default_rng(0).normal(size=(300, 2)) * [1.0, 3.0]


def real_nvp() -> nvp.Flow:
    return nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0)


def fitted(strategy: tf.distribute.Strategy) -> nvp.FlowModel:
    """A model of 15 steps, whose batches the replicas share unevenly."""
    with strategy.scope():
        model = nvp.FlowModel(real_nvp())
        model.compile(keras.optimizers.Adam(1e-2))
    weights = np.linspace(0.5, 1.5, len(ROWS))
    model.fit(ROWS, sample_weight=weights, batch_size=61, epochs=3, shuffle=False, verbose=0)
    return model


def weights_of(model: keras.Model) -> np.ndarray:
    return np.concatenate([np.ravel(variable.numpy()) for variable in model.trainable_variables])


def equal(strategy: tf.distribute.Strategy) -> dict[str, float]:
    """The largest difference of weights, and of a loss, from those of one device."""
    one, two = fitted(tf.distribute.get_strategy()), fitted(strategy)
    losses = [model.evaluate(ROWS, batch_size=101, verbose=0, return_dict=True)["loss"] for model in (one, two)]
    return {
        "weights": float(np.max(np.abs(weights_of(one) - weights_of(two)))),
        "loss": float(abs(losses[0] - losses[1])),
    }


def fitted_to(batches: tf.data.Dataset, strategy: tf.distribute.Strategy) -> nvp.FlowModel:
    with strategy.scope():
        model = nvp.FlowModel(real_nvp())
        model.compile(keras.optimizers.AdamW(1e-2))
    model.fit(batches, epochs=1, verbose=0)
    return model


def guard(strategy: tf.distribute.Strategy) -> dict[str, object]:
    """What is said of a step that the last replica alone finds not finite, and what the weights are after it."""
    rows = ROWS.copy()
    rows[-1] = np.nan
    batches = tf.data.Dataset.from_tensor_slices(rows).batch(100)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fitted_to(batches, strategy)
    untouched = fitted_to(batches.take(2), strategy)
    return {
        "messages": [str(warning.message) for warning in caught],
        "moved": float(np.max(np.abs(weights_of(model) - weights_of(untouched)))),
        "iterations": int(tf.convert_to_tensor(model.optimizer.iterations)),
    }


def table(strategy: tf.distribute.Strategy) -> dict[str, float]:
    """`nvp.fit` on two devices: its likelihood, and the error after saving and loading."""
    x = np.random.default_rng(1).normal(size=(1_100, 2)) @ [[1.0, 0.9], [0.0, 0.4]]
    with strategy.scope():
        model = nvp.fit(x, epochs=2, seed=0, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        loaded = nvp.load_model(f"{folder}/model.keras")
    return {
        "log_prob": float(np.mean(model.log_prob(x))),
        "loaded_error": float(np.max(np.abs(loaded.log_prob(x) - model.log_prob(x)))),
    }


def devices() -> dict[str, object]:
    """What two devices of this machine find."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return {"equal": equal(strategy), "guard": guard(strategy), "table": table(strategy)}


def machine() -> dict[str, list[float]]:
    """Weights on one of the machines that TF_CONFIG names, or of the only one."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy if "TF_CONFIG" in os.environ else tf.distribute.get_strategy
    return {"weights": weights_of(fitted(strategy())).tolist()}


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    print(json.dumps(globals()[sys.argv[1]]()))  # noqa: T201
