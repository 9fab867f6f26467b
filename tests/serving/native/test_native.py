"""Exports answer from processes without Python, through the loader that a model server uses, with XLA off.

A process takes a second or two to start, so each export is asked everything in one; the tests look at the answers.
"""

import numpy as np
import pytest

from tests.serving.conftest import CASES, RECIPES
from tests.serving.native.process import INVALID_ARGUMENT, assert_equal
from tfp_nvp import flows

# By row, of eight.
NOT_FINITE = {1: np.nan, 4: np.inf, 6: -np.inf}
HUGE = {0: 3e38, 3: -3e38}

#: Exports that two processes run at once.
BY_TWO = ("spline", "maf", "encoder")


@pytest.fixture(scope="session")
def both(process):
    """A function from an export to one process or, of `BY_TWO`, two at once; the first was asked everything below.

    Each export is asked once.
    """
    made = {}

    def get(export):
        if export.name not in made:
            asked, *neighbours = (process(export) for _ in range(2 if export.name in BY_TWO else 1))
            for ask in (
                ask_repeatedly,
                ask_in_batches,
                ask_with_numbers_not_finite,
                ask_with_huge_numbers,
                ask_wrongly,
                ask_from_threads,
            ):
                ask(asked, export)
            for neighbour in neighbours:
                ask_repeatedly(neighbour, export, times=10)
            started = [(each, each.start()) for each in (asked, *neighbours)]
            made[export.name] = [each.answers(running) for each, running in started]
        return made[export.name]

    return get


@pytest.fixture(scope="session")
def answered(both):
    """A function from an export to the process that was asked everything below."""
    return lambda export: both(export)[0]


def rows_of(arrays, rows):
    return {key: value[rows] for key, value in arrays.items()}


def ask_repeatedly(asked, export, times=3):
    for signature, tried in export.tried.items():
        asked.ask(f"{signature}.repeated", signature, tried.inputs, f"repeat {times}")  # the loader compares


def test_every_signature_gives_what_python_gives_time_after_time(recipe_export, answered):
    answers = answered(recipe_export)
    assert answers.definitions.keys() == recipe_export.tried.keys()
    for signature, tried in recipe_export.tried.items():
        assert_equal(answers.outputs[f"{signature}.repeated"], tried.outputs)


def batches(export):
    """Which of the eight rows are in a batch, by its size."""
    rng = np.random.default_rng(0)
    sizes = (0, 1, 7, 256, 4096) if export.name in CASES else (0, 1, 7, 64)
    return {size: rng.integers(8, size=size) for size in sizes}


def ask_in_batches(asked, export):
    for signature, tried in export.tried.items():
        for size, rows in batches(export).items():
            asked.ask(f"{signature}.{size}", signature, rows_of(tried.inputs, rows))


def test_a_row_is_answered_alike_in_a_batch_of_any_size(recipe_export, answered):
    for signature, tried in recipe_export.tried.items():
        for size, rows in batches(recipe_export).items():
            assert_equal(answered(recipe_export).outputs[f"{signature}.{size}"], rows_of(tried.outputs, rows))


def real_inputs(export):
    for signature, tried in export.tried.items():
        for key, value in tried.inputs.items():
            if value.dtype.kind == "f":
                yield signature, key


def ask_with_numbers_not_finite(asked, export):
    for signature, key in real_inputs(export):
        inputs = export.tried[signature].inputs
        values = inputs[key].copy()
        for row, bad in NOT_FINITE.items():
            values[row, ...] = bad if values.ndim == 1 else np.where(np.arange(values.shape[-1]) == 0, bad, values[row])
        asked.ask(f"{signature}.{key}.not_finite", signature, {**inputs, key: values})


def test_rows_that_are_not_finite_harm_only_themselves(recipe_export, answered):
    others = [row for row in range(8) if row not in NOT_FINITE]
    for signature, key in real_inputs(recipe_export):
        outputs = answered(recipe_export).outputs[f"{signature}.{key}.not_finite"]
        assert_equal(rows_of(outputs, others), rows_of(recipe_export.tried[signature].outputs, others))
        if key == "x" and "log_prob" in outputs:
            assert not np.isfinite(outputs["log_prob"][1])


def ask_with_huge_numbers(asked, export):
    for signature, key in real_inputs(export):
        inputs = export.tried[signature].inputs
        values = inputs[key].copy()
        for row, huge in HUGE.items():
            values[row] = huge
        asked.ask(f"{signature}.{key}.huge", signature, {**inputs, key: values})


def test_huge_numbers_harm_only_their_rows(recipe_export, answered):
    """What they give may be huge, infinite or not a number; to give it is enough."""
    others = [row for row in range(8) if row not in HUGE]
    for signature, key in real_inputs(recipe_export):
        outputs = answered(recipe_export).outputs[f"{signature}.{key}.huge"]
        assert_equal(rows_of(outputs, others), rows_of(recipe_export.tried[signature].outputs, others))
        is_direction = recipe_export.name.startswith("spherical")  # of any length
        if (signature, key) == ("log_prob", "x") and not is_direction:
            assert not (outputs["log_prob"][list(HUGE)] > -1e3).any()


def test_a_condition_that_is_not_a_number_has_no_density(exported, answered):
    outputs = answered(exported("encoder")).outputs["log_prob.condition.not_finite"]
    assert np.isnan(outputs["log_prob"][1])


def wrong_requests(export):
    """Each way to get an input of each signature wrong: a name, the signature, the inputs."""
    _, *others = export.tried["log_prob"].inputs.items()
    yield "log_prob.x.missing", "log_prob", dict(others)  # in one signature only: another graph is compiled for each
    for signature, tried in export.tried.items():
        if signature == "serving_default":  # another name of log_prob
            continue
        for key, value in tried.inputs.items():
            others = {name: each for name, each in tried.inputs.items() if name != key}
            wrong = {"one_rank_less": value[0], "one_rank_more": value[..., None], "flat": value.reshape(-1)}
            if value.ndim == 1:
                del wrong["flat"]
            if value.dtype.kind in "fiu":
                wrong["dtype"] = value.astype(np.float64 if value.dtype != np.float64 else np.float32)
            if value.ndim > 1:
                wrong |= {"one_number_less": value[..., :-1], "one_number_more": np.repeat(value, 2, -1)}
            if others:
                wrong |= {"fewer_rows": value[:3], "one_row": value[:1], "more_rows": np.repeat(value, 2, 0)}
            if wrong.get("flat", value).shape == value.shape:
                wrong.pop("flat", None)
            yield from ((f"{signature}.{key}.{what}", signature, {**others, key: bad}) for what, bad in wrong.items())


def ask_wrongly(asked, export):
    for tag, signature, inputs in wrong_requests(export):
        asked.ask(tag, signature, inputs, f"error {tag}")
        asked.ask(f"{tag}.after", signature, export.tried[signature].inputs)


def test_wrong_requests_are_refused_and_the_next_one_is_answered(recipe_export, answered):
    answers = answered(recipe_export)
    for tag, signature, _ in wrong_requests(recipe_export):
        code, message = answers.errors[tag]
        assert (tag, code) == (tag, INVALID_ARGUMENT), message
        assert message
        assert_equal(answers.outputs[f"{tag}.after"], recipe_export.tried[signature].outputs)


def test_unequal_numbers_of_rows_are_called_so(exported, answered):
    _, message = answered(exported("real_nvp_conditional")).errors["log_prob.condition.one_row"]
    assert "assertion failed: [8] [1]" in message or "assertion failed: [1] [8]" in message
    assert "inputs_must_have_equally_many_rows" in message


def ask_from_threads(asked, export):
    for signature, tried in export.tried.items():
        for rows in ([3], [4, 0, 4, 7, 5], np.arange(64) % 8):
            asked.ask(f"{signature}.{len(rows)}.queued", signature, rows_of(tried.inputs, rows), "queue")
    asked.threads(4, times=3)  # of different signatures and batch sizes at any moment; the loader compares


def test_threads_at_once_on_one_session_get_what_one_gets(recipe_export, answered):
    for signature, tried in recipe_export.tried.items():
        outputs = answered(recipe_export).outputs[f"{signature}.5.queued"]
        assert_equal(outputs, rows_of(tried.outputs, [4, 0, 4, 7, 5]))


@pytest.mark.parametrize("name", BY_TWO)
def test_two_processes_at_once_on_one_folder(name, exported, both):
    case = exported(name)
    first, second = both(case)
    for signature in case.tried:
        for key, value in first.outputs[f"{signature}.repeated"].items():
            np.testing.assert_array_equal(second.outputs[f"{signature}.repeated"][key], value)


def test_a_process_of_one_thread_answers_too(exported, process):
    case = exported("spline")
    asked = process(case)
    asked.ask("alone", "log_prob", case.tried["log_prob"].inputs)
    asked.answers(asked.start(threads=1))
    assert_equal(asked.outputs["alone"], case.tried["log_prob"].outputs)


def test_the_loader_tells_a_request_that_fails_from_one_that_does_not(exported, process):
    case = exported("spline")
    asked = process(case)
    asked.ask("right", "log_prob", case.tried["log_prob"].inputs, "error right")
    assert asked.answers().errors["right"] == (0, "")


@pytest.mark.exhaustive
def test_every_recipe_is_here(exported):
    assert {type(exported(name).distribution).__name__ for name in (*CASES, *RECIPES)} >= set(flows.__all__)
