"""Fills in the files of a deployment."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from tfp_nvp import checks
from tfp_nvp.serving._deploying import templates
from tfp_nvp.serving._folders.version_labels import labels
from tfp_nvp.serving._folders.versions import versions

#: The files that a server reads; the second if it batches.
_READ = ("models.config", "batching_parameters.txt", "monitoring.config")

#: The maximum of a batch size, which is an int32, and of a timeout: with a longer one a server does not wait.
_MOST = 2**31 - 1

#: Tags of images, by the specification of the Open Container Initiative, and names of Kubernetes' Services (RFC 1035)
#: with room for a suffix.
_TAG, _NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?"

#: Folders of models and configuration in the images of TensorFlow Serving.
_MODELS, _CONFIG = "/models", "/config"

#: Threads for gRPC. Each call holds one until it is answered, and a further call is refused: the server's own default,
#: four for each processor, refuses the fifth caller of a machine with one.
_GRPC_THREADS = 512

#: By default one thread loads all models, and tries a broken version six times, a minute apart.
_LOADING = ("--num_load_threads=4", "--max_num_load_retries=1", "--load_retry_interval_micros=2000000")


class Options(NamedTuple):
    """The options of `write_deployment` and their first defaults."""

    name: str = "flows"
    grpc_port: int = 8500
    rest_port: int = 8501
    batching: bool = False
    max_batch_size: int = 1024
    batch_timeout_micros: int = 1000
    image_tag: str = "2.20.0"

    def checked(self) -> Options:
        """Returns the options as plain values, after a check of their ranges."""
        for name, port in (("grpc_port", self.grpc_port), ("rest_port", self.rest_port)):
            checks.integer(name, port, 1, 65535)
            if self.grpc_port == self.rest_port:
                raise ValueError(f"`grpc_port` and `rest_port` must differ; both are {port}.")
        if not isinstance(self.batching, bool):
            raise TypeError(f"`batching` must be True or False; got {self.batching!r}.")
        if not isinstance(self.name, str) or not re.fullmatch(_NAME, self.name):
            raise ValueError(
                f"`name` must be at most 50 of a to z, 0 to 9 and '-', from a letter on to a letter or digit; "
                f"got {self.name!r}."
            )
        if not isinstance(self.image_tag, str) or not re.fullmatch(_TAG, self.image_tag):
            raise ValueError(f"`image_tag` must be a tag such as 2.20.0; got {self.image_tag!r}.")
        return self._replace(
            grpc_port=int(self.grpc_port),
            rest_port=int(self.rest_port),
            max_batch_size=checks.integer("max_batch_size", self.max_batch_size, 1, _MOST),
            batch_timeout_micros=checks.integer("batch_timeout_micros", self.batch_timeout_micros, 0, _MOST),
        )


def name_of(folder: Path) -> str:
    """A name for Kubernetes and compose, by default that of the folder of models."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.name.lower()).strip("-")[:50].rstrip("-")
    return name if re.fullmatch(_NAME, name) else Options().name


def texts(models: Mapping[str, Path], options: Options, command: list[str]) -> dict[str, str]:
    """Returns the texts of the files by path."""
    arguments = [f"--model_config_file={_CONFIG}/models.config", *flags(_CONFIG, options)]
    batching = templates.BATCHING.format(size=options.max_batch_size, timeout=options.batch_timeout_micros)
    return {
        "models.config": models_config(models, {name: f"{_MODELS}/{name}" for name in models}),
        **({"batching_parameters.txt": batching} if options.batching else {}),
        "monitoring.config": templates.MONITORING,
        "local/models.config": models_config(models, {name: str(folder) for name, folder in models.items()}),
        "prometheus.yml": templates.PROMETHEUS.format(name=options.name, port=options.rest_port),
        "compose.yaml": _compose(models, options, arguments),
        "kubernetes.yaml": templates.KUBERNETES.format(
            name=options.name,
            arguments=_lines(12, (f"- {_quoted(argument)}" for argument in arguments)),
            metadata=_quoted(_metadata_path(models)),
            tag=options.image_tag,
            config=_CONFIG,
            models=_MODELS,
        ),
        "README.md": templates.README.format(
            name=options.name,
            models=", ".join(models),
            first=quote(next(iter(models)), safe=""),
            command=" \\\n    ".join(map(shlex.quote, command)),
            rest=options.rest_port,
        ),
    }


def _compose(models: Mapping[str, Path], options: Options, arguments: Iterable[str]) -> str:
    return templates.COMPOSE.format(
        name=options.name,
        arguments=_lines(6, (f"- {_quoted(argument)}" for argument in arguments)),
        volumes=_lines(6, (_mount(folder, f"{_MODELS}/{name}") for name, folder in models.items())),
        health=_quoted(templates.HEALTH.format(path=_metadata_path(models))),
        grpc=options.grpc_port,
        rest=options.rest_port,
        tag=options.image_tag,
        config=_CONFIG,
    )


def _metadata_path(models: Mapping[str, Path]) -> str:
    """The path of REST that answers 200 while the first model has a version that is loaded."""
    return f"/v1/models/{quote(next(iter(models)))}/metadata"


def config_map(texts: Mapping[str, str], name: str) -> dict[str, str]:
    """Returns the ConfigMap of the files that a server reads, for Kubernetes."""
    files = (f"{file}: {_block(texts[file], 4)}" for file in _READ if file in texts)
    return {"kubernetes-config.yaml": templates.KUBERNETES_CONFIG.format(name=name, files=_lines(2, files))}


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


def flags(config: str, options: Options) -> list[str]:
    """A server's flags, except ports and models."""
    batching = ["--enable_batching=true", f"--batching_parameters_file={config}/batching_parameters.txt"]
    return [
        *(batching if options.batching else []),
        f"--monitoring_config_file={config}/monitoring.config",
        "--model_config_file_poll_wait_seconds=60",
        "--allow_version_labels_for_unavailable_models=true",
        f"--grpc_max_threads={_GRPC_THREADS}",
        *_LOADING,
    ]


def _quoted(text: str) -> str:
    """Quotes a string for protobuf's text format and for YAML."""
    if not text.isprintable():  # YAML reads U+0085 and U+2028 as line breaks
        raise ValueError(f"names and paths of models must be of printable characters; got {text!r}. Rename the folder.")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _mount(source: Path, target: str) -> str:
    """A volume of a compose file, with "$" escaped."""
    where, there = (_quoted(path.replace("$", "$$")) for path in (str(source), target))
    return f"- {{type: bind, source: {where}, target: {there}, read_only: true}}"


def _lines(indent: int, lines: Iterable[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)
