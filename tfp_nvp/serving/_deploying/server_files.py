"""Fills in the files of a deployment."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from tfp_nvp import checks
from tfp_nvp.serving._deploying import templates
from tfp_nvp.serving._folders.version_labels import labels
from tfp_nvp.serving._folders.versions import versions

#: The files that a server reads.
_READ = ("models.config", "batching_parameters.txt", "monitoring.config")

#: The maximum of a batch size, which is an int32, and of a timeout: with a longer one a server does not wait.
_MOST = 2**31 - 1

#: Folders of models and configuration in the images of TensorFlow Serving.
_MODELS, _CONFIG = "/models", "/config"


class Options(NamedTuple):
    """The options of `write_deployment` and their first defaults."""

    grpc_port: int = 8500
    rest_port: int = 8501
    max_batch_size: int = 1024
    batch_timeout_micros: int = 1000
    image_tag: str = "latest"

    def checked(self) -> Options:
        """Returns the options as plain values, after a check of their ranges."""
        for name, port in (("grpc_port", self.grpc_port), ("rest_port", self.rest_port)):
            if checks.integer(name, port, 1) > 65535 or self.grpc_port == self.rest_port:
                raise ValueError(f"`{name}` must be at most 65535 and another than the other port; got {port}.")
        tag = self.image_tag
        if not isinstance(tag, str) or not tag or any(not (c.isalnum() or c in "._-") for c in tag):
            raise ValueError(f"`image_tag` must be a tag such as 2.19.0; got {tag!r}.")
        return Options(
            int(self.grpc_port),
            int(self.rest_port),
            checks.integer("max_batch_size", self.max_batch_size, 1, _MOST),
            checks.integer("batch_timeout_micros", self.batch_timeout_micros, 0, _MOST),
            tag,
        )


def texts(models: Mapping[str, Path], options: Options, command: list[str]) -> dict[str, str]:
    """Returns the texts of the files by path."""
    config = {
        "models.config": models_config(models, {name: f"{_MODELS}/{name}" for name in models}),
        "batching_parameters.txt": templates.BATCHING.format(
            size=options.max_batch_size, timeout=options.batch_timeout_micros
        ),
        "monitoring.config": templates.MONITORING,
    }
    arguments = [f"--model_config_file={_CONFIG}/models.config", *flags(_CONFIG)]
    return {
        **config,
        "local/models.config": models_config(models, {name: str(folder) for name, folder in models.items()}),
        "prometheus.yml": templates.PROMETHEUS.format(port=options.rest_port),
        "compose.yaml": templates.COMPOSE.format(
            arguments=_lines(6, (f"- {_quoted(argument)}" for argument in arguments)),
            volumes=_lines(6, (_mount(folder, f"{_MODELS}/{name}") for name, folder in models.items())),
            grpc=options.grpc_port,
            rest=options.rest_port,
            tag=options.image_tag,
            config=_CONFIG,
        ),
        "kubernetes.yaml": templates.KUBERNETES.format(
            arguments=_lines(12, (f"- {_quoted(argument)}" for argument in arguments)),
            status=_quoted(f"/v1/models/{quote(next(iter(models)))}"),
            tag=options.image_tag,
            config=_CONFIG,
            models=_MODELS,
        ),
        "README.md": templates.README.format(
            models=", ".join(models),
            first=quote(next(iter(models)), safe=""),
            command=" \\\n    ".join(map(shlex.quote, command)),
            rest=options.rest_port,
        ),
    }


def config_map(texts: Mapping[str, str]) -> dict[str, str]:
    """Returns Kubernetes' ConfigMap of the files that a server reads."""
    files = (f"{name}: {_block(texts[name], 4)}" for name in _READ)
    return {"kubernetes-config.yaml": templates.KUBERNETES_CONFIG.format(files=_lines(2, files))}


def _block(text: str, indent: int) -> str:
    """Writes a string of YAML as a block, or as JSON if a block would not preserve it."""
    lines = text.split("\n")
    if lines[-1] or not lines[:-1] or not lines[-2] or not all(line.replace("\t", "").isprintable() for line in lines):
        return json.dumps(text)
    return "|2\n" + _lines(indent, lines[:-1])


def models_config(models: Mapping[str, Path], where: Mapping[str, str]) -> str:
    """Returns a `ModelServerConfig` in protobuf's text format: models at paths, with the labels of their folders.

    Raises:
      ValueError: if the version of a label is missing.
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
            # A server moves a label only to a loaded version, so it loads all.
            lines += ["    model_version_policy { all {} }"]
        for label, version in sorted(named.items()):
            lines += ["    version_labels {", f"      key: {_quoted(label)}", f"      value: {version}", "    }"]
        lines += ["  }"]
    return "\n".join([*lines, "}", ""])


def flags(config: str) -> list[str]:
    """A server's flags, except ports and models."""
    return [
        "--enable_batching=true",
        f"--batching_parameters_file={config}/batching_parameters.txt",
        f"--monitoring_config_file={config}/monitoring.config",
        "--model_config_file_poll_wait_seconds=60",
        "--allow_version_labels_for_unavailable_models=true",
    ]


def _quoted(text: str) -> str:
    """Quotes a string for protobuf's text format and for YAML."""
    if any(ord(c) < 32 for c in text):
        raise ValueError(f"names and paths must have no control characters; got {text!r}.")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mount(source: Path, target: str) -> str:
    """A volume of a compose file, with "$" escaped."""
    where, there = (_quoted(path.replace("$", "$$")) for path in (str(source), target))
    return f"- {{type: bind, source: {where}, target: {there}, read_only: true}}"


def _lines(indent: int, lines: Iterable[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)
