"""Looks of strokes averaged along their tracks, so that nothing lags and nothing flickers."""

from collections.abc import Iterator
from dataclasses import dataclass

from cadl.strokes.tracks import LIVES

import numpy as np

DEVIATION, WINDOW = 6.0, 14  # frames: of the average along tracks, and its reach to each side
OF_PRINTS = 0.7  # frames: deviation for prints, whose strokes stay while the film moves on
MEASURED_EVERY = 2  # frames; between these only new strokes are measured
OLD = np.float32(1e-6)  # weight of what was measured before; it counts where there is nothing else


@dataclass
class _Seen:
    """A frame as `TrackAverager` keeps it."""

    # float32 [n, c + 1], measurements times their weight, and the weight: 1, or OLD for a stroke
    # that keeps its last measurement
    own: np.ndarray
    all_measured: bool  # whether all strokes were measured in this frame
    # by side (1 after, -1 before): rows of the strokes in the neighbouring frame, int [n]; -1: none
    links: dict[int, np.ndarray]
    # by side: distance in frames to the next frame whose strokes were all measured, and rows there
    hops: dict[int, tuple[int, np.ndarray]]


class TrackAverager:
    """Averages tables of a layer along its tracks with a Gaussian window, to both sides alike.

    What it returns for a frame depends on the frames within WINDOW alone.
    """

    def __init__(self, printed: bool = False) -> None:
        """Takes whether the layer is one of a print (`Layer.printed`)."""
        frames = np.arange(WINDOW + 1) / (OF_PRINTS if printed else DEVIATION)
        self._weights = np.exp(-0.5 * frames**2).astype(np.float32)
        self._frames: list[_Seen] = []
        self._centre = 0

    def add(
        self, table: np.ndarray, rows: np.ndarray | None, fates: np.ndarray, count: int
    ) -> np.ndarray | None:
        """Adds the next frame's table.

        Args:
            table: float32 [m, c], of some strokes.
            rows: int [m], which these are; None for all.
            fates: uint8 [k], what became of each stroke of the frame before; those that live on
                come first in the new frame, in the same order.
            count: n, how many strokes the frame has.

        Returns:
            The averaged table of the frame WINDOW before, float32 [n, c]; None at the beginning.
        """
        own = np.zeros((count, table.shape[1] + 1), np.float32)
        own[slice(None) if rows is None else rows] = np.column_stack([table, np.ones(len(table))])
        seen = _Seen(own, rows is None, {}, {})
        if self._frames:
            lives = fates == LIVES
            carried = np.flatnonzero(lives)
            self._frames[-1].links[1] = np.where(lives, np.cumsum(lives) - 1, -1)
            seen.links[-1] = np.full(count, -1)
            seen.links[-1][: len(carried)] = carried
            if rows is not None:
                before = self._frames[-1].own[carried]
                own[: len(carried)] = before * np.where(before[:, -1:] == 1, OLD, np.float32(1))
        self._frames.append(seen)
        return self._average() if len(self._frames) - 1 - self._centre >= WINDOW else None

    def finish(self) -> Iterator[np.ndarray]:
        """Yields the averaged tables of the last frames."""
        while self._centre < len(self._frames):
            yield self._average()

    def _average(self) -> np.ndarray:
        frames, centre = self._frames, self._centre
        total = frames[centre].own * self._weights[0]
        for side in (1, -1):
            at, rows = centre, None
            while (hop := self._hop(at, side)) and abs(at + side * hop[0] - centre) <= WINDOW:
                at += side * hop[0]
                rows = hop[1] if rows is None else _chain(rows, hop[1])
                who = np.flatnonzero(rows >= 0)
                total[who] += self._weights[abs(at - centre)] * frames[at].own[rows[who]]
        if centre < WINDOW:
            self._centre += 1
        else:
            del frames[0]
        return total[:, :-1] / total[:, -1:]

    def _hop(self, at: int, side: int) -> tuple[int, np.ndarray] | None:
        """Returns a frame's hop to one side; None if no such frame is known."""
        frames, hops = self._frames, self._frames[at].hops
        if side not in hops:
            there, rows = at, None
            while rows is None or not frames[there].all_measured:
                link = frames[there].links.get(side)
                there += side
                if link is None or there < 0:
                    return None
                rows = link if rows is None else _chain(rows, link)
            hops[side] = abs(there - at), rows
        return hops[side] if at + side * hops[side][0] >= 0 else None


def _chain(rows: np.ndarray, link: np.ndarray) -> np.ndarray:
    """Follows rows, -1 where gone, over one more link."""
    return np.where(rows >= 0, link[rows], -1) if len(link) else np.full(len(rows), -1)
