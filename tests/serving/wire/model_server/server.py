"""The process: flags, models, ports."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.serving.wire.model_server.batcher import BatchingParameters
from tests.serving.wire.model_server.core import Core
from tests.serving.wire.model_server.errors import ServingError
from tests.serving.wire.model_server.grpc_api import start_grpc
from tests.serving.wire.model_server.rest_api import start_rest
from tests.serving.wire.model_server.servable import Servable
from tests.serving.wire.model_server.versions import Loading, Model, Policy, latest, specific


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until it is killed; prints the ports as a line of JSON once all models are loaded."""
    flags = _flags(arguments)
    _disable_xla()
    config = _config(flags)
    core = Core(_models(flags, config))
    try:
        _configure(core, config, flags.allow_version_labels_for_unavailable_models)
    except ServingError as error:
        sys.exit(f"Failed to start server. Error: {error.code.name}: {error.message}")
    with ThreadPoolExecutor(len(core.models) + 1) as pool:
        list(pool.map(Model.poll, core.models.values()))
    for model in core.models.values():
        failed = {version: state.error for version, state in model.states.items() if state.error}
        if failed:
            sys.exit(f"Versions of {model.name} did not become available: {failed}")
    _grpc, port = start_grpc(core, flags.port, flags.grpc_max_threads)
    _rest, rest_port = start_rest(core, flags.rest_api_port, flags.rest_api_num_threads, _metrics_path(flags))
    print(json.dumps({"port": port, "rest_api_port": rest_port}), flush=True)  # noqa: T201
    read = time.monotonic()
    for model in core.models.values():
        threading.Thread(target=_watch, args=[model, flags.file_system_poll_wait_seconds], daemon=True).start()
    while True:
        time.sleep(flags.file_system_poll_wait_seconds)
        if 0 < flags.model_config_file_poll_wait_seconds <= time.monotonic() - read:
            read = time.monotonic()
            try:
                _configure(core, _config(flags), flags.allow_version_labels_for_unavailable_models)
            except (ServingError, text_format.ParseError) as error:  # the configuration stays as it was
                print(f"Failed to reload: {error}", file=sys.stderr, flush=True)  # noqa: T201


def _watch(model: Model, seconds: float) -> None:
    """Polls a model's folder; while its versions wait for a thread to load them, or are tried again, it does not."""
    while True:
        time.sleep(seconds)
        model.poll()


def _flags(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The real server's, and `--model`; flags that only matter to the real one are taken and ignored."""
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__, allow_abbrev=False)
    parser.add_argument("--model", action="append", default=[], metavar="NAME=DIR", help="a model's name and folder")
    parser.add_argument("--model_config_file", type=Path, help="a ModelServerConfig in text form")
    parser.add_argument("--port", type=int, default=0, help="for gRPC; 0 for a free one")
    parser.add_argument("--rest_api_port", type=int, default=0, help="for REST; 0 for a free one")
    parser.add_argument("--enable_batching", type=_boolean, nargs="?", const=True, default=False)
    parser.add_argument("--batching_parameters_file", type=Path, help="BatchingParameters in text form")
    parser.add_argument("--file_system_poll_wait_seconds", type=float, default=0.2)
    parser.add_argument("--model_config_file_poll_wait_seconds", type=float, default=0.0, help="0 to read it once")
    cpus = os.cpu_count() or 1
    parser.add_argument("--grpc_max_threads", type=int, default=4 * cpus)
    parser.add_argument("--rest_api_num_threads", type=int, default=4 * cpus)
    parser.add_argument("--num_load_threads", type=int, default=0, help="0 for one")
    parser.add_argument("--max_num_load_retries", type=int, default=5)
    parser.add_argument("--load_retry_interval_micros", type=int, default=60_000_000)
    parser.add_argument("--monitoring_config_file", type=Path, help="a MonitoringConfig in text form")
    parser.add_argument("--allow_version_labels_for_unavailable_models", type=_boolean, nargs="?", const=True)
    return parser.parse_known_args(arguments)[0]


def _metrics_path(flags: argparse.Namespace) -> str | None:
    """Where the monitoring file, of which the stubs have no class, has the metrics."""
    text = flags.monitoring_config_file.read_text() if flags.monitoring_config_file else ""
    found = re.search(r'enable:\s*true\s+path:\s*"([^"]+)"', text)
    return found[1] if found else None


def _boolean(text: str) -> bool:
    return text.lower() in ("true", "1")


def _config(flags: argparse.Namespace) -> model_server_config_pb2.ModelServerConfig:
    config = model_server_config_pb2.ModelServerConfig()
    if flags.model_config_file:
        text_format.Parse(flags.model_config_file.read_text(), config)
    for each in flags.model:
        name, _, folder = each.partition("=")
        config.model_config_list.config.add(name=name, base_path=folder)
    return config


def _configure(core: Core, config: model_server_config_pb2.ModelServerConfig, allow_unavailable: bool) -> None:
    """Gives the models their policies and labels: all, or none, and `ServingError`, if a label may not be assigned."""
    given = [(core.models[each.name], each) for each in config.model_config_list.config if each.name in core.models]
    for model, each in given:
        model.check_labels(each.version_labels, allow_unavailable)
    for model, each in given:
        model.configure(_policy(each.model_version_policy), dict(each.version_labels))


def _models(flags: argparse.Namespace, config: model_server_config_pb2.ModelServerConfig) -> list[Model]:
    batching = None
    if flags.enable_batching:
        file = flags.batching_parameters_file
        batching = BatchingParameters.parse("" if file is None else file.read_text())

    def load(folder: Path) -> Servable:
        servable = Servable(folder, batching)
        servable.warm_up()
        return servable

    loading = Loading(
        ThreadPoolExecutor(max(1, flags.num_load_threads)),
        flags.max_num_load_retries,
        flags.load_retry_interval_micros / 1e6,
    )
    return [
        Model(each.name, Path(each.base_path), load, _policy(each.model_version_policy), loading)
        for each in config.model_config_list.config
    ]


def _policy(config: object) -> Policy:
    choice = config.WhichOneof("policy_choice")
    if choice == "specific":
        return specific(config.specific.versions)
    if choice == "all":
        return lambda found: found
    return latest(config.latest.num_versions or 1)


def _disable_xla() -> None:
    """For the whole process, as the real server does by default."""
    library = Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2"
    ctypes.CDLL(str(library))._ZN10tensorflow21DisableXlaCompilationEv()
