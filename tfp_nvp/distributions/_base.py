"""The support of a flow's base, and what it must be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.distributions.batch_broadcast import _BatchBroadcast
from tensorflow_probability.python.distributions.blockwise import _Blockwise
from tensorflow_probability.python.distributions.independent import _Independent
from tensorflow_probability.python.distributions.masked import _Masked
from tensorflow_probability.python.distributions.mixture import _Mixture
from tensorflow_probability.python.distributions.mixture_same_family import _MixtureSameFamily
from tensorflow_probability.python.distributions.sample import _Sample
from tensorflow_probability.python.distributions.transformed_distribution import _TransformedDistribution

from tfp_nvp._captured import refuse
from tfp_nvp.bijectors._range import WHOLE, Range, RangeError
from tfp_nvp.bijectors._ranges_of_stock import check_latents, image

tfb, tfd = tfp.bijectors, tfp.distributions
# `tfd.Independent` is `_Independent` as a composite tensor; TFP returns the latter where that is impossible.

#: The class of transformed distributions; those derived from it, such as `tfd.Gumbel`, know their support.
STOCK_TRANSFORMED = (_TransformedDistribution, tfd.TransformedDistribution)

#: Of events on a surface, of which TFP's bijector tells no interval: the bounds of their elements.
_OF_SURFACES = {
    (tfd.Dirichlet, tfd.RelaxedOneHotCategorical): Range(0.0, 1.0),
    (tfd.ExpRelaxedOneHotCategorical,): Range(-math.inf, 0.0),
    (tfd.VonMisesFisher, tfd.PowerSpherical, tfd.SphericalUniform, tfd.LKJ, tfd.CholeskyLKJ): Range(-1.0, 1.0),
}

#: Of real numbers with probabilities, not densities.
_DISCRETE = (tfd.Deterministic, tfd.VectorDeterministic)


def data_range_of(base: tfd.Distribution, bijector: tfb.Bijector) -> Range:
    """The range of the data of a flow, ours or TFP's.

    Raises:
      ValueError: if the support of `base` is not what `bijector` maps.
    """
    with tf.init_scope():  # what is made of constants has values then
        support = support_of(base)
    try:
        if tf.executing_eagerly() or not support.is_whole:  # a support of parameters that a graph computes is not known
            check_latents(bijector, support)
    except RangeError as error:
        refuse(f"The base {base.name} has a support that does not fit: {error}. {_way_out(base, error)}")
    return image(bijector, support)


def support_of(distribution: tfd.Distribution) -> Range:
    """The bounds of every element of the events; `WHOLE` also where they are not known.

    Raises:
      ValueError: for a discrete distribution.
    """
    if isinstance(getattr(distribution, "data_range", None), Range):  # a flow of ours
        return distribution.data_range
    inner = getattr(distribution, "distribution", None)
    if isinstance(distribution, _Sample) and isinstance(inner, tfd.Distribution):
        return _of_sample(distribution, support_of(inner))
    if isinstance(distribution, (_Independent, _BatchBroadcast, _Masked)):
        return support_of(inner)
    if type(distribution) in STOCK_TRANSFORMED:
        return image(distribution.bijector, support_of(inner))
    if isinstance(distribution, _MixtureSameFamily):
        return _of_mixture(distribution, support_of(distribution.components_distribution))
    if isinstance(distribution, _Mixture):
        first, *others = map(support_of, distribution.components)
        for other in others:
            first = first.hull(other)
        return first
    if isinstance(distribution, _Blockwise):
        return _of_blocks(distribution)
    return _of_one(distribution)


def _of_one(distribution: tfd.Distribution) -> Range:
    """The support of a distribution that holds no other, by TFP's bijector onto it."""
    for classes, bounds in _OF_SURFACES.items():
        if isinstance(distribution, classes):
            return bounds
    if isinstance(distribution, _DISCRETE):
        return _refuse_discrete(distribution)
    try:
        onto = distribution.experimental_default_event_space_bijector()
    except Exception:  # not implemented, or in need of parameters that a graph computes: nothing is known
        return WHOLE if getattr(distribution.dtype, "is_floating", True) else _refuse_discrete(distribution)
    if onto is None:  # so TFP says of discrete distributions
        return _refuse_discrete(distribution)
    return image(onto, WHOLE)


def _refuse_discrete(distribution: tfd.Distribution) -> Range:
    refuse(
        f"The base of a flow must have a density; {distribution.name} is discrete. "
        "For a distribution of integers put the flow into tfp_nvp.Dequantized."
    )
    return WHOLE


def _of_sample(distribution: tfd.Distribution, support: Range) -> Range:
    if support.is_one:
        return support
    rank = distribution.distribution.event_shape.rank
    added = distribution.event_shape.rank - rank

    def widened(bounds: Any) -> np.ndarray:
        bounds = np.asarray(bounds)
        batch, event = bounds.shape[: bounds.ndim - rank], bounds.shape[bounds.ndim - rank :]
        return bounds.reshape(*batch, *[1] * added, *event)

    return Range.of(*map(widened, support))


def _of_mixture(distribution: tfd.Distribution, support: Range) -> Range:
    if support.is_one:
        return support
    components = distribution.components_distribution
    shape = [*components.batch_shape, *components.event_shape]
    axis = -1 - components.event_shape.rank
    low, high = (np.broadcast_to(bounds, shape) for bounds in support)
    return Range.of(low.min(axis), high.max(axis))


def _of_blocks(distribution: tfd.Distribution) -> Range:
    blocks = [
        [np.broadcast_to(bounds, block.event_shape.as_list() or [1]) for bounds in support_of(block)]
        for block in distribution.distributions
    ]
    return Range.of(*(np.concatenate(bounds, axis=-1) for bounds in zip(*blocks, strict=True)))


def _way_out(base: tfd.Distribution, error: RangeError) -> str:
    """What to use in place of a base, or to put behind it."""
    place = "as the last bijector of a tfp_nvp.bijectors.Chain"
    if error.wanted.is_whole:
        shape = base.event_shape.as_list()
        return (
            f"Use a base of all real numbers, such as tfp_nvp.distributions.StandardNormal({shape}), or map the "
            f"support to all real numbers first: tfb.Invert({_onto(error.latents)}) {place}."
        )
    if error.latents.is_whole:
        return f"Use a base of just these, or map all real numbers onto them first: {_onto(error.wanted)} {place}."
    return "Use a base of just these."


def _onto(bounds: Range) -> str:
    """A bijector from all real numbers onto a range, as one writes it."""
    if not bounds.is_one or math.isinf(bounds.low):
        return "tfp_nvp.bijectors.Support(low, high)"
    if math.isfinite(bounds.high):
        return "tfb.Sigmoid()" if bounds == (0.0, 1.0) else f"tfb.Sigmoid({bounds.low:g}, {bounds.high:g})"
    return "tfb.Softplus()" if bounds.low == 0.0 else f"tfb.Softplus(low={bounds.low:g})"
