"""Layers that both networks are built from."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("cadl")
class SpaceToDepth(layers.Layer):
    """Gathers blocks of pixels into channels: [N, h, w, c] -> [N, h/b, w/b, b*b*c]."""

    def __init__(self, block: int, **kwargs):
        """Takes the side of a block."""
        super().__init__(**kwargs)
        self.block = block

    def call(self, x):
        """Rearranges `x`."""
        _, h, w, c = ops.shape(x)
        b = self.block
        x = ops.reshape(x, (-1, h // b, b, w // b, b, c))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, h // b, w // b, b * b * c))

    def compute_output_shape(self, shape):
        """Returns the shape of the rearranged tensor."""
        n, h, w, c = shape
        b = self.block
        return (n, h and h // b, w and w // b, c * b**2)


@keras.saving.register_keras_serializable("cadl")
class DepthToSpace(layers.Layer):
    """Spreads channels over blocks of pixels (Shi et al. 2016, arXiv 1609.05158)."""

    def __init__(self, block: int, **kwargs):
        """Takes the side of a block."""
        super().__init__(**kwargs)
        self.block = block

    def call(self, x):
        """Rearranges `x`: [N, h, w, b*b*c] -> [N, h*b, w*b, c]."""
        _, h, w, c = ops.shape(x)
        b = self.block
        x = ops.reshape(x, (-1, h, w, b, b, c // b**2))
        return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, h * b, w * b, c // b**2))

    def compute_output_shape(self, shape):
        """Returns the shape of the rearranged tensor."""
        n, h, w, c = shape
        b = self.block
        return (n, h and h * b, w and w * b, c // b**2)


def count_operations(model: keras.Model) -> int:
    """Counts what a model's convolutions and dense layers do to one tile.

    A multiplication and an addition are two operations; all else is left out.

    Args:
        model: built for a known height and width; nested models are counted too.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += count_operations(layer)
        elif isinstance(layer, (layers.Conv2D, layers.Dense)):
            places = layer.output.shape[1] * layer.output.shape[2] if layer.output.ndim == 4 else 1
            total += 2 * int(ops.size(layer.kernel)) * places
    return total
