"""The hand learnt from close-ups of a painter's pictures: they are painted again, and compared.

Ground, ink, directions and contours are read from the pictures (`reading.py`). The rest is chosen
from a library of recipes (`recipes.py`) and refined one number at a time. The search is a function
of the close-ups alone.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cadl.strokes import texture
from cadl.strokes.drawing import draw_strokes
from cadl.strokes.flat import draw_areas, find_palette
from cadl.strokes.forms import remove_strokes
from cadl.strokes.hand import CANVAS, RANGES, TRACKED, Hand
from cadl.strokes.looks import Directions, measure_looks
from cadl.strokes.reading import read_pictures
from cadl.strokes.recipes import library
from cadl.strokes.stroke import Strokes
from cadl.strokes.tracks import StrokeTracker

import cv2
import numpy as np

SCALE = CANVAS / TRACKED  # drawn pixels of a close-up for each one that strokes are placed on
BLUR = 5.0  # pixels of a close-up: takes strokes away
FORMS, FORMS_WEIGHT = 8.0, 0.3  # pixels of the blur that leaves forms; weight of losing them
READ = 40  # close-ups that ground, ink and directions are read from, at most
FEW, MANY = 4, 12  # close-ups that recipes of the library, and refined ones, are compared on
FINALISTS, RIVALS, RACED = 5, 3, 7  # recipes compared well; refined; numbers that are refined first
# Tighter bounds, of the search of a brush: longer strokes look like grass, finer ones can't be told
# from the canvas' weave and the scan's grain, and more of them only hide each other. Except in
# washes, strokes need a visible spread of light.
BRUSH_RANGES = {
    "width": (4.0, 60.0), "aspect": (1.0, 6.5), "cover": (0.3, 1.7),
    "detail": (0.04, 0.4), "contour_width": (1.5, 4.0),
}  # fmt: skip
DRY_RANGES = BRUSH_RANGES | {"light": (0.04, 0.3)}
ECONOMY = 0.01  # added to a score where it takes twice as many strokes: of like recipes the broader
FIRST_STEP, LAST_STEP = 0.18, 0.03  # of a number's range
# How long lines of hatching are, and how fine the finest strokes, is chosen from the library: no
# statistic sees it well.
SEARCHED = {
    "brush": "width tilt aspect light soft cover hue sizes fixed bend taper ragged bristles "
    "relief bare detail contour_width".split(),
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
    """Returns how often the number of a brush's strokes doubles, as they are narrower than usual.

    Half the width of the fixed brush counts as twice doubled. Length does not count.
    """
    return max(0.0, 2 * math.log2(Hand().width / hand.width)) if hand.kind == "brush" else 0.0


def _lost_forms(content: np.ndarray, painted: np.ndarray) -> float:
    """Returns how much of the light of forms is lost: 0 none, 1 as much as there is."""
    lights = [
        cv2.GaussianBlur(cv2.cvtColor(own, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), FORMS)
        for own in (content, painted)
    ]
    return float(np.abs(lights[0] - lights[1]).mean() / (lights[0].std() + 5.0))


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
    recipes = library(read_pictures(pictures[:READ]))
    tried = np.linspace(0, len(recipes) - 1, min(len(recipes), max(2, 3 * steps))).astype(int)
    hands = [_within_bounds(recipes[number]) for number in tried]
    pictures = pictures[:MANY]
    scores = score_all(pictures[:FEW], hands)
    order = np.argsort(scores, kind="stable")
    done = -(-len(hands) * min(FEW, len(pictures)) // len(pictures))
    finalists = [hands[i] for i in order[: max(1, min(FINALISTS, steps - done))]]
    scores = score_all(pictures, finalists)
    done += len(finalists)
    order = np.argsort(scores, kind="stable")
    rivals = [Fit(finalists[i], scores[i], done) for i in order[:RIVALS]]
    best = rivals[0]
    yield best
    for number in range(RACED):  # which recipe is best shows when each has been refined a little
        for place, rival in enumerate(rivals):
            names = SEARCHED[rival.hand.kind]
            if done >= steps or number >= len(names):
                continue
            rival = rival._replace(evaluations=done)
            rivals[place] = _refined(rival, names[number], FIRST_STEP, pictures, score_all)
            done = rivals[place].evaluations
            best = min(rivals, key=lambda fit: fit.score)._replace(evaluations=done)
            yield best
    rng, step = np.random.default_rng(0), FIRST_STEP
    while best.evaluations < steps and step > LAST_STEP:
        before = best.score
        for name in rng.permutation(SEARCHED[best.hand.kind]):
            if best.evaluations < steps:
                best = _refined(best, name, step, pictures, score_all)
                yield best
        if best.score == before:
            step /= 2


def _refined(fit: Fit, name: str, step: float, pictures, score_all) -> Fit:
    """Tries two more values of one number of a hand, `step` of its range up and down."""
    hand = fit.hand
    if name == "bare" and hand.under and hand.finest < hand.width:
        return fit  # an underpainting and fine strokes leave no bare ground
    if name == "contour_width" and not hand.contour:
        return fit
    moved = [own for own in (_moved(hand, name, by) for by in (step, -step)) if own != hand]
    if not moved:
        return fit
    scores = score_all(pictures, moved)
    done = fit.evaluations + len(moved)
    best = int(np.argmin(scores))
    if scores[best] < fit.score - 1e-3:
        return Fit(moved[best], scores[best], done)
    return fit._replace(evaluations=done)


def _bounds(hand: Hand) -> dict[str, tuple[float, float]]:
    """Returns the bounds of the search that are tighter than the ranges of a hand."""
    if hand.kind != "brush":
        return {}
    return BRUSH_RANGES if hand.soft else DRY_RANGES


def _within_bounds(hand: Hand) -> Hand:
    """Returns a hand whose numbers are within the bounds of the search."""
    bounds = _bounds(hand).items()
    return dataclasses.replace(
        hand, **{name: min(high, max(low, getattr(hand, name))) for name, (low, high) in bounds}
    )


def _moved(hand: Hand, name: str, by: float) -> Hand:
    """Returns a hand with one number moved by a share of its range."""
    low, high, logarithmic = RANGES[name]
    low, high = _bounds(hand).get(name, (low, high))
    value = getattr(hand, name)
    if logarithmic:
        value = float(np.exp(np.log(value) + by * np.log(high / low)))
    else:
        value = value + by * (high - low)
    value = float(np.clip(value, low, high))
    change: dict[str, Any] = {name: round(value) if name == "colours" else round(value, 4)}
    return _within_bounds(dataclasses.replace(hand, **change))


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
