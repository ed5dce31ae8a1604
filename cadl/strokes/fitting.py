"""The hand learnt from close-ups of a painter's pictures: they are painted again, and compared.

Ground, ink and directions of hatching are read from the pictures. The rest is chosen from a library
of recipes and refined one number at a time. The search is a function of the close-ups alone.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cadl.images.metrics import LUMINANCE
from cadl.strokes import texture
from cadl.strokes.drawing import Strokes, draw_strokes
from cadl.strokes.flat import draw_areas, find_palette
from cadl.strokes.forms import remove_strokes
from cadl.strokes.hand import CANVAS, MAX_DIRECTIONS, RANGES, TRACKED, Colour, Hand
from cadl.strokes.looks import Directions, measure_looks
from cadl.strokes.tracks import StrokeTracker

import cv2
import numpy as np

SCALE = CANVAS / TRACKED  # drawn pixels of a close-up for each one that strokes are placed on
BLUR = 5.0  # pixels of a close-up: takes strokes away
COMMON = 0.015  # share of most pictures from which on a colour is their ground, or their ink
FORMS, FORMS_WEIGHT = 8.0, 0.2  # pixels of the blur that leaves forms; weight of losing them
READ = 40  # close-ups that ground, ink and directions are read from, at most
ANGLES, SPREAD = 72, 0.17  # places of a histogram; radians by which lines of one direction differ
TONE_SHARES = (1.0, 0.3, 0.12, 0.06, 0.02, 0.0)  # of all lines, from the lightest places on
CLEAR_PEAK = 1.0  # lines that nothing explains, over the mean of all, from which they count
FEW, MANY = 4, 12  # close-ups that recipes of the library, and refined ones, are compared on
FINALISTS = 5
# Tighter bounds, of the search of a brush: longer strokes look like grass, finer ones can't be told
# from the canvas' weave and the scan's grain, more of them only hide each other, and where they
# differ more in light, nothing can be made out.
BRUSH_RANGES = {
    "aspect": (1.0, 8.0), "finest": (2.0, 60.0), "cover": (0.3, 3.0), "detail": (0.04, 0.4),
    "light": (0.0, 0.05),
}  # fmt: skip
ECONOMY = 0.01  # added to a score where it takes twice as many strokes: of like recipes the broader
FIRST_STEP, LAST_STEP = 0.18, 0.03  # of a number's range
# How long lines of hatching are is chosen from the library: no statistic sees it well.
SEARCHED = {
    "brush": "width aspect finest cover sizes tilt fixed bend taper ragged bristles relief soft "
    "light hue bare detail".split(),
    "hatching": "width cover sizes tilt bend first_tone last_tone light tint".split(),
    "flat": "contour contour_width colours smooth".split(),
}


class CloseUp(NamedTuple):
    """A painter's close-up, and what is to be painted again.

    Attributes:
        picture: uint8 [h, w, 3], true.
        content: uint8 [h, w, 3], without strokes.
        forms: uint8 [h, w, 3], what directions come from.
    """

    picture: np.ndarray
    content: np.ndarray
    forms: np.ndarray

    @classmethod
    def of(cls, picture: np.ndarray) -> "CloseUp":
        """Takes the strokes away from a picture."""
        return cls(picture, remove_strokes(picture, BLUR), picture)


def paint_close_up(close_up: CloseUp, hand: Hand) -> np.ndarray:
    """Paints a close-up's content: uint8 [h, w, 3]."""
    height, width = close_up.content.shape[:2]
    size = round(width / SCALE), round(height / SCALE)
    small, forms = (
        cv2.resize(own, size, interpolation=cv2.INTER_AREA)
        for own in (close_up.content, close_up.forms)
    )
    carried = StrokeTracker([hand], size).add(0, small, None)
    looks = measure_looks(small, small, hand, [own.places for own in carried], forms)
    if hand.kind == "flat":
        palette = find_palette(close_up.content, max(3, round(0.6 * hand.colours)))
        return draw_areas(
            close_up.content, carried[0].places, looks[0].colours, palette, hand, 1.0, SCALE
        )
    strokes = [
        Strokes(own.places, own.identities, np.ones(len(own.places), np.float32), look)
        for own, look in zip(carried, looks, strict=True)
    ]
    return draw_strokes(close_up.content, strokes, hand, scale=SCALE)


@dataclass(frozen=True)
class Judge:
    """Scores hands on close-ups.

    Attributes:
        close_ups: what is painted again.
        fields: directions along the forms of each.
        true: description of the true pictures.
        bare: distances of the contents to them.
        seed: of the projections of patches.
    """

    close_ups: Sequence[CloseUp]
    fields: Sequence[np.ndarray]
    true: dict[str, np.ndarray]
    bare: dict[str, float]
    seed: int = 1

    @classmethod
    def of(cls, pictures: Sequence[np.ndarray], seed: int = 1) -> "Judge":
        """Prepares what all hands are compared with: uint8 [h, w, 3] each."""
        close_ups = [CloseUp.of(picture) for picture in pictures]
        fields = [Directions(own.content).field for own in close_ups]
        fields = [own / (np.linalg.norm(own, axis=2, keepdims=True) + 1e-12) for own in fields]
        true = texture.describe(pictures, fields, seed)
        contents = texture.describe([own.content for own in close_ups], fields, seed)
        return cls(close_ups, fields, true, texture.distances(contents, true), seed)

    def score(self, hand: Hand) -> float:
        """Returns how far the repainted close-ups are from the true ones: 0 alike, 1 unpainted."""
        painted = [paint_close_up(own, hand) for own in self.close_ups]
        found = texture.describe(painted, self.fields, self.seed)
        lost = np.mean([_lost_forms(own.content, x) for own, x in zip(self.close_ups, painted)])
        surface = texture.score(texture.distances(found, self.true), self.bare)
        return surface + FORMS_WEIGHT * float(lost) + ECONOMY * _many_strokes(hand)


def _many_strokes(hand: Hand) -> float:
    """Returns how often a brush's stroke must be doubled to be as large as the fixed brush's."""
    fixed = Hand()
    size = hand.width**2 * hand.aspect / (fixed.width**2 * fixed.aspect)
    return max(0.0, -math.log2(size)) if hand.kind == "brush" else 0.0


def _lost_forms(content: np.ndarray, painted: np.ndarray) -> float:
    """Returns how much of the light of forms is lost: 0 none, 1 as much as there is."""
    lights = [
        cv2.GaussianBlur(cv2.cvtColor(own, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), FORMS)
        for own in (content, painted)
    ]
    return float(np.abs(lights[0] - lights[1]).mean() / (lights[0].std() + 5.0))


class Reading(NamedTuple):
    """What is read from a painter's pictures without a search.

    Attributes:
        ground: their lightest colour, RGB in [0, 1].
        ink: their darkest.
        directions: of lines that lie the same way everywhere, in radians.
    """

    ground: Colour
    ink: Colour
    directions: tuple[float, ...]


def read_pictures(pictures: Sequence[np.ndarray]) -> Reading:
    """Reads ground, ink and directions from close-ups, uint8 [h, w, 3] each."""
    return Reading(
        _common_colour(pictures, lightest=True),
        _common_colour(pictures, lightest=False),
        _find_directions(pictures),
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
                bumps = np.stack([_bump(places, own) for own in found], axis=1)
                shares = np.maximum(np.linalg.lstsq(bumps, counts, rcond=None)[0], 0.0)
                left = counts - bumps @ shares
            left = cv2.GaussianBlur(np.tile(left, 3)[None], (0, 0), 1.5)[0, ANGLES : 2 * ANGLES]
            best = int(left.argmax())
            if left[best] < CLEAR_PEAK or any(_apart(places[best], own) < 0.3 for own in found):
                break
            found.append(round(float(places[best]), 3))
    return tuple(found) or (0.75,)


def _bump(places: np.ndarray, angle: float) -> np.ndarray:
    """Returns how lines of one direction spread over measured angles."""
    return np.exp(-0.5 * np.square(_apart(places, angle) / SPREAD))


def _apart(a, b):
    """Returns how far angles of lines are apart, 0 to a quarter turn."""
    return abs((a - b + np.pi / 2) % np.pi - np.pi / 2)


def library(reading: Reading) -> list[Hand]:
    """Returns the recipes that a search begins with, in the painter's own colours."""
    own = reading._asdict()
    plain: dict[str, Any] = {"bristles": 0.0, "relief": 0.0, "ragged": 0.0}
    brush = Hand(**own)
    dots = dataclasses.replace(
        brush, **plain, aspect=1.0, tilt=1.0, bend=0.0, under=0.0, finest=60.0, sizes=0.15,
        taper=0.3, bare=1.0, light=0.1, hue=0.07, cover=1.7,
    )  # fmt: skip
    pencil = Hand(
        kind="hatching", **own, **plain, width=1.3, aspect=22.0, cover=0.35, sizes=0.3, tilt=0.04,
        bend=0.1, taper=0.1, light=0.06, hue=0.0,
    )  # fmt: skip
    stipple = dataclasses.replace(pencil, aspect=1.2, width=2.4, tilt=1.0, cover=0.4)
    chalk = dataclasses.replace(pencil, ground=reading.ink, ink=reading.ground, width=1.8)
    stones = dataclasses.replace(
        dots, width=9.0, aspect=1.2, tilt=0.05, fixed=1.0, taper=0.0, cover=1.1, hue=0.03
    )
    flat = Hand(kind="flat", **own)
    variants: list[tuple[Hand, list[dict[str, Any]]]] = [
        (brush, [
            {},
            {"width": 4.4, "aspect": 5.2, "finest": 2.0, "light": 0.06},
            {"width": 7.0, "aspect": 5.0, "finest": 2.4, "light": 0.06},
            {"width": 3.4, "aspect": 3.0, "finest": 2.0, "light": 0.05, "tilt": 0.3},
            {"width": 5.0, "aspect": 2.0, "finest": 2.0, "light": 0.07, "tilt": 0.4},
            {"width": 10.0, "aspect": 2.5, "finest": 3.0, "light": 0.05, "bristles": 0.8},
            {"width": 26.0, "aspect": 2.4, "taper": 0.0, "ragged": 0.25, "relief": 0.9,
             "finest": 8.0},
            {"width": 12.0, "aspect": 7.0, "finest": 3.0, "bend": 0.6},
            {"width": 5.0, "aspect": 7.0, "finest": 2.0, "light": 0.08, "taper": 0.8},
            {"width": 4.0, "aspect": 4.0, "finest": 2.0, "bare": 0.6, "under": 0.0, "cover": 1.3},
            {"width": 22.0, "aspect": 2.0, "soft": 2.5, **plain, "light": 0.02, "finest": 8.0},
            {"width": 8.0, "aspect": 3.0, "soft": 1.2, **plain, "light": 0.04, "finest": 3.0},
            {"width": 3.0, "aspect": 3.0, "soft": 0.7, "light": 0.04, "finest": 2.0},
            {"width": 26.0, "aspect": 2.4, "taper": 0.0, "tilt": 1.0, "finest": 8.0, **plain},
            {"width": 40.0, "aspect": 1.6, "soft": 7.0, **plain, "light": 0.02, "finest": 20.0},
            {"width": 6.0, "aspect": 5.0, "fixed": 1.0, "finest": 3.0, "light": 0.06},
        ]),
        (dots, [{"width": 5.4}, {"width": 9.0}, {"width": 3.5}, {"width": 14.0},
                {"width": 9.0, "aspect": 1.8, "tilt": 0.4}]),
        (pencil, [{}, {"width": 1.0, "cover": 0.25, "first_tone": 0.0, "last_tone": 0.7},
                  {"width": 0.8, "cover": 0.25, "aspect": 36.0},
                  {"cover": 0.7}, {"width": 2.2, "aspect": 14.0}, {"tint": 1.0},
                  {"width": 1.8, "tint": 1.0, "cover": 0.8}]),
        (stipple, [{}, {"width": 4.5}, {"tint": 1.0}]),
        (chalk, [{}, {"tint": 0.6}, {"tint": 1.0, "width": 3.0, "cover": 0.6}]),
        (stones, [{}, {"width": 16.0}]),
        (flat, [{}, {"contour": 1.0}, {"contour": 1.0, "contour_width": 4.0, "smooth": 5.0},
                {"smooth": 6.0, "colours": 7}]),
    ]  # fmt: skip
    return [dataclasses.replace(base, **change) for base, changes in variants for change in changes]


class Fit(NamedTuple):
    """How far a search has come.

    Attributes:
        hand: the best so far.
        score: of it, on the close-ups that are fitted to.
        evaluations: made so far.
    """

    hand: Hand
    score: float
    evaluations: int


def search(
    pictures: Sequence[np.ndarray],
    steps: int,
    score_all: Callable[[Sequence[np.ndarray], Sequence[Hand]], list[float]],
) -> Iterator[Fit]:
    """Searches the hand that painted some close-ups.

    Args:
        pictures: uint8 [h, w, 3] each; all are read, the first MANY are fitted to.
        steps: evaluations in all, of one hand on MANY close-ups each.
        score_all: scores several hands on some close-ups, in any order, on all cores.

    Yields:
        The best found so far, after every few evaluations.
    """
    hands = library(read_pictures(pictures[:READ]))[: max(2, 2 * steps)]
    pictures = pictures[:MANY]
    scores = score_all(pictures[:FEW], hands)
    order = np.argsort(scores, kind="stable")
    done = -(-len(hands) * min(FEW, len(pictures)) // len(pictures))
    finalists = [hands[i] for i in order[: max(1, min(FINALISTS, steps - done))]]
    scores = score_all(pictures, finalists)
    done += len(finalists)
    best = int(np.argmin(scores))
    hand, lowest = finalists[best], scores[best]
    yield Fit(hand, lowest, done)
    rng, step = np.random.default_rng(0), FIRST_STEP
    while done < steps and step > LAST_STEP:
        better = False
        for name in rng.permutation(SEARCHED[hand.kind]):
            tried = [
                own for own in (_moved(hand, name, sign * step) for sign in (1, -1)) if own != hand
            ]
            if not tried or done >= steps:
                continue
            scores = score_all(pictures, tried)
            done += len(tried)
            best = int(np.argmin(scores))
            if scores[best] < lowest - 1e-3:
                hand, lowest, better = tried[best], scores[best], True
            yield Fit(hand, lowest, done)
        if not better:
            step /= 2


def _moved(hand: Hand, name: str, by: float) -> Hand:
    """Returns a hand with one number moved by a share of its range."""
    low, high, logarithmic = RANGES[name]
    if hand.kind == "brush":
        low, high = BRUSH_RANGES.get(name, (low, high))
    value = getattr(hand, name)
    if logarithmic:
        value = float(np.exp(np.log(value) + by * np.log(high / low)))
    else:
        value = value + by * (high - low)
    value = float(np.clip(value, low, high))
    change: dict[str, Any] = {name: round(value) if name == "colours" else round(value, 4)}
    return dataclasses.replace(hand, **change)


def score_hand(pictures: Sequence[np.ndarray], hand: dict[str, Any], seed: int = 1) -> float:
    """Scores one hand, as `Hand.to_json` gives it, in any process."""
    return _judge(tuple(own.tobytes() for own in pictures), pictures[0].shape, seed).score(
        Hand.from_json(json.loads(json.dumps(hand)), "hand")
    )


def _judge(pictures: tuple[bytes, ...], shape: tuple, seed: int) -> Judge:
    """Returns the judge of some close-ups; the last few are kept."""
    key = (pictures, seed)
    if key not in _JUDGES:
        if len(_JUDGES) > 4:
            _JUDGES.clear()
        _JUDGES[key] = Judge.of(
            [np.frombuffer(own, np.uint8).reshape(shape) for own in pictures], seed
        )
    return _JUDGES[key]


_JUDGES: dict[tuple, Judge] = {}
