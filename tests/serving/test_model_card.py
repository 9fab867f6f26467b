"""What a version's folder says of itself is true, and `load` holds the folder to it."""

import hashlib
import json
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.core.protobuf import saved_model_pb2

import tfp_nvp as nvp
from tests.conformance.cases import in_unit_interval, randomized
from tests.serving.conftest import affine
from tfp_nvp._module import tf_variables
from tfp_nvp.serving import export, load, read_card, size_report
from tfp_nvp.serving._exporting.precompute import MOST_IN_GRAPH

tfd = tfp.distributions

WEIGHTS = "variables/variables.data-00000-of-00001"
FILES = ("saved_model.pb", "variables/variables.index", WEIGHTS)
NOTES = ("assets.extra/README.md", "assets.extra/tf_serving_warmup_requests")


def readme(folder):
    return (folder / "assets.extra" / "README.md").read_text()


def test_the_files_say_where_the_weights_are(exported):
    """Small vectors are in the graph, and the variables are also what is computed of weights."""
    text = readme(exported("spline").folder)
    for file, purpose in (("saved_model.pb", "vectors of up to 1,024 numbers among them"), (WEIGHTS, "made of them")):
        (line,) = (line for line in text.splitlines() if line.startswith(f"| {file} |"))
        assert purpose in line
    assert f"{MOST_IN_GRAPH:,}" in text


def test_layers_within_layers(tmp_path):
    glow = nvp.Glow([4, 4, 1], num_levels=2, num_steps=1, hidden_units=4, seed=0)
    flow = nvp.Flow(glow.distribution, nvp.bijectors.Chain([nvp.bijectors.Logit(1e-6), glow.bijector]))
    flow.initialize(np.random.default_rng(0).uniform(size=[8, 4, 4, 1]))
    step = ["ActNorm", "InvertibleConv1x1", "Coupling"]
    expected = ["Logit", "Squeeze", *step, "Coupling", "Squeeze", *step]
    assert read_card(nvp.export(flow, tmp_path / "layers"))["model"]["layers"] == expected


def test_a_flow_without_a_condition(exported):
    case = exported("spline")
    card = read_card(case.folder)
    assert card["name"] == "spline"
    assert card["model"]["flow"] == card["model"]["distribution"] == "NeuralSplineFlow"
    assert card["model"]["arguments"]["hidden_units"] == 8
    assert card["model"]["layers"] == [type(layer).__name__ for layer in case.model.bijector.bijectors]
    assert card["model"]["numbers"] == sum(int(tf.size(v)) for v in case.model.variables)
    assert card["model"]["trainable_numbers"] == sum(int(tf.size(v)) for v in case.model.trainable_variables)
    assert card["model"]["encoder"] is None
    assert card["data"] == {"event_shape": [2], "dtype": "float32", "levels": None, "condition": None}
    assert list(card["signatures"]) == ["log_prob", "sample", "sample_tempered", "encode", "decode"]
    assert card["signatures"]["decode"] == {
        "inputs": {"z": {"dtype": "float32", "shape": [None, 2]}},
        "outputs": {"x": {"dtype": "float32", "shape": [None, 2]}, "log_det": {"dtype": "float32", "shape": [None]}},
    }
    assert card["detector"] is None
    assert card["weights"] == {"dtype": "as trained"}
    assert card["versions"]["tensorflow"] == tf.__version__
    text = readme(case.folder)
    assert text.startswith("# spline\n")
    assert "| model | NeuralSplineFlow |" in text
    assert "| condition | none |" in text
    assert "| log_prob | x float32 [n, 2] | log_prob float32 [n] |" in text


def test_a_condition_is_what_a_client_sends(exported):
    card = read_card(exported("encoder_of_two").folder)
    assert card["data"]["condition"] == {
        "condition_age": {"dtype": "float32", "shape": [None, 1]},
        "condition_word": {"dtype": "string", "shape": [None]},
    }
    assert card["model"]["encoder"] == exported("encoder_of_two").model.encoder.name
    assert "| condition | condition_age: float32 [1], condition_word: string [] |" in readme(
        exported("encoder_of_two").folder
    )


def test_integers(tmp_path):
    folder = export(nvp.Dequantized(in_unit_interval(affine()), levels=5), tmp_path / "digits", verify=False)
    card = read_card(folder)
    assert (card["model"]["distribution"], card["model"]["flow"]) == ("Dequantized", "RealNVP")
    assert card["data"] == {"event_shape": [3], "dtype": "uint8", "levels": 5, "condition": None}
    assert set(card["signatures"]["log_prob"]["inputs"]) == {"x", "seed"}
    assert "| model | Dequantized (RealNVP, 5 levels) |" in readme(folder)
    assert load(folder).log_prob(np.zeros([2, 3], np.uint8)).shape == (2,)


def test_the_recipe_that_fit_was_given_is_named(tmp_path):
    """Behind layers that standardize the data, in a model of a table and in a detector of anomalies."""
    rows = np.random.default_rng(0).normal(size=[200, 2])

    def recipe(event_shape, seed, condition_shape=None):
        return nvp.RealNVP(event_shape, num_layers=1, hidden_units=[4], condition_shape=condition_shape, seed=seed)

    fitted = nvp.fit(rows, flow=recipe, epochs=1, seed=0, verbose=0)
    conditional = nvp.fit(rows, rows[:, :1] ** 2, flow=recipe, epochs=1, seed=0, verbose=0)
    detector = nvp.AnomalyDetector(seed=0).fit(rows, flow=recipe, false_positive_rate=0.05, steps=10, verbose=0)
    fitted.save(tmp_path / "fitted.keras")
    loaded = keras.saving.load_model(tmp_path / "fitted.keras")
    for name, model in {"fitted": fitted, "conditional": conditional, "detector": detector, "loaded": loaded}.items():
        folder = export(model, tmp_path / name, verify=False)
        card, inner = read_card(folder)["model"], recipe([2], seed=0)
        assert card["flow"] == "RealNVP"
        assert card["arguments"].items() >= {"event_shape": [2], "num_layers": 1, "hidden_units": [4]}.items()
        layers = [type(layer).__name__ for layer in inner.bijector.bijectors]
        assert card["layers"][-len(layers) :] == layers
        assert len(card["layers"]) > len(layers)
        model = detector.model if model is detector else model
        encoder = 0 if model.encoder is None else sum(int(tf.size(v)) for v in model.encoder.variables)
        assert card["numbers"] == encoder + sum(int(tf.size(v)) for v in model.distribution.variables)
        assert "| model | RealNVP |" in readme(folder)


def test_what_the_user_says_is_shown(tmp_path):
    about = {"test_nll": 1.25, "data": "a | b\nc", "columns": ["age", "größe"], "nothing": None}
    folder = export(tfd.Normal(tf.Variable(0.0), 1.0), tmp_path / "m", card=about, verify=False)
    assert read_card(folder)["about"] == about
    rows = [line for line in readme(folder).splitlines() if line.startswith("|")]
    assert "| test_nll | 1.25 |" in rows
    assert r"| data | a \| b c |" in rows  # one row of the table
    assert "| columns | ['age', 'größe'] |" in rows


def test_what_the_user_says_replaces_nothing(tmp_path):
    about = {"model": "of March", "size": "large", "made": "by hand", "a  b": 1, "a b": 2}
    folder = export(tfd.Normal(tf.Variable(0.0), 1.0), tmp_path / "m", card=about, verify=False)
    found, said = readme(folder).split("## Signatures")[0].split("## Notes")
    assert "| model | Normal |" in found
    assert f"| size | {read_card(folder)['size']['total']:,} bytes |" in found
    rows = [line for line in said.splitlines() if line.startswith("|")][2:]
    assert rows == ["| model | of March |", "| size | large |", "| made | by hand |", "| a b | 1 |", "| a b | 2 |"]
    assert "## Notes" not in readme(export(tfd.Normal(tf.Variable(0.0), 1.0), tmp_path / "n", verify=False))


@pytest.mark.parametrize(
    "bad",
    [{"nll": np.nan}, {"nll": -np.inf}, {"a": {"b": [float("inf")]}}, {"nll": np.float32(1.0)}, {"when": object()},
     ["nll"], "nll", 3, {("a", "b"): 1}, {1: "a", "1": "b"}],
)  # fmt: skip
def test_what_is_no_json_is_refused_before_anything_is_written(bad, tmp_path):
    with pytest.raises(ValueError, match="`card` must be a dict of names and finite JSON values"):
        export(tfd.Normal(0.0, 1.0), tmp_path / "m", card=bad, verify=False)
    assert list(tmp_path.iterdir()) == []


def test_arguments_that_json_does_not_have(tmp_path):
    """A bound of infinity, an array and a distribution as arguments are no reason to refuse."""
    folder = export(tfd.TruncatedNormal(tf.Variable(0.0), 1.0, 0.0, np.inf), tmp_path / "m", verify=False)
    assert read_card(folder)["model"]["arguments"]["high"] == "inf"
    inner = tfd.Sample(tfd.Normal(np.zeros([]), 1.0), [2])
    folder = export(inner, tmp_path / "n", verify=False)
    assert read_card(folder)["model"]["arguments"]["distribution"] == "Normal"


def test_hashes_and_sizes_are_those_of_the_files(exported):
    folder = exported("encoder").folder
    card = read_card(folder)
    assert set(card["sha256"]) - {"fingerprint.pb"} == {*FILES, *NOTES}
    for file, digest in card["sha256"].items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest
    own = {"assets.extra/model.json", "assets.extra/README.md"}
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert card["size"]["files"] == {file: size for file, size in sizes.items() if file not in own}
    assert card["size"]["total"] == sum(card["size"]["files"].values())
    assert size_report(folder)["total"] == sum(sizes.values())  # now, with the card


def test_the_largest_weights_have_their_names_and_bytes(exported):
    case = exported("spline")
    largest = read_card(case.folder)["size"]["largest"]
    biggest = max(case.model.variables, key=lambda v: int(tf.size(v)))
    name, size = next(iter(largest.items()))
    assert size == 4 * int(tf.size(biggest))
    assert name.split(" (")[0].split(":")[0] in {v.name.split(":")[0] for v in tf_variables(case.model)}
    assert list(largest.values()) == sorted(largest.values(), reverse=True)
    assert len(largest) == min(10, sum(v.shape.rank >= 2 for v in case.model.variables))  # vectors are constants


def test_operations_are_counted_within_functions(exported, tmp_path):
    class Small(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
        def twice(self, x):
            return {"y": x + x}

    module = Small()
    tf.saved_model.save(module, str(tmp_path), signatures={"twice": module.twice})
    counted = size_report(tmp_path)["operations"]["twice"]
    loaded = tf.saved_model.load(str(tmp_path)).signatures["twice"]
    assert counted >= len(loaded.graph.get_operations())  # the addition is two functions deep
    assert counted < 15
    operations = read_card(exported("spline").folder)["size"]["operations"]
    assert operations["sample"] > operations["decode"] > counted
    assert operations["serving_default"] == operations["log_prob"]


def change_byte(at):
    def change(file):
        data = bytearray(file.read_bytes())
        data[int(at * (len(data) - 1))] ^= 1
        file.write_bytes(data)

    return change


def cut(keep):
    def change(file):
        data = file.read_bytes()
        file.write_bytes(data[: keep(len(data))])

    return change


DAMAGES = {
    "first byte": change_byte(0.0),
    "a byte in the middle": change_byte(0.5),
    "last byte": change_byte(1.0),
    "without its last byte": cut(lambda n: n - 1),
    "half": cut(lambda n: n // 2),
    "empty": cut(lambda n: 0),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "gone": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", [*FILES, *NOTES])
def test_a_folder_that_is_not_whole_is_refused(file, damage, exported, tmp_path):
    copy = shutil.copytree(exported("conditional").folder, tmp_path / "model" / "1")
    DAMAGES[damage](copy / file)
    with pytest.raises(ValueError, match=rf"is not a whole SavedModel; export it again: {file} is"):
        load(tmp_path / "model")


@pytest.mark.parametrize("gone", ["assets.extra", "assets.extra/model.json"])
def test_a_folder_that_has_lost_its_card_is_refused(gone, exported, tmp_path):
    copy = shutil.copytree(exported("stock").folder, tmp_path / "1")
    (shutil.rmtree if (copy / gone).is_dir() else os.unlink)(copy / gone)
    with pytest.raises(ValueError, match=r"is not a whole SavedModel; .* assets\.extra/model\.json is missing"):
        load(copy)


def test_a_card_that_was_changed_is_refused(exported, tmp_path):
    """Whatever is changed: a value, a hash beside the file that it is of, or that there is a digest at all."""
    copy = shutil.copytree(exported("stock").folder, tmp_path / "1")
    card = read_card(copy)
    load(copy)
    for name in card:
        for changed in ({**card, name: "other"}, {key: value for key, value in card.items() if key != name}):
            (copy / "assets.extra" / "model.json").write_text(json.dumps(changed))
            with pytest.raises(ValueError, match="is not a whole SavedModel"):
                load(copy)
    (copy / "assets.extra" / "model.json").write_text(json.dumps(card))  # other spaces alone: the same card
    load(copy)


def without_a_card(folder):
    """A folder as `export` wrote them before there were cards, or `tf.saved_model.save` with the same signatures."""
    shutil.rmtree(folder / "assets.extra")
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    saved.meta_graphs[0].meta_info_def.ClearField("meta_graph_version")
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    return folder


def test_a_folder_that_never_had_a_card_loads(exported, tmp_path):
    case = exported("spline")
    copy = without_a_card(shutil.copytree(case.folder, tmp_path / "1"))
    assert read_card(copy) is None
    x = case.served.sample(3)
    np.testing.assert_array_equal(load(tmp_path).log_prob(x), case.served.log_prob(x))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["first byte", "without its last byte", "half", "empty", "gone"])
def test_without_a_card_a_damaged_folder_is_refused_too(file, damage, exported, tmp_path):
    copy = without_a_card(shutil.copytree(exported("stock").folder, tmp_path / "1"))
    DAMAGES[damage](copy / file)
    with pytest.raises((ValueError, FileNotFoundError), match=r"is not a whole SavedModel|No exported model"):
        load(copy)


def test_bytes_changed_at_random_without_a_card(exported, tmp_path):
    """What TensorFlow does not notice may load; the rest is a `ValueError`, never another error or a crash."""
    folder = without_a_card(shutil.copytree(exported("stock").folder, tmp_path / "whole"))
    rng, refused = np.random.default_rng(0), 0
    for i in range(24):
        copy = shutil.copytree(folder, tmp_path / str(i))
        file = copy / FILES[i % 3]
        data = bytearray(file.read_bytes())
        data[rng.integers(len(data))] = rng.integers(256)
        file.write_bytes(data)
        try:
            load(copy)
        except ValueError as error:
            refused += 1
            assert "is not a whole SavedModel" in str(error)  # noqa: PT017 - counted
    assert refused >= 8


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", "\xff"])
def test_a_damaged_card_is_named(text, exported, tmp_path):
    copy = shutil.copytree(exported("stock").folder, tmp_path / "1")
    (copy / "assets.extra" / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"model\.json must be a JSON object"):
        read_card(copy)
    with pytest.raises(ValueError, match=r"is not a whole SavedModel.*model\.json must be"):
        load(copy)


@pytest.mark.parametrize("card", [{}, {"sha256": 3}, {"sha256": {"saved_model.pb": None}}])
def test_a_card_without_hashes_is_refused(card, exported, tmp_path):
    copy = shutil.copytree(exported("stock").folder, tmp_path / "1")
    (copy / "assets.extra" / "model.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="is not a whole SavedModel"):
        load(copy)


def test_the_card_is_written_last_and_is_json_for_anyone(exported):
    text = (exported("encoder").folder / "assets.extra" / "model.json").read_text()
    card = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert card["format"] == 1


def test_the_bias_of_estimated_densities_is_on_the_card(rng, tmp_path):
    """Against a flow of the same weights whose density is exact."""
    flow = nvp.ResidualFlow([3], num_layers=1, hidden_units=[8], max_exact=0, num_terms=2, num_probes=1, seed=0)
    exact = nvp.ResidualFlow([3], num_layers=1, hidden_units=[8], seed=0)
    x = rng.normal(size=(64, 3)).astype("float32")
    flow.initialize(x)
    for weight, other in zip(flow.variables, exact.variables, strict=True):
        if "kernel" in weight.path:
            weight.assign(rng.normal(size=weight.shape))
        other.assign(weight)
    folder = export(flow, tmp_path / "estimated", warmup=x, verify=False)
    estimate = read_card(folder)["estimate"]
    assert (estimate["num_terms"], estimate["rows"], estimate["draws"]) == ([2], 64, 16)
    bias = np.mean(flow.log_prob(x) - exact.log_prob(x))
    assert abs(bias) > 0.02
    assert 0.0 < estimate["standard_error"] < 0.5 * abs(bias)
    assert abs(estimate["bias"] - bias) < 5.0 * estimate["standard_error"]
    assert f"off by {estimate['bias']:+.2g} ±" in readme(folder)


def test_the_error_of_the_solver_is_on_the_card(rng, tmp_path):
    solver = nvp.solvers.RungeKutta4(2)
    flow = randomized(nvp.ContinuousFlow([2], hidden_units=[8], solver=solver, seed=0))
    x = rng.normal(size=(64, 2)).astype("float32")
    flow.initialize(x)
    folder = export(flow, tmp_path / "continuous", warmup=x, verify=False)
    finer = nvp.ContinuousFlow([2], hidden_units=[8], solver=solver.finer(10), seed=0)
    for weight, other in zip(flow.variables, finer.variables, strict=True):
        other.assign(weight)
    found, error = read_card(folder)["solver_error"], np.abs(flow.log_prob(x) - finer.log_prob(x))
    assert error.max() > 1e-5
    assert found["max_error"] == pytest.approx(error.max(), rel=0.1)
    assert f"off by {found['mean_error']:.2g} nats on average" in readme(folder)


def test_exact_densities_have_no_bias_on_the_card(exported):
    assert read_card(exported("spline").folder)["estimate"] is None
    assert "log-densities" not in readme(exported("spline").folder)


def test_the_quantiles_of_rows_that_a_server_is_watched_by(tmp_path):
    flow, rows = affine(), 1.0 + 2.0 * np.random.default_rng(3).normal(size=[500, 3]).astype("float32")
    folder = export(flow, tmp_path / "m", warmup=rows, verify=False)
    found, log_prob = read_card(folder)["log_prob"], flow.log_prob(rows).numpy()
    assert found["rows"] == 500
    assert found["mean"] == pytest.approx(log_prob.mean(), rel=1e-4)
    assert list(found["quantiles"]) == ["0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"]
    np.testing.assert_allclose(
        list(found["quantiles"].values()), np.quantile(log_prob, [float(level) for level in found["quantiles"]]), 1e-4
    )
    assert "| log_prob of data | of 500 rows of `warmup`: median " in readme(folder)


@pytest.mark.parametrize("rows", [None, np.ones([99, 3], "float32")])
def test_few_rows_have_no_quantiles(rows, tmp_path):
    folder = export(affine(), tmp_path / "m", warmup=rows, verify=False)
    assert read_card(folder)["log_prob"] is None
    assert "log_prob of data" not in readme(folder)
