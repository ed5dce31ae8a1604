"""Flat areas of few colours, with or without contours: steady, since tracked points carry colours.

Each point of a tracked layer has a colour, averaged along its track, and belongs to those colours
of a palette that are near it; the palette stays the same through a shot. A place has the colour
that the points near it belong to most.
"""

import functools

from cadl.images.metrics import LUMINANCE
from cadl.strokes.detail import blur
from cadl.strokes.forms import sharpen_edges
from cadl.strokes.hand import CANVAS, TRACKED, Hand
from cadl.strokes.points import hashed, spread
from cadl.strokes.stroke import Strokes

import cv2
import numpy as np

PALETTE_PIXELS = 20_000  # that a palette is found from, at most
PURER = 1.5  # times the chroma of a mean that a colour of the palette has, at most
# Of washes; lengths are in pixels of the canvas.
RIM_RADIUS = 1.6  # how broad a rim is
RIM_CONTRAST = 0.02  # difference in light to what is beside it, of 1, that makes half a rim
RUN_SIDE, RUN_SHARE = 30.0, 0.8  # of the squares over which colours run, and how far, 0 to 1
BLOTCH, BLOTCH_GAIN = 8.0, 15.0  # radius of the blur of random amounts of pigment, and their gain
GRAIN, GRAIN_GAIN = 2.0, 0.5  # size of the grains of paper, and their gain
_STEPS = np.arange(256.0)
TAKEN = np.rint(_STEPS - _STEPS**2 / 255).astype(np.uint8)  # what a second layer takes from light
RARE = 0.02  # a colour is left out if no point belongs to it by a larger share
SETTLED = 300  # of the random numbers that say how much pigment there is
BETWEEN = 0.06  # difference of colours, each in [0, 1], within which a point belongs to two
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
    return _as_pure(centres, pixels, labels[:, 0]) / np.float32(255)


def palette_of(frame: np.ndarray, hand: Hand) -> np.ndarray:
    """Finds the colours of flat areas in a frame, uint8 [h, w, 3], in the painter's colours.

    Returns:
        float32 [k, 3], RGB in [0, 1].
    """
    return find_palette(sharpen_edges(frame, TRACKED / CANVAS * hand.smooth), hand.colours)


def _as_pure(centres: np.ndarray, pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gives means of colours the chroma that these have in the mean: a mean of many hues is greyer.

    Takes float32 [k, 3], [n, 3], of 255, and int [n]; returns float32 [k, 3].
    """
    sizes = np.bincount(labels, minlength=len(centres))
    wanted = np.bincount(labels, np.ptp(pixels, axis=1), len(centres)) / np.maximum(sizes, 1)
    purer = np.clip(wanted / np.maximum(np.ptp(centres, axis=1), 1.0), 1.0, PURER)[:, None]
    grey = (centres @ LUMINANCE)[:, None]
    return np.clip(grey + purer * (centres - grey), 0, 255).astype(np.float32)


def draw_areas(
    canvas: np.ndarray,
    picture: np.ndarray,
    points: Strokes,
    palette: np.ndarray,
    hand: Hand,
    strength: float = 1.0,
    scale: float | None = None,
) -> np.ndarray:
    """Draws flat areas over a canvas, or washes whose rims have dried darker.

    Args:
        canvas: uint8 [h, w, 3], RGB.
        picture: uint8 [h, w, 3], that colours of washes run as.
        points: that carry colours.
        palette: float32 [k, 3], RGB in [0, 1].
        hand: the recipe.
        strength: how opaque areas and contours are, 0 to 1.
        scale: drawn pixels for each one of the tracked frame; None: as a whole frame has.

    Returns:
        As the canvas.
    """
    height, width = canvas.shape[:2]
    scale = (scale or max(height, width) / TRACKED) * TRACKED / CANVAS
    small = (round(width / scale), round(height / scale)) if scale > 1 else (width, height)
    enlarged = max(small) / max(height, width) * scale * CANVAS / TRACKED
    places = (points.places + np.float32(0.5)) * np.float32(enlarged) - np.float32(0.5)
    owners = _nearest_points(places, small)
    if owners is None:
        return canvas
    radius = max(hand.smooth, SMOOTH_OUTLINES) * min(1.0, scale)
    labels = _label(_shares(points.looks.colours, palette), owners, radius, (width, height))
    colours = np.rint(255 * palette).astype(np.uint8)
    areas = cv2.LUT(cv2.merge([labels] * 3), np.resize(colours, (256, 1, 3)))
    scale = max(scale, 0.5)
    if hand.washes:
        amounts = hashed(points.identities, 1, SETTLED)[:, 0] - np.float32(0.5)
        blotch = BLOTCH * min(1.0, scale)
        blotches = spread(amounts, places, small, blotch, points.growth)
        areas = cv2.GaussianBlur(areas, (0, 0), max(0.6, 0.5 * scale))
        areas = _wash(areas, picture, hand, cv2.resize(blotches, (width, height)), scale)
    if hand.contour > 0:
        clear = spread(points.looks.need, places, small, radius)
        areas = _draw_contours(areas, labels, cv2.resize(clear, (width, height)), hand, scale)
    return cv2.addWeighted(areas, strength, canvas, 1 - strength, 0)


def _nearest_points(places: np.ndarray, size: tuple[int, int]) -> np.ndarray | None:
    """Returns which point is nearest to each pixel: int [h, w]; None if there is no point."""
    spots = np.rint(places).astype(int)
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


def _shares(colours: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Returns how far points belong to each colour of a palette: float32 [k, n], 1 in sum.

    Where the picture changes slowly they belong to two: so outlines are smooth there.
    """
    apart = np.square(palette).sum(axis=1) - 2 * colours @ palette.T
    near = np.exp((apart.min(axis=1, keepdims=True) - apart) / np.float32(2 * BETWEEN**2))
    return (near / near.sum(axis=1, keepdims=True)).T


def _label(shares: np.ndarray, owners: np.ndarray, radius: float, size: tuple) -> np.ndarray:
    """Returns the colour that has the most around each pixel of a size: uint8 [h, w], its number.

    Args:
        shares: float32 [k, n], of each colour in each point.
        owners: int [h', w'], the point that is nearest to each pixel.
        radius: in these pixels, of what is around.
        size: width and height.
    """
    best = np.full(size[::-1], -1.0, np.float32)
    labels = np.zeros(size[::-1], np.uint8)
    for label, own in enumerate(shares):
        if own.max() < RARE:
            continue
        share = cv2.resize(cv2.GaussianBlur(own[owners], (0, 0), radius), size)
        labels[share > best] = label
        np.maximum(best, share, out=best)
    return labels


@functools.lru_cache(2)
def _paper(height: int, width: int) -> np.ndarray:
    """Returns the tooth of paper, the same in all frames: float32 [h, w]."""
    return np.random.default_rng(5).standard_normal((height, width), np.float32)


def _wash(areas, picture, hand: Hand, blotches: np.ndarray, scale: float) -> np.ndarray:
    """Turns flat areas into washes of watercolour: uint8 [h, w, 3] -> [h, w, 3].

    Their colours run as the picture's do in the large. Along its outline a wash that is darker than
    what is beside it has dried with a rim. Blotches move with the film, and grains are the paper's.
    """
    height, width = areas.shape[:2]
    change = cv2.subtract(picture, areas, dtype=cv2.CV_16S)
    run = cv2.addWeighted(areas, 1, blur(change, RUN_SIDE * scale), RUN_SHARE, 0, dtype=cv2.CV_8U)
    light = cv2.cvtColor(areas, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    darker = np.maximum(cv2.GaussianBlur(light, (0, 0), RIM_RADIUS * scale) - light, 0)
    grain = max(1.0, GRAIN * scale)
    grains = cv2.resize(_paper(round(height / grain), round(width / grain)), (width, height))
    settled = cv2.addWeighted(blotches, BLOTCH_GAIN, grains, GRAIN_GAIN, 0)
    rim = hand.rim * darker / (darker + np.float32(RIM_CONTRAST))
    return darken(run, rim + hand.light * settled)


def darken(colours: np.ndarray, pigment: np.ndarray) -> np.ndarray:
    """Darkens colours by pigment: 1 is as if they lay twice, and is the most there is.

    The model is of Bousseau et al. 2006, doi 10.1145/1124728.1124751.

    Args:
        colours: uint8 [h, w, 3].
        pigment: float32 [h, w], less than 0 where there is less of it.

    Returns:
        uint8 [h, w, 3].
    """
    taken = cv2.LUT(colours, TAKEN)
    share = cv2.merge([np.clip(pigment, -1, 1)] * 3)
    return cv2.subtract(colours, cv2.multiply(taken, share, dtype=cv2.CV_32F), dtype=cv2.CV_8U)


def _draw_contours(areas: np.ndarray, labels: np.ndarray, clear: np.ndarray, hand: Hand, scale):
    """Draws lines where labels meet, uint8 [h, w, 3]: `clear` is a share of their width."""
    edges = np.full(labels.shape, 255, np.uint8)
    edges[:-1][labels[1:] != labels[:-1]] = 0
    edges[:, :-1][labels[:, 1:] != labels[:, :-1]] = 0
    distance = cv2.distanceTransform(edges, cv2.DIST_L2, 3)
    reach = (0.5 * hand.contour_width * scale + 0.5) * clear
    share = hand.contour * np.clip(reach - distance, 0.0, 1.0)
    ink = 255 * np.array(hand.ink, np.float32)
    return np.rint(areas + share[..., None] * (ink - areas)).astype(np.uint8)
