"""What a person needs beside a model's folder: configuration of a server, of its monitoring, and how it is run."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tfp_nvp import checks
from tfp_nvp.serving.generated import recorded_options, write_generated
from tfp_nvp.serving.version_labels import labels
from tfp_nvp.serving.versions import versions

#: What a server reads but for the models.
_READ = ("models.config", "batching_parameters.txt", "monitoring.config")

#: Of rows and of microseconds: a batch's size is of 32 bits, and waiting longer is no waiting.
_MOST = 2**31 - 1

#: Where the images of TensorFlow Serving find models and configuration.
_MODELS, _CONFIG = "/models", "/config"


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
    found = {child.name: child for child in children if child.is_dir() and versions(child)}
    if not found:
        raise FileNotFoundError(
            f"No model in {path}: it must hold versions (1/, 2/, …), or folders that do. `tfp_nvp.export` writes them."
        )
    return found


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
    given = {
        "grpc_port": grpc_port,
        "rest_port": rest_port,
        "max_batch_size": max_batch_size,
        "batch_timeout_micros": batch_timeout_micros,
        "image_tag": image_tag,
    }
    options = _Options(
        **(_last_options(root) | {name: value for name, value in given.items() if value is not None})
    ).checked()
    models = models_in(path)
    command = [
        shutil.which("tensorflow_model_server") or "tensorflow_model_server",
        f"--port={options.grpc_port}",
        f"--rest_api_port={options.rest_port}",
        f"--model_config_file={root / 'local' / 'models.config'}",
        *_flags(str(root)),
    ]
    files = _files(models, options, command)
    kept = write_generated(root, files, options._asdict(), derived=_config_map, overwrite=overwrite)
    return Deployment(root, models, command, kept)


class _Options(NamedTuple):
    """What `write_deployment` may be told, and what it takes at first."""

    grpc_port: int = 8500
    rest_port: int = 8501
    max_batch_size: int = 1024
    batch_timeout_micros: int = 1000
    image_tag: str = "latest"

    def checked(self) -> _Options:
        """The same as plain values, in their ranges."""
        for name, port in (("grpc_port", self.grpc_port), ("rest_port", self.rest_port)):
            if checks.integer(name, port, 1) > 65535 or self.grpc_port == self.rest_port:
                raise ValueError(f"`{name}` must be at most 65535 and another than the other port; got {port}.")
        tag = self.image_tag
        if not isinstance(tag, str) or not tag or any(not (c.isalnum() or c in "._-") for c in tag):
            raise ValueError(f"`image_tag` must be a tag such as 2.19.0; got {tag!r}.")
        return _Options(
            int(self.grpc_port),
            int(self.rest_port),
            checks.integer("max_batch_size", self.max_batch_size, 1, _MOST),
            checks.integer("batch_timeout_micros", self.batch_timeout_micros, 0, _MOST),
            tag,
        )


def _last_options(folder: Path) -> dict[str, Any]:
    """The options that files in a folder were written with; none if their record is damaged."""
    found = {name: value for name, value in recorded_options(folder).items() if name in _Options._fields}
    try:
        _Options(**found).checked()
    except (TypeError, ValueError):
        return {}
    return found


def _files(models: Mapping[str, Path], options: _Options, command: list[str]) -> dict[str, str]:
    """The texts by path."""
    config = {
        "models.config": models_config(models, {name: f"{_MODELS}/{name}" for name in models}),
        "batching_parameters.txt": _BATCHING.format(size=options.max_batch_size, timeout=options.batch_timeout_micros),
        "monitoring.config": _MONITORING,
    }
    arguments = [f"--model_config_file={_CONFIG}/models.config", *_flags(_CONFIG)]
    return {
        **config,
        "local/models.config": models_config(models, {name: str(folder) for name, folder in models.items()}),
        "prometheus.yml": _PROMETHEUS.format(port=options.rest_port),
        "compose.yaml": _COMPOSE.format(
            arguments=_lines(6, (f"- {_quoted(each)}" for each in arguments)),
            volumes=_lines(6, (_mount(folder, f"{_MODELS}/{name}") for name, folder in models.items())),
            grpc=options.grpc_port,
            rest=options.rest_port,
            tag=options.image_tag,
            config=_CONFIG,
        ),
        "kubernetes.yaml": _KUBERNETES.format(
            arguments=_lines(12, (f"- {_quoted(each)}" for each in arguments)),
            status=_quoted(f"/v1/models/{quote(next(iter(models)))}"),
            tag=options.image_tag,
            config=_CONFIG,
            models=_MODELS,
        ),
        "README.md": _README.format(
            models=", ".join(models),
            first=quote(next(iter(models)), safe=""),
            command=" \\\n    ".join(map(shlex.quote, command)),
            rest=options.rest_port,
        ),
    }


def _config_map(texts: Mapping[str, str]) -> dict[str, str]:
    """Kubernetes' ConfigMap of what a server reads."""
    parts = (f"{name}: {_block(texts[name], 4)}" for name in _READ)
    return {"kubernetes-config.yaml": _KUBERNETES_CONFIG.format(files=_lines(2, parts))}


def _block(text: str, indent: int) -> str:
    """A string of YAML: in lines of its own, unless these would not give it back."""
    lines = text.split("\n")
    if lines[-1] or not lines[:-1] or not lines[-2] or not all(line.replace("\t", "").isprintable() for line in lines):
        return json.dumps(text)
    return "|2\n" + _lines(indent, lines[:-1])


def models_config(models: Mapping[str, Path], where: Mapping[str, str]) -> str:
    """A `ModelServerConfig` in protobuf's text format: models at paths, with the labels of their folders.

    Raises:
      ValueError: if the version of a label is gone.
    """
    lines = ["model_config_list {"]
    for name, folder in models.items():
        named, there = labels(folder), versions(folder)
        gone = {label: version for label, version in named.items() if version not in there}
        if gone:
            raise ValueError(
                f"{folder} has labels of versions that are gone, {gone}: `serving.set_label` sets them anew, and "
                "`serving.remove_label` removes them."
            )
        lines += ["  config {", f"    name: {_quoted(name)}", f"    base_path: {_quoted(where[name])}"]
        lines += ['    model_platform: "tensorflow"']
        if named:
            # A server moves a label only to a version that it has loaded already, so it loads all.
            lines += ["    model_version_policy { all {} }"]
        for label, version in sorted(named.items()):
            lines += ["    version_labels {", f"      key: {_quoted(label)}", f"      value: {version}", "    }"]
        lines += ["  }"]
    return "\n".join([*lines, "}", ""])


def _flags(config: str) -> list[str]:
    """What every server is started with, but for ports and models."""
    return [
        "--enable_batching=true",
        f"--batching_parameters_file={config}/batching_parameters.txt",
        f"--monitoring_config_file={config}/monitoring.config",
        "--model_config_file_poll_wait_seconds=60",
        "--allow_version_labels_for_unavailable_models=true",
    ]


def _quoted(text: str) -> str:
    """A string of protobuf's text format, and of YAML."""
    if any(ord(c) < 32 for c in text):
        raise ValueError(f"names and paths must have no control characters; got {text!r}.")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mount(source: Path, target: str) -> str:
    """A volume of a compose file, where "$" begins a variable."""
    where, there = (_quoted(path.replace("$", "$$")) for path in (str(source), target))
    return f"- {{type: bind, source: {where}, target: {there}, read_only: true}}"


def _lines(indent: int, lines: Iterable[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)


_BATCHING = """\
max_batch_size {{ value: {size} }}
batch_timeout_micros {{ value: {timeout} }}
max_enqueued_batches {{ value: 100 }}
"""

_MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

_PROMETHEUS = """\
global:
  scrape_interval: 15s
scrape_configs:
  - job_name: tensorflow_serving
    metrics_path: /monitoring/prometheus/metrics
    static_configs:
      # For a Prometheus on this machine. In a container localhost is the container itself: there it is
      # "cpu:8501" (or "gpu:8501") in the network of compose.yaml, else "host.docker.internal:{port}".
      - targets: ["localhost:{port}"]
"""

_COMPOSE = """\
# Pin the images to a release that is not older than the TensorFlow which exported the models (assets.extra/model.json):
# `tfp-nvp serve --image-tag 2.19.0`, say.
services:
  cpu: &serving
    image: tensorflow/serving:{tag}
    command:
{arguments}
    ports:
      - "{grpc}:8500"
      - "{rest}:8501"
    volumes:
      - {{type: bind, source: ., target: {config}, read_only: true}}
{volumes}
    restart: unless-stopped
  gpu:
    <<: *serving
    image: tensorflow/serving:{tag}-gpu
    profiles: [gpu]
    deploy:
      resources:
        reservations:
          devices:
            - {{driver: nvidia, count: 1, capabilities: [gpu]}}
"""

_KUBERNETES_CONFIG = """\
# Made of the files beside it: change those, and run `tfp-nvp serve` again.
apiVersion: v1
kind: ConfigMap
metadata:
  name: flows-config
data:
{files}
"""

_KUBERNETES = """\
# The models are on a volume of the claim "models", as NAME/VERSION/. The ConfigMap is in kubernetes-config.yaml.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: flows
  labels: {{app: flows}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: flows}}
  template:
    metadata:
      labels: {{app: flows}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      containers:
        - name: serving
          image: tensorflow/serving:{tag}
          args:
{arguments}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          startupProbe:
            httpGet: {{path: {status}, port: rest}}
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            httpGet: {{path: {status}, port: rest}}
          livenessProbe:
            tcpSocket: {{port: grpc}}
          resources:
            requests: {{cpu: "1", memory: 1Gi}}
            limits: {{memory: 4Gi}}
            # For a GPU: the image tensorflow/serving:{tag}-gpu, and in limits  nvidia.com/gpu: 1
          volumeMounts:
            - {{name: models, mountPath: {models}, readOnly: true}}
            - {{name: config, mountPath: {config}, readOnly: true}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: models, readOnly: true}}
        - name: config
          configMap: {{name: flows-config}}
---
apiVersion: v1
kind: Service
metadata:
  name: flows
spec:
  selector: {{app: flows}}
  ports:
    - {{name: grpc, port: 8500, targetPort: grpc}}
    - {{name: rest, port: 8501, targetPort: rest}}
"""

_README = """\
# Serving {models}

Written by `tfp-nvp serve`; written again, these files follow new labels and keep their options. What you change in them
stays, or is asked about. A new version needs nothing: a server finds it within seconds.

On this machine, where `tensorflow_model_server` is installed:

    {command}

In a container, on CPU or on a GPU (which needs the NVIDIA container toolkit):

    docker compose up cpu
    docker compose --profile gpu up gpu

In Kubernetes, with the models on a volume of the claim `models`:

    kubectl apply -f kubernetes-config.yaml -f kubernetes.yaml

After `tfp-nvp serve` has written new labels, apply both again. Kubernetes brings a changed ConfigMap to the servers
within a minute or two, and they read models.config once a minute; the other two files they read when they start
(`kubectl rollout restart deployment/flows`).

Is it there?

    curl http://localhost:{rest}/v1/models/{first}

Metrics for Prometheus are at http://localhost:{rest}/monitoring/prometheus/metrics; prometheus.yml reads them.
"""
