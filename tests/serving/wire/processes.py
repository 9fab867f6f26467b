"""Model servers as processes: the one of these tests, and the real one where it is installed."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
REAL = "tensorflow_model_server"

#: Which servers there are to test against.
KINDS = ["ours", *([REAL] if shutil.which(REAL) else [])]


class Running(NamedTuple):
    """A server that has loaded its models."""

    kind: str
    process: subprocess.Popen
    port: int
    rest_port: int


def start(kind: str, config: str, folder: Path, batching: str | None = None) -> Running:
    """Starts a server, and waits until it answers.

    Args:
      kind: of `KINDS`.
      config: a ModelServerConfig in text form.
      folder: for its files and its log.
      batching: BatchingParameters in text form, or None for no batching.

    Raises:
      RuntimeError: with the end of its log, if it does not come up.
    """
    folder.mkdir(parents=True)
    (folder / "models.config").write_text(config)
    flags = [
        f"--model_config_file={folder / 'models.config'}",
        "--allow_version_labels_for_unavailable_models=true",  # else a config with labels can't start
        "--max_num_load_retries=0",  # else a bad version is tried for minutes
        "--grpc_max_threads=64",  # else a machine with few processors refuses callers
        "--num_load_threads=4",
    ]
    if batching is not None:
        (folder / "batching.config").write_text(batching)
        flags += ["--enable_batching=true", f"--batching_parameters_file={folder / 'batching.config'}"]
    return start_with(kind, flags, folder / "log")


def start_with(kind: str, flags: Sequence[str], log: Path, timeout: float = 400.0) -> Running:
    """As `start`, with flags of one's own, but for ports."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    with log.open("w") as stderr:
        start_one = _start_real if kind == REAL else _start_ours
        running = start_one(flags, environment, stderr, time.monotonic() + timeout)
    if running.process.poll() is not None or not running.port:
        stop(running)
        raise RuntimeError(f"The server {kind} did not start:\n{log.read_text()[-3000:]}")
    return running


def stop(running: Running) -> None:
    """Ends a server."""
    running.process.kill()
    running.process.wait()
    if running.process.stdout:
        running.process.stdout.close()


def config_of(models: Mapping[str, Path], extra: Mapping[str, str] | None = None) -> str:
    """A ModelServerConfig in text form: folders by name, and more fields of some by name."""
    entries = [
        f'config {{ name: "{name}" base_path: "{folder}" model_platform: "tensorflow" {(extra or {}).get(name, "")} }}'
        for name, folder in models.items()
    ]
    return "model_config_list { " + "\n".join(entries) + " }"


def _start_ours(flags: Sequence[str], environment: dict[str, str], stderr: object, deadline: float) -> Running:
    command = [sys.executable, "-W", "ignore", "-m", "tests.serving.wire.model_server", "--port=0", *flags]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stderr)
    ready, _, _ = select.select([process.stdout], [], [], deadline - time.monotonic())
    line = process.stdout.readline() if ready else b""
    ports = json.loads(line) if line else {"port": 0, "rest_api_port": 0}
    return Running("ours", process, ports["port"], ports["rest_api_port"])


def _start_real(flags: Sequence[str], environment: dict[str, str], stderr: object, deadline: float) -> Running:
    port, rest_port = _free_ports(2)
    command = [
        REAL,
        f"--port={port}",
        f"--rest_api_port={rest_port}",
        "--file_system_poll_wait_seconds=1",  # the least: zero means never again
        *flags,
    ]
    # Why a start failed is on the standard output.
    process = subprocess.Popen(command, env=environment, stdout=stderr, stderr=subprocess.STDOUT)
    while time.monotonic() < deadline and process.poll() is None:  # it listens to REST last, with all models loaded
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", rest_port)) == 0:
                return Running(REAL, process, port, rest_port)
        time.sleep(0.1)
    return Running(REAL, process, 0, 0)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
