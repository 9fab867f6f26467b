"""Fits of one kind share their graphs, and nothing else."""

import functools
import threading

import numpy as np
import pytest
import tensorflow as tf

import tfp_nvp as nvp
from tfp_nvp.training._tables import shared_graphs
from tfp_nvp.training._tables.shared_graphs import is_of_known_parts, share_graphs

SMALL = functools.partial(nvp.NICE, num_layers=2, hidden_units=[8])


@pytest.fixture(autouse=True)
def none_before():
    """No graph of an earlier test."""
    shared_graphs._graphs.clear()
    yield
    shared_graphs._graphs.clear()


@pytest.fixture
def traces(monkeypatch):
    """The names of the steps that are traced, in order."""
    names = []
    for name in ("train_step", "test_step"):
        step = getattr(nvp.FlowModel, name)
        monkeypatch.setattr(
            nvp.FlowModel, name, lambda self, data, name=name, step=step: names.append(name) or step(self, data)
        )
    return names


def rows(seed=0, count=120):
    return np.random.default_rng(seed).normal(size=[count, 2]) @ [[1.0, 0.5], [0.0, 2.0]]


def fit(x, **options):
    return nvp.fit(x, flow=SMALL, epochs=3, seed=0, verbose=0, **options)


def test_only_the_first_fit_traces_and_each_has_its_own_weights(traces):
    first = fit(rows())
    assert sorted(traces) == ["test_step", "train_step"]
    before = first.get_weights()
    second = fit(rows(1))
    assert len(traces) == 2
    shared_graphs._graphs.clear()
    alone = fit(rows(1))
    assert len(traces) == 4
    for ours, theirs in zip(second.get_weights(), alone.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert second.history.history == alone.history.history
    for ours, theirs in zip(first.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_other_kinds_of_fits_share_nothing(traces):
    fit(rows())
    for options in ({"learning_rate": 1e-4}, {"batch_size": 16}, {"condition": rows(2)}):
        traces.clear()
        fit(rows(), **options)
        assert "train_step" in traces, options


def test_a_fit_is_that_of_keras_own_functions(monkeypatch):
    ours = fit(rows())
    monkeypatch.setattr("tfp_nvp.training._tables.fit_split.share_graphs", lambda model: None)
    theirs = fit(rows())
    # Three epochs of one step of AdamW with equal gradients, up to the rounding of graphs that are compiled anew.
    for our, their in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-5, atol=1e-5)
    assert ours.history.history.keys() == theirs.history.history.keys()


def test_threads_do_not_meet_in_a_graph():
    alone = [fit(rows(seed)).get_weights() for seed in (0, 1)]
    found = {}

    def work(seed):
        found[seed] = fit(rows(seed)).get_weights()

    threads = [threading.Thread(target=work, args=[seed]) for seed in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in (0, 1):
        for ours, theirs in zip(found[seed], alone[seed], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_fitted_model_evaluates_any_data_and_is_fitted_further():
    fit(rows())
    model = fit(rows(1))
    x = rows(3, 50)
    nll = -float(tf.reduce_mean(model.log_prob(x)))
    for data in (x, tf.data.Dataset.from_tensor_slices(x.astype(np.float32)).batch(7)):
        assert model.evaluate(data, verbose=0, return_dict=True)["nll"] == pytest.approx(nll, rel=1e-5)
    weighted = model.evaluate(x, sample_weight=np.arange(50.0), verbose=0, return_dict=True)
    expected = -np.average(model.log_prob(x), weights=np.arange(50.0))
    assert weighted["nll"] == pytest.approx(expected, rel=1e-5)
    before = model.get_weights()
    model.fit(x, epochs=1, verbose=0)
    assert any((new != old).any() for new, old in zip(model.get_weights(), before, strict=True))


def test_the_guard_of_a_second_model_names_what_was_not_finite():
    x = tf.data.Dataset.from_tensor_slices(rows().astype(np.float32)).batch(40)
    bad = x.concatenate(tf.data.Dataset.from_tensors(tf.fill([40, 2], np.float32(np.nan))))
    for data, expected in ((x, None), (bad, "First not finite: the data")):
        model = nvp.FlowModel(SMALL([2], seed=0))
        model.compile("adam")
        share_graphs(model)
        if expected is None:
            model.fit(data, verbose=0)
        else:
            with pytest.warns(RuntimeWarning, match=expected):
                model.fit(data, verbose=0)


def test_only_so_many_kinds_are_kept():
    for units in range(8, 8 + shared_graphs.KEPT + 2):
        model = nvp.FlowModel(SMALL([2], seed=units))
        model.compile("adam")
        share_graphs(model)
    assert len(shared_graphs._graphs) == shared_graphs.KEPT


@pytest.mark.parametrize(
    ("flow", "known"),
    [
        (None, True),
        (nvp.MAF, True),
        (functools.partial(nvp.MAF, hidden_units=[8], activation="tanh"), True),
        (functools.partial(nvp.MAF, activation=lambda x: x), False),
        (functools.partial(nvp.MAF, transformer=nvp.transformers.Shift()), False),
        (lambda **shapes: nvp.MAF(**shapes), False),
        (nvp.MAF([2], seed=0), False),
        (type("MAF", (nvp.MAF,), {}), False),
    ],
)
def test_what_may_be_shared(flow, known):
    assert is_of_known_parts(flow) == known
