"""Second derivatives are right: no custom gradient or iterative solution is right to first order only.

Recipes are chains of these cases, whose derivatives follow by the chain rule.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance.cases import BIJECTORS, DISTRIBUTIONS, Case, built, data, each

#: Central differences of a gradient in float64: errors of STEP² and of 1e-16 / STEP, times third derivatives.
STEP, TOLERANCE = 1e-5, 1e-5


def maps(case: Case, module):
    """Pairs of a function of one tensor, and the place where to differentiate it."""
    x, condition = (None if array is None else tf.constant(array) for array in data(case, "float64", (2,)))
    keywords = {} if condition is None else {"condition": condition}
    if hasattr(module, "log_prob"):
        return [(lambda x: [module.log_prob(x, **keywords)], x)]
    z = module.inverse(x, **keywords)
    return [
        (lambda x: module.inverse_and_log_det(x, **keywords), x),
        (lambda z: module.forward_and_log_det(z, **keywords), z),
    ]


def gradients_of(function, value: tf.Tensor, variables: list, weights: np.random.Generator) -> list[tf.Tensor]:
    """Gradients of a weighted sum of all results, by the value and the variables."""
    with tf.GradientTape() as tape:
        tape.watch(value)
        total = tf.add_n([tf.reduce_sum(weights.normal(size=result.shape) * result) for result in function(value)])
    return tape.gradient(total, [value, *variables], unconnected_gradients=tf.UnconnectedGradients.ZERO)


#: These have no custom gradient: their condition is one more input of a network, and the case without one is enough.
PLAIN = ("around_axis", "chain", "coupling", "glow_block", "invert", "multiscale", "subvector")
CASES = [
    case
    for case in BIJECTORS + DISTRIBUTIONS
    if not (case.name.startswith(PLAIN) and case.name.endswith("_conditional"))
]


@pytest.mark.parametrize("case", each(CASES))
def test_second_derivatives_are_differences_of_first_ones(case: Case):
    module = built(case, "float64")
    variables = list(module.trainable_variables)
    for function, value in maps(case, module):
        rng = np.random.default_rng(5)
        direction = [tf.constant(rng.normal(size=tensor.shape)) for tensor in (value, *variables)]

        def gradients(value, function=function):
            return gradients_of(function, value, variables, np.random.default_rng(6))

        with tf.GradientTape() as tape:
            tape.watch(value)
            along = tf.add_n([tf.reduce_sum(g * d) for g, d in zip(gradients(value), direction, strict=True)])
        found = tape.gradient(along, [value, *variables], unconnected_gradients=tf.UnconnectedGradients.ZERO)

        ends = []
        for step in (STEP, -STEP):
            for variable, d in zip(variables, direction[1:], strict=True):
                variable.assign_add(step * d)
            ends.append(gradients(value + step * direction[0]))
            for variable, d in zip(variables, direction[1:], strict=True):
                variable.assign_sub(step * d)
        for one, other, second in zip(*ends, found, strict=True):
            right = (one - other) / (2.0 * STEP)
            scale = 1.0 + tf.reduce_max(tf.abs(right)) + tf.reduce_max(tf.abs(one))
            np.testing.assert_allclose(second, right, rtol=0.0, atol=TOLERANCE * float(scale))
