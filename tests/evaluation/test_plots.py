"""Pictures: what is on them, and that pyplot is left alone."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

import tfp_nvp as nvp
from tfp_nvp.evaluation import plot_corner, plot_density_2d, plot_history


@pytest.fixture(autouse=True)
def pyplot_is_left_alone():
    yield
    assert plt.get_fignums() == []


def texts(figure):
    return [text.get_text() for legend in (*figure.legends, *_axes_legends(figure)) for text in legend.get_texts()]


def _axes_legends(figure):
    return [axes.get_legend() for axes in figure.axes if axes.get_legend() is not None]


def test_history_marks_the_best_validation_epoch(tmp_path):
    history = {"loss": [9.0, 2.0, 1.0], "val_loss": [8.0, 2.5, 3.0]}
    figure = plot_history(history, tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 5_000
    (axes,) = figure.axes
    assert "nats" in axes.get_ylabel()
    assert texts(figure) == ["training", "validation", "best: 2.5 nats at epoch 2"]
    training, validation, best = axes.get_lines()
    np.testing.assert_array_equal(training.get_xydata(), [[1, 9], [2, 2], [3, 1]])
    np.testing.assert_array_equal(validation.get_ydata(), [8.0, 2.5, 3.0])
    np.testing.assert_array_equal(best.get_xydata(), [[2, 2.5]])


def test_history_prefers_the_likelihood_alone_to_the_regularized_loss():
    figure = plot_history({"loss": [5.0, 4.0], "nll": [2.0, 1.0]})
    assert figure.axes[0].get_lines()[0].get_ydata().tolist() == [2.0, 1.0]
    assert texts(figure) == ["training", "best: 1 nats at epoch 2"]


def test_history_is_not_flattened_by_its_first_epoch():
    values = [1e6, *np.linspace(3, 1, 40)]
    assert plot_history({"loss": values}).axes[0].get_ylim()[1] < 100


def test_history_skips_what_is_not_finite():
    figure = plot_history({"loss": [2.0, 1.0], "val_loss": [np.nan, 3.0]})
    assert texts(figure)[-1] == "best: 3 nats at epoch 2"


@pytest.mark.parametrize("history", [{}, {"loss": []}, {"accuracy": [1.0]}])
def test_history_without_a_loss(history):
    with pytest.raises(ValueError, match="at least one epoch"):
        plot_history(history)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_corner_has_a_panel_for_every_pair(rng, tmp_path, columns):
    names = [f"column {i}" for i in range(columns)]
    path = tmp_path / "corner.png"
    figure = plot_corner(rng.normal(size=[300, columns]), rng.normal(size=[400, columns]), names, path)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == columns**2
    assert path.stat().st_size > 5_000
    assert [axes.get_xlabel() for axes in figure.axes[-columns:]] == names
    assert texts(figure) == ["data (300 rows)", "flow (400 samples)"]


def test_corner_overlays_both_sets_where_they_are(rng):
    figure = plot_corner(rng.normal(size=[5_000, 2]), rng.normal(1.0, 1.0, size=[5_000, 2]))
    data, samples = figure.axes[0].patches
    centers = [np.average(p.get_xy()[:, 0], weights=np.maximum(p.get_xy()[:, 1], 0)) for p in (data, samples)]
    np.testing.assert_allclose(centers, [0.0, 1.0], atol=0.25)


def test_corner_axes_ignore_outliers_of_the_data_and_lost_samples(rng):
    data, samples = rng.normal(size=[2_000, 2]), rng.normal(size=[2_000, 2])
    data[0], samples[0], samples[1] = 1e9, -1e9, np.nan
    figure = plot_corner(data, samples)
    assert max(np.abs(figure.axes[0].get_xlim())) < 5
    assert texts(figure)[1] == "flow (1,999 samples, 1 more not finite)"


def test_corner_says_when_no_sample_is_on_it(rng):
    figure = plot_corner(rng.normal(size=[100, 2]), rng.normal(1e3, 1.0, size=[100, 2]))
    assert "none within these axes" in texts(figure)[1]


def test_corner_of_many_columns_says_which(rng):
    figure = plot_corner(rng.normal(size=[100, 30]), rng.normal(size=[100, 30]))
    assert len(figure.axes) == 7**2
    assert figure.legends[0].get_title().get_text() == "the first 7 of 30 columns"


def test_corner_of_a_constant_and_of_an_integer_column(rng):
    data = np.stack([np.full(200, 3.0), rng.integers(0, 3, 200)], axis=-1)
    assert len(plot_corner(data, data + rng.normal(size=data.shape)).axes) == 4


@pytest.mark.parametrize(
    ("data", "samples", "names", "message"),
    [
        (np.zeros([5]), np.zeros([5]), None, r"`data` must have shape \[n, d\]"),
        (np.zeros([5, 2]), np.zeros([5, 3]), None, "2 column"),
        (np.zeros([5, 2]), np.zeros([5, 2]), ["a"], "`names` must name"),
        (np.zeros([2, 2]), np.zeros([5, 2]), None, "more rows than columns"),
    ],
)
def test_corner_refuses(data, samples, names, message):
    with pytest.raises(ValueError, match=message):
        plot_corner(data, samples, names)


def test_density_shows_the_density(rng, tmp_path):
    def log_prob(x):
        return -0.5 * (x**2).sum(-1) - np.log(2 * np.pi)

    path = tmp_path / "density.png"
    data = rng.normal(size=[50, 2])
    figure = plot_density_2d(log_prob, [(-2, 2), (-3, 3)], data, path, names=["u", "v"], points=41)
    axes, colorbar = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), colorbar.get_ylabel()) == ("u", "v", "density")
    assert (axes.get_xlim(), axes.get_ylim()) == ((-2, 2), (-3, 3))
    density = np.asarray(axes.collections[0].get_array()).reshape(41, 41)
    np.testing.assert_allclose(density[20, 20], 1 / (2 * np.pi), rtol=1e-5)
    np.testing.assert_allclose(density[40, 20], np.exp(-4.5) / (2 * np.pi), rtol=1e-5)  # rows are the second axis
    assert len(axes.get_lines()[0].get_xdata()) == 50
    assert path.stat().st_size > 5_000


def test_density_of_an_object_with_log_prob():
    class Uniform:
        def log_prob(self, x):
            return np.zeros(len(x))

    assert len(plot_density_2d(Uniform(), [(0, 1), (0, 1)], points=5).axes) == 2


@pytest.mark.parametrize("ranges", [[(0, 1)], [(0, 1), (1, 0)], [(0, 1), (0, np.inf)]])
def test_density_refuses_ranges(ranges):
    with pytest.raises(ValueError, match="two pairs"):
        plot_density_2d(lambda x: x[:, 0], ranges)


@pytest.mark.parametrize("missing", ["matplotlib.figure", "corner"])
def test_without_its_library_it_says_what_to_install(rng, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r"pip install '\.\[plots\]' in a checkout"):
        plot_corner(rng.normal(size=[50, 2]), rng.normal(size=[50, 2]))


def test_history_of_what_fit_returns():
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0))
    model.compile("adam")
    with pytest.raises(TypeError, match="`history` must be what `fit` returns"):
        plot_history(model)
    callback = model.fit(np.zeros([32, 2]) + np.arange(2), epochs=2, verbose=0)
    curves = [plot_history(of).axes[0].lines[0].get_ydata() for of in (model, callback, callback.history)]
    assert [list(curve) for curve in curves] == [callback.history["nll"]] * 3
    with pytest.raises(TypeError, match=r"got \[3\.0, 2\.0\]"):
        plot_history([3.0, 2.0])
