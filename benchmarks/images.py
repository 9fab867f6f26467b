"""Image flows in bits per dimension: which architecture for how much time, the best of them, and what it is worth.

    python benchmarks/images.py search  --data-dir DIR [--minutes 4]    validation bits against wall time, several flows
    python benchmarks/images.py train   --data-dir DIR [--minutes 360]  the best of them; again, to go on
    python benchmarks/images.py measure --data-dir DIR [--model FILE]   test bits, inverse error, of the trained model
    python benchmarks/images.py draw    --data-dir DIR [--model FILE]   pictures of it
    python benchmarks/images.py ship    --data-dir DIR [--model FILE]   saved_models/mnist, and its test values
    python benchmarks/images.py nats    --data-dir DIR                  the protocol of Papamakarios et al. (2017)
    python benchmarks/images.py classes --data-dir DIR [--epochs 4]     given the class: bits, and Bayes' rule

DIR holds mnist.npz, or one other .npz file: x_train and x_test [n, h, w] or [n, h, w, c], uint8; for `classes` also
y_train and y_test [n]. The last sixth of x_train validates; x_test is read by `measure`, `nats` and `classes` alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import math
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_nvp as nvp
from tfp_nvp.transformers import MixtureOfLogistics, RationalQuadratic

tfd = tfp.distributions

ROOT = Path(__file__).resolve().parent.parent
BATCH = 64
EMA = 0.999  # of the weights, in a long run; of a short one, the last twentieth counts


def subscale(shape: tuple[int, ...], **arguments: Any) -> nvp.SubscaleFlow:
    """The preset; for images of another shape, a flow like that of MNIST's."""
    if tuple(shape) in nvp.SubscaleFlow.PRESETS:
        return nvp.SubscaleFlow.preset(shape, seed=0, **arguments)
    factor = 2 if shape[0] % 4 or shape[1] % 4 else 4
    sizes = {**nvp.SubscaleFlow.PRESETS[28, 28, 1], "factor": factor, "num_groups": factor**2 * shape[2]}
    return nvp.SubscaleFlow(shape, seed=0, **{**sizes, **arguments})


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A flow of an event shape, and how it is fitted.

    Args:
      make: event shape → flow.
      rate: the learning rate after the warm-up.
      final: what part of it is left at the end of the cosine; 1 for a constant rate.
      average: whether weights are averaged.
    """

    make: Callable[..., nvp.Flow]
    rate: float = 3e-3
    final: float = 0.01
    average: bool = True


def unquantized(shape: tuple[int, ...]) -> nvp.Flow:
    """The preset after a logit in place of `Quantile`."""
    base = tfd.Sample(tfd.Logistic(tf.constant(0.0, tf.float64), 1.0), [math.prod(shape)])
    return nvp.Flow(base, nvp.bijectors.Chain([nvp.bijectors.Logit(1e-6), subscale(shape, num_bins=None).bijector]))


CONTESTANTS = {
    "subscale": Contestant(subscale),
    "subscale, wider, one block": Contestant(functools.partial(subscale, hidden_units=46, num_blocks=1)),
    "subscale, narrower, four blocks": Contestant(functools.partial(subscale, hidden_units=22, num_blocks=4)),
    "subscale, 8 wider groups": Contestant(functools.partial(subscale, num_groups=8, hidden_units=48)),
    "subscale, factor 2": Contestant(functools.partial(subscale, factor=2, num_groups=4)),
    "subscale, mixtures": Contestant(
        functools.partial(subscale, transformer=MixtureOfLogistics(num_components=4)), rate=1e-3
    ),
    "subscale, no quantiles": Contestant(unquantized),
    "subscale, rate 1e-3": Contestant(subscale, rate=1e-3),
    "subscale, constant rate": Contestant(subscale, final=1.0),
    "subscale, constant rate, no average": Contestant(subscale, final=1.0, average=False),
    "subscale, no average": Contestant(subscale, average=False),
    "Glow, affine": Contestant(functools.partial(nvp.Glow, num_steps=8, hidden_units=96, num_bins=256, seed=0), 1e-3),
    "Glow, splines": Contestant(
        functools.partial(
            nvp.Glow, num_steps=4, hidden_units=96, transformer=RationalQuadratic(num_bins=8), num_bins=256, seed=0
        ),
        1e-3,
    ),
    "RealNVP": Contestant(functools.partial(nvp.ImageRealNVP, num_levels=2, hidden_units=32, seed=0), 1e-3),
    "Flow++": Contestant(
        functools.partial(
            nvp.FlowPlusPlus,
            num_couplings=(2, 2, 2),
            hidden_units=24,
            transformer=MixtureOfLogistics(num_components=4),
            seed=0,
        ),
        1e-3,
    ),
}


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/images"), help="folder for models and figures")
    parser.add_argument("--only", nargs="*", help="search: names of contestants")
    parser.add_argument("--minutes", type=float, help="search: for each contestant, 4; train: of this sitting, 360")
    parser.add_argument("--epochs", type=int, help="train, classes: length of the whole schedule, 30 and 4")
    parser.add_argument("--model", type=Path, help="measure: a .keras file; by default the one of `train`")
    parser.add_argument("--num-samples", type=int, default=16, help="measure: draws of the noise")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    TASKS[args.task](args)


def load(folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation and test images, uint8 [n, h, w, c]."""
    train, test = (x.reshape(*x.shape[:3], -1) for x in arrays(folder, "x_train", "x_test"))
    held_out = len(train) // 6
    return train[:-held_out], train[-held_out:], test


def arrays(folder: Path, *keys: str) -> list[np.ndarray]:
    """Arrays of the .npz file in a folder."""
    found = folder / "mnist.npz" if (folder / "mnist.npz").exists() else next(iter(sorted(folder.glob("*.npz"))), None)
    if found is None:
        raise SystemExit(f"--data-dir: no .npz file in {folder}.")
    with np.load(found) as file:
        return [file[key] for key in keys]


def fitted(
    name: str, shape: Any, steps: int, encoder: keras.layers.Layer | None = None, **arguments: Any
) -> nvp.FlowModel:
    """The compiled model of a contestant, for a schedule of `steps`."""
    contestant = CONTESTANTS[name]
    model = nvp.FlowModel(nvp.Dequantized(contestant.make(shape, **arguments)), encoder)
    warmup = min(100, steps // 10 + 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warmup, contestant.final, warmup_target=contestant.rate, warmup_steps=warmup
    )
    momentum = min(EMA, 1.0 - 20.0 / max(steps, 21))
    optimizer = keras.optimizers.Adam(schedule, use_ema=contestant.average, ema_momentum=momentum, global_clipnorm=50.0)
    model.compile(optimizer, jit_compile=True)
    return model


class Sitting(keras.callbacks.Callback):
    """Ends `fit` after the epoch before one that would take it beyond so many minutes."""

    def __init__(self, minutes: float):
        super().__init__()
        self.minutes = minutes

    def on_train_begin(self, logs: Any = None) -> None:
        self.start = self.begun = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.begun = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now = time.monotonic()
        if 2 * now - self.begun - self.start > 60.0 * self.minutes:
            self.model.stop_training = True


class Log(keras.callbacks.Callback):
    """Writes a line per epoch: wall time in all sittings, and bits per dimension.

    Args:
      path: .jsonl file, which is continued.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.seconds = json.loads(lines[-1])["seconds"] if lines else 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        self.last = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        now = time.monotonic()
        self.seconds, self.last = self.seconds + now - self.last, now
        line = {"epoch": epoch + 1, "seconds": round(self.seconds, 1)}
        line |= {key: round(float(value), 5) for key, value in (logs or {}).items() if "bits" in key}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


def search(args: argparse.Namespace) -> None:
    """Every contestant for as long, each with a schedule that ends then; a table, and a picture."""
    for name in args.only or CONTESTANTS:
        path = args.out / f"search {name}.jsonl"
        if path.exists():
            continue
        # A process each: what XLA has compiled stays until its process ends.
        process = multiprocessing.get_context("spawn").Process(target=contest, args=(name, path, args))
        process.start()
        process.join()
        if process.exitcode:
            print(f"{name:28s} failed", flush=True)
    draw_search(args.out)


def contest(name: str, path: Path, args: argparse.Namespace) -> None:
    """One contestant of the search."""
    train_set, validation, _ = load(args.data_dir)
    model = fitted(name, train_set.shape[1:], 10**6)
    batches = _stream(train_set)
    model.fit(batches, steps_per_epoch=2, epochs=1, verbose=0)  # compiles
    start = time.monotonic()
    model.fit(batches, steps_per_epoch=20, epochs=1, verbose=0)
    step = (time.monotonic() - start) / 20
    steps_per_epoch = max(1, int(60.0 * (args.minutes or 4.0) / step / 12))
    model = fitted(name, train_set.shape[1:], 12 * steps_per_epoch)
    averaging = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)] if CONTESTANTS[name].average else []
    model.fit(
        batches,
        steps_per_epoch=steps_per_epoch,
        epochs=12,
        validation_data=(validation[:2000],),
        validation_batch_size=500,
        callbacks=[*averaging, Log(path)],
        verbose=0,
    )
    last = json.loads(path.read_text().splitlines()[-1])
    print(f"{name:28s} {model.count_params():9,} weights  {1e3 * step:6.0f} ms a step  {last}", flush=True)


def draw_search(folder: Path) -> None:
    """search.png: validation bits against seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    panels = figure.subplots(1, 2)
    varied = {name: name.startswith("subscale, ") for name in CONTESTANTS}
    for axes, title, chosen in (
        (panels[0], "Architectures", [name for name in CONTESTANTS if not varied[name]]),
        (panels[1], "The preset, varied", [name for name in CONTESTANTS if name == "subscale" or varied[name]]),
    ):
        for i, name in enumerate(chosen):
            path = folder / f"search {name}.jsonl"
            if not path.exists():
                continue
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            minutes = [line["seconds"] / 60 for line in lines]
            style = "-" if i < 6 else "--"
            axes.plot(
                minutes, [line["val_bits_per_dim"] for line in lines], style, label=name.removeprefix("subscale, ")
            )
        axes.set(title=title, xlabel="minutes of two cores", ylabel="validation bits per dimension")
        axes.legend(frameon=False)
    panels[0].set_ylim(1.0, 3.5)
    panels[1].set_ylim(1.0, 1.6)
    figure.savefig(folder / "search.png", dpi=120)


def _stream(images: np.ndarray) -> tf.data.Dataset:
    data = tf.data.Dataset.from_tensor_slices(images).shuffle(len(images), seed=0).repeat()
    return data.batch(BATCH, drop_remainder=True).prefetch(2)


def train(args: argparse.Namespace) -> None:
    """The preset; weights of the best validation bits in flow.keras, the state of the schedule beside it."""
    train_set, validation, _ = load(args.data_dir)
    per_epoch = len(train_set) // BATCH
    epochs = args.epochs or 30
    model = fitted("subscale", train_set.shape[1:], epochs * per_epoch)
    print(f"{model.count_params():,} weights", flush=True)
    best = args.out / "best.json"
    model.fit(
        train_set[: per_epoch * BATCH],
        batch_size=BATCH,
        epochs=epochs,
        validation_data=(validation,),
        validation_batch_size=500,
        callbacks=[
            keras.callbacks.BackupAndRestore(args.out / "state", delete_checkpoint=False),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            Log(args.out / "train.jsonl"),
            Sitting(args.minutes or 360.0),
            KeepBest(args.out / "flow.keras", best),
        ],
        verbose=0,
    )


class KeepBest(keras.callbacks.Callback):
    """Saves the model where the validation bits are least, in all sittings.

    Args:
      model_path: .keras file.
      figures_path: .json file with the least so far.
    """

    def __init__(self, model_path: Path, figures_path: Path):
        super().__init__()
        self.model_path, self.figures_path = model_path, figures_path

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        found = float(logs["val_bits_per_dim"])
        if self.figures_path.exists() and json.loads(self.figures_path.read_text())["val_bits_per_dim"] <= found:
            return
        partial = self.model_path.with_name("partial.keras")
        self.model.save(partial)
        partial.replace(self.model_path)
        self.figures_path.write_text(json.dumps({"epoch": epoch + 1, "val_bits_per_dim": found}))


def measure(args: argparse.Namespace) -> None:
    """Test bits by one and by several draws of the noise, and how exactly the flow inverts."""
    _, _, test = load(args.data_dir)
    model = keras.saving.load_model(args.model or args.out / "flow.keras")
    digits = model.distribution

    @tf.function(jit_compile=True)
    def bits(x: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return digits.bits_per_dim(x, num_samples=args.num_samples, seed=seed)

    @tf.function(jit_compile=True)
    def one(x: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        y, _ = digits.dequantize(x, seed=seed)
        back, _ = digits.flow.decode(digits.flow.encode(y)[0])
        return digits.bits_per_dim(x, seed=seed), digits.levels * tf.abs(back - y)

    parts = [tf.constant(test[i : i + 50], tf.int32) for i in range(0, len(test), 50)]
    seeds = [tf.constant([1, i]) for i in range(len(parts))]
    many = np.concatenate([bits(part, seed).numpy() for part, seed in zip(parts, seeds, strict=True)])
    pairs = [one(part, seed) for part, seed in zip(parts, seeds, strict=True)]
    single, errors = (np.concatenate([pair[i] for pair in pairs]) for i in range(2))
    figures = {
        "images": len(many),
        "weights": model.count_params(),
        "bits_1": float(single.mean()),
        f"bits_{args.num_samples}": float(many.mean()),
        "standard_error": float(many.std() / np.sqrt(len(many))),
        "inverse_error_max": float(errors.max()),
        "inverse_error_99.9": float(np.percentile(errors, 99.9)),
    }
    (args.out / "measure.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))


def draw(args: argparse.Namespace) -> None:
    """samples.png: at temperatures; ways.png: to latents and back, between test images, and the ends of the ranking."""
    _, _, test = load(args.data_dir)
    digits = keras.saving.load_model(args.model or args.out / "flow.keras").distribution
    count = 14
    sample = tf.function(lambda t: digits.flow.sample(count, seed=3, temperature=t))
    rows = {f"T = {t:g}": digits.quantize(sample(tf.constant(t))).numpy() for t in (0.5, 0.7, 0.85, 1.0)}
    nvp.evaluation.plot_images(rows, args.out / "samples.png", levels=digits.levels)
    encode = tf.function(lambda x: digits.encode(x, seed=0)[0])
    decode = tf.function(lambda z: digits.decode(z)[0])
    z = encode(tf.constant(test[:8], tf.int32)).numpy()
    way = np.linspace(0.0, 1.0, count, dtype=np.float32)[:, np.newaxis]
    y, _ = digits.dequantize(test[:count], seed=0)
    back = tf.function(lambda y: digits.flow.decode(digits.flow.encode(y)[0])[0])(y)
    error = digits.levels * tf.abs(back - y)  # in grey levels
    rows = {"test images": test[:count], "and back": digits.quantize(back).numpy()}
    rows["error × 10⁸"] = digits.quantize(1e8 * error / digits.levels).numpy()
    rows |= {f"way {i // 2 + 1}": decode((1 - way) * z[i] + way * z[i + 1]).numpy() for i in range(0, 8, 2)}
    log_prob = tf.function(lambda x: digits.log_prob(x, seed=0))
    order = np.argsort(np.concatenate([log_prob(tf.constant(part, tf.int32)) for part in np.array_split(test, 20)]))
    rows |= {"most likely": test[order[::-1][:count]], "least likely": test[order[:count]]}
    nvp.evaluation.plot_images(rows, args.out / "ways.png", levels=digits.levels)


def ship(args: argparse.Namespace) -> None:
    """Exports the trained model as the next version, with samples of its own and their values for the test."""
    model = keras.saving.load_model(args.model or args.out / "flow.keras")
    figures = args.out / "measure.json"
    card = {"data": "MNIST, the first 50,000 training images; the epoch was chosen by the other 10,000"}
    card |= {f"test {key}": value for key, value in json.loads(figures.read_text()).items()} if figures.exists() else {}
    version = nvp.export(model, ROOT / "saved_models" / "mnist", card=card)
    served = nvp.serving.load(version)
    samples = served.sample(8, seed=0)
    np.savez_compressed(
        ROOT / "tests" / "serving" / "mnist.npz", samples=samples, log_prob=served.log_prob(samples, seed=1)
    )
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    print(f"{version}: {size / 1e6:.1f} MB")


def nats(args: argparse.Namespace) -> None:
    """Nats per image of v = logit(1e-6 + (1 − 2e-6) (x + u) / 256): of the trained model, and of a MAF as in the paper.

    A density of y = (x + u) / 256 is one of v: log p(v) = log p(y) − Σ log dv/dy.
    """
    train_set, validation, test = load(args.data_dir)
    logit = nvp.bijectors.Logit(1e-6)
    rng = np.random.default_rng(0)
    y = tf.constant(((test + rng.uniform(size=test.shape)) / 256.0).astype(np.float32))
    slope = tf.reduce_sum(logit.inverse_log_det_jacobian(y, event_ndims=0), axis=(1, 2, 3))
    figures = {}
    if (args.model or args.out / "flow.keras").exists():
        flow = keras.saving.load_model(args.model or args.out / "flow.keras").distribution.flow
        log_prob = tf.function(flow.log_prob, jit_compile=True)
        found = np.concatenate([log_prob(y[i : i + 200]) for i in range(0, len(test), 200)]) - slope.numpy()
        figures["subscale"] = [float(found.mean()), float(found.std() / np.sqrt(len(found)))]

    def rows(images: np.ndarray) -> np.ndarray:
        noisy = (images + rng.uniform(size=images.shape)) / 256.0
        return logit.inverse(tf.constant(noisy.reshape(len(noisy), -1), tf.float32)).numpy()

    maf = nvp.FlowModel(nvp.MAF([test[0].size], num_layers=5, hidden_units=[1024], order="reversed", seed=0))
    maf.compile(keras.optimizers.Adam(1e-4, use_ema=True, ema_momentum=0.99, global_clipnorm=500.0), jit_compile=True)
    start = time.monotonic()
    history = maf.fit(
        rows(train_set),
        batch_size=100,
        epochs=100,
        validation_data=(rows(validation),),
        validation_batch_size=1000,
        callbacks=[
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            Sitting(args.minutes or 60.0),
            keras.callbacks.EarlyStopping("val_nll", patience=5, mode="min", restore_best_weights=True),
        ],
        verbose=2,
    )
    found = maf.predict(rows(test), verbose=0)
    figures["MAF(5)"] = [float(found.mean()), float(found.std() / np.sqrt(len(found)))]
    figures |= {"epochs": len(history.epoch), "seconds": round(time.monotonic() - start)}
    (args.out / "nats.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))


def classes(args: argparse.Namespace) -> None:
    """The preset given the class: test bits, how often Bayes' rule finds the class, a row of samples for each."""
    train_set, _, test = load(args.data_dir)
    labels, test_labels = arrays(args.data_dir, "y_train", "y_test")
    count, per_epoch, epochs = int(labels.max()) + 1, len(train_set) // BATCH, args.epochs or 4
    encoder = keras.Sequential([keras.layers.Embedding(count, 16)])
    model = fitted("subscale", train_set.shape[1:], epochs * per_epoch, encoder, condition_shape=[16])
    model.fit(
        labels[: per_epoch * BATCH],
        train_set[: per_epoch * BATCH],
        batch_size=BATCH,
        epochs=epochs,
        callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True), Log(args.out / "classes.jsonl")],
        verbose=0,
    )
    log_prob = tf.function(lambda x, seed: model.log_prob(x[:, tf.newaxis], condition=tf.range(count), seed=seed))
    parts = [tf.constant(test[i : i + 20], tf.int32) for i in range(0, min(len(test), 2000), 20)]
    found = np.concatenate([log_prob(part, tf.constant([1, i])).numpy() for i, part in enumerate(parts)])
    right = test_labels[: len(found)]
    bits = -found[np.arange(len(found)), right] / math.log(2.0) / test[0].size
    figures = {
        "images": len(found),
        "bits_1": float(bits.mean()),
        "standard_error": float(bits.std() / np.sqrt(len(bits))),
        "found by Bayes' rule": float(np.mean(found.argmax(axis=1) == right)),
    }
    (args.out / "classes.json").write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures, indent=1))
    samples = model.sample(14, condition=np.arange(count), seed=1, temperature=0.85).numpy()
    rows = {str(label): samples[:, label] for label in range(count)}
    nvp.evaluation.plot_images(rows, args.out / "classes.png", levels=256)


TASKS = {
    "search": search,
    "train": train,
    "measure": measure,
    "draw": draw,
    "ship": ship,
    "nats": nats,
    "classes": classes,
}

if __name__ == "__main__":
    main()
