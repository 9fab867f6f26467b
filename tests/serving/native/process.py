"""Requests to an export, answered by a process without Python."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tests.serving.rounding import within

Arrays = dict[str, np.ndarray]

INVALID_ARGUMENT = 3  # TF_Code


def compile_loader(folder: Path) -> Path | None:
    """Compiles loader.c into a folder; None if there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    program, libraries = folder / "loader", tf.sysconfig.get_lib()
    command = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", str(Path(__file__).parent / "loader.c")]
    command += ["-o", str(program), f"-I{tf.sysconfig.get_include()}", f"-L{libraries}", f"-Wl,-rpath,{libraries}"]
    command += ["-Wl,--no-as-needed", "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2", "-lpthread"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return program


class Process:
    """A run of loader.c: requests are written down, `start` has them run one by one, `answers` reads what came of it.

    After `answers`, `outputs` holds arrays by the requests' tags and the outputs' names, and `errors` holds (code,
    message) by the tags of requests that were to fail; the code is 0 if they did not.
    """

    def __init__(self, loader: Path, folder: Path, scratch: Path):
        self.loader, self.folder, self.scratch = loader, folder, scratch
        self.definitions = signature_defs(folder)
        self.lines: list[str] = []
        self.outputs: dict[str, Arrays] = {}
        self.errors: dict[str, tuple[int, str]] = {}

    def ask(self, tag: str, signature: str, inputs: Arrays, action: str = "run") -> None:
        """Has `action` (run, repeat COUNT, error TAG, queue, time COUNT FILE) done with one request."""
        definition = self.definitions[signature]
        for key, value in inputs.items():
            dtype = tf.as_dtype(value.dtype)
            file = self.scratch / f"{tag}.in.{key}"
            if dtype == tf.string:
                file.write_text("".join(f"{each}\n" for each in value.reshape(-1)))
            else:
                file.write_bytes(np.ascontiguousarray(value).tobytes())
            sizes = " ".join(map(str, value.shape))
            self.lines.append(
                f"in {definition.inputs[key].name} {dtype.as_datatype_enum} {file} {value.ndim} {sizes}".rstrip()
            )
        for key, tensor in definition.outputs.items():
            self.lines.append(f"out {tensor.name} {self.scratch / f'{tag}.out.{key}'}")
        self.lines.append(action)

    def threads(self, count: int, times: int) -> None:
        """Has all queued requests run by so many threads so many times."""
        self.lines.append(f"threads {count} {times}")

    def start(self, threads: int | None = None) -> subprocess.Popen:
        """Starts the process, with so many threads within TensorFlow."""
        manifest = self.scratch / "manifest"
        manifest.write_text("\n".join(self.lines) + "\n")
        command = [str(self.loader), str(self.folder), str(manifest), *([] if threads is None else [str(threads)])]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def answers(self, started: subprocess.Popen | None = None) -> Process:
        """Waits for the process, and reads its answers."""
        started = self.start() if started is None else started
        printed, complaints = started.communicate(timeout=300)
        assert started.returncode == 0, complaints[-2000:]
        for line in printed.splitlines():
            if line.startswith("error "):
                _, tag, code, message = [*line.split(" ", 3), ""][:4]
                self.errors[tag] = int(code), message
            elif not line.startswith("timed "):
                file, dtype, _, *sizes = line.split()
                tag, key = Path(file).name.split(".out.")
                values = np.fromfile(file, tf.as_dtype(int(dtype)).as_numpy_dtype)
                self.outputs.setdefault(tag, {})[key] = values.reshape([int(size) for size in sizes])
        return self


def signature_defs(folder: Path) -> dict[str, meta_graph_pb2.SignatureDef]:
    """The signatures of an export, by name."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (meta,) = saved.meta_graphs
    assert list(meta.meta_info_def.tags) == ["serve"]
    return {name: each for name, each in meta.signature_def.items() if not name.startswith("__")}


def assert_equal(values: Arrays, expected: Arrays, num_layers: int = 12) -> None:
    """Arrays of the same names, dtypes and shapes, and of values as near as their precision has it."""
    assert values.keys() == expected.keys()
    for key, value in values.items():
        other = expected[key]
        assert (value.dtype, value.shape) == (other.dtype, other.shape), key
        if value.dtype.kind in "iu":  # real numbers rounded down: one that is all but whole may fall on either side
            assert np.abs(value.astype(int) - other).max(initial=0) <= 1, key
            assert (value != other).mean() < 0.02 if value.size else True, key
        else:
            # The C library and Python run the same graph; thread pools sum in another order: through all layers.
            np.testing.assert_allclose(value, other, **within(value.dtype, num_layers), err_msg=key)
