"""Which rows are trained on, and which decide when to stop."""

import warnings

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tests.training.small import small
from tfp_nvp.training._tables.equal_rows import equal_rows
from tfp_nvp.training._tables.part import Part, _group_numbers
from tfp_nvp.training._tables.split import split

tfd = tfp.distributions


def parts(x, condition=None, *, fraction=None, validation_data=None, seed=0, **arguments):
    return split(Part.of(x, condition, **arguments), fraction=fraction, validation_data=validation_data, seed=seed)


def shared(train, held_out):
    """The number of validation rows that are training rows too."""
    seen = {row.tobytes() for row in train.x}
    return sum(row.tobytes() in seen for row in held_out.x)


def test_without_repeats_any_row_is_held_out(rng):
    x = rng.normal(size=(100, 2))
    train, held_out = parts(x)
    order = np.random.default_rng(0).permutation(100)
    np.testing.assert_array_equal(held_out.x, x[order[:20]])
    np.testing.assert_array_equal(train.x, x[order[20:]])


@pytest.mark.parametrize("kind", ["resampled", "repeated", "repeated with conditions", "some"])
def test_equal_rows_stay_on_one_side(kind, rng):
    x = rng.normal(size=(100, 2))
    rows = {"resampled": rng.integers(0, 100, 500), "some": np.r_[:100, :8]}.get(kind, np.repeat(np.arange(100), 5))
    condition = np.round(x[rows], 1) if "conditions" in kind else None
    with warnings.catch_warnings():
        warnings.simplefilter("error" if kind == "some" else "ignore")
        train, held_out = parts(x[rows], condition)
    assert shared(train, held_out) == 0
    assert len(train) + len(held_out) == len(rows)
    assert len(held_out) == pytest.approx(0.2 * len(rows), abs=6)


def test_many_repeats_are_told(rng):
    with pytest.warns(UserWarning, match=r"100% of the rows occur more than once.*`groups=`"):
        parts(np.repeat(rng.normal(size=(30, 2)), 4, axis=0))


def test_rows_that_are_equal_by_chance_are_not_kept_together(rng):
    x = rng.poisson(2.0, size=(2000, 2)).astype(float)
    assert equal_rows(x) is None
    train, held_out = parts(x)
    assert shared(train, held_out) > 300  # and no warning
    assert equal_rows(x[:50].repeat(40, axis=0), rng.integers(0, 5, 50).repeat(40)[:, None].astype(float)) is None
    many = rng.poisson(20.0, size=(100, 6)).astype(float)
    assert equal_rows(many) is None
    assert equal_rows(many.repeat(5, axis=0)) is not None


def test_an_atom_is_on_both_sides_and_told(rng):
    x = rng.normal(size=(200, 2))
    x[:60] = 0.0
    with pytest.warns(UserWarning, match=r"of 40 validation rows .* occur among the training rows too"):
        train, held_out = parts(x)
    assert (held_out.x == 0).all(axis=1).mean() == pytest.approx(0.3, abs=0.2)
    assert (train.x == 0).all(axis=1).mean() == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("labels", ["integers", "strings", "objects"])
def test_groups_stay_on_one_side(labels, rng):
    groups = rng.integers(0, 30, 300)
    x = np.stack([groups, rng.normal(size=300)], axis=1)
    given = {"integers": groups, "strings": groups.astype(str), "objects": groups.astype(object)}[labels]
    train, held_out = parts(x, groups=given)
    assert not set(train.x[:, 0]) & set(held_out.x[:, 0])
    assert len(held_out) == pytest.approx(60, abs=15)
    again = parts(x, groups=given)[1]
    np.testing.assert_array_equal(again.x, held_out.x)


def test_groups_that_part_equal_rows_are_told(rng):
    x = np.repeat(rng.normal(size=(100, 2)), 5, axis=0)
    with pytest.warns(UserWarning, match=r"validation rows \(\d+%\) occur among the training rows too"):
        parts(x, groups=np.arange(500))


def test_groups_of_which_no_split_can_be_made_are_refused(rng):
    x = rng.normal(size=(100, 2))
    for groups, message in [
        (np.zeros(100), "`groups` must leave rows"),
        (np.arange(100) < 3, "`groups` must leave rows"),
        (np.arange(99), r"one label per row, \[100\]; got shape \[99\]"),
        (np.full(100, np.nan), "must not hold NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            parts(x, groups=groups)
    train, held_out = parts(x, groups=np.arange(100) < 90)
    assert (len(train), len(held_out)) == (90, 10)


def test_validation_rows_that_are_given_are_those(rng):
    x, other = rng.normal(size=(50, 2)), rng.normal(size=(9, 2))
    for given in (other, other.tolist(), (other,), (other, None)):
        train, held_out = parts(x, validation_data=given)
        np.testing.assert_array_equal(train.x, x)
        np.testing.assert_array_equal(held_out.x, other)
    _, held_out = parts(x, x[:, :1], validation_data=(other, other[:, :1], np.arange(9)))
    np.testing.assert_array_equal(held_out.condition, other[1:, :1])  # one has weight 0
    np.testing.assert_allclose(held_out.weight, np.arange(1, 9) / 4.5)
    with pytest.warns(UserWarning, match=r"3 of 9 validation rows \(33%\)"):
        parts(x, validation_data=np.concatenate([x[:3], other[3:]]))


def test_validation_data_that_do_not_fit_are_refused(rng):
    x, other = rng.normal(size=(50, 2)), rng.normal(size=(9, 2))
    for arguments, message in [
        ({"validation_data": ()}, "got a tuple of 0"),
        ({"validation_data": (other, None, None, None)}, "got a tuple of 4"),
        ({"validation_data": (other, other)}, "there is no `condition`"),
        ({"condition": x, "validation_data": other}, r"must be a tuple \(x, condition\)"),
        ({"validation_data": other[:, :1]}, "its x has 1, and `x` has 2"),
        ({"condition": x, "validation_data": (other, other[:, :1])}, "its condition has 1"),
        ({"condition": x, "validation_data": (other, other[:3])}, "must have a row for each of the 9 rows"),
        ({"validation_data": np.full((5, 2), np.nan)}, "`validation_data` must be finite"),
        ({"validation_data": other, "fraction": 0.2}, "give one of them"),
        ({"validation_data": other, "groups": np.arange(50)}, "give one of them"),
        ({"validation_data": (other, None, -np.ones(9))}, "`sample_weight of validation_data` must be finite and not"),
    ]:
        with pytest.raises(ValueError, match=message):
            parts(x, **arguments)


class TestWeights:
    def test_rows_of_weight_zero_are_left_out(self, rng):
        x, weight = rng.normal(size=(60, 2)), np.arange(60) % 2
        train, held_out = parts(x, sample_weight=weight, groups=np.arange(60))
        alone, held_out_alone = parts(x[1::2], groups=np.arange(30))
        np.testing.assert_array_equal(train.x, alone.x)
        np.testing.assert_array_equal(held_out.x, held_out_alone.x)

    @pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
    def test_weights_are_relative(self, scale, rng):
        x, weight = rng.normal(size=(60, 2)), rng.uniform(0.5, 1.0, 60)
        assert Part.of(x, sample_weight=np.full(60, scale)).weight is None
        table = Part.of(x, sample_weight=scale * weight)
        np.testing.assert_allclose(table.weight, weight / weight.mean())
        assert table.take(np.arange(7)).weight.mean() == pytest.approx(1.0)
        assert table.effective_rows == pytest.approx(weight.sum() ** 2 / (weight**2).sum())

    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            (-np.ones(60), r"finite and not negative.*60 of 60 are not: row 0 has -1"),
            (np.r_[np.ones(59), np.inf], "row 59 has inf"),
            (np.zeros(60), "all 60 are zero"),
            (np.ones(59), r"got shape \[59\]"),
            (np.ones((60, 2)), r"got shape \[60, 2\]"),
            (["a"] * 60, "one number per row"),
            (np.r_[1e9, np.ones(59)], r"weigh as 1\.0 rows"),
        ],
    )
    def test_wrong_weights_are_refused(self, weight, message, rng):
        with pytest.raises((TypeError, ValueError), match=message):
            parts(rng.normal(size=(60, 2)), sample_weight=weight)


@pytest.mark.exhaustive
def test_the_validation_likelihood_of_repeated_rows_is_that_of_new_ones(rng):
    """With equal rows on both sides the flow would learn them by heart: the sharper, the better the validation."""
    x = np.repeat(rng.normal(size=(160, 1)), 5, axis=0)

    def memory(event_shape, condition_shape, seed):
        """A mixture of more components than there are rows."""
        place = tf.Variable(np.linspace(-3.0, 3.0, 200, dtype=np.float32)[:, None])
        width = tfp.util.TransformedVariable(np.full([200, 1], 0.1, np.float32), tfp.bijectors.Exp())
        kernel = tfd.Independent(tfd.Normal(place, width), 1)
        return tfd.MixtureSameFamily(tfd.Categorical(logits=tf.Variable(tf.zeros(200))), kernel)

    def better_than_the_truth(**arguments):
        """How far the least validation NLL is below that of the density the rows were drawn from."""
        plan = {"flow": memory, "epochs": 60, "batch_size": 80, "learning_rate": 0.02, "seed": 0, "verbose": 0}
        with pytest.warns(UserWarning, match="occur"):
            model = nvp.fit(x, **plan, **arguments)
        with pytest.warns(UserWarning, match="occur"):
            held_out = parts(x, **arguments)[1]
        truth = 0.5 * np.mean(held_out.x**2) + 0.5 * np.log(2 * np.pi)
        return truth - min(model.history.history["val_nll"])

    assert better_than_the_truth() < 0.05
    assert better_than_the_truth(groups=np.arange(800)) > 0.1


def test_weights_count_from_standardization_to_stopping(rng):
    """Rows of N(0, 1) that are weighted as N(1, 1)."""
    x = rng.normal(size=(600, 2))
    weight = np.exp(x[:, 0] - 0.5)
    model = nvp.fit(x, sample_weight=weight, flow=small, epochs=2, seed=0, verbose=0)
    train, held_out = parts(x, sample_weight=weight)
    layer = next(b for b in model.distribution.bijector.bijectors if b.name == "standardize")
    np.testing.assert_allclose(layer.shift, np.average(train.x, axis=0, weights=train.weight), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.sample(4000, seed=1).numpy().mean(axis=0), [1.0, 0.0], atol=0.25)
    expected = -np.average(model.log_prob(held_out.x), weights=held_out.weight)
    assert min(model.history.history["val_nll"]) == pytest.approx(expected, rel=1e-3)
    assert min(model.history.history["val_loss"]) == pytest.approx(expected, rel=1e-3)


def test_a_weighted_fit_of_a_condition(rng):
    condition = rng.normal(size=(400, 1))
    right = rng.uniform(size=(400, 1)) < 0.5
    x = np.where(right, 3.0 * condition, -3.0 * condition) + 0.1 * rng.normal(size=(400, 1))
    weight = np.where(right[:, 0], 1.0, 1e-3)
    given = x[:50], condition[:50], weight[:50]
    model = nvp.fit(
        x[50:],
        condition[50:],
        sample_weight=weight[50:],
        validation_data=given,
        flow=small,
        epochs=1,
        seed=0,
        verbose=0,
    )
    samples = model.sample(200, condition=[[1.0]], seed=0).numpy()
    assert np.median(samples) == pytest.approx(3.0, abs=0.3)


def test_labels_of_groups_are_told_apart_by_value_and_type():
    labels = [1, "1", 1.0, "one", 2, "1"]
    for given in (labels, tuple(labels), np.array(labels, object)):
        assert _group_numbers(given, 6).tolist() == [0, 2, 0, 3, 1, 2]


def test_texts_are_numbered_alike_however_they_come(rng):
    texts = np.array(["b", "a", "c"])[rng.integers(3, size=50)]
    for given in (texts.tolist(), texts.astype(object), pd.Series(texts), pd.Series(texts, dtype="string")):
        np.testing.assert_array_equal(_group_numbers(given, 50), _group_numbers(texts, 50))


@pytest.mark.parametrize("missing", [None, np.nan, np.datetime64("NaT"), pd.NA])
def test_a_missing_label_is_refused(missing):
    for labels in (["a", missing, "b"], np.array(["a", missing, "b"], object), pd.Series(["a", missing, "b"])):
        with pytest.raises(ValueError, match="`groups` must not hold NaN or None, which equal nothing; row 1 has"):
            _group_numbers(labels, 3)


def test_labels_that_are_none_are_refused():
    with pytest.raises(TypeError, match="`groups` must hold labels such as numbers or text: unhashable"):
        _group_numbers(pd.Series([["a"], ["b"]]), 2)


@pytest.mark.parametrize("argument", ["groups", "sample_weight"])
def test_masked_labels_and_weights_are_refused(argument, rng):
    values = np.ma.masked_array(np.arange(1, 101), np.arange(100) < 10)
    with pytest.raises(ValueError, match=f"`{argument}` is a masked array with 10 masked value"):
        parts(rng.normal(size=(100, 2)), **{argument: values})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(100) + 1j, "complex"),
        (np.zeros(100, "M8[s]"), "dates"),
        (["a"] * 100, "text"),
        ([None] * 100, "finite"),
    ],
)
def test_weights_that_are_no_numbers_are_refused_by_name(weights, message, rng):
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        parts(rng.normal(size=(100, 2)), sample_weight=weights)
    assert "`sample_weight`" in str(caught.value)
    assert len(str(caught.value)) < 400
