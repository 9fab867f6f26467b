"""Writes the configuration of a server and of its monitoring."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tfp_nvp import checks
from tfp_nvp.serving._deploying.generated import recorded_options, write_generated
from tfp_nvp.serving._deploying.server_files import Options, config_map, flags, name_of, texts
from tfp_nvp.serving._folders.versions import versions

_BATCHING_OFF = (
    "Batching is off now: one request of no rows can stop a server that merges requests, and on a CPU it is no faster. "
    "--batching turns it on."
)


class Deployment(NamedTuple):
    """The result of `write_deployment`.

    Attributes:
      folder: of the files.
      models: folder of each model, by name.
      command: starts `tensorflow_model_server` with them on this machine.
      kept: changed files that were kept.
      notices: what is now otherwise than in the last run, for people.
    """

    folder: Path
    models: dict[str, Path]
    command: list[str]
    kept: list[str]
    notices: list[str]


def models_in(path: str | os.PathLike) -> dict[str, Path]:
    """Folders of models by name: `path` itself if it holds versions, else each folder in it that does.

    Raises:
      FileNotFoundError: if there is none.
    """
    root = checks.local_path("path", path).resolve()
    if versions(root):
        return {root.name: root}
    children = sorted(root.iterdir()) if root.is_dir() else []
    models = {child.name: child for child in children if child.is_dir() and versions(child)}
    if not models:
        raise FileNotFoundError(
            f"No model in {path}: it must hold versions (1/, 2/, …), or folders that do. `tfp_nvp.export` writes them."
        )
    return models


def write_deployment(
    path: str | os.PathLike,
    out: str | os.PathLike,
    *,
    name: str | None = None,
    grpc_port: int | None = None,
    rest_port: int | None = None,
    batching: bool | None = None,
    max_batch_size: int | None = None,
    batch_timeout_micros: int | None = None,
    image_tag: str | None = None,
    overwrite: bool | Collection[str] = False,
) -> Deployment:
    """Writes the configuration with which TensorFlow Serving serves the models of a folder.

        models.config               the models, their versions and labels
        batching_parameters.txt     limits for merging requests, if `batching`
        monitoring.config           metrics for Prometheus, at /monitoring/prometheus/metrics of the REST port
        prometheus.yml              a Prometheus that reads them
        compose.yaml                for CPU (`docker compose up`) and GPU (`docker compose --profile gpu up gpu`)
        kubernetes.yaml             a Deployment with probes, and a Service
        kubernetes-config.yaml      their ConfigMap: the files above that a server reads, with your changes
        local/models.config         models.config with the paths of this machine
        README.md                   how to use each

    The server loads every version of a model with labels, as it moves a label only to a loaded version; without
    labels it loads the newest.

    A server of version 2.20 that merges requests can be stopped by one of them: a request of no rows is never run, its
    caller hangs, and a few block all of REST; a request of a wrong shape fails those merged with it. On a CPU merging
    is also no faster. Turn it on for a GPU, if every request comes through `Client` or a gateway that refuses these.

    Options default to those of the last run, which `.generated.json` stores. Files that you have changed are kept,
    unless there is new text for them.

    Args:
      path: a model's folder, or a folder of models' folders.
      out: the folder to write.
      name: of the Deployment, the Service and the compose project; at first that of the folder of models, in small
        letters.
      grpc_port, rest_port: on this machine, at first 8500 and 8501; a container always uses these.
      batching: whether the server merges requests; at first False.
      max_batch_size: rows of a request, or of merged requests, at most; at first 1024. It needs `batching`.
      batch_timeout_micros: microseconds to wait for more rows; at first 1000. It needs `batching`.
      image_tag: of the image tensorflow/serving, to which "-gpu" is added for GPUs; at first "2.20.0".
      overwrite: whether to replace files that you have changed, or the names of those to replace.

    Raises:
      FileNotFoundError: if there is no model.
      FileExistsError: if there is new text for a file that you have changed; nothing is written then.
      ValueError: if an argument is out of its range, a limit of batches is given without `batching`, or the version of
        a label is missing.
    """
    root = checks.local_path("out", out).resolve()
    chosen = {
        "name": name,
        "grpc_port": grpc_port,
        "rest_port": rest_port,
        "batching": batching,
        "max_batch_size": max_batch_size,
        "batch_timeout_micros": batch_timeout_micros,
        "image_tag": image_tag,
    }
    before, models = recorded_options(root), models_in(path)
    options = _options(before, chosen, name_of(Path(path).resolve()))
    # Releases that did not record the option had it always on.
    batched = before.get("batching", (root / "batching_parameters.txt").exists())
    command = [
        shutil.which("tensorflow_model_server") or "tensorflow_model_server",
        f"--port={options.grpc_port}",
        f"--rest_api_port={options.rest_port}",
        f"--model_config_file={root / 'local' / 'models.config'}",
        *flags(str(root), options),
    ]
    files = texts(models, options, command)
    derived = partial(config_map, name=options.name)
    kept = write_generated(root, files, options._asdict(), derived=derived, overwrite=overwrite)
    return Deployment(root, models, command, kept, [_BATCHING_OFF] if batched and not options.batching else [])


def _options(before: Mapping[str, Any], chosen: Mapping[str, Any], name: str) -> Options:
    """The chosen options, the recorded ones where none is chosen, or else the defaults."""
    chosen = {option: value for option, value in chosen.items() if value is not None}
    options = Options(**({"name": name} | _valid(before) | chosen)).checked()
    for limit in ("max_batch_size", "batch_timeout_micros"):
        if limit in chosen and not options.batching:
            raise ValueError(
                f"`{limit}` needs `batching=True` (--batching): a server that merges no requests has no such limit."
            )
    return options


def _valid(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded options; none if the record is damaged."""
    options = {name: value for name, value in recorded.items() if name in Options._fields}
    try:
        Options(**options).checked()
    except (TypeError, ValueError):
        return {}
    return options
