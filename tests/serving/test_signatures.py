"""What an export answers is what Python computes."""

import numpy as np
import pytest
import tensorflow as tf

from tests.serving.rounding import IN_ANOTHER_BATCH, within
from tfp_nvp._watch import watch_steps
from tfp_nvp.serving._exporting.served import served
from tfp_nvp.serving._exporting.signatures import signatures, trace

N = 7


def tolerance(case):
    # A graph with precomputed weights and eager mode sum in other orders, through up to a dozen layers.
    dtype = case.distribution.dtype
    return within(dtype if dtype.is_floating else "float32", num_layers=12)


def test_names(case):
    flow_only = ["decode", "encode", *(["sample_tempered"] if case.has_temperature else [])]
    expected = ["log_prob", "sample"] + (flow_only if case.is_flow else [])
    if case.name == "mixture_base":
        assert "sample_tempered" in case.served.signatures  # a mixture has a mean
    assert case.served.signatures == sorted(expected)
    loaded = case.served._loaded.signatures
    assert loaded["serving_default"].structured_outputs.keys() == {"log_prob"}


def test_log_prob_equals_python(case):
    raw = case.raw_condition(N)
    x = case.served.sample(N, seed=1, condition=raw)
    expected = case.distribution.log_prob(x, **case.keyword(raw)).numpy()
    value = case.served.log_prob(x, raw)
    assert value.shape == (N,)
    assert value.dtype == expected.dtype
    np.testing.assert_allclose(value, expected, **tolerance(case))
    assert np.isfinite(value).all()
    assert value.std() > 0.0


def test_encode_and_decode_equal_python(case):
    if not case.is_flow:
        pytest.skip("only a flow has latents")
    raw = case.raw_condition(N)
    x = case.served.sample(N, seed=1, condition=raw)
    z, log_det = case.served.encode(x, raw)
    for value, expected in zip((z, log_det), case.distribution.encode(x, **case.keyword(raw)), strict=True):
        np.testing.assert_allclose(value, expected.numpy(), **tolerance(case))
    back, back_log_det = case.served.decode(z, raw)
    np.testing.assert_allclose(back, x, **tolerance(case))
    np.testing.assert_allclose(back_log_det, -log_det, **tolerance(case))


def test_equal_seeds_give_equal_rows_in_any_batch(case):
    raw = case.raw_condition(N)
    x = case.served.sample(N, seed=1, condition=raw)
    sample = case.served._loaded.signatures["sample"]
    rows = [5, 0, 5]
    some = {} if raw is None else (raw if isinstance(raw, dict) else {"condition": raw})
    some = {key: tf.constant(value[rows]) for key, value in some.items()}
    seed = tf.constant([[1, row] for row in rows])
    np.testing.assert_allclose(sample(seed=seed, **some)["x"].numpy(), x[rows], **tolerance(case))
    assert len(np.unique(x.reshape(N, -1)[:, 0])) == N


def test_samples_follow_the_log_prob(exported):
    """The mean of log p over samples is minus the entropy; Python's own sampler gives the same."""
    case = exported("spline")
    ours = case.served.log_prob(case.served.sample(4000, seed=3))
    theirs = case.distribution.log_prob(case.distribution.sample(4000, seed=4)).numpy()
    assert abs(ours.mean() - theirs.mean()) < 4.0 * np.sqrt((ours.var() + theirs.var()) / 4000)


def test_temperature_is_per_row_and_draws_towards_the_mean(exported):
    case = exported("spline")
    warm, cold = (case.served.sample(N, seed=1, temperature=t) for t in (1.0, 0.0))
    # One signature against another of the same graph functions: tens of roundings.
    np.testing.assert_allclose(warm, case.served.sample(N, seed=1), **IN_ANOTHER_BATCH)
    np.testing.assert_allclose(cold, np.repeat(cold[:1], N, axis=0), **IN_ANOTHER_BATCH)
    np.testing.assert_allclose(case.served.encode(cold)[0], 0.0, **within())
    mixed = case.served.sample(2, seed=1, temperature=[0.0, 1.0])
    np.testing.assert_allclose(mixed, [cold[0], warm[1]], **IN_ANOTHER_BATCH)


def test_no_rows(case):
    raw = case.raw_condition(0)
    x = case.served.sample(0, condition=raw)
    assert x.shape == (0, *case.distribution.event_shape)
    assert case.served.log_prob(x, raw).shape == (0,)
    if case.is_flow:
        if case.has_temperature:
            assert case.served.sample(0, condition=raw, temperature=0.5).shape == x.shape
        z, log_det = case.served.encode(x, raw)
        assert case.served.decode(z, raw)[0].shape == x.shape
        assert log_det.shape == (0,)


def test_every_tensor_has_the_batch_in_front(case):
    for function in case.served._loaded.signatures.values():
        tensors = [*function.structured_input_signature[1].values(), *function.structured_outputs.values()]
        for tensor in tensors:
            assert tensor.shape.rank >= 1
            assert tensor.shape[0] is None
            assert tensor.shape[1:].is_fully_defined()


def test_data_without_a_batch_are_refused(exported):
    served = exported("spline").served
    for ask in (served.log_prob, served.encode, served.decode):
        with pytest.raises(ValueError, match=r"must have shape \[None, 2\], None for rows; got \[2\]"):
            ask(np.zeros(2))
    with pytest.raises(ValueError, match=r"inputs of log_prob must have shapes .*; got \{'x': \[2\]\}"):
        served.predict("log_prob", {"x": np.zeros(2)})


def test_each_network_is_evaluated_once(exported):
    """One evaluation reports each of the 5 layers, and the base if asked for a density, once."""
    case = exported("spline")
    for name, layers in {"log_prob": 6, "sample": 5, "sample_tempered": 5, "encode": 5, "decode": 5}.items():
        parts = served(case.model)
        with watch_steps() as steps:
            trace({name: signatures(parts)[name]})
        assert len(steps) == layers, name
