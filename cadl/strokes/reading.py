"""What is read from a painter's close-ups without a search."""

from collections.abc import Sequence
from typing import NamedTuple

from cadl.images.metrics import LUMINANCE
from cadl.strokes import texture
from cadl.strokes.forms import remove_strokes
from cadl.strokes.hand import MAX_DIRECTIONS, Colour

import cv2
import numpy as np

COMMON = 0.015  # share of most pictures from which on a colour is their ground, or their ink
ANGLES, SPREAD = 72, 0.17  # places of a histogram; radians by which lines of one direction differ
TONE_SHARES = (1.0, 0.3, 0.12, 0.06, 0.02, 0.0)  # of all lines, from the lightest places on
# Offsets in pixels across an edge, positive toward its dark side: of the line, of the dark side.
ON_EDGE, BESIDE = (0, 1, 2, 3, 4), (7, 8, 9, 10)
EDGE_FORMS, EDGE = 2.0, 0.02  # pixels of a blur; steepness over local light of what is an edge
CONTOUR = 0.05  # share of an edge's contrast by which a clear line is darker than the dark side
FEW_CONTOURS = 0.25  # share of pictures with contours below which none are drawn
LIGHTER = 0.5  # share of the light side's extra light at edges that is taken from that darkness
# Standard deviations: strokes are what the first blur leaves and the second takes away, and the
# window is where their contrast is measured. EVEN and USUAL are quantiles of that contrast, and
# QUIETER has one over the other, and the `quiet` that this stands for.
STROKES, WINDOW = (1.0, 5.0), 6.0
EVEN, USUAL = 0.1, 0.5
QUIETER = (0.3, 0.45), (0.5, 0.0)
GRAIN_BLUR = 1.5  # pixels: what this blur takes away is grain where it is least
GRAIN_SQUARE = 6  # pixels: side of the squares that it is measured in
BARE_PAINT = 0.1  # quantile over these squares that is grain alone
UNSEEN = 1.2  # true grain over what is seen there
MOST_GRAIN = 0.02  # more would be strokes
FEW_EDGES = 30  # pixels: a picture with fewer on edges tells nothing of contours
CLEAR_PEAK = 1.0  # lines that nothing explains, over the mean of all, from which they count


class Reading(NamedTuple):
    """What a painter's pictures tell without a search."""

    ground: Colour  # lightest colour, RGB in [0, 1]
    ink: Colour  # darkest colour, RGB in [0, 1]
    directions: tuple[float, ...]  # directions shared by many lines, in radians
    contour: float = 0.0  # clearness of dark lines round forms, from 0, none, to 1
    quiet: float = 0.0  # `Hand.quiet`, from 0 to 1
    grain: float = 0.0  # `Hand.grain`


def read_pictures(pictures: Sequence[np.ndarray]) -> Reading:
    """Reads close-ups, uint8 [h, w, 3] each."""
    return Reading(
        _common_colour(pictures, lightest=True),
        _common_colour(pictures, lightest=False),
        _find_directions(pictures),
        _find_contours(pictures),
        _find_quiet(pictures),
        _find_grain(pictures),
    )


def _common_colour(pictures: Sequence[np.ndarray], *, lightest: bool) -> Colour:
    """Returns the light, or dark, colour that most pictures share; else the extreme one."""
    pixels = np.stack([own.reshape(-1, 3) for own in pictures])
    light = pixels @ LUMINANCE
    bins = (pixels >> 4).astype(int) @ (256, 16, 1)
    counts = np.median([np.bincount(own, minlength=4096) for own in bins], axis=0)
    lights = (np.indices((16, 16, 16)).reshape(3, -1).T * 16 + 8) @ LUMINANCE
    counts[lights < 150 if lightest else lights > 90] = 0
    if counts.max() > COMMON * pixels.shape[1]:
        chosen = pixels[bins == counts.argmax()]
    else:
        limit = np.quantile(light, 0.97 if lightest else 0.03)
        chosen = pixels[light >= limit if lightest else light <= limit]
    red, green, blue = (float(value) for value in np.median(chosen, axis=0) / 255)
    return red, green, blue


def _find_directions(pictures: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Finds the directions of lines, those of light places first.

    From light to dark, a direction is added where more lines lie than those found before explain.
    """
    lights, angles, weights = [], [], []
    for picture in pictures:
        light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        cos, sin, energy = texture.structure(light, 1.0)
        strength = np.hypot(cos, sin)
        clear = strength > 0.8 * energy
        lights.append(cv2.GaussianBlur(light, (0, 0), 8)[clear])
        angles.append((0.5 * np.arctan2(sin, cos))[clear] % np.pi)
        weights.append(strength[clear])
    light, angle, weight = map(np.concatenate, (lights, angles, weights))
    if not len(light):
        return (0.75,)
    places = (np.arange(ANGLES) + 0.5) * np.pi / ANGLES
    limits = np.quantile(light, TONE_SHARES)
    found: list[float] = []
    for darkest, lightest in zip(limits[1:], limits[:-1], strict=True):
        own = (light >= darkest) & (light <= lightest)
        counts, _ = np.histogram(angle[own], ANGLES, (0, np.pi), weights=weight[own])
        counts = counts / (counts.mean() + 1e-12)
        while len(found) < MAX_DIRECTIONS:
            left = counts
            if found:
                off = _apart(places[:, None], np.array(found))
                bumps = np.exp(-0.5 * np.square(off / SPREAD))  # spread of each direction's lines
                shares = np.maximum(np.linalg.lstsq(bumps, counts, rcond=None)[0], 0.0)
                left = counts - bumps @ shares
            left = cv2.GaussianBlur(np.tile(left, 3)[None], (0, 0), 1.5)[0, ANGLES : 2 * ANGLES]
            best = int(left.argmax())
            if left[best] < CLEAR_PEAK or any(_apart(places[best], own) < 0.3 for own in found):
                break
            found.append(round(float(places[best]), 3))
    return tuple(found) or (0.75,)


def _apart(a, b):
    """Returns how far angles of lines are apart, 0 to a quarter turn."""
    return abs((a - b + np.pi / 2) % np.pi - np.pi / 2)


def _find_contours(pictures: Sequence[np.ndarray]) -> float:
    """Returns the share of pictures in which dark lines go round forms, by how clear they are."""
    lines = [own for own in map(_line_on_edges, pictures) if own is not None]
    share = float(np.clip(np.array(lines) / CONTOUR, 0.0, 1.0).mean()) if lines else 0.0
    return round(share, 2) if share >= FEW_CONTOURS else 0.0


def _line_on_edges(picture: np.ndarray) -> float | None:
    """Measures how much darker than their dark sides the lines on edges are, over the contrast.

    A small form is darkest near its edge, too, but then its surroundings are lightest there, which
    is taken into account. None: there are too few edges.
    """
    light, forms = (
        cv2.cvtColor(own, cv2.COLOR_RGB2GRAY).astype(np.float32)
        for own in (picture, remove_strokes(picture, 5.0))
    )
    smooth = cv2.GaussianBlur(forms, (0, 0), EDGE_FORMS)
    across, down = (cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
    steep = cv2.magnitude(across, down)
    across, down = across / (steep + 1e-6), down / (steep + 1e-6)
    y, x = np.mgrid[0 : light.shape[0], 0 : light.shape[1]].astype(np.float32)
    crest = steep > EDGE * (60.0 + cv2.GaussianBlur(smooth, (0, 0), 12))
    for side in (-1, 1):
        crest &= steep > cv2.remap(steep, x + side * across, y + side * down, cv2.INTER_LINEAR)
    far = BESIDE[-1]
    crest[:far] = crest[-far:] = crest[:, :far] = crest[:, -far:] = False
    if np.count_nonzero(crest) < FEW_EDGES:
        return None
    x, y, across, down = (own[crest][None] for own in (x, y, across, down))

    def lights(offsets: Sequence[int], side: int) -> list[float]:
        """Returns mean lights at offsets toward the dark side, or with -1 the light one."""
        places = ((x - side * by * across, y - side * by * down) for by in offsets)
        return [float(cv2.remap(light, *own, cv2.INTER_LINEAR).mean()) for own in places]

    dark, bright = (float(np.mean(lights(BESIDE, side))) for side in (1, -1))
    darker = dark - min(lights(ON_EDGE, 1))
    lighter = max(0.0, max(lights(ON_EDGE, -1)) - bright)
    return (darker - LIGHTER * lighter) / (max(0.0, bright - dark) + 5.0)


def _find_quiet(pictures: Sequence[np.ndarray]) -> float:
    """Returns how quiet strokes are in even places, by their contrast where it is least."""
    contrasts = []
    for picture in pictures:
        light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        fine, coarse, around = (cv2.GaussianBlur(light, (0, 0), by) for by in (*STROKES, WINDOW))
        spread = np.sqrt(cv2.GaussianBlur(np.square(fine - coarse), (0, 0), WINDOW))
        contrasts.append((spread / (60.0 + around))[::4, ::4].ravel())
    calm, usual = np.quantile(np.concatenate(contrasts), (EVEN, USUAL))
    return round(float(np.interp(calm / (usual + 1e-6), *QUIETER)), 2)


def _find_grain(pictures: Sequence[np.ndarray]) -> float:
    """Returns the spread of light that the canvas adds, of white: the least there is anywhere."""
    spreads = []
    for picture in pictures:
        light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        fine = light - cv2.GaussianBlur(light, (0, 0), GRAIN_BLUR)
        size = tuple(side // GRAIN_SQUARE for side in picture.shape[1::-1])
        spreads.append(np.sqrt(cv2.resize(fine * fine, size, interpolation=cv2.INTER_AREA)).ravel())
    least = UNSEEN * float(np.quantile(np.concatenate(spreads), BARE_PAINT))
    return round(min(MOST_GRAIN, least), 4)
