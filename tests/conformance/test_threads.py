"""No call changes what another thread sees: both dtypes at once give what each gives alone."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.conformance.cases import CASES, Case, built, each, results


@pytest.mark.parametrize("case", each(CASES))
def test_float32_and_float64_side_by_side(case: Case):
    jobs = [(built(case, dtype), dtype) for dtype in ("float32", "float64")] * 2
    alone = [results(case, *job) for job in jobs]
    with ThreadPoolExecutor(len(jobs)) as threads:
        together = list(threads.map(lambda job: results(case, *job), jobs))
    for right, values in zip(alone, together, strict=True):
        for value, other in zip(values, right, strict=True):
            np.testing.assert_array_equal(value, other)
            assert value.dtype == other.dtype
