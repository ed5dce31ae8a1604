"""A painter's close-ups painted again, and how far they are from the true ones."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cadl.strokes import texture
from cadl.strokes.drawing import draw_strokes
from cadl.strokes.flat import draw_areas, find_palette
from cadl.strokes.forms import remove_strokes
from cadl.strokes.hand import CANVAS, TRACKED, Hand
from cadl.strokes.looks import Directions, measure_looks
from cadl.strokes.stroke import Strokes
from cadl.strokes.surface import show_canvas
from cadl.strokes.tracks import StrokeTracker

import cv2
import numpy as np

SCALE = CANVAS / TRACKED  # drawn pixels of a close-up for each one that strokes are placed on
# Pixels of a close-up: the first takes strokes away, so that drawn ones must make up for all; flat
# areas have none, and keep smaller forms.
BLUR, AREAS_BLUR = 8.0, 5.0
FORMS, FORMS_WEIGHT = 8.0, 0.3  # pixels of the blur that leaves forms; weight of losing them
# Added to a score where it takes twice as many strokes: of like recipes the broader one is better.
ECONOMY = 0.005


class CloseUp(NamedTuple):
    """A painter's close-up, prepared to be painted again."""

    content: np.ndarray  # uint8 [h, w, 3], the close-up without strokes
    areas: np.ndarray  # uint8 [h, w, 3], the same with smaller forms, for flat areas
    forms: np.ndarray  # uint8 [h, w, 3], the close-up itself, for the directions of strokes

    @classmethod
    def of(cls, picture: np.ndarray) -> "CloseUp":
        """Takes the strokes away from a picture."""
        content, areas = (remove_strokes(picture, radius) for radius in (BLUR, AREAS_BLUR))
        return cls(content, areas, picture)


def paint_close_up(close_up: CloseUp, hand: Hand) -> np.ndarray:
    """Paints a close-up's content: uint8 [h, w, 3]."""
    content = close_up.areas if hand.kind == "flat" else close_up.content
    height, width = content.shape[:2]
    size = round(width / SCALE), round(height / SCALE)
    small, forms = (
        cv2.resize(own, size, interpolation=cv2.INTER_AREA) for own in (content, close_up.forms)
    )
    carried = StrokeTracker([hand], size).add(0, small, None)
    looks = measure_looks(small, small, hand, [own.places for own in carried], forms)
    strokes = [
        Strokes(own.places, own.identities, np.ones(len(own.places), np.float32), look)
        for own, look in zip(carried, looks, strict=True)
    ]
    if hand.kind == "flat":
        palette = find_palette(content, max(3, round(0.6 * hand.colours)))
        painted = draw_areas(content, content, strokes[0], palette, hand, scale=SCALE)
        return show_canvas(painted, hand.grain, scale=1.0)
    painted = draw_strokes(content, strokes, hand, scale=SCALE)
    return show_canvas(painted, hand.grain, scale=1.0)


@dataclass(frozen=True)
class Judge:
    """Scores hands on close-ups."""

    close_ups: Sequence[CloseUp]  # pictures that each hand paints again
    fields: Sequence[np.ndarray]  # float32 [h, w, 2] each, directions as doubled angles
    true: dict[str, np.ndarray]  # description of the true pictures
    bare: dict[str, float]  # distances of the contents to the true pictures
    seed: int = 1  # for the projections of patches

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
        surface = texture.score(texture.distances(found, self.true), self.bare, self.true)
        if hand.kind == "flat" and not hand.washes:
            return surface  # areas keep forms, and contours darken what is dark of contours
        lost = np.mean([_lost_forms(own.content, x) for own, x in zip(self.close_ups, painted)])
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


def score_hand(pictures: Sequence[np.ndarray], hand: Hand, seed: int = 1) -> float:
    """Scores one hand, in any process, by the judge of some close-ups, uint8 [h, w, 3] each."""
    judge = _judge(tuple(own.tobytes() for own in pictures), pictures[0].shape, seed)
    return judge.score(hand)


@functools.lru_cache(5)
def _judge(pictures: tuple[bytes, ...], shape: tuple, seed: int) -> Judge:
    """Returns the judge of some close-ups; the last few are kept."""
    return Judge.of([np.frombuffer(own, np.uint8).reshape(shape) for own in pictures], seed)
