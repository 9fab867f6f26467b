"""The base of distributions whose log-density is known by a lower bound."""

from __future__ import annotations

import abc
import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, shapes
from tfp_nvp.distributions.fittable import Density
from tfp_nvp.distributions.flow import Flow, stateless


class Bound(Density):
    """A distribution with hidden noise: p(x) is an integral over u, of which `log_prob` gives an estimate.

        log_prob(x) = log (1 / S) Σₛ p(x, uₛ) / q(uₛ | x),    uₛ drawn from q(u | x)

    for S = `num_samples`. It is a lower bound of log p(x) on average, which grows tighter with S (Burda et al. 2016).

    A subclass has `flow`, whose batch shape is that of the distribution, and writes `_as_values` and `_log_weights`.
    """

    flow: Flow
    #: S where none is told.
    _default_num_samples = 1

    def log_prob(
        self,
        value: Any,
        name: str = "log_prob",
        *,
        condition: Any = None,
        num_samples: int | None = None,
        seed: Any = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """A lower bound of log p(x | c) in nats, on average over the noise.

        Args:
          value: x [..., *event_shape].
          name: name of its ops.
          condition: [..., *condition_shape], or None for a distribution that takes none.
          num_samples: draws of the noise for each x, at least 1; more give a tighter bound at as much more cost.
          seed: of the noise, an int or a stateless seed [2].
          kwargs: none.

        Returns:
          [...].

        Raises:
          TypeError, ValueError: for a missing or unexpected condition, a wrong shape, or another kind of seed.
        """
        draws = {} if num_samples is None else {"num_samples": num_samples}
        return super().log_prob(value, name, condition=condition, seed=seed, **draws, **kwargs)

    def sample_and_log_prob(
        self, sample_shape: Any = (), seed: Any = None, condition: Any = None, num_samples: int | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Samples, and their `log_prob`, with new noise."""
        first, second = tfp.random.split_seed(stateless(seed), n=2)
        x = self.sample(sample_shape, seed=first, condition=condition)
        return x, self.log_prob(x, num_samples=num_samples, seed=second, condition=condition)

    @abc.abstractmethod
    def _as_values(self, x: Any) -> tf.Tensor:
        """x as a tensor [..., *event_shape], checked."""

    @abc.abstractmethod
    def _log_weights(self, x: tf.Tensor, condition: Any, seed: Any, num_samples: int) -> tf.Tensor:
        """log p(x, u) − log q(u | x) for a draw of u for each x: [..., *event_shape] → [...].

        The first of the leading dimensions is `num_samples` if that is more than 1.
        """

    def _num_samples(self) -> int:
        """S where none is told."""
        return self._default_num_samples

    def _log_prob(
        self, x: tf.Tensor, condition: Any = None, num_samples: int | None = None, seed: Any = None
    ) -> tf.Tensor:
        samples = checks.integer("num_samples", self._num_samples() if num_samples is None else num_samples, 1)
        x, rank = self._as_values(x), self.event_shape.rank
        batch = shapes.broadcast(shapes.batch_shape(x, rank), self.flow._full_batch(condition))
        x = shapes.broadcast_batch(x, batch if samples == 1 else shapes.concat([samples], batch), rank)
        log_weights = self._log_weights(x, condition, stateless(seed), samples)
        if samples == 1:
            return log_weights
        return tf.reduce_logsumexp(log_weights, axis=0) - math.log(samples)

    def _prob(self, x: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        return tf.exp(self._log_prob(x, **kwargs))
