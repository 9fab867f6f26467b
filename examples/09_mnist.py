"""MNIST: bits per dimension in minutes, with sheets of samples while it trains; then an export that scores images.

The images are the file mnist.npz that Keras knows (x_train, x_test: uint8 [n, 28, 28]); nothing is downloaded here.
The full training, in hours, is benchmarks/images.py; what it gave is docs/benchmarks/image_flows.md.

    python examples/09_mnist.py mnist.npz      six minutes on two cores; pictures and the export are in runs/mnist
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
import numpy as np

import tfp_nvp as nvp

BATCH = 64


def main(
    data: str | Path | None = None, steps: int = 2000, hidden_units: int = 32, out: str = "runs/mnist"
) -> dict[str, float]:
    """Fits, measures, draws, exports.

    Args:
      data: an .npz file with x_train and x_test; None for random stripes, to try the example without it.
      steps: training steps.
      hidden_units: of each group's network.
      out: folder for the sheets of samples and the export.

    Returns:
      bits: bits per dimension of held-out images, by one draw of the noise: an upper bound.
      served: the same, as the exported model gives it.
      inverse_error: the largest error of decode(encode(x)), in grey levels.
    """
    # 1. Integers [n, height, width, channels]: to train on, to validate, to measure on.
    train, test = stripes() if data is None else load(data)
    train, validation = train[: -len(train) // 6], train[-len(train) // 6 :][:2000]

    # 2. Sixteen interleaved sub-images, one after the other.
    flow = nvp.SubscaleFlow.preset(train.shape[1:], hidden_units=hidden_units, seed=0)
    images = nvp.Dequantized(flow, levels=256)

    # 3. Fit; after every epoch a sheet of samples from the averaged weights.
    per_epoch = min(steps, len(train) // BATCH)
    train, epochs = train[: per_epoch * BATCH], max(1, round(steps / per_epoch))
    total = epochs * per_epoch
    warmup = total // 20
    model = nvp.FlowModel(images)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, total - warmup, 0.02, warmup_target=3e-3, warmup_steps=warmup
    )
    optimizer = keras.optimizers.Adam(schedule, use_ema=True, ema_momentum=0.99, global_clipnorm=50.0)
    model.compile(optimizer, jit_compile=steps >= 500)
    model.fit(
        train,
        epochs=epochs,
        batch_size=BATCH,
        validation_data=(validation,),
        callbacks=[
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            nvp.evaluation.SampleImages(Path(out) / "samples", count=36, temperature=0.9),
        ],
        verbose=2,
    )

    # 4. Measure.
    some = test[:200]
    exact = images.dequantize(some, seed=1)[0]
    z, _ = flow.encode(exact)
    found = {
        "bits": float(np.mean(images.bits_per_dim(some, seed=1))),
        "inverse_error": float(256 * np.abs(flow.decode(z)[0] - exact).max()),
    }

    # 5. Export, and score with what a server would run.
    version = nvp.export(model, Path(out) / "saved_model", warmup=test[:8])
    log_prob = nvp.serving.load(version).log_prob(some, seed=1)
    found["served"] = float(-log_prob.mean() / (some[0].size * np.log(2.0)))
    print(f"{found['bits']:.3f} bits per dimension of {len(some)} test images; {found['served']:.3f} by the export")
    print(f"decode(encode(x)) is off by at most {found['inverse_error']:.1e} grey levels")
    print(f"written: {out}/samples, {version}")
    return found


def load(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images [n, 28, 28, 1]."""
    with np.load(path) as file:
        return file["x_train"][..., np.newaxis], file["x_test"][..., np.newaxis]


def stripes() -> tuple[np.ndarray, np.ndarray]:
    """Bright stripes on black, of random place and brightness: uint8 [n, 28, 28, 1]."""
    rng = np.random.default_rng(0)
    column = np.arange(28)
    start, brightness = rng.integers(4, 18, size=(800, 1)), rng.integers(100, 256, size=(800, 1))
    rows = np.where((column >= start) & (column < start + 6), brightness, 0)
    images = np.broadcast_to(rows[:, np.newaxis, :, np.newaxis], (800, 28, 28, 1)).astype(np.uint8)
    return images[:600], images[600:]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help="mnist.npz")
    main(parser.parse_args().data)
