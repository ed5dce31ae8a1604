"""Flat areas of few colours, with or without contours: steady, since tracked points carry colours.

Each point of a tracked layer has a colour, averaged along its track, and with it the nearest colour
of a palette that stays the same through a shot. A place has the colour that most points near it
have.
"""

from cadl.strokes.hand import CANVAS, TRACKED, Hand

import cv2
import numpy as np

PALETTE_PIXELS = 20_000  # that a palette is found from, at most
SMOOTH_OUTLINES = 3.0  # pixels of the canvas: the least blur of outlines, as points lie 4 apart


def find_palette(pictures: np.ndarray, count: int) -> np.ndarray:
    """Finds the colours that stand for all of some pictures (k-means, always the same).

    Args:
        pictures: uint8 [..., 3].
        count: of colours, at most.

    Returns:
        float32 [count, 3], RGB in [0, 1].
    """
    pixels = pictures.reshape(-1, 3)
    pixels = np.ascontiguousarray(pixels[:: max(1, len(pixels) // PALETTE_PIXELS)], np.float32)
    count = min(count, len(np.unique(pixels, axis=0)))
    cv2.setRNGSeed(1)
    ending = (cv2.TERM_CRITERIA_MAX_ITER + cv2.TERM_CRITERIA_EPS, 30, 0.1)
    labels = np.zeros((len(pixels), 1), np.int32)
    _, _, centres = cv2.kmeans(pixels, count, labels, ending, 2, cv2.KMEANS_PP_CENTERS)
    return centres / np.float32(255)


def draw_areas(
    canvas: np.ndarray,
    places: np.ndarray,
    colours: np.ndarray,
    palette: np.ndarray,
    hand: Hand,
    strength: float,
    scale: float | None = None,
) -> np.ndarray:
    """Draws flat areas over a picture.

    Args:
        canvas: uint8 [h, w, 3], RGB.
        places: float32 [n, 2], of points, in pixels of the tracked frame.
        colours: float32 [n, 3], RGB in [0, 1].
        palette: float32 [k, 3].
        hand: the recipe.
        strength: how opaque areas and contours are, 0 to 1.
        scale: drawn pixels for each one of the tracked frame; None: as a whole frame has.

    Returns:
        As the canvas.
    """
    height, width = canvas.shape[:2]
    scale = (scale or max(height, width) / TRACKED) * TRACKED / CANVAS
    nearest = np.square(colours[:, None] - palette).sum(axis=2).argmin(axis=1)
    small = (round(width / scale), round(height / scale)) if scale > 1 else (width, height)
    owners = _nearest_points(
        places, small, max(small) / max(height, width) * scale * CANVAS / TRACKED
    )
    if owners is None:
        return canvas
    radius = max(hand.smooth, SMOOTH_OUTLINES) * min(1.0, scale)
    labels = _smooth_labels(nearest[owners], len(palette), radius, (width, height))
    areas = np.rint(255 * palette[labels]).astype(np.uint8)
    if hand.contour > 0:
        areas = _draw_contours(areas, labels, hand, max(scale, 0.5))
    return cv2.addWeighted(areas, strength, canvas, 1 - strength, 0)


def _nearest_points(places: np.ndarray, size: tuple[int, int], scale: float) -> np.ndarray | None:
    """Returns which point is nearest to each pixel: int [h, w]; None if there is no point."""
    spots = np.rint((places + 0.5) * scale - 0.5).astype(int)
    inside = np.flatnonzero(((spots >= 0) & (spots < size)).all(axis=1))
    if not len(inside):
        return None
    x, y = spots[inside].T
    empty = np.full(size[::-1], 255, np.uint8)
    empty[y, x] = 0
    _, cells = cv2.distanceTransformWithLabels(
        empty, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    point_of = np.zeros(int(cells.max()) + 1, int)
    point_of[cells[y, x]] = inside
    return point_of[cells]


def _smooth_labels(labels: np.ndarray, count: int, radius: float, size: tuple) -> np.ndarray:
    """Enlarges labels to a size, with outlines as smooth as a blur makes them: uint8 [h, w]."""
    best = np.full(size[::-1], -1.0, np.float32)
    smooth = np.zeros(size[::-1], np.uint8)
    for label in range(count):
        own = (labels == label).astype(np.float32)
        if not own.any():
            continue
        share = cv2.resize(cv2.GaussianBlur(own, (0, 0), radius), size)
        smooth[share > best] = label
        np.maximum(best, share, out=best)
    return smooth


def _draw_contours(areas: np.ndarray, labels: np.ndarray, hand: Hand, scale: float) -> np.ndarray:
    """Draws lines where labels meet."""
    edges = np.full(labels.shape, 255, np.uint8)
    edges[:-1][labels[1:] != labels[:-1]] = 0
    edges[:, :-1][labels[:, 1:] != labels[:, :-1]] = 0
    distance = cv2.distanceTransform(edges, cv2.DIST_L2, 3)
    share = hand.contour * np.clip(0.5 * hand.contour_width * scale + 0.5 - distance, 0.0, 1.0)
    ink = 255 * np.array(hand.ink, np.float32)
    return np.rint(areas + share[..., None] * (ink - areas)).astype(np.uint8)
