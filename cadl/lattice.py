"""Where the lattices of strokes lie: fixed to the screen, or moving as the camera does.

Strokes that keep their places on the screen while a picture passes under them look like a glass
door before it (Meier 1996, doi 10.1145/237170.237288). So the lattice can be moved by any part of a
pixel, a way of its own for each frame. So must be the grid that a tile is restored on, or its
blocks fall otherwise on the same things from frame to frame, and they shimmer: `align`.
"""

from cadl import brush, tiles
from cadl.blocks import shrink

import numpy as np
from keras import ops


class Fixed:
    """Strokes that keep their places.

    Attributes:
        layer: whose strokes they are.
        numbers: float32 [1, h/cell, w/cell, 9], by `brush.scatter`, or a window of it.
    """

    def __init__(self, layer: brush.Layer, numbers):
        """Takes a layer and its random numbers, [h/cell, w/cell, 9]."""
        self.layer = layer
        self.numbers = ops.convert_to_tensor(numbers)[None]

    def sample(self, maps):
        """Interpolates maps at the cells: [N, y, x, c] -> [N, rows, columns, c]."""
        return resize(maps, self.numbers.shape[1:3])

    def average(self, pictures):
        """Averages over each cell: [N, h, w, c] -> [N, rows, columns, c]."""
        return shrink(pictures, self.layer.cell)

    def cut(self, drawn):
        """Cuts the tile out of what was drawn."""
        return drawn


class Moved:
    """Strokes of whole tiles that are moved, each tile's by a way of its own.

    A row and a column of strokes more than a tile holds cover what comes in. The random numbers
    repeat after a tile's height and width.

    Attributes:
        layer: whose strokes they are.
        numbers: float32 [N, 180/cell + 1, 320/cell + 1, 9].
    """

    def __init__(self, layer: brush.Layer, numbers, drift, spacing: float, margin=0):
        """Moves a layer.

        Args:
            layer: whose strokes they are.
            numbers: float32 [180/cell, 320/cell, 9], by `brush.scatter`.
            drift: float32 [N, 2], how far down and right, in pixels of a tile.
            spacing: pixels between the places that are drawn.
            margin: int32 [N, 2], pixels by which the maps to sample begin above and left of the
                tile, by `align`.
        """
        self.layer, self._spacing = layer, spacing
        self._margin = ops.zeros_like(drift) + ops.cast(margin, "float32")
        places = ops.round(drift / spacing)  # drawn as many places aside, and the strokes by less
        first = ops.floor(-places * spacing / layer.cell)  # cell that the tile begins in
        self._offset = -places * spacing - first * layer.cell  # where it begins there, [0, cell)
        rows, columns = (
            ops.cast(ops.mod(first[:, i : i + 1] + np.arange(count + 1.0), count), "int32")
            for i, count in enumerate(layer.size)
        )
        table = ops.reshape(ops.convert_to_tensor(numbers), (-1, numbers.shape[-1]))
        own = ops.take(table, rows[:, :, None] * layer.size[1] + columns[:, None], axis=0)
        rest = (drift - places * spacing)[:, None, None] / layer.cell
        self.numbers = ops.concatenate([own[..., :2] + rest, own[..., 2:]], -1)

    def sample(self, maps):
        """As `Fixed.sample`, of maps that may begin before the tile and end after it."""

        def weigh(axis: int, size: int):
            pitch = round(tiles.SHAPE[axis] / size)  # pixels of a tile from place to place
            middles = self._starts(axis) + 0.5 * self.layer.cell + self._margin[:, axis : axis + 1]
            at = ops.clip(middles / pitch - 0.5, 0.0, size - 1.0)
            return ops.relu(1.0 - ops.abs(at[..., None] - np.arange(size, dtype=np.float32)))

        return _weighted(maps, weigh)

    def average(self, pictures):
        """As `Fixed.average`, over the part of a cell that is in the tile."""

        def weigh(axis: int, size: int):
            start = ops.minimum(self._starts(axis), size - 1.0)[..., None]
            pixels = np.arange(size, dtype=np.float32)
            shared = ops.minimum(pixels + 1.0, start + self.layer.cell) - ops.maximum(pixels, start)
            shared = ops.clip(shared, 0.0, 1.0)
            return shared / ops.sum(shared, -1, keepdims=True)

        return _weighted(pictures, weigh)

    def cut(self, drawn):
        """As `Fixed.cut`: [N, (180 + cell)/spacing, (320 + cell)/spacing, c] -> tiles."""
        first = ops.cast(ops.round(self._offset / self._spacing), "int32")
        height, width = (round(side / self._spacing) for side in tiles.SHAPE[:2])
        return take_window(drawn, first, (height, width))

    def _starts(self, axis: int):
        """Returns where cells begin in the tile, in pixels: [N, cells]."""
        cells = np.arange(self.layer.size[axis] + 1, dtype=np.float32)
        return self.layer.cell * cells - self._offset[:, axis : axis + 1]


def align(tiles_in, drift, block: int):
    """Sets tiles on a grid of blocks that moves with the picture.

    Args:
        tiles_in: float32 [N, 180, 320, c].
        drift: float32 [N, 2], how far down and right the picture has moved, in pixels.
        block: pixels of a block of the grid.

    Returns:
        Tiles with a margin in which their edges go on, float32 [N, 180 + block, 320 + block, c],
        whose blocks fall on the same things after any drift by whole pixels; and by how much of
        it they begin above and left of the tile, int32 [N, 2], from 0 to block - 1.
    """
    _, height, width, _ = tiles_in.shape
    margin = ops.mod(-ops.cast(ops.round(drift), "int32"), block)
    return take_window(tiles_in, -margin, (height + block, width + block)), margin


def take_window(pictures, first, size: tuple[int, int]):
    """Takes a window out of each picture; beyond its edges they go on.

    Args:
        pictures: float32 [N, h, w, c].
        first: int32 [N, 2], its top and left in each.
        size: its height and width.

    Returns:
        float32 [N, *size, c].
    """
    _, height, width, channels = pictures.shape
    down, right = (
        ops.clip(first[:, i : i + 1] + np.arange(size[i], dtype=np.int32), 0, whole - 1)
        for i, whole in enumerate((height, width))
    )
    frames = ops.arange(ops.shape(first)[0], dtype="int32")[:, None]
    places = (frames * height + down)[:, :, None] * width + right[:, None]
    return ops.take(ops.reshape(pictures, (-1, channels)), places, axis=0)


def _weighted(maps, weigh):
    """Applies weights [N, cells, size] of both axes: [N, y, x, c] -> [N, rows, columns, c].

    One axis stands alone at each product: matrices as broad as there are channels are slow.
    """
    _, height, width, channels = maps.shape
    down = ops.matmul(weigh(0, height), ops.reshape(maps, (-1, height, width * channels)))
    rows = down.shape[1]
    turned = ops.transpose(ops.reshape(down, (-1, rows, width, channels)), (0, 2, 1, 3))
    across = ops.matmul(weigh(1, width), ops.reshape(turned, (-1, width, rows * channels)))
    columns = across.shape[1]
    return ops.transpose(ops.reshape(across, (-1, columns, rows, channels)), (0, 2, 1, 3))


def resize(maps, size):
    """Interpolates [N, h, w, c] to another size."""
    if tuple(maps.shape[1:3]) == tuple(size):
        return maps
    return ops.image.resize(maps, size, interpolation="bilinear")
