import keras
import numpy as np
import pytest

from tfp_nvp.training._tables.best_weights import BestWeights


class Losses(keras.callbacks.Callback):
    """Sets the validation loss and the weight of each epoch."""

    def __init__(self, losses: list[float]):
        super().__init__()
        self.losses = losses

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.losses[epoch]
        self.model.set_weights([np.full([1, 1], epoch + 1.0)])


@pytest.mark.parametrize(
    ("losses", "initial", "kept"),
    [
        ([3.0, 2.0, 4.0], 5.0, 2.0),
        ([3.0, 2.0, 4.0], 1.0, 0.0),
        ([3.0, 2.0, 1.5], 5.0, 3.0),
        ([3.0, 2.0, 4.0], float("nan"), 2.0),
    ],
)
def test_the_weights_of_the_least_loss_are_kept_the_first_ones_included(losses, initial, kept):
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    callbacks = [Losses(losses), BestWeights(initial, patience=10)]
    model.fit(np.zeros([4, 1]), np.zeros([4, 1]), epochs=3, callbacks=callbacks, verbose=0)
    assert model.get_weights()[0].item() == kept


def test_it_stops_when_nothing_improves_on_the_start():
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1, use_bias=False)])
    model.compile("sgd", "mse")
    callbacks = [Losses([3.0] * 9), BestWeights(1.0, patience=2)]
    history = model.fit(np.zeros([4, 1]), np.zeros([4, 1]), epochs=9, callbacks=callbacks, verbose=0)
    assert len(history.history["loss"]) == 2
