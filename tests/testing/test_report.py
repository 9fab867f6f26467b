import math

import pytest

from tfp_nvp.testing.report import Report, Skipped


def report(**arguments) -> Report:
    return Report("thing", tolerance=0.1, names=["a", "b"], **arguments)


@pytest.mark.parametrize(
    ("error", "status"), [(0.0, "passed"), (0.1, "passed"), (0.2, "failed"), (math.inf, "failed"), (math.nan, "failed")]
)
def test_an_error_passes_up_to_the_tolerance_and_nan_never(error: float, status: str):
    table = report()
    table.measure("a", lambda: (error, "remark"))
    assert table["a"].status == status
    assert table.passed == (status == "passed")


def test_what_a_check_raises_is_its_failure():
    def check():
        raise RuntimeError("first line\nsecond line")

    table = report()
    table.measure("a", check)
    assert table["a"].status == "failed"
    assert table["a"].message == "RuntimeError: first line"


def test_a_check_that_does_not_apply_is_skipped_with_its_reason():
    def check():
        raise Skipped("no reason")

    table = report()
    table.measure("a", check)
    assert (table["a"].status, table["a"].message) == ("skipped", "no reason")
    assert table.raise_on_failure() is table


def test_only_what_is_asked_for_runs():
    table = report(only=["a"])
    table.measure("b", lambda: (1.0, ""))
    assert len(table) == 0
    with pytest.raises(KeyError, match="b"):
        table["b"]


def test_what_is_skipped_on_request_is_in_the_table():
    table = report(skip=["a"])
    table.measure("a", lambda: (1.0, ""))
    assert table["a"].status == "skipped"


def test_the_text_says_what_failed_and_by_how_much():
    table = report()
    table.measure("a", lambda: (0.25, "3 is not 4"))
    table.measure("b", lambda: (0.0, ""))
    assert str(table).splitlines()[0] == "thing: 1 of 2 checks failed"
    assert "error 2.5e-01, tolerance 1.0e-01" in str(table)
    assert "3 is not 4" in str(table)
    with pytest.raises(AssertionError, match="1 of 2 checks failed"):
        table.raise_on_failure()
