"""What the estimators share: scikit-learn's own checks of data, names of columns, seeds."""

from __future__ import annotations

import copy
import numbers
from typing import Any

import numpy as np
import tensorflow_probability as tfp
from numpy.lib import recfunctions

from tfp_nvp import checks
from tfp_nvp._extras import install

try:
    from sklearn.base import BaseEstimator, DensityMixin, OutlierMixin, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted
except ImportError as error:
    raise ImportError(f"`tfp_nvp.sklearn` needs scikit-learn: {install('sklearn')}") from error

tfd = tfp.distributions

__all__ = ["DensityMixin", "FlowEstimator", "OutlierMixin", "RegressorMixin", "check_is_fitted", "seed_of", "unfitted"]


class FlowEstimator(BaseEstimator):
    """The base of the estimators: tables as scikit-learn checks them, with the names of their columns."""

    def _checked(self, X: Any, *args: Any, **kwargs: Any) -> Any:
        """X, or (X, y), as arrays of numbers, after scikit-learn's checks; in `fit` it sets `n_features_in_`.

        Raises:
          ValueError, TypeError: as scikit-learn words them: NaN, another number or other names of columns, text.
        """
        if np.ma.is_masked(X):
            raise ValueError("`X` is a masked array with masked values: drop the rows or impute them.")
        try:
            from sklearn.utils.validation import validate_data
        except ImportError:  # scikit-learn before 1.6
            return self._validate_data(X, *args, dtype="numeric", **kwargs)
        return validate_data(self, X, *args, dtype="numeric", **kwargs)

    def _named(self, X: np.ndarray) -> np.ndarray:
        """A checked table with the columns' names, if `fit` got any, as an array of named fields."""
        names = getattr(self, "feature_names_in_", None)
        return X if names is None else recfunctions.unstructured_to_structured(X, names=list(names))


def seed_of(random_state: Any) -> int:
    """An int is the `seed` of `tfp_nvp`; other random states draw one, None that of NumPy's global generator."""
    if isinstance(random_state, numbers.Integral):
        return checks.integer("random_state", random_state, 0)
    return int(check_random_state(random_state).randint(2**31 - 1))


def unfitted(flow: Any) -> Any:
    """A recipe as it is; of a flow a copy, since an estimator leaves its parameters as they were given."""
    return copy.deepcopy(flow) if isinstance(flow, tfd.Distribution) else flow
