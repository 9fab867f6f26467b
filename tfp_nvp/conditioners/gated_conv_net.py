"""Flow++'s gated residual convolutional network as conditioner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfp_nvp import checks
from tfp_nvp._finite import held
from tfp_nvp.conditioners._conditioner import ImageConditioner
from tfp_nvp.conditioners._convolution import Convolution, ZeroConvolution
from tfp_nvp.conditioners._joining import joined_channels
from tfp_nvp.conditioners._layer_normalization import LayerNormalization
from tfp_nvp.conditioners._tanh_features import TanhFeatures


@keras.saving.register_keras_serializable("tfp_nvp")
class GatedConvNet(ImageConditioner):
    """A residual network of gated 3 × 3 convolutions, from an image to raw numbers for every pixel.

        h = K ∗ [inputs, condition] + b
        a, g = W crelu(A ∗ crelu(h)),  h = norm(h + a · sigmoid(g))   for each block
        outputs = (V ∗ crelu(h) + c) · exp(3 s),  with V, c and s zero at first

    crelu(h) is elu([h, −h]), twice as many channels. The norm is a layer norm, over the channels of each pixel.

    Args:
      num_outputs: raw numbers per pixel; None for as many as its layer needs.
      hidden_units: channels of h, at least 1; an int, or a list of equal ones.
      num_blocks: number of blocks, at least 1.
      layer_norm: whether there is a norm.
      kernel_size: side of V.
      num_features: number of `TanhFeatures` that replace each input; None for the input itself.
      seed: an int for reproducible initial weights.
      dtype: a Keras dtype or dtype policy; "mixed_bfloat16" computes in bfloat16.

    Shapes: inputs [n, h, w, k] and condition [n, f h, f w, m], whose squares of f × f pixels become channels, or
    [n, ...] which goes to every pixel → [n, h, w, num_outputs].

    >>> GatedConvNet(4, hidden_units=8)(keras.ops.ones([3, 5, 5, 2])).shape
    TensorShape([3, 5, 5, 4])

    References: Ho, Chen, Srinivas, Duan & Abbeel (2019), "Flow++", arXiv:1902.00275, section 3.3, without its
    attention; Salimans, Karpathy, Chen & Kingma (2017), "PixelCNN++", arXiv:1701.05517.
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        *,
        hidden_units: int | Sequence[int] = 32,
        num_blocks: int = 2,
        layer_norm: bool = True,
        kernel_size: int = 3,
        num_features: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(num_outputs, seed=seed, **kwargs)
        self.hidden_units = checks.width("hidden_units", hidden_units)
        self.num_blocks = checks.integer("num_blocks", num_blocks, 1)
        self.layer_norm = checks.flag("layer_norm", layer_norm)
        self.kernel_size = checks.integer("kernel_size", kernel_size, 1)
        self.num_features = None if num_features is None else checks.integer("num_features", num_features, 1)
        policy = self.dtype_policy
        self.features = None if num_features is None else TanhFeatures(num_features, dtype=policy)
        kernels = [self._glorot(i) for i in range(2 * num_blocks + 1)]
        self.input_layer = Convolution(self.hidden_units, kernel_initializer=kernels[0], dtype=policy)
        self.block_layers = [Convolution(self.hidden_units, kernel_initializer=k, dtype=policy) for k in kernels[1::2]]
        self.gate_layers = [
            keras.layers.Dense(2 * self.hidden_units, kernel_initializer=k, dtype=policy) for k in kernels[2::2]
        ]
        norm = LayerNormalization if self.layer_norm else keras.layers.Identity
        self.norms = [norm(dtype=policy) for _ in range(num_blocks)]

    def build(self, inputs_shape: Any, condition_shape: Any = None) -> None:
        self.output_layer = ZeroConvolution(
            self._known_outputs(), kernel_size=self.kernel_size, dtype=self.dtype_policy
        )
        image = (None, *inputs_shape[1:3])
        if self.features is not None:
            self.features.build(inputs_shape)
            inputs_shape = self.features.compute_output_shape(inputs_shape)
        self.input_layer.build((*image, joined_channels(inputs_shape, condition_shape)))
        for layer in (*self.block_layers, *self.gate_layers, self.output_layer):
            layer.build((*image, 2 * self.hidden_units))
        for norm in self.norms:
            norm.build((*image, self.hidden_units))
        self.built = True

    def call(self, inputs: Any, condition: Any = None) -> Any:
        return super().call(inputs if self.features is None else self.features(inputs), condition)

    def of_image(self, image: Any) -> Any:
        h = self.input_layer(image)
        for block, gate, norm in zip(self.block_layers, self.gate_layers, self.norms, strict=True):
            a, g = keras.ops.split(gate(_crelu(block(_crelu(h)))), 2, axis=-1)
            h = held(norm(h + a * keras.ops.sigmoid(g)))
        return self.output_layer(_crelu(h))


def _crelu(h: Any) -> Any:
    return keras.ops.elu(keras.ops.concatenate([h, -h], axis=-1))
