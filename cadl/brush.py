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
from typing import Any, NamedTuple

from cadl import polynomials, tiles
from cadl.blocks import grow, mirror_to, shrink
from cadl.metrics import LUMINANCE

import numpy as np
from keras import ops

REACH = 2  # cells that a stroke may reach down or across
EDGE = 5.0  # how steep the edge of a stroke is
PRIORITY = 14.0  # how clearly the upper of two strokes wins
FINE_EDGE = 9.0  # the same where strokes are drawn closer than a pixel
BRISTLES = 0.35  # depth there of the furrows that bristles leave, of the relief
FURROWS = (6.0, 1.0)  # radians over half the width: middle, and how much strokes differ
PROBES = 4  # places down and across a cell that tell which strokes lead in it
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
        leading: strokes that are drawn in a cell, of all that may reach into it; more are hardly
            ever seen.
        even, detailed: how opaque strokes may be where the picture is even, and in detail.
        contrast: how much strokes may differ in light and hue from what they lie on, of 1.
        raised: whether its relief shows.
    """

    cell: int
    length: float
    width: float
    reach: int
    leading: int
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
    Layer(10, 14.0, 3.7, 3, leading=12, even=1.0, detailed=0.4, contrast=0.12, raised=True),
    Layer(4, 5.0, 1.7, 2, leading=13, even=0.0, detailed=0.75, contrast=0.06, raised=False),
)


class Laid(NamedTuple):
    """Which stroke lies where; `places` are those of a cell, row by row.

    Attributes:
        strokes: those drawn in each cell, int32 [N, h/cell, w/cell, strokes]; numbered through all
            cells of all pictures.
        shapes: how opaque each place is under each, in [0, 1], float32 [N, h/cell, w/cell, strokes,
            places].
        relief: the same times its relief in [-1, 1], of furrows a little more; None of a flat
            layer.
        weight: what each stroke weighs where several lie, float32 [N, h/cell, w/cell, 1].
    """

    strokes: Any
    shapes: Any
    relief: Any
    weight: Any


def scatter(layer: Layer) -> np.ndarray:
    """Returns the fixed random numbers of a layer's strokes, float32 [180/cell, 320/cell, 9].

    They are: place in the cell (y, x) from its middle, in cells; tilt in radians; length and width
    over their means; bend; priority in [0, 1]; and two of variance 1, for light and for hue.
    """
    low = (-0.35, -0.35, -0.25, 0.6, 0.6, -0.35, 0.0, -1.7, -1.7)
    high = (0.35, 0.35, 0.25, 1.2, 1.3, 0.35, 1.0, 1.7, 1.7)
    rng = np.random.default_rng(SEED + layer.cell)
    return rng.uniform(low, high, (*layer.size, len(low))).astype(np.float32)


def lay(layer: Layer, scattered, flow, spacing: float = 1) -> Laid:
    """Works out which stroke lies where.

    Args:
        layer: the lattice.
        scattered: float32 [1, h/cell, w/cell, 9], by `scatter`, or a window of it.
        flow: float32 [N, h/cell, w/cell, 3], by `directions`, at the cells.
        spacing: pixels between the places that are looked at, 1/2 for instance; divides the cell.

    Returns:
        What `draw` takes.

    Closer than a pixel edges are sharper, and strokes have furrows as of bristles.

    How far a place lies along and across a stroke, and whether it is within, are polynomials in y
    and x. Their coefficients are worked out once a stroke, and one product of matrices gives all
    places that it may reach: several times as fast as place by place. Where a cell has many places,
    a few of them tell first which strokes lead in it, and only those are drawn.

    Raises:
        ValueError: the spacing does not divide the cell.
    """
    if layer.cell % spacing:
        raise ValueError(f"strokes {layer.cell} pixels apart can't be drawn every {spacing}")
    fine = spacing < 1
    edge = FINE_EDGE if fine else EDGE
    light, weight, across, within, lit = _outline(layer, scattered, flow)
    within = edge * within
    near = _near(layer, flow)
    if layer.leading < len(layer.neighbours) and spacing <= 1:
        near = _leading(layer, within, weight, near)

    def spread(coefficients):
        return _spread(layer, coefficients, near, spacing)

    strokes = near // len(layer.neighbours)
    shapes = ops.sigmoid(spread(within))
    if not layer.raised:
        return Laid(strokes, shapes, None, weight)
    relief = ops.tanh(spread(lit))
    if fine:
        places = spread((FURROWS[0] + FURROWS[1] * light) * across)
        relief = relief + BRISTLES * (ops.cos(places) + ops.cos(1.7 * places))
    return Laid(strokes, shapes, shapes * relief, weight)


def _outline(layer: Layer, scattered, flow) -> tuple:
    """Works out the polynomials of each stroke, for `lay`.

    Returns:
        Of each stroke its light, of variance 1, and what it weighs, float32 [N, h/cell, w/cell, 1];
        and as coefficients from the middle of its cell: how far a place is across it, of half its
        width, [..., 6]; whether it is within, from 1 in its middle to 0 at its edge, [..., 15]; and
        the slope of its relief, [..., 6].
    """
    # Half a turn must leave a stroke as it is: there the angle jumps. So what is odd in `along` or
    # `across` is multiplied by what changes its sign as well.
    scattered = ops.broadcast_to(scattered, (ops.shape(flow)[0], *ops.shape(scattered)[1:]))
    down, right, tilt, length, width, bend, priority, light, _ = ops.split(scattered, 9, axis=-1)
    down, right = layer.cell * down, layer.cell * right
    angle = 0.5 * ops.arctan2(flow[..., 1:2], flow[..., 0:1]) + tilt
    cos, sin = ops.cos(angle), ops.sin(angle)
    along, straight = (
        ops.concatenate([y, x, -(y * down + x * right)], -1)
        for y, x in (
            (sin / (layer.length * length), cos / (layer.length * length)),
            (cos / (layer.width * width), -sin / (layer.width * width)),
        )
    )
    square = polynomials.multiply(along, along)
    across = polynomials.raised(straight) + bend * (cos - sin) * square

    # A stroke ends where its square across, its square along and the square of that add up to 1.
    within = (
        polynomials.constant(1.0, square, 15)
        - 0.5 * polynomials.raised(square)
        - 0.5 * polynomials.multiply(square, square)
        - polynomials.multiply(across, across)
    )
    lit = -0.4 * (cos + sin) * polynomials.raised(along) - (cos - sin) * across  # from top left
    weight = ops.exp(PRIORITY * (priority - 0.5))
    return light, weight, across, within, lit


def _near(layer: Layer, cells):
    """Returns which strokes may reach into each cell, as `_spread` takes them.

    [N, h/cell, w/cell, c] -> int32 [N, h/cell, w/cell, neighbours]: numbers of strokes through all
    pictures times the count of neighbours, plus the neighbour that each is.
    """
    _, rows, columns, _ = cells.shape
    count = len(layer.neighbours)
    own = _indices(layer, rows, columns) * count + np.arange(count, dtype=np.int32)
    pictures = ops.arange(ops.shape(cells)[0], dtype="int32")
    return ops.reshape(pictures, (-1, 1, 1, 1)) * (rows * columns * count) + own


def _leading(layer: Layer, within, weight, near):
    """Returns those of `near` that are seen most at any of a cell's probes.

    int32 [N, h/cell, w/cell, neighbours] -> int32 [N, h/cell, w/cell, leading].
    """
    shapes = ops.sigmoid(_spread(layer, within, near, layer.cell / PROBES))
    weighed = shapes * _take(weight, near // len(layer.neighbours))
    seen = weighed / (ops.sum(weighed, -2, keepdims=True) + BARE)
    _, chosen = ops.top_k(ops.max(seen, -1), layer.leading, sorted=False)
    return ops.take_along_axis(near, chosen, -1)


def _spread(layer: Layer, coefficients, near, spacing: float):
    """Evaluates the polynomials of strokes at the places of cells that they reach into.

    float32 [N, h/cell, w/cell, 6 or 15] -> [N, h/cell, w/cell, strokes, places]. Each is first
    written from the middle of the cell in question, then all are gathered, then evaluated.
    """
    count = coefficients.shape[-1]
    offsets = [(layer.cell * y, layer.cell * x) for y, x in layer.neighbours]
    moved = ops.matmul(coefficients, ops.convert_to_tensor(polynomials.shifts(count, offsets)))
    moved = ops.take(ops.reshape(moved, (-1, count)), near, axis=0)
    ticks = (np.arange(round(layer.cell / spacing)) + 0.5) * spacing - 0.5 * layer.cell
    y, x = (t.ravel() for t in np.meshgrid(ticks, ticks, indexing="ij"))
    return ops.matmul(moved, ops.convert_to_tensor(polynomials.powers(count, y, x)))


def _take(cells, strokes):
    """Gathers what strokes hold: [N, h, w, c], int32 [..., strokes] -> [..., strokes, c]."""
    return ops.take(ops.reshape(cells, (-1, cells.shape[-1])), strokes, axis=0)


def _indices(layer: Layer, rows: int, columns: int) -> np.ndarray:
    """Returns which stroke is a neighbour of which cell: int32 [rows, columns, neighbours].

    Beyond the edges cells are mirrored.
    """
    y, x = (
        np.pad(np.arange(size), REACH, mode="reflect" if size > REACH else "symmetric")
        for size in (rows, columns)
    )
    steps = np.array(layer.neighbours) + REACH
    down, right = (
        np.arange(size)[:, None] + steps[:, axis] for axis, size in ((0, rows), (1, columns))
    )
    return (y[down][:, None] * columns + x[right][None]).astype(np.int32)


def draw(laid: Laid, colours, heights=None):
    """Draws strokes; where they overlap, a mean by weight, which the uppermost leads.

    Args:
        laid: by `lay`.
        colours: float32 [N, h/cell, w/cell, c], of each stroke.
        heights: of the relief of each stroke, float32 [N, h/cell, w/cell, 1], of a raised layer.

    Returns:
        float32 [N, h/spacing, w/spacing, c], less where ground is seen between strokes; with
        heights the relief is added to the first three channels.
    """
    colours = ops.concatenate([colours, ops.ones_like(colours[..., :1])], -1)

    def add_up(over, of_strokes):
        own = ops.swapaxes(_take(laid.weight * of_strokes, laid.strokes), -1, -2)
        return ops.matmul(own, over)  # [N, h/cell, w/cell, c, places]

    drawn = add_up(laid.shapes, colours)
    channels = colours.shape[-1] - 1
    drawn, total = ops.split(drawn, [channels], axis=-2)
    if heights is not None:
        light, rest = ops.split(drawn, [min(3, channels)], axis=-2)
        drawn = ops.concatenate([light + add_up(laid.relief, heights), rest], -2)
    drawn = drawn / (total + BARE)
    _, h, w, c, places = drawn.shape
    side = round(places**0.5)
    drawn = ops.reshape(drawn, (-1, h, w, c, side, side))
    return ops.reshape(ops.transpose(drawn, (0, 1, 4, 2, 5, 3)), (-1, h * side, w * side, c))


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
        pictures: float32 [N, h, w, 3] in [0, 1], tiles averaged over 4x4 pixels, [N, 45, 80, 3], or
            with a margin.

    Returns:
        float32 [N, h, w, 3]: cosine and sine of twice the angle from the horizontal, clockwise
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
    wide = blur(shrink(near, 5))  # [N, 9, 16, 2]
    wide = grow(wide, 5, (height, width))
    swirls = SWIRL * fixed_swirls()[None, :height, :width]
    leading = near + 0.3 * wide + mirror_to(ops.convert_to_tensor(swirls), (height, width))
    length = ops.sqrt(ops.sum(ops.square(leading), -1, keepdims=True))
    return ops.concatenate([leading / (length + 1e-9), detail], -1)


def _mirror(maps, margin: int):
    return ops.pad(maps, [[0, 0], [margin] * 2, [margin] * 2, [0, 0]], mode="reflect")


def blur(maps):
    """Averages over squares of three, edges mirrored: [N, h, w, c]."""
    return ops.average_pool(_mirror(maps, 1), 3, 1)
