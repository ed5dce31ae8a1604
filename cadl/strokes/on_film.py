"""Strokes on a film: calmer than in a painting, and with the film's small forms drawn over them.

A painter's strokes differ as much in light as the small forms of a film: eyes and letters would be
lost among them.
"""

import dataclasses
from collections.abc import Sequence

from cadl.strokes.drawing import Strokes, draw_strokes
from cadl.strokes.hand import TRACKED, Hand
from cadl.strokes.tracks import blur

import cv2
import numpy as np

CALMER = 0.25  # share of the strokes' differences in light that is left out
DRAWN = 2.2, 12.0  # half widths of the finest strokes: radii between which light is drawn
DRAWN_SHARE = 0.6  # of the light between these radii


def draw_on_film(
    canvas: np.ndarray,
    film: np.ndarray,
    strokes: Sequence[Strokes],
    hand: Hand,
    *,
    strength: float = 1.0,
    share: float = 1.0,
    furrows: bool = True,
) -> np.ndarray:
    """Draws all layers over a frame that was moved to a painter's colours.

    Where paint is opaque, strokes are calmer. If the hand has finer strokes where there is more to
    show, the light of forms of their size is drawn over them: they do show it, but in one colour
    each, averaged over time.

    Args:
        canvas: uint8 [h, w, 3], the moved frame.
        film: uint8 [h, w, 3], the frame itself.
        strokes: as `draw_strokes`, and so are all others.
        hand: the recipe.
        strength: 0 draws nothing.
        share: of the strokes that are drawn.
        furrows: draw those of bristles.

    Returns:
        As the canvas.
    """
    opaque = 1.0 - hand.bare if hand.kind == "brush" else 0.0
    calm = 1.0 - CALMER * opaque
    calmer = dataclasses.replace(
        hand, light=calm * hand.light, bristles=calm * hand.bristles, relief=calm * hand.relief
    )
    painted = draw_strokes(canvas, strokes, calmer, strength=strength, share=share, furrows=furrows)
    finest = hand.layers()[-1]
    if not opaque or not finest.coarser or hand.soft:
        return painted
    light = cv2.cvtColor(film, cv2.COLOR_RGB2GRAY)
    radius = finest.width * max(light.shape) / TRACKED
    small, large = (blur(light, part * radius) for part in DRAWN)
    share *= DRAWN_SHARE * opaque * strength
    drawn = cv2.addWeighted(small, share, large, -share, 128)
    return cv2.addWeighted(painted, 1, cv2.merge([drawn] * 3), 1, -128)
