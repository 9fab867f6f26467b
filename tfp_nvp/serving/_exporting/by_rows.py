"""Traces two solutions of autoregressive layers, of which a request's number of rows chooses one."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.bijectors._at_once import choosing, most_rows
from tfp_nvp.serving._exporting.graphs import function_like
from tfp_nvp.serving._exporting.signatures import Signature, trace

#: Appended to a signature's name for its function of few rows, until `joined` makes one of the two.
_FEW = " of few rows"


class Sequential(NamedTuple):
    """Signatures in which autoregressive layers are solved for one element after the other.

    Attributes:
      signatures: their names.
      parallel_rows: up to how many rows all elements are solved for at once; None for any number.
    """

    signatures: tuple[str, ...]
    parallel_rows: int | None


def checked_parallel_rows(parallel_rows: int | None) -> int | None:
    """Raises `TypeError` or `ValueError` if the argument is neither None nor an int of at least 0."""
    return None if parallel_rows is None else checks.integer("parallel_rows", parallel_rows, 0)


def trace_by_rows(
    signatures: dict[str, Signature], parallel_rows: int | None = None
) -> tuple[dict[str, Any], Sequential | None]:
    """Traces the signatures, and those with autoregressive layers to solve for few rows too.

    Args:
      signatures: by name.
      parallel_rows: the most rows to solve for all elements at once; None for what the networks' sizes suggest.

    Returns:
      Concrete functions, which `joined` takes, and which of them are sequential; None if none is.
    """
    functions: dict[str, Any] = {}
    few: dict[str, Any] = {}
    limits: list[int | None] = []
    for name, signature in signatures.items():
        with choosing(at_once=False) as choice:
            functions |= trace({name: signature})
        if not choice.networks:
            continue
        limits += [most_rows(network) for network in choice.networks]
        with choosing(at_once=True) as choice:
            function = trace({name: signature})[name]
        if choice.networks:  # not of a user's function, which is traced once
            few[name] = function
    if not few:
        return functions, None
    rows = min((limit for limit in limits if limit is not None), default=None)
    rows = rows if parallel_rows is None else parallel_rows
    if rows is None:
        return functions | few, Sequential(tuple(few), rows)
    if rows > 0:
        functions |= {name + _FEW: function for name, function in few.items()}
    return functions, Sequential(tuple(few), rows)


def joined(functions: dict[str, Any], sequential: Sequential | None) -> dict[str, Any]:
    """Returns the functions with those of few rows and of many made one."""
    if sequential is None or not sequential.parallel_rows:
        return functions
    whole = {name: function for name, function in functions.items() if not name.endswith(_FEW)}
    for name in sequential.signatures:
        whole[name] = _joined(functions[name + _FEW], functions[name], sequential.parallel_rows)
    return whole


def _joined(few: Any, many: Any, most: int) -> Any:
    names = [spec.name for spec in tf.nest.flatten(many.structured_input_signature)]

    def outputs(tensors: dict[str, tf.Tensor]) -> list[tf.Tensor]:
        inputs = dict(zip(names, tensors.values(), strict=True))
        is_few = tf.shape(inputs[names[0]])[0] <= most
        return tf.nest.flatten(tf.cond(is_few, lambda: few(**inputs), lambda: many(**inputs)))

    return function_like(many, outputs)
