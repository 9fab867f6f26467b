import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.cases import CASES, Case, built, each, results

WITHOUT_WEIGHTS = ("circle", "logit", "permute", "reverse", "sinh", "sphere", "squeeze", "stock", "support")
SQUEEZES = ("squeeze_checkerboard", "squeeze_dispersed")
SET_FROM_DATA = ("principal_axes", "quantile", "quantile_image")  # alike in every instance; see tests/bijectors
WITH_WEIGHTS = [case for case in CASES if case.name not in (*WITHOUT_WEIGHTS, *SQUEEZES, *SET_FROM_DATA)]


@pytest.mark.parametrize("case", each(WITH_WEIGHTS))
def test_a_checkpoint_restores_a_new_one_to_the_same_results(case: Case, tmp_path):
    path = tf.train.Checkpoint(module=built(case)).write(str(tmp_path / "checkpoint"))
    new = case.make("float32")
    before = results(case, new)
    tf.train.Checkpoint(module=new).read(path).assert_consumed()
    after = results(case, new)
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    for value, right in zip(after, results(case, built(case)), strict=True):
        np.testing.assert_array_equal(value, right)
