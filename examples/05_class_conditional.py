"""A class-conditional flow: handwritten digits drawn by class, and told apart by Bayes' rule.

scikit-learn's 1,797 digits, 8 × 8 pixels of 17 grey levels. An autoregressive flow of the 64 pixels
gets the class as its condition, through an embedding that is trained with it: p(x | class).
The same densities classify: p(class | x) is proportional to p(x | class) p(class).

    python examples/05_class_conditional.py        about a minute on two cores; the picture is in runs/digits
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import tfp_nvp as nvp
from tfp_nvp.bijectors import Chain, Support

LEVELS = 17
CLASSES = 10


def main(steps: int = 1500, out: str | None = None) -> dict[str, float]:
    """Fits, classifies, draws.

    Args:
      steps: training steps.
      out: folder for the picture, digits.png; None for none.

    Returns:
      nll: mean −log p(x | class) of the held-out digits, in nats, of pixels dequantized to [0, 1].
      accuracy: share of the held-out digits whose class has the highest density.
    """
    # 1. Grey levels are integers: noise of one level's width makes a density of them. Every fifth digit
    #    is held out, and another tenth tells when to stop.
    rng = np.random.default_rng(0)
    digits, labels = load_digits(return_X_y=True)
    x = ((digits + rng.uniform(size=digits.shape)) / LEVELS).astype(np.float32)
    part = np.arange(len(x)) % 10
    test, validation, train = part % 5 == 0, part == 1, (part % 5 > 0) & (part != 1)

    # 2. The flow. `Support` maps the pixels' range [0, 1] away, so that every sample is an image.
    inner = nvp.MAF([64], num_layers=5, hidden_units=[128, 128], condition_shape=[16], seed=0)
    flow = nvp.Flow(inner.distribution, Chain([Support(np.zeros(64), np.ones(64)), inner.bijector]))

    # 3. The condition is a label [n]; the encoder makes 16 numbers of it.
    model = nvp.FlowModel(flow, encoder=keras.Sequential([keras.layers.Embedding(CLASSES, 16)]))
    batch = 128
    epochs = max(1, steps * batch // int(train.sum()))
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, steps)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=1.0), jit_compile=True)
    model.fit(
        labels[train],
        x[train],
        validation_data=(labels[validation], x[validation]),
        epochs=epochs,
        batch_size=batch,
        callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=20, restore_best_weights=True)],
        verbose=0,
    )

    # 4. Classify: the density of every held-out digit under every class, in one call.
    log_prob = model.log_prob(x[test][:, np.newaxis], condition=np.arange(CLASSES)).numpy()
    found = {
        "nll": -float(log_prob[np.arange(len(log_prob)), labels[test]].mean()),
        "accuracy": float(np.mean(log_prob.argmax(axis=1) == labels[test])),
    }
    print(f"NLL given the class    {found['nll']:.2f} nats")
    print(f"classified rightly     {found['accuracy']:.1%} of {test.sum()} held-out digits")

    # 5. Draw: a row of samples for each class, at a temperature a little below one.
    if out is not None:
        Path(out).mkdir(parents=True, exist_ok=True)
        samples = model.sample(12, condition=np.arange(CLASSES), seed=1, temperature=0.8).numpy()
        draw(samples, Path(out) / "digits.png")
        print(f"written                {Path(out) / 'digits.png'}")
    return found


def draw(samples: np.ndarray, path: Path) -> None:
    """Samples [columns, classes, 64] as a sheet of images, a row for each class."""
    columns = len(samples)
    sheet = samples.reshape(columns, CLASSES, 8, 8).transpose(1, 2, 0, 3)
    sheet = np.pad(sheet, [(0, 0), (0, 1), (0, 0), (0, 1)]).reshape(9 * CLASSES, 9 * columns)
    figure = Figure(figsize=(0.5 * columns, 0.5 * CLASSES), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(sheet, cmap="gray", vmin=0.0, vmax=1.0)
    axes.set_axis_off()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(out="runs/digits")
