"""What strokes do to a restored tile: where they lie, their colours, what shows through them.

The shapes and places of strokes are drawn (`cadl/brush.py`), on a lattice that may move with the
camera (`cadl/lattice.py`); how they change the colours that they lie on is learnt
(`refiner.build_painter`).
"""

from typing import Any

from cadl import brush, lattice
from cadl.blocks import enlarge, grow, shrink

import numpy as np
from keras import ops

# What a new painter does in each layer: how strokes differ in light and in hue, logits of tanh; how
# opaque they are and how high their relief, logits of the sigmoid. Before these it has a tint of 3.
FIRST_STROKES = (0.5, 0.5, 2.0, 0.0)
WARM = (0.9, 0.2, -1.1)  # strokes differ in hue from blue to orange; left free, they shimmered
MAX_TINT = 0.3  # of red, green and blue, added alike to all strokes of a place
TINT_BLOCK = 5  # side, in places of features, of what gets one tint; finer ones became confetti
MIN_OPACITY = 0.7  # of strokes, of what their layer allows; left free, they gave way to bare grey
MAX_RELIEF = 0.06  # left free, relief outgrew colour: it looked like plaster
GROUND_BLOCK = 4  # pixels; what is finer is finer than strokes
GROUND = 0.45  # how much of what is finer than strokes is seen through them: eyes, blades of grass
FIRST_COLOURS = (0.0,) * 3 + FIRST_STROKES * len(brush.LAYERS)


def lay_strokes(flow, lattices: list, spacing: float) -> list[tuple]:
    """Lays all layers of strokes along the forms.

    Args:
        flow: float32 [N, h/4, w/4, 3], by `brush.directions`.
        lattices: where the strokes of each layer are.
        spacing: pixels between the places of strokes.

    Returns:
        For each layer its lattice; its strokes, by `brush.lay`; and how opaque they may be, float32
        [N, rows, columns, 1].
    """
    laid = []
    for own in lattices:
        layer, at_cells = own.layer, own.sample(flow)
        share = layer.even + (layer.detailed - layer.even) * at_cells[..., 2:]
        laid.append((own, brush.lay(layer, own.numbers, at_cells, spacing), share))
    return laid


def lay_ground(restored, scale: int = 1):
    """Blurs what strokes are painted over, on the grid of blocks that the tiles are aligned with.

    Args:
        restored: float32 [N, scale * h, scale * w, 3].
        scale: of the tiles.

    Returns:
        As `restored`.
    """
    block = scale * GROUND_BLOCK
    return grow(shrink(restored, block), block, restored.shape[1:3])


def paint_strokes(restored, ground, colours, strength, laid: list[tuple], scale: int = 1):
    """Draws layers of strokes over restored tiles, as opaque as the strength says.

    Args:
        restored: float32 [N, scale * h, scale * w, 3].
        ground: float32 [N, h, w, 3], by `lay_ground`.
        colours: float32 [N, h/4, w/4, channels], by the painter.
        strength: float32 [N, 1].
        laid: by `lay_strokes`.
        scale: of the tiles.

    Returns:
        As `restored`, or larger if strokes were laid closer than its pixels.
    """
    small = shrink(restored, scale) if scale > 1 else restored
    canvas: Any = None
    bare = 1.0
    tint, *parts = ops.split(colours, 3 + len(FIRST_STROKES) * np.arange(len(laid)), axis=-1)
    tint = brush.blur(shrink(MAX_TINT * ops.tanh(tint), TINT_BLOCK))
    for part, (own, strokes, share) in zip(parts, laid, strict=True):
        layer, light, hue = own.layer, own.numbers[..., 7:8], own.numbers[..., 8:9]
        lighter, warmer, opacity, height = ops.split(own.sample(part), len(FIRST_STROKES), axis=-1)
        differing = light * ops.tanh(lighter) + hue * ops.tanh(warmer) * ops.convert_to_tensor(WARM)
        dab = own.average(small) + layer.contrast * differing + own.sample(tint)
        opacity = share * (MIN_OPACITY + (1.0 - MIN_OPACITY) * ops.sigmoid(opacity))
        heights = opacity * MAX_RELIEF * ops.sigmoid(height) if layer.raised else None
        dab = ops.concatenate([opacity * dab, opacity], -1)
        drawn, covered = ops.split(own.cut(brush.draw(strokes, dab, heights)), [3], axis=-1)
        if canvas is None:
            canvas = ground = lattice.resize(ground, ops.shape(drawn)[1:3])
        canvas = canvas * (1.0 - covered) + drawn
        bare = bare * (1.0 - covered)
    restored = enlarge(restored, canvas.shape[1] / restored.shape[1])
    grown = lattice.resize(ops.concatenate([canvas, ground, bare], -1), ops.shape(restored)[1:3])
    canvas, ground, bare = ops.split(grown, (3, 6), axis=-1)
    painted = canvas + (GROUND + (1.0 - GROUND) * bare) * (restored - ground)
    return restored + ops.reshape(strength, (-1, 1, 1, 1)) * (painted - restored)
