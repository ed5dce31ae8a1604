"""How strokes look before they have a shape: direction, bend, reach, need, colour, speed of each.

Everything but speed is measured at the strokes' places in one frame; all is averaged along tracks
(`averaging.py`).
"""

import dataclasses
import functools
from collections.abc import Sequence

from cadl.images.metrics import LUMINANCE
from cadl.strokes.detail import blur, clearness, evenness, needs, odd, unevenness
from cadl.strokes.forms import sharpen_edges
from cadl.strokes.hand import CANVAS, TRACKED, Hand, Layer
from cadl.strokes.on_film import enlarged, sharpened
from cadl.strokes.points import sample
from cadl.strokes.stroke import Looks, unit_vectors
from cadl.strokes.tones import measure_tones

import cv2
import numpy as np

REACH_STEPS = (0.3, 0.6, 0.9)  # of half a stroke's length, where it may end
EDGE = 0.11  # change of colour, of 1, at which a stroke has ended
# Radii in pixels, and weights, of the surroundings that directions come from. A painting shows the
# directions of its own strokes; those of a film's finer forms would cross each other.
PAINTING_SURROUNDINGS = (2.0, 1.0), (7.0, 0.25), (24.0, 0.04)
FILM_SURROUNDINGS = (4.0, 1.0), (12.0, 0.5), (32.0, 0.2)
# Of hatching: weights of R, G and B; pixels round a place; and how much more it differs from them.
ORTHOCHROMATIC = np.array((-0.1, 0.7, 0.4), np.float32)
SURROUNDING, EMPHASIS = 40.0, 0.3
OVER_SMALL = 3.0  # pixels of the blur of a film: lines of hatching go on over what is smaller
SWIRLS = 3e-6  # squared contrast, in the unit of the structure tensor, below which swirls lead
# A hand's quiet, and how far its broad strokes turn to its own direction where a film is even.
QUIET_TURN = (0.2, 0.5), (0.0, 0.8)
# What is left of a painting without its strokes is more uneven than a film.
BLOTCHES = 0.5


class Directions:
    """The orientation field of a frame: along its forms, everywhere."""

    def __init__(
        self,
        frame: np.ndarray,
        surroundings: Sequence[tuple[float, float]] = PAINTING_SURROUNDINGS,
    ):
        """Takes a frame, uint8 [h, w, 3], and surroundings: radii in pixels and their weights.

        The field is the structure tensor's (Bigun & Granlund 1987), from near and wider
        surroundings; where all is even, slow swirls lead.
        """
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        light = cv2.GaussianBlur(grey.astype(np.float32) / np.float32(255), (0, 0), 1.2)
        across, down = (cv2.Sobel(light, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
        # The gradient's doubled angle turned by half a turn: a quarter turn of the angle.
        tensor = cv2.merge([down * down - across * across, -2.0 * across * down])
        field = SWIRLS * swirls(*light.shape)
        for radius, weight in surroundings:
            field += np.float32(weight) * _wide_blur(tensor, radius)
        self.field = field

    def at(self, places: np.ndarray) -> np.ndarray:
        """Returns cosine and sine of the doubled angles at places: float32 [n, 2] -> [n, 2]."""
        read = sample(self.field, places)
        return read / (np.sqrt(np.square(read).sum(axis=1, keepdims=True)) + np.float32(1e-12))


def _wide_blur(maps: np.ndarray, radius: float) -> np.ndarray:
    """Blurs by a Gaussian; a wide one at a fraction of the size."""
    factor = max(1, int(radius / 3))
    height, width = maps.shape[:2]
    small = (max(1, width // factor), max(1, height // factor))
    shrunk = cv2.resize(maps, small, interpolation=cv2.INTER_AREA) if factor > 1 else maps
    blurred = cv2.GaussianBlur(shrunk, (0, 0), radius / factor)
    return cv2.resize(blurred, (width, height)) if factor > 1 else blurred


@functools.lru_cache(2)
def swirls(height: int, width: int) -> np.ndarray:
    """Returns slowly turning directions, as doubled angles: float32 [h, w, 2] of length 1."""
    rng = np.random.default_rng(6)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(max(height, width))
    phase = np.zeros((height, width), np.float32)
    for fx, fy, shift in rng.uniform((-2, -2, 0), (2, 2, 2 * np.pi), (6, 3)):
        phase += np.float32(2.0 / np.hypot(fx, fy)) * np.sin(2 * np.pi * (fx * x + fy * y) + shift)
    return np.stack([np.cos(phase), np.sin(phase)], axis=-1)


def measure_looks(
    frame: np.ndarray,
    colours: np.ndarray,
    hand: Hand,
    places: Sequence[np.ndarray],
    forms: np.ndarray | None = None,
    speeds: Sequence[np.ndarray] | None = None,
) -> list[Looks]:
    """Measures how the strokes of each layer look in one frame.

    Args:
        frame: uint8 [h, w, 3], as the strokes were followed on.
        colours: uint8 [h, w, 3], the same in the painter's colours.
        hand: whose strokes they are.
        places: float32 [n, 2] a layer.
        forms: uint8 [h, w, 3], a painter's own picture, what directions come from; None: the frame
            is a film's, directions come from its large forms, and the light of brush strokes'
            colours is sharpened.
        speeds: float32 [n] a layer, pixels that strokes move in a frame; None: they rest.
    """
    found = _measure_layers(frame, colours, hand, places, forms)
    if speeds is None:
        return found
    return [dataclasses.replace(own, speed=s) for own, s in zip(found, speeds, strict=True)]


def _measure_layers(frame, colours, hand: Hand, places, forms) -> list[Looks]:
    """Measures the strokes of each layer, as if they rested."""
    layers, detail = hand.layers(), hand.detail
    if hand.kind == "flat":
        edges = sharpen_edges(colours, TRACKED / CANVAS * hand.smooth)
        points = _measure_plain(None, edges, hand, layers[0], places[0])
        clear = sample(clearness(colours), places[0])[:, 0]
        return [dataclasses.replace(points, need=clear)]
    if hand.kind != "brush":
        film = frame if forms is None else None
        return [
            _measure_plain(film, colours, hand, *own) for own in zip(layers, places, strict=True)
        ]
    directions = Directions(frame, FILM_SURROUNDINGS) if forms is None else Directions(forms)
    if forms is None:
        colours = sharpened(colours, hand)
    looks = []
    around = unevenness(frame) * np.float32(1.0 if forms is None else BLOTCHES)
    for layer, own, need in zip(layers, places, needs(frame, layers, detail), strict=True):
        needed = sample(around if need is None else need, own)[:, 0]
        fixed: np.ndarray | float = 0.0 if layer.contour else hand.fixed
        if forms is None and need is None:
            fixed = _steadied(hand, needed)
        axis = _turned(directions.at(own), hand.directions[0], fixed)
        along = unit_vectors(axis)
        larger = enlarged(hand, layer, needed) if forms is None else np.ones(1, np.float32)
        length = np.float32(layer.length) * larger[:, None]
        step = 0.5 * length * along
        forward, back = np.split(directions.at(np.concatenate([own + step, own - step])), 2)
        turn = 0.5 * np.arctan2(
            forward[:, 1] * back[:, 0] - forward[:, 0] * back[:, 1],
            np.einsum("nc,nc->n", forward, back),
        )
        ends = _reach(blur(frame, layer.width), own, length * along)
        painted = cv2.blur(colours, (odd(1.8 * layer.width),) * 2)
        looks.append(
            Looks(
                axis,
                ((1 - fixed) * turn)[:, None] / length * along,
                0.5 * (ends[0] + ends[1]),
                (0.5 * (ends[0] - ends[1]))[:, None] * along,
                needed,
                sample(painted, own).astype(np.float32) / np.float32(255),
                np.zeros(len(own), np.float32),
            )
        )
    return looks


def _steadied(hand: Hand, unevenness: np.ndarray) -> np.ndarray:
    """Returns how far broad strokes turn to a hand's own direction in a film, float32 [n], 0 to 1.

    A quiet hand lays even places in one direction, where wide surroundings would make swirls.
    """
    turn = (1 - hand.fixed) * np.interp(hand.quiet, *QUIET_TURN)
    return hand.fixed + np.float32(turn) * evenness(unevenness)


def _turned(axis: np.ndarray, angle: float, share: np.ndarray | float) -> np.ndarray:
    """Turns directions a share of the way to an angle in radians.

    Takes and returns cosine and sine of twice the angle, float32 [n, 2].
    """
    if not np.any(share):
        return axis
    share = np.reshape(share, (-1, 1))
    way = np.array((np.cos(2 * angle), np.sin(2 * angle)), np.float32)
    turned = (1 - share) * axis + share * way
    return (turned / (np.linalg.norm(turned, axis=1, keepdims=True) + 1e-6)).astype(np.float32)


def _measure_plain(
    film: np.ndarray | None, colours: np.ndarray, hand: Hand, layer: Layer, places: np.ndarray
) -> Looks:
    """Measures strokes that don't follow the forms; what those of hatching need is darkness.

    Hatching of a film ends at edges, the less, the more its lines swell. What is left of a
    painter's own picture without its strokes, where `film` is None, has edges that are none:
    strokes go on, and there are no small ones.
    """
    count = len(places)
    side = odd(2 * layer.width) + 2 if layer.tones else 1
    colours = cv2.blur(colours, (side, side))
    painted = sample(colours, places).astype(np.float32) / np.float32(255)
    angle = np.float32(layer.angle or 0.0)
    axis = np.repeat(np.array([[np.cos(2 * angle), np.sin(2 * angle)]], np.float32), count, axis=0)
    reach, lean = np.ones(count, np.float32), np.zeros((count, 2), np.float32)
    if not layer.tones:
        return Looks(axis, lean, reach, lean, reach, painted, 0 * reach)
    light = painted @ LUMINANCE
    if film is not None:
        more = _emphasis(cv2.blur(film, (side, side)))[..., None]
        light = light + sample(more, places)[:, 0]
        along = unit_vectors(axis)
        ends = _reach(blur(film, max(OVER_SMALL, layer.width)), places, layer.length * along)
        reach, lean = 0.5 * (ends[0] + ends[1]), (0.5 * (ends[0] - ends[1]))[:, None] * along
        reach, lean = reach + layer.swell * (1 - reach), (1 - layer.swell) * lean
    need = np.interp(light, *measure_tones(hand)).astype(np.float32)
    if film is None and layer.coarser:
        need = np.zeros_like(need)
    return Looks(axis, np.zeros_like(lean), reach, lean, need, painted, 0 * reach)


def _emphasis(film: np.ndarray) -> np.ndarray:
    """Returns what to add to the light of a frame to tell its parts apart.

    What differs from its surroundings differs more: the same light in another colour would be lost.
    Red and orange count as dark, blue as light, as in the old photographs.

    Args:
        film: uint8 [h, w, 3], in its own colours.

    Returns:
        float32 [h, w], of a light in [0, 1]; less than 0 is darker.
    """
    grey = cv2.transform(film, ORTHOCHROMATIC[None]).astype(np.float32)
    around = blur(grey, SURROUNDING)
    return EMPHASIS * (grey - around) / (around + 75.0)


def _reach(frame: np.ndarray, places: np.ndarray, way: np.ndarray) -> tuple:
    """Returns how far strokes may go before the picture's colour changes, forward and back.

    Each is float32 [n], 0 to 1.
    """
    steps = [side * step for side in (1, -1) for step in REACH_STEPS]
    spots = [places, *(places + np.float32(step) * way for step in steps)]
    own, *there = np.split(sample(frame, np.concatenate(spots)).astype(np.float32), len(spots))
    ends = []
    for side in np.split(np.array(there), 2):
        change = np.abs(side - own)
        change = np.maximum(np.maximum(change[..., 0], change[..., 1]), change[..., 2])
        still_open = np.clip(1.75 - 1.5 / np.float32(255 * EDGE) * change, 0.0, 1.0)
        shares = np.minimum.accumulate(still_open, axis=0).mean(axis=0)
        ends.append(np.float32(0.15) + np.float32(0.85) * shares)
    return tuple(ends)
