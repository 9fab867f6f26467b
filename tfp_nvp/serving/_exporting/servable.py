"""The stages of an export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfp_nvp.serving._exporting.card import write_card
from tfp_nvp.serving._exporting.cases import cases, inputs_for, run
from tfp_nvp.serving._exporting.graph_rules import check_graph
from tfp_nvp.serving._exporting.precompute import precompute
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import ServingModule, Signature, own_signatures, trace, weights_of
from tfp_nvp.serving._exporting.signatures import signatures as model_signatures
from tfp_nvp.serving._exporting.verify import Case
from tfp_nvp.serving._exporting.verify import verify as verify_folder
from tfp_nvp.serving._exporting.warmup import write_warmup
from tfp_nvp.serving._exporting.weights import halved, reading

_ROUNDING_ROWS = 256  # on which the error of half-precision weights is measured


class Servable:
    """A model, and the functions of it that a server runs. The methods are the stages of an export, in their order.

    They change neither the model nor any global state.

    Args:
      model: as `export` takes it.

    Attributes:
      parts: distribution, encoder and detector of the model.
      weights: the variables of the model.
      signatures: functions of the model, by name.
      halves: half-precision variables that replace weights, by the ids of the weights' handles.
      functions: the concrete functions to save, by signature.
      precomputed: variables with precomputed values.
      rounding: errors from half-precision weights, for the card; None with exact weights.
      cases: inputs and outputs of each signature, for the check and the warm-up requests.

    Raises:
      TypeError, ValueError: if the model can't be served.
    """

    def __init__(self, model: Any):
        self.parts = served(model)
        self.weights = weights_of(self.parts)
        self.signatures = model_signatures(self.parts)
        self.weights_dtype: str | None = None
        self.halves: dict[int, tf.Variable] = {}
        self.functions: dict[str, Any] = {}
        self.precomputed: list[tf.Variable] = []
        self.rounding: dict[str, Any] | None = None
        self.cases: dict[str, Case] = {}

    def add_signatures(self, functions: Mapping[str, Any] | None) -> None:
        """Adds a user's functions."""
        self.signatures |= own_signatures(functions, self.signatures)

    def halve_weights(self, dtype: str) -> None:
        """Rounds the trained matrices to half-precision variables, for `read_halves`."""
        self.weights_dtype, self.halves = dtype, halved(self.weights, dtype)

    def trace(self) -> None:
        """Traces the signatures that the distribution implements, and refuses operations that no server runs."""
        self.functions = trace(self.signatures)
        self.signatures = {name: self.signatures[name] for name in self.functions}
        for name, function in self.functions.items():
            check_graph(name, function)

    def read_halves(self) -> None:
        """Rewrites the functions, a user's too, to read the half-precision variables."""
        self.functions = reading(self.functions, self.halves)

    def precompute(self) -> None:
        """Precomputes values that depend only on the weights, but not on halved ones: the values would be as large."""
        self.functions, self.precomputed = precompute(self.functions, but=self.halves.values())

    def compute_cases(self, warmup: Any = None, condition: Any = None) -> None:
        """Computes outputs of each signature for rows of data and condition, or for samples of the model.

        With half-precision weights the graphs compute them, and `rounding` compares them with the exact outputs.
        """
        expected = self.signatures
        if self.weights_dtype is not None:
            expected = {
                name: signature._replace(call=self.functions[name]) for name, signature in self.signatures.items()
            }
            inputs = inputs_for(self.parts, self.signatures, warmup, condition, most=_ROUNDING_ROWS)
            output = "log_prob" if self.parts.detector is None else "score"
            self.rounding = _rounding(self.weights_dtype, output, self.signatures[output], expected[output], inputs)
        self.cases = cases(self.parts, expected, warmup, condition)

    def save(self, folder: Path) -> None:
        """Writes graphs and variables."""
        _save(ServingModule(self.parts, self.functions, self.precomputed), self.functions, folder)

    def describe(self, folder: Path, name: str, about: Mapping[str, Any] | None) -> None:
        """Writes the warm-up requests and the card of a model of this name, after all other files."""
        first_rows = {
            signature: {key: rows[:1] for key, rows in case.inputs.items()} for signature, case in self.cases.items()
        }
        write_warmup(folder, name, first_rows)
        write_card(folder, name, self.parts, self.signatures, self.weights, self.rounding, about)

    def verify(self, folder: Path) -> None:
        """Compares the folder with the cases, in a new process."""
        verify_folder(folder, self.cases)


def _rounding(
    dtype: str, output: str, exact: Signature, rounded: Signature, inputs: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Measures the error of log_prob or score from half-precision weights, in nats, for the card."""
    before, after = (run(signature, inputs) for signature in (exact, rounded))
    error = np.abs(after[output].astype(np.float64) - before[output].astype(np.float64))
    if not np.isfinite(error).all():
        raise ValueError(f"`weights_dtype` = {dtype!r} gives densities that are not finite; leave it out.")
    cost = {"dtype": dtype, "output": output, "rows": len(error)}
    cost |= {"mean_error": float(error.mean()), "max_error": float(error.max())}
    if output == "score":  # the threshold is that of exact weights
        cost["flags_changed"] = int(np.sum(before["is_anomaly"] != after["is_anomaly"]))
    return cost


def _save(root: ServingModule, functions: dict[str, Any], folder: Path) -> None:
    """Saves `log_prob` under both names as one function, without gradients and without shapes, which loading infers."""
    named = {"serving_default": functions["log_prob"], **functions}
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(root, str(folder), signatures=named, options=options)
    file = folder / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta in saved.meta_graphs:
        for nodes in (meta.graph_def.node, *(function.node_def for function in meta.graph_def.library.function)):
            for node in nodes:
                node.attr.pop("_output_shapes", None)
    file.write_bytes(saved.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)  # of the unmodified graph; a server does not read it
