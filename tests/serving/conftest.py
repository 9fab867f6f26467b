"""Models of every kind that can be served, each exported once per session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.conformance.cases import FLOWS, data, randomized
from tfp_nvp.distributions import MixtureOfFlows
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.serving import ServedFlow, export
from tfp_nvp.serving._exporting.cases import cases
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import signatures
from tfp_nvp.serving._exporting.verify import Case
from tfp_nvp.training import FlowModel

tfb, tfd = tfp.bijectors, tfp.distributions


def shaken(flow: Any, seed: int = 0) -> Any:
    """A flow with data-dependent layers set, and other weights than its first, so that it is not the identity."""
    rng = np.random.default_rng(seed)
    shape = [] if flow.condition_shape is None else [32, *flow.condition_shape]
    condition = None if flow.condition_shape is None else rng.normal(size=shape)
    flow.initialize(1.0 + 2.0 * rng.normal(size=[32, *flow.event_shape]), condition)
    for variable in flow.trainable_variables:
        variable.assign_add(tf.constant(0.2 * rng.normal(size=variable.shape), variable.dtype))
    return flow


def spline(dtype: str = "float32", **arguments: Any) -> nvp.Flow:
    return shaken(nvp.NeuralSplineFlow([2], num_layers=2, hidden_units=8, seed=0, dtype=dtype, **arguments))


def affine(**arguments: Any) -> nvp.Flow:
    return shaken(nvp.RealNVP([3], num_layers=2, hidden_units=[8], seed=0, **arguments))


def encoded() -> FlowModel:
    encoder = keras.Sequential([keras.Input([5]), keras.layers.BatchNormalization(), keras.layers.Dense(4)])
    return FlowModel(affine(condition_shape=[4]), encoder=encoder)


def encoded_from_two() -> FlowModel:
    age, word = keras.Input([1], name="age"), keras.Input([], dtype="string", name="word")
    codes = keras.layers.StringLookup(vocabulary=["cat", "dog"], output_mode="one_hot")(word)
    outputs = keras.layers.Concatenate()([keras.layers.Dense(1)(age), keras.ops.cast(codes, "float32")])
    return FlowModel(affine(condition_shape=[4]), encoder=keras.Model({"age": age, "word": word}, outputs))


def learned_base() -> nvp.Flow:
    base = nvp.distributions.ConditionalNormal([5], [3], hidden_units=[8], seed=0)
    return shaken(nvp.MAF([5], num_layers=2, hidden_units=[8], condition_shape=[3], base=base, seed=0))


def uniform_base() -> nvp.Flow:
    layers = [affine().bijector, tfb.Invert(tfb.Sigmoid(-2.0, 3.0))]
    return nvp.Flow(tfd.Sample(tfd.Uniform(-2.0, 3.0), [3]), nvp.bijectors.Chain(layers))


def mixture_base() -> tfd.Distribution:
    parts = tfd.MultivariateNormalDiag([[-3.0] * 3, [3.0] * 3], [[1.0] * 3, [0.5] * 3])
    return tfd.MixtureSameFamily(tfd.Categorical(probs=[0.25, 0.75]), parts)


def stock_flow() -> tfd.Distribution:
    scale = tfb.ScaleMatvecDiag(tfp.util.TransformedVariable([1.0, 2.0], tfb.Softplus()))
    base = tfd.MultivariateNormalDiag(tf.Variable([0.5, -0.5]), [1.0, 2.0])
    return tfd.TransformedDistribution(base, tfb.Chain([tfb.Shift(tf.Variable([1.0, 2.0])), scale]))


CASES: dict[str, Callable[[], Any]] = {
    "spline": spline,
    "spline64": lambda: spline("float64"),
    "conditional": lambda: spline(condition_shape=[3]),
    "encoder": encoded,
    "encoder_of_two": encoded_from_two,
    "uniform_base": uniform_base,
    "mixture_base": lambda: affine(base=mixture_base()),
    "maf": lambda: shaken(nvp.MAF([5], num_layers=2, hidden_units=8, num_blocks=1, order="random", seed=0)),
    "iaf": lambda: shaken(nvp.IAF([5], num_layers=2, hidden_units=[8], seed=0)),
    "learned_base": learned_base,
    "stock": lambda: tfd.MultivariateNormalTriL([1.0, 2.0], [[1.0, 0.0], [0.5, 2.0]]),
    "stock_flow": stock_flow,
    "scalar": lambda: tfd.Gamma(tf.Variable(2.0), 3.0),
}


def conformance(name: str) -> Callable[[], nvp.Flow]:
    """A flow of the conformance table, with data-dependent layers set and other weights than its first."""

    def make() -> nvp.Flow:
        (case,) = (each for each in FLOWS if each.name == name)
        flow = case.make("float32")
        flow.initialize(*data(case, batch_shape=(32,)))
        return randomized(flow)

    return make


def dequantized(learned: bool) -> nvp.Dequantized:
    def glow(seed: int, **arguments: Any) -> nvp.Flow:
        return nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, seed=seed, **arguments)

    model = nvp.Dequantized(
        glow(0, num_bins=5), levels=5, noise=glow(1, condition_shape=[4, 4, 1]) if learned else None
    )
    model.initialize(np.random.default_rng(0).integers(5, size=(32, 4, 4, 1)))
    randomized(model.flow)
    return model


def mixture_of_flows() -> MixtureOfFlows:
    sizes = {"num_layers": 1, "hidden_units": 4, "condition_shape": [2]}
    return shaken(MixtureOfFlows([nvp.RealNVP([2], **sizes, seed=seed) for seed in (0, 1)]))


# The rest of what can be served: with CASES, every recipe; of each kind (couplings, autoregressive, images) one that
# takes a condition. They are for tests that ask little of each, and of all of them.
RECIPES: dict[str, Callable[[], Any]] = {
    **{
        name: conformance(name)
        for name in (
            "nice",
            "real_nvp_conditional",
            "maf_conditional",
            "circular_spline_flow_mixed",
            "spherical_spline_flow_conditional",
            "planar_flow",
            "radial_flow_conditional",
            "sylvester_flow_conditional",
            "augmented_flow_conditional",
            "block_naf_conditional",
            "tar_flow_conditional",
            "residual_flow_conditional",
            "residual_flow_estimated",
            "continuous_flow",
            "continuous_flow_estimated",
            "glow",
            "image_real_nvp_conditional",
            "image_residual_flow",
            "flow_plus_plus",
            "subscale_flow",
        )
    },
    "mixture_of_flows_conditional": mixture_of_flows,
    "dequantized": lambda: dequantized(learned=False),
    "dequantized_learned": lambda: dequantized(learned=True),
}


#: Of each kind; the others are exhaustive.
USUAL = (
    "spline",
    "conditional",
    "encoder",
    "encoder_of_two",
    "maf",
    "stock",
    "sylvester_flow_conditional",
    "augmented_flow_conditional",
    "residual_flow_estimated",
    "continuous_flow_estimated",
    "glow",
    "dequantized_learned",
)


@dataclass(frozen=True)
class Exported:
    """A model, and where it was exported to."""

    name: str
    model: Any
    distribution: tfd.Distribution
    folder: Path

    @cached_property
    def served(self) -> ServedFlow:
        """The export loaded again."""
        return ServedFlow(self.folder)

    @cached_property
    def tried(self) -> dict[str, Case]:
        """Eight rows of inputs for every signature, and what Python makes of them."""
        parts = served(self.model)
        tried = cases(parts, signatures(parts), condition=self.raw_condition(8))
        return {"serving_default": tried["log_prob"], **tried}

    @property
    def has_temperature(self) -> bool:
        return self.is_flow and self.name != "uniform_base"

    @property
    def is_flow(self) -> bool:
        return isinstance(self.distribution, nvp.Flow)

    def raw_condition(self, n: int) -> Any:
        """n rows of what a client sends as the condition, or None."""
        rng = np.random.default_rng(7)
        if self.name == "encoder_of_two":
            ages, words = rng.normal(size=[n, 1]).astype("float32"), np.resize(["cat", "dog", "cow"], [n])
            return {"condition_age": ages, "condition_word": words}
        shape = [5] if self.name == "encoder" else as_fittable(self.distribution).condition_shape
        return None if shape is None else rng.normal(size=[n, *shape]).astype("float32")

    def keyword(self, raw: Any) -> dict[str, Any]:
        """`condition=` as the distribution takes it."""
        if raw is None:
            return {}
        if isinstance(raw, dict):
            raw = {key.removeprefix("condition_"): tf.constant(value) for key, value in raw.items()}
        return {"condition": self.model.encoder(raw) if isinstance(self.model, FlowModel) else raw}


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """A function from a case's name to its export; each case is exported once."""
    made: dict[str, Exported] = {}

    def get(name: str) -> Exported:
        if name not in made:
            model = (CASES | RECIPES)[name]()
            folder = export(model, tmp_path_factory.mktemp("models") / name, verify=False)
            distribution = model.distribution if isinstance(model, keras.Model) else model
            made[name] = Exported(name, model, distribution, folder)
        return made[name]

    return get


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, exported: Callable[[str], Exported]) -> Exported:
    """Each case in turn."""
    return exported(request.param)


@pytest.fixture(
    params=[pytest.param(name, marks=() if name in USUAL else pytest.mark.exhaustive) for name in (*CASES, *RECIPES)]
)
def recipe_export(request: pytest.FixtureRequest, exported: Callable[[str], Exported]) -> Exported:
    """Each case and each recipe in turn."""
    return exported(request.param)


@pytest.fixture(scope="session")
def flow() -> nvp.Flow:
    """A flow that can be exported."""
    return affine()


def pytest_itemcollected(item: pytest.Item) -> None:
    """All tests of this folder in one worker, which then exports each model once and starts each server once."""
    item.add_marker(pytest.mark.xdist_group("serving"))
