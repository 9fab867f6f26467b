"""Tables of any scale, dtype and name: `fit` refuses them by name, or the model's numbers are finite."""

import contextlib
import warnings

import numpy as np
import pandas as pd
from hypothesis import event, given, settings
from hypothesis import strategies as st

import tfp_nvp as nvp
from tfp_nvp import tables

ROWS = 40
SCALES = st.one_of(st.just(0.0), st.integers(-300, 300).map(lambda e: 10.0**e))
COLUMNS = {
    "normal": lambda rng: rng.normal(size=ROWS),
    "constant": lambda rng: np.full(ROWS, rng.normal()),
    "integers": lambda rng: rng.integers(-3, 9, size=ROWS),
    "binary": lambda rng: rng.integers(0, 2, size=ROWS),
    "cauchy": lambda rng: rng.standard_cauchy(size=ROWS),
    "lognormal": lambda rng: rng.lognormal(sigma=4.0, size=ROWS),
    "outlier": lambda rng: np.where(np.arange(ROWS) == 7, 1e30, rng.normal(size=ROWS)),
    "atom": lambda rng: np.where(rng.uniform(size=ROWS) < 0.6, 0.0, rng.normal(size=ROWS)),
    "decimals": lambda rng: np.round(rng.normal(size=ROWS), 1),
    "missing": lambda rng: np.where(np.arange(ROWS) == 7, np.nan, rng.normal(size=ROWS)),
}
KINDS = st.sampled_from([*COLUMNS, *["normal", "integers", "cauchy", "lognormal"] * 3])
DTYPES = st.sampled_from(["float64", "float32", "float16", "int64", "uint8", "bool", "object", "Int64", "complex", "U"])
NAMES = st.lists(st.text(max_size=4), min_size=3, max_size=3)


@st.composite
def frames(draw) -> pd.DataFrame:
    """A table of one to three columns, some of which are odd."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    columns = []
    for _ in range(draw(st.integers(1, 3))):
        column = COLUMNS[draw(KINDS)](rng)
        if draw(st.integers(0, 3)) == 0:
            column = column * draw(SCALES) + draw(SCALES) * (draw(st.integers(0, 3)) == 0)
        if len(columns) and draw(st.integers(0, 5)) == 0:
            column = 2.0 * columns[0] - 1.0
        columns.append(column)
    table = pd.DataFrame(dict(enumerate(columns)))
    if draw(st.integers(0, 3)) == 0:
        i = draw(st.integers(0, len(columns) - 1))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(TypeError, ValueError, OverflowError):  # of dtypes that don't hold the column
                table[i] = table[i].round().astype(draw(DTYPES))
    return table.set_axis(draw(NAMES)[: len(columns)], axis=1) if draw(st.booleans()) else table


def small(event_shape, condition_shape=None, seed=None):
    return nvp.RealNVP(event_shape, num_layers=1, hidden_units=[4], condition_shape=condition_shape, seed=seed)


def _check_message(text: str, argument: str) -> None:
    """A message names the argument; of dependence on a condition it is that of x."""
    event("refused: " + " ".join(text.split()[1:8]))
    assert f"`{argument}`" in text or (argument == "condition" and "`x` has linearly dependent" in text), text


@settings(max_examples=max(6, settings.default.max_examples // 2))
@given(frames(), st.booleans())
def test_a_table_is_refused_or_fitted(frame, conditional):
    rng = np.random.default_rng(0)
    # As a condition any column may be any function of x; as x it needs a density.
    arguments = (rng.normal(size=(ROWS, 1)), frame) if conditional else (frame,)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of grids, atoms and dependence
        try:
            model = nvp.fit(*arguments, flow=small, epochs=1, batch_size=32, seed=0, verbose=0)
        except (TypeError, ValueError) as error:
            _check_message(str(error), "condition" if conditional else "x")
            return
        event("fitted")
        condition = {"condition": frame} if conditional else {}
        x = arguments[0]
        assert np.isfinite(model.log_prob(x, **condition)).all()
        assert np.isfinite(model.sample(*(() if conditional else (ROWS,)), seed=0, **condition)).all()
        assert np.isfinite(model.evaluate(*((frame, x) if conditional else (x,)), verbose=0)).all()
        mixed = frame[frame.columns[::-1]]
        again = model.log_prob(*((x, mixed) if conditional else (mixed,)))
        np.testing.assert_array_equal(again, model.log_prob(x, **condition))


@given(frames())
def test_what_is_read_is_what_was_given(frame):
    try:
        table = tables.read("x", frame)
    except (TypeError, ValueError) as error:
        _check_message(str(error), "x")
        return
    assert table.values.shape == frame.shape
    for i in range(frame.shape[1]):
        given_column = pd.to_numeric(frame.iloc[:, i].astype(object), errors="coerce").to_numpy(np.float64)
        np.testing.assert_array_equal(table.values[:, i].astype(np.float64), given_column)
