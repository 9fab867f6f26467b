"""What is known of a model without loading it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

#: Where `fit` and `export` write what they know.
_MODEL_FILES = ("flow.keras", "table.keras")
_CARD = "assets.extra/model.json"


def describe(path: Path) -> dict[str, Any]:
    """Facts of a model by name, in order, from the files beside it: no TensorFlow is started.

    Args:
      path: a fit's folder, a .keras file, or the folder of an export or of a version of it.

    Raises:
      OSError: if there is none.
      ValueError: if it holds none of these, or its files are broken.
    """
    if path.is_dir():
        version = _newest_version(path)
        if version is not None:
            return _of_export(version)
        for name in _MODEL_FILES:
            if (path / name).exists():
                return _of_fit(path / name)
        raise ValueError(f"{path}: holds no model: neither {' nor '.join(_MODEL_FILES)} nor a version of an export.")
    return _of_fit(path)


def _newest_version(folder: Path) -> Path | None:
    if (folder / "saved_model.pb").exists():
        return folder
    numbers = [int(file.parent.name) for file in folder.glob("*/saved_model.pb") if file.parent.name.isdigit()]
    return folder / str(max(numbers)) if numbers else None


def _of_export(folder: Path) -> dict[str, Any]:
    card = _json(folder / _CARD) if (folder / _CARD).exists() else {}
    model, data, about = card.get("model", {}), card.get("data", {}), dict(card.get("about") or {})
    schema, condition = card.get("schema") or {}, data.get("condition")
    of_columns = [about.pop(name, None) or schema.get(name) for name in ("columns", "condition_columns")]
    nll = [about.pop(name, None) for name in ("test_nll", "test_standard_error", "test_nll_noise_draws")]
    return _known(
        {
            "model": f"export, version {folder.name}" if folder.name.isdigit() else "export",
            "flow": model.get("flow"),
            "created": card.get("created"),
            "event": _shape(data.get("event_shape")),
            "columns": _listed(of_columns[0]),
            "condition": _listed(of_columns[1]) or (None if condition is None else ", ".join(condition)),
            "weights": _count(model.get("numbers")),
            "signatures": _listed(list(card.get("signatures", {}))),
            "bytes": _count(card.get("size", {}).get("total")),
            "rows": _counts(about.pop("rows", None)),
            "test NLL": _nats(*nll[:2]),
            **about,
        }
    )


def _of_fit(file: Path) -> dict[str, Any]:
    with file.open("rb"):
        pass  # raises the system's error if it is missing or may not be read
    try:
        with zipfile.ZipFile(file) as archive:
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as reason:
        raise ValueError(f"{file}: not a .keras file: {reason}") from reason
    metrics_file = file.with_name("metrics.json")
    metrics = _json(metrics_file) if metrics_file.exists() else {}
    nll = metrics.get("nll") or {}
    test = nll.get("test")
    if not isinstance(test, dict):  # as a flow's is written
        test = {"mean": test, "standard_error": nll.get("test_standard_error")}
    return _known(
        {
            "model": config.get("class_name") if isinstance(config, dict) else None,
            "flow": metrics.get("flow"),
            "data": metrics.get("data"),
            "rows": _counts(metrics.get("rows")),
            "columns": _listed(metrics.get("columns")),
            "condition": _listed(metrics.get("condition_columns")),
            "weights": _count(metrics.get("trainable_parameters")),
            "validation NLL": _nats(nll.get("validation")),
            "test NLL": _nats(test["mean"], test["standard_error"]),
            "bytes": _count(file.stat().st_size),
            "TensorFlow": (metrics.get("versions") or {}).get("tensorflow"),
            "Keras": (metrics.get("versions") or {}).get("keras"),
        }
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: not a JSON object: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file}: not a JSON object.")
    return found


def _known(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value not in (None, "", [], {})}


def _listed(names: Any) -> str | None:
    return ", ".join(map(str, names)) if isinstance(names, list) and names else None


def _shape(shape: Any) -> str | None:
    return None if shape is None else str(shape)


def _count(number: Any) -> str | None:
    return f"{number:,}" if isinstance(number, int) else None


def _counts(rows: Any) -> str | None:
    return ", ".join(f"{count:,} {name}" for name, count in rows.items()) if isinstance(rows, dict) else None


def _nats(value: Any, error: Any = None) -> str | None:
    if not isinstance(value, float):
        return None
    return f"{value:.4f} nats" if not isinstance(error, float) else f"{value:.4f} ± {error:.4f} nats"
