"""Squares of pixels as channels, and back."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfp_nvp import checks, shapes
from tfp_nvp.bijectors.bijector import Bijector

#: Orders in which the pixels of a square become groups of channels.
ORDERS = ("raster", "checkerboard", "dispersed")


class Squeeze(Bijector):
    """An image x [h f, w f, c] as z [h, w, c f²]: each f × f square of pixels becomes one pixel. log_det = 0.

    The channels of z are f² groups of c, a group for each place in a square.

    Args:
      factor: f, at least 2; it must divide height and width of x.
      order: of the groups: "raster", row by row; or "checkerboard", first the places that `masks.checkerboard` keeps,
        then the others: `masks.channel` after the squeeze then splits as the chessboard did before it (for an even
        factor); or "dispersed", each place the farthest from those before it (and their copies in the squares around),
        as in ordered dithering.

    Raises:
      ValueError: for another order; when used, for a size that does not fit.

    >>> Squeeze().inverse(tf.ones([5, 4, 6, 1])).shape
    TensorShape([5, 2, 3, 4])

    References: Dinh, Sohl-Dickstein & Bengio (2017), "Density estimation using Real NVP",
    arXiv:1605.08803, section 3.6 and figure 3; Bayer (1973), for the dispersed order.
    """

    def __init__(self, factor: int = 2, *, order: str = "raster", name: str = "squeeze"):
        self.factor = checks.integer("factor", factor, 2)
        self.order = checks.choice("order", order, ORDERS)
        super().__init__(min_event_ndims=3, is_constant_jacobian=True, name=name)
        places = [(i, j) for i in range(self.factor) for j in range(self.factor)]
        chosen = places
        if order == "checkerboard":
            chosen = sorted(places, key=lambda place: sum(place) % 2)
        elif order == "dispersed":
            chosen = _dispersed(places, self.factor)
        self._places = tuple(places.index(place) for place in chosen)

    def _forward_and_log_det(self, z: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        height, width, channels = self._forward_sizes(self._known(z.shape[-3:]))
        batch = shapes.batch_shape(z, 3)
        groups = tf.reshape(z, (-1, height // self.factor, width // self.factor, self.factor**2, channels))
        groups = self._pick(groups, tuple(self._places.index(i) for i in range(self.factor**2)))
        squares = tf.reshape(
            groups, (-1, height // self.factor, width // self.factor, self.factor, self.factor, channels)
        )
        x = tf.transpose(squares, [0, 1, 3, 2, 4, 5])
        return shapes.reshape(x, batch, (height, width, channels)), tf.zeros([], z.dtype)

    def _inverse_and_log_det(self, x: tf.Tensor, condition: Any) -> tuple[tf.Tensor, tf.Tensor]:
        height, width, channels = self._inverse_sizes(self._known(x.shape[-3:]))
        batch, c = shapes.batch_shape(x, 3), x.shape[-1]
        squares = tf.reshape(x, (-1, height, self.factor, width, self.factor, c))
        groups = tf.reshape(tf.transpose(squares, [0, 1, 3, 2, 4, 5]), (-1, height, width, self.factor**2, c))
        z = self._pick(groups, self._places)
        return shapes.reshape(z, batch, (height, width, channels)), tf.zeros([], x.dtype)

    def _pick(self, groups: tf.Tensor, order: tuple[int, ...]) -> tf.Tensor:
        if order == tuple(sorted(order)):
            return groups
        planes = tf.unstack(groups, axis=-2)
        return tf.stack([planes[i] for i in order], axis=-2)

    def _inverse_sizes(self, sizes: list) -> list:
        height, width, channels = sizes
        if _are_known(sizes) and (height % self.factor or width % self.factor):
            raise ValueError(
                f"{self.name} needs an image [..., height, width, channels] of sides that are multiples of "
                f"{self.factor}; got {sizes}."
            )
        return [height // self.factor, width // self.factor, channels * self.factor**2]

    def _forward_sizes(self, sizes: list) -> list:
        height, width, channels = sizes
        if _are_known(sizes) and channels % self.factor**2:
            raise ValueError(
                f"{self.name} needs a squeezed image [..., height, width, channels] of a multiple of "
                f"{self.factor**2} channels; got {sizes}."
            )
        return [height * self.factor, width * self.factor, channels // self.factor**2]

    @property
    def _is_permutation(self) -> bool:
        return True

    def _known(self, shape: tf.TensorShape) -> list[int]:
        if not shape.is_fully_defined():
            raise ValueError(f"{self.name} needs images of a size known in advance; got shape {shape}.")
        return shape.as_list()


def _are_known(sizes: list) -> bool:
    return all(isinstance(size, int) for size in sizes)


def _dispersed(places: list[tuple[int, int]], factor: int) -> list[tuple[int, int]]:
    """The places of a square that tiles the plane, each the farthest from those before it; the first on a tie."""

    def distance(a: tuple[int, int], b: tuple[int, int]) -> int:
        steps = [abs(p - q) for p, q in zip(a, b, strict=True)]
        return sum(min(step, factor - step) ** 2 for step in steps)

    chosen = places[:1]
    nearest = {place: distance(place, chosen[0]) for place in places[1:]}
    while nearest:
        farthest = max(nearest, key=nearest.__getitem__)
        del nearest[farthest]
        nearest = {place: min(near, distance(place, farthest)) for place, near in nearest.items()}
        chosen.append(farthest)
    return chosen
