import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp import bijectors, conditioners, masks, transformers

tfb, tfd = tfp.bijectors, tfp.distributions


def mean_nll(model, x):
    return -float(np.mean(model.log_prob(x)))


def test_fit_lowers_the_negative_log_likelihood_and_reports_it_in_nats(make_model, x):
    model = make_model()
    before = mean_nll(model, x)
    history = model.fit(x, validation_data=(x[:64],), epochs=5, batch_size=32, verbose=0).history
    assert mean_nll(model, x) < before - 1.0
    assert set(history) == {"loss", "nll", "val_loss", "val_nll"}
    assert history["val_nll"][-1] == pytest.approx(mean_nll(model, x[:64]), rel=1e-4)


def test_evaluate_and_predict_agree_with_log_prob(make_model, x):
    model = make_model()
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert logs["nll"] == pytest.approx(mean_nll(model, x), rel=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), model.log_prob(x), rtol=1e-4)


def test_the_loss_is_the_likelihood_and_its_gradient_that_of_a_plain_loop(make_flow, x):
    # One step of plain SGD by Keras and one by hand reach the same weights.
    model = nvp.FlowModel(make_flow())
    model.compile(keras.optimizers.SGD(1e-2))
    by_hand = make_flow()
    by_hand.initialize(x)  # as fit does
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(by_hand.log_prob(x))
    variables = by_hand.trainable_variables
    expected = [v - 1e-2 * g for v, g in zip(variables, tape.gradient(loss, variables), strict=True)]
    model.fit(x, batch_size=len(x), epochs=1, verbose=0)
    for value, wanted in zip(model.distribution.trainable_variables, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["dataset", "generator", "list of rows", "PyDataset"])
def test_fit_takes(kind, make_model, x):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return (x[index * 64 : (index + 1) * 64],)

    data = {
        "dataset": tf.data.Dataset.from_tensor_slices(x).batch(64),
        "generator": ((x[i : i + 64],) for i in range(0, 256, 64)),
        "list of rows": x.tolist(),
        "PyDataset": Batches(),
    }[kind]
    kwargs = {"list of rows": {"batch_size": 64}, "generator": {"steps_per_epoch": 4}}.get(kind, {})
    model = make_model()
    before = mean_nll(model, x)
    model.fit(np.asarray(data) if kind == "list of rows" else data, epochs=1, verbose=0, **kwargs)
    assert int(model.optimizer.iterations) == 4
    assert mean_nll(model, x) < before


def test_sample_weight_zero_takes_rows_out(make_model, x):
    weights = np.zeros(len(x), np.float32)
    weights[:128] = 1.0
    weighted, halved = make_model(), make_model()
    for model in (weighted, halved):
        model.distribution.initialize(x)
    weighted_loss = weighted.evaluate(x, sample_weight=weights, verbose=0, return_dict=True)
    assert weighted_loss["nll"] == pytest.approx(mean_nll(halved, x[:128]), rel=1e-5)
    assert weighted_loss["loss"] == pytest.approx(mean_nll(halved, x[:128]) / 2, rel=1e-5)
    weighted.compile(keras.optimizers.SGD(1e-2))
    history = weighted.fit(x, sample_weight=weights, validation_data=(x, None, weights), batch_size=256, verbose=0)
    assert history.history["nll"][0] == pytest.approx(weighted_loss["nll"], rel=1e-5)
    assert history.history["val_nll"][0] == pytest.approx(mean_nll(weighted, x[:128]), rel=1e-4)


@pytest.mark.parametrize("streamed", [False, True])
def test_rows_of_weight_zero_do_not_set_data_dependent_layers(streamed, rng):
    x = rng.normal(size=(64, 2)).astype(np.float32)
    weights = np.ones(64, np.float32)
    weights[::2] = 0.0
    x[::2] += 1000.0
    model = nvp.FlowModel(nvp.RealNVP([2], num_layers=2, hidden_units=[4], seed=0))
    model.compile(keras.optimizers.SGD(0.0))
    if streamed:
        model.fit(tf.data.Dataset.from_tensors((x, x, weights)), verbose=0)
    else:
        model.fit(x, sample_weight=weights, verbose=0)
    norm = next(layer for layer in model.distribution.bijector.parts() if isinstance(layer, nvp.bijectors.ActNorm))
    np.testing.assert_allclose(norm.shift, x[1::2].mean(axis=0), atol=1e-5)


def test_sample_weights_may_be_a_column(make_model, x):
    weights = np.linspace(0.0, 1.0, len(x), dtype=np.float32)
    model = make_model()
    row, column = (model.evaluate(x, sample_weight=w, verbose=0) for w in (weights, weights[:, None]))
    np.testing.assert_allclose(row, column, rtol=1e-5)


def test_fit_initializes_data_dependent_layers(make_model, x):
    model = make_model()
    assert not model.distribution.is_initialized
    model.fit(x, epochs=1, verbose=0)
    assert model.distribution.is_initialized


def test_an_encoder_of_unknown_input_shape_is_built_by_fit(rng, make_flow, x):
    encoder = keras.Sequential([keras.layers.Dense(3)])
    model = nvp.FlowModel(make_flow(condition_shape=[3]), encoder=encoder)
    model.compile()
    model.fit(x, x, epochs=1, verbose=0)
    assert encoder.built
    assert len(model.optimizer.variables) > 2 * len(model.trainable_variables)


def test_regularizers_count_in_the_loss_and_not_in_the_nll(x):
    conditioner = conditioners.MLP(2, hidden_units=[8], kernel_regularizer=keras.regularizers.L2(0.1), seed=0)
    coupling = bijectors.Coupling(transformers.Affine(), conditioner, masks.half(2))
    base = tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2))
    model = nvp.FlowModel(nvp.Flow(base, coupling))
    model.compile()
    logs = model.evaluate(x, verbose=0, return_dict=True)
    penalty = 0.1 * float(tf.reduce_sum(conditioner.hidden_layers[0].kernel ** 2))
    assert penalty > 0
    assert logs["loss"] - logs["nll"] == pytest.approx(penalty, rel=1e-3)


def test_compiled_training_equals_uncompiled(make_flow, x):
    histories = []
    for jit_compile in (False, True):
        model = nvp.FlowModel(make_flow())
        model.compile(keras.optimizers.Adam(1e-3), jit_compile=jit_compile)
        histories.append(model.fit(x, epochs=3, batch_size=64, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-4)


def test_every_keras_weight_shares_storage_with_the_flow(make_model):
    model = make_model()
    theirs = {id(v.value) for v in model.trainable_variables}
    ours = {id(v) for v in model.distribution.trainable_variables}
    assert theirs == ours
    model.trainable_variables[0].assign(model.trainable_variables[0] + 1.0)
    assert len(theirs) == len(model.trainable_variables)


def test_stock_distributions_train(x):
    loc, scale = tf.Variable([0.0, 0.0]), tfp.util.TransformedVariable([1.0, 1.0], tfb.Softplus())
    model = nvp.FlowModel(tfd.Independent(tfd.Normal(loc, scale), 1))
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(x, epochs=60, batch_size=64, verbose=0)
    np.testing.assert_allclose(loc, x.mean(0), atol=0.2)
    np.testing.assert_allclose(scale, x.std(0), atol=0.2)


def test_conditional_model_learns_through_its_encoder(rng):
    c = rng.normal(size=(512, 3)).astype(np.float32)
    y = (c[:, :1] * [2.0, -1.0] + 0.1 * rng.normal(size=(512, 2))).astype(np.float32)
    flow = nvp.RealNVP([2], condition_shape=[4], num_layers=2, hidden_units=[16], seed=0)
    encoder = keras.Sequential([keras.Input([3]), keras.layers.Dense(4)])
    model = nvp.FlowModel(flow, encoder=encoder)
    model.compile(keras.optimizers.Adam(1e-2))
    before = encoder.layers[0].kernel.numpy()
    model.fit(c, y, validation_data=(c[:64], y[:64]), epochs=15, batch_size=64, verbose=0)
    assert not np.allclose(encoder.layers[0].kernel.numpy(), before)
    samples = model.sample(200, condition=c[:8], seed=0)
    np.testing.assert_allclose(np.mean(samples, 0), y[:8], atol=0.7)
    np.testing.assert_allclose(model.predict((c, y), verbose=0), model.log_prob(y, condition=c), rtol=1e-3, atol=1e-3)


def test_images_are_conditions_through_a_convolutional_encoder(rng):
    """Where a bright square is, from the image: the density of its place is sharp and right."""
    place = rng.integers(0, 5, size=(512, 2))
    images = 0.1 * rng.normal(size=(512, 8, 8, 1)).astype(np.float32)
    for image, (row, column) in zip(images, place, strict=True):
        image[row : row + 3, column : column + 3] += 1.0
    y = (place + rng.uniform(-0.5, 0.5, size=place.shape)).astype(np.float32)
    layers = [
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="relu"),
    ]
    keras.utils.set_random_seed(0)  # the encoder's weights and the order of the rows
    encoder = keras.Sequential([keras.Input([8, 8, 1]), *layers])
    flow = nvp.MAF([2], num_layers=2, hidden_units=[32], condition_shape=[16], seed=0)
    model = nvp.FlowModel(flow, encoder=encoder)
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(images[:448], y[:448], epochs=20, batch_size=64, verbose=0)
    samples = model.sample(100, condition=images[448:], seed=0).numpy()
    assert samples.shape == (100, 64, 2)
    assert np.abs(np.median(samples, axis=0) - place[448:]).mean() < 0.5


def test_class_labels_are_conditions_through_an_embedding(rng):
    labels = rng.integers(0, 3, size=600)
    x = (np.float32([[-4, 0], [0, 4], [4, 0]])[labels] + rng.normal(size=(600, 2))).astype(np.float32)
    flow = nvp.MAF([2], num_layers=2, hidden_units=[16], condition_shape=[4], seed=0)
    keras.utils.set_random_seed(0)  # the encoder's weights and the order of the rows
    model = nvp.FlowModel(flow, encoder=keras.Sequential([keras.layers.Embedding(3, 4)]))
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(labels, x, epochs=15, batch_size=50, verbose=0)
    means = model.sample(300, condition=np.arange(3), seed=0).numpy().mean(axis=0)
    np.testing.assert_allclose(means, [[-4, 0], [0, 4], [4, 0]], atol=1.0)


def test_dropout_is_on_in_the_training_pass_alone(x):
    flow = nvp.NeuralSplineFlow([2], num_layers=2, hidden_units=16, dropout=0.5, seed=0)
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * tf.random.stateless_normal(variable.shape, [1, 2]))
    model = nvp.FlowModel(flow)
    model.compile()
    np.testing.assert_array_equal(model(x), model(x))
    np.testing.assert_array_equal(model(x, training=False), flow.log_prob(x))
    assert not np.allclose(model(x, training=True), model(x, training=True))


def test_a_mixed_precision_policy_reaches_conditioners_only(make_flow, x):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        flow = make_flow()
        model = nvp.FlowModel(flow)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    coupling = next(b for b in flow.bijector.bijectors if isinstance(b, bijectors.Coupling))
    assert coupling.conditioner.hidden_layers[0].compute_dtype == "bfloat16"
    assert flow.log_prob(x).dtype == tf.float32
    model.compile()
    before = mean_nll(model, x)
    model.fit(x, epochs=2, verbose=0)
    assert mean_nll(model, x) < before


def test_float64_data_stay_float64(rng):
    # At 1e9, float32 knows no difference of 1; a float64 flow must see it.
    x = 1e9 + rng.normal(size=(64, 2))
    flow = nvp.Flow(
        tfd.MultivariateNormalDiag(tf.constant([1e9, 1e9], tf.float64)),
        bijectors.Elementwise(transformers.Shift(), [2], dtype="float64"),
    )
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.SGD(0.0))
    expected = mean_nll(model, x)
    assert model.evaluate(x, verbose=0, return_dict=True)["nll"] == pytest.approx(expected, rel=1e-9)
    assert expected < 4.0
    assert keras.config.floatx() == "float32"


def test_early_stopping_restores_the_best_weights(make_model, x):
    model = make_model()
    model.compile(keras.optimizers.SGD(0.3))
    stop = keras.callbacks.EarlyStopping("val_nll", mode="min", patience=2, restore_best_weights=True)
    history = model.fit(x, validation_data=(x[:32],), epochs=30, batch_size=16, callbacks=[stop], verbose=0).history
    assert mean_nll(model, x[:32]) == pytest.approx(min(history["val_nll"]), rel=1e-4)


def test_tensorboard_writes_the_curves(make_model, x, tmp_path):
    make_model().fit(x, epochs=1, verbose=0, callbacks=[keras.callbacks.TensorBoard(tmp_path)])
    assert list(tmp_path.rglob("events.out.tfevents*"))


def test_a_metric_of_ones_own_gets_events_and_log_probs(make_flow, x):
    def mean_log_prob(y_true, y_pred):
        return y_pred + 0.0 * tf.reduce_sum(y_true, -1)

    model = nvp.FlowModel(make_flow())
    model.compile(metrics=[mean_log_prob])
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert logs["mean_log_prob"] == pytest.approx(-logs["nll"], rel=1e-5)


def test_summary_lists_the_layers_and_counts(make_model):
    lines = []
    model = make_model()
    model.summary(print_fn=lines.append)
    text = "\n".join(lines)
    assert "coupling_0 (Coupling)" in text
    assert "act_norm_1 (ActNorm)" in text
    count = sum(int(np.prod(v.shape)) for v in model.distribution.trainable_variables)
    assert f"Trainable params: {count}" in text


def test_frozen_layers_stay(make_model, x):
    model = make_model()
    frozen = next(layer for layer in model.flow_layers if layer.name == "coupling_0")
    frozen.trainable = False
    model.compile()
    before = [v.numpy() for v in frozen.variables]
    model.fit(x, epochs=1, verbose=0)
    for variable, value in zip(frozen.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_model_whose_weights_are_all_frozen_says_so(make_model, x):
    model = make_model()
    model.distribution.trainable = False
    with pytest.raises(ValueError, match="all weights are frozen"):
        model.fit(x, verbose=0)


@pytest.mark.parametrize("wrong", ["event", "condition"])
def test_a_batch_of_another_size_in_a_stream_is_refused(wrong):
    flow = nvp.RealNVP([2], num_layers=2, hidden_units=[4], condition_shape=[3], seed=0)
    model = nvp.FlowModel(flow)
    model.compile()

    def batches():
        yield np.ones((8, 3), np.float32), np.ones((8, 2), np.float32) + np.arange(8)[:, None]
        sizes = (1, 2) if wrong == "condition" else (3, 1)
        yield tuple(np.ones((8, size), np.float32) for size in sizes)

    stream = tf.data.Dataset.from_generator(
        batches, output_signature=(tf.TensorSpec(None, tf.float32), tf.TensorSpec(None, tf.float32))
    )
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        model.fit(stream, epochs=1, verbose=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1; got 0"),
        ({"validation_split": float("nan")}, r"`validation_split` must be in \(0, 1\); got nan"),
        ({"validation_split": 1.5}, r"`validation_split` must be in \(0, 1\); got 1.5"),
    ],
)
def test_sizes_out_of_their_range_are_refused(arguments, message, make_model, x):
    with pytest.raises(ValueError, match=message):
        make_model().fit(x, verbose=0, **arguments)
