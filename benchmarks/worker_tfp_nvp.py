"""This package as a worker of a side-by-side speed comparison of flow libraries.

A driver starts it with `protocol` on the path, which defines the workloads and the lines that
go to and fro: `python worker_tfp_nvp.py NAME`. A NAME that ends in "-eager" runs in a
`tf.function` without XLA; "-networks" runs the conditioners alone, the least that any such flow
takes. docs/benchmarks/performance.md has the figures.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from protocol import WORKLOADS, serve

import tfp_nvp as nvp
from tfp_nvp import transformers
from tfp_nvp.bijectors import Autoregressive, Chain, Coupling, Reverse
from tfp_nvp.conditioners import MLP
from tfp_nvp.distributions import StandardNormal


def flow_of(w: dict[str, Any]) -> nvp.Flow | None:
    """The workload's flow, of the same networks as in the other libraries."""
    if w["kind"] == "realnvp":
        return nvp.RealNVP([w["dim"]], num_layers=w["layers"], hidden_units=w["hidden"], seed=0)
    if w["kind"] in ("maf", "iaf"):
        recipe = nvp.MAF if w["kind"] == "maf" else nvp.IAF
        return recipe([w["dim"]], num_layers=w["layers"], hidden_units=w["hidden"], seed=0)
    if w["kind"] == "glow":
        shape = [w["size"], w["size"], w["channels"]]
        return nvp.Glow(shape, num_levels=w["scales"], num_steps=w["layers"], hidden_units=w["hidden"][0], seed=0)
    if w["kind"] == "nsf":
        return spline_flow(w)
    return None


def spline_flow(w: dict[str, Any]) -> nvp.Flow:
    """Spline couplings on multilayer perceptrons, as in the other libraries; `nvp.NeuralSplineFlow` is residual."""
    d, spline = w["dim"], transformers.RationalQuadratic(num_bins=w["bins"])
    layers = []
    for i in range(w["layers"]):
        conditioner = MLP(hidden_units=w["hidden"], seed=i)
        layers += [Coupling(spline, conditioner, nvp.masks.half(d)), Reverse()]
    return nvp.Flow(StandardNormal([d]), Chain(layers))


class Networks:
    """A flow's conditioners alone, one after the other, each waiting for the one before it."""

    def __init__(self, flow: nvp.Flow):
        self._layers = [layer for layer in flow.bijector.submodules if isinstance(layer, (Coupling, Autoregressive))]
        #: Keras' own, as an optimizer wants them
        self.variables = [v for layer in self._layers for v in layer.conditioner.trainable_variables]
        self.trainable_variables = [v.value for v in self.variables]

    def log_prob(self, x: tf.Tensor) -> tf.Tensor:
        total = tf.zeros([len(x)])
        for layer in self._layers:
            shape = input_shape(layer)
            some = tf.reshape(x, [len(x), -1])[:, : np.prod(shape)] + total[:, tf.newaxis]
            outputs = layer.conditioner(tf.reshape(some, [len(x), *shape]))
            total += tf.reduce_mean(outputs, axis=list(range(1, outputs.shape.rank)))
        return total


def input_shape(layer: Coupling | Autoregressive) -> tuple[int, ...]:
    """The shape of what a layer's conditioner sees of one event."""
    if isinstance(layer, Autoregressive):
        return tuple(layer.parameters["event_shape"])
    mask = np.asarray(layer.parameters["mask"])
    return (*mask.shape[:-1], int(mask.reshape(-1, mask.shape[-1])[0].sum()))


def build(name: str, workload: str) -> tuple[dict[str, Callable[[], Any]], int] | None:
    """The operations of a workload, and its number of parameters."""
    w = WORKLOADS[workload]
    flow = flow_of(w)
    if flow is None:
        return None
    x = tf.constant(np.random.default_rng(0).normal(size=[w["batch"], *flow.event_shape]), tf.float32)
    flow.initialize(x)
    subject, compiled = flow, not name.endswith("-eager")
    if name.endswith("-networks"):
        subject = Networks(flow)
    log_prob = tf.function(subject.log_prob, jit_compile=compiled)
    step = train_step(subject, compiled)
    operations = {"log_prob": lambda: log_prob(x).numpy(), "step": lambda: step(x).numpy()}
    if subject is flow:
        sample = tf.function(lambda: flow.sample(w["batch"], seed=(1, 2)), jit_compile=compiled)
        operations["sample"] = lambda: sample().numpy()
    return operations, sum(int(np.prod(v.shape)) for v in subject.trainable_variables)


def train_step(subject: nvp.Flow | Networks, compiled: bool) -> Callable[[tf.Tensor], tf.Tensor]:
    """One Adam step on the mean negative log-likelihood, which it returns."""
    variables = nvp.FlowModel(subject).trainable_variables if isinstance(subject, nvp.Flow) else subject.variables
    optimizer = keras.optimizers.Adam(1e-3)
    optimizer.build(variables)

    @tf.function(jit_compile=compiled)
    def step(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(subject.log_prob(x))
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        return loss

    return step


if __name__ == "__main__":
    serve(sys.argv[1], build)
