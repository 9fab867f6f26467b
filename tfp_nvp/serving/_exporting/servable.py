"""The stages of an export."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfp_nvp import checks
from tfp_nvp._estimates import drawn_from
from tfp_nvp._warnings import warn
from tfp_nvp.bijectors.continuous import solved_finer
from tfp_nvp.distributions import Flow
from tfp_nvp.serving._exporting.by_rows import Sequential, joined, trace_by_rows
from tfp_nvp.serving._exporting.card import write_card
from tfp_nvp.serving._exporting.cases import cases, inputs_for, pick, run
from tfp_nvp.serving._exporting.compute import COMPUTE, computing_in, speed
from tfp_nvp.serving._exporting.formats import check_files, translate, write_files
from tfp_nvp.serving._exporting.graph_rules import check_graph
from tfp_nvp.serving._exporting.precompute import precompute
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import ServingModule, Signature, own_signatures, trace, weights_of
from tfp_nvp.serving._exporting.signatures import signatures as model_signatures
from tfp_nvp.serving._exporting.verify import Case
from tfp_nvp.serving._exporting.verify import verify as verify_folder
from tfp_nvp.serving._exporting.warmup import write_warmup
from tfp_nvp.serving._exporting.weights import halved, reading
from tfp_nvp.serving._folders.model_card import MARK
from tfp_nvp.shapes import rows_at_once

_ROUNDING_ROWS = 256  # on which the error of half precision is measured
_SPEED_ROWS = 1024  # on which the time of half-precision networks is measured
_FINER = 10  # solvers whose error is measured are compared with ones so many times as fine
_ESTIMATE_ROWS, _ESTIMATE_DRAWS = 64, 16  # by which the bias of estimated log-densities is measured
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)  # of log_prob, for the card
_FEWEST_ROWS, _MOST_ROWS, _MOST_CHUNKS = 100, 4096, 8  # by which they are measured


class Servable:
    """A model, and the functions of it that a server runs. The methods are the stages of an export, in their order.

    They change neither the model nor any global state.

    Args:
      model: as `export` takes it.
      compute: the dtype that its networks compute in, in a copy of the model; None for their own.

    Attributes:
      parts: distribution, encoder and detector of the model.
      weights: the variables of the model.
      signatures: functions of the model, by name.
      exact: those whose networks compute in their own dtype.
      halves: half-precision variables that replace weights, by the ids of the weights' handles.
      functions: the concrete functions to save, by signature.
      sequential: in which signatures autoregressive layers are solved in their slow direction, and how; or None.
      precomputed: variables with precomputed values.
      rounding: errors from half-precision weights, for the card; None with exact weights.
      compute: the dtype that networks compute in, their speed and errors, for the card; None for their own.
      estimate: the bias of log-densities that are estimates, for the card; None where they are exact.
      solver_error: the error of log-densities that are solved in steps, for the card; None where none are.
      log_prob: quantiles of the log-densities of given rows, for the card; None where fewer than 100 are given.
      translations: files for other runtimes: contents by path.
      cases: inputs and outputs of each signature, for the check and the warm-up requests.

    Raises:
      TypeError, ValueError: if the model can't be served.
    """

    def __init__(self, model: Any, compute: str | None = None):
        exact = self.parts = served(model)
        if compute is not None:
            self.parts = computing_in(model, checks.choice("compute", compute, COMPUTE))
        self.weights = weights_of(self.parts)
        self.signatures = model_signatures(self.parts)
        self.exact = self.signatures if compute is None else model_signatures(exact)
        self.weights_dtype: str | None = None
        self.halves: dict[int, tf.Variable] = {}
        self.functions: dict[str, Any] = {}
        self.sequential: Sequential | None = None
        self.precomputed: list[tf.Variable] = []
        self.rounding: dict[str, Any] | None = None
        self.compute: dict[str, Any] | None = None if compute is None else {"dtype": compute}
        self.estimate: dict[str, Any] | None = None
        self.solver_error: dict[str, Any] | None = None
        self.log_prob: dict[str, Any] | None = None
        self.translations: dict[str, bytes] = {}
        self.cases: dict[str, Case] = {}

    def add_signatures(self, functions: Mapping[str, Any] | None) -> None:
        """Adds a user's functions."""
        self.signatures |= own_signatures(functions, self.signatures)

    def halve_weights(self, dtype: str) -> None:
        """Rounds the trained matrices to half-precision variables, for `read_halves`."""
        self.weights_dtype, self.halves = dtype, halved(self.weights, dtype)

    def trace(self, parallel_rows: int | None = None) -> None:
        """Traces the signatures that the distribution implements, and refuses operations that no server runs."""
        self.functions, self.sequential = trace_by_rows(self.signatures, parallel_rows)
        self.signatures = {name: each for name, each in self.signatures.items() if name in self.functions}
        for name, function in self.functions.items():
            check_graph(name, function)

    def read_halves(self) -> None:
        """Rewrites the functions, a user's too, to read the half-precision variables."""
        self.functions = reading(self.functions, self.halves)

    def measure_speed(self, warmup: Any = None, condition: Any = None) -> None:
        """Measures how much faster networks in half precision make log_prob; warns if they make it slower."""
        if self.compute is None:
            return
        pair = [precompute(trace({"log_prob": of["log_prob"]}))[0]["log_prob"] for of in (self.exact, self.signatures)]
        signature = self.signatures["log_prob"]
        inputs = pick(inputs_for(self.parts, {"log_prob": signature}, warmup, condition, most=_SPEED_ROWS), signature)
        rows = np.arange(min(_SPEED_ROWS, rows_at_once(inputs["x"].shape[1:])))
        ratio = speed(pair[0], pair[1], {name: value[rows % len(value)] for name, value in inputs.items()})
        self.compute |= {"speed": ratio, "speed_rows": len(rows)}
        if ratio < 1.0:
            warn(
                f"`compute` = {self.compute['dtype']!r} is slower on this machine's processor: log_prob of {len(rows)} "
                f"rows takes {1.0 / ratio:.2g} times as long. It pays on processors that multiply such numbers, as "
                "those with AMX and GPUs do, and for wide networks; else leave it out."
            )

    def precompute(self) -> None:
        """Precomputes values that depend only on the weights, but not on halved ones: the values would be as large."""
        self.functions, self.precomputed = precompute(self.functions, but=self.halves.values())

    def join(self) -> None:
        """Has the number of a request's rows choose how autoregressive layers are solved."""
        self.functions = joined(self.functions, self.sequential)

    def translate(self, name: str, formats: Collection[str]) -> None:
        """Translates the exact signatures of a model of this name for other runtimes."""
        exact = {name: self.exact.get(name, signature) for name, signature in self.signatures.items()}
        self.translations = translate(name, exact, formats)

    def compute_cases(self, warmup: Any = None, condition: Any = None) -> None:
        """Computes outputs of each signature for rows of data and condition, or for samples of the model.

        With half-precision weights or networks the graphs compute them, and are compared with the exact outputs.
        Where log-densities are estimates, `estimate` compares them with unbiased ones. `log_prob` is measured where
        there are rows enough.
        """
        expected = self.signatures
        if self.weights_dtype is not None or self.compute is not None:
            expected = {
                name: signature._replace(call=self.functions[name]) for name, signature in self.signatures.items()
            }
            inputs = inputs_for(self.parts, self.signatures, warmup, condition, most=_ROUNDING_ROWS)
            output = "log_prob" if self.parts.detector is None else "score"
            what = f"{self.weights_dtype} weights" if self.compute is None else f"{self.compute['dtype']} networks"
            cost = _rounding(what, output, self.exact[output], expected[output], inputs)
            if self.weights_dtype is not None:
                self.rounding = {"dtype": self.weights_dtype} | cost
            if self.compute is not None:
                self.compute |= cost
        self.cases = cases(self.parts, expected, warmup, condition)
        flow = self.parts.fittable.as_flow()
        if flow is not None and not flow.bijector.has_exact_log_det:
            inputs = inputs_for(self.parts, self.signatures, warmup, condition, most=_ESTIMATE_ROWS)
            self.estimate = _estimate(flow, self.signatures["log_prob"], inputs)
        if flow is not None and flow.bijector.accuracy:
            inputs = inputs_for(self.parts, self.signatures, warmup, condition, most=_ESTIMATE_ROWS)
            self.solver_error = _solver_error(self.signatures["log_prob"], inputs)
        has_condition = condition is not None or self.parts.fittable.condition_shape is None
        if warmup is not None and has_condition and len(warmup) >= _FEWEST_ROWS:
            inputs = inputs_for(self.parts, {"log_prob": self.signatures["log_prob"]}, warmup, condition, _MOST_ROWS)
            self.log_prob = _log_prob(expected["log_prob"], inputs)

    def save(self, folder: Path) -> None:
        """Writes graphs and variables, and the files for other runtimes."""
        _save(ServingModule(self.parts, self.functions, self.precomputed), self.functions, folder, self._columns)
        write_files(folder, self.translations)

    @property
    def _columns(self) -> dict[str, tuple[str, ...] | None]:
        """Names of the columns of tensors, by the tensors' names."""
        schema = self.parts.schema
        is_table = len(self.parts.distribution.event_shape) == 1
        return {} if schema is None or not is_table else {"x": schema.columns, "condition": schema.condition_columns}

    def describe(self, folder: Path, name: str, about: Mapping[str, Any] | None) -> None:
        """Writes the warm-up requests and the card of a model of this name, after all other files."""
        first_rows = {
            signature: {key: rows[:1] for key, rows in case.inputs.items()} for signature, case in self.cases.items()
        }
        write_warmup(folder, name, first_rows)
        write_card(
            folder,
            name,
            self.parts,
            self.signatures,
            self.weights,
            self.rounding,
            self.compute,
            self.estimate,
            self.solver_error,
            self.log_prob,
            self.sequential,
            sorted(self.translations),
            about,
        )

    def verify(self, folder: Path) -> None:
        """Compares the folder with the cases, in a new process, and files for other runtimes in these."""
        computed_in = None if self.compute is None else self.compute["dtype"]
        verify_folder(folder, self.cases, computed_in=computed_in)
        check_files(self.translations, self.cases, computed_in)


def _rounding(
    what: str, output: str, exact: Signature, rounded: Signature, inputs: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Measures the error of log_prob or score from half precision, in nats, for the card."""
    before, after = (run(signature, inputs) for signature in (exact, rounded))
    error = np.abs(after[output].astype(np.float64) - before[output].astype(np.float64))
    if not np.isfinite(error).all():
        raise ValueError(f"{what.capitalize()} give densities that are not finite; leave them out.")
    cost: dict[str, Any] = {"output": output, "rows": len(error)}
    cost |= {"mean_error": float(error.mean()), "max_error": float(error.max())}
    if output == "score":  # the threshold is that of exact weights
        cost["flags_changed"] = int(np.sum(before["is_anomaly"] != after["is_anomaly"]))
    return cost


def _log_prob(signature: Signature, inputs: dict[str, np.ndarray]) -> dict[str, Any] | None:
    """Measures quantiles of log_prob, in nats, for the card; None if there are too few rows, or one is not finite.

    By chunks, and in no more than so many that large events take some seconds.
    """
    at_once = rows_at_once(inputs["x"].shape[1:])
    starts = range(0, min(len(inputs["x"]), _MOST_CHUNKS * at_once), at_once)
    chunks = ({name: rows[start : start + at_once] for name, rows in inputs.items()} for start in starts)
    values = np.concatenate([run(signature, chunk)["log_prob"] for chunk in chunks]).astype(np.float64)
    if len(values) < _FEWEST_ROWS or not np.isfinite(values).all():
        return None
    quantiles = np.quantile(values, _QUANTILES)
    return {
        "rows": len(values),
        "mean": float(values.mean()),
        "quantiles": {f"{level:g}": float(value) for level, value in zip(_QUANTILES, quantiles, strict=True)},
    }


def _solver_error(signature: Signature, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Measures how far log_prob is from that of an equation solved ten times as finely, in nats, for the card."""
    tensors = {name: tf.constant(value) for name, value in pick(inputs, signature).items()}
    log_prob = tf.function(lambda: signature.call(**tensors)["log_prob"])()
    with solved_finer(_FINER):
        finer = tf.function(lambda: signature.call(**tensors)["log_prob"])()
    error = np.abs(log_prob.numpy().astype(np.float64) - finer.numpy())
    return {"factor": _FINER, "rows": len(error), "mean_error": float(error.mean()), "max_error": float(error.max())}


def _estimate(flow: Flow, signature: Signature, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Measures how far log_prob, with random numbers that are fixed, is from the mean of unbiased draws, in nats.

    The same weights and rows are drawn anew `draws` times; the standard error is that of the mean of these draws.
    """
    tensors = {name: tf.constant(value) for name, value in pick(inputs, signature).items()}

    @tf.function
    def mean_of_draw(seed: tf.Tensor) -> tf.Tensor:
        with drawn_from(seed):
            return tf.reduce_mean(tf.cast(signature.call(**tensors)["log_prob"], tf.float64))

    fixed = float(np.mean(run(signature, inputs)["log_prob"], dtype=np.float64))
    draws = np.asarray([mean_of_draw(tf.constant([i, 0])).numpy() for i in range(_ESTIMATE_DRAWS)])
    terms = {layer.num_terms for layer in flow.submodules if hasattr(layer, "num_terms")}
    return {
        "num_terms": sorted(terms),
        "bias": fixed - float(draws.mean()),
        "standard_error": float(draws.std(ddof=1) / np.sqrt(len(draws))),
        "rows": len(next(iter(tensors.values()))),
        "draws": len(draws),
    }


def _save(
    root: ServingModule, functions: dict[str, Any], folder: Path, columns: Mapping[str, tuple[str, ...] | None]
) -> None:
    """Saves `log_prob` under both names as one function, without gradients and without shapes, which loading infers.

    The name of the last dimension of a signature's table are the names of its columns, as JSON.
    """
    named = {"serving_default": functions["log_prob"], **functions}
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(root, str(folder), signatures=named, options=options)
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta in saved.meta_graphs:
        meta.meta_info_def.meta_graph_version = MARK
        for nodes in (meta.graph_def.node, *(function.node_def for function in meta.graph_def.library.function)):
            for node in nodes:
                node.attr.pop("_output_shapes", None)
                if node.op in ("If", "StatelessIf"):  # so that the branch that is not taken costs nothing
                    node.attr.pop("_lower_using_switch_merge", None)
        for signature in meta.signature_def.values():
            for name, tensor in (*signature.inputs.items(), *signature.outputs.items()):
                if columns.get(name) and len(tensor.tensor_shape.dim) == 2:
                    tensor.tensor_shape.dim[1].name = json.dumps(columns[name], ensure_ascii=False)
    file.write_bytes(saved.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # of the unmodified graph; a server does not read it
