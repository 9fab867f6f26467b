"""C expressions of elementwise TensorFlow operations."""

from __future__ import annotations

#: By type of operation: an expression of its inputs. Reals propagate NaN as TensorFlow's kernels do.
ELEMENTWISE = {
    "Abs": "fabs({0})",
    "Acos": "acos({0})",
    "Add": "{0} + {1}",
    "AddV2": "{0} + {1}",
    "Asin": "asin({0})",
    "Asinh": "asinh({0})",
    "Atan": "atan({0})",
    "Atan2": "atan2({0}, {1})",
    "BitwiseAnd": "{0} & {1}",
    "BitwiseOr": "{0} | {1}",
    "BitwiseXor": "{0} ^ {1}",
    "BiasAdd": "{0} + {1}",
    "Ceil": "ceil({0})",
    "ClipByValue": "nvp_min(nvp_max({0}, {1}), {2})",
    "Cos": "cos({0})",
    "Cosh": "cosh({0})",
    "DivNoNan": "({1} == 0 ? 0 : {0} / {1})",
    "Elu": "({0} < 0 ? expm1({0}) : {0})",
    "Equal": "{0} == {1}",
    "Erf": "erf({0})",
    "Erfc": "erfc({0})",
    "Exp": "exp({0})",
    "Expm1": "expm1({0})",
    "Floor": "floor({0})",
    "FloorMod": "nvp_mod({0}, {1})",
    "Greater": "{0} > {1}",
    "GreaterEqual": "{0} >= {1}",
    "IsFinite": "isfinite({0}) != 0",
    "IsInf": "isinf({0}) != 0",
    "IsNan": "isnan({0}) != 0",
    "LeftShift": "{0} << {1}",
    "Less": "{0} < {1}",
    "LessEqual": "{0} <= {1}",
    "Log": "log({0})",
    "Log1p": "log1p({0})",
    "LogicalAnd": "{0} && {1}",
    "LogicalNot": "!{0}",
    "LogicalOr": "{0} || {1}",
    "Maximum": "nvp_max({0}, {1})",
    "Minimum": "nvp_min({0}, {1})",
    "Mul": "{0} * {1}",
    "Neg": "-{0}",
    "NotEqual": "{0} != {1}",
    "Pow": "pow({0}, {1})",
    "RealDiv": "{0} / {1}",
    "Reciprocal": "1 / {0}",
    "Relu": "({0} < 0 ? 0 : {0})",
    "Relu6": "nvp_min(nvp_max({0}, 0), 6)",
    "RightShift": "{0} >> {1}",
    "Rint": "rint({0})",
    "Round": "rint({0})",
    "Rsqrt": "1 / sqrt({0})",
    "Select": "({0} ? {1} : {2})",
    "SelectV2": "({0} ? {1} : {2})",
    "Sigmoid": "1 / (1 + exp(-{0}))",
    "Sign": "nvp_sign({0})",
    "Sin": "sin({0})",
    "Sinh": "sinh({0})",
    "Softplus": "(nvp_max({0}, 0) + log1p(exp(-fabs({0}))))",
    "Softsign": "{0} / (1 + fabs({0}))",
    "Sqrt": "sqrt({0})",
    "Square": "{0} * {0}",
    "SquaredDifference": "({0} - {1}) * ({0} - {1})",
    "Sub": "{0} - {1}",
    "Tan": "tan({0})",
    "Tanh": "tanh({0})",
}

#: By type of operation: the next value of an accumulator `a`, of an element `{0}`.
REDUCTIONS = {
    "All": "a && {0}",
    "Any": "a || {0}",
    "Max": "nvp_max(a, {0})",
    "Mean": "a + {0}",
    "Min": "nvp_min(a, {0})",
    "Prod": "a * {0}",
    "Sum": "a + {0}",
}

#: By type of operation: the inputs whose elements it moves, and does nothing else with.
MOVES = {
    "BroadcastTo": ("input",),
    "ConcatV2": ("values",),
    "Fill": ("value",),
    "GatherV2": ("params",),
    "Pack": ("values",),
    "Pad": ("input",),
    "ReverseV2": ("tensor",),
    "Slice": ("input",),
    "Split": ("value",),
    "SplitV": ("value",),
    "StridedSlice": ("input",),
    "TensorScatterUpdate": ("tensor", "updates"),
    "Tile": ("input",),
    "Transpose": ("x",),
    "Unpack": ("value",),
}

RESHAPES = ("ExpandDims", "Reshape", "Squeeze")
#: Operations whose first input is their output, in another shape or not.
COPIES = (
    "EnsureShape",
    *RESHAPES,
    "Identity",
    "PreventGradient",
    "Snapshot",
    "StopGradient",
)

PRELUDE = """\
static inline real nvp_max(real a, real b) { return a > b || a != a ? a : b; }
static inline real nvp_min(real a, real b) { return a < b || a != a ? a : b; }
static inline real nvp_sign(real a) { return a != a ? a : (real)((a > 0) - (a < 0)); }
static inline real nvp_mod(real a, real b) {
    const real rest = fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
"""
