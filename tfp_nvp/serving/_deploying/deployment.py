"""Writes the configuration of a server and of its monitoring."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from tfp_nvp.serving._deploying.generated import recorded_options, write_generated
from tfp_nvp.serving._deploying.server_files import Options, config_map, flags, texts
from tfp_nvp.serving._folders.versions import versions


class Deployment(NamedTuple):
    """The result of `write_deployment`.

    Attributes:
      folder: of the files.
      models: folder of each model, by name.
      command: starts `tensorflow_model_server` with them on this machine.
      kept: changed files that were kept.
    """

    folder: Path
    models: dict[str, Path]
    command: list[str]
    kept: list[str]


def models_in(path: str | os.PathLike) -> dict[str, Path]:
    """Folders of models by name: `path` itself if it holds versions, else each folder in it that does.

    Raises:
      FileNotFoundError: if there is none.
    """
    root = Path(path).resolve()
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
    grpc_port: int | None = None,
    rest_port: int | None = None,
    max_batch_size: int | None = None,
    batch_timeout_micros: int | None = None,
    image_tag: str | None = None,
    overwrite: bool | Collection[str] = False,
) -> Deployment:
    """Writes the configuration with which TensorFlow Serving serves the models of a folder.

        models.config               the models, their versions and labels
        batching_parameters.txt     limits for merging requests
        monitoring.config           metrics for Prometheus, at /monitoring/prometheus/metrics of the REST port
        prometheus.yml              a Prometheus that reads them
        compose.yaml                for CPU (`docker compose up`) and GPU (`docker compose --profile gpu up gpu`)
        kubernetes.yaml             a Deployment with probes, and a Service
        kubernetes-config.yaml      their ConfigMap: the first three files, with your changes
        local/models.config         models.config with the paths of this machine
        README.md                   how to use each

    The server loads every version of a model with labels, as it moves a label only to a loaded version; without
    labels it loads the newest.

    Options default to those of the last run, which `.generated.json` stores. Files that you have changed are kept,
    unless there is new text for them.

    Args:
      path: a model's folder, or a folder of models' folders.
      out: the folder to write.
      grpc_port, rest_port: on this machine, at first 8500 and 8501; a container always uses these.
      max_batch_size: rows of a request, or of merged requests, at most; at first 1024.
      batch_timeout_micros: microseconds to wait for more rows; at first 1000.
      image_tag: of the image tensorflow/serving, to which "-gpu" is added for GPUs; at first "latest".
      overwrite: whether to replace files that you have changed, or the names of those to replace.

    Raises:
      FileNotFoundError: if there is no model.
      FileExistsError: if there is new text for a file that you have changed; nothing is written then.
      ValueError: if an argument is out of its range, or the version of a label is missing.
    """
    root = Path(out).resolve()
    chosen = {
        "grpc_port": grpc_port,
        "rest_port": rest_port,
        "max_batch_size": max_batch_size,
        "batch_timeout_micros": batch_timeout_micros,
        "image_tag": image_tag,
    }
    options = Options(
        **(_last_options(root) | {name: value for name, value in chosen.items() if value is not None})
    ).checked()
    models = models_in(path)
    command = [
        shutil.which("tensorflow_model_server") or "tensorflow_model_server",
        f"--port={options.grpc_port}",
        f"--rest_api_port={options.rest_port}",
        f"--model_config_file={root / 'local' / 'models.config'}",
        *flags(str(root)),
    ]
    files = texts(models, options, command)
    kept = write_generated(root, files, options._asdict(), derived=config_map, overwrite=overwrite)
    return Deployment(root, models, command, kept)


def _last_options(folder: Path) -> dict[str, Any]:
    """The recorded options of a folder; none if its record is damaged."""
    options = {name: value for name, value in recorded_options(folder).items() if name in Options._fields}
    try:
        Options(**options).checked()
    except (TypeError, ValueError):
        return {}
    return options
