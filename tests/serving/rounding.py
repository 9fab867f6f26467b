"""How far right results of served models are apart."""

from __future__ import annotations

from typing import Any

from tfp_nvp.testing.rounding import tolerance

#: The steepest slope of a layer of the models here, whose weights are small.
CONDITION = 100.0


def within(dtype: Any = "float32", num_layers: int = 4) -> dict[str, float]:
    """`rtol` and `atol` of a graph, or another process, against eager mode: sums are taken in another order."""
    error = tolerance(dtype, num_layers, CONDITION)
    return {"rtol": error, "atol": error}


#: Of a row in one batch against the same row in another, in the same graph: only vector instructions differ, so the
#: error of one layer is not stretched.
IN_ANOTHER_BATCH = dict.fromkeys(("rtol", "atol"), tolerance("float32", num_layers=4, condition=10.0))
