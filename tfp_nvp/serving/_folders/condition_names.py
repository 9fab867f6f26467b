"""The names of condition inputs in a signature."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def condition_name(key: str) -> str:
    """The signature's name of the input that an encoder calls `key`; x, z and seed are names of other inputs."""
    return f"condition_{key}"


def named_condition(condition: Any, names: Collection[str]) -> dict[str, Any]:
    """A condition by the names of a signature's inputs.

    Args:
      condition: rows, or a dict of them by the encoder's names or by those of the signature.
      names: of the signature's inputs.
    """
    if not isinstance(condition, Mapping):
        return {"condition": condition}
    return {condition_name(key) if condition_name(key) in names else key: rows for key, rows in condition.items()}
