"""Keras' callbacks find that less is better of the model's own metrics."""

import keras
import numpy as np
import pytest

import tfp_nvp as nvp
from tests.conformance.cases import in_unit_interval


@pytest.fixture
def model():
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0))
    model.compile(keras.optimizers.SGD(0.0), metrics=[lambda x, log_prob: -log_prob])
    return model


@pytest.mark.parametrize("monitor", ["nll", "val_nll", "val_loss"])
def test_early_stopping_stops(model, monitor, rng):
    x = rng.normal(size=(64, 2))
    stop = keras.callbacks.EarlyStopping(monitor=monitor, patience=1, min_delta=1e-3)
    history = model.fit(x, validation_data=(x,), epochs=5, callbacks=[stop], verbose=0).history
    assert len(history["nll"]) == 2  # nothing is learned at a rate of 0
    assert stop.monitor_op(1.0, 2.0)


def test_the_learning_rate_falls_and_the_best_is_kept(rng, tmp_path):
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0))
    model.compile(keras.optimizers.SGD(1e-30))
    x = rng.normal(size=(64, 2))
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(monitor="val_nll", factor=0.1, patience=1, min_delta=1e-3),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_nll", save_best_only=True),
    ]
    model.fit(x, validation_data=(x,), epochs=3, callbacks=callbacks, verbose=0)
    assert float(model.optimizer.learning_rate) < 1e-31
    assert (tmp_path / "best.keras").exists()


def test_bits_per_dimension(rng):
    flow = in_unit_interval(nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0))
    model = nvp.FlowModel(nvp.Dequantized(flow, levels=4))
    model.compile(keras.optimizers.SGD(0.0))
    x = rng.integers(0, 4, size=(64, 2))
    stop = keras.callbacks.EarlyStopping(monitor="val_bits_per_dim", patience=1, min_delta=10.0)
    history = model.fit(x, validation_data=(x,), epochs=5, callbacks=[stop], verbose=0).history
    assert len(history["val_bits_per_dim"]) == 2
    np.testing.assert_allclose(history["bits_per_dim"], np.array(history["nll"]) / (2 * np.log(2)), rtol=1e-6)
    result = model.evaluate(x, verbose=0, return_dict=True)
    assert set(result) == {"loss", "nll", "bits_per_dim"}


def test_the_names_of_the_metrics_are_those_of_the_logs(model, rng):
    x = rng.normal(size=(64, 2))
    model.fit(x, epochs=1, verbose=0)
    assert set(model.evaluate(x, verbose=0, return_dict=True)) == {"loss", "lambda", "nll"}
    assert "nll" in model.metrics_names


def test_a_model_that_is_not_compiled_says_so(rng):
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0))
    with pytest.raises(ValueError, match=r'call `model\.compile\(optimizer="adam"\)` before `fit`'):
        model.fit(rng.normal(size=(8, 2)))


@pytest.mark.parametrize("after", [False, True])
def test_frozen_models_are_not_fitted(after, rng):
    x = rng.normal(size=(8, 2))
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0))
    if after:
        model.compile("adam")
        model.fit(x, epochs=1, verbose=0)
    for layer in model.layers:
        layer.trainable = False
    if not after:
        model.compile("adam")
    for train in (lambda: model.fit(x, verbose=0), lambda: model.train_on_batch(x)):
        with pytest.raises(ValueError, match="all weights are frozen"):
            train()
