"""Saves samples of a model of images while it trains."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_nvp import checks
from tfp_nvp.distributions.fittable import as_fittable
from tfp_nvp.evaluation.images import sheet


class SampleImages(keras.callbacks.Callback):
    """Writes a sheet of samples after every few epochs: `folder/epoch_0005.png`, and to TensorBoard.

    The seed is the same each time, so that the sheets can be compared. Put it after
    `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)` to sample with averaged weights.

    Args:
      folder: for the pictures, or None.
      log_dir: folder of TensorBoard's logs, or None.
      count: number of images.
      every: epochs from one sheet to the next.
      temperature: as for `Flow.sample`, for all images.
      condition: for a conditional model, a row for each image; `count` is not used then.
      seed: of the samples.

    Raises:
      ValueError: if there is neither folder nor log_dir, or the model is not of images.

    >>> import tempfile, numpy as np, tfp_nvp as nvp
    >>> from pathlib import Path
    >>> model = nvp.FlowModel(nvp.Glow([4, 4, 1], num_levels=1, num_steps=1, hidden_units=4, seed=0))
    >>> model.compile()
    >>> x = np.random.default_rng(0).uniform(size=(8, 4, 4, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     history = model.fit(x, verbose=0, callbacks=[SampleImages(folder, count=4)])
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['epoch_0001.png']
    """

    def __init__(
        self,
        folder: str | os.PathLike | None = None,
        *,
        log_dir: str | os.PathLike | None = None,
        count: int = 64,
        every: int = 1,
        temperature: float | None = None,
        condition: Any = None,
        seed: int = 0,
    ):
        super().__init__()
        if folder is None and log_dir is None:
            raise ValueError("Give `folder`, for pictures, or `log_dir`, for TensorBoard.")
        self.folder = None if folder is None else checks.local_path("folder", folder)
        self.log_dir = log_dir
        self.count = checks.integer("count", count, 1)
        self.every = checks.integer("every", every, 1)
        self.temperature = temperature
        if temperature is not None:
            self.temperature = checks.number("temperature", temperature, checks.Interval(0.0))
        self.condition = condition
        self.seed = checks.integer("seed", seed, 0)

    def on_train_begin(self, logs: Any = None) -> None:
        shape = self.model.distribution.event_shape.as_list()
        if len(shape) != 3 or shape[-1] not in (1, 3):
            raise ValueError(f"SampleImages draws images [h, w, 1] or [h, w, 3]; the model's events are {shape}.")
        if self.model.is_conditional != (self.condition is not None):
            needs = "needs a condition: give SampleImages(condition=...)" if self.condition is None else "takes none"
            raise ValueError(f"`condition` does not fit: the model {needs}.")
        if self.condition is not None and self.model.encoder is None:
            expected = list(self.model.distribution.condition_shape)
            shape = list(np.shape(self.condition))
            if shape[1:] != expected or len(shape) != len(expected) + 1:
                raise ValueError(f"`condition` must have a row for each image, [n, *{expected}]; got shape {shape}.")
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
        self._writer = None if self.log_dir is None else tf.summary.create_file_writer(str(self.log_dir))
        self._draw = tf.function(self._sample)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (epoch + 1) % self.every:
            return
        picture = sheet(self._draw().numpy(), levels=as_fittable(self.model.distribution).levels)
        if self.folder is not None:
            png = tf.io.encode_png(picture)
            tf.io.write_file(str(self.folder / f"epoch_{epoch + 1:04d}.png"), png)
        if self._writer is not None:
            with self._writer.as_default():
                tf.summary.image("samples", picture[None], step=epoch + 1)
            self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        if self._writer is not None:
            self._writer.close()

    def _sample(self) -> tf.Tensor:
        shape = () if self.condition is not None else (self.count,)
        keywords = {"condition": self.condition, "temperature": self.temperature}
        keywords = {name: value for name, value in keywords.items() if value is not None}
        return self.model.sample(shape, seed=self.seed, **keywords)
