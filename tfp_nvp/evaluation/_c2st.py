"""A classifier two-sample test."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfp_nvp import checks
from tfp_nvp._extras import install
from tfp_nvp.evaluation._two_samples import standardized_pair


def c2st(reference: Any, samples: Any, *, classifier: Any = None, num_folds: int = 5, seed: int = 0) -> float:
    """The accuracy with which a classifier tells two samples apart: 0.5 for the same distribution, 1 for disjoint ones.

    The accuracy is cross-validated. Both samples are standardized with the mean and deviation of the reference, and of
    the larger one as many rows are drawn as the other has. For n rows each of the same distribution, the accuracy
    deviates from 0.5 by about 1 / √(8 n), if the classifier learns nothing.

    Args:
      reference: [n, d], such as data, or draws of the exact posterior.
      samples: [m, d], such as those of a model; a frame's columns are taken by name.
      classifier: one of scikit-learn's, not fitted; by default the benchmark's of Lueckmann et al. (2021), a network of
        two layers of 10 d units, which takes some seconds for 1,000 rows of two columns.
      num_folds: of the cross-validation, at least 2.
      seed: of folds, rows and the default classifier.

    Returns:
      A number in [0, 1].

    Raises:
      TypeError, ValueError: for what are no two tables of finite numbers with the same columns, or too few rows.
      ImportError: without scikit-learn.

    References: Lopez-Paz & Oquab (2017), "Revisiting Classifier Two-Sample Tests", arXiv:1610.06545; Lueckmann,
    Boelts, Greenberg, Gonçalves & Macke (2021), "Benchmarking Simulation-Based Inference", arXiv:2101.04653.
    """
    try:
        from sklearn.model_selection import KFold, cross_val_score
        from sklearn.neural_network import MLPClassifier
    except ImportError as error:
        raise ImportError(f"`c2st` needs scikit-learn: {install('sklearn')}") from error
    num_folds, seed = checks.integer("num_folds", num_folds, 2), checks.integer("seed", seed, 0)
    parts = list(standardized_pair("reference", reference, "samples", samples))
    rows = min(map(len, parts))
    if 2 * rows < num_folds:
        raise ValueError(f"`num_folds` must be at most the number of rows, {2 * rows}; got {num_folds}.")
    rng = np.random.default_rng(seed)
    parts = [part if len(part) == rows else rng.permutation(part)[:rows] for part in parts]
    if classifier is None:
        width = 10 * parts[0].shape[1]
        classifier = MLPClassifier(hidden_layer_sizes=(width, width), max_iter=10_000, random_state=seed)
    folds = KFold(n_splits=num_folds, shuffle=True, random_state=seed)
    labels = np.repeat([0, 1], rows)
    return float(np.mean(cross_val_score(classifier, np.concatenate(parts), labels, cv=folds, scoring="accuracy")))
