"""Copies that share weights."""

from __future__ import annotations

import copy
from typing import Any


def copy_sharing_weights(module: Any, overrides: dict[str, Any]) -> Any:
    """A copy of a bijector or distribution with other arguments and the same weights, or a `ValueError`."""
    unknown = set(overrides) - set(module.parameters) - {"name"}
    if unknown:
        raise ValueError(f"{type(module).__name__} has no argument {sorted(unknown)}.")
    changes = {key: value for key, value in overrides.items() if value is not module.parameters.get(key)}
    if not changes:
        return copy.copy(module)
    duplicate = type(module)(**{**module.parameters, **changes})
    if (
        {id(v) for v in duplicate.variables}
        - {id(v) for change in changes.values() for v in _variables(change)}
        - {id(v) for v in module.variables}
    ):
        raise ValueError(
            f"A copy of {type(module).__name__} with other {sorted(changes)} can't share its weights. "
            "Make a new one, or copy without these arguments."
        )
    return duplicate


def _variables(value: Any) -> tuple:
    return tuple(getattr(value, "variables", ()))
