"""Monotone maps from the numbers of a column onto a standardized real line."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tfp_nvp.bijectors.support import Support

#: A column is heavy-tailed if 99.8 % of its values spread over so many interquartile ranges; a Gaussian has 4.6.
_HEAVY = 10.0
#: Values closer to a bound than this share of the typical distance are not told apart.
_EDGE = 1e-4


@dataclasses.dataclass(frozen=True)
class Line:
    """z of a number x, and back.

        y = x without bounds, else the latent of x in `bijectors.Support`
        t = (y − center) / scale
        z = t, or asinh t for a column with heavy tails

    Args:
      low, high: bounds of x; None where there is none.
      reach: a typical distance from a single bound; 1 otherwise.
      log: whether the distance from a single bound goes through a logarithm.
      center, scale: median and robust standard deviation of y.
      heavy: whether tails are tamed.
    """

    low: float | None = None
    high: float | None = None
    reach: float = 1.0
    log: bool = False
    center: float = 0.0
    scale: float = 1.0
    heavy: bool = False

    @classmethod
    def fitted(cls, x: np.ndarray, low: float | None, high: float | None) -> Line:
        """The line of these numbers [n]."""
        if not x.size:
            return cls(low=low, high=high)
        line = cls(low=low, high=high)
        if (low is None) != (high is None):
            distance = np.abs(x - (low if low is not None else high))
            line = cls(low=low, high=high, reach=float(np.median(distance[distance > 0])) if distance.any() else 1.0)
            candidates = [dataclasses.replace(line, log=log) for log in (False, True)]
            line = min(candidates, key=lambda each: abs(skewness(each._latent(x)[0])))
        y = line._latent(x)[0]
        center, scale = location_and_scale(y)
        spread = np.diff(np.quantile(y, [0.001, 0.999]))[0]
        return dataclasses.replace(line, center=center, scale=scale, heavy=bool(spread > _HEAVY * 1.349 * scale))

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """z [n] and log |dz/dx| [n] of numbers [n], in float64."""
        y, log_slope = self._latent(x)
        t = (y - self.center) / self.scale
        log_slope = log_slope - np.log(self.scale)
        return (np.arcsinh(t), log_slope - 0.5 * np.log1p(t**2)) if self.heavy else (t, log_slope)

    def inverse(self, z: np.ndarray) -> np.ndarray:
        """x [n] of z [n]."""
        z = np.asarray(z, np.float64)
        y = self.center + self.scale * (np.sinh(np.clip(z, -300.0, 300.0)) if self.heavy else z)
        support = self._support
        return y if support is None else support.forward(y[..., np.newaxis]).numpy()[..., 0]

    def _latent(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, support = np.asarray(x, np.float64), self._support
        if support is None:
            return x, np.zeros_like(x)
        y, log_det = support.inverse_and_log_det(tf.constant(x[..., np.newaxis]))
        return y.numpy()[..., 0], log_det.numpy()

    @property
    def _support(self) -> Support | None:
        if self.low is None and self.high is None:
            return None
        low, high = -np.inf if self.low is None else self.low, np.inf if self.high is None else self.high
        edge = _EDGE * (high - low if np.isfinite(high - low) else self.reach)
        return Support(
            [low],
            [high],
            scale=[self.reach],
            log=[self.log],
            edge=([edge], [edge]),
            on_bound=([edge / 2], [edge / 2]),
            dtype="float64",
        )


def location_and_scale(y: np.ndarray) -> tuple[float, float]:
    """Median, and a robust standard deviation; the plain one if half of the values are one, and 1 if all are."""
    low, median, high = np.quantile(y, [0.25, 0.5, 0.75])
    scale = (high - low) / 1.349 or float(np.std(y))
    return float(median), float(scale) if scale > 0 else 1.0


def skewness(y: np.ndarray) -> float:
    """How far the middle between the quantiles of 2 and 98 % is above the median, relative to half of their distance.

    Hinkley (1975), "On power transformations to symmetry", Biometrika 62.
    """
    low, median, high = np.quantile(y, [0.02, 0.5, 0.98])
    return float((low + high - 2.0 * median) / (high - low)) if high > low else 0.0
