"""The ranges of TFP's own bijectors."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow_probability as tfp
from tensorflow_probability.python.bijectors.chain import _Chain
from tensorflow_probability.python.bijectors.invert import _Invert

from tfp_nvp.bijectors._range import WHOLE, Range, check_fit, mapped_by
from tfp_nvp.bijectors.bijector import Bijector

tfb = tfp.bijectors
# `tfb.Chain` is `_Chain` as a composite tensor; TFP returns the latter where that is impossible.


def image(bijector: tfb.Bijector, latents: Range) -> Range:
    """The data that `bijector` reaches from those latents of a range that it maps; `WHOLE` if they are not known."""
    if isinstance(bijector, Bijector):
        return bijector._image(latents)
    if isinstance(bijector, _Invert):
        return preimage(bijector.bijector, latents)
    if isinstance(bijector, _Chain):
        for layer in reversed(bijector.bijectors):
            latents = image(layer, latents)
        return latents
    return _mapped(bijector, "forward", latents.cut(preimage(bijector, WHOLE)))


def preimage(bijector: tfb.Bijector, data: Range) -> Range:
    """The latents of those data of a range that `bijector` reaches; `WHOLE` if they are not known."""
    if isinstance(bijector, Bijector):
        return bijector._preimage(data)
    if isinstance(bijector, _Invert):
        return image(bijector.bijector, data)
    if isinstance(bijector, _Chain):
        for layer in bijector.bijectors:
            data = preimage(layer, data)
        return data
    reached = _mapped_or_none(bijector, "forward", WHOLE)
    return WHOLE if reached is not None and data.is_whole else _mapped(bijector, "inverse", data.cut(reached or WHOLE))


def is_exact(bijector: tfb.Bijector) -> bool:
    """Whether `bijector` maps every part of its latent range onto a part of the data, as TFP's own do."""
    if isinstance(bijector, Bijector):
        return bijector._is_exact
    if isinstance(bijector, _Invert):
        return is_exact(bijector.bijector)
    return not isinstance(bijector, _Chain) or all(map(is_exact, bijector.bijectors))


def check_latents(bijector: tfb.Bijector, latents: Range, part: bool = False) -> None:
    """As `Bijector._check_latents`."""
    if isinstance(bijector, Bijector):
        bijector._check_latents(latents, part)
    elif isinstance(bijector, _Chain):
        check_layers(bijector.bijectors, latents, part)
    else:
        check_fit(bijector.name, latents, preimage(bijector, WHOLE), part or is_exact(bijector))


def check_layers(layers: Sequence[tfb.Bijector], latents: Range, part: bool) -> None:
    """Checks the latents of each layer of a composition, the first of which is next to the data.

    They must fill what a layer maps. Once they did, it is the composition itself that bounds what the next layer gets,
    not the base: then a part is enough.
    """
    for layer in reversed(layers):
        check_latents(layer, latents, part)
        part = part or latents.equals(preimage(layer, WHOLE))
        latents = image(layer, latents)


def _mapped(bijector: tfb.Bijector, direction: str, values: Range) -> Range:
    return _mapped_or_none(bijector, direction, values) or WHOLE


def _mapped_or_none(bijector: tfb.Bijector, direction: str, values: Range) -> Range | None:
    """The range of `values` through an elementwise bijector of TFP's, or one that only moves elements; else None."""
    if bijector._is_permutation and values.is_one:
        return values
    is_elementwise = bijector.forward_min_event_ndims == 0 and bijector.inverse_min_event_ndims == 0
    is_tfps = type(bijector).__module__.startswith("tensorflow_probability.")  # which are monotone, and have no effects
    if not ((is_tfps and is_elementwise) or bijector._is_permutation):
        return None
    return mapped_by(getattr(bijector, direction), bijector.dtype, values)
