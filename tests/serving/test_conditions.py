"""Conditions of exports: sets and series of any length, and the encoder's names."""

import keras
import numpy as np
import pytest

import tfp_nvp as nvp
from tests.serving.rounding import within
from tfp_nvp.serving._exporting.served import condition_specs, served


class Mean(keras.layers.Layer):
    """An encoder of sets that does not say what its input looks like."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(4)

    def call(self, inputs):
        return keras.ops.mean(self.dense(inputs), axis=1)


def fitted(encoder, condition, rng):
    model = nvp.FlowModel(nvp.NICE([2], num_layers=2, hidden_units=[4], condition_shape=[4], seed=0), encoder)
    model.compile()
    model.fit(condition, rng.normal(size=(16, 2)).astype(np.float32), verbose=0)
    return model


def encoder_of(kind):
    pooled = [keras.layers.Dense(4), keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(4)]
    return {
        "built by its first batch": lambda: keras.Sequential(pooled),
        "of a known input": lambda: keras.Sequential([keras.Input([None, 3]), *pooled]),
        "a layer": Mean,
        "flat": lambda: keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(4)]),
        "tokens": lambda: keras.Sequential([keras.layers.Embedding(9, 4), keras.layers.GlobalAveragePooling1D()]),
    }[kind]()


@pytest.mark.parametrize("kind", ["built by its first batch", "of a known input", "a layer", "flat", "tokens"])
def test_sets_have_any_length_where_the_encoder_takes_it(kind, rng):
    condition = rng.integers(0, 9, (16, 6)) if kind == "tokens" else rng.normal(size=(16, 6, 3)).astype(np.float32)
    parts = served(fitted(encoder_of(kind), condition, rng))
    shape = condition_specs(parts)["condition"].shape.as_list()
    assert shape == {"flat": [None, 6, 3], "tokens": [None, None]}.get(kind, [None, None, 3])


def test_an_export_takes_sets_of_other_lengths_than_the_fit(rng, tmp_path):
    model = fitted(encoder_of("built by its first batch"), rng.normal(size=(16, 6, 3)).astype(np.float32), rng)
    loaded = nvp.serving.load(nvp.export(model, tmp_path / "sets", verify=False))
    for length in (1, 3, 9):
        x, condition = (rng.normal(size=size).astype(np.float32) for size in ((4, 2), (4, length, 3)))
        expected = model.log_prob(x, condition)
        # A graph and eager mode differ by the order of sums through all layers: hundreds of roundings of float32.
        np.testing.assert_allclose(loaded.log_prob(x, condition), expected, **within())


def test_an_export_takes_the_names_of_the_model(rng, tmp_path):
    a, x = keras.Input([1], name="a"), keras.Input([2], name="x")
    encoder = keras.Model({"a": a, "x": x}, keras.layers.Dense(4)(keras.layers.Concatenate()([a, x])))
    condition = {"a": rng.normal(size=(16, 1)).astype("float32"), "x": rng.normal(size=(16, 2)).astype("float32")}
    model = fitted(encoder, condition, rng)
    few = {name: rows[:4] for name, rows in condition.items()}
    loaded = nvp.serving.load(nvp.export(model, tmp_path / "named", warmup_condition=few, verify=False))
    rows = rng.normal(size=(4, 2)).astype(np.float32)
    expected = model.log_prob(rows, few)
    for names in (few, {f"condition_{name}": value for name, value in few.items()}):
        np.testing.assert_allclose(loaded.log_prob(rows, names), expected, **within())
    assert loaded.sample(4, seed=0, condition=few).shape == (4, 2)
