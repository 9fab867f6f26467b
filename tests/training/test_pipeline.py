import numpy as np

from tfp_nvp.training._tables.batches import shuffled_batches


def batches(count, **kwargs):
    x = np.arange(10, dtype=np.float32)[:, None]
    arguments = {"condition": None, "batch_size": 5, "seed": 3, **kwargs}
    return [[part.numpy() for part in b] for b in shuffled_batches(x, **arguments).take(count)]


def test_every_pass_holds_every_row_once_in_a_new_order():
    first, second, third, fourth = (b[0].ravel().tolist() for b in batches(4))
    assert sorted(first + second) == sorted(third + fourth) == list(range(10))
    assert first + second != third + fourth


def test_equal_seeds_give_equal_batches_and_others_do_not():
    assert np.array_equal(batches(4), batches(4))
    assert not np.array_equal(batches(4), batches(4, seed=4))


def test_conditions_stay_with_their_rows():
    for condition, x in batches(2, condition=10.0 * np.arange(10, dtype=np.float32)[:, None]):
        np.testing.assert_array_equal(condition, 10.0 * x)
