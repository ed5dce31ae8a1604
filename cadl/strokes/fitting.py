"""The hand learnt from close-ups of a painter's pictures: they are painted again, and compared.

Ground, ink, directions, contours, quiet and grain are read from the pictures (`reading.py`). The
rest is chosen from a library of recipes (`recipes.py`) and refined one number at a time. The search
is a function of the close-ups and the number of steps alone.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from cadl.strokes.hand import NARROW, RANGES, ROUND, Hand
from cadl.strokes.reading import read_pictures
from cadl.strokes.recipes import library

import numpy as np

READ = 40  # close-ups that are read, at most
# Quarters of close-ups that recipes of the library, and refined ones, are compared on: of as many
# pictures as can be, because the best of some hands on a dozen whole ones was not so on others.
FEW, MANY = 16, 48
FINALISTS, RIVALS, RACED = 5, 3, 8  # recipes compared well; refined; numbers that are refined first
# Tighter bounds, of the search of a brush: longer strokes look like grass, finer ones can't be told
# from the canvas' weave and the scan's grain, and more of them only hide each other; fewer and
# stronger accents look like confetti. Except in washes, strokes need a visible spread of light;
# steps of light and hue are shares of these ranges. More grain would stand for strokes, and fades
# on a film.
BRUSH_RANGES = {
    "width": (4.0, 60.0), "aspect": (1.0, 6.5), "cover": (0.3, 1.7),
    "detail": (0.04, 0.4), "contour_width": (1.5, 4.0), "accents": (1.0, 2.5),
    "light": (0.0, 0.16), "hue": (0.0, 0.12), "grain": (0.0, 0.02),
}  # fmt: skip
DRY_RANGES = BRUSH_RANGES | {"light": (0.04, 0.16)}
DOTTED_RANGES = {"cover": (0.3, 2.4)}  # round strokes on bare ground leave gaps: they lie closer
ROWED_RANGES = {"width": (2.0, 60.0)}  # rows are seen even of strokes that are too fine to be
# Strokes of a narrow brush end within a pixel or two of a close-up: blunt ones look stamped,
# pointed ones like leaves, those with deep furrows, bent or long ones like hair.
NARROW_RANGES = {
    "taper": (0.15, 0.45), "ragged": (0.15, 0.5), "bristles": (0.05, 0.65), "bend": (0.0, 0.2),
    "aspect": (1.0, 4.5),
}  # fmt: skip
FIRST_STEP, LAST_STEP = 0.18, 0.03  # of a number's range
LEAST_GAIN = 1e-3  # by which the score must fall for a number to be changed
# Prints: numbers that are the same for all strokes, and bounds of their cover. With less cover
# pieces of lines don't meet.
ALL_ALIKE = ("sizes", "tilt", "bend", "light")
LINE_RANGES, DOT_RANGES = {"cover": (0.7, 1.3)}, {"cover": (0.7, 2.4)}
WASH_RANGES = {"rim": (0.1, 1.5)}  # without a rim there is no way back to washes
DIRECTED = ("tilt", "fixed", "bend")  # numbers that don't change round strokes

# How long lines of hatching are, and how fine the finest strokes, is chosen from the library: no
# statistic sees it well.
SEARCHED = {
    "brush": "width tilt aspect light accents soft cover hue sizes fixed rows bend taper ragged "
    "bristles relief bare detail contour_width grain".split(),
    "hatching": "width cover sizes tilt bend first_tone last_tone light tint".split(),
    "flat": "contour contour_width colours smooth rim light".split(),
}


Task = tuple[Sequence[np.ndarray], Hand]  # pictures, uint8 [h, w, 3] each, and what paints them


class Fit(NamedTuple):
    """How far a search has come."""

    hand: Hand  # the best hand so far
    # its scores on both halves of the close-ups that it is fitted to
    scores: tuple[float, ...]
    evaluations: int  # number of evaluations so far

    @property
    def score(self) -> float:
        """The mean of both scores."""
        return sum(self.scores) / len(self.scores)


def search(
    pictures: Sequence[np.ndarray],
    steps: int,
    score_all: Callable[[Sequence[Task]], list[float]],
) -> Iterator[Fit]:
    """Searches the hand that painted some close-ups.

    Args:
        pictures: uint8 [h, w, 3] each; the first READ are read, quarters of them are fitted to.
        steps: evaluations in all, of one hand on MANY quarters each.
        score_all: scores hands on pictures, each task by itself, on all cores.

    Yields:
        The best found so far, after every few evaluations.
    """
    recipes = library(read_pictures(pictures[:READ]))
    tried = np.linspace(0, len(recipes) - 1, min(len(recipes), max(2, 3 * steps))).astype(int)
    hands = [_within_bounds(recipes[number]) for number in tried]
    few, halves = _quarters(pictures, FEW), _halves(pictures)

    def score_halves(some: Sequence[Hand]) -> list[tuple[float, ...]]:
        scores = score_all([(half, hand) for hand in some for half in halves])
        return list(zip(scores[::2], scores[1::2], strict=True))

    order = np.argsort(score_all([(few, hand) for hand in hands]), kind="stable")
    done = -(-len(hands) * len(few) // sum(map(len, halves)))
    finalists = [hands[i] for i in order[: max(1, min(FINALISTS, steps - done))]]
    done += len(finalists)
    rivals = [Fit(*own, done) for own in zip(finalists, score_halves(finalists), strict=True)]
    rivals = sorted(rivals, key=lambda fit: fit.score)[:RIVALS]
    best = rivals[0]
    yield best
    for number in range(RACED):  # which recipe is best shows when each has been refined a little
        for place, rival in enumerate(rivals):
            names = SEARCHED[rival.hand.kind]
            if done >= steps or number >= len(names):
                continue
            rival = rival._replace(evaluations=done)
            rivals[place] = _refined(rival, names[number], FIRST_STEP, score_halves)
            done = rivals[place].evaluations
            best = min(rivals, key=lambda fit: fit.score)._replace(evaluations=done)
            yield best
    rng, step = np.random.default_rng(0), FIRST_STEP
    while best.evaluations < steps and step > LAST_STEP:
        before = best.score
        for name in rng.permutation(SEARCHED[best.hand.kind]):
            if best.evaluations < steps:
                best = _refined(best, name, step, score_halves)
                yield best
        if best.score == before:
            step /= 2


def _halves(pictures: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
    """Returns quarters of each half of the pictures, MANY in all at most.

    If there is one picture alone, its own quarters are halved.
    """
    if len(pictures) == 1:
        return [_quarters(pictures, MANY)[half::2] for half in (0, 1)]
    return [_quarters(pictures[half::2], MANY // 2) for half in (0, 1)]


def _quarters(pictures: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Cuts quarters out of pictures, at most `count`: one of each, then another of each."""
    found = []
    for number in range(min(count, 4 * len(pictures))):
        again, place = divmod(number, len(pictures))
        down, right = divmod((place + again) % 4, 2)
        height, width = (own // 2 for own in pictures[place].shape[:2])
        corner = pictures[place][down * height :, right * width :]
        found.append(np.ascontiguousarray(corner[:height, :width]))
    return found


def _refined(fit: Fit, name: str, step: float, score_halves: Callable) -> Fit:
    """Tries two more values of one number of a hand, `step` of its range up and down.

    A value is taken only if it suits both halves of the pictures better: what suits one of them
    alone often fits no others.
    """
    hand = fit.hand
    if name == "bare" and hand.under and hand.finest < hand.width:
        return fit  # an underpainting and fine strokes leave no bare ground
    if (name == "contour_width" and not hand.contour) or (name == "rows" and not hand.rows):
        return fit
    if hand.washes and name.startswith("contour"):
        return fit  # contours would stand for rims
    if hand.kind == "flat" and not hand.washes and name in ("rim", "light"):
        return fit  # areas become no washes: those are a recipe of the library
    if hand.aspect == 1 and not hand.bristles and name in DIRECTED:
        return fit
    if (hand.swell and name in ALL_ALIKE) or (name == "last_tone" and len(hand.directions) == 1):
        return fit
    moved = [own for own in (_moved(hand, name, by) for by in (step, -step)) if own != hand]
    done = fit.evaluations + len(moved)
    better = [
        Fit(hand, scores, done)
        for hand, scores in zip(moved, score_halves(moved), strict=True)
        if all(new < old for new, old in zip(scores, fit.scores, strict=True))
    ]
    best = min(better, key=lambda own: own.score, default=fit)
    return best if best.score < fit.score - LEAST_GAIN else fit._replace(evaluations=done)


def _bounds(hand: Hand) -> dict[str, tuple[float, float]]:
    """Returns the bounds of the search that are tighter than the ranges of a hand."""
    if hand.swell:
        return LINE_RANGES if hand.aspect > ROUND else DOT_RANGES
    if hand.kind != "brush":
        return WASH_RANGES if hand.washes else {}
    bounds = BRUSH_RANGES if hand.soft else DRY_RANGES
    if hand.bare == 1:
        bounds = bounds | DOTTED_RANGES
    if hand.rows:
        bounds = bounds | ROWED_RANGES
    return bounds | NARROW_RANGES if hand.bristles and hand.width < NARROW else bounds


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
