"""Registers this package's Keras classes by their names in .keras files; each is imported when a file needs it.

Keras looks up a file's classes in a dict and imports nothing. So ours are entered there when Keras is imported, which
`import tfp_nvp` does not do itself.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from tfp_nvp._names import NAMES

#: Class -> the module that defines and registers it: every public one that a file may name, and private ones.
CLASSES = {
    name: module
    for package in ("bijectors", "conditioners", "distributions", "flows")
    for name, module in NAMES[f"tfp_nvp.{package}"].items()
} | {
    "FitOptimizer": "tfp_nvp.training._models.fit_optimizer",
    "FlowMatching": "tfp_nvp.training._matching.flow_matching",
    "FlowModel": "tfp_nvp.training._models.flow_model",
    "LossFunction": "tfp_nvp.training._models.loss_function",
    "Polar": "tfp_nvp.conditioners._polar",
    "Regression": "tfp_nvp.training._tables.regression",
    "Standardize": "tfp_nvp.training._models.standardize",
    "TableModel": "tfp_nvp.training._any_order.table_model",
    "TanhFeatures": "tfp_nvp.conditioners._tanh_features",
}


class Later:
    """A stand-in for a class; importing the class registers it in this one's place.

    Args:
      name: of the class.
    """

    def __init__(self, name: str):
        self._name = name

    def from_config(self, *arguments: Any, **named: Any) -> Any:
        """Imports the class and calls its `from_config`."""
        cls = getattr(importlib.import_module(CLASSES[self._name]), self._name)
        return cls.from_config(*arguments, **named)


class _AfterKeras(MetaPathFinder):
    """An import hook that calls `enter` right after Keras is imported."""

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == "keras" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            sys.meta_path.remove(self)
            enter()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def enter() -> None:
    """Enters a stand-in for every class of ours that Keras does not know yet."""
    known = sys.modules["keras"].saving.get_custom_objects()
    for name in CLASSES:
        known.setdefault(f"tfp_nvp>{name}", Later(name))


def enter_with_keras() -> None:
    """Calls `enter` now if Keras is imported, else when it is."""
    if "keras" in sys.modules:
        enter()
    else:
        sys.meta_path.insert(0, _AfterKeras())
