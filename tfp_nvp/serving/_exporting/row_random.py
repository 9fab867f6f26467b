"""Samples from a distribution, with a seed for each row."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.distributions.independent import _Independent
from tensorflow_probability.python.distributions.sample import _Sample
from tensorflow_probability.python.distributions.transformed_distribution import _TransformedDistribution

from tfp_nvp.distributions import Dequantized, Flow, GaussianMixture, MixtureOfFlows, StandardNormal, TorusNormal
from tfp_nvp.distributions._temperature import tempered
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.flows import AugmentedFlow
from tfp_nvp.serving._exporting.threefry import normals, uniforms

tfd = tfp.distributions
#: Changes the seed of a row for the choice of a component, so that it is independent of the rest of the sample.
_OF_CHOICE = 0x6A09E667
# `tfd.Independent` is `_Independent` as a composite tensor; TFP returns the latter where that is impossible.


def sample_rows(distribution: tfd.Distribution, seed: tf.Tensor, condition: tf.Tensor | None = None) -> tf.Tensor:
    """Draws one sample for each row of `seed`.

    Equal seeds (with equal conditions) give equal rows in any batch; rows of different seeds
    are independent. Mixtures of ours, `tfd.MultivariateNormalDiag` and normal, uniform, logistic, Laplace, torus and
    spherical bases, also in `tfd.Independent` or `tfd.Sample`, are sampled for all rows at once; others row by row.

    Args:
      distribution: of batch shape [].
      seed: int32 [n, 2].
      condition: [n, *condition_shape], or None.

    Returns:
      [n, *event_shape].
    """
    flow = as_fittable(distribution).as_flow()
    if flow is not None:  # `distribution` is this flow, or `Dequantized` with it
        return distribution.decode(base_rows(flow, seed, condition), condition)[0]
    if isinstance(distribution, MixtureOfFlows):
        component = _chosen(distribution.log_weights(condition), seed)
        rows = [sample_rows(flow, seed, condition) for flow in distribution.flows]
        return _picked(component, rows)
    if isinstance(distribution, GaussianMixture):
        z = _as_events(distribution, normals, seed, distribution.event_shape[0])
        return distribution.from_normals(_chosen(distribution.log_weights, seed), z)
    if isinstance(distribution, AugmentedFlow):
        return distribution.decode_rows(base_rows(distribution.flow, seed, condition), condition)
    if type(distribution) in (_TransformedDistribution, tfd.TransformedDistribution) and _has_no_batch(
        distribution.distribution
    ):
        return distribution.bijector.forward(sample_rows(distribution.distribution, seed))
    size = math.prod(distribution.event_shape.as_list())
    if distribution.dtype in (tf.float32, tf.float64):
        core = _core(distribution)
        if type(core) in (StandardNormal, tfd.Normal, tfd.MultivariateNormalDiag):
            return distribution.mean() + distribution.stddev() * _as_events(distribution, normals, seed, size)
        if type(core) is TorusNormal:
            return core.from_normals(_as_events(distribution, normals, seed, size))
        if type(core) is tfd.SphericalUniform:
            return tf.math.l2_normalize(_as_events(distribution, normals, seed, size), axis=-1)
        if type(core) in (tfd.Uniform, tfd.Logistic, tfd.Laplace):
            return core.quantile(_as_events(distribution, uniforms, seed, size))
    return _row_by_row(distribution, seed, condition)


def base_rows(flow: Flow, seed: tf.Tensor, condition: tf.Tensor | None, temperature: Any = None) -> tf.Tensor:
    """Samples latents of a flow, one for each seed.

    With `temperature` [n] they are those of `tempered`, as in `Flow.sample`.
    """
    base = flow.distribution
    z = sample_rows(base, seed, **flow._for_base(condition))
    if temperature is None:
        return z
    return tempered(base, z, temperature, **flow._for_base(condition))


def dequantize_rows(distribution: Dequantized, x: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Dequantizes integers x [n, *event_shape] as `distribution.dequantize`, with noise for row i from `seed[i]`."""
    noise = distribution.noise
    if noise is None:
        u = _as_events(distribution.flow, uniforms, seed, math.prod(distribution.event_shape.as_list()))
        return distribution.add_noise(x, u), tf.zeros([], u.dtype)
    condition = distribution.centered(x)
    z = base_rows(noise, seed, condition)
    v, log_det = noise.decode(z, condition)
    return distribution.add_learned_noise(x, v, noise.distribution.log_prob(z, **noise._for_base(condition)) - log_det)


def _chosen(log_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """The number of a component for each seed [n], of weights [k] or [n, k]."""
    u = uniforms(tf.bitwise.bitwise_xor(seed, _OF_CHOICE), 1, log_weights.dtype)
    below = tf.cumsum(tf.exp(log_weights), axis=-1)[..., :-1]  # the last may be a little less than 1
    return tf.reduce_sum(tf.cast(u > below, tf.int32), axis=-1)


def _picked(component: tf.Tensor, rows: list[tf.Tensor]) -> tf.Tensor:
    """The row of each component chosen [n], of rows [n, ...] of all components."""
    shape = [-1, *[1] * (rows[0].shape.rank - 1)]
    picked = rows[0]
    for number, others in enumerate(rows[1:], start=1):
        picked = tf.where(tf.reshape(component == number, shape), others, picked)
    return picked


def _core(distribution: tfd.Distribution) -> tfd.Distribution:
    """The univariate distribution of the elements; its parameters broadcast to the event."""
    while isinstance(distribution, _Independent) or (
        isinstance(distribution, _Sample) and _has_no_batch(distribution.distribution)
    ):
        distribution = distribution.distribution
    return distribution


def _has_no_batch(distribution: tfd.Distribution) -> bool:
    return distribution.batch_shape.rank == 0


def _as_events(distribution: tfd.Distribution, numbers: Any, seed: tf.Tensor, size: int) -> tf.Tensor:
    return tf.reshape(numbers(seed, size, distribution.dtype), [tf.shape(seed)[0], *distribution.event_shape])


def _row_by_row(distribution: tfd.Distribution, seed: tf.Tensor, condition: tf.Tensor | None) -> tf.Tensor:
    spec = tf.TensorSpec(distribution.event_shape, distribution.dtype)
    if condition is None:
        return tf.map_fn(lambda s: distribution.sample(seed=s), seed, fn_output_signature=spec)
    return tf.map_fn(
        lambda row: distribution.sample(seed=row[0], condition=row[1]), (seed, condition), fn_output_signature=spec
    )
