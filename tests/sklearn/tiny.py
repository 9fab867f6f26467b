"""A recipe for tables of 10 to 300 rows, of which scikit-learn's checks fit many."""

from typing import Any

import tfp_nvp as nvp


def tiny(event_shape: Any, condition_shape: Any = None, seed: int | None = None) -> nvp.RealNVP:
    """A RealNVP of one layer, in float64: the checks ask a row alone and among others to agree in seven digits."""
    return nvp.RealNVP(
        event_shape, num_layers=1, hidden_units=[4], condition_shape=condition_shape, seed=seed, dtype="float64"
    )
