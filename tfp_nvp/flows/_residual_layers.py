"""The layers of residual flows, of vectors and of images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfp_nvp.bijectors import Bijector, Residual
from tfp_nvp.flows._recipe import Network, Parts


def residual_step(
    parts: Parts, network: Network, suffix: str, event_shape: tuple[int, ...], **estimate: Any
) -> Iterator[Bijector]:
    """An ActNorm and a residual layer, whose names end in `suffix`.

    Args:
      parts: the maker of the recipe's layers.
      network: a `LipschitzNetwork`, from a seed and a dtype.
      suffix: of the names.
      event_shape: at this place of the flow.
      estimate: how `Residual` computes log-dets.
    """
    seed = parts.next_seed()
    conditioner = network(seed=seed, dtype=parts.dtype)
    yield parts.act_norm(f"act_norm_{suffix}", event_shape)
    yield Residual(conditioner, event_shape, seed=seed, name=f"residual_{suffix}", **estimate, **parts.shared)
