"""Layers that both networks are built from."""

from cadl import _startup  # noqa: F401

import keras
import numpy as np
from keras import layers, ops


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


def smooth_depth_to_space(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Spreads channels over 2x2 pixels, [N, h, w, 4c] -> [N, 2h, 2w, c], so that no grid can show.

    `low_pass` follows, which nothing passes that repeats every second pixel: equal features give
    equal pixels, whatever the weights (the fault that it prevents: Odena et al. 2016, doi
    10.23915/distill.00003).
    """
    x = DepthToSpace(2, name=f"{name}_depth_to_space")(x)
    shape = tuple(x.shape[1:])
    return layers.Lambda(low_pass, output_shape=shape, name=f"{name}_smooth")(x)


def low_pass(x):
    """Filters [N, h, w, c] by -1, 2, 6, 2, -1 in both directions.

    What repeats every second pixel is gone, what repeats every fourth or more slowly stays, or
    grows by up to a tenth. After 1, 2, 1 half of that was gone, and the sharpest picture had a
    seventh of its sharpness.
    """
    return filter_by(x, (0.75, 0.25, -0.125))


def filter_by(x, taps: tuple, edges: str = "reflect"):
    """Filters [N, h, w, c] by symmetric taps, the middle one first, in both directions.

    Edges are mirrored: "reflect" leaves out the outermost place, "symmetric" repeats it.
    """
    _, h, w, c = ops.shape(x)
    reach = len(taps) - 1
    x = ops.pad(x, [[0, 0], [reach] * 2, [reach] * 2, [0, 0]], mode=edges)
    x = ops.reshape(x, (-1, h + 2 * reach, (w + 2 * reach) * c))  # rows in one: faster by half
    for axis, size, step in ((1, h, 1), (2, w * c, c)):
        own = [window(x, axis, i * step, size) for i in range(2 * reach + 1)]
        x = taps[0] * own[reach]
        for i, tap in enumerate(taps[1:], 1):
            x = x + tap * (own[reach - i] + own[reach + i])
    return ops.reshape(x, (-1, h, w, c))


def window(x, axis: int, start: int, size: int):
    """Takes `size` places of one axis, from `start` on.

    So do brackets, but TensorFlow works their gradient out on one core and place by place, several
    times as slowly (`python -m benchmarks.bench_layers`).
    """
    starts, shape = [0] * len(x.shape), list(ops.shape(x))
    starts[axis], shape[axis] = start, size
    return ops.slice(x, starts, shape)


def shrink(maps, factor: int):
    """Averages over blocks: [N, h, w, c] -> [N, h//factor, w//factor, c]; h and w are known.

    Of few channels several times as fast as a pooling layer, which goes channel by channel.
    """
    _, h, w, c = ops.shape(maps)
    if h % factor or w % factor:
        maps = window(window(maps, 1, 0, h // factor * factor), 2, 0, w // factor * factor)
    h, w = h // factor, w // factor
    rows = ops.mean(ops.reshape(maps, (-1, h, factor, w * factor * c)), axis=2)
    side_by_side = ops.reshape(rows, (-1, h, w, factor * c))
    weights = np.tile(np.eye(c, dtype=np.float32), (factor, 1)) / factor
    return ops.matmul(side_by_side, ops.convert_to_tensor(weights))


def grow(maps, factor: int, size: tuple):
    """Interpolates what `shrink` averaged back to a size: [N, h, w, c] -> [N, *size, c].

    What `shrink` left out below and at the right, less than a block, mirrors what is beside it.
    """
    _, h, w, _ = ops.shape(maps)
    grown = ops.image.resize(maps, (h * factor, w * factor), interpolation="bilinear")
    if (h * factor, w * factor) == tuple(size):
        return grown
    missing = [[0, 0], [0, size[0] - h * factor], [0, size[1] - w * factor], [0, 0]]
    return ops.pad(grown, missing, mode="symmetric")


def shift(pictures, by):
    """Moves pictures up and left by any part of a pixel; what leaves them comes back in.

    Args:
        pictures: float32 [N, h, w, c].
        by: float32 [2], not negative.

    Returns:
        float32 [N, h, w, c], interpolated linearly.
    """
    whole = ops.floor(by)
    part, whole = by - whole, ops.cast(whole, "int32")
    for axis in (0, 1):
        near = ops.roll(pictures, -whole[axis], axis + 1)
        pictures = near + part[axis] * (ops.roll(near, -1, axis + 1) - near)
    return pictures


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
