"""Glow on handwritten digits: bits per dimension, samples, interpolation, the least likely images.

scikit-learn's 1,797 digits, 8 × 8 pixels of 17 grey levels, a fifth of them to measure on. `Dequantized`
makes integers of a density: `log_prob` is that of the grey levels, `sample` draws them.

    python examples/08_glow_digits.py        some three minutes on two cores; the picture is in runs/glow_digits
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import tfp_nvp as nvp

LEVELS = 17


def main(steps: int = 3000, num_steps: int = 6, out: str | None = None) -> dict[str, float]:
    """Fits, measures, draws.

    Args:
      steps: training steps.
      num_steps: steps of flow in each of Glow's two levels.
      out: folder for the picture, glow_digits.png; None for none.

    Returns:
      bits: bits per dimension of the held-out digits, by one sample of the noise: an upper bound.
      bits_100: the same with 100 samples of the noise: a tighter one.
      uniform: log₂ 17, bits per dimension of guessing.
      inverse_error: the largest error of decode(encode(x)), in grey levels.
    """
    # 1. Images are integers [n, height, width, channels]: to train on, to choose when to stop, to measure on.
    images = load_digits().images.astype(np.uint8)[..., np.newaxis]
    part = np.arange(len(images)) % 10
    train, validation, test = images[part > 2], images[part == 2], images[part < 2]

    # 2. Glow within Dequantized: 8 × 8 × 1 → 4 × 4 × 4 → 2 × 2 × 8, half of the channels leave in between. The layer
    #    next to the data, with a bin for each grey level, keeps what it draws within the grey levels.
    glow = nvp.Glow([8, 8, 1], num_levels=2, num_steps=num_steps, hidden_units=64, num_bins=LEVELS, seed=0)
    digits = nvp.Dequantized(glow, levels=LEVELS)

    # 3. Fit. Every step draws new noise. An average of the weights is better than the last of them.
    batch = 128
    epochs = max(1, steps * batch // len(train))
    model = nvp.FlowModel(digits)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1.0, use_ema=True, ema_momentum=0.99, global_clipnorm=50)
    model.compile(optimizer, jit_compile=steps >= 500)
    model.fit(
        train,
        epochs=epochs,
        batch_size=batch,
        validation_data=(validation,),
        callbacks=[
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.EarlyStopping("val_loss", patience=40, restore_best_weights=True),
        ],
        verbose=0,
    )

    # 4. Measure.
    z, _ = digits.encode(test, seed=1)
    exact = digits.dequantize(test, seed=1)[0]
    found = {
        "bits": float(tf.reduce_mean(digits.bits_per_dim(test, seed=1))),
        "bits_100": float(tf.reduce_mean(digits.bits_per_dim(test, num_samples=100, seed=1))),
        "uniform": float(np.log2(LEVELS)),
        "inverse_error": float(LEVELS * tf.reduce_max(tf.abs(glow.decode(z)[0] - exact))),
    }
    print(f"one sample of noise    {found['bits']:.3f} bits per dimension of {len(test)} held-out digits")
    print(f"100 samples            {found['bits_100']:.3f} bits per dimension; guessing takes {found['uniform']:.3f}")
    print(f"decode(encode(x))      is off by at most {found['inverse_error']:.1e} grey levels")

    # 5. Draw.
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        draw(digits, test, Path(out) / "glow_digits.png")
        print(f"written                {Path(out) / 'glow_digits.png'}")
    return found


def draw(digits: nvp.Dequantized, test: np.ndarray, path: Path) -> None:
    """Samples at temperatures, ways between pairs of digits through the latent space, and the ends of the ranking."""
    columns = 12
    rows = {f"T = {t:g}": digits.sample(columns, seed=3, temperature=t) for t in (0.5, 0.7, 1.0)}
    z = digits.encode(test[:6], seed=0)[0].numpy()
    way = np.linspace(0.0, 1.0, columns)[:, np.newaxis]
    for i in range(0, 6, 2):
        rows[f"way {i // 2 + 1}"] = digits.decode((1 - way) * z[i] + way * z[i + 1])[0]
    order = np.argsort(digits.log_prob(test, num_samples=20, seed=0))
    rows["most likely"], rows["least likely"] = test[order[::-1][:columns]], test[order[:columns]]
    figure = Figure(figsize=(0.55 * columns + 1.0, 0.6 * len(rows)), layout="constrained")
    for axes, (label, images) in zip(figure.subplots(len(rows)), rows.items(), strict=True):
        sheet = np.pad(np.asarray(images)[..., 0], [(0, 0), (0, 0), (0, 1)], constant_values=LEVELS - 1)
        axes.imshow(np.concatenate(list(sheet), axis=1), cmap="gray", vmin=0, vmax=LEVELS - 1)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(out="runs/glow_digits")
