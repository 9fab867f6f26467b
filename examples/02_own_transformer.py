"""Your own transformer in twenty lines: checked by the verifier, then at work in a RealNVP.

A transformer is an elementwise invertible map, shaped by raw numbers that a network computes.
This one leans: it is affine with one scale far to the left, another far to the right, and a smooth
bend between them, so it makes lopsided variables of symmetric ones.

    python examples/02_own_transformer.py        about a minute on two cores
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

import tfp_nvp as nvp
from tfp_nvp.bijectors import Elementwise
from tfp_nvp.testing import check_bijector
from tfp_nvp.transformers import Affine, Transformer


@keras.saving.register_keras_serializable("examples")  # so that .keras files can hold it
class Bend(Transformer):
    """x = t + exp(s) · (z + a √(1 + z²)), with slopes from exp(s) (1 − |a|) to exp(s) (1 + |a|).

    Three raw numbers: t, s and a, the last two softly bounded. Zeros give the identity.
    """

    num_parameters = 3

    def forward(self, z: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        t, s, a = raw[0], 3.0 * tf.tanh(raw[1] / 3.0), 0.95 * tf.tanh(raw[2])
        root = tf.sqrt(1.0 + z**2)
        return t + tf.exp(s) * (z + a * root), s + tf.math.log1p(a * z / root)

    def inverse(self, x: tf.Tensor, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        t, s, a = raw[0], 3.0 * tf.tanh(raw[1] / 3.0), 0.95 * tf.tanh(raw[2])
        u = (x - t) * tf.exp(-s)
        z = (u - a * tf.sqrt(u**2 + 1.0 - a**2)) / (1.0 - a**2)  # the root of a quadratic
        return z, -s - tf.math.log1p(a * z / tf.sqrt(1.0 + z**2))


def main(steps: int = 2000, out: str | None = None) -> dict[str, float]:
    """Checks the transformer, and compares it with the affine one on lopsided data.

    Args:
      steps: training steps of each flow.
      out: folder for the fitted flow, bend.keras; None for none.

    Returns:
      checks: how many of the verifier's checks passed.
      affine_nll, bend_nll: mean −log p on 5,000 new points, in nats.
    """
    # 1. Check: as a layer whose raw numbers are weights, moved away from the identity.
    rng = np.random.default_rng(0)
    layer = Elementwise(Bend(), [3])
    layer.trainable_variables[0].assign(rng.normal(size=[3, 3]))
    report = check_bijector(layer, rng.normal(size=[6, 3]))
    print(report)

    # 2. Use: the same flow with either transformer, fitted to the same data.
    x, x_test = lopsided(rng, 10_000), lopsided(rng, 5_000)
    found = {"checks": float(sum(check.status == "passed" for check in report))}
    for name, transformer in {"affine": Affine(), "bend": Bend()}.items():
        flow = nvp.RealNVP([2], num_layers=2, hidden_units=[64, 64], transformer=transformer, seed=0)
        model = fit(flow, x, steps)
        found[f"{name}_nll"] = float(-np.mean(model.log_prob(x_test)))
        print(f"RealNVP({transformer}): NLL {found[f'{name}_nll']:.4f} nats on {len(x_test):,} new points")

    # 3. Keep: a file that any program which defines `Bend` can load.
    if out is not None:
        path = f"{out}/bend.keras"
        tf.io.gfile.makedirs(out)
        model.save(path)
        loaded = keras.saving.load_model(path)
        assert np.allclose(loaded.log_prob(x_test), model.log_prob(x_test), rtol=1e-4, atol=1e-4)
        print(f"saved to {path}")
    return found


def lopsided(rng: np.random.Generator, n: int) -> np.ndarray:
    """Points [n, 2]: a normal variable, and a skewed one around its sine, which leans to the side of its sign."""
    first = rng.normal(size=n)
    second = np.sin(2.0 * first) + np.tanh(3.0 * first) * rng.gamma(2.0, 0.5, size=n)
    return np.stack([first, second], axis=-1)


def fit(flow: nvp.Flow, x: np.ndarray, steps: int) -> nvp.FlowModel:
    """Fits with Keras' own `compile` and `fit`; the loss is the negative log-likelihood."""
    flow.initialize(x[:1000])
    model = nvp.FlowModel(flow)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=5.0), jit_compile=True)
    model.fit(x, epochs=max(1, steps // 40), batch_size=250, verbose=0)  # 40 steps are a pass over the points
    return model


if __name__ == "__main__":
    main(out="runs/own_transformer")
