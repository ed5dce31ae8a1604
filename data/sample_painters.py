"""The three sample painters: their hands, their colours, and their pictures."""

from typing import Any

from cadl.strokes.hand import Hand
from cadl.strokes.repainting import CloseUp, paint_close_up
from data import sample_scenes as scenes

import cv2
import numpy as np

CREAM, SEPIA = (0.96, 0.92, 0.82), (0.22, 0.13, 0.09)
PLAIN: dict[str, Any] = {"bristles": 0.0, "relief": 0.0, "ragged": 0.0}
HANDS = {
    "dabs": Hand(
        **PLAIN, width=9.0, aspect=1.8, under=0.0, finest=60.0, cover=1.7, sizes=0.15, tilt=0.4,
        bend=0.0, taper=0.3, light=0.1, hue=0.07, bare=1.0, ground=CREAM,
    ),
    "ink": Hand(
        kind="hatching", **PLAIN, width=0.9, aspect=10.0, cover=0.75, sizes=0.3, tilt=0.05,
        bend=0.1, taper=0.1, light=0.06, hue=0.0, ground=CREAM, ink=SEPIA,
        directions=(0.8, 2.3, 1.5), first_tone=0.1, last_tone=0.6,
    ),
    "poster": Hand(
        kind="flat", contour=1.0, contour_width=3.4, colours=15, smooth=4.0, ink=(0.07, 0.08, 0.16)
    ),
}  # fmt: skip
POSTER_PALETTE = np.array([
    (24, 34, 78), (26, 124, 138), (56, 132, 190), (134, 200, 212), (252, 238, 206), (248, 190, 56),
    (226, 78, 48), (240, 156, 140), (60, 136, 96),
], np.uint8)  # fmt: skip


def painting(painter: str, number: int) -> np.ndarray:
    """Paints a scene in the hand of a sample painter: uint8 [400, 640, 3], RGB.

    Args:
        painter: dabs, ink or poster.
        number: of the scene; each painter has scenes of his own.
    """
    own = scenes.scene(number + 12 * list(HANDS).index(painter))
    if painter == "dabs":
        own = _vivid(own)
    if painter == "ink":
        own = _outlined(own)
    if painter == "poster":
        own = _posterise(own)
    return paint_close_up(CloseUp(own, own, own), HANDS[painter])


def _vivid(picture: np.ndarray) -> np.ndarray:
    """Makes colours purer, light warmer and shade more violet."""
    grey = picture.mean(axis=2, keepdims=True)
    pure = grey + 1.5 * (picture - grey)
    dark = np.clip(1 - grey / 140, 0, 1)
    pure += dark * (34, 10, 62) + (1 - dark) * (14, 7, -6)
    return np.clip(pure, 0, 255).astype(np.uint8)


def _outlined(picture: np.ndarray) -> np.ndarray:
    """Makes a picture grey and light, and darkens the dark side of each edge."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine, broad = (cv2.GaussianBlur(grey, (0, 0), own) for own in (1.5, 12))
    light = 1.1 * broad + 36 + 2.6 * (fine - broad)
    return cv2.cvtColor(np.clip(light, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)


def _posterise(picture: np.ndarray) -> np.ndarray:
    """Gives each place the nearest colour of the poster's palette."""
    smooth = cv2.bilateralFilter(picture, 9, 40, 5)

    def lab(colours: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(colours.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)

    far = np.square(lab(smooth)[:, :, None] - lab(POSTER_PALETTE[None])[None]).sum(axis=3)
    return POSTER_PALETTE[far.argmin(axis=2)]
