"""Trains a continuous flow without solving its equation."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp._estimates import seed_for
from tfp_nvp.bijectors import Chain, Continuous
from tfp_nvp.bijectors.chain import condition_for
from tfp_nvp.bijectors.continuous import guided
from tfp_nvp.distributions import Flow
from tfp_nvp.distributions.flow import stateless
from tfp_nvp.training._matching.pairing import optimal_pairs
from tfp_nvp.training._models.flow_model import FlowModel

tfd = tfp.distributions

PAIRINGS = ("independent", "optimal")


@keras.saving.register_keras_serializable("tfp_nvp")
class FlowMatching(FlowModel):
    """Fits a continuous flow by regression of its velocity on straight paths from latents to data.

        loss = mean of |f(x_t, t, c) − (x₁ − x₀)|² / d,    x_t = (1 − t) x₀ + t x₁

    x₀ is drawn from the base, t evenly from (0, 1), and x₁ is the data, behind the layers between data and velocity. A
    training step evaluates the network once, and solves nothing. The velocity that minimizes the loss carries the base
    to the data, so `log_prob`, `sample` and exports are the continuous flow's. `fit` reports the loss above. `evaluate`
    and validation report `nll`, in nats, which does solve the equation; their `loss` is the same number.

    Pairs of x₀ and x₁ are independent or, by `pairing="optimal"`, close ones within each batch: paths are straighter,
    and the solver needs fewer steps. With a condition, its distance counts in the pairs' cost.

    With `condition_dropout`, a fraction of the conditions is replaced by zeros in training, which then stand for no
    condition: `sample_guided` needs it.

    Args:
      distribution: a `Flow` whose layer next to the base is `bijectors.Continuous`, such as `ContinuousFlow`.
      encoder, schema: as in `FlowModel`.
      pairing: "independent" or "optimal".
      condition_weight: of the squared distance of conditions, in units of their standard deviations, beside that of
        latents and data; large values pair like conditions only.
      condition_dropout: in [0, 1).
      name: name of the model.

    Raises:
      TypeError, ValueError: for another distribution, or an argument out of its range.

    >>> import numpy as np
    >>> from tfp_nvp import ContinuousFlow
    >>> model = FlowMatching(ContinuousFlow([2], hidden_units=[8], seed=0))
    >>> model.compile("adam")
    >>> history = model.fit(np.random.default_rng(0).normal(size=(64, 2)), epochs=1, verbose=0)
    >>> model.sample(3, seed=0).shape
    TensorShape([3, 2])

    References: Lipman, Chen, Ben-Hamu, Nickel & Le (2023), "Flow Matching for Generative Modeling", arXiv:2210.02747,
    equations 8 and 23; Tong et al. (2024), "Improving and generalizing flow-based generative models with minibatch
    optimal transport", arXiv:2302.00482, section 3.2; Cheng & Schwing (2025), "The curse of conditions",
    arXiv:2503.10636; Ho & Salimans (2022), "Classifier-free diffusion guidance", arXiv:2207.12598.
    """

    def __init__(
        self,
        distribution: tfd.Distribution,
        encoder: keras.layers.Layer | None = None,
        *,
        pairing: str = "independent",
        condition_weight: float = 10.0,
        condition_dropout: float = 0.0,
        **kwargs: Any,
    ):
        checks.instance("distribution", distribution, Flow, "tfp_nvp.ContinuousFlow([2])")
        *outer, velocity = distribution.bijector.parts()
        if not isinstance(velocity, Continuous):
            raise ValueError(
                "`distribution` must have `bijectors.Continuous` as the layer next to its base, as `ContinuousFlow` "
                f"has; that of {distribution.name} is {type(velocity).__name__}."
            )
        super().__init__(distribution, encoder, **kwargs)
        self.pairing = checks.choice("pairing", pairing, PAIRINGS)
        self.condition_weight = checks.number("condition_weight", condition_weight, checks.Interval(0.0))
        self.condition_dropout = checks.number("condition_dropout", condition_dropout, checks.FRACTION)
        if self.condition_dropout and not self.is_conditional:
            raise ValueError(
                f"`condition_dropout` must be 0 for a flow that takes no condition; got {self.condition_dropout}. "
                "Leave it out, or make the flow with a `condition_shape`."
            )
        self.__dict__.update(_velocity=velocity, _outer=Chain(outer) if outer else None)  # Keras tracks them already

    def get_config(self) -> dict[str, Any]:
        options = ("pairing", "condition_weight", "condition_dropout")
        return super().get_config() | {name: getattr(self, name) for name in options}

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """log p [n] as in `FlowModel`; in a training step minus the matching error."""
        return -self.matching_error(inputs) if training else super().call(inputs, training)

    def matching_error(self, inputs: Any, seed: Any = None) -> tf.Tensor:
        """|f(x_t, t, c) − (x₁ − x₀)|² / d of each row, [n].

        Args:
          inputs: events x [n, *event], or (condition_inputs, x).
          seed: of x₀, t and pairs, an int or a stateless seed [2]; that of the training step by default.
        """
        condition, x = inputs if self.is_conditional else (None, inputs)
        if condition is not None:
            condition = self._encoded(self._accepts.condition(condition, batch=True), training=seed is None)
            condition = self._fittable.as_conditions(condition)
        x = self._fittable.as_events(x)
        seeds = tfp.random.split_seed(seed_for(0) if seed is None else stateless(seed), n=4)
        x1 = x if self._outer is None else self._outer._inverse_step(x, condition_for(self._outer, condition), 1)[0]
        x1, n = tf.stop_gradient(x1), tf.shape(x)[0]
        x0 = tf.stop_gradient(self.distribution.distribution.sample(n, seed=seeds[0]))
        if self.pairing == "optimal":
            x0 = tf.gather(x0, optimal_pairs(x0, x1, condition, self.condition_weight, seeds[1]))
        if condition is not None and self.condition_dropout:
            kept = tf.random.stateless_uniform([n], seeds[2], dtype=x.dtype, alg="philox") >= self.condition_dropout
            condition *= tf.cast(tf.reshape(kept, [-1] + [1] * (condition.shape.rank - 1)), condition.dtype)
        first = tf.random.stateless_uniform([], seeds[3], dtype=x.dtype, alg="philox")
        t = tf.math.floormod(first + tf.range(n, dtype=x.dtype) / tf.cast(tf.maximum(n, 1), x.dtype), 1.0)
        along = tf.reshape(t, [-1] + [1] * (x1.shape.rank - 1))
        error = self._velocity.velocity((1.0 - along) * x0 + along * x1, t, condition) - (x1 - x0)
        return tf.reduce_mean(error**2, axis=list(range(1, x1.shape.rank)))

    def _check_trainable(self) -> None:
        super()._check_trainable()
        if not self._velocity.conditioner.trainable_variables:
            raise ValueError(
                "There is nothing to train: matching trains the network of the velocity, which is frozen. Set its "
                "`trainable = True`."
            )

    def sample_guided(self, sample_shape: Any, condition: Any, guidance: float, seed: Any = None) -> tf.Tensor:
        """Draws along f(x, t, 0) + g (f(x, t, c) − f(x, t, 0)): for g above 1, closer to what is typical of c.

        These are no draws of the model's density, and have no `log_prob`.

        Args:
          sample_shape: an int or a list.
          condition: [*batch, *condition inputs].
          guidance: g, at least 0; 1 gives the model's own samples.
          seed: an int or a stateless seed [2].

        Returns:
          x [*sample_shape, *batch, *event].

        Raises:
          ValueError: if the model takes no condition, or was made without `condition_dropout`.
        """
        if not self.is_conditional or not self.condition_dropout:
            raise ValueError(
                "Guided samples need a model with a condition and a positive `condition_dropout`, by which f(x, t, 0) "
                "is trained."
            )
        guidance = checks.number("guidance", guidance, checks.Interval(0.0))
        condition = self._encoded(self._accepted(condition))
        with guided(guidance):
            return self.distribution.sample(sample_shape, seed=seed, condition=condition)

    def _update_metrics(
        self, inputs: Any, x: Any, log_prob: Any, weights: Any, loss: Any, training: bool = False
    ) -> dict[str, tf.Tensor]:
        if not training:
            return super()._update_metrics(inputs, x, log_prob, weights, loss)
        rows = tf.shape(log_prob)[0]
        self._loss_tracker.update_state(tf.where(rows > 0, loss, tf.zeros_like(loss)), sample_weight=rows)
        return {"loss": self._loss_tracker.result()}
