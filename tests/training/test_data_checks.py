import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp

tfb, tfd = tfp.bijectors, tfp.distributions


def with_bad(x, value):
    bad = x.copy()
    bad[[3, 7], 1] = value
    return bad


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_their_rows(value, make_model, x):
    model = make_model()
    with pytest.raises(ValueError, match=r"2 row\(s\): 3, 7"):
        model.fit(with_bad(x, value), verbose=0)
    assert int(model.optimizer.iterations) == 0


def test_streams_are_checked_by_their_first_batch(make_model, x):
    bad = with_bad(x, np.nan)
    for data in (tf.data.Dataset.from_tensor_slices(bad).batch(32), ((bad[:32],) for _ in range(2))):
        with pytest.raises(ValueError, match="finite"):
            make_model().fit(data, shuffle=False, verbose=0)


def test_validation_data_weights_and_conditions_are_checked(make_model, make_flow, x):
    bad = with_bad(x, np.nan)
    with pytest.raises(ValueError, match="`validation_data`"):
        make_model().fit(x, validation_data=(bad,), verbose=0)
    with pytest.raises(ValueError, match="`sample_weight` must be finite"):
        make_model().fit(x, sample_weight=np.full(len(x), np.nan), verbose=0)
    conditional = nvp.FlowModel(make_flow(condition_shape=[2]))
    conditional.compile()
    with pytest.raises(ValueError, match="Condition inputs"):
        conditional.fit(bad, x, verbose=0)


def test_a_wrong_event_shape_names_the_right_one(make_model, x):
    with pytest.raises(ValueError, match=r"\[n, 2\]; got \[256, 3\]"):
        make_model().fit(np.zeros((256, 3)), verbose=0)
    with pytest.raises(ValueError, match="no rows"):
        make_model().fit(x[:0], verbose=0)


def test_inputs_and_targets_go_with_conditional_models_only(make_model, make_flow, x):
    with pytest.raises(ValueError, match="takes no condition"):
        make_model().fit(x, x, verbose=0)
    conditional = nvp.FlowModel(make_flow(condition_shape=[2]))
    conditional.compile()
    with pytest.raises(ValueError, match="inputs and targets"):
        conditional.fit(x, verbose=0)
    with pytest.raises(ValueError, match=r"predict\(\(condition_inputs, x\)\)"):
        conditional.predict(x)


def test_a_model_that_would_train_nothing_is_refused(x):
    model = nvp.FlowModel(tfd.MultivariateNormalDiag(tf.zeros(2)))
    model.compile()
    with pytest.raises(ValueError, match="nothing to train"):
        model.fit(x, verbose=0)
    network = keras.Sequential([keras.Input([1]), keras.layers.Dense(2)])
    hidden = tfb.RealNVP(1, shift_and_log_scale_fn=lambda z, n: tf.split(network(z), 2, -1))
    model = nvp.FlowModel(tfd.TransformedDistribution(tfd.MultivariateNormalDiag(tf.zeros(2)), hidden))
    model.compile()
    with pytest.raises(ValueError, match="nothing to train"):
        model.fit(x, verbose=0)


def test_wrong_arguments_are_refused(make_flow):
    with pytest.raises(TypeError, match="`distribution` must be"):
        nvp.FlowModel(tfb.Exp())
    with pytest.raises(ValueError, match="batch shape"):
        nvp.FlowModel(tfd.Normal(tf.zeros(3), 1.0))
    with pytest.raises(TypeError, match="`encoder` must be"):
        nvp.FlowModel(make_flow(condition_shape=[2]), encoder=lambda c: c)
    with pytest.raises(ValueError, match="takes none"):
        nvp.FlowModel(make_flow(), encoder=keras.layers.Dense(2))


def test_predict_reads_a_file_batch_by_batch(tmp_path, rng):
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=1, hidden_units=[4], seed=0))
    x = rng.normal(size=(1000, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    largest = 0

    class Watched(np.ndarray):
        def __getitem__(self, rows):
            nonlocal largest
            part = super().__getitem__(rows)
            largest = max(largest, len(part))
            return part

    mapped = np.load(tmp_path / "x.npy", mmap_mode="r").view(Watched)
    log_prob = model.predict(mapped, batch_size=64, verbose=0)
    np.testing.assert_allclose(log_prob, model.log_prob(x), rtol=1e-5)
    assert largest == 64
    np.testing.assert_allclose(model.predict(x.astype(np.float64), verbose=0), log_prob, rtol=1e-5)
    assert model.predict(x[:0], verbose=0).shape == (0,)


def test_predict_of_a_condition_for_each_row(rng):
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=1, hidden_units=[4], condition_shape=[3], seed=0))
    x, condition = (rng.normal(size=(70, size)).astype(np.float32) for size in (2, 3))
    log_prob = model.predict((condition, x), batch_size=32, verbose=0)
    np.testing.assert_allclose(log_prob, model.log_prob(x, condition), rtol=1e-5)
    with pytest.raises(ValueError, match=r"condition for each row; got \[5, 70\]"):
        model.predict((condition[:5], x))
