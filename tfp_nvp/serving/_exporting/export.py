"""From a flow to a folder that TensorFlow Serving loads as it is."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tfp_nvp.serving._exporting.card import checked_about
from tfp_nvp.serving._exporting.servable import Servable
from tfp_nvp.serving._folders.version_labels import check_labels, set_labels
from tfp_nvp.serving._folders.version_labels import labels as labels_of
from tfp_nvp.serving._folders.versions import check_target, publish, temporary_sibling


def export(
    model: Any,
    path: str | os.PathLike,
    *,
    version: int | None = None,
    warmup: Any = None,
    warmup_condition: Any = None,
    signatures: Mapping[str, Any] | None = None,
    labels: Collection[str] = (),
    card: Mapping[str, Any] | None = None,
    weights_dtype: str | None = None,
    verify: bool = True,
) -> Path:
    """Writes a model as the next version of a SavedModel that stock TensorFlow Serving serves.

        serving_default = log_prob     x, condition                       →  log_prob
        sample, sample_tempered        seed, condition (, temperature)    →  x
        encode, decode                 x or z, condition                  →  z or x, log_det
        score                          x                                  →  score, is_anomaly   (`AnomalyDetector`)

    Of a `Dequantized` distribution x are integers (uint8 up to 256 levels), `log_prob` and `encode` take
    the `seed` of the noise too, and `encode` and `decode` give no log_det.

    Every input and output has the batch as its first dimension. `seed` is int32 [n, 2], one
    for each row: equal seeds give equal rows, whatever else a server puts in the batch. The
    condition is the raw one, before a `FlowModel`'s encoder.

    The folder is written under a hidden name and renamed when it is complete, so a
    server that watches `path` never sees half of it, and nothing is ever overwritten. In it,
    `assets.extra` holds a card for people and for programs, README.md and model.json, and the
    requests that a server warms up with.

    Args:
      model: a `Flow`, any `tfd.Distribution` of batch shape [], a `FlowModel`, or an
        `AnomalyDetector` with a threshold.
      path: the model's folder; its name is the model's. Versions go into it.
      version: a positive int; by default one more than the largest there.
      warmup: rows of data [n, *event_shape] for the requests a server warms up with (the first
        row) and for the check (the first 8); by default the model's own samples.
      warmup_condition: the rows' raw conditions; a dict by input name if there are several.
        Zeros by default.
      signatures: your own, `tf.function`s by name: with an input_signature of tensors that have the batch
        as their first dimension, and a dict of such tensors as output. Checked on inputs of the flow where their
        names, dtypes and shapes agree, else on zeros.
      labels: names for this version, such as "canary", as `set_label` gives them.
      card: what the card should say besides what is known here, and apart from it, such as
        `{"test_nll": 1.145, "data": "..."}`: JSON values by name.
      weights_dtype: "float16" or "bfloat16" to store matrices and kernels in half the bytes or less; they are cast
        back whenever they are read, by your own `signatures` too; a weight that a signature does more with than to
        read it whole stays as it is. The card says what it does to the density of `warmup`'s first 256 rows, or
        as many samples, and to a detector's scores and flags of them: its threshold stays as it was.
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
    labels = check_labels(labels)
    if labels:
        labels_of(target)  # finds a damaged file before anything is written
    checked_about(card)
    servable = Servable(model)
    servable.add_signatures(signatures)
    if weights_dtype is not None:
        servable.halve_weights(weights_dtype)
    servable.trace()
    servable.read_halves()
    servable.precompute()
    servable.compute_cases(warmup, warmup_condition)
    with temporary_sibling(target) as folder:
        servable.save(folder)
        servable.describe(folder, target.name, card)
        if verify:
            servable.verify(folder)
        published = publish(folder, target, version)
    if labels:  # of a version that is there: a label never stands for one that is not
        set_labels(target, labels, int(published.name))
    return published
