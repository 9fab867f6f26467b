"""A recipe for tests of what is around a flow: the default flow takes ten times as long to trace and compile."""

from typing import Any

import tfp_nvp as nvp


def small(event_shape: Any, condition_shape: Any = None, seed: int | None = None) -> nvp.RealNVP:
    """A RealNVP of one layer; half of the elements pass as they are."""
    return nvp.RealNVP(event_shape, num_layers=1, hidden_units=[8], condition_shape=condition_shape, seed=seed)
