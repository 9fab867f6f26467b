"""Random sets of known cells are those of a random position of a random order, and the loss is without bias."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfp_nvp.training._any_order.subsets import estimated_nll, random_subset

ROWS, D = 60_000, 3


def known_and_present(present: list[float]) -> tuple[np.ndarray, tf.Tensor]:
    tensor = tf.constant(np.tile(present, [ROWS, 1]), tf.float32)
    return random_subset(tensor, tf.constant([5, 0], tf.int64)).numpy(), tensor


def test_sets_of_one_size_are_equally_likely():
    known, _ = known_and_present([1.0] * D)
    patterns, counts = np.unique(known, axis=0, return_counts=True)
    expected = {0: 1 / 3, 1: 1 / 9, 2: 1 / 9}
    assert len(patterns) == 7  # all but the whole row
    for pattern, count in zip(patterns, counts, strict=True):
        assert count / ROWS == pytest.approx(expected[int(pattern.sum())], abs=0.006)  # four standard errors


def test_missing_cells_are_never_known():
    known, _ = known_and_present([1.0, 0.0, 1.0])
    assert not known[:, 1].any()
    assert known.sum(axis=1).mean() == pytest.approx(0.5, abs=0.01)
    none, present = known_and_present([0.0, 0.0, 0.0])
    assert not none.any()
    assert not estimated_nll(present, none, tf.ones_like(present)).numpy().any()


def test_the_loss_is_the_mean_over_orders(rng):
    present = [j for j in range(D) if j != 1]
    for cells in (list(range(D)), present):
        flags = [float(j in cells) for j in range(D)]
        table = rng.normal(size=[2, 2, 2, D]).astype(np.float32)  # log p(cell | which ones are known)
        known, tensor = known_and_present(flags)
        log_prob = table[tuple(known.astype(int).T)]
        found = estimated_nll(tensor, tf.constant(known), tf.constant(log_prob)).numpy()
        exact = []
        for order in itertools.permutations(cells):
            before = [tuple(int(j in order[:s]) for j in range(D)) for s in range(len(order))]
            exact.append(-sum(table[flag][j] for flag, j in zip(before, order, strict=True)))
        assert found.mean() == pytest.approx(np.mean(exact), abs=5 * found.std() / ROWS**0.5)
