"""The verifier bites: each broken bijector is caught, by the check made for it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_nvp.bijectors import Bijector, Conditioned, Stock
from tfp_nvp.testing import check_bijector

tfb = tfp.bijectors


class Scale(Bijector):
    """x = z · exp(s) (1 + c), right in every way; what is wrong with the others is what they change."""

    def __init__(self, condition_shape=None, dtype="float32", name="scale"):
        parameters = dict(locals())
        super().__init__(
            event_shape=(3,), condition_shape=condition_shape, dtype=dtype, parameters=parameters, name=name
        )
        self.log_scale = tf.Variable(np.asarray([0.1, -0.2, 0.3]), dtype=self.dtype, name="log_scale")

    def _log_scale(self, condition):
        return self.log_scale if condition is None else self.log_scale + tf.math.softplus(condition)

    def _forward_and_log_det(self, z, condition):
        s = self._log_scale(condition)
        return z * tf.exp(s), tf.reduce_sum(s, -1)

    def _inverse_and_log_det(self, x, condition):
        s = self._log_scale(condition)
        return x * tf.exp(-s), -tf.reduce_sum(s, -1)


class WrongForwardSign(Scale):
    def _forward_and_log_det(self, z, condition):
        x, log_det = super()._forward_and_log_det(z, condition)
        return x, -log_det


class WrongInverseSign(Scale):
    def _inverse_and_log_det(self, x, condition):
        z, log_det = super()._inverse_and_log_det(x, condition)
        return z, -log_det


class LogDetOfOneElement(Scale):
    def _forward_and_log_det(self, z, condition):
        return super()._forward_and_log_det(z, condition)[0], self.log_scale[0]

    def _inverse_and_log_det(self, x, condition):
        return super()._inverse_and_log_det(x, condition)[0], -self.log_scale[0]


class ScalesByBatchMean(Scale):
    def _forward_and_log_det(self, z, condition):
        s = self._log_scale(condition) + 0.1 * tf.reduce_mean(z)
        return z * tf.exp(s), tf.reduce_sum(s, -1)


class ForgetsBatchShape(Scale):
    def _forward_and_log_det(self, z, condition):
        x, log_det = super()._forward_and_log_det(z, condition)
        return tf.reshape(x, (-1, 3)), log_det


class HidesNetwork(Scale):
    def __init__(self):
        super().__init__()
        network = keras.layers.Dense(3, kernel_initializer="ones")
        network.build((None, 3))
        self._log_scale = lambda condition: self.log_scale + network(tf.ones([1, 3]))[0]


class HidesVariable(Scale):
    def __init__(self):
        super().__init__()
        hidden = tf.Variable(0.5, trainable=False, name="hidden")
        self._log_scale = lambda condition: self.log_scale + hidden


class UnusedWeight(Scale):
    def __init__(self):
        super().__init__()
        self.unused = tf.Variable(1.0, name="unused")


class StopsGradient(Scale):
    def _log_scale(self, condition):
        return tf.stop_gradient(self.log_scale)


class InfiniteGradient(Scale):
    def _log_scale(self, condition):
        return self.log_scale + tf.sqrt(self.log_scale - self.log_scale)


class RemembersResults(Scale):
    def __init__(self):
        super().__init__()
        self._results = self._no_dependency({})

    def _forward_and_log_det(self, z, condition):
        if not tf.executing_eagerly():
            return super()._forward_and_log_det(z, condition)
        if id(z) not in self._results:
            self._results[id(z)] = (z, super()._forward_and_log_det(z, condition))
        return self._results[id(z)][1]


class OtherInGraphs(Scale):
    def _log_scale(self, condition):
        return self.log_scale * (1.0 if tf.executing_eagerly() else 1.1)


class CallsPython(Scale):
    def _log_scale(self, condition):
        return tf.ensure_shape(tf.py_function(lambda s: s, [self.log_scale], self.dtype), [3])


class OtherInFloat32(Scale):
    def _log_scale(self, condition):
        return self.log_scale if self.dtype == tf.float64 else self.log_scale + 0.02


class OtherLogDetAlone(Scale):
    def _call_forward_log_det_jacobian(self, *arguments, **keywords):
        return super()._call_forward_log_det_jacobian(*arguments, **keywords) + 1.0


class TakesAnyCondition(Scale):
    def _check_condition(self, condition):
        return condition


BROKEN = {
    WrongForwardSign: {"forward_log_det"},
    WrongInverseSign: {"inverse_log_det"},
    LogDetOfOneElement: {"forward_log_det", "inverse_log_det"},
    ScalesByBatchMean: {"inverse_of_forward", "forward_of_inverse", "forward_log_det", "batch_shapes"},
    ForgetsBatchShape: {"batch_shapes"},
    HidesNetwork: {"variables_tracked", "saved_model"},
    HidesVariable: {"variables_tracked", "saved_model"},
    UnusedWeight: {"gradients"},
    StopsGradient: {"gradients"},
    InfiniteGradient: {"gradients"},
    RemembersResults: {"no_stale_results"},
    OtherInGraphs: {"graph", "xla", "saved_model"},
    CallsPython: {"xla"},
    OtherInFloat32: {"float64"},
    OtherLogDetAlone: {"one_pass"},
    TakesAnyCondition: {"condition"},
}


#: Skipped where nothing is wrong with them.
SLOW = {"xla", "saved_model"}


def failures(bijector, x, condition=None, **arguments) -> set[str]:
    report = check_bijector(bijector, x, condition, raise_on_failure=False, **arguments)
    return {check.name for check in report.failed}


@pytest.fixture
def x(rng) -> np.ndarray:
    return rng.normal(size=(5, 3)).astype(np.float32)


def test_a_right_bijector_passes_every_check(x, rng):
    report = check_bijector(Scale(condition_shape=(3,)), x, rng.normal(size=(5, 3)))
    assert {check.status for check in report} == {"passed"}


@pytest.mark.parametrize(("kind", "names"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_bijector_fails_the_checks_made_for_it_and_no_other(kind: type, names: set[str], x):
    assert failures(kind(), x, skip=SLOW - names) == names


class StockWrongInverse(tfb.Bijector):
    """x = 2 z, and an inverse that is not it."""

    def __init__(self):
        super().__init__(forward_min_event_ndims=0, dtype=tf.float32, parameters={})

    def _forward(self, z):
        return 2.0 * z

    def _inverse(self, x):
        return x / 3.0

    def _forward_log_det_jacobian(self, z):
        return tf.fill(tf.shape(z), tf.math.log(2.0))

    def _inverse_log_det_jacobian(self, x):
        return tf.fill(tf.shape(x), -tf.math.log(3.0))


def test_a_wrong_inverse_that_tfps_cache_hides_is_caught(x):
    bijector = StockWrongInverse()
    np.testing.assert_array_equal(bijector.inverse(bijector.forward(x)), x)  # what TFP's cache answers
    assert failures(bijector, x, skip=SLOW) == {"inverse_of_forward", "forward_of_inverse"}


def test_a_stale_answer_of_tfps_cache_is_caught_and_stock_has_none(x):
    def scale():
        return tfb.Scale(tf.Variable([1.0, 2.0, 3.0]))

    assert failures(scale(), x, skip=SLOW) == {"no_stale_results"}
    assert failures(tfb.Chain([tfb.Shift([1.0]), scale()]), x, skip=SLOW) == {"no_stale_results"}
    assert failures(Stock(scale()), x, skip=SLOW) == set()


def test_weights_are_as_before_after_a_check(x):
    bijector = RemembersResults()
    before = bijector.log_scale.numpy()
    failures(bijector, x, only=["no_stale_results"])
    np.testing.assert_array_equal(bijector.log_scale, before)


@pytest.mark.parametrize(
    ("bijector", "x"),
    [
        (tfb.Softplus(), 0.7),
        (tfb.Exp(), [[0.5, 1.5], [2.5, 3.5]]),
        (tfb.Transpose(perm=[1, 0]), np.arange(12.0, dtype=np.float32).reshape(2, 2, 3)),
        (tfb.Reshape([3, 2], [6]), np.arange(12.0, dtype=np.float32).reshape(2, 3, 2)),
        (tfb.Chain([tfb.Sigmoid(), tfb.Scale([1.0, -2.0])]), [[0.2, 0.8]]),
        (tfb.ScaleMatvecTriL([[1.0, 0.0], [0.5, 2.0]]), [[0.2, 0.8]]),
        (tfb.RationalQuadraticSpline([[1.0, 1.0]] * 2, [[0.5, 1.5]] * 2, [[1.0]] * 2), [[0.2, 0.8]]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_stock_bijectors_pass(bijector, x):
    assert check_bijector(bijector, x)["inverse_log_det"].status == "passed"


def test_a_map_to_more_dimensions_has_no_log_det_to_check():
    report = check_bijector(tfb.FillTriangular(), np.ones([2, 2, 2], np.float32) * [[1.0, 0.0], [1.0, 1.0]])
    assert report["forward_log_det"].status == "skipped"
    assert "not square" in report["forward_log_det"].message


def test_dimensions_of_a_bijectors_batch_belong_to_the_event(x):
    inner = Scale(condition_shape=(3,))
    bijector = Conditioned(inner, np.ones([2, 3], np.float32))
    check_bijector(bijector, np.stack([x, x], axis=1), only=["inverse_log_det", "batch_shapes"])


def test_what_can_not_be_checked_is_refused(x):
    with pytest.raises(TypeError, match=r"tfb\.Bijector"):
        check_bijector(lambda z: z, x)
    with pytest.raises(TypeError, match="injectively"):
        check_bijector(tfb.AbsoluteValue(), x)
    with pytest.raises(ValueError, match="at least one event"):
        check_bijector(Scale(), x[:0])
    with pytest.raises(ValueError, match=r"at least 1 dimension"):
        check_bijector(Scale(), 1.0)
    with pytest.raises(ValueError, match="`only` must be a list of names"):
        check_bijector(Scale(), x, only=["no_such_check"])
    with pytest.raises(ValueError, match="`skip` must be a list of names"):
        check_bijector(Scale(), x, skip="xla")


def test_a_failure_raises_its_table(x):
    with pytest.raises(AssertionError, match=r"1 of 2 checks failed") as raised:
        check_bijector(WrongForwardSign(), x, only=["forward_log_det", "graph"])
    assert "failed   forward_log_det" in str(raised.value)
    assert "forward_log_det is -0.2 where 0.2 is right" in str(raised.value)
    assert "passed   graph" in str(raised.value)
