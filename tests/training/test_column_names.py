"""The columns of a DataFrame are known by their names, from the fit to the export."""

import sys

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from tensorflow.core.protobuf import saved_model_pb2

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp.serving._asking.specs import specs_of_json, specs_of_protos
from tfp_nvp.training._tables.columns import inspect_columns


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    condition = pd.DataFrame(rng.normal(size=(300, 2)), columns=["speed", "load"])
    x = pd.DataFrame({"heat": 5.0 + condition["speed"] * 3.0, "wear": 20.0 - condition["load"]})
    return x + rng.normal(size=(300, 2)) * [0.3, 4.0], condition


@pytest.fixture(scope="module")
def model(frames):
    return nvp.fit(*frames, epochs=1, seed=0, verbose=0, flow=small)


def test_another_order_is_the_same_density(model, frames):
    x, condition = (frame.head(5) for frame in frames)
    expected = model.log_prob(x.to_numpy(), condition.to_numpy())
    mixed = x[["wear", "heat"]], condition[["load", "speed"]]
    np.testing.assert_array_equal(model.log_prob(*mixed), expected)
    np.testing.assert_array_equal(model.log_prob(*map(pa.Table.from_pandas, mixed)), expected)
    np.testing.assert_array_equal(model.encode(*mixed)[0], model.encode(x, condition)[0])
    np.testing.assert_allclose(model.predict(mixed[::-1], verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(
        model.evaluate(*mixed[::-1], verbose=0), model.evaluate(condition, x, verbose=0), rtol=1e-6
    )
    np.testing.assert_array_equal(
        model.sample(2, seed=0, condition=mixed[1]), model.sample(2, seed=0, condition=condition)
    )
    one = model.log_prob(mixed[0].iloc[0], mixed[1].iloc[0])
    np.testing.assert_allclose(one, expected[0], rtol=1e-5)
    ranks = nvp.evaluation.ranks(model, *mixed)
    assert list(ranks.columns) == ["heat", "wear"]
    np.testing.assert_array_equal(ranks, nvp.evaluation.ranks(model, x.to_numpy(), condition.to_numpy()))


def test_other_columns_are_refused_by_name(model, frames):
    x, condition = (frame.head(5) for frame in frames)
    with pytest.raises(ValueError, match=r"`x` must have the columns 'heat', 'wear'.*lacks 'wear'"):
        model.log_prob(x[["heat"]], condition)
    with pytest.raises(ValueError, match="has 'id' besides"):
        model.log_prob(x.assign(id=1), condition)
    with pytest.raises(ValueError, match="`condition` must have the columns 'speed', 'load'"):
        model.sample(2, condition=x)


def test_names_are_in_the_file(model, frames, tmp_path):
    x, condition = (frame.head(5) for frame in frames)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.schema.columns == ("heat", "wear")
    assert loaded.schema.condition_columns == ("speed", "load")
    np.testing.assert_array_equal(
        loaded.log_prob(x[["wear", "heat"]], condition[["load", "speed"]]), model.log_prob(x, condition)
    )


def test_samples_as_a_frame(model, frames, monkeypatch):
    condition = frames[1].head(5)
    samples = model.sample(condition=condition, seed=0, as_frame=True)
    assert list(samples.columns) == ["heat", "wear"]
    np.testing.assert_array_equal(samples, model.sample(condition=condition, seed=0))
    assert np.isfinite(model.log_prob(samples, condition)).all()
    with pytest.raises(ValueError, match=r"shape \[3, 5, 2\]"):
        model.sample(3, condition=condition, as_frame=True)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install pandas"):
        model.sample(condition=condition, as_frame=True)


def test_an_export_knows_the_names(model, frames, tmp_path):
    x, condition = (frame.head(5) for frame in frames)
    folder = nvp.export(model, tmp_path / "model", verify=False)
    served = nvp.serving.load(folder)
    names = {"x": ("heat", "wear"), "condition": ("speed", "load")}
    assert served.columns == names
    expected = served.log_prob(x.to_numpy(), condition.to_numpy())
    np.testing.assert_array_equal(served.log_prob(x[["wear", "heat"]], condition[["load", "speed"]]), expected)
    np.testing.assert_array_equal(
        served.sample(5, condition=condition[["load", "speed"]]), served.sample(5, condition=condition)
    )
    with pytest.raises(ValueError, match="has 'id' besides"):
        served.log_prob(x.assign(id=1), condition)
    with pytest.raises(ValueError, match="masked"):
        served.log_prob(np.ma.masked_less(x.to_numpy(), 1e9), condition)
    card = nvp.serving.read_card(folder)
    assert card["schema"]["columns"] == ["heat", "wear"]
    assert "| condition columns | speed, load |" in (folder / "assets.extra" / "README.md").read_text(encoding="utf-8")

    # The metadata that a server answers with: the names of a dimension, over gRPC and over REST.
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    inputs = saved.meta_graphs[0].signature_def["log_prob"].inputs
    of_json = {
        name: {
            "dtype": "DT_FLOAT",
            "tensor_shape": {"dim": [{"size": str(dim.size), "name": dim.name} for dim in info.tensor_shape.dim]},
        }
        for name, info in inputs.items()
    }
    for specs in (specs_of_protos(inputs), specs_of_json(of_json)):
        assert {name: spec.columns for name, spec in specs.items()} == names


def test_a_plain_model_learns_the_names_of_its_first_frame(frames):
    x, condition = frames
    model = nvp.FlowModel(small([2], [2], seed=0))
    model.compile()
    model.fit(condition, x, epochs=1, verbose=0)
    assert model.schema.columns == ("heat", "wear")
    np.testing.assert_array_equal(
        model.log_prob(x[["wear", "heat"]], condition[["load", "speed"]]), model.log_prob(x, condition)
    )


def test_validation_data_go_by_name(frames):
    x, condition = frames
    mixed = x[["wear", "heat"]].tail(60), condition[["load", "speed"]].tail(60)
    validation = [
        nvp.fit(
            x[:240], condition[:240], validation_data=data, epochs=1, seed=0, verbose=0, flow=small
        ).history.history["val_loss"]
        for data in (mixed, (x.tail(60), condition.tail(60)))
    ]
    assert validation[0] == validation[1]


def test_a_detector_knows_the_names(rng):
    x = pd.DataFrame(rng.normal(size=(200, 2)) * [1.0, 100.0], columns=["b", "a"])
    detector = nvp.AnomalyDetector(seed=0).fit(x, false_positive_rate=0.1, flow=small, steps=10, verbose=0)
    np.testing.assert_array_equal(detector.score(x[["a", "b"]]), detector.score(x.to_numpy()))


def test_columns_without_names_are_known_by_number(rng):
    x = pd.DataFrame(rng.normal(size=(100, 2)) * [1.0, 100.0])
    model = nvp.fit(x, epochs=1, seed=0, verbose=0, flow=small)
    assert model.schema.columns is None
    np.testing.assert_array_equal(model.log_prob(x[[1, 0]]), model.log_prob(x))
    assert list(model.sample(3, as_frame=True).columns) == [0, 1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.assign(wear=np.nan), r"column\(s\) 'wear'"),
        (lambda x: x.assign(wear=3.0), r"constant column\(s\), which have no density: 'wear' \(always 3\)"),
        (lambda x: x.assign(wear=2 * x["heat"]), "'wear' = 2 · 'heat'"),
        (lambda x: x.assign(wear=1e9 + x["wear"]), "can't resolve: 'wear'"),
        (lambda x: x.assign(wear="new"), "column 'wear' holds text"),
    ],
)
def test_messages_name_columns(spoil, message, frames):
    with pytest.raises((TypeError, ValueError), match=message):
        nvp.fit(spoil(frames[0]), epochs=1, verbose=0, flow=small)


def test_warnings_name_columns(frames):
    x, condition = frames
    with pytest.warns(UserWarning, match="'") as caught:
        nvp.fit(
            x.round({"heat": 0}).assign(wear=x["wear"].clip(lower=18)),
            condition.assign(speed=1.0),
            epochs=1,
            verbose=0,
            flow=small,
        )
    messages = " ".join(str(warning.message) for warning in caught)
    for part in ("'heat' hold values on a grid", "Column 'wear' is 18", "'speed' (always 1)"):
        assert part in messages


def test_bounds_by_name(rng):
    x = pd.DataFrame({"free": rng.normal(size=100), "share": rng.uniform(0.1, 0.9, size=100)})
    model = nvp.fit(x, support={"share": (0, 1)}, epochs=1, seed=0, verbose=0, flow=small)
    assert model.schema.low == (None, 0.0)
    assert model.schema.high == (None, 1.0)
    for support, message in (
        ({"shares": (0, 1)}, r"unknown column.*'shares'.*'free', 'share'"),
        ({"share": 1}, "pair"),
        ({"share": (0.5, 1)}, "column.*'share'"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            nvp.fit(x, support=support, epochs=1, verbose=0, flow=small)
    with pytest.raises(ValueError, match="'share'; `x` has no names, but columns 0 to 1"):
        nvp.fit(x.to_numpy(), support={"share": (0, 1)}, epochs=1, verbose=0, flow=small)


@pytest.mark.parametrize("names", [None, ("free", "share")])
def test_bounds_by_number(names, rng):
    x = rng.uniform(0.1, 0.9, size=(50, 2))
    for support in ({1: (0, None)}, {np.int64(1): [0, None]}):
        columns = inspect_columns(x, support, names=names)
        assert columns.low.tolist() == [-np.inf, 0.0]
        assert columns.high.tolist() == [np.inf, np.inf]
    for number in (2, -1, True, 1.0):
        with pytest.raises(ValueError, match=f"`support` has the unknown column {number}"):
            inspect_columns(x, {number: (0, 1)}, names=names)


def test_pictures_have_the_names(model, frames):
    x = frames[0]
    figure = nvp.evaluation.plot_corner(x, x[["wear", "heat"]])
    assert figure.axes[2].get_xlabel() == "heat"
    assert figure.axes[2].get_ylabel() == "wear"
    ranks = nvp.evaluation.ranks(model, *(frame.head(60) for frame in frames), num_samples=20)
    assert "heat" in nvp.evaluation.plot_calibration(ranks, 20).axes[0].get_xlabel()
    density = nvp.evaluation.plot_density_2d(lambda rows: -(rows**2).sum(-1), [(-3, 3), (-3, 3)], x, points=20)
    assert density.axes[0].get_xlabel() == "heat"
