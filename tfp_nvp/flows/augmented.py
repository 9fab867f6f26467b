"""Augmented normalizing flows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks, shapes
from tfp_nvp._estimates import seed_for
from tfp_nvp.bijectors import Bijector, Chain, Coupling
from tfp_nvp.bijectors.bijector import check_condition, ensure_ends_in
from tfp_nvp.conditioners import MLP
from tfp_nvp.distributions import Flow, StandardNormal
from tfp_nvp.distributions._bound import Bound
from tfp_nvp.distributions.flow import as_tensor, stateless
from tfp_nvp.flows._recipe import Network
from tfp_nvp.flows._vector_recipe import VectorParts
from tfp_nvp.transformers import Affine, Transformer

tfd = tfp.distributions


class AugmentedFlow(Bound):
    """A flow of the data x and of noise u beside it; p(x) is what is left when u is integrated out.

        p(x | c) = ∫ p(x, u | c) du,    log_prob(x) = log (1 / S) Σₛ p(x, uₛ | c) / q(uₛ | x, c)

    Couplings transform x by u and u by x in turn, so no element of x is kept while others move; a map of the larger
    space can tear and fold what one of x alone can't. Its price: `log_prob` is a **lower bound** of log p(x), on
    average over u, and tighter with S = `num_samples`. u is drawn from q, a Gaussian whose means and scales a network
    gives, which is trained with the flow. In training, and for `log_prob(x, seed=)`, draws are new for each row;
    elsewhere they come from normals that are fixed by the recipe's seed, the same for all rows, so that `log_prob` is a
    function of weights and event alone, on a server too.

    A sample is that of the flow without u. There are no latents of x alone, so it has no `bijector` and no `encode`.

    Args:
      event_shape: [d].
      num_noise: size of u, at least 1; by default d.
      num_layers: number of couplings, at least 1.
      hidden_units: widths of each conditioner's hidden layers, and of q's; an int for a single layer.
      activation: a Keras activation.
      transformer: of each coupling; affine by default.
      num_samples: S where `log_prob` is told none and no seed is drawn from; training takes 1.
      condition_shape: shape of the condition, or None.
      seed: an int for reproducible initial weights, and fixed draws.
      dtype: of weights and values.

    Raises:
      TypeError, ValueError: if an argument is out of its range.

    >>> flow = AugmentedFlow([2], num_layers=2, hidden_units=[8], seed=0)
    >>> flow.log_prob(flow.sample(3, seed=1)).shape
    TensorShape([3])

    References: Huang, Dinh & Courville (2020), "Augmented Normalizing Flows: Bridging the Gap Between Generative Flows
    and Latent Variable Models", arXiv:2002.07101, equations 3 and 8; Burda, Grosse & Salakhutdinov (2016),
    arXiv:1509.00519, for S above 1.
    """

    def __init__(
        self,
        event_shape: Any,
        *,
        num_noise: int | None = None,
        num_layers: int = 8,
        hidden_units: int | Sequence[int] = (128, 128),
        activation: Any = "relu",
        transformer: Transformer | None = None,
        num_samples: int = 16,
        condition_shape: Any = None,
        seed: int | None = None,
        dtype: Any = "float32",
        name: str | None = None,
    ):
        (d,) = checks.vector_shape("event_shape", event_shape)
        size = d if num_noise is None else checks.integer("num_noise", num_noise, 1)
        seed = checks.seed_or_random("seed", seed)
        parts = VectorParts([d + size], Affine() if transformer is None else transformer, condition_shape, seed, dtype)
        num_samples = checks.integer("num_samples", num_samples, 1)
        super().__init__(dtype=dtype, reparameterization_type=tfd.NOT_REPARAMETERIZED, name=name)
        self._captured["seed"] = seed
        self._default_num_samples = num_samples
        self._data_size, self._noise_size, self._seed = d, size, seed
        network = partial(MLP, hidden_units=checks.hidden_units("hidden_units", hidden_units), activation=activation)
        self.act_norm = parts.act_norm("act_norm", (d,))
        layers = Chain(list(_couplings(parts, d, num_layers, network)))
        self.flow = Flow(StandardNormal([d + size], dtype=self.dtype), layers, name="flow")
        self.noise = _noise(parts, d, size, network)

    @property
    def condition_shape(self) -> tuple[int, ...] | None:
        return self.flow.condition_shape

    @property
    def is_initialized(self) -> bool:
        return self.act_norm.is_initialized

    def initialize(self, x: Any, condition: Any = None) -> None:
        self.act_norm.initialize(self._as_values(as_tensor(x, self.dtype)))

    def decode_rows(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """The data of latents of data and noise together: [..., d + num_noise] → [..., d]."""
        return self.act_norm.forward(self.flow.decode(z, condition)[0][..., : self._data_size])

    # TFP's hooks.

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([self._data_size])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([self._data_size], tf.int32)

    def _batch_shape(self) -> tf.TensorShape:
        return tf.TensorShape([])

    def _batch_shape_tensor(self) -> tf.Tensor:
        return tf.constant([], tf.int32)

    def _call_log_prob(self, value: Any, name: str, **kwargs: Any) -> tf.Tensor:
        return super()._call_log_prob(as_tensor(value, self.dtype), name, **kwargs)

    def _call_sample_n(self, sample_shape: Any, seed: Any, condition: Any = None) -> tf.Tensor:
        x = self.flow.sample(sample_shape, seed=stateless(seed), condition=condition)[..., : self._data_size]
        return self.act_norm.forward(x)

    def _sample_and_log_prob(self, sample_shape: Any, seed: Any, condition: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        x = self.sample(sample_shape, seed=seed, condition=condition)
        return x, self.log_prob(x, condition=condition)

    # The bound.

    def _as_values(self, x: Any) -> tf.Tensor:
        shape = self.event_shape
        return ensure_ends_in("value", x, shape, f"the event shape {shape.as_list()}", self.name)

    def _num_samples(self) -> int:
        return self._default_num_samples if seed_for(0) is None else 1

    def _log_weights(self, x: tf.Tensor, condition: Any, seed: Any, num_samples: int) -> tf.Tensor:
        condition = check_condition(self.name, self.condition_shape, condition, self.dtype)
        y, log_det = self.act_norm.inverse_and_log_det(x)
        z, seen = self._drawn(tf.shape(y)[:-1], seed, num_samples), self._seen(y, condition)
        u, log_det_of_u = self.noise.decode(z, seen)
        log_q = self.noise.distribution.log_prob(z) - log_det_of_u
        return self.flow.log_prob(tf.concat([y, u], axis=-1), condition=condition) - log_q + log_det

    def _seen(self, y: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
        """What q depends on: the standardized data, and the condition as a vector."""
        if condition is None:
            return y
        rank = len(self.condition_shape or ())
        batch = shapes.batch_shape(y, 1)
        condition = shapes.broadcast_batch(condition, batch, rank)
        size = math.prod(self.condition_shape or ())
        return tf.concat([y, shapes.reshape(condition, batch, [size])], axis=-1)

    def _drawn(self, batch: tf.Tensor, seed: Any, num_samples: int) -> tf.Tensor:
        """Normals [*batch, num_noise]: new ones of a seed, or fixed ones, the same for all rows."""
        seed = seed_for(self._seed) if seed is None else seed
        shape = tf.concat([batch, [self._noise_size]], axis=0)
        if seed is not None:
            return tf.random.stateless_normal(shape, seed, dtype=self.dtype, alg="philox")
        fixed = np.random.default_rng(self._seed).normal(size=(num_samples, self._noise_size))
        fixed = tf.constant(fixed, self.dtype)
        if num_samples > 1:
            middle = tf.ones_like(batch[1:])
            fixed = tf.reshape(fixed, tf.concat([[num_samples], middle, [self._noise_size]], axis=0))
        return tf.broadcast_to(fixed if num_samples > 1 else fixed[0], shape)


def _couplings(parts: VectorParts, d: int, num_layers: int, network: Network) -> Iterator[Bijector]:
    """Couplings of data by noise and of noise by data in turn."""
    is_data = np.arange(parts.d) < d
    for i, seed in enumerate(parts.seeds(num_layers)):
        yield parts.coupling(network, is_data if i % 2 else ~is_data, seed, f"coupling_{i}")


def _noise(parts: VectorParts, d: int, size: int, network: Network) -> Flow:
    """q(u | y, c): a Gaussian whose means and scales are a network's."""
    condition_shape = parts.shared["condition_shape"]
    seen = d if condition_shape is None else d + math.prod(condition_shape)
    layer = Coupling(
        Affine(),
        network(seed=parts.next_seed(), dtype=parts.policy),
        np.zeros(size, bool),
        condition_shape=[seen],
        dtype=parts.dtype,
        name="noise",
    )
    return Flow(StandardNormal([size], dtype=tf.as_dtype(parts.dtype)), layer, name="noise")
