"""The sequential direction of an autoregressive layer, for all elements at once: a fixed point.

    x ← f(z; raw(x))

The raw numbers of an element depend on the elements before it only. So one more element, at least, is final after each
evaluation, and after d evaluations all are; a trained network needs about ten. Which of the two solutions is used,
this or that of `_incremental`, is the caller's choice where the number of rows is known (`choosing`).

References: Song, Meng, Liao & Ermon (2021), "Accelerating Feedforward Computation via Parallel Nonlinear Equation
Solving", arXiv:2002.03629, algorithm 1 and proposition 1.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_nvp._finite import held, limit
from tfp_nvp._portable import is_portable
from tfp_nvp.conditioners._masked_network import MaskedNetwork

#: (x [n, d]) → f(z; raw(x)) [n, d], and its log_det [n, d].
Evaluate = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

#: An element is final when two evaluations change it by so many units of rounding, relative to 1 + |x|: the raw numbers
#: are then those of x up to the rounding of their inputs.
UNITS = 4.0
#: So many evaluations are made before the first test of what has changed.
UNTESTED = 3
#: Up to RATE · d / (weights of the network) rows, evaluating the whole network about eight times takes less time than
#: the block solver's short steps: measured on two cores.
RATE = 62_500
#: In eager mode, a step takes so many times as long as in a graph.
EAGER = 20


def solve(evaluate: Evaluate, value: tf.Tensor, depth: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """x = evaluate(x) for every row, and its log_det.

    A row's result does not depend on other rows: what is final stays as it is, for as long as others change.

    Args:
      evaluate: a function whose Jacobian is strictly triangular in some order of the elements.
      value: [n, d], where to start.
      depth: after so many evaluations every element is final; by default d.

    Returns:
      x [n, d] and log_det [n, d], of one last evaluation.
    """
    x, d = value, value.shape[-1] if depth is None else depth
    rounding = UNITS * float(np.finfo(value.dtype.as_numpy_dtype).eps)
    for _ in range(min(d - 1, UNTESTED)):
        x, _ = evaluate(x)

    def body(steps_left: tf.Tensor, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        new, _ = evaluate(evaluate(x)[0])  # two in a step: a step of a loop costs as much as an evaluation
        changes = tf.abs(new - x) > rounding * tf.abs(new) + rounding  # none where it is NaN or infinite
        return tf.where(tf.reduce_any(changes), steps_left - 1, 0), tf.where(changes, new, x)

    if d - 1 > UNTESTED:
        steps = tf.constant((d - UNTESTED) // 2)
        _, x = tf.while_loop(lambda left, _: left > 0, body, (steps, x), parallel_iterations=1)
    return evaluate(x)


def solve_network(
    network: MaskedNetwork, transform: Callable, value: tf.Tensor, condition: tf.Tensor | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """The x for which x_i = transform(value_i, raw_i), where raw = network(x, condition).

    Masked kernels and what the condition adds are computed once, before the first evaluation.

    Args:
      network: built, its raw numbers of x_i a function of the elements before x_i.
      transform: (value [n, d], raw [p, n, d]) → (result [n, d], log_det [n, d]), elementwise.
      value: [n, d].
      condition: [n, ...], or None.

    Returns:
      x [n, d], and the log_det [n] of all elements together.
    """
    weights = {layer: (layer.masked_kernel(), tf.convert_to_tensor(layer.bias)) for layer in network.masked_layers}
    contexts = network.contexts(None if condition is None else held(condition))
    most = tf.constant(limit(value.dtype), value.dtype)
    value, num_planes = network.sort(value), network.num_outputs // value.shape[-1]

    def apply(layer: Any, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        kernel, bias = weights[layer]
        if is_portable():
            inputs = tf.clip_by_value(inputs, -most, most)
        else:  # in one operation; XLA then holds NaN too, but what is NaN in `value` stays so in x
            inputs = tf.raw_ops.ClipByValue(t=inputs, clip_value_min=-most, clip_value_max=most)
        return tf.matmul(inputs, kernel) + bias, contexts.get(layer)

    def evaluate(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return transform(value, tf.stack(tf.split(network.evaluate(x, apply), num_planes, axis=-1)))

    x, log_det = solve(evaluate, value)
    return network.unsort(x), tf.reduce_sum(log_det, axis=-1)


def most_rows(network: MaskedNetwork) -> int | None:
    """For how many rows this is the faster solution, in a graph; None for any number."""
    d = len(network.masked_layers[0].in_degrees)
    if d <= UNTESTED + 1:
        return None
    return RATE * d // sum(layer.mask.size for layer in network.masked_layers)


@dataclass
class Choice:
    """Which solution layers use, and the networks that were solved for.

    Attributes:
      at_once: whether the whole network is evaluated until nothing changes.
      networks: those of the layers that were asked.
    """

    at_once: bool
    networks: list[MaskedNetwork] = field(default_factory=list)


_choice: contextvars.ContextVar[Choice | None] = contextvars.ContextVar("solution", default=None)


@contextlib.contextmanager
def choosing(at_once: bool) -> Iterator[Choice]:
    """Has autoregressive layers use this solution, or that of blocks, while open; and tells which layers did."""
    choice = Choice(at_once)
    token = _choice.set(choice)
    try:
        yield choice
    finally:
        _choice.reset(token)


def is_chosen(network: MaskedNetwork, num_rows: int | None) -> bool:
    """Whether to solve for all elements at once. Where nobody chose, it is the faster one, if the rows are known."""
    choice = _choice.get()
    if choice is not None:
        choice.networks.append(network)
        return choice.at_once
    most = most_rows(network)
    if most is None:
        return True
    return tf.executing_eagerly() and num_rows is not None and num_rows <= EAGER * most
