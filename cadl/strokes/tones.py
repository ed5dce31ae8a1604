"""How dark hatching is at each of its tones: drawn and measured, as printers do with a wedge."""

import dataclasses
import functools

from cadl.images.metrics import LUMINANCE
from cadl.strokes.drawing import draw_strokes
from cadl.strokes.hand import CANVAS, TRACKED, Hand
from cadl.strokes.stroke import Looks, Strokes
from cadl.strokes.tracks import StrokeTracker

import numpy as np

TONES = np.linspace(0.0, 1.3, 14)  # beyond the last one all lines are there
SIDE = 80  # of a field of the wedge, in pixels of the tracked frame


def measure_tones(hand: Hand) -> tuple[np.ndarray, np.ndarray]:
    """Returns lights, growing, and the tones at which hatching has these lights on average.

    Args:
        hand: of hatching; its ink may be lighter than its ground, as chalk is.

    Returns:
        Luminance in [0, 1] and tone, both float [14].
    """
    wedge = dataclasses.replace(
        hand, light=0.0, hue=0.0, tint=0.0, ground=(1.0, 1.0, 1.0), ink=(0.0, 0.0, 0.0)
    )
    paper, ink = (float(np.dot(LUMINANCE, colour)) for colour in (hand.ground, hand.ink))
    lights = ink + (paper - ink) * _open_ground(wedge)
    way = -1 if ink < paper else 1
    return lights[::way] + 1e-6 * np.arange(len(TONES)), TONES[::way]


@functools.lru_cache(64)
def _open_ground(hand: Hand) -> np.ndarray:
    """Draws black lines on a white field at each of TONES: its mean light, falling, [14]."""
    blank = np.full((SIDE, SIDE, 3), 128, np.uint8)
    carried = StrokeTracker([hand], (SIDE, SIDE)).add(0, blank, None)
    scale = CANVAS / TRACKED
    white = np.full((round(scale * SIDE), round(scale * SIDE), 3), 255, np.uint8)
    found = []
    for tone in TONES:
        strokes = []
        for layer, own in zip(hand.layers(), carried, strict=True):
            count = len(own.places)
            ones, zeros = np.ones(count, np.float32), np.zeros((count, 2), np.float32)
            angle = 2 * (layer.angle or 0.0)
            axis = zeros + np.array([np.cos(angle), np.sin(angle)], np.float32)
            need = 0 * ones if layer.coarser else np.float32(tone) * ones
            looks = Looks(
                axis, zeros, ones, zeros, need, np.zeros((count, 3), np.float32), 0 * ones
            )
            strokes.append(Strokes(own.places, own.identities, ones, looks))
        found.append(draw_strokes(white, strokes, hand, scale=scale).mean() / 255)
    return np.minimum.accumulate(np.array(found))
