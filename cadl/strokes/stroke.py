"""What is known of the strokes of one layer in one frame, before they have a shape."""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

from cadl.strokes.points import hashed
from cadl.strokes.surface import Wet

import numpy as np

SOME = 900  # of the random numbers that say which strokes are some


@dataclass(frozen=True)
class Looks:
    """What strokes of one layer look like in one frame; n strokes.

    Quantities that change their sign with the direction's are kept as vectors along it, so that
    half a turn of a stroke changes nothing.
    """

    axis: np.ndarray  # float32 [n, 2], cosine and sine of twice the angle, clockwise from the right
    # float32 [n, 2], radians per pixel that the direction turns, along the direction
    bend: np.ndarray
    reach: np.ndarray  # float32 [n], share of its length that a stroke may have, 0 to 1
    # float32 [n, 2], reach forward less reach back, along the direction
    lean: np.ndarray
    # float32 [n], contrast that a stroke adds, over the least that it must add; a stroke is whole
    # above 1. For broad strokes of a brush: unevenness of the picture near them, from 0. For points
    # of flat areas: how clear edges near them are (`detail.clearness`)
    need: np.ndarray
    colours: np.ndarray  # float32 [n, 3], RGB in [0, 1]
    speed: np.ndarray  # float32 [n], pixels that a stroke moves in a frame

    def table(self) -> np.ndarray:
        """Returns all as columns, float32 [n, 12]."""
        columns = (self.axis, self.bend, self.reach[:, None], self.lean, self.need[:, None])
        return np.concatenate([*columns, self.colours, self.speed[:, None]], axis=1)

    def at(self, rows: np.ndarray) -> "Looks":
        """Returns the looks of some strokes: their rows, int [m], or bool [n]."""
        return Looks(*(getattr(self, own.name)[rows] for own in dataclasses.fields(self)))

    @classmethod
    def of_table(cls, table: np.ndarray) -> "Looks":
        """Takes the columns apart again."""
        parts = np.split(table, (2, 4, 5, 7, 8, 11), axis=1)
        axis, bend, reach, lean, need, colours, speed = parts
        return cls(axis, bend, reach[:, 0], lean, need[:, 0], colours, speed[:, 0])


@dataclass(frozen=True)
class Strokes:
    """The strokes of one layer in one frame; n strokes."""

    places: np.ndarray  # float32 [n, 2], in pixels of the tracked frame
    identities: np.ndarray  # int64 [n]
    # float32 [n], size over the usual one: less when just born or about to be crowded out, above 1
    # for broad strokes in even places of a film, 0 for those that are left out there
    growth: np.ndarray
    looks: Looks
    broadest: float = 1.0  # growth of the largest strokes that the layer may have
    # float32 [n], share of their differences in light, hue and height that strokes lose where they
    # are; None: they lose nothing
    calm: np.ndarray | None = None
    # float32 [n], how far accents are made like other strokes, 0 to 1; None: not at all
    alike: np.ndarray | None = None

    def at(self, rows: np.ndarray) -> "Strokes":
        """Returns some strokes: their rows, int [m], or bool [n]."""
        return Strokes(
            self.places[rows], self.identities[rows], self.growth[rows], self.looks.at(rows),
            self.broadest, *(own if own is None else own[rows] for own in (self.calm, self.alike)),
        )  # fmt: skip

    def some(self, share: float) -> "Strokes":
        """Returns a share of the strokes, always the same ones."""
        if share >= 1:
            return self
        return self.at(hashed(self.identities, 1, SOME)[:, 0] < share)


def unit_vectors(axis: np.ndarray) -> np.ndarray:
    """Returns the direction of doubled angles: float32 [n, 2] -> [n, 2], pointing right."""
    angle = 0.5 * np.arctan2(axis[:, 1], axis[:, 0])
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


class Manner(NamedTuple):
    """How the strokes of a picture are laid."""

    strength: float = 1.0  # 0 draws nothing, 1 strokes of full size
    share: float = 1.0  # of the strokes that are drawn
    furrows: bool = True  # draw those of bristles; a draft has none
    wet: Wet | None = None  # where colours run into each other; None: nowhere


WHOLE = Manner()  # all strokes, of full size
