"""A Gaussian whose mean and deviation depend on the condition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Coupling
from tfp_nvp.bijectors.conditioned import Conditioned
from tfp_nvp.conditioners import MLP
from tfp_nvp.distributions.flow import Flow
from tfp_nvp.distributions.standard_normal import StandardNormal
from tfp_nvp.transformers import Affine

tfd = tfp.distributions


class _ScaledNormal(Flow):
    """x = z · exp(s) + t of a standard normal z, whose moments are known."""

    def _mean(self, condition: Any = None) -> tf.Tensor:
        return self._image(0.0, condition)[0]

    def _mode(self, condition: Any = None) -> tf.Tensor:
        return self._mean(condition)

    def _stddev(self, condition: Any = None) -> tf.Tensor:
        return self._image(1.0, condition)[0] - self._image(0.0, condition)[0]

    def _variance(self, condition: Any = None) -> tf.Tensor:
        return self._stddev(condition) ** 2

    def _covariance(self, condition: Any = None) -> tf.Tensor:
        return tf.linalg.diag(self._variance(condition))

    def _entropy(self, condition: Any = None) -> tf.Tensor:
        return self.distribution.entropy() + self._image(0.0, condition)[1]

    def _image(self, z: float, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """x and log_det where every element is z."""
        return self.decode(tf.fill([*self.batch_shape, *self.event_shape], tf.cast(z, self.dtype)), condition)


class ConditionalNormal(_ScaledNormal):
    """N(t(c), exp(2 s(c))) of each element: a learned base of a conditional flow.

        x = z · exp(s) + t,  (t, s) = network(condition),  z from N(0, I)

    It starts as the standard normal, and is trained with the flow whose `base` it is.

    Args:
      event_shape: [d].
      condition_shape: shape of the condition.
      hidden_units: widths of the network's hidden layers; an int for a single layer.
      activation: a Keras activation.
      seed: an int for reproducible initial weights.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> base = ConditionalNormal([2], [3], hidden_units=[8])
    >>> base.sample(5, condition=tf.zeros([4, 3]), seed=1).shape
    TensorShape([5, 4, 2])

    References: Winkler, Worrall, Hoogeboom & Welling (2019), "Learning Likelihoods with
    Conditional Normalizing Flows", arXiv:1912.00042, equation 5.
    """

    def __init__(
        self,
        event_shape: Any,
        condition_shape: Any,
        *,
        hidden_units: int | Sequence[int] = (128,),
        activation: Any = "relu",
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        event_shape = checks.vector_shape("event_shape", event_shape)
        condition_shape = checks.shape("condition_shape", condition_shape)
        dtype = tf.as_dtype(dtype)
        network = MLP(hidden_units=hidden_units, activation=activation, seed=seed, dtype=dtype.name)
        scale_and_shift = Coupling(
            Affine(), network, np.zeros(event_shape, bool), condition_shape=condition_shape, dtype=dtype
        )
        super().__init__(StandardNormal(event_shape, dtype=dtype), scale_and_shift, name=name)

    def given(self, condition: Any) -> Flow:
        """This distribution at one condition, whose batch becomes part of the batch shape; its moments are known."""
        condition = self._check_condition(condition)
        return _ScaledNormal(
            self.distribution,
            Conditioned(self.bijector, condition),
            name=self.explicit_name and f"{self.explicit_name}_given",
        )
