"""How a distribution was made, as JSON values that a card can show."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf


def recipe_of(cls: type, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The name of a class and the arguments of its constructor, without those that only name the object.

    >>> recipe_of(dict, {"shape": tf.TensorShape([2]), "high": math.inf, "name": "x"})
    {'name': 'dict', 'arguments': {'shape': [2], 'high': 'inf'}}
    """
    shown = {key: value for key, value in parameters.items() if key not in ("name", "parameters", "recipe")}
    return {"name": cls.__name__, "arguments": {key: _as_json(value) for key, value in shown.items()}}


def checked_recipe(recipe: Any) -> dict[str, Any]:
    """`recipe` as a dict.

    Raises:
      TypeError: if it is not a recipe.
    """
    if not isinstance(recipe, Mapping) or set(recipe) != {"name", "arguments"}:
        raise TypeError(
            f"`recipe` must be a dict of a `name` and `arguments`, as `flow.recipe()` gives; got {recipe!r}."
        )
    return dict(recipe)


def _as_json(value: Any) -> Any:
    """A JSON value that shows an argument: an object by its name, or that of its class."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no infinity
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tf.DType):
        return value.name
    if isinstance(value, (list, tuple, tf.TensorShape)):
        return [_as_json(item) for item in value]
    return getattr(value, "name", None) or type(value).__name__
