"""What recipes for images share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import keras
import numpy as np

from tfp_nvp import checks
from tfp_nvp.bijectors import ActNorm, Bijector, Coupling, InvertibleConv1x1
from tfp_nvp.distributions import Flow
from tfp_nvp.transformers import Transformer


class ImageRecipe(Flow):
    """A flow of images [h, w, c], with sizes for the usual ones."""

    #: Arguments for images of a shape.
    PRESETS: ClassVar[dict[tuple[int, ...], dict[str, Any]]] = {}

    @classmethod
    def preset(cls, event_shape: Any, **arguments: Any) -> ImageRecipe:
        """The recipe at a size for images of this shape: [28, 28, 1] (MNIST) or [32, 32, 3] (CIFAR-10).

        Args:
          event_shape: [h, w, c].
          arguments: as for the recipe; they take the place of the preset's.

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
        return cls(shape, **{**cls.PRESETS[shape], **arguments})


def squeezable(event_shape: Any, factor: int, of: str, way_out: str) -> tuple[int, int, int]:
    """(h, w, c), checked: h and w are multiples of `factor`, which is said to be `of`."""
    height, width, channels = checks.image_shape("event_shape", event_shape)
    if height % factor or width % factor:
        raise ValueError(
            f"`event_shape` must have sides that are multiples of {of} = {factor}; got {[height, width, channels]}. "
            f"{way_out}, or pad the images."
        )
    return height, width, channels


def couplings(
    transformer: Transformer,
    network: Callable[..., keras.layers.Layer],
    numbers: Iterator[int],
    mask_of: Callable[..., np.ndarray],
    count: int,
    *,
    mixed: bool = False,
    condition_shape: Any,
    dtype: Any,
    prefix: str,
) -> list[Bijector]:
    """`count` couplings, each after an ActNorm, whose two parts take turns.

    Args:
      network: from a number of outputs and a `seed` to a conditioner.
      numbers: seeds.
      mask_of: from `flip` to a mask.
      mixed: whether a 1 × 1 convolution stands before each coupling.
      others: as for `Coupling`; `prefix` is of their names.
    """
    layers: list[Bijector] = []
    kind = mask_of.func.__name__  # type: ignore[attr-defined]
    for i in range(count):
        mask = mask_of(flip=bool(i % 2))
        row = mask.reshape(-1, mask.shape[-1])
        outputs = int((~row[0]).sum()) if (row == row[0]).all() else mask.shape[-1]
        suffix = f"{prefix}_{kind}_{i}"
        layers.append(ActNorm(mask.shape, dtype=dtype, name=f"act_norm_{suffix}"))
        if mixed:
            layers.append(InvertibleConv1x1(mask.shape, seed=next(numbers), dtype=dtype, name=f"conv_{suffix}"))
        layers.append(
            Coupling(
                transformer,
                network(transformer.num_parameters * outputs, seed=next(numbers)),
                mask,
                condition_shape=condition_shape,
                dtype=dtype,
                name=f"{kind}_{prefix}_{i}",
            )
        )
    return layers
