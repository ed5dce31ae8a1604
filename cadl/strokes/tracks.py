"""Where strokes lie in every frame: a list that lives through a shot and is carried by the flow.

Strokes are born where the picture is uncovered or stretches, and are gone where it is covered or
crowds, so that their density stays even (the list, not a grid, is what keeps strokes on what they
lie on: Meier 1996, doi 10.1145/237170.237288; Hays & Essa 2004, doi 10.1145/987657.987676). Finer
layers lie only where the coarser ones can't show what is there (Hertzmann 1998, doi
10.1145/280814.280951). Strokes of prints (`Layer.printed`) all move by the flow's median. At a cut
all begin anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cadl.strokes.detail import WANTED, blur, needs, odd, wanted_need
from cadl.strokes.hand import PACKING, Hand, Layer
from cadl.strokes.points import close_pairs, far_from, free_places, sample

import cv2
import numpy as np

Flow = tuple[np.ndarray, np.ndarray]  # forward and backward, as `video.flow.Flow`

# Spacings: a stroke is born where none is nearer than the first; of two strokes in one cell of the
# second's side the younger goes.
BIRTH, CROWDED = 0.83, 0.55
CLOSER = 0.25  # share by which the first is less, and the second more, between perfect rows
# Steps from a stroke in rows to its neighbours, in units of a row's height, and how near others
# may be to a new one.
BRICKS, BESIDE = ((1, 0), (-1, 0), (0.5, 1), (-0.5, 1), (0.5, -1), (-0.5, -1)), 0.8
MOST_ROWS = 16  # that are added on a side in one frame: fast pans need many
FILL_ROUNDS, BIRTH_ROUNDS = 12, 3  # of darts, in a new shot and in each frame
DARTS = 1.5  # thrown in a round, for each that has room
MARGIN = 2.0  # spacings round the frame where strokes live, too
NEIGHBOURHOOD, FEW = 1.6, 4  # of the spacing; fewer older strokes than FEW there, and all is new
DOUBT = (0.01, 0.5)  # of both flows' squares, and in square pixels: both ways should cancel
JUMP = 15.0  # of 255, by which a doubtful stroke's colour must change for it to go
LOST = 4.0  # pixels by which both ways may differ at most, whatever the colour
CROWD_OUT, SUDDEN, LIVES = 2, 0, 1  # what becomes of a stroke in the next frame
LOOSE = 0.6  # of the contrast that a finer stroke needs: born above it, gone below two thirds of it


class Carried(NamedTuple):
    """The strokes of one layer in one frame, those carried on first, older before younger."""

    places: np.ndarray  # float32 [n, 2], x and y in pixels of the tracked frame
    identities: np.ndarray  # int64 [n], never used twice
    fates: np.ndarray  # uint8 [m], what became of each stroke of the frame before
    growing: np.ndarray  # bool [n], born among older strokes: to grow, not to be there at once


@dataclass
class LayerTracker:
    """Follows the strokes of one layer."""

    layer: Layer
    size: tuple[int, int]  # width and height of the frames
    salt: int  # seed of the random numbers
    # places of the strokes in pixels, float32 [n, 2], and their identities, int64 [n]
    places: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.float32))
    identities: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    next_identity: int = 0

    @property
    def metric(self) -> np.ndarray | None:
        """What places are multiplied by, from the right, before distances count: [2, 2]."""
        if self.layer.angle is None or (self.layer.stretch == 1.0 and not self.layer.rows):
            return None
        cos, sin = np.cos(self.layer.angle), np.sin(self.layer.angle)
        along, across = self.layer.stretch**-0.5, self.layer.stretch**0.5
        turn = np.array([[cos, -sin], [sin, cos]])
        return (turn * (along, across)).astype(np.float32)

    @property
    def _rows(self) -> tuple[np.ndarray, float]:
        """The metric of strokes that lie in rows, [2, 2], and the height of a row in its units."""
        assert self.metric is not None
        return self.metric, self.layer.spacing * PACKING**0.5

    @property
    def margin(self) -> float:
        """How far beyond the frame strokes live, in pixels; rows go on from there."""
        margin = max(MARGIN * self.layer.spacing, 0.6 * self.layer.length)
        return margin * self.layer.stretch**0.5 if self.layer.rows else margin

    def begin(self, number: int, need: np.ndarray | None) -> Carried:
        """Lays all strokes anew, in frame `number`; `need` as in `follow`."""
        fates = np.full(len(self.places), SUDDEN, np.uint8)
        self.places, self.identities = self.places[:0], self.identities[:0]
        if self.layer.rows:
            self._lay_rows(number)
        self._fill(number, need, anew=True)
        return Carried(self.places, self.identities, fates, np.zeros(len(self.places), bool))

    def follow(self, number: int, flow: Flow, colours: tuple, need: np.ndarray | None) -> Carried:
        """Carries all strokes into the next frame.

        Args:
            number: of the frame.
            flow: to it.
            colours: the frame before and this one, blurred, uint8 [h, w, 3] each.
            need: contrast that a stroke of this layer would add, float32 [h, w, 1], over what it
                must at least add; None in the broadest layer.
        """
        fates = np.full(len(self.places), LIVES, np.uint8)
        moved = self.places + sample(flow[0], self.places)
        covered = self._covered(moved, flow, colours)
        gone = covered | self._outside(moved)
        if need is not None:
            gone |= sample(need, moved)[:, 0] < 0.67 * LOOSE * wanted_need(self.identities)
        fates[gone] = SUDDEN
        vacated = np.concatenate([self.places[covered], moved[covered]])
        crowded = np.flatnonzero(~gone)[self._crowded(moved[~gone])]
        fates[crowded] = CROWD_OUT
        older = self.places = moved[fates == LIVES]
        self.identities = self.identities[fates == LIVES]
        if self.layer.rows:
            self._go_on_with_rows()
        self._fill(number, need)
        born = self.places[len(older) :]
        growing = np.zeros(len(self.places), bool)
        # What comes in place of a stroke that was there a frame ago must not be a hole at first.
        back = sample(flow[1], born)
        uncovered = _is_doubtful(sample(flow[0], born + back), back)
        replacing = uncovered | (self._count_near(vacated, born) > 0)
        growing[len(older) :] = ~replacing & (self._count_near(older, born) >= FEW)
        return Carried(self.places, self.identities, fates, growing)

    def _outside(self, places: np.ndarray) -> np.ndarray:
        return ~_within(places, -self.margin, np.add(self.size, self.margin))

    def _covered(self, moved: np.ndarray, flow: Flow, colours: tuple) -> np.ndarray:
        """Says which strokes are hidden in the next frame: flow doubtful, and another colour.

        Doubt alone would take strokes everywhere in blurred or even places.
        """
        forward, back = sample(flow[0], self.places), sample(flow[1], moved)
        doubt = _within(moved, 0.0, self.size) & _is_doubtful(forward, back)
        if not doubt.any():
            return doubt
        before, after = colours
        jump = sample(after, moved).astype(np.float32) - sample(before, self.places)
        jump = np.abs(jump - np.median(jump, axis=0)) @ np.full(3, 1 / 3, np.float32)
        return doubt & ((jump > JUMP) | (_squares(forward + back) > LOST**2))

    def _crowded(self, places: np.ndarray) -> np.ndarray:
        """Says which strokes share a small cell with an older one: bool [n]."""
        metric = self.metric
        places = places if metric is None else places @ metric
        side = CROWDED * (1 + CLOSER * self.layer.rows**2) * self.layer.spacing
        cells = np.floor(places / side).astype(np.int64)
        _, first = np.unique(cells[:, 1] * 1_000_000 + cells[:, 0], return_index=True)
        crowded = np.ones(len(places), bool)
        crowded[first] = False
        return crowded

    def _fill(self, number: int, need: np.ndarray | None, anew: bool = False) -> None:
        """Throws darts at what is free, in a new shot more often; of two too near one stays."""
        rng = np.random.default_rng([self.salt, number])
        # Holes between rows that are drawn apart are small.
        distance = BIRTH * (1.0 if anew else 1 - CLOSER * self.layer.rows) * self.layer.spacing
        possible = None if need is None else need[..., 0] > LOOSE * WANTED[0]
        for _ in range(FILL_ROUNDS if anew else BIRTH_ROUNDS):
            # Other rasters find the gaps that one leaves; a shot goes on with always the same one,
            # or a still picture would fill up.
            shift = distance * float(rng.random()) if anew else 0.0
            margin = 0.0 if self.layer.rows else self.margin + shift
            metric = self.metric
            free, side = free_places(self.places, self.size, margin, distance, metric, possible)
            if not len(free):
                return
            count = min(len(free), 8 + int(DARTS * side**2 * len(free) / distance**2))
            darts = free[rng.integers(0, len(free), count)]
            jitter = np.float32(side) * rng.random((count, 2), np.float32)
            darts = darts + (jitter if metric is None else jitter @ np.linalg.inv(metric))
            darts = darts[~self._outside(darts)].astype(np.float32)
            identities = self.next_identity + np.arange(len(darts))
            self.next_identity += len(darts)
            if need is not None:
                lie = sample(need, darts)[:, 0] > LOOSE * wanted_need(identities)
                darts, identities = darts[lie], identities[lie]
            stay = np.ones(len(darts), bool)
            measured = darts if metric is None else darts @ metric
            stay[np.maximum(*close_pairs(measured, distance))] = False
            self.places = np.concatenate([self.places, darts[stay]])
            self.identities = np.concatenate([self.identities, identities[stay]])

    def _lay_rows(self, number: int) -> None:
        """Lays strokes as bricks lie, each row half a step beside the one before it."""
        metric, step = self._rows
        low, high = -self.margin, np.add(self.size, self.margin)
        corners = np.array([[low, low], [high[0], low], [low, high[1]], high]) @ metric
        first, last = np.floor(corners.min(axis=0) / step), np.ceil(corners.max(axis=0) / step)
        x, y = np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last, strict=True)))
        places = step * np.column_stack([(x + 0.5 * (y % 2)).ravel(), y.ravel()])
        jitter = np.random.default_rng([self.salt, number]).random(places.shape) - 0.5
        places = places + (1 - self.layer.rows) * step * jitter
        self._add(places @ np.linalg.inv(metric))

    def _go_on_with_rows(self) -> None:
        """Adds strokes where they are a step from older ones, and no others are near."""
        metric, step = self._rows
        for _ in range(MOST_ROWS):
            older, count = self.places @ metric, len(self.places)
            new = (older[:, None] + step * np.array(BRICKS, np.float32)).reshape(-1, 2)
            new = new[far_from(older, new, BESIDE * step)]
            alone = np.ones(len(new), bool)
            alone[np.maximum(*close_pairs(new, BESIDE * step))] = False
            self._add(new[alone] @ np.linalg.inv(metric))
            if len(self.places) == count:
                return

    def _add(self, places: np.ndarray) -> None:
        """Adds strokes at those of some places that lie on the canvas or near it."""
        places = places[~self._outside(places)].astype(np.float32)
        identities = self.next_identity + np.arange(len(places))
        self.next_identity += len(places)
        self.places = np.concatenate([self.places, places])
        self.identities = np.concatenate([self.identities, identities])

    def _count_near(self, places: np.ndarray, born: np.ndarray) -> np.ndarray:
        """Counts how many of some places, float32 [m, 2], new strokes, [n, 2], have near: [n]."""
        if not len(born):
            return np.zeros(0)
        cell = 0.4 * self.layer.spacing
        corner = born.min(axis=0) - 3 * self.layer.spacing
        size = tuple(((born.max(axis=0) + 3 * self.layer.spacing - corner) / cell).astype(int) + 1)
        old = ((places - corner) / cell).astype(int)
        old = old[((old >= 0) & (old < size)).all(axis=1)]
        counts = np.bincount(old[:, 1] * size[0] + old[:, 0], minlength=size[0] * size[1])
        raster = counts.reshape(size[::-1]).astype(np.float32)
        side = odd(2 * NEIGHBOURHOOD / 0.4)
        round_it = cv2.boxFilter(raster, -1, (side, side), normalize=False)
        x, y = ((born - corner) / cell).astype(int).T
        return round_it[y, x]


def _within(places: np.ndarray, low: float, high) -> np.ndarray:
    """Says which places lie in a rectangle, bool [n]; faster than a reduction over two columns."""
    x, y = places.T
    return (x >= low) & (x <= high[0]) & (y >= low) & (y <= high[1])


def _is_doubtful(forward: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Says where flow there and back, float32 [n, 2] each, does not cancel: bool [n]."""
    motion = _squares(forward) + _squares(back)
    return _squares(forward + back) > DOUBT[0] * motion + DOUBT[1]


def _squares(vectors: np.ndarray) -> np.ndarray:
    return np.einsum("nc,nc->n", vectors, vectors)


class StrokeTracker:
    """Follows all strokes of a video while its frames go by."""

    def __init__(self, hands: Sequence[Hand], size: tuple[int, int]):
        """Takes the hands whose strokes are followed, and the width and height of the frames."""
        self._hands = hands
        layers = [layer for hand in hands for layer in hand.layers()]
        self.trackers = [LayerTracker(layer, size, i) for i, layer in enumerate(layers)]
        self._before: list[np.ndarray] = []

    def see(self, frame: np.ndarray) -> None:
        """Remembers a frame that strokes were followed into before."""
        self._before = [blur(frame, own.layer.width) for own in self.trackers]

    def add(self, number: int, frame: np.ndarray, flow: Flow | None) -> list[Carried]:
        """Returns each layer's strokes in the next frame.

        Args:
            number: of the frame.
            frame: uint8 [h, w, 3].
            flow: from the frame before; None where a shot begins.
        """
        before = self._before
        self.see(frame)
        wanted = [need for hand in self._hands for need in needs(frame, hand.layers(), hand.detail)]
        if flow is None:
            return [
                own.begin(number, need) for own, need in zip(self.trackers, wanted, strict=True)
            ]
        colours = zip(before, self._before, strict=True)
        sheet = _sheet_motion(flow)
        return [
            own.follow(number, sheet if own.layer.printed else flow, both, need)
            for own, both, need in zip(self.trackers, colours, wanted, strict=True)
        ]


def _sheet_motion(flow: Flow) -> Flow:
    """Returns a flow that is the median motion everywhere: how the sheet of a print moves."""
    motion = np.median(flow[0][::4, ::4].reshape(-1, 2), axis=0)
    return np.full_like(flow[0], motion), np.full_like(flow[1], -motion)
