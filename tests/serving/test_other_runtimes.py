"""ONNX and LiteRT models compute what Python does, in their own runtimes; what they can't hold is refused by name."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.serving.conftest import CASES, RECIPES, affine, mixture_base
from tests.serving.native.process import assert_equal
from tfp_nvp._portable import portable
from tfp_nvp.serving import read_card
from tfp_nvp.serving._exporting import formats, onnx_models
from tfp_nvp.serving._exporting.cases import cases
from tfp_nvp.serving._exporting.lite_model import lite_model, run_lite
from tfp_nvp.serving._exporting.portable import portable_functions
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import Signature, signatures
from tfp_nvp.serving._exporting.threefry import threefry, uniforms

#: Models, and the signatures to try: all, or of graphs that take long to convert those that show its operations.
ALL = ("log_prob", "sample", "sample_tempered", "encode", "decode")
MODELS = {
    "encoder": ("log_prob", "sample", "decode"),
    "maf": ("log_prob", "decode"),
    "stock_flow": ALL,
    "conditional": ("log_prob", "sample"),
    "planar_flow": ("encode",),
    "radial_flow_conditional": ("encode",),
    "sylvester_flow_conditional": ("log_prob", "decode"),
    "circular_spline_flow_mixed": ("sample",),
    "augmented_flow_conditional": ("log_prob",),
    "residual_flow_estimated": ("log_prob",),
    "glow": ("log_prob", "sample"),
    "dequantized": ("decode",),
}
#: The rest of what can be written: every signature.
REST = (
    "nice",
    "real_nvp_conditional",
    "maf_conditional",
    "iaf",
    "learned_base",
    "uniform_base",
    "spherical_spline_flow_conditional",
    "residual_flow_conditional",
    "continuous_flow",
    "continuous_flow_estimated",
    "block_naf_conditional",
    "tar_flow_conditional",
    "image_real_nvp_conditional",
    "image_residual_flow",
    "flow_plus_plus",
    "subscale_flow",
    "dequantized_learned",
)


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param((name, chosen), id=name) for name, chosen in MODELS.items()),
        *(pytest.param((name, None), id=f"{name}-all", marks=pytest.mark.exhaustive) for name in (*MODELS, *REST)),
    ],
)
def tried(request):
    """A model's functions for other runtimes, with their variables, and cases by signature."""
    name, chosen = request.param
    parts = served((CASES | RECIPES)[name]())  # to be kept: graphs refer to its variables weakly
    whole = signatures(parts)
    asked = {key: each for key, each in whole.items() if chosen is None or key in chosen}
    yield *portable_functions(asked), cases(parts, whole)
    del parts


def test_onnx_gives_what_python_gives(tried):
    functions, _, expected = tried
    for name, model in onnx_models.onnx_models(functions).items():
        for rows in (slice(None), slice(1)):
            inputs, outputs = ({key: value[rows] for key, value in part.items()} for part in expected[name])
            assert_equal(onnx_models.run_onnx(model, inputs), outputs)


def test_lite_gives_what_python_gives(tried):
    functions, variables, expected = tried
    model = lite_model(functions, variables)
    for signature in functions:
        assert_equal(run_lite(model, signature, expected[signature].inputs), expected[signature].outputs)


def test_files_beside_the_saved_model(tmp_path):
    flow = affine()
    folder = nvp.export(flow, tmp_path / "model", formats=["onnx", "tflite"])
    names = [f"assets.extra/onnx/{name}.onnx" for name in ALL]
    assert read_card(folder)["translations"] == sorted(["assets.extra/model.tflite", *names])
    assert "assets.extra/onnx/sample.onnx" in (folder / "assets.extra" / "README.md").read_text()
    seed = np.array([[0, 1], [5, -7], [0, 1]], np.int32)
    served_rows = tf.saved_model.load(str(folder)).signatures["sample"](seed=tf.constant(seed))["x"]
    for rows in (
        onnx_models.run_onnx((folder / names[1]).read_bytes(), {"seed": seed})["x"],
        run_lite((folder / "assets.extra" / "model.tflite").read_bytes(), "sample", {"seed": seed})["x"],
    ):
        np.testing.assert_allclose(rows, served_rows, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(rows[0], rows[2])  # equal seeds, equal rows


def test_a_file_that_computes_something_else_is_not_published(tmp_path, monkeypatch):
    def wrong(functions, variables):
        return lite_model({"log_prob": functions["encode"]}, variables)

    monkeypatch.setattr(formats, "lite_model", wrong)
    with pytest.raises(RuntimeError, match=r"model\.tflite failed its check: log_prob gave .* Leave its format out"):
        nvp.export(affine(), tmp_path / "model", formats=["tflite"])
    assert not (tmp_path / "model" / "1").exists()


def test_missing_operations_are_refused_by_name_before_anything_is_written(tmp_path):
    flow = affine(base=mixture_base())
    with pytest.raises(
        ValueError, match=r"`formats` has 'onnx', but sample can't be .*StatelessRandom.* Leave 'onnx' out"
    ):
        nvp.export(flow, tmp_path / "model", formats=["onnx"])
    with pytest.raises(ValueError, match=r"'tflite', but LiteRT can't run .*tf\.StatelessRandom.* Leave 'tflite' out"):
        nvp.export(flow, tmp_path / "model", formats=["tflite"])
    assert not (tmp_path / "model").exists()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(onnx_models, "PACKAGES", ("no_such_package",))
    with pytest.raises(ImportError, match=r"needs no_such_package: pip install '\.\[onnx\]'"):
        formats.checked_formats(["onnx"])


# Random123's answers, as in test_threefry.py.
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_words_may_be_signed(counter, key, answer):
    def signed(words):
        return [tf.constant(np.uint32(word).view(np.int32)) for word in words]

    found = threefry(signed(key), signed(counter))
    assert tuple(int(np.int32(word).view(np.uint32)) for word in found) == answer


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_portable_numbers_are_the_same(dtype):
    seed = tf.constant(np.random.default_rng(0).integers(-(2**31), 2**31, size=[64, 2]), tf.int32)
    with portable():
        found = uniforms(seed, 5, dtype)
    np.testing.assert_array_equal(found, uniforms(seed, 5, dtype))


@pytest.mark.parametrize("activations", [(), (tf.nn.elu, tf.nn.softplus, tf.nn.relu)])
def test_derivatives_of_parts_of_a_batch(activations):
    def call(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            parts = [tf.sigmoid(x), x * tf.constant([[1.0, 2.0]]), *(activation(x) for activation in activations)]
            y = tf.tanh(tf.concat(parts, axis=-1))
        return {"y": tape.gradient(y, x)}

    spec = tf.TensorSpec([None, 2], tf.float32, name="x")
    functions, variables = portable_functions({"f": Signature(call, {"x": spec}, {"y": spec})})
    x = np.random.default_rng(0).normal(size=[5, 2]).astype(np.float32)
    expected = call(tf.constant(x))["y"]
    (model,) = onnx_models.onnx_models(functions).values()
    for rows in (5, 1):
        inputs = {"x": x[:rows]}
        np.testing.assert_allclose(onnx_models.run_onnx(model, inputs)["y"], expected[:rows], rtol=1e-5, atol=1e-6)
        if not activations:  # LiteRT has no derivatives of these
            found = run_lite(lite_model(functions, variables), "f", inputs)
            np.testing.assert_allclose(found["y"], expected[:rows], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("function", "right"),
    [
        (tf.math.log1p, np.log1p),
        (tf.math.expm1, np.expm1),
        (lambda x: tf.math.xlogy(x, tf.abs(x)), lambda x: np.where(x == 0.0, 0.0, x * np.log(np.abs(x)))),
        (lambda x: tf.math.xdivy(x, x), lambda x: np.where(x == 0.0, 0.0, x / x)),
    ],
)
def test_what_onnx_has_no_operation_for(function, right):
    tiny, huge = np.float32(1e-38), np.float32(80.0)
    x = np.array([0.0, 1e-9, -1e-9, 1e-4, -0.5, -0.999, 0.5, 1.0, 3.0, tiny, huge, np.nan], np.float32)
    spec = tf.TensorSpec([None], tf.float32, name="x")
    traced = tf.function(lambda x: {"y": function(x)}).get_concrete_function(x=spec)
    (model,) = onnx_models.onnx_models({"f": traced}).values()
    with np.errstate(all="ignore"):
        expected = right(x.astype(np.float64))
    np.testing.assert_allclose(onnx_models.run_onnx(model, {"x": x})["y"], expected, rtol=3e-7, atol=0.0)


def test_sample_of_a_stock_distribution(tmp_path):
    normal = tfp.distributions.MultivariateNormalDiag(tf.Variable([1.0, 2.0]), [0.5, 2.0])
    folder = nvp.export(normal, tmp_path / "model", formats=["onnx", "tflite"])
    assert (folder / "assets.extra" / "onnx" / "sample.onnx").exists()
