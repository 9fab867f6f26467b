"""From a flow to a folder that TensorFlow Serving loads as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfp_nvp.serving.cases import cases
from tfp_nvp.serving.graph_rules import check_graph
from tfp_nvp.serving.inputs import served
from tfp_nvp.serving.signatures import ServingModule, signatures, trace
from tfp_nvp.serving.verify import verify as verify_folder
from tfp_nvp.serving.versions import check_target, publish, temporary_sibling
from tfp_nvp.serving.warmup import write_warmup


def export(
    model: Any,
    path: str | os.PathLike,
    *,
    version: int | None = None,
    warmup: Any = None,
    warmup_condition: Any = None,
    verify: bool = True,
) -> Path:
    """Writes a model as the next version of a SavedModel that stock TensorFlow Serving serves.

        serving_default = log_prob     x, condition                       →  log_prob
        sample, sample_tempered        seed, condition (, temperature)    →  x
        encode, decode                 x or z, condition                  →  z or x, log_det

    Of a `Dequantized` distribution x are integers (uint8 up to 256 levels), `log_prob` and `encode` take
    the `seed` of the noise too, and `encode` and `decode` give no log_det.

    Every input and output has the batch as its first dimension. `seed` is int32 [n, 2], one
    for each row: equal seeds give equal rows, whatever else a server puts in the batch. The
    condition is the raw one, before a `FlowModel`'s encoder.

    The folder is written under a hidden name and renamed when it is complete, so a
    server that watches `path` never sees half of it, and nothing is ever overwritten.

    Args:
      model: a `Flow`, any `tfd.Distribution` of batch shape [], or a `FlowModel`.
      path: the model's folder; its name is the model's. Versions go into it.
      version: a positive int; by default one more than the largest there.
      warmup: rows of data [n, *event_shape] for the requests a server warms up with (the first
        row) and for the check (the first 8); by default the model's own samples.
      warmup_condition: the rows' raw conditions; a dict by input name if there are several.
        Zeros by default.
      verify: whether a new Python process, which imports TensorFlow only, loads the folder
        and compares what it gives with this one, before it is renamed.

    Returns:
      The version's folder, `path/VERSION`.

    Raises:
      TypeError, ValueError: if the model can't be served: a batch shape, layers that have
        not seen `initialize`, weights that are not finite, or operations no server runs.
      FileExistsError: if `version` exists.
      RuntimeError: with the reason, if the check in the new process fails.

    >>> import tempfile, tfp_nvp
    >>> flow = tfp_nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0)
    >>> flow.initialize([[0.0, 1.0], [2.0, 5.0], [4.0, 3.0]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export(flow, folder + "/two_moons", verify=False).name
    '1'
    """
    target = check_target(path, version)
    parts = served(model)
    made = signatures(parts)
    functions = trace(made)
    root = ServingModule(parts, functions)
    root.refuse_nonfinite()
    for name, function in functions.items():
        check_graph(name, function)
    tried = cases(parts, {name: made[name] for name in functions}, warmup, warmup_condition)
    with temporary_sibling(target) as folder:
        _save(root, functions, folder)
        first_rows = {name: {key: rows[:1] for key, rows in case.inputs.items()} for name, case in tried.items()}
        write_warmup(folder, target.name, first_rows)
        if verify:
            verify_folder(folder, tried)
        return publish(folder, target, version)


def _save(root: ServingModule, functions: dict[str, Any], folder: Path) -> None:
    """Both names of `log_prob` share one function."""
    tf.saved_model.save(root, str(folder), signatures={"serving_default": functions["log_prob"], **functions})
