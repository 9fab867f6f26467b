"""The evidence, log Z = log ∫ p̃(x) dx, from draws of a posterior and its density."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.distributions import Flow, StandardNormal
from tfp_nvp.inference._estimators import Estimate, bridge, harmonic, importance
from tfp_nvp.inference._target import Target, as_target, flow_and_bijector
from tfp_nvp.inference.chains import Chains
from tfp_nvp.inference.importance import check_weights
from tfp_nvp.training import fit

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Evidence:
    """log Z in nats, by three estimators that share a flow q.

    Attributes:
      bridge: bridge sampling between q and the posterior. It needs their overlap only, and is `value`.
      importance: importance sampling from q. It needs tails of q at least as heavy as the posterior's.
      harmonic: the learned harmonic mean of q narrowed. It needs no draws of q, but q to lie within the posterior; on
        thin curved ridges a flow of few draws does not, its k̂ is then high and its error too small.
      flow: q, over vectors.
    """

    bridge: Estimate
    importance: Estimate
    harmonic: Estimate
    flow: Any

    @property
    def value(self) -> float:
        """log Z by bridge sampling."""
        return self.bridge.value

    @property
    def error(self) -> float:
        """The standard error of `value`."""
        return self.bridge.error


def evidence(
    samples: Any,
    target: Any,
    *,
    flow: Any = None,
    temperature: float = 0.8,
    num_draws: int | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> Evidence:
    """Estimates log Z of a density from draws of it, such as chains that one has already.

    A flow is fitted to the first half of every chain, or of the draws, by `nvp.fit`, and the estimates are made with
    the other half, so that the flow does not know the draws at which it is asked.

    Args:
      samples: draws of the posterior: `Chains`; an array [n, d], or [chains, n, d] of chains, whose autocorrelation
        then counts; or events of a joint distribution in its structure, [n, ...] or [chains, n, ...] each.
      target: the density, up to Z: the pinned joint distribution, another `tfd.Distribution`, or, where samples are
        vectors, a function from them, [n, d], to log-densities [n].
      flow: a flow over vectors or a surrogate posterior, fitted elsewhere; all draws are then used for the estimates.
      temperature: of the flow's base in the harmonic mean, in (0, 1]: standard deviations are multiplied by it.
      num_draws: of the flow; by default as many as there are draws of the posterior in the estimates.
      epochs: of `nvp.fit`; by default until the flow no longer improves.
      seed: of the flow and its draws.

    Returns:
      An `Evidence`.

    Raises:
      TypeError: for another target.
      ValueError: for fewer than 100 draws, draws or densities that are not finite, an element that is constant in a
        chain, or weights that are all zero.

    References: Meng & Wong (1996), "Simulating Ratios of Normalizing Constants via a Simple Identity", Statistica
    Sinica 6; Frühwirth-Schnatter (2004), "Estimating Marginal Likelihoods for Mixture and Markov Switching Models Using
    Bridge Sampling Techniques", Econometrics Journal 7, equation 22; McEwen, Wallis, Price & Spurio Mancini (2021),
    "Machine Learning Assisted Bayesian Model Comparison: Learnt Harmonic Mean Estimator", arXiv:2111.12720.
    """
    temperature = checks.number("temperature", temperature, checks.Interval(0.0, 1.0, closed="right"))
    draws = _draws(samples, target, flow)
    if flow is None:
        half = draws.vectors.shape[1] // 2
        known, rest = draws.vectors[:, :half], draws.vectors[:, half:]
        flow = _fitted(known.reshape(-1, draws.size), epochs, seed)
    else:
        flow, rest = flow_and_bijector(flow)[0], draws.vectors
    posterior = rest.reshape(-1, draws.size)
    count = checks.integer("num_draws", len(posterior) if num_draws is None else num_draws, 100)
    z, log_q = flow.experimental_sample_and_log_prob(count, seed=tf.constant([seed, 9]))
    at_draws = np.asarray(draws.log_prob(z), np.float64) - np.asarray(log_q, np.float64)
    check_weights(at_draws)
    log_p = np.asarray(draws.log_prob(tf.constant(posterior)), np.float64)
    if bad := int((~np.isfinite(log_p)).sum()):
        raise ValueError(f"The target's log-density is NaN or infinite at {bad} of {len(log_p)} of its own draws.")
    at_posterior = log_p - _log_prob(flow, posterior)
    narrowed = log_p - _tempered(flow, posterior, temperature)
    chain_shape = rest.shape[:2]
    return Evidence(
        bridge=bridge(at_posterior.reshape(chain_shape), at_draws),
        importance=importance(at_draws),
        harmonic=harmonic(narrowed.reshape(chain_shape)),
        flow=flow,
    )


def _fitted(rows: np.ndarray, epochs: int | None, seed: int) -> Flow:
    """A flow of draws; those that a chain repeats, since it rejected proposals, are rows of more weight."""
    distinct, counts = np.unique(rows, axis=0, return_counts=True)
    weight = None if len(distinct) == len(rows) else counts
    rows = rows if weight is None else distinct
    return fit(rows, sample_weight=weight, epochs=epochs, seed=seed, verbose=0).distribution


class _Draws(NamedTuple):
    """Draws of a posterior and its density.

    Attributes:
      vectors: [chains, n, d].
      target: the density of vectors.
    """

    vectors: np.ndarray
    target: Target

    @property
    def size(self) -> int:
        return self.vectors.shape[-1]

    def log_prob(self, z: Any) -> tf.Tensor:
        return self.target.log_prob(tf.cast(z, self.target.dtype))


def _draws(samples: Any, target: Any, flow: Any) -> _Draws:
    """Checks draws, and maps them to vectors [chains, n, d]."""
    if isinstance(samples, Chains):
        vectors = samples.vectors
    elif callable(target) and not isinstance(target, (tfd.Distribution, Target)) and not _is_joint(target):
        vectors = checks.numbers_array("samples", samples)
        vectors = vectors.astype(np.asarray(samples).dtype if np.asarray(samples).dtype.kind == "f" else np.float32)
    else:
        target = as_target(target)
        vectors = _flattened(samples, target)
    vectors = vectors[np.newaxis] if vectors.ndim == 2 else vectors
    if vectors.ndim != 3:
        raise ValueError(f"`samples` must be [n, d] or [chains, n, d]; their shape is {list(vectors.shape)}.")
    chains, count, size = vectors.shape
    if chains * count < 100 or count < 4:
        raise ValueError(f"`samples` must be at least 100 draws, 4 of each chain; got {chains} × {count}.")
    if bad := int((~np.isfinite(vectors).all(axis=-1)).sum()):
        raise ValueError(f"`samples` must be finite; {bad} of {chains * count} draws are not.")
    still = (vectors == vectors[:, :1]).all(axis=1)
    if still.any():
        chain, element = np.argwhere(still)[0]
        raise ValueError(
            f"Chain {chain} has no variance: its element {element} is {vectors[chain, 0, element]:g} in all {count} "
            "draws. Leave such chains out, or fix the element in the target."
        )
    like = StandardNormal([size], dtype=tf.as_dtype(vectors.dtype))
    made = as_target(target, like=like if flow is None else flow)
    if made.size != size:
        raise ValueError(f"The target is over {made.size} numbers, but `samples` are of {size}.")
    return _Draws(vectors, made)


def _is_joint(target: Any) -> bool:
    return hasattr(target, "unnormalized_log_prob")


def _flattened(samples: Any, target: Target) -> np.ndarray:
    """Events of any batch as vectors."""
    if target.bijector is None:
        return np.asarray(samples)
    shapes = tf.nest.flatten(target.bijector.forward_event_shape([target.size]))
    parts = [np.shape(part) for part in tf.nest.flatten(samples)]
    batch = parts[0][: len(parts[0]) - shapes[0].rank]
    if parts != [(*batch, *shape) for shape in shapes]:
        raise ValueError(
            "`samples` must be events of the target, with one batch in front of the shapes "
            f"{[shape.as_list() for shape in shapes]}; their shapes are {list(map(list, parts))}."
        )
    merged = tf.nest.map_structure(lambda part: tf.reshape(part, [-1, *np.shape(part)[len(batch) :]]), samples)
    return np.asarray(target.vectors(merged)).reshape(*batch, target.size)


def _log_prob(flow: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(flow.log_prob(tf.constant(x, flow.dtype)), np.float64)


def _tempered(flow: Any, x: np.ndarray, temperature: float) -> np.ndarray:
    """log N(z / t) − d log t + log |det ∂z/∂x|: the flow with the deviations of its base times a temperature t."""
    outputs = flow.outputs(tf.constant(x, flow.dtype))
    log_base = flow.distribution.log_prob(outputs["z"] / tf.cast(temperature, flow.dtype))
    log_prob = np.asarray(log_base + outputs["log_det"], np.float64)
    return log_prob - x.shape[-1] * np.log(temperature)
