import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp import bijectors, masks
from tfp_nvp.conditioners import MLP
from tfp_nvp.transformers import Affine

tfb, tfd = tfp.bijectors, tfp.distributions


def randomized(flow, rng, scale=0.3):
    for variable in flow.trainable_variables:
        variable.assign_add(scale * rng.normal(size=variable.shape))
    return flow


@pytest.fixture
def flow(rng) -> nvp.RealNVP:
    return randomized(nvp.RealNVP([2], num_layers=3, hidden_units=[8], seed=0), rng)


@pytest.fixture
def conditional(rng) -> nvp.RealNVP:
    return randomized(nvp.RealNVP([2], num_layers=2, hidden_units=[8], condition_shape=[3], seed=0), rng, 0.2)


def scale_flow(scale) -> nvp.Flow:
    return nvp.Flow(tfd.Normal(0.0, 1.0), tfb.Scale(scale))


def grid(half_width: float, count: int) -> tuple[np.ndarray, float]:
    """Points of a square grid [count², 2] and the area of each."""
    axis = np.linspace(-half_width, half_width, count)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), (axis[1] - axis[0]) ** 2


def mixture() -> tfd.Distribution:
    parts = tfd.MultivariateNormalDiag([[-2.0, 0.0], [2.0, 1.0]], [[0.5, 1.0], [1.0, 0.5]])
    return tfd.MixtureSameFamily(tfd.Categorical(probs=[0.3, 0.7]), parts)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nvp.NICE([2], num_layers=2, hidden_units=[8], seed=0),
        lambda: nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0),
        lambda: nvp.NeuralSplineFlow([2], num_layers=2, hidden_units=8, seed=0),
        lambda: nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0, base=mixture()),
    ],
    ids=["nice", "real_nvp", "neural_spline", "mixture_base"],
)
def test_a_density_integrates_to_one(make, rng):
    points, area = grid(14.0, 350)
    assert float(tf.reduce_sum(randomized(make(), rng, 0.1).prob(points)) * area) == pytest.approx(1.0, abs=1e-3)


def test_a_conditional_density_integrates_to_one_at_each_condition(conditional, rng):
    points, area = grid(25.0, 500)
    mass = tf.reduce_sum(conditional.prob(points, condition=rng.normal(size=(3, 1, 3))), axis=-1) * area
    np.testing.assert_allclose(mass, 1.0, atol=5e-3)


def test_samples_have_the_density(flow):
    """E[f] over samples is the integral of f · p over a grid."""
    points, area = grid(14.0, 350)
    x = flow.sample(20_000, seed=1).numpy()
    p = flow.prob(points).numpy() * area
    for f in (lambda v: v[:, 0], lambda v: v[:, 1], lambda v: np.abs(v).sum(-1), lambda v: v[:, 0] * v[:, 1]):
        error = float(5.0 * f(x).std() / math.sqrt(len(x))) + 0.01
        assert f(x).mean() == pytest.approx((f(points) * p).sum(), abs=error)


def test_its_log_prob_is_that_of_a_gaussian_it_makes():
    matrix = tf.constant([[2.0, 0.0], [-1.0, 0.5]])
    base = tfd.MultivariateNormalDiag(tf.zeros([2]))
    flow = nvp.Flow(base, tfb.Chain([tfb.Shift([1.0, -1.0]), tfb.ScaleMatvecTriL(matrix)]))
    gaussian = tfd.MultivariateNormalTriL([1.0, -1.0], matrix)
    x = gaussian.sample(10, seed=1)
    np.testing.assert_allclose(flow.log_prob(x), gaussian.log_prob(x), rtol=1e-5)
    np.testing.assert_allclose(flow.prob(x), gaussian.prob(x), rtol=1e-4)


def test_the_log_prob_is_that_of_the_current_weights():
    scale = tf.Variable(1.0)
    flow, x = scale_flow(scale), tf.constant(0.1)
    for value in (1.0, 10.0, 0.5):
        scale.assign(value)
        right = -0.5 * math.log(2.0 * math.pi) - math.log(value) - 0.5 * (0.1 / value) ** 2
        assert float(flow.log_prob(x)) == pytest.approx(right, rel=1e-5)


def test_training_on_one_tensor_finds_the_right_scale(rng):
    """Where TFP's cache gives a wrong answer."""
    x = tf.constant(3.0 * rng.normal(size=2000), tf.float32)
    log_scale = tf.Variable(0.0)
    flow = nvp.Flow(tfd.Normal(0.0, 1.0), tfb.Scale(log_scale=log_scale))
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(flow.log_prob(x))
        optimizer.apply([tape.gradient(loss, log_scale)], [log_scale])
    assert math.exp(float(log_scale)) == pytest.approx(np.std(x), rel=0.02)


def test_encode_and_decode_are_inverse_with_opposite_log_dets(flow, rng):
    x = rng.normal(size=(5, 4, 2))
    z, log_det = flow.encode(x)
    back, back_log_det = flow.decode(tf.identity(z))
    np.testing.assert_allclose(back, x, atol=1e-5)
    np.testing.assert_allclose(back_log_det, -log_det, atol=1e-5)
    np.testing.assert_allclose(flow.log_prob(x), flow.distribution.log_prob(z) + log_det)


@pytest.mark.parametrize("is_conditional", [False, True])
def test_outputs_are_all_that_one_pass_gives(flow, conditional, rng, is_conditional):
    x, condition = rng.normal(size=(5, 4, 2)), rng.normal(size=(4, 3)) if is_conditional else None
    flow = conditional if is_conditional else flow
    calls, bijector = [], flow.bijector.bijectors[-1]
    plain = bijector._inverse_and_log_det
    bijector._inverse_and_log_det = lambda *arguments: calls.append(1) or plain(*arguments)
    outputs = flow.outputs(x, condition)
    assert list(outputs) == ["z", "log_det", "log_prob"]
    assert len(calls) == 1
    z, log_det = flow.encode(x, condition)
    np.testing.assert_array_equal(outputs["z"], z)
    np.testing.assert_array_equal(outputs["log_det"], log_det)
    keywords = {"condition": condition} if is_conditional else {}
    np.testing.assert_array_equal(outputs["log_prob"], flow.log_prob(x, **keywords))
    assert outputs["log_det"].shape == outputs["log_prob"].shape == [5, 4]


def test_outputs_of_a_constant_log_det_have_the_batch_shape():
    outputs = nvp.Flow(tfd.Sample(tfd.Normal(0.0, 1.0), 3), tfb.Scale(2.0)).outputs(tf.zeros([4, 3]))
    np.testing.assert_allclose(outputs["log_det"], np.full(4, -3.0 * math.log(2.0)), rtol=1e-6)
    assert outputs["log_prob"].shape == [4]


def test_bits_per_dim_of_real_numbers_is_the_density_in_bits(conditional, rng):
    x, condition = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    bits = conditional.bits_per_dim(x, condition)
    np.testing.assert_allclose(bits, -conditional.log_prob(x, condition=condition) / (2 * math.log(2.0)), rtol=1e-6)
    # Uniform on [0, 1/8]²: 3 bits less than none.
    base = tfd.Independent(tfd.Uniform(tf.zeros([2]), tf.fill([2], 0.125)), 1)
    narrow = nvp.Flow(base, tfb.Identity())
    np.testing.assert_allclose(narrow.bits_per_dim([[0.1, 0.1]]), [-3.0], rtol=1e-6)


def test_bits_per_dim_of_events_of_any_rank(rng):
    scalar = nvp.Flow(tfd.Normal(0.0, 1.0), tfb.Identity())
    np.testing.assert_allclose(scalar.bits_per_dim([0.5]), -scalar.log_prob([0.5]) / math.log(2.0), rtol=1e-6)
    image = nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, seed=0)
    x = rng.normal(size=(2, 4, 4, 1))
    np.testing.assert_allclose(image.bits_per_dim(x), -image.log_prob(x) / (16 * math.log(2.0)), rtol=1e-6)


def test_a_uniform_base_bounds_the_samples():
    base = tfd.Independent(tfd.Uniform(tf.zeros([2]), tf.ones([2])), 1)
    flow = nvp.Flow(base, tfb.Chain([tfb.Shift([1.0, 1.0]), tfb.Scale([2.0, 4.0])]))
    x = flow.sample(1000, seed=1).numpy()
    assert (x >= 1.0).all()
    assert (x <= [3.0, 5.0]).all()
    np.testing.assert_allclose(flow.log_prob(x), -math.log(8.0), rtol=1e-5)
    assert float(flow.log_prob([0.5, 2.0])) == -math.inf


def test_a_mixture_base_gives_its_parts(rng):
    flow = nvp.Flow(mixture(), tfb.Shift([10.0, 10.0]))
    x = flow.sample(2000, seed=1).numpy() - 10.0
    assert (x[:, 0] > 0.0).mean() == pytest.approx(0.7 * 0.977, abs=0.05)
    np.testing.assert_allclose(flow.log_prob(x + 10.0), mixture().log_prob(x), rtol=1e-3, atol=1e-4)


def test_the_batch_shape_of_the_base_is_the_flows(rng):
    base = tfd.MultivariateNormalDiag(tf.constant(rng.normal(size=(4, 2)), tf.float32))
    flow = nvp.Flow(base, randomized(nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0), rng).bijector)
    assert flow.batch_shape == [4]
    x = flow.sample(5, seed=1)
    assert x.shape == [5, 4, 2]
    z, log_det = flow.encode(x)
    np.testing.assert_allclose(flow.log_prob(x), base.log_prob(z) + log_det, rtol=1e-4)
    assert flow[1:3].sample(5, seed=1).shape == [5, 2, 2]
    np.testing.assert_allclose(flow[1].log_prob(x[:, 1]), flow.log_prob(x)[:, 1], rtol=1e-5)


def test_what_can_not_be_sliced_is_not_sliced_wrong(conditional):
    base = tfd.MultivariateNormalDiag(tf.zeros([4, 2]))
    partly = nvp.Flow(base, conditional.given(np.zeros([5, 1, 3])).bijector)
    assert partly.batch_shape == [5, 4]
    for flow in (partly, scale_flow([1.0, 2.0])):
        with pytest.raises(NotImplementedError, match="slice"):
            flow[0]


def test_conditions_broadcast_with_data(conditional, rng):
    x, condition = rng.normal(size=(4, 2)), rng.normal(size=(5, 1, 3))
    log_prob = conditional.log_prob(x, condition=condition)
    assert log_prob.shape == [5, 4]
    for i in range(5):
        np.testing.assert_allclose(
            log_prob[i], conditional.log_prob(x, condition=np.tile(condition[i], [4, 1])), rtol=1e-4, atol=1e-5
        )


def test_conditions_matter(conditional, rng):
    x = rng.normal(size=(4, 2))
    one, other = (conditional.log_prob(x, condition=rng.normal(size=3)) for _ in range(2))
    assert not np.allclose(one, other)


@pytest.mark.parametrize("sample_shape", [(), 5, (2, 5)])
def test_each_condition_gets_samples_of_its_own(conditional, sample_shape):
    x = conditional.sample(sample_shape, seed=1, condition=np.zeros([4, 3]))
    assert x.shape == [*np.atleast_1d(np.asarray(sample_shape, int)), 4, 2]
    assert len(np.unique(x.numpy().reshape(-1, 2), axis=0)) == x.numpy().size // 2


def test_a_condition_without_a_batch_serves_all_samples(conditional):
    assert conditional.sample(5, seed=1, condition=np.zeros([3])).shape == [5, 2]
    assert conditional.log_prob(np.zeros([5, 2]), condition=np.zeros([3])).shape == [5]


def test_given_is_the_flow_at_that_condition(conditional, rng):
    condition, x = rng.normal(size=(4, 3)), rng.normal(size=(5, 4, 2))
    given = conditional.given(condition)
    assert (given.batch_shape, given.event_shape, given.condition_shape) == ([4], [2], None)
    np.testing.assert_allclose(given.log_prob(x), conditional.log_prob(x, condition=condition))
    np.testing.assert_array_equal(given.sample(3, seed=1), conditional.sample(3, seed=1, condition=condition))
    np.testing.assert_allclose(given[1:3].log_prob(x[:, 1:3]), given.log_prob(x)[:, 1:3], rtol=1e-4, atol=1e-5)
    assert {id(v) for v in given.variables} == {id(v) for v in conditional.variables}


def test_gradients_reach_a_given_condition(conditional):
    condition = tf.Variable(np.zeros([3], np.float32))
    with tf.GradientTape() as tape:
        log_prob = conditional.given(condition).log_prob([0.5, 0.5])
    assert np.abs(tape.gradient(log_prob, condition)).sum() > 0.0


def test_a_conditional_base_gets_the_condition_too(conditional, rng):
    outer = nvp.Flow(conditional, bijectors.Reverse())
    x, condition = rng.normal(size=(4, 2)).astype(np.float32), rng.normal(size=(4, 3))
    assert outer.condition_shape == (3,)
    right = conditional.log_prob(x[:, ::-1], condition=condition)
    np.testing.assert_allclose(outer.log_prob(x, condition=condition), right, rtol=1e-5)
    np.testing.assert_allclose(outer.given(condition).log_prob(x), right, rtol=1e-5)
    assert outer.sample(3, seed=1, condition=condition).shape == [3, 4, 2]
    assert outer.given(condition).sample(3, seed=1).shape == [3, 4, 2]


def test_a_learned_conditional_base_is_trained_with_its_flow(rng):
    base = nvp.distributions.ConditionalNormal([2], [1], hidden_units=[16], seed=0)
    flow = nvp.MAF([2], num_layers=1, hidden_units=[8], condition_shape=[1], base=base, seed=0)
    assert {id(v) for v in base.trainable_variables} <= {id(v) for v in flow.trainable_variables}
    condition = rng.normal(size=(2000, 1)).astype(np.float32)
    x = np.sign(condition) * 5.0 + rng.normal(size=(2000, 2)).astype(np.float32)
    keras.utils.set_random_seed(0)  # the order of the rows
    model = nvp.FlowModel(flow)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(condition, x, batch_size=100, epochs=10, verbose=0)
    mean = flow.sample(500, condition=np.array([[-1.0], [1.0]]), seed=1).numpy().mean(axis=(0, 2))
    np.testing.assert_allclose(mean, [-5.0, 5.0], atol=1.0)


def test_moments_of_a_conditional_normal_are_those_of_its_samples(rng):
    base = randomized(nvp.distributions.ConditionalNormal([2], [3], hidden_units=[8], seed=0), rng)
    condition = rng.normal(size=(4, 3))
    samples = base.sample(20_000, condition=condition, seed=1).numpy()
    np.testing.assert_allclose(base.mean(condition=condition), samples.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(base.stddev(condition=condition), samples.std(axis=0), rtol=0.05)
    np.testing.assert_allclose(base.variance(condition=condition), samples.var(axis=0), rtol=0.1)
    cold = base.sample(2, condition=condition, seed=1, temperature=0.0)
    np.testing.assert_allclose(cold[0], base.mean(condition=condition), rtol=1e-5)
    exact = tfd.MultivariateNormalDiag(base.mean(condition=condition), base.stddev(condition=condition))
    given = base.given(condition)
    for name in ("mean", "mode", "stddev", "variance", "covariance", "entropy"):
        right = getattr(exact, name)()
        np.testing.assert_allclose(getattr(base, name)(condition=condition), right, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(getattr(given, name)(), right, rtol=1e-4, atol=1e-6)


def test_a_conditional_base_can_be_cold_at_a_given_condition(rng):
    base = randomized(nvp.distributions.ConditionalNormal([2], [1], hidden_units=[8], seed=0), rng)
    flow = nvp.MAF([2], num_layers=1, hidden_units=[8], condition_shape=[1], base=base, seed=0)
    condition = rng.normal(size=(4, 1))
    right = flow.sample(3, condition=condition, seed=1, temperature=0.5)
    np.testing.assert_allclose(flow.given(condition).sample(3, seed=1, temperature=0.5), right, rtol=1e-5)


def test_base_and_bijector_take_the_same_condition():
    base = nvp.distributions.ConditionalNormal([2], [1])
    with pytest.raises(ValueError, match=r"the base's `condition_shape` is \[1\], the bijector's \[3\]"):
        nvp.MAF([2], condition_shape=[3], base=base)
    with pytest.raises(TypeError, match="`condition_shape` must be a list of sizes"):
        nvp.distributions.ConditionalNormal([2], None)


def test_a_flow_is_an_argument_of_a_graph(flow):
    """One trace for each flow, which reads the current weights."""
    function, other = tf.function(lambda flow, x: flow.log_prob(x)), flow.copy()
    for _ in range(2):
        np.testing.assert_allclose(function(flow, [0.5, 0.0]), flow.log_prob([0.5, 0.0]), rtol=1e-5)
    flow.trainable_variables[0].assign_add([1.0, 1.0])
    np.testing.assert_allclose(function(flow, [0.5, 0.0]), flow.log_prob([0.5, 0.0]), rtol=1e-5)
    assert function.experimental_get_tracing_count() == 1
    function(other, [0.5, 0.0])
    assert function.experimental_get_tracing_count() == 2


def test_temperature_shrinks_the_latents(flow):
    z = flow.encode(flow.sample(50, seed=1))[0]
    half = flow.encode(flow.sample(50, seed=1, temperature=0.5))[0]
    np.testing.assert_allclose(half, 0.5 * z, atol=1e-4)
    np.testing.assert_array_equal(flow.sample(5, seed=1, temperature=1.0), flow.sample(5, seed=1))
    cold = flow.sample(5, seed=1, temperature=0.0).numpy()
    np.testing.assert_allclose(cold, np.tile(flow.decode(np.zeros(2))[0], [5, 1]), atol=1e-6)


def test_temperature_shrinks_towards_the_bases_mean():
    flow = nvp.Flow(tfd.Normal(10.0, 1.0), tfb.Scale(2.0))
    assert float(flow.sample(seed=1, temperature=0.0)) == 20.0


@pytest.mark.parametrize("seed", [0, 7, -1, 2**40, np.int64(3), (1, 2)])
def test_equal_seeds_give_equal_samples(flow, seed):
    np.testing.assert_array_equal(flow.sample(5, seed=seed), flow.sample(5, seed=seed))
    np.testing.assert_array_equal(flow.sample_and_log_prob(5, seed=seed)[0], flow.sample(5, seed=seed))


def test_other_seeds_and_no_seed_give_other_samples(flow):
    draws = [flow.sample(3, seed=seed).numpy() for seed in (0, 1, 2**32, None, None)]
    assert len({draw.tobytes() for draw in draws}) == len(draws)


def test_samples_come_with_their_log_prob(flow, conditional, rng):
    condition = rng.normal(size=(4, 3))
    x, log_prob = conditional.sample_and_log_prob(6, seed=1, condition=condition)
    assert log_prob.shape == [6, 4]
    np.testing.assert_allclose(log_prob, conditional.log_prob(x, condition=condition), rtol=1e-4, atol=1e-4)


def test_it_evaluates_each_network_once():
    calls = []

    class Counter(keras.layers.Layer):
        def call(self, inputs):
            calls.append(1)
            return keras.ops.concatenate([inputs, inputs], axis=-1)

    flow = nvp.Flow(tfd.MultivariateNormalDiag(tf.zeros([2])), bijectors.Coupling(Affine(), Counter(), masks.half(2)))
    for evaluate in (
        lambda: flow.log_prob(tf.ones([3, 2])),
        lambda: flow.sample(3, seed=1),
        lambda: flow.sample_and_log_prob(3, seed=1),
    ):
        calls.clear()
        evaluate()
        assert len(calls) == 1


def test_initialize_sets_every_act_norm_from_data(rng):
    flow = nvp.RealNVP([2], num_layers=2, hidden_units=[8], seed=0)
    assert not flow.is_initialized
    x = 100.0 + 5.0 * rng.normal(size=(500, 2))
    flow.initialize(x)
    assert flow.is_initialized
    z, _ = flow.encode(x)
    np.testing.assert_allclose(tf.reduce_mean(z, 0), 0.0, atol=1e-3)
    np.testing.assert_allclose(tf.math.reduce_std(z, 0), 1.0, rtol=1e-3)


def test_initialize_refuses_what_is_no_batch_of_finite_data(flow):
    for wrong in (np.zeros([2]), np.zeros([1, 2]), np.zeros([3, 2, 2])):
        with pytest.raises(ValueError, match="batch of at least 2 events"):
            flow.initialize(wrong)
    with pytest.raises(ValueError, match=r"it is not in 2 row\(s\): \[1, 3\]"):
        flow.initialize([[0.0, 0.0], [np.nan, 0.0], [1.0, 1.0], [0.0, np.inf]])


def test_nan_data_has_nan_density_in_its_own_row(flow):
    log_prob = flow.log_prob([[0.0, 0.0], [np.nan, 0.0]])
    assert np.isnan(log_prob).tolist() == [False, True]


def test_far_off_data_has_a_density(flow):
    assert not np.isnan(flow.log_prob([[1e30, -1e30], [1e10, 0.0]])).any()


def test_data_of_another_dtype_is_cast(flow):
    for x in ([[0, 1]], np.zeros([1, 2], np.float64), tf.zeros([1, 2], tf.float64)):
        assert flow.log_prob(x).dtype == tf.float32


def test_it_is_a_transformed_distribution(flow):
    assert isinstance(flow, tfd.TransformedDistribution)
    assert isinstance(flow.distribution, tfd.Distribution)
    assert flow.bijector.forward_min_event_ndims == 1


def test_parts_that_do_not_fit_are_refused(flow):
    base = tfd.Normal(tf.zeros([2]), 1.0)
    with pytest.raises(ValueError, match="must have events of at least 1 dimension"):
        nvp.Flow(base, flow.bijector)
    with pytest.raises(TypeError, match=r"`distribution` must be a tfd\.Distribution"):
        nvp.Flow(flow.bijector, base)
    with pytest.raises(TypeError, match=r"`bijector` must be a tfb\.Bijector"):
        nvp.Flow(base, tf.exp)


def test_an_unconditional_flow_can_not_be_given_anything(flow):
    with pytest.raises(ValueError, match="takes no condition"):
        flow.given([1.0])


def test_it_can_not_be_iterated(flow):
    with pytest.raises(TypeError, match="not iterable"):
        iter(flow)


def test_dropout_leaves_inference_deterministic_and_invertible(rng):
    mask = masks.half(4)
    network = MLP(4, hidden_units=[32], dropout=0.5, seed=0)
    flow = nvp.Flow(tfd.MultivariateNormalDiag(tf.zeros([4])), bijectors.Coupling(Affine(), network, mask))
    randomized(flow, rng)
    x = tf.constant(rng.normal(size=(20, 4)), tf.float32)
    np.testing.assert_array_equal(flow.log_prob(x), flow.log_prob(tf.identity(x)))
    z, log_det = flow.encode(x)
    back, back_log_det = flow.decode(tf.identity(z))
    np.testing.assert_allclose(back, x, atol=1e-5)
    np.testing.assert_allclose(back_log_det, -log_det, atol=1e-5)


def test_a_module_finds_the_variables_of_a_flow_that_it_holds(flow):
    module = tf.Module()
    module.parts = {"flow": flow}
    assert {id(v) for v in module.trainable_variables} == {id(v) for v in flow.trainable_variables}
    outer = nvp.Flow(flow, bijectors.Reverse())
    assert {id(v) for v in outer.variables} == {id(v) for v in flow.variables}


def test_events_and_conditions_are_checked_once(conditional, monkeypatch):
    """By the method that is called: nothing that it calls looks again before the first layer."""
    from tfp_nvp.bijectors import bijector as module

    calls = []
    check = module.ensure_ends_in

    def counted(name, *arguments):
        calls.append(name)
        return check(name, *arguments)

    monkeypatch.setattr(module, "ensure_ends_in", counted)
    monkeypatch.setattr("tfp_nvp.distributions.flow.ensure_ends_in", counted)
    x, condition = np.zeros([4, 2], np.float32), np.zeros([4, 3], np.float32)
    for method, value in (("log_prob", "value"), ("encode", "x"), ("decode", "z")):
        calls.clear()
        getattr(conditional, method)(x, condition=condition)
        assert sorted(calls) == sorted([value, "condition"]), method
    for method, value in (("forward", "z"), ("inverse_and_log_det", "x")):
        calls.clear()
        getattr(conditional.bijector, method)(x, condition=condition)
        assert sorted(calls) == sorted([value, "condition"]), method
    calls.clear()
    conditional.sample_and_log_prob(4, seed=1, condition=condition)
    assert calls == ["condition"]


def test_slices_with_an_ellipsis_and_too_many_of_them(conditional):
    flow = conditional.given(np.zeros([4, 5, 3]))
    shapes = [flow[slices].batch_shape.as_list() for slices in (Ellipsis, (..., 2), 0, (slice(1, 3), 2))]
    assert shapes == [[4, 5], [4], [5], [2]]
    for wrong, slices in ((flow, (0, 1, 0)), (conditional, 0)):
        with pytest.raises(IndexError):
            wrong[slices]
