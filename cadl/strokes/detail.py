"""Where strokes of each layer are needed: what coarser ones can't show, and dark sides of edges."""

from cadl.strokes.hand import Layer
from cadl.strokes.points import hashed

import cv2
import numpy as np

SHADOW = 60.0  # of 255: light below which contrast counts almost alike
CONTOUR_DETAIL = 0.06  # contrast over local light from which on an edge has a contour
# Of contours, in half widths: two blurs, whose difference is the darkness of an edge's dark side;
# and the side of a window, where no pixel counts for more than LONELY times the mean darkness.
CONTOUR_BLURS = (0.9, 3.0)
ALONG, LONELY = 16.0, 4.0
# Pixels: forms smaller than FINE make the square of side NEAR round them uneven.
FINE, NEAR = 3.0, 3
EVEN = (0.003, 0.015)  # unevenness up to which a place is even, and from which it is not at all
# Of contours of flat areas: pixels of the blur before edges are looked for; the change of a colour
# over a pixel, of 255, and the share of its width that a contour has there.
EDGE_BLUR, CLEAR = 1.0, ((2.0, 8.0), (0.5, 1.0))
SMALLEST_SQUARE = 3.0  # pixels: side of squares that blur
WANTED = (0.7, 1.3)  # contrast that a finer stroke needs, least and most, over the mean
WANT = 500  # of the random numbers that say how much each needs


def wanted_need(identities: np.ndarray) -> np.ndarray:
    """Returns the contrast that each stroke of a finer layer needs, over the mean: float32 [n]."""
    low, high = WANTED
    return low + (high - low) * hashed(identities, 1, WANT)[:, 0]


def needs(frame: np.ndarray, layers: tuple[Layer, ...], detail: float) -> list[np.ndarray | None]:
    """Works out where each layer adds what the one below can't show.

    Args:
        frame: uint8 [h, w, 3].
        layers: from broad to fine, and contours.
        detail: contrast in [0, 1] that counts as 1; in the dark less is enough.

    Returns:
        float32 [h, w, 1] a layer, 1 where a stroke is just needed; None for the broadest. Contours
        are needed on the dark sides of edges, whatever `detail` is.
    """
    found: list[np.ndarray | None] = []
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    light = blur(grey, 12.0).astype(np.float32)
    for layer in layers:
        if not layer.coarser:
            found.append(None)
            continue
        if layer.contour:
            found.append(_dark_sides(grey, layer) / (CONTOUR_DETAIL * (SHADOW + light))[..., None])
            continue
        fine, coarse = (blur(frame, 1.6 * width) for width in (layer.width, layer.coarser))
        red, green, blue = cv2.split(cv2.absdiff(fine, coarse))
        lost = cv2.max(cv2.max(red, green), blue).astype(np.float32)
        around = cv2.blur(lost, (odd(4 * layer.width),) * 2)
        found.append((around / (detail * (SHADOW + light)))[..., None])
    return found


def unevenness(frame: np.ndarray) -> np.ndarray:
    """Returns the largest contrast of small forms near each pixel, over local light.

    Args:
        frame: uint8 [h, w, 3].

    Returns:
        float32 [h, w, 1], 0 where the frame is even.
    """
    light = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    lost = cv2.absdiff(light, blur(light, FINE)).astype(np.float32)
    around = cv2.blur(cv2.dilate(lost, np.ones((NEAR, NEAR), np.uint8)), (NEAR, NEAR))
    return (around / (SHADOW + blur(light, 12.0)))[..., None]


def evenness(unevenness: np.ndarray) -> np.ndarray:
    """Returns how even a picture is, float32 [n], 1 where it is even, by its unevenness, [n]."""
    return np.interp(unevenness, EVEN, (1.0, 0.0)).astype(np.float32)


def clearness(colours: np.ndarray) -> np.ndarray:
    """Returns how clear edges are near each pixel: the share of its width that a contour has there.

    Flat areas meet where colours change slowly, too: heavy lines would make a map of an open sky.

    Args:
        colours: uint8 [h, w, 3], a tracked frame.

    Returns:
        float32 [h, w, 1].
    """
    smooth = cv2.GaussianBlur(colours, (0, 0), EDGE_BLUR).astype(np.float32)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
    steep = np.sqrt(np.square(across) + np.square(down)).max(axis=2)
    near = cv2.GaussianBlur(cv2.dilate(steep, np.ones((3, 3), np.uint8)), (0, 0), EDGE_BLUR)
    return np.interp(near, *CLEAR).astype(np.float32)[..., None]


def _dark_sides(grey: np.ndarray, layer: Layer) -> np.ndarray:
    """Returns how much darker each pixel is than its surroundings; of a lonely spot less.

    Args:
        grey: uint8 [h, w].
        layer: of contours.

    Returns:
        float32 [h, w, 1], of 255; below 0 where it is lighter.
    """
    light = grey.astype(np.float32)
    small, around = (cv2.GaussianBlur(light, (0, 0), wide * layer.width) for wide in CONTOUR_BLURS)
    dark = around - small
    mean = cv2.blur(np.maximum(dark, 0), (odd(ALONG * layer.width),) * 2)
    return np.minimum(dark, LONELY * mean)[..., None]


def blur(frame: np.ndarray, radius: float) -> np.ndarray:
    """Blurs by the mean over squares, twice; edges are mirrored.

    Sides of squares are odd, so there are none between 1 and 3 pixels: a Gaussian blurs instead.
    """
    if radius < SMALLEST_SQUARE:
        return cv2.GaussianBlur(frame, (0, 0), radius / 6**0.5)
    side = odd(radius)
    once = cv2.blur(frame, (side, side), borderType=cv2.BORDER_REFLECT_101)
    return cv2.blur(once, (side, side), borderType=cv2.BORDER_REFLECT_101)


def odd(length: float) -> int:
    """Returns the odd whole number nearest to a length, at least 1."""
    return 2 * int(length / 2) + 1
