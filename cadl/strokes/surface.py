"""The surface of a painting: wet colours that run together, relief that is lit, woven canvas."""

import functools
from typing import NamedTuple

from cadl.strokes.hand import CANVAS

import cv2
import numpy as np

SHARPEST = 1.5  # pixels: what is blurred more is made smaller first, so that this is the radius
RELIEF = 0.9  # change of light for a step of 1 in height, both of 255, at full relief
EMBOSS = np.array([[-1, -1, 0], [-1, 0, 1], [0, 1, 1]], np.float32) / 6

# Pixels of the canvas: deviations of the blurs along and across a thread, and of the blur that is
# taken away, so that there is nothing coarse in the weave.
THREADS, FINER = (1.5, 0.45), 2.5
LEAST_WOVEN = 0.25  # pixels for each one of the canvas
# Luminance, of 255, and the share of the grain that is seen there.
SEEN = (0, 20, 90, 160, 255), (0.0, 0.4, 1.0, 1.0, 0.5)
_SEEN_AT = np.interp(np.arange(256), *SEEN).astype(np.float32)


class Wet(NamedTuple):
    """Where paint is wet."""

    share: np.ndarray  # float32 [h, w], of the tracked frame: 0 where paint is dry, 1 where wet
    # float32 [h, w], of the tracked frame: share of their differences that strokes lose there
    calm: np.ndarray
    radius: float  # how far wet colours run, in pixels of the tracked frame


def run_together(board: np.ndarray, wet: Wet, scale: float) -> None:
    """Lets colours run into each other where paint is wet; the marks of the brush stay.

    Wet colours mix with wet ones alone, so nothing runs out of a dry form.

    Args:
        board: uint8 [h, w, 4], RGB and height; changed in place.
        wet: where, and how far.
        scale: drawn pixels for each one of the tracked frame.
    """
    size = board.shape[1::-1]
    radius = wet.radius * scale
    factor = max(1.0, radius / SHARPEST)
    small = tuple(max(1, round(side / factor)) for side in size)
    share = cv2.resize(wet.share, small)
    colours = cv2.resize(board, small, interpolation=cv2.INTER_AREA)[..., :3]
    weighted = np.dstack([colours * share[..., None], share])
    mixed = cv2.GaussianBlur(weighted, (0, 0), radius / factor)
    mixed = mixed[..., :3] / (mixed[..., 3:] + np.float32(1e-3))
    mixed = cv2.resize(np.rint(mixed).astype(np.uint8), size)
    share = cv2.resize(wet.share, size)
    mixed = cv2.blendLinear(mixed, np.ascontiguousarray(board[..., :3]), share, 1 - share)
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


def show_canvas(
    picture: np.ndarray, grain: float, rest: np.ndarray | None = None, scale: float | None = None
) -> np.ndarray:
    """Shows the weave of the canvas in a painted picture: it lies still, whatever moves on it.

    Args:
        picture: uint8 [h, w, 3], RGB.
        grain: spread of light that the weave adds, of white, in a picture CANVAS pixels wide.
        rest: float32 [h, w], of any size, share of the weave that is seen; None: all.
        scale: pixels for each one of the canvas; None: as a whole picture has.

    Returns:
        As the picture.
    """
    if grain <= 0:
        return picture
    height, width = picture.shape[:2]
    scale = scale or max(height, width) / CANVAS
    grain *= min(1.0, scale)
    # Threads that are thinner than a pixel are not seen.
    seen = cv2.LUT(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32(255 * grain) * _SEEN_AT)
    if rest is not None:
        seen = cv2.multiply(seen, cv2.resize(rest, (width, height)))
    change = cv2.multiply(seen, _weave(height, width, max(scale, LEAST_WOVEN)), dtype=cv2.CV_16S)
    return cv2.add(picture, cv2.merge([change] * 3), dtype=cv2.CV_8U)


@functools.lru_cache(2)
def _weave(height: int, width: int, scale: float) -> np.ndarray:
    """Returns a canvas: float32 [h, w], of mean 0 and deviation 1."""
    rng = np.random.default_rng(0)
    along, across = (scale * own for own in THREADS)
    weft, warp = (
        cv2.GaussianBlur(rng.standard_normal((height, width), np.float32), (0, 0), x, sigmaY=y)
        for x, y in ((along, across), (across, along))
    )
    threads = np.asarray(cv2.add(weft, warp), np.float32)
    threads -= cv2.GaussianBlur(threads, (0, 0), scale * FINER)
    return threads / threads.std()
