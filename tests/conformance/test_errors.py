import numpy as np
import pytest

from tests.conformance.cases import CASES, Case, built, data


@pytest.mark.parametrize("case", [c for c in CASES if c.condition_shape], ids=lambda case: case.name)
def test_a_condition_of_another_shape_raises(case: Case):
    x, condition = data(case)
    evaluate = getattr(built(case), "log_prob", None) or built(case).inverse_and_log_det
    with pytest.raises(ValueError, match="must end in the condition shape"):
        evaluate(x, condition=np.concatenate([condition, condition], axis=-1))


@pytest.mark.parametrize(
    ("case", "size"),
    [(case, size) for case in CASES if not case.any_shape for size in {1, 5} - {case.event_shape[-1]}],
    ids=lambda value: getattr(value, "name", value),
)
def test_events_of_another_shape_raise(case: Case, size: int):
    x, condition = data(case)
    wrong = np.ones((*x.shape[:-1], size), np.float32)
    module = built(case)
    keywords = {} if condition is None else {"condition": condition}
    names = ("log_prob", "encode", "decode", "forward", "inverse")
    methods = [name for name in names if hasattr(module, name)]  # a bound has no latents
    assert methods
    for method in methods:
        with pytest.raises(ValueError, match="must"):
            getattr(module, method)(wrong, **keywords)
