"""The C file of a model computes what the model does, for flows of dense networks, and others are refused by name."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

import tfp_nvp as nvp
from tests.serving.conftest import RECIPES, encoded, encoded_from_two, shaken
from tfp_nvp.bijectors import ActNorm, Chain, Sinh, Support
from tfp_nvp.serving import load, read_card
from tfp_nvp.serving._exporting.c_arrays import literal
from tfp_nvp.serving._exporting.c_source import c_source
from tfp_nvp.serving._exporting.cases import cases
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import signatures
from tfp_nvp.training import AnomalyDetector, FlowModel, Schema
from tfp_nvp.transformers import RationalQuadratic

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
ARM, QEMU = shutil.which("aarch64-linux-gnu-gcc"), shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler")

SMALL = {"num_layers": 1, "seed": 0, "dtype": "float64"}


def of_columns():
    """What `nvp.fit` puts next to the data: bounds of every kind, heavy tails, grids."""
    inner = nvp.RealNVP([4], hidden_units=[4], **SMALL)
    low, high = [0.0, 0.0, -np.inf, -np.inf], [1.0, np.inf, np.inf, 3.0]
    support = Support(low, high, log=[False, True, False, False], dtype="float64")
    layers = [support, Sinh([False, False, True, False], dtype="float64"), ActNorm([4], dtype="float64")]
    flow = nvp.Flow(inner.distribution, Chain([*layers, inner.bijector]))
    rng = np.random.default_rng(0)
    flow.initialize(np.stack([rng.uniform(size=32), rng.exponential(size=32), rng.normal(size=32), -np.ones(32)], -1))
    low, high = (0.0, 0.0, None, None), (1.0, None, None, 3.0)
    schema = Schema(step=(0.0, 0.5, 0.0, 0.0), origin=(0.0,) * 4, low=low, high=high)
    return FlowModel(flow, schema=schema)


def detector():
    model = FlowModel(shaken(nvp.RealNVP([3], hidden_units=[4], **SMALL)))
    return AnomalyDetector(model).calibrate(model.sample(99, seed=0), 0.1)


MODELS = {
    "real_nvp": lambda: shaken(nvp.RealNVP([3], hidden_units=[4], condition_shape=[2], **SMALL)),
    "nice": lambda: shaken(nvp.NICE([3], hidden_units=[4], activation="gelu", **SMALL)),
    "spline": lambda: shaken(
        nvp.NeuralSplineFlow([3], hidden_units=4, transformer=RationalQuadratic(num_bins=3), **SMALL)
    ),
    "maf": lambda: shaken(nvp.MAF([6], hidden_units=[8], **SMALL | {"num_layers": 2})),
    "iaf": lambda: shaken(nvp.IAF([5], hidden_units=4, condition_shape=[2], **SMALL)),
    "planar": lambda: shaken(nvp.PlanarFlow([3], **SMALL)),
    "circular": lambda: shaken(nvp.CircularSplineFlow([2], circular=[True, False], hidden_units=4, **SMALL)),
    "encoder": encoded,
    "detector": detector,
    "columns": of_columns,
}


def compiled(source, folder):
    """The functions of a C file."""
    (folder / "model.c").write_text(source)
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror"]
    command = [COMPILER, *strict, "-O1", "-shared", "-fPIC", "model.c", "-o", "model.so", "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return ctypes.CDLL(str(folder / "model.so"))


def call(function, signature, inputs):
    """The outputs of a function of the library for rows of inputs."""
    n = len(next(iter(inputs.values())))
    outputs = {
        name: np.zeros([n, *spec.shape[1:]], spec.dtype.as_numpy_dtype) for name, spec in signature.outputs.items()
    }
    arrays = [np.ascontiguousarray(inputs[name]) for name in signature.inputs] + list(outputs.values())
    function(ctypes.c_size_t(n), *(array.ctypes.data_as(ctypes.c_void_p) for array in arrays))
    return outputs


@needs_compiler
@pytest.mark.parametrize("name", MODELS)
def test_every_signature_gives_what_python_gives(name, tmp_path):
    parts = served(MODELS[name]())
    made = signatures(parts)
    library = compiled(c_source(name, made), tmp_path)
    error = 1e-5 if parts.fittable.density_dtype.name == "float32" else 1e-9
    for signature, case in cases(parts, made).items():
        found = call(getattr(library, f"{name}_{signature}"), made[signature], case.inputs)
        for key, expected in case.outputs.items():
            np.testing.assert_allclose(found[key], expected, rtol=error, atol=error, err_msg=f"{signature} {key}")


@needs_compiler
def test_the_file_beside_the_saved_model(tmp_path):
    flow = shaken(nvp.NeuralSplineFlow([2], num_layers=1, hidden_units=4, seed=0))
    folder = nvp.export(flow, tmp_path / "two-moons", formats=["c"], verify=False)
    assert read_card(folder)["translations"] == ["assets.extra/model.c"]
    assert "| assets.extra/model.c |" in (folder / "assets.extra" / "README.md").read_text()
    library = compiled((folder / "assets.extra" / "model.c").read_text(), tmp_path)
    made, model = signatures(served(flow)), load(folder)
    seed = np.array([[0, 1], [5, -7], [0, 1]], np.int32)
    x = call(library.two_moons_sample, made["sample"], {"seed": seed})["x"]
    np.testing.assert_array_equal(x[0], x[2])  # equal seeds, equal rows
    x[1, 0] = np.nan
    found = call(library.two_moons_log_prob, made["log_prob"], {"x": x})["log_prob"]
    np.testing.assert_allclose(found, model.log_prob(x), rtol=1e-5, atol=1e-5)
    z = np.array([[0.5, -1.0], [7.0, 0.0]], np.float32)
    for found, expected in zip(
        call(library.two_moons_decode, made["decode"], {"z": z}).values(), model.decode(z), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


#: A program that prints two densities of `model.c`, of the numbers it is given.
MAIN = """\
#include <stdio.h>
#include <stdlib.h>
void model_log_prob(size_t n, const float *x, const float *condition, float *out_log_prob);
int main(int count, char **numbers) {
    float in[10], out[2];
    for (int i = 1; i < count; ++i) in[i - 1] = strtof(numbers[i], 0);
    model_log_prob(2, in, in + 6, out);
    printf("%.9g %.9g", out[0], out[1]);
}
"""

#: The same by a module of WebAssembly that imports nothing.
SCRIPT = """\
WebAssembly.instantiate(require("fs").readFileSync("model.wasm"), {}).then(({ instance }) => {
  const { memory, model_log_prob, __heap_base } = instance.exports;
  const start = __heap_base.value;
  memory.grow(1);
  new Float32Array(memory.buffer, start, 10).set(process.argv.slice(2).map(Number));
  model_log_prob(2, start, start + 24, start + 40);
  console.log(...new Float32Array(memory.buffer, start + 40, 2));
});
"""
WASM = [shutil.which("clang") or "clang", "--target=wasm32-wasi", "-nostartfiles", "-Wl,--no-entry"]


def has_wasm():
    """Whether there is a compiler to WebAssembly with a libm, and a Node.js to run what it makes."""
    if not (shutil.which("clang") and shutil.which("wasm-ld") and shutil.which("node")):
        return False
    command = [*WASM, "-x", "c", "-", "-o", "/dev/null", "-lm"]
    return not subprocess.run(command, input=b"#include <math.h>", capture_output=True, check=False).returncode


def densities_elsewhere(folder, *commands):
    """Runs commands in a folder with `model.c`, the last one with numbers; compares what it prints with Python."""
    model = shaken(nvp.RealNVP([3], hidden_units=[4], condition_shape=[2], **SMALL | {"dtype": "float32"}))
    (folder / "model.c").write_text(c_source("model", signatures(served(model))))
    (folder / "main.c").write_text(MAIN)
    (folder / "main.js").write_text(SCRIPT)
    x, condition = np.linspace(-2.0, 3.0, 6, dtype="f4"), np.linspace(-1.0, 1.0, 4, dtype="f4")
    *compiling, running = commands
    for command in compiling:
        subprocess.run(command, cwd=folder, check=True)
    numbers = [str(number) for number in (*x, *condition)]
    printed = subprocess.run([*running, *numbers], cwd=folder, check=True, capture_output=True, text=True).stdout
    expected = model.log_prob(x.reshape(2, 3), condition=condition.reshape(2, 2))
    np.testing.assert_allclose([float(word) for word in printed.split()], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not (ARM and QEMU), reason="no cross compiler for ARM, or no emulator")
def test_it_runs_on_arm(tmp_path):
    compile_it = [ARM, "-std=c99", "-O1", "-static", "model.c", "main.c", "-o", "model", "-lm"]
    densities_elsewhere(tmp_path, compile_it, [QEMU, "./model"])


@pytest.mark.skipif(not has_wasm(), reason="no compiler to WebAssembly, or no Node.js")
def test_it_runs_as_web_assembly(tmp_path):
    exports = [f"-Wl,--export={name}" for name in ("model_log_prob", "__heap_base")]
    compile_it = [*WASM, *exports, "-std=c99", "-O1", "model.c", "-o", "model.wasm", "-lm"]
    densities_elsewhere(tmp_path, compile_it, ["node", "main.js"])


def test_strings_are_refused():
    with pytest.raises(ValueError, match="log_prob can't be written in C: condition_word is string"):
        c_source("model", signatures(served(encoded_from_two())))


def test_operations_without_a_translation_are_refused_by_name_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"'c', but log_prob can't be written in C: Conv2D .* Leave 'c' out"):
        nvp.export(RECIPES["glow"](), tmp_path / "glow", formats=["c"])
    assert not (tmp_path / "glow").exists()


@pytest.mark.parametrize("wrong", ["c", 3, ["exe"]])
def test_what_is_no_list_of_formats(wrong, tmp_path):
    with pytest.raises((TypeError, ValueError), match="`formats` must be"):
        nvp.export(shaken(nvp.RealNVP([2], hidden_units=[4], **SMALL)), tmp_path / "m", formats=wrong)


def test_numbers_are_written_so_that_they_are_read_as_the_same():
    values = np.array([0.1, -2.0, 1e-38, np.inf, -np.inf], np.float32)
    assert [literal(v) for v in values] == ["0.100000001f", "(-2.0f)", "9.99999935e-39f", "INFINITY", "(-INFINITY)"]
    assert literal(np.float32(np.nan)) == "NAN"
    assert [literal(v) for v in (np.uint32(7), np.int32(-1), np.bool_(True))] == ["7u", "(-1)", "1"]
