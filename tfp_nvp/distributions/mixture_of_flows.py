"""A mixture of flows."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, shapes
from tfp_nvp.bijectors._network import connect, raw_numbers
from tfp_nvp.bijectors._range import Range
from tfp_nvp.bijectors.bijector import check_condition, ensure_ends_in
from tfp_nvp.conditioners import MLP
from tfp_nvp.distributions.fittable import Density
from tfp_nvp.distributions.flow import Flow, as_tensor, stateless

tfd = tfp.distributions


class MixtureOfFlows(Density):
    """p(x | c) = Σₖ wₖ(c) pₖ(x | c) of flows pₖ.

    A flow is a continuous image of its base, so that one of a single normal base joins separate modes by a bridge of
    density. A mixture needs none. The logits of the weights are learned, zero at first; with a condition a network's
    output is added to them. Log-densities are log-sum-exps over the flows; a sample draws from each flow and keeps the
    one that a categorical draw picks, so both cost as much as all flows together. Samples are not reparameterized.

    Args:
      flows: at least 2 `Flow`s, of one event shape, dtype and condition shape, and batch shape []. Give recipes
        different seeds: equal flows get equal gradients.
      conditioner: a Keras layer from the condition to a logit for each flow, [n, 0] and [n, ...] → [n, number of
        flows]; by default `conditioners.MLP()` where the flows take a condition and there are no `weights`.
      weights: wₖ to start with, positive numbers, which are divided by their sum; by default all are equal.
      scores: the mean log-density of held-out data under each flow alone, in nats, for `report`; None if unknown.
      name: name of its ops.

    Raises:
      TypeError, ValueError: if the flows do not fit each other, or a conditioner has no condition.

    >>> from tfp_nvp.flows import RealNVP
    >>> mixture = MixtureOfFlows([RealNVP([2], num_layers=2, hidden_units=[8], seed=i) for i in range(3)])
    >>> mixture.log_prob(mixture.sample(5, seed=1)).shape
    TensorShape([5])

    References: Cornish, Caterini, Deligiannidis & Doucet (2020), "Relaxing Bijectivity Constraints with Continuously
    Indexed Normalising Flows", arXiv:1909.13833, section 2, on why a single flow joins modes.
    """

    def __init__(
        self,
        flows: Sequence[Flow],
        *,
        conditioner: keras.layers.Layer | None = None,
        weights: Any = None,
        scores: Any = None,
        name: str | None = None,
    ):
        flows = checks.sequence("flows", flows, Flow, "flows, such as [tfp_nvp.RealNVP([2]), tfp_nvp.MAF([2])]")
        if len(flows) < 2:
            raise ValueError(f"`flows` must hold at least 2 flows; got {len(flows)}. One needs no mixture.")
        _check_alike(flows)
        first = flows[0]
        if conditioner is not None and first.condition_shape is None:
            raise ValueError(
                "`conditioner` needs a condition: make the flows with a `condition_shape`, or leave it out."
            )
        super().__init__(dtype=first.dtype, reparameterization_type=tfd.NOT_REPARAMETERIZED, name=name)
        self.flows = list(flows)
        weights = np.ones(len(flows)) if weights is None else _numbers("weights", weights, len(flows))
        if not (weights > 0).all():
            raise ValueError(f"`weights` must be positive; got {checks.shown(weights.tolist())}.")
        self.scores = None if scores is None else _numbers("scores", scores, len(flows))
        self.logits = tf.Variable(tf.constant(np.log(weights / weights.sum()), self.dtype), name="logits")
        self.conditioner = None
        if first.condition_shape is not None and (conditioner is not None or self._captured.get("weights") is None):
            network = MLP(seed=0, dtype=self.dtype.name) if conditioner is None else conditioner
            self.conditioner = connect(network, (0,), first.condition_shape, len(flows), self.dtype)

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        return self.flows[0].condition_shape

    @property
    def data_range(self) -> Range:
        """The values that events of some flow can have."""
        return functools.reduce(Range.hull, (Range.of(*flow.data_range) for flow in self.flows))

    @property
    def is_initialized(self) -> bool:
        """Whether every data-dependent layer of every flow has been initialized."""
        return all(flow.is_initialized for flow in self.flows)

    def initialize(self, x: Any, condition: Any = None) -> None:
        """Sets data-dependent layers (ActNorm) of every flow that has not been initialized from a batch."""
        for flow in self.flows:
            if not flow.is_initialized:
                flow.initialize(x, condition)

    def log_weights(self, condition: Any = None) -> tf.Tensor:
        """log wₖ: [k], or [..., k] of conditions [..., *condition_shape]."""
        condition = check_condition(self.name, self.condition_shape, condition, self.dtype)
        logits = tf.convert_to_tensor(self.logits)
        if self.condition_shape is None:
            return tf.nn.log_softmax(logits)
        rank = len(self.condition_shape)
        batch = shapes.batch_shape(condition, rank)
        logits += tf.zeros(shapes.concat(batch, [len(self.flows)]), self.dtype)
        if self.conditioner is not None:
            nothing = tf.zeros(shapes.concat(batch, [0]), self.dtype)
            logits += raw_numbers(
                self.conditioner, nothing, condition, event_ndims=1, condition_ndims=rank, num_parameters=1
            )[0]
        return tf.nn.log_softmax(logits)

    def responsibilities(self, x: Any, condition: Any = None) -> tf.Tensor:
        """p(k | x, c), the probability that flow k drew x: [..., *event] → [..., k]."""
        return tf.nn.softmax(self._log_terms(as_tensor(x, self.dtype), condition))

    def disagreement(self, x: Any, condition: Any = None) -> tf.Tensor:
        """The standard deviation over the flows, by their weights, of log pₖ(x | c) in nats: [..., *event] → [...].

        Where flows were fitted to other rows and from other weights, it is large where the data say little.
        """
        log_weights = self.log_weights(condition)
        log_probs = self._log_terms(as_tensor(x, self.dtype), condition) - log_weights
        weights = tf.exp(log_weights)
        mean = tf.reduce_sum(weights * log_probs, axis=-1, keepdims=True)
        return tf.sqrt(tf.reduce_sum(weights * (log_probs - mean) ** 2, axis=-1))

    def report(self) -> str:
        """A table of the flows, from the heaviest: weight, and the score of each alone; without a condition's part."""
        weights = tf.nn.softmax(self.logits).numpy()
        scores = [f"{score:12.4f}  " for score in self.scores] if self.scores is not None else [""] * len(self.flows)
        lines = ["weight  " + ("" if self.scores is None else " log p alone  ") + "flow"]
        for i in np.argsort(-weights, kind="stable"):
            lines.append(f"{weights[i]:6.3f}  {scores[i]}{self.flows[i].name}")
        return "\n".join(lines)

    def given(self, condition: Any) -> tfd.Mixture:
        """This distribution at one condition, whose batch becomes part of the batch shape, as one of TFP's own."""
        components = [flow.given(condition) for flow in self.flows]
        log_weights = self.log_weights(condition)
        return tfd.Mixture(tfd.Categorical(log_weights), components, name=f"{self.name}_given")

    # TFP's hooks.

    def _event_shape(self) -> tf.TensorShape:
        return self.flows[0].event_shape

    def _event_shape_tensor(self) -> tf.Tensor:
        return self.flows[0].event_shape_tensor()

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _call_log_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        return super()._call_log_prob(as_tensor(value, self.dtype), name, **kwargs)

    def _log_prob(self, x: tf.Tensor, condition: Any = None, seed: Any = None) -> tf.Tensor:
        return tf.reduce_logsumexp(self._log_terms(x, condition, seed), axis=-1)

    def _prob(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return tf.exp(self._log_prob(x, **kwargs))

    def _log_terms(self, x: tf.Tensor, condition: Any, seed: Any = None) -> tf.Tensor:
        """log (wₖ pₖ(x | c)), [..., k]."""
        shape = self.event_shape
        x = ensure_ends_in("value", x, shape, f"the event shape {shape.as_list()}", self.name)
        log_probs = [flow.log_prob(x, condition=condition, seed=seed) for flow in self.flows]
        return self.log_weights(condition) + tf.stack(log_probs, axis=-1)

    def _call_sample_n(self, sample_shape: Any, seed: Any, condition: Any = None, temperature: Any = None) -> tf.Tensor:
        if temperature is not None:
            raise TypeError("`temperature` is for samples of a tfp_nvp.Flow; give it to one of the mixture's `flows`.")
        seeds = tf.unstack(tfp.random.split_seed(stateless(seed), n=len(self.flows) + 1))
        picked = tfd.Categorical(self.log_weights(condition)).sample(sample_shape, seed=seeds[0])
        draws = [
            flow.sample(sample_shape, seed=each, condition=condition)
            for flow, each in zip(self.flows, seeds[1:], strict=True)
        ]
        picked = tf.reshape(picked, tf.concat([tf.shape(picked), [1] * self.event_shape.rank], axis=0))
        x = draws[0]
        for k, draw in enumerate(draws[1:], start=1):
            x = tf.where(picked == k, draw, x)
        return x

    def sample_and_log_prob(
        self, sample_shape: Any = (), seed: Any = None, condition: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples and their log-density; arguments and results are as for `Flow.sample_and_log_prob`."""
        return self.experimental_sample_and_log_prob(sample_shape, seed=seed, condition=condition)

    def _sample_and_log_prob(self, sample_shape: Any, seed: Any, condition: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        x = self.sample(sample_shape, seed=seed, condition=condition)
        return x, self.log_prob(x, condition=condition)


def _numbers(name: str, value: Any, count: int) -> np.ndarray:
    """An argument as `count` finite numbers."""
    numbers = np.asarray(value, np.float64)
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise ValueError(f"`{name}` must be {count} finite numbers, one for each flow; got {checks.shown(value)}.")
    return numbers


def _check_alike(flows: list[Flow]) -> None:
    """Raises `ValueError` if flows differ in event shape, dtype or condition, or have a batch shape."""
    first = flows[0]
    wanted = (first.event_shape.as_list(), first.condition_shape, first.dtype.name)
    for i, flow in enumerate(flows):
        found = (flow.event_shape.as_list(), flow.condition_shape, flow.dtype.name)
        if found != wanted:
            raise ValueError(
                f"`flows` must have one event shape, condition shape and dtype; those of flows[0] are {wanted}, of "
                f"flows[{i}] {found}."
            )
        if flow.batch_shape.rank:
            raise ValueError(f"`flows` must have batch shape []; flows[{i}] has {flow.batch_shape.as_list()}.")
