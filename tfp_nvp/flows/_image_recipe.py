"""The base of recipes of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow_probability as tfp

from tfp_nvp import checks
from tfp_nvp.bijectors import Bijector, InvertibleConv1x1, Multiscale, Quantile
from tfp_nvp.flows._recipe import Network, Parts, Recipe

tfd = tfp.distributions


class ImageRecipe(Recipe):
    """A flow of images [h, w, c], with presets for usual sizes.

    Args:
      parts: the maker of its layers.
      levels: the one next to the data first.
      base: a `tfd.Distribution` over vectors [h · w · c]; None for the standard normal.
      name: name of its ops; None for the class's, "glow" of Glow.
      leaving: how many channels leave after each level but the last; by default half of them.
    """

    #: Shape of an image -> arguments.
    PRESETS: ClassVar[dict[tuple[int, ...], dict[str, Any]]] = {}

    @classmethod
    def preset(cls, event_shape: Any, **arguments: Any) -> ImageRecipe:
        """The recipe at a size for images of this shape: [28, 28, 1] (MNIST) or [32, 32, 3] (CIFAR-10).

        Args:
          event_shape: [h, w, c].
          arguments: as for the recipe; they override the preset's.

        Raises:
          ValueError: if there is no preset for this shape.
        """
        shape = checks.image_shape("event_shape", event_shape)
        if shape not in cls.PRESETS:
            known = ", ".join(str(list(shape)) for shape in cls.PRESETS)
            raise ValueError(
                f"{cls.__name__} has presets for `event_shape` {known}; got {list(shape)}. "
                f"Call {cls.__name__}({list(shape)}, ...) with sizes of your own."
            )
        recipe: Callable[..., ImageRecipe] = cls
        return recipe(shape, **{**cls.PRESETS[shape], **arguments})

    def __init__(
        self,
        parts: ImageParts,
        levels: Iterable[Bijector],
        base: tfd.Distribution | None,
        name: str | None,
        leaving: Sequence[int] | None = None,
    ):
        super().__init__(parts, Multiscale(list(levels), parts.event_shape, leaving=leaving), base, name)


class ImageParts(Parts):
    """Makes the layers of a recipe of images."""

    def _checked_shape(self, event_shape: Any) -> tuple[int, int, int]:
        return checks.image_shape("event_shape", event_shape)

    def squeezed(self, factor: int, factor_name: str, way_out: str, *, checkered: bool = False) -> tuple[int, int, int]:
        """The shape [h, w, c] of images that are squeezed by a factor.

        Raises:
          ValueError: if the sides are no multiples of it, or one pixel is left for couplings whose masks are a
            checkerboard (`checkered`); the message has `factor_name` and `way_out`.
        """
        height, width, channels = self.event_shape
        if height % factor or width % factor:
            raise ValueError(
                f"`event_shape` must have sides that are multiples of {factor_name} = {factor}; "
                f"got {list(self.event_shape)}. {way_out}, or pad the images."
            )
        if checkered and height * width == factor**2:
            raise ValueError(
                f"`event_shape` must have a side longer than {factor_name} = {factor}, as a checkerboard needs two "
                f"pixels; got {list(self.event_shape)}. {way_out}, or pad the images."
            )
        return height // factor, width // factor, channels * factor**2

    def quantile(self, num_bins: int | None) -> list[Bijector]:
        """The layer next to pixels of [0, 1], by the distribution of their values; none for None."""
        return [] if num_bins is None else [Quantile(self.event_shape, num_bins=num_bins, dtype=self.dtype)]

    def step(self, network: Network, mask: np.ndarray, suffix: str, name: str, mixed: bool = True) -> list[Bijector]:
        """An ActNorm, a 1 × 1 convolution if channels are `mixed`, and a coupling of this name.

        The names of the layers before it end in `suffix`.
        """
        layers: list[Bijector] = [self.act_norm(f"act_norm_{suffix}", mask.shape)]
        if mixed:
            seed = self.next_seed()
            layers.append(InvertibleConv1x1(mask.shape, seed=seed, dtype=self.dtype, name=f"conv_{suffix}"))
        return [*layers, self.coupling(network, mask, self.next_seed(), name)]

    def steps(
        self,
        network: Network,
        mask_of: Callable[..., np.ndarray],
        event_shape: Sequence[int],
        count: int,
        *,
        prefix: int,
        mixed: bool = False,
    ) -> Iterator[Bijector]:
        """The layers of `count` steps, whose couplings transform the two parts in turn.

        Args:
          network: of the couplings.
          mask_of: a function of `masks`; its name is part of the layers' names.
          event_shape: at this place of the flow.
          prefix: the first number in the layers' names.
          mixed: whether a 1 × 1 convolution stands before each coupling.
        """
        split = mask_of.__name__
        for i in range(count):
            mask = mask_of(*event_shape, flip=i % 2 == 1)
            yield from self.step(network, mask, f"{prefix}_{split}_{i}", f"{split}_{prefix}_{i}", mixed)
