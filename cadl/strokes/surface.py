"""The surface of a painting: wet colours that run into each other, and relief that is lit."""

from typing import NamedTuple

import cv2
import numpy as np

RELIEF = 0.9  # change of light for a step of 1 in height, both of 255, at full relief
EMBOSS = np.array([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]], np.float32) / 6


class Wet(NamedTuple):
    """Where paint is wet."""

    share: np.ndarray  # float32 [h, w], of any size: 0 where paint is dry, 1 where it is wet
    # float32 [h, w], of the tracked frame: share of their differences that strokes lose there
    calm: np.ndarray
    radius: float  # how far wet colours run, in pixels of the tracked frame


def run_together(board: np.ndarray, wet: Wet, scale: float) -> None:
    """Lets colours run into each other where paint is wet; the marks of the brush stay.

    Args:
        board: uint8 [h, w, 4], RGB and height; changed in place.
        wet: where, and how far.
        scale: drawn pixels for each one of the tracked frame.
    """
    share = cv2.resize(wet.share, board.shape[1::-1])
    mixed = cv2.GaussianBlur(board, (0, 0), wet.radius * scale)
    mixed = cv2.blendLinear(mixed, board, share, 1 - share)
    cv2.mixChannels([mixed], [board], [0, 0, 1, 1, 2, 2])


def light(board: np.ndarray, relief: float, scale: float) -> np.ndarray:
    """Lights the heights of a board from the top left.

    Args:
        board: uint8 [h, w, 4], RGB and height.
        relief: strength of the light, 0 to 1.
        scale: drawn pixels for each one of the tracked frame.

    Returns:
        uint8 [h, w, 3], RGB.
    """
    picture = cv2.cvtColor(board, cv2.COLOR_RGBA2RGB)
    if relief <= 0:
        return picture
    height = cv2.extractChannel(board, 3)
    slope = cv2.filter2D(
        height, cv2.CV_16S, EMBOSS * (RELIEF * relief), borderType=cv2.BORDER_REPLICATE
    )
    slope = cv2.blur(slope, (2, 2)) if scale > 3 else slope
    return cv2.add(picture, cv2.merge([slope] * 3), dtype=cv2.CV_8U)
