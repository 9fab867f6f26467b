"""Fits an exact flow of one pass to a flow that is solved in steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp._circle import wrapped
from tfp_nvp.distributions import Flow
from tfp_nvp.distributions._base import support_of
from tfp_nvp.training._models.flow_model import FlowModel


def distill(
    teacher: FlowModel | Flow,
    student: Flow,
    condition: Any = None,
    *,
    num_samples: int = 50_000,
    epochs: int = 20,
    likelihood_epochs: int = 10,
    batch_size: int = 512,
    learning_rate: float = 1e-3,
    seed: int = 0,
    verbose: Any = "auto",
) -> FlowModel:
    """Fits `student` to the map of `teacher`, and then by likelihood to its samples.

        first:  minimizes the mean of |student⁻¹(x; c) − z|² / d,    x = teacher(z; c), z from the base;
                of angles, z's in [−π, π), the difference is that on the circle
        then:   minimizes the mean of −log p_student(x | c)

    The teacher is solved once for each of `num_samples` pairs. Pairs tell the student where every point goes, and
    likelihood then removes what is left; a student whose densities are exact in one pass (couplings, `MAF`, with
    splines) is what to export. How close it comes: the mean of `teacher.log_prob(x) − student.log_prob(x)` over new
    samples x of the teacher is the Kullback-Leibler divergence.

    Args:
      teacher: any `Flow` or model of one, such as a continuous flow.
      student: a `Flow` with the same event, condition and base.
      condition: conditions, or the inputs of the teacher's encoder, [n, ...], of which rows are drawn; None for a flow
        that takes none. Give those of the training data.
      num_samples: pairs, at least `batch_size`.
      epochs, likelihood_epochs: over the pairs, of the first and the second part; 0 leaves a part out.
      batch_size: rows of a training step.
      learning_rate: the highest; each part ends at zero, by a cosine.
      seed: of samples and of the order of rows.
      verbose: as in Keras.

    Returns:
      A `FlowModel` of the student, with the teacher's encoder and schema.

    Raises:
      TypeError, ValueError: if the two do not fit, or an argument is out of its range.

    >>> from tfp_nvp import ContinuousFlow, RealNVP
    >>> teacher = ContinuousFlow([2], hidden_units=[8], seed=0)
    >>> student = RealNVP([2], num_layers=2, hidden_units=[8], seed=0)
    >>> model = distill(teacher, student, num_samples=64, batch_size=32, epochs=1, likelihood_epochs=1, verbose=0)
    >>> model.log_prob([[0.0, 0.0]]).shape
    TensorShape([1])

    References: "FORT: Forward-Only Regression Training of Normalizing Flows" (2025), arXiv:2506.01158, for regression
    on pairs; here on latents, where couplings and `MAF` are evaluated in one pass.
    """
    checks.instance("student", student, Flow, "tfp_nvp.NeuralSplineFlow([2])")
    teacher = teacher if isinstance(teacher, FlowModel) else FlowModel(teacher)
    flow = teacher.distribution
    checks.instance("teacher", flow, Flow, "tfp_nvp.ContinuousFlow([2])")
    for name in ("event_shape", "condition_shape", "dtype"):
        if getattr(flow, name) != getattr(student, name):
            raise ValueError(
                f"`student` must have the teacher's {name}, {getattr(flow, name)}; got {getattr(student, name)}."
            )
    bases = flow.distribution, student.distribution
    if type(bases[0]) is not type(bases[1]) or bases[0].event_shape != bases[1].event_shape:
        raise ValueError(f"`student` must have the teacher's base, {bases[0]!r}; got {bases[1]!r}.")
    if (condition is None) == teacher.is_conditional:
        raise ValueError(
            "`condition` must hold conditions of the teacher, [n, ...]."
            if teacher.is_conditional
            else "`condition` must be None: the teacher takes none."
        )
    checks.integer("num_samples", num_samples, checks.integer("batch_size", batch_size, 1))
    data = _pairs(teacher, condition, num_samples, seed)
    z, *encoded, x = data
    student.initialize(x[:batch_size], *(part[:batch_size] for part in encoded))
    steps = -(-num_samples // batch_size)
    keras.utils.set_random_seed(seed)
    if checks.integer("epochs", epochs, 0):
        regression = _Inverse(student)
        regression.compile(_optimizer(learning_rate, epochs * steps), loss=_squared_distance(_angles(student)))
        regression.fit((x, *encoded), z, batch_size=batch_size, epochs=epochs, verbose=verbose)
    if checks.integer("likelihood_epochs", likelihood_epochs, 0):
        by_likelihood = FlowModel(student)
        by_likelihood.compile(_optimizer(learning_rate, likelihood_epochs * steps))
        keras_data = dict(zip("xy", (*encoded, x), strict=False))
        by_likelihood.fit(**keras_data, batch_size=batch_size, epochs=likelihood_epochs, verbose=verbose)
    return FlowModel(student, teacher.encoder, schema=teacher.schema)


class _Inverse(keras.Model):
    """The latents of data, as the outputs of a Keras model."""

    def __init__(self, flow: Flow):
        super().__init__(dtype=flow.dtype.name, name="inverse")
        self.flow = flow
        self.built = True

    def call(self, inputs: Any) -> tf.Tensor:
        """z of (x,) or (x, condition)."""
        x, *condition = inputs
        return self.flow.encode(x, *condition)[0]


def _angles(flow: Flow) -> np.ndarray | None:
    """Which elements of the latents are angles, whose ends −π and π are one point; None if none is."""
    low, high = support_of(flow.distribution)
    are_angles = np.isclose(low, -np.pi) & np.isclose(high, np.pi)
    return are_angles if are_angles.any() else None


def _squared_distance(angles: np.ndarray | None) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The squared distance of latents per number, around the circle where they are angles."""

    def distance(z: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        difference = found - z
        if angles is not None:
            difference = tf.where(angles, wrapped(difference, -np.pi, np.pi), difference)
        return tf.reduce_mean(difference**2, axis=-1)

    return distance


def _optimizer(learning_rate: float, num_steps: int) -> keras.optimizers.Optimizer:
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
    return keras.optimizers.Adam(schedule, clipnorm=10.0)


def _pairs(teacher: FlowModel, condition: Any, num_samples: int, seed: int) -> list[np.ndarray]:
    """Latents, encoded conditions if any, and the teacher's data, of `num_samples` rows each."""
    flow, dtype = teacher.distribution, teacher.distribution.dtype.as_numpy_dtype
    z = flow.distribution.sample(num_samples, seed=tf.constant([seed, 1])).numpy()
    encoded = []
    if condition is not None:
        inputs = teacher._accepts.condition(condition)
        rows = len(tf.nest.flatten(inputs)[0])
        chosen = np.random.default_rng(seed).integers(rows, size=num_samples)
        conditions = flow._check_condition(teacher._encoded(inputs))
        if conditions.shape.rank != 1 + len(flow.condition_shape or ()):
            raise ValueError(
                f"`condition` must have a row for each condition of shape {list(flow.condition_shape or ())}; got "
                f"shape {conditions.shape.as_list()}."
            )
        encoded = [tf.gather(conditions, chosen)]
    decode = tf.function(lambda *rows: flow.decode(*rows)[0], reduce_retracing=True)
    parts = [decode(*(tf.constant(part[i : i + 4096]) for part in (z, *encoded))) for i in range(0, num_samples, 4096)]
    return [z, *(np.asarray(part, dtype) for part in encoded), np.concatenate(parts)]
