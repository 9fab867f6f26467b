"""What a person needs beside a model's folder: configuration of a server, of its monitoring, and how it is run."""

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
    """What `write_deployment` wrote.

    Attributes:
      folder: the files are here.
      models: folder of each model, by name.
      command: what starts `tensorflow_model_server` with them on this machine.
      kept: files that stay as somebody has changed them.
    """

    folder: Path
    models: dict[str, Path]
    command: list[str]
    kept: list[str]


def models_in(path: str | os.PathLike) -> dict[str, Path]:
    """Models by name: `path` itself if it holds versions, else each folder in it that does.

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
    """Writes what TensorFlow Serving needs to serve the models of a folder.

        models.config               which models, which versions, their labels
        batching_parameters.txt     how requests are merged
        monitoring.config           metrics for Prometheus, at /monitoring/prometheus/metrics of the REST port
        prometheus.yml              a Prometheus that reads them
        compose.yaml                for CPU (`docker compose up`) and GPU (`docker compose --profile gpu up gpu`)
        kubernetes.yaml             a Deployment with probes, and a Service
        kubernetes-config.yaml      their ConfigMap: the first three as they are there, with what you changed in them
        local/models.config         the first again, with the paths of this machine
        README.md                   how each is used

    Of a model with labels the server loads every version in its folder, as it moves a label only to a version that
    is loaded; without any label it follows the newest.

    Written again, options that are not given are those of the last time, which `.generated.json` keeps. Files that
    somebody has changed stay, unless there is something new to write into them.

    Args:
      path: a model's folder, or a folder of such.
      out: the folder to write.
      grpc_port, rest_port: on this machine, at first 8500 and 8501, which they always are within a container.
      max_batch_size: rows of a request, and of the requests that are merged into one run, at most; at first 1024.
      batch_timeout_micros: microseconds to wait for more rows; at first 1000.
      image_tag: of the image tensorflow/serving; that with "-gpu" is for GPUs; at first "latest".
      overwrite: whether to replace files that somebody has changed, or the names of those to replace.

    Raises:
      FileNotFoundError: if there is no model.
      FileExistsError: if there is something new to write into a file that somebody has changed; none is written then.
      ValueError: if an argument is out of its range, or the version of a label is gone.
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
    """The options that files in a folder were written with; none if their record is damaged."""
    options = {name: value for name, value in recorded_options(folder).items() if name in Options._fields}
    try:
        Options(**options).checked()
    except (TypeError, ValueError):
        return {}
    return options
