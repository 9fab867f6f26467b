"""Exports answer from a process without Python, through the loader that a model server uses, with XLA off."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfp_nvp.serving.cases import cases
from tfp_nvp.serving.inputs import served
from tfp_nvp.serving.signatures import signatures

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def loader(tmp_path_factory):
    """The compiled loader."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    program, libraries = tmp_path_factory.mktemp("native") / "loader", tf.sysconfig.get_lib()
    command = [compiler, "-O1", "-Wall", "-Werror", str(HERE / "loader.c"), "-o", str(program)]
    command += [f"-I{tf.sysconfig.get_include()}", f"-L{libraries}", f"-Wl,-rpath,{libraries}", "-Wl,--no-as-needed"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def signature_defs(folder):
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (meta,) = saved.meta_graphs
    assert list(meta.meta_info_def.tags) == ["serve"]
    return {name: each for name, each in meta.signature_def.items() if not name.startswith("__")}


def write_manifest(scratch, definition, tag, inputs):
    """The lines that run one signature once; its inputs go to raw files."""
    lines = []
    for key, value in inputs.items():
        file = scratch / f"{tag}.in.{key}"
        file.write_bytes(np.ascontiguousarray(value).tobytes())
        tensor = definition.inputs[key]
        lines.append(f"in {tensor.name} {tensor.dtype} {file} {value.ndim} {' '.join(map(str, value.shape))}")
    lines += [f"out {tensor.name} {scratch / f'{tag}.out.{key}'}" for key, tensor in definition.outputs.items()]
    return [*lines, "run"]


def read_outputs(printed):
    outputs = {}
    for line in printed.splitlines():
        file, dtype, _, *sizes = line.split()
        values = np.fromfile(file, tf.as_dtype(int(dtype)).as_numpy_dtype)
        outputs[Path(file).name] = values.reshape([int(size) for size in sizes])
    return outputs


@pytest.mark.parametrize(
    "name", ["spline", "spline64", "encoder", "mixture_base", "maf", "iaf", "learned_base", "stock_flow"]
)
def test_every_signature_twice(name, exported, loader, tmp_path):
    case = exported(name)
    parts = served(case.model)
    condition = case.raw_condition(5)
    expected = cases(parts, signatures(parts), condition=condition)
    expected["serving_default"] = expected["log_prob"]
    definitions = signature_defs(case.folder)
    assert definitions.keys() == expected.keys()
    manifest = []
    for rows in (None, 2, 0):
        for signature, definition in definitions.items():
            inputs = {key: value[:rows] for key, value in expected[signature].inputs.items()}
            for again in range(2):
                manifest += write_manifest(tmp_path, definition, f"{signature}.{rows}.{again}", inputs)
    (tmp_path / "manifest").write_text("\n".join(manifest) + "\n")
    done = subprocess.run(
        [loader, case.folder, tmp_path / "manifest"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = read_outputs(done.stdout)
    tolerance = 1e-9 if case.distribution.dtype == tf.float64 else 2e-4
    for signature, each in expected.items():
        for key, value in each.outputs.items():
            for rows in (None, 2, 0):
                first, second = (outputs[f"{signature}.{rows}.{again}.out.{key}"] for again in range(2))
                assert first.dtype == value.dtype
                assert first.shape == value[:rows].shape
                np.testing.assert_allclose(first, value[:rows], rtol=tolerance, atol=tolerance)
                np.testing.assert_array_equal(first, second)
