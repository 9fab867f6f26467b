"""Writes a version's model card: `model.json` for programs and `README.md` for people."""

from __future__ import annotations

import collections
import datetime
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfp_nvp.serving._exporting.by_rows import Sequential
from tfp_nvp.serving._exporting.formats import C_FILE, LITE_FILE
from tfp_nvp.serving._exporting.served import Served, Specs
from tfp_nvp.serving._exporting.signatures import Signature
from tfp_nvp.serving._folders.model_card import CARD, EXTRA, card_digest, hashes, size_report
from tfp_nvp.training import Schema

FORMAT = 1  # of model.json
_PACKAGES = ("tfp-nvp", "tensorflow", "tensorflow-probability", "keras", "numpy")
_PURPOSE = {
    "saved_model.pb": "the graph with its constants, vectors of up to 1,024 numbers among them, and the signatures",
    "variables/variables.index": "where each weight lies in the next file",
    "variables/variables.data-00000-of-00001": "the other weights, and what is made of them (masked kernels, inverses)",
    C_FILE: "all signatures in C99, with exact weights; its first lines say how to call it",
    LITE_FILE: "all signatures for LiteRT, with exact weights",
    f"{EXTRA}/tf_serving_warmup_requests": "requests a server runs by itself before it serves the version",
}


def write_card(
    folder: Path,
    name: str,
    model: Served,
    signatures: dict[str, Signature],
    weights: list[tf.Variable],
    rounding: dict[str, Any] | None,
    compute: dict[str, Any] | None,
    estimate: dict[str, Any] | None,
    solver_error: dict[str, Any] | None,
    log_prob: dict[str, Any] | None,
    sequential: Sequential | None,
    translations: list[str],
    about: Mapping[str, Any] | None,
) -> None:
    """Writes `assets.extra/model.json` and `assets.extra/README.md`, after all other files.

    Args:
      folder: of the version.
      name: of the model.
      model: the served model.
      signatures: its signatures.
      weights: its variables, before any rounding.
      rounding: errors from storing them in half precision, or None.
      compute: dtype, speed and errors of networks in half precision, or None.
      estimate: the bias of log-densities that are estimates, or None.
      solver_error: the error of log-densities that are solved in steps, or None.
      log_prob: quantiles of the log-densities of rows of data, or None.
      sequential: how autoregressive layers are solved, or None.
      translations: paths of files for other runtimes.
      about: the user's notes: JSON values by name.
    """
    card = {
        "format": FORMAT,
        "name": name,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "about": dict(about or {}),
        "model": _model(model, weights),
        "data": _data(model, signatures["log_prob"].inputs),
        "signatures": {
            key: {"inputs": _shown(signature.inputs), "outputs": _shown(signature.outputs)}
            for key, signature in signatures.items()
        },
        "schema": None if model.schema is None else model.schema.get_config(),
        "detector": None if model.detector is None else model.detector.describe(),
        "weights": {"dtype": "as trained"} if rounding is None else rounding,
        "compute": {"dtype": "as trained"} if compute is None else compute,
        "estimate": estimate,
        "solver_error": solver_error,
        "log_prob": log_prob,
        "sequential": None if sequential is None else sequential._asdict(),
        "translations": translations,
        "size": size_report(folder),
        "versions": {package: _version(package) for package in _PACKAGES} | {"python": platform.python_version()},
    }
    extra = folder / EXTRA
    extra.mkdir(exist_ok=True)
    (extra / "README.md").write_text(_readme(card), encoding="utf-8")
    card["sha256"] = hashes(folder)
    card["digest"] = card_digest(card)
    (folder / CARD).write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def checked_about(about: Mapping[str, Any] | None) -> None:
    """Raises `ValueError` if `card` is no mapping of names to JSON values."""
    try:
        if about is not None and not (isinstance(about, Mapping) and all(isinstance(name, str) for name in about)):
            raise TypeError(f"it is {about!r}")
        json.dumps(dict(about or {}), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`card` must be a dict of names and finite JSON values: {error}.") from error


def _model(model: Served, weights: list[tf.Variable]) -> dict[str, Any]:
    flow = model.fittable.as_flow()
    recipe = (model.fittable if flow is None else flow).recipe()
    bijector = getattr(model.distribution, "bijector", None) if flow is None else flow.bijector
    return {
        "distribution": type(model.distribution).__name__,
        "flow": recipe["name"],
        "arguments": recipe["arguments"],
        "layers": [type(layer).__name__ for layer in _layers(bijector)],
        "numbers": sum(weight.shape.num_elements() for weight in weights),
        "trainable_numbers": sum(weight.shape.num_elements() for weight in weights if weight.trainable),
        "encoder": None if model.encoder is None else model.encoder.name,
    }


def _layers(bijector: Any) -> list[Any]:
    """The layers of a bijector, including those of nested chains and of levels."""
    layers = getattr(bijector, "bijectors", None) or getattr(bijector, "levels", None)
    if layers is None:
        return [] if bijector is None else [bijector]
    return [inner for layer in tf.nest.flatten(layers) for inner in _layers(layer)]


def _data(model: Served, inputs: Specs) -> dict[str, Any]:
    x = inputs["x"]
    condition = _shown({key: spec for key, spec in inputs.items() if key not in ("x", "seed")})
    return {
        "event_shape": x.shape[1:].as_list(),
        "dtype": x.dtype.name,
        "levels": model.fittable.levels,
        "condition": condition or None,
    }


def _shown(specs: Specs) -> dict[str, Any]:
    return {key: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()} for key, spec in specs.items()}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _readme(card: dict[str, Any]) -> str:
    """The card in Markdown."""
    model, data, size, cost, detector = (card[key] for key in ("model", "data", "size", "weights", "detector"))
    of_integers = f"{model['distribution']} ({model['flow']}, {data['levels']} levels)"
    layers = collections.Counter(model["layers"])
    conditions = data["condition"] or {}
    rows = {
        "model": model["flow"] if data["levels"] is None else of_integers,
        "layers": ", ".join(f"{name} × {count}" for name, count in layers.items()) or "–",
        "numbers": f"{model['numbers']:,}, of which {model['trainable_numbers']:,} were trained",
        "an event": f"{data['dtype']} {data['event_shape']}",
        "condition": ", ".join(f"{key}: {spec['dtype']} {spec['shape'][1:]}" for key, spec in conditions.items())
        or "none",
        "made": f"{card['created']} with " + ", ".join(f"{key} {version}" for key, version in card["versions"].items()),
        "size": f"{size['total']:,} bytes",
    }
    if "max_error" in cost:
        rows["weights"] = (
            f"stored as {cost['dtype']}; {cost['output']} of {cost['rows']} rows is off by {cost['mean_error']:.2g} "
            f"nats on average, {cost['max_error']:.2g} at most"
        )
        if "flags_changed" in cost:
            rows["weights"] += (
                f"; is_anomaly changes for {cost['flags_changed']} of them: the threshold is that of exact weights"
            )
    if "speed" in card["compute"]:
        cost = card["compute"]
        rows["networks"] = (
            f"computed in {cost['dtype']}, log_prob of {cost['speed_rows']:,} rows {cost['speed']:.2g} times as fast "
            f"on the exporting machine; {cost['output']} of {cost['rows']} rows is off by {cost['mean_error']:.2g} "
            f"nats on average, {cost['max_error']:.2g} at most"
        )
    if card["estimate"] is not None:
        rows["log-densities"] = _of_estimate(card["estimate"])
    if card["solver_error"] is not None:
        error = card["solver_error"]
        rows["solver"] = (
            f"log_prob of {error['rows']} rows is off by {error['mean_error']:.2g} nats on average, "
            f"{error['max_error']:.2g} at most, beside steps {error['factor']} times as fine"
        )
    if card["log_prob"] is not None:
        low, middle, high = (card["log_prob"]["quantiles"][level] for level in ("0.01", "0.5", "0.99"))
        rows["log_prob of data"] = (
            f"of {card['log_prob']['rows']:,} rows of `warmup`: median {middle:.4g} nats, 1 % below {low:.4g}, "
            f"1 % above {high:.4g}"
        )
    if card["sequential"] is not None:
        rows["autoregressive layers"] = _of_sequential(**card["sequential"])
    if card["schema"] is not None:
        rows |= _columns(Schema.from_config(card["schema"]))
    if detector:
        rows["anomaly threshold"] = (
            f"{detector['threshold']:.6g}, for a false-positive rate of {detector['false_positive_rate']:g} on "
            f"{detector['calibration_rows']:,} held-out rows"
        )
    lines = [f"# {card['name']}", "", "A normalizing flow, exported by tfp_nvp for TensorFlow Serving.", ""]
    lines += ["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())]
    if card["about"]:  # in a table of its own, as names may be the same
        lines += ["", "## Notes", "", "| | |", "|---|---|"]
        lines += [f"| {_cell(key)} | {_cell(value)} |" for key, value in card["about"].items()]
    lines += ["", "## Signatures", "", "| signature | inputs | outputs | operations |", "|---|---|---|---|"]
    for key, signature in card["signatures"].items():
        inputs, outputs = _tensors(signature["inputs"]), _tensors(signature["outputs"])
        lines.append(f"| {key} | {inputs} | {outputs} | {size['operations'].get(key, '')} |")
    lines += [
        "",
        "`serving_default` is `log_prob`. n is the batch. Log-densities are in nats. `seed` is two numbers for each "
        "row: equal seeds give equal rows.",
        "",
        "## Files",
        "",
        "| file | bytes | |",
        "|---|---|---|",
        *(f"| {file} | {count:,} | {_PURPOSE.get(file, '')} |" for file, count in size["files"].items()),
        "",
        "`model.json` beside this file says the same to programs, with the SHA-256 of every file.",
        "",
    ]
    return "\n".join(lines)


def _of_estimate(estimate: dict[str, Any]) -> str:
    """What is known of log-densities that are estimates."""
    terms = ", ".join(map(str, estimate["num_terms"]))
    return (
        f"estimates{f' by series of {terms} terms' if terms else ''}, the same for equal rows; on average of "
        f"{estimate['rows']} rows off by {estimate['bias']:+.2g} ± {estimate['standard_error']:.2g} nats, as "
        f"{estimate['draws']} unbiased estimates of each tell"
    )


def _of_sequential(signatures: Sequence[str], parallel_rows: int | None) -> str:
    """How layers are solved for one element after the other."""
    names = ", ".join(signatures)
    if parallel_rows == 0:
        return f"{names} solve for blocks of elements, one after the other"
    if parallel_rows is None:
        return f"{names} solve for all elements at once"
    return (
        f"{names} solve for all elements at once in requests of up to {parallel_rows:,} rows, and for blocks of "
        "elements, one after the other, in larger ones"
    )


def _columns(schema: Schema) -> dict[str, str]:
    """Rows on bounds and grids of a table's columns."""
    names = schema.columns or [f"{i}" for i in range(len(schema.step))]
    ends = list(zip(names, schema.low, schema.high, schema.periodic or [False] * len(names), strict=False))
    bounds = [
        f"{name} [{'−∞' if low is None else f'{low:g}'}, {'∞' if high is None else f'{high:g}'}]"
        for name, low, high, periodic in ends
        if (low is not None or high is not None) and not periodic
    ]
    periods = [f"{name} [{low:g}, {high:g})" for name, low, high, periodic in ends if periodic]
    grids = [f"{name} {step:g}" for name, step in zip(names, schema.step, strict=False) if step]
    rows = {
        key: _cell(", ".join(known))
        for key, known in (("columns", schema.columns), ("condition columns", schema.condition_columns))
        if known
    }
    if bounds:
        rows["bounds by column"] = "; ".join(bounds)
    if periods:
        rows["periodic columns"] = f"{'; '.join(periods)}: both ends are one point, and values beyond are wrapped"
    if grids:
        rows["grid step by column"] = (
            f"{'; '.join(grids)}. `sample` and `sample_tempered` return values on the grid. `log_prob` is the density "
            "of the values with uniform noise of one step, and an NLL that of rows with such noise"
        )
    return rows


def _cell(value: Any) -> str:
    """Escapes a value for a cell of a Markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _tensors(tensors: dict[str, Any]) -> str:
    """Lists names, dtypes and shapes."""

    def sizes(shape: list[int | None]) -> str:
        return ", ".join("n" if size is None else str(size) for size in shape)

    return ", ".join(f"{name} {spec['dtype']} [{sizes(spec['shape'])}]" for name, spec in tensors.items())
