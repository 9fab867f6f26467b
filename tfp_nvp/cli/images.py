"""Reads images of integers from .npy and .npz files, and computes their bits per dimension."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfp_nvp.cli.tables import unreadable

_AT_ONCE = 2_000_000  # numbers in a batch, to bound memory


@dataclass(frozen=True)
class Images:
    """Images of a file, and their conditions.

    Attributes:
      name: the file's name, for messages.
      x: [n, h, w, c] integers.
      condition: [n, ...], or None.
    """

    name: str
    x: np.ndarray
    condition: np.ndarray | None


def read_images(path: Path, key: str | None, condition_key: str | None) -> Images | None:
    """Reads an array [n, h, w] or [n, h, w, c] of integers; None if the file holds no such array.

    Args:
      path: a .npy or .npz file; None is returned for any other.
      key: which array of an .npz file with several.
      condition_key: which array of the file is the condition.

    Raises:
      OSError: if there is no such file.
      ValueError: if the images are not integers, or not each has a condition.
    """
    if path.suffix.lower() not in (".npy", ".npz"):
        return None
    try:
        array, condition, names = _read_arrays(path, key, condition_key)
    except OSError:
        raise
    except Exception as error:  # of a broken file, NumPy raises many others than ValueError
        raise unreadable(path, error) from error
    if array is None or array.ndim not in (3, 4):
        return None
    if array.dtype.kind not in "ui" or not array.size:
        raise ValueError(f"{path.name}: images must be integers, at least one; got {array.dtype} {list(array.shape)}.")
    if condition_key is not None:
        if condition is None:
            has = f"it has {', '.join(names)}" if names else "a .npy file holds one array; use a .npz file"
            raise ValueError(f"{path.name}: no array {condition_key!r} for the condition; {has}.")
        if len(condition) != len(array):
            raise ValueError(f"{path.name}: {len(array)} images, but {len(condition)} rows of {condition_key!r}.")
    return Images(path.name, array if array.ndim == 4 else array[..., np.newaxis], condition)


def _read_arrays(
    path: Path, key: str | None, condition_key: str | None
) -> tuple[np.ndarray | None, np.ndarray | None, list[str]]:
    """Reads the array, the condition if the array holds images, and the names of all arrays of an .npz file."""
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None, []
        names = list(loaded.files)
        chosen = names[0] if key is None and len(names) == 1 else key
        array = loaded[chosen] if chosen in names else None
        images = array is not None and array.ndim in (3, 4)
        return array, loaded[condition_key] if images and condition_key in names else None, names


def score_images(model: Any, images: Images, *, num_samples: int, seed: int) -> dict[str, Any]:
    """Computes bits per dimension with `num_samples` draws of the noise per image: mean and standard error.

    Args:
      model: a `cli.models.Model` or `Exported` over integers.
      images: of the model's event shape.
      num_samples: of the importance-weighted estimate, see `Dequantized`.
      seed: of the noise.
    """
    shape, size = tuple(images.x.shape[1:]), int(np.prod(images.x.shape[1:]))
    if shape != model.event_shape:
        raise ValueError(f"{images.name}: images {list(shape)}, but the model is of {list(model.event_shape)}.")
    if model.levels is None:
        raise ValueError(
            f"{images.name}: the model is a density of real numbers, not of integers: make it with tfp_nvp.Dequantized."
        )
    x, levels = images.x, model.levels
    if int(x.min()) < 0 or int(x.max()) >= levels:
        raise ValueError(
            f"{images.name}: the model is of integers from 0 to {levels - 1}; found {x.min()} to {x.max()}."
        )
    condition = _as_condition(images, model.condition_shape)
    rows = max(1, _AT_ONCE // (size * 8))
    log_probs = []
    for i in range(0, len(x), rows):
        batch = x[i : i + rows], None if condition is None else condition[i : i + rows]
        draws = [model.integer_log_prob(*batch, noise_seed(seed, i, draw)) for draw in range(num_samples)]
        log_probs.append(np.logaddexp.reduce(np.asarray(draws, np.float64), axis=0) - np.log(num_samples))
    impossible = int(sum(np.isinf(values).sum() for values in log_probs))
    if impossible:
        raise ValueError(f"{images.name}: {impossible} images hold values that the model has no levels for.")
    bits = -np.concatenate(log_probs).astype(np.float64) / (size * np.log(2.0))
    error = bits.std(ddof=1) / np.sqrt(len(bits)) if len(bits) > 1 else np.nan
    return {
        "rows": len(bits),
        "bits_per_dim": float(bits.mean()),
        "standard_error": float(error),
        "nll": float(bits.mean() * size * np.log(2.0)),
        "num_samples": num_samples,
    }


def noise_seed(*numbers: int) -> int:
    """Hashes several numbers, such as those of a run, a batch and a draw, to one seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] & 0x7FFFFFFF)


def _as_condition(images: Images, shape: tuple[int, ...] | None) -> np.ndarray | None:
    """Checks the condition; converts integer labels to one-hot vectors."""
    condition = images.condition
    if (condition is None) != (shape is None):
        needs = "needs a condition: name its array with --condition" if condition is None else "takes no condition"
        raise ValueError(f"{images.name}: the model {needs}.")
    if condition is None or shape is None:
        return None
    if condition.ndim == 1 and condition.dtype.kind in "ui" and len(shape) == 1 and shape[0] > 1:
        if int(condition.min()) < 0 or int(condition.max()) >= shape[0]:
            raise ValueError(f"{images.name}: labels must be from 0 to {shape[0] - 1}; found {condition.max()}.")
        return np.eye(shape[0], dtype=np.float32)[condition]
    return condition
