"""Large requests in chunks, so that their memory is that of inputs, outputs and one chunk."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.shapes import rows_at_once


def map_rows(
    function: Callable[..., Any], x: Any, event_shape: Any, condition: Any, condition_rank: int | None, **kwargs: Any
) -> Any:
    """`function(x, condition, **kwargs)` of rows x [n, *event_shape], by at most `rows_at_once`, concatenated.

    Only eager arrays and tensors are cut: a graph has its own shapes. Gradients pass through.

    Args:
      function: row by row; its results, alone, in a tuple or in a dict, have the rows first, or are None.
      x: rows; anything of another rank is passed on whole.
      event_shape: of x.
      condition: rows for each of x, in any structure; or one for all, which is passed on whole.
      condition_rank: rank of one condition; None if an encoder takes it.
      kwargs: of `function`; from the second chunk on `seed` is another.
    """
    at_once = max(1, rows_at_once(event_shape) // int(kwargs.get("num_samples", 1)))
    shape: Any = getattr(x, "shape", ())
    if not tf.executing_eagerly() or len(shape) != 1 + len(event_shape) or shape[0] <= at_once:
        return function(x, condition, **kwargs)
    each = _rows_of(condition, condition_rank) == shape[0]
    results = []
    for number, start in enumerate(range(0, shape[0], at_once)):
        rows = slice(start, start + at_once)
        seed = {"seed": _seed_of(kwargs["seed"], number)} if "seed" in kwargs else {}
        results.append(function(x[rows], _cut(condition, rows) if each else condition, **{**kwargs, **seed}))
    return _concatenated(results, axis=0)


def map_samples(
    function: Callable[[tuple[int, ...], Any, Any], Any],
    sample_shape: Any,
    event_shape: Any,
    seed: Any,
    condition: Any,
    condition_rank: int | None,
) -> Any:
    """`function(sample_shape, seed, condition)` by at most `rows_at_once` samples, concatenated.

    A seed gives the same samples every time; those of different chunks have different ones made of it.

    Args:
      function: its results have shape [*sample_shape, *rows of the condition, ...].
      sample_shape: an int or several.
      event_shape: of the samples.
      seed, condition: as `FlowModel.sample` takes them.
      condition_rank: rank of one condition; None if an encoder takes it.

    Raises:
      TypeError, ValueError: for what is no shape.
      MemoryError: if the samples can't be in memory.
    """
    if not tf.executing_eagerly():
        return function(sample_shape, seed, condition)
    sizes = tf.nest.map_structure(lambda size: size.numpy() if tf.is_tensor(size) else size, sample_shape)
    shape = checks.shape("sample_shape", sizes, least=0)
    count = _rows_of(condition, condition_rank)
    at_once, samples = rows_at_once(event_shape), math.prod(shape) * (count or 1)
    _check_memory(samples, event_shape)
    if samples <= at_once:
        return function(sample_shape, seed, condition)
    if shape and shape[0] > 1:
        per_chunk = max(1, at_once // (samples // shape[0]))
        parts = [(min(per_chunk, shape[0] - start), *shape[1:]) for start in range(0, shape[0], per_chunk)]
        chunks, axis = [(part, condition) for part in parts], 0
        salt = 0
    elif count is not None and count > 1:
        per_chunk = max(1, at_once // math.prod(shape))
        cuts = [_cut(condition, slice(start, start + per_chunk)) for start in range(0, count, per_chunk)]
        chunks, axis = [(shape, part) for part in cuts], len(shape)
        salt = 1  # not a seed of the other cut
    else:
        return function(sample_shape, seed, condition)
    results = [
        map_samples(function, part, event_shape, _seed_of(seed, number, salt), rows, condition_rank)
        for number, (part, rows) in enumerate(chunks)
    ]
    return _concatenated(results, axis)


def _check_memory(samples: int, event_shape: Any) -> None:
    """Raises `MemoryError` for more samples than the machine's memory holds, before hours are spent on them."""
    size = 4 * samples * math.prod(event_shape)
    with contextlib.suppress(AttributeError, ValueError, OSError):  # a system that does not tell
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if size > memory > 0:
            raise MemoryError(
                f"`sample_shape` asks for {samples:,} samples, {size / 2**30:,.0f} GiB, and the machine has "
                f"{memory / 2**30:,.0f}. Draw them in parts, with a seed for each, and write each part to a file."
            )


def _rows_of(condition: Any, rank: int | None) -> int | None:
    """The number of rows of a condition in arrays; None if it is no rows, or of unequal numbers."""
    shapes: list[Any] = [getattr(part, "shape", ()) for part in tf.nest.flatten(condition)]
    ranks = [len(shape) for shape in shapes]
    if condition is None or not all(ranks) or (rank is not None and ranks != [rank + 1]):
        return None
    counts = {shape[0] for shape in shapes}
    return counts.pop() if len(counts) == 1 else None


def _cut(condition: Any, rows: slice) -> Any:
    return tf.nest.map_structure(lambda part: part[rows], condition)


def _seed_of(seed: Any, number: int, salt: int = 0) -> Any:
    """The seed of a chunk: of the first, the seed itself."""
    if seed is None or not number:
        return seed
    if isinstance(seed, (int, np.integer)):
        return int(np.random.SeedSequence([abs(int(seed)), number, salt]).generate_state(1)[0]) % 2**31
    return tf.random.experimental.stateless_fold_in(tf.cast(seed, tf.int32), 2 * number + salt)


def _concatenated(results: list[Any], axis: int) -> Any:
    if isinstance(results[0], dict):
        return {name: _concatenated([result[name] for result in results], axis) for name in results[0]}
    if isinstance(results[0], tuple):
        return tuple(_concatenated(list(parts), axis) for parts in zip(*results, strict=True))
    return None if results[0] is None else tf.concat(results, axis)
