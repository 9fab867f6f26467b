"""Validation of averaged weights."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class Averages(keras.callbacks.SwapEMAWeights):
    """Keras' exchange of weights and their averages around validation, in one call and without rounding.

    Keras makes three small updates of every weight, which take a third of a short fit, and by sums and differences,
    whose rounding changes the weights a little each time. Under a strategy of several devices it is Keras' own.
    """

    def __init__(self) -> None:
        super().__init__(swap_on_epoch=True)
        self._exchange: Any = None

    def _tf_swap_variables(self, optimizer: keras.optimizers.Optimizer) -> None:
        if tf.distribute.has_strategy():
            super()._tf_swap_variables(optimizer)
            return
        if self._exchange is None:
            self._exchange = _exchange_of(optimizer)
        self._exchange()


def _exchange_of(optimizer: keras.optimizers.Optimizer) -> Any:
    """A function that exchanges an optimizer's weights and their averages."""
    both = zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True)
    pairs = [(weight.value, average.value) for weight, average in both if average is not None]

    @tf.function(autograph=False)
    def exchange() -> None:
        for weight, average in pairs:
            before = weight.read_value()
            weight.assign(average.read_value())
            average.assign(before)

    return exchange
