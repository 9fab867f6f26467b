"""Writes a flow to a folder that TensorFlow Serving loads."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tfp_nvp import checks
from tfp_nvp.serving._exporting.by_rows import checked_parallel_rows
from tfp_nvp.serving._exporting.card import checked_about
from tfp_nvp.serving._exporting.formats import checked_formats
from tfp_nvp.serving._exporting.servable import Servable
from tfp_nvp.serving._folders.version_labels import check_labels, set_labels
from tfp_nvp.serving._folders.version_labels import labels as labels_of
from tfp_nvp.serving._folders.versions import check_target, publish, remove_old, temporary_sibling


def export(
    model: Any,
    path: str | os.PathLike,
    *,
    version: int | None = None,
    warmup: Any = None,
    warmup_condition: Any = None,
    signatures: Mapping[str, Any] | None = None,
    labels: Collection[str] = (),
    keep: int | None = None,
    card: Mapping[str, Any] | None = None,
    weights_dtype: str | None = None,
    compute: str | None = None,
    parallel_rows: int | None = None,
    formats: Collection[str] = (),
    verify: bool = True,
) -> Path:
    """Writes a model as the next version of a SavedModel that stock TensorFlow Serving serves.

        serving_default = log_prob     x, condition                       →  log_prob
        sample, sample_tempered        seed, condition (, temperature)    →  x
        encode, decode                 x or z, condition                  →  z or x, log_det
        score                          x                                  →  score, is_anomaly   (`AnomalyDetector`)

    For a `Dequantized` distribution x are integers (uint8 up to 256 levels), `log_prob` and `encode` also
    take the `seed` of the noise, and `encode` and `decode` return no log_det.

    Every input and output has the batch as its first dimension. `seed` is int32 [n, 2], one
    for each row: equal seeds give equal rows in any batch. The condition is the input of a
    `FlowModel`'s encoder, if it has one.

    The folder is written under a hidden name and renamed when it is complete, so a
    server that watches `path` never sees half of it; no version is overwritten. Its
    `assets.extra` holds a model card (README.md and model.json) and the warm-up requests. Where log-densities are
    estimates, the card has their bias, measured against unbiased estimates of 64 rows of `warmup`, or of samples.
    With 100 rows of `warmup` or more the card has the quantiles of their `log_prob` (of the first 4,096): held-out rows
    make them the level that a server's answers are to be compared with.

    Args:
      model: a `Flow`, any `tfd.Distribution` of batch shape [], a `FlowModel`, or an
        `AnomalyDetector` with a threshold.
      path: the model's folder, which holds its versions and names the model.
      version: a positive int; by default one more than the largest there.
      warmup: rows of data [n, *event_shape] for the warm-up requests (the first row), for
        the check (the first 8) and for the card's quantiles; by default samples of the model.
      warmup_condition: the rows' raw conditions; a dict by input name if there are several.
        Zeros by default.
      signatures: your own `tf.function`s by name, with an input_signature of tensors that have the batch
        as their first dimension, and a dict of such tensors as output. They are checked on the flow's inputs of
        the same name, dtype and shape, else on zeros.
      labels: names for this version, such as "canary", as `set_label` gives them.
      keep: how many of the newest versions to keep, by default all; older ones without a label are removed once this
        one is there, as by `serving.remove_old_versions`.
      card: notes for the card, such as `{"test_nll": 1.145, "data": "..."}`: JSON values by name.
      weights_dtype: "float16" or "bfloat16" to store matrices and kernels in half the bytes or less. Every
        signature casts them back when it reads them; weights that one reads in part or assigns are kept. The card
        reports the errors of log_prob, or of a detector's scores and flags (with the threshold of exact weights),
        on the first 256 rows of `warmup`, or on 256 samples.
      compute: "bfloat16" to have the networks of couplings and autoregressive layers compute in bfloat16, which
        processors with AMX and GPUs do several times as fast; all else stays as it is, weights too. These layers are
        invertible whatever computes their parameters, so the export is a flow, a slightly other one: the card has the
        change of log_prob and the speed, measured on this machine; a warning says if it is slower. What solves an
        autoregressive layer for one element after the other keeps its dtype.
      parallel_rows: where autoregressive layers solve for one element after the other (samples of a `MAF`, densities
        of an `IAF`): up to how many rows of a request to solve for all elements at once, by evaluations of the
        whole network until nothing changes. More rows are solved in blocks of elements, which takes less arithmetic
        and many small steps; 0 has all of them. On a GPU, give a number above any batch. None for what the networks'
        sizes suggest on a CPU; the card says what that is.
      formats: more files to write, of every signature, with exact weights: "c" is `assets.extra/model.c` in C99, which
        needs libm alone, of flows of dense networks over vectors; "onnx" is `assets.extra/onnx/SIGNATURE.onnx`, which
        needs the extra `onnx`; "tflite" is `assets.extra/model.tflite`, for LiteRT.
      verify: whether to load the folder in a new Python process, which imports TensorFlow only,
        and to compare its outputs with this one's, before the folder is renamed; those of ONNX and LiteRT files too.

    Returns:
      The version's folder, `path/VERSION`.

    Raises:
      TypeError, ValueError: if the model can't be served: it has a batch shape, layers that are
        not initialized, weights that are not finite, or operations that no server runs; or one of `formats` can't
        hold it.
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
    if labels or keep is not None:
        labels_of(target)  # raises for a damaged file before anything is written
    keep = None if keep is None else checks.integer("keep", keep, 1)
    checked_about(card)
    parallel_rows, formats = checked_parallel_rows(parallel_rows), checked_formats(formats)
    servable = Servable(model, compute)
    servable.add_signatures(signatures)
    if weights_dtype is not None:
        servable.halve_weights(weights_dtype)
    servable.trace(parallel_rows)
    servable.read_halves()
    servable.precompute()
    servable.join()
    servable.translate(target.name, formats)
    servable.measure_speed(warmup, warmup_condition)
    servable.compute_cases(warmup, warmup_condition)
    with temporary_sibling(target) as folder:
        servable.save(folder)
        servable.describe(folder, target.name, card)
        if verify:
            servable.verify(folder)
        published = publish(folder, target, version)
    if labels:  # after the version is published: a label never names a missing version
        set_labels(target, labels, int(published.name))
    if keep is not None:  # this version stays, whatever its number
        remove_old(target, keep, {*labels_of(target).values(), int(published.name)})
    return published
