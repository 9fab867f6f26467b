"""Eight densities of two numbers whose log-density, and with it the entropy, is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

#: x [n, 2] of a generator and n.
Sampler = Callable[[np.random.Generator, int], np.ndarray]


class Density(NamedTuple):
    """A density of the plane.

    Args:
      sample: draws rows [n, 2].
      log_prob: of rows [n, 2], in nats.
      extent: half the side of the square around 0 that holds it, for pictures.
    """

    sample: Sampler
    log_prob: Callable[[np.ndarray], np.ndarray]
    extent: float

    def entropy(self, n: int = 200_000) -> tuple[float, float]:
        """The mean of −log p over n draws, and its standard error, in nats."""
        values = -self.log_prob(self.sample(np.random.default_rng(12345), n))
        return float(values.mean()), float(values.std() / math.sqrt(n))


def _normal(x: np.ndarray, mean: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """log N(x; mean, scale²) [..., n] of points [n, 2], and means [..., 2]."""
    scale = np.broadcast_to(scale, 2)
    squares = (((x - mean[..., None, :]) / scale) ** 2).sum(axis=-1)
    return -0.5 * squares - np.log(scale).sum() - math.log(2.0 * math.pi)


def _around(points: np.ndarray, scale: float, extent: float) -> Density:
    """Equally probable points [k, 2], with normal noise: a mixture, or a curve where they lie close together."""

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        return points[rng.integers(len(points), size=n)] + scale * rng.normal(size=(n, 2))

    def log_prob(x: np.ndarray) -> np.ndarray:
        parts = [logsumexp(_normal(part, points, scale), axis=0) for part in np.array_split(x, max(1, len(x) // 2000))]
        return np.concatenate(parts) - math.log(len(points))

    return Density(sample, log_prob, extent)


def two_moons(noise: float = 0.1, k: int = 120) -> Density:
    """Two half circles that interlock."""
    angle = np.pi * (np.arange(k) + 0.5) / k
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points = np.concatenate([upper, [1.0, 0.5] - upper]) - [0.5, 0.25]
    return _around(1.5 * points, 1.5 * noise, 3.0)


def eight_gaussians(scale: float = 0.2) -> Density:
    """Normals on a circle."""
    angle = 2.0 * np.pi * np.arange(8) / 8
    return _around(2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1), scale, 3.0)


def checkerboard() -> Density:
    """Uniform on the eight black squares of a board of 4 × 4, sides of 1."""

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        column, half = rng.integers(4, size=n), rng.integers(2, size=n)
        return np.stack([column, 2 * half + column % 2], axis=1) - 2.0 + rng.uniform(size=(n, 2))

    def log_prob(x: np.ndarray) -> np.ndarray:
        cell = np.floor(x + 2.0).astype(int)
        inside = ((cell >= 0) & (cell < 4)).all(axis=1) & ((cell.sum(axis=1) % 2) == 0)
        return np.where(inside, -math.log(8.0), -np.inf)

    return Density(sample, log_prob, 2.5)


def two_spirals(noise: float = 0.1, k: int = 240) -> Density:
    """Two arms of one and a half turns."""
    angle = 3.0 * np.pi * np.sqrt((np.arange(k) + 0.5) / k)
    arm = (angle / (3.0 * np.pi))[:, None] * 2.5 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _around(np.concatenate([arm, -arm]), noise, 3.2)


def rings(radii: tuple[float, ...] = (0.75, 1.5, 2.25), noise: float = 0.08) -> Density:
    """Rings, equally probable, of a normal distance from their radius."""
    centers = np.asarray(radii)

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        radius = centers[rng.integers(len(centers), size=n)] + noise * rng.normal(size=n)
        angle = rng.uniform(0.0, 2.0 * np.pi, size=n)
        return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def log_prob(x: np.ndarray) -> np.ndarray:
        r = np.hypot(*x.T)
        normal = -0.5 * ((r - centers[:, None]) / noise) ** 2 - math.log(noise * math.sqrt(2.0 * math.pi))
        return logsumexp(normal, axis=0) - math.log(len(centers)) - np.log(2.0 * math.pi * np.maximum(r, 1e-12))

    return Density(sample, log_prob, 3.0)


def pinwheel(arms: int = 5, twist: float = 0.6) -> Density:
    """Long normals around the center, turned the farther out they are: a turn by the radius keeps areas."""
    scale = np.asarray([0.45, 0.12])
    mean = np.asarray([1.4, 0.0])
    turns = 2.0 * np.pi * np.arange(arms) / arms

    def turned(x: np.ndarray, angle: np.ndarray) -> np.ndarray:
        cos, sin = np.cos(angle), np.sin(angle)
        return np.stack([cos * x[:, 0] - sin * x[:, 1], sin * x[:, 0] + cos * x[:, 1]], axis=1)

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        straight = turned(mean + scale * rng.normal(size=(n, 2)), turns[rng.integers(arms, size=n)])
        return turned(straight, twist * np.hypot(*straight.T))

    def log_prob(x: np.ndarray) -> np.ndarray:
        straight = turned(x, -twist * np.hypot(*x.T))
        parts = [_normal(turned(straight, np.full(len(x), -turn)), mean, scale) for turn in turns]
        return logsumexp(parts, axis=0) - math.log(arms)

    return Density(sample, log_prob, 3.2)


def banana(bend: float = 0.5) -> Density:
    """A normal, bent along a parabola."""

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        u = rng.normal(size=(n, 2)) * [1.0, 0.3]
        return np.stack([u[:, 0], u[:, 1] + bend * (u[:, 0] ** 2 - 1.0)], axis=1)

    def log_prob(x: np.ndarray) -> np.ndarray:
        straight = np.stack([x[:, 0], x[:, 1] - bend * (x[:, 0] ** 2 - 1.0)], axis=1)
        return _normal(straight, np.zeros(2), np.asarray([1.0, 0.3]))

    return Density(sample, log_prob, 3.5)


def funnel(scale: float = 1.0) -> Density:
    """x₂ is normal with the standard deviation exp(x₁ / 2), x₁ normal (Neal 2003)."""

    def sample(rng: np.random.Generator, n: int) -> np.ndarray:
        first = scale * rng.normal(size=n)
        return np.stack([first, np.exp(first / 2.0) * rng.normal(size=n)], axis=1)

    def log_prob(x: np.ndarray) -> np.ndarray:
        first, second = x.T
        squares = (first / scale) ** 2 + second**2 * np.exp(-first)
        return -0.5 * squares - math.log(scale) - first / 2.0 - math.log(2.0 * math.pi)

    return Density(sample, log_prob, 4.0)


DENSITIES: dict[str, Density] = {
    "two moons": two_moons(),
    "eight Gaussians": eight_gaussians(),
    "checkerboard": checkerboard(),
    "two spirals": two_spirals(),
    "rings": rings(),
    "pinwheel": pinwheel(),
    "banana": banana(),
    "funnel": funnel(),
}
