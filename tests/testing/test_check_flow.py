import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp import bijectors, transformers
from tfp_nvp.testing import check_flow

tfb, tfd = tfp.bijectors, tfp.distributions


def base() -> tfd.Distribution:
    return tfd.MultivariateNormalDiag(tf.zeros([2]), [1.0, 2.0])


def layer() -> bijectors.Bijector:
    layer = bijectors.Elementwise(transformers.Affine(), [2])
    layer.trainable_variables[0].assign([[0.5, -1.0], [0.3, -0.2]])
    return layer


class WithoutLogDet(nvp.Flow):
    def _log_prob(self, x, condition=None):
        return self.distribution.log_prob(self.bijector.inverse(x))


class SamplesOfAnotherBase(nvp.Flow):
    def _sample_and_log_prob(self, sample_shape, seed, condition=None):
        x, log_prob = super()._sample_and_log_prob(sample_shape, seed, condition)
        return x, log_prob + 0.5


class ForgetsSampleShape(nvp.Flow):
    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return tf.reshape(super()._call_sample_n(sample_shape, seed, **kwargs), [-1, 2])


class IgnoresSeed(nvp.Flow):
    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return super()._call_sample_n(sample_shape, [0, 0], **kwargs)


class FreshSeed(nvp.Flow):
    def _call_sample_n(self, sample_shape, seed, **kwargs):
        return super()._call_sample_n(sample_shape, None, **kwargs)


class HidesVariable(nvp.Flow):
    def __init__(self, distribution, bijector):
        super().__init__(distribution, bijector)
        hidden = tf.Variable(2.0)
        self._log_prob = lambda x, condition=None: nvp.Flow._log_prob(self, x) + hidden - hidden


class TakesAnyCondition(nvp.Flow):
    def _check_condition(self, condition):
        return None


BROKEN = {
    WithoutLogDet: {"log_prob", "sample_log_prob", "xla_samples"},
    SamplesOfAnotherBase: {"sample_log_prob", "xla_samples"},
    ForgetsSampleShape: {"sample_shapes"},
    IgnoresSeed: {"equal_seeds"},
    FreshSeed: {"equal_seeds", "graph", "saved_model"},
    HidesVariable: {"variables_tracked", "saved_model"},
    TakesAnyCondition: {"condition"},
}


#: Skipped where nothing is wrong with them.
SLOW = {"xla", "xla_samples", "saved_model"}


@pytest.mark.parametrize(("kind", "names"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_flow_fails_the_checks_made_for_it_and_no_other(kind: type, names: set[str], rng):
    report = check_flow(kind(base(), layer()), rng.normal(size=(4, 2)), skip=SLOW - names, raise_on_failure=False)
    assert {check.name for check in report.failed} == names


def test_a_right_flow_passes(rng):
    report = check_flow(nvp.Flow(base(), layer()), rng.normal(size=(4, 2)))
    assert {check.name for check in report if check.status == "skipped"} == {"float64"}


def test_a_stock_flow_with_weights_has_stale_results_and_ours_none(rng):
    x, scale = rng.normal(size=(4, 2)), tfb.Scale(tf.Variable([1.0, 2.0]))
    stock = check_flow(tfd.TransformedDistribution(base(), scale), x, skip=SLOW, raise_on_failure=False)
    assert {check.name for check in stock.failed} == {"no_stale_results"}
    check_flow(nvp.Flow(base(), scale), x, skip=SLOW)


def test_a_distribution_without_a_bijector_can_be_checked(rng):
    report = check_flow(tfd.Sample(tfd.Laplace(0.0, 1.0), 2), rng.normal(size=(4, 2)))
    assert report["sample_log_prob"].status == "passed"
    assert "forward_log_det" not in {check.name for check in report}


def test_what_is_no_distribution_is_refused():
    with pytest.raises(TypeError, match=r"tfd\.Distribution"):
        check_flow(layer(), np.zeros([1, 2]))
