"""Brush strokes laid along the forms of a picture: each a flat dab of one colour with a relief.

Strokes sit on two lattices, broad ones under fine ones, each moved, tilted, bent and sized by fixed
random numbers. Their direction comes from the structure tensor of the picture (Bigun & Granlund
1987), as in painterly filters (Kyprianidis & Kang 2011, doi 10.1111/j.1467-8659.2011.01882.x), from
wide surroundings where the place itself is even, and from fixed slow swirls where all is. Fine ones
lie only where there is detail, as painters set them (Hertzmann 1998, doi 10.1145/280814.280951).
Where strokes overlap, a soft maximum of fixed priorities decides, so that nothing jumps when
directions turn from frame to frame. Which stroke lies where is worked out here; which colours they
have is learnt (`cadl/refiner.py`).
"""

from dataclasses import dataclass

from cadl import tiles
from cadl.metrics import LUMINANCE

import numpy as np
from keras import ops

REACH = 2  # cells that a stroke may reach down or across
EDGE = 5.0  # how steep the edge of a stroke is
PRIORITY = 14.0  # how clearly the upper of two strokes wins
FINE_EDGE = 9.0  # the same where strokes are drawn closer than a pixel
BRISTLES = 0.35  # depth there of the furrows that bristles leave, of the relief
FURROWS = (6.0, 1.0)  # radians over half the width: middle, and how much strokes differ
BARE = 0.02  # weight of the ground between strokes; of a stroke in the middle of all, 1
DETAIL_CONTRAST = 0.04  # contrast between neighbours (at a quarter of the size) that is detail
SWIRL = 2e-5  # squared contrast below which swirls lead
SEED = 5


@dataclass(frozen=True)
class Layer:
    """A lattice of strokes; lengths in pixels of a tile.

    Attributes:
        cell: distance between strokes.
        length: half the length of a stroke of mean size.
        width: half its width.
        reach: cells, across plus down, that a stroke may reach into.
        even, detailed: how opaque strokes may be where the picture is even, and in detail.
        contrast: how much strokes may differ in light and hue from what they lie on, of 1.
        raised: whether its relief shows.
    """

    cell: int
    length: float
    width: float
    reach: int
    even: float
    detailed: float
    contrast: float
    raised: bool

    @property
    def neighbours(self) -> tuple[tuple[int, int], ...]:
        """The cells, down and right of a cell, whose strokes may reach into it."""
        ways = range(-REACH, REACH + 1)
        return tuple((y, x) for y in ways for x in ways if abs(y) + abs(x) <= self.reach)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the lattice."""
        return tiles.HEIGHT // self.cell, tiles.WIDTH // self.cell


LAYERS = (
    Layer(10, 14.0, 3.7, 3, even=1.0, detailed=0.4, contrast=0.12, raised=True),
    Layer(4, 5.0, 1.7, 2, even=0.0, detailed=0.75, contrast=0.06, raised=False),
)


def scatter(layer: Layer) -> np.ndarray:
    """Returns the fixed random numbers of a layer's strokes, float32 [180/cell, 320/cell, 9].

    They are: place in the cell (y, x) from its middle, in cells; tilt in radians; length and width
    over their means; bend; priority in [0, 1]; and two of variance 1, for light and for hue.
    """
    low = (-0.35, -0.35, -0.25, 0.6, 0.6, -0.35, 0.0, -1.7, -1.7)
    high = (0.35, 0.35, 0.25, 1.2, 1.3, 0.35, 1.0, 1.7, 1.7)
    rng = np.random.default_rng(SEED + layer.cell)
    return rng.uniform(low, high, (*layer.size, len(low))).astype(np.float32)


def gather(layer: Layer, cells):
    """Gathers what the neighbours of each cell hold: [N, h, w, c] -> [N, h, w, neighbours, c]."""
    _, h, w, _ = ops.shape(cells)
    padded = ops.pad(cells, [[0, 0], [REACH] * 2, [REACH] * 2, [0, 0]], mode="reflect")
    return ops.stack(
        [padded[:, REACH + y :, REACH + x :][:, :h, :w] for y, x in layer.neighbours], axis=3
    )


def lay(layer: Layer, scattered, flow, spacing: float = 1):
    """Works out which stroke lies where.

    Args:
        layer: the lattice.
        scattered: float32 [1, h/cell, w/cell, 9], by `scatter`, or a window of it.
        flow: float32 [N, h/cell, w/cell, 3], by `directions`, at the cells.
        spacing: pixels between the places that are looked at, 1/2 for instance; divides the cell.

    Returns:
        For the places of each cell and the strokes of its neighbours, float32 [N, h/cell, w/cell,
        (cell/spacing)**2, neighbours] twice: how much of each stroke is seen, adding up to at most
        1, and the same times its relief in [-1, 1], of furrows a little more.

    Closer than a pixel edges are sharper, and strokes have furrows as of bristles.

    Raises:
        ValueError: the spacing does not divide the cell.
    """
    if layer.cell % spacing:
        raise ValueError(f"strokes {layer.cell} pixels apart can't be drawn every {spacing}")
    fine = spacing < 1
    # Work out what a stroke is, once for each. Half a turn must leave it as it is: there the angle
    # jumps. So what is odd in `along` or `across` is multiplied by what changes its sign as well.
    scattered = ops.broadcast_to(scattered, (ops.shape(flow)[0], *ops.shape(scattered)[1:]))
    down, right, tilt, length, width, bend, priority = (scattered[..., i : i + 1] for i in range(7))
    angle = 0.5 * ops.arctan2(flow[..., 1:2], flow[..., 0:1]) + tilt
    cos, sin = ops.cos(angle), ops.sin(angle)
    length, width = layer.length * length, layer.width * width
    own = gather(
        layer,
        ops.concatenate(
            [
                *(layer.cell * down, layer.cell * right, bend * (cos - sin)),
                *(sin / length, cos / length, cos / width, -sin / width),
                *(ops.exp(PRIORITY * (priority - 0.5)), cos - sin, cos + sin),
                FURROWS[0] + FURROWS[1] * scattered[..., 7:8],
            ],
            -1,
        ),
    )
    down, right, bend, *rulers, weight, turned, lit, furrows = (own[..., i] for i in range(11))
    offsets = layer.cell * np.array(layer.neighbours, np.float32)
    down, right = down + offsets[:, 0], right + offsets[:, 1]  # [N, h, w, neighbours]

    # Measure every place along and across every stroke.
    ticks = (np.arange(round(layer.cell / spacing)) + 0.5) * spacing - 0.5 * layer.cell
    places = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), -1).reshape(-1, 2)
    places = ops.convert_to_tensor(np.insert(places, 2, 1, axis=1).astype(np.float32))
    along, across = (
        ops.matmul(places, ops.stack([y, x, -(y * down + x * right)], -2))
        for y, x in (rulers[:2], rulers[2:])
    )
    square = ops.square(along)
    across = across + bend[..., None, :] * square

    # See who wins. Constants are multiplied in where there is one number a stroke, not one a place.
    edge = FINE_EDGE if fine else EDGE
    outside = square * (0.5 * edge * square + 0.5 * edge) + edge * ops.square(across)
    weight = weight[..., None, :] * ops.sigmoid(edge - outside)
    seen = weight / (ops.sum(weight, -1, keepdims=True) + BARE)
    lit, turned = -0.4 * lit[..., None, :], -turned[..., None, :]  # from the top left
    relief = ops.tanh(lit * along + turned * across)
    if fine:
        across = furrows[..., None, :] * across
        relief = relief + BRISTLES * (ops.cos(across) + ops.cos(1.7 * across))
    return seen, seen * relief


def draw(layer: Layer, seen, colours):
    """Draws strokes.

    Args:
        layer: the lattice.
        seen: by `lay`.
        colours: float32 [N, h/cell, w/cell, c], of each stroke.

    Returns:
        float32 [N, h/spacing, w/spacing, c].
    """
    drawn = ops.matmul(seen, gather(layer, colours))  # [N, h/cell, w/cell, places, c]
    _, h, w, places, c = ops.shape(drawn)
    side = round(places**0.5)
    drawn = ops.reshape(drawn, (-1, h, w, side, side, c))
    return ops.reshape(ops.transpose(drawn, (0, 1, 3, 2, 4, 5)), (-1, h * side, w * side, c))


def fixed_swirls() -> np.ndarray:
    """Returns slowly turning directions, as doubled angles: float32 [45, 80, 2] of length 1."""
    rng = np.random.default_rng(SEED + 1)
    height, width = tiles.HEIGHT // 4, tiles.WIDTH // 4
    y, x = np.mgrid[0:height, 0:width] / width
    phase = sum(
        2.0 * np.sin(2 * np.pi * (fx * x + fy * y) + shift) / np.hypot(fx, fy)
        for fx, fy, shift in rng.uniform((-2, -2, 0), (2, 2, 2 * np.pi), (6, 3))
    )
    return np.stack([np.cos(phase), np.sin(phase)], -1).astype(np.float32)


def directions(pictures):
    """Returns the direction along the forms at every place, and how much detail there is.

    Args:
        pictures: float32 [N, 45, 80, 3] in [0, 1], tiles averaged over 4x4 pixels.

    Returns:
        float32 [N, 45, 80, 3]: cosine and sine of twice the angle from the horizontal, clockwise
        on the screen; detail from 0, even, to 1.
    """
    light = _mirror(ops.matmul(pictures, ops.convert_to_tensor(LUMINANCE)[:, None]), 1)
    across = light[:, 1:-1, 2:] - light[:, 1:-1, :-2]
    down = light[:, 2:, 1:-1] - light[:, :-2, 1:-1]
    across2, down2 = across * across, down * down
    # The gradient's doubled angle turned by half a turn, which is a quarter turn of the angle.
    tensor = ops.concatenate([down2 - across2, -2.0 * across * down, down2 + across2], -1)
    tensor = blur(blur(tensor))
    near, contrast = tensor[..., :2], tensor[..., 2:]
    detail = contrast / (contrast + DETAIL_CONTRAST**2)
    _, height, width, _ = ops.shape(near)
    wide = blur(ops.average_pool(near, 5, 5))  # [N, 9, 16, 2]
    leading = near + 0.3 * ops.image.resize(wide, (height, width)) + SWIRL * fixed_swirls()
    length = ops.sqrt(ops.sum(ops.square(leading), -1, keepdims=True))
    return ops.concatenate([leading / (length + 1e-9), detail], -1)


def _mirror(maps, margin: int):
    return ops.pad(maps, [[0, 0], [margin] * 2, [margin] * 2, [0, 0]], mode="reflect")


def blur(maps):
    """Averages over squares of three, edges mirrored: [N, h, w, c]."""
    return ops.average_pool(_mirror(maps, 1), 3, 1)
