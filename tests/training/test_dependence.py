"""Columns that are linear functions of others have no density."""

import numpy as np
import pytest

import tfp_nvp as nvp
from tfp_nvp.training._tables.dependence import check_independent, linear_relations

EPS = float(np.finfo(np.float32).eps)


def columns(rng, n=500):
    a, b, noise = rng.normal(size=(3, n))
    return a, b, noise


def refuse(x, condition=None, names=None):
    check_independent(x, condition, np.zeros(x.shape[1]), names)


@pytest.mark.parametrize(
    ("make", "equation"),
    [
        (lambda a, b: [a, b, a + b], "column 2 = column 0 + column 1"),
        (lambda a, b: [a, b, a], "column 2 = column 0"),
        (lambda a, b: [a, 3 - 2 * a, b], "column 1 = - 2 · column 0 + 3"),
        (lambda a, b: [a, b, 1 - a - b], "column 2 = - column 0 - column 1 + 1"),
        (lambda a, b: [1000 + a, 500 + b, 1500 + a + b], "column 2 = column 0 + column 1"),
        (lambda a, b: [1e-20 * a, 1e-20 * b, 1e-20 * (a - b)], "column 2 = column 0 - column 1"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_equation_is_named(make, equation, dtype, rng):
    a, b, _ = columns(rng)
    x = np.stack(make(a, b), axis=1).astype(dtype).astype(np.float64)
    with pytest.raises(ValueError, match="no density: ") as caught:
        refuse(x)
    assert f"{equation}." in str(caught.value)


def test_names_and_columns_that_are_not_needed(rng):
    a, b, noise = columns(rng)
    with pytest.raises(ValueError, match="'d' = 'a' \\+ 'c'"):
        refuse(np.stack([a, noise, b, a + b], axis=1), names=("a", "noise", "c", "d"))


def test_what_sums_to_one(rng):
    shares = rng.dirichlet(np.ones(5), size=300)
    with pytest.raises(ValueError, match="column 4 = - column 0 - column 1 - column 2 - column 3 \\+ 1"):
        refuse(shares.astype(np.float32).astype(np.float64))
    refuse(shares[:, :4])


def test_a_function_of_the_condition(rng):
    a, b, noise = columns(rng)
    condition = np.stack([a, a], axis=1)  # dependent conditions are harmless
    with pytest.raises(ValueError, match=r"column 1 = 2 · condition 0 \+ column 0"):
        refuse(np.stack([b, 2 * a + b], axis=1), condition)
    refuse(np.stack([b, 2 * a + noise], axis=1), condition)


@pytest.mark.parametrize("correlation", [0.99, 0.9999, 0.999999])
def test_correlated_columns_have_a_density(correlation, rng):
    a, b, _ = columns(rng)
    refuse(np.stack([a, correlation * a + np.sqrt(1 - correlation**2) * b], axis=1))


def test_what_float32_cannot_tell_from_a_plane(rng):
    a, b, noise = columns(rng)
    refuse(np.stack([a, b, a + b + 1e-4 * noise], axis=1))
    with pytest.raises(ValueError, match="rounding in float32"):
        refuse(np.stack([a, b, a + b + 1e-8 * noise], axis=1))
    check_independent(np.stack([a, b, a + b + 1e-8 * noise], axis=1), None, np.zeros(3), dtype="float64")


def test_outliers_neither_hide_nor_make_a_relation(rng):
    x = rng.normal(size=(1000, 3))
    x[5] = 1e12  # a row of sensors that all failed
    refuse(x)
    cauchy = rng.standard_cauchy(size=(1000, 2))
    refuse(np.column_stack([cauchy, cauchy[:, 0] + rng.normal(size=1000)]))
    with pytest.raises(ValueError, match="column 2 = column 0 \\+ column 1"):
        refuse(np.column_stack([cauchy, cauchy.sum(axis=1)]))


def test_few_rows_tell_nothing_but_equal_columns(rng):
    x = rng.normal(size=(20, 60))
    refuse(x)
    refuse(np.repeat(rng.normal(size=(20, 25)), 3, axis=0))  # more rows, and no more that differ
    x[:, 50] = 1 - 2 * x[:, 3]
    with pytest.raises(ValueError, match=r"column 50 = - 2 · column 3 \+ 1"):
        refuse(x)
    refuse(rng.normal(size=(25, 20)))


def test_all_relations_of_a_plane(rng):
    z, factors = rng.normal(size=(400, 3)), rng.normal(size=(3, 10))
    relations = linear_relations(z @ factors, EPS)
    assert [relation.of for relation in relations] == list(range(3, 10))
    for relation in relations:
        weights = np.zeros(10)
        weights[list(relation.terms)] = relation.coefficients
        np.testing.assert_allclose(factors @ weights, factors[:, relation.of], rtol=1e-6)
        assert relation.constant == 0.0


def test_noise_on_a_grid_gives_a_density(rng):
    one_hot = np.eye(3)[rng.integers(0, 3, size=200)]
    with pytest.warns(UserWarning, match="Only the noise"):
        check_independent(one_hot, None, np.ones(3))
    a = rng.normal(size=200)
    with pytest.raises(ValueError, match="column 4 = 2 · column 3"):
        check_independent(np.column_stack([one_hot, a, 2 * a]), None, np.array([1.0, 1.0, 1.0, 0.0, 0.0]))


def test_fit_refuses_them(rng):
    a, b, _ = columns(rng, 60)
    with pytest.raises(ValueError, match="column 2 = column 0 \\+ column 1"):
        nvp.fit(np.stack([a, b, a + b], axis=1), epochs=1, verbose=0)
