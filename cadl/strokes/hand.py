"""The hand: a recipe of how a painter's strokes look.

All lengths are in pixels of a canvas whose longer side is 640, whatever the size that is painted.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

CANVAS = 640  # pixels of the longer side that lengths of a hand are measured on
TRACKED = 320  # pixels of the longer side of frames that strokes are followed on
AREA = 0.8  # of a stroke's rectangle that the stroke fills
PACKING = 0.9  # squared spacings that one stroke has on a canvas filled with them
MAX_LAYERS = 5


class Layer(NamedTuple):
    """Strokes of one size; lengths in pixels of a frame whose longer side is TRACKED.

    Attributes:
        spacing: distance between strokes.
        length: half the length of a stroke of mean size.
        width: half its width.
        coarser: half the width of the strokes below, which these refine; 0 where they lie
            everywhere.
        kept: share of a stroke's length that no edge in the picture takes away.
    """

    spacing: float
    length: float
    width: float
    coarser: float
    kept: float = 0.15


@dataclass(frozen=True)
class Hand:
    """How a painter's strokes look.

    Attributes:
        width: of the broadest strokes, in pixels of the canvas, 1 to 60.
        aspect: length of a stroke over its width, 1 to 20.
        under: how much wider the strokes of the underpainting are, 1 to 3; 0 for none.
        finest: width of the finest strokes, which lie where broader ones can't show what is there.
        cover: how many times strokes of a layer cover what they lie on, 0.3 to 5.
        sizes: spread of the strokes' sizes, 0 (all alike) to 0.6.
        tilt: how far strokes turn from the forms, 0 to 1 (any direction).
        bend: how much strokes are bent at random, 0 to 1.
        taper: 0 for blunt ends, 1 for pointed ones.
        ragged: unevenness of the outline, 0 to 0.5.
        bristles: depth of the furrows of bristles, 0 to 1.
        relief: how strongly light from the top left models the paint, 0 to 1.
        light: spread of the strokes' light, 0 to 0.3 of white.
        hue: spread of the strokes' hue between warm and cold, 0 to 0.3.
        detail: contrast over local light from which on finer strokes are needed, 0 to 1.
    """

    width: float = 15.0
    aspect: float = 3.6
    under: float = 1.6
    finest: float = 3.6
    cover: float = 2.2
    sizes: float = 0.25
    tilt: float = 0.08
    bend: float = 0.35
    taper: float = 0.35
    ragged: float = 0.12
    bristles: float = 0.5
    relief: float = 0.5
    light: float = 0.032
    hue: float = 0.022
    detail: float = 0.055

    def layers(self) -> tuple[Layer, ...]:
        """Returns the layers from broad to fine: underpainting, strokes, and ever finer ones."""
        layers = [self._layer(self.under * self.width, 0.0, kept=0.3)] if self.under else []
        layers.append(self._layer(self.width, 0.0))
        width = self.width / 2
        while len(layers) < MAX_LAYERS and width > 0.75 * self.finest:
            width = max(width, self.finest)
            layers.append(self._layer(width, layers[-1].width))
            width /= 2
        return tuple(layers)

    def _layer(self, width: float, coarser: float, kept: float = 0.15) -> Layer:
        scale = TRACKED / CANVAS
        length = width * self.aspect
        spacing = scale * math.sqrt(AREA * width * length / (PACKING * self.cover))
        return Layer(spacing, 0.5 * scale * length, 0.5 * scale * width, coarser, kept)

    def layout(self) -> list[float]:
        """Returns the numbers that places of strokes depend on: tracks of others don't fit."""
        return [self.detail, *(value for layer in self.layers() for value in layer)]
