"""One frame painted: moved toward the painter at its own size, then strokes over it."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cadl.conversion import in_between
from cadl.conversion.clip import Geometry, resize
from cadl.conversion.codes import MovedCodes
from cadl.images.colours import Colours, map_between, soften, softening
from cadl.strokes.drawing import draw_strokes
from cadl.strokes.flat import draw_areas, palette_of
from cadl.strokes.hand import Hand
from cadl.strokes.looks import measure_looks
from cadl.strokes.on_film import build_strokes, calmed, draw_forms, find_wet
from cadl.strokes.stroke import Looks, Manner
from cadl.strokes.track_files import Tracked

import cv2
import numpy as np

CHANGED_EVERY = (2, 4)  # frames whose change is worked out: in full, in a draft
STRIP = 32  # rows that are recoloured at a time


class Moved(NamedTuple):
    """A frame, and how it is moved toward the painter."""

    frame: np.ndarray  # uint8 [h, w, 3], at the size that is painted
    tracked: np.ndarray  # uint8 [h, w, 3], at the size that strokes were followed on
    offset: np.ndarray  # float32 [45, 80, 3], what is added to the frame's tile, in [-1, 1]
    matrix: np.ndarray  # float32 [3, 3], that its RGB is multiplied by from the right
    # colours of flat areas in this shot, float32 [n, 3]; None for other hands
    palette: np.ndarray | None = None
    # the painter's gamut, as in `Colours`, and how far colours are brought into it; None: they stay
    gamut: tuple[np.ndarray, float] | None = None
    share: float = 1.0  # share of the painting; the rest is the film's own frame


@dataclass(frozen=True)
class Brushwork:
    """What a frame needs to be painted beside itself; another process can be given it."""

    geometry: Geometry
    # recipes, and for each the share of its strokes that are drawn over the recipes before it
    hands: tuple[tuple[Hand, float], ...]
    draft: bool = False  # draw without furrows of bristles


def paint(
    brushwork: Brushwork,
    moved: Moved,
    tracked: Sequence[Tracked],
    looks: Sequence[Looks] | None,
    strength: float,
) -> np.ndarray:
    """Paints a frame: uint8 [h, w, 3], at its own size.

    Args:
        brushwork: how.
        moved: by `FramePainter.move`.
        tracked: its strokes, a layer each.
        looks: by `measure`, averaged along the tracks; None: as they are in this frame.
        strength: of the strokes, 0 to 1.
    """
    if moved.share <= 0:
        return moved.frame
    canvas = recolour(brushwork.geometry, moved, moved.frame)
    if strength > 0:
        looks = measure(brushwork, moved, tracked) if looks is None else looks
        canvas = _lay_strokes(canvas, brushwork, moved, tracked, looks, strength)
    if moved.share < 1:
        canvas = cv2.addWeighted(canvas, moved.share, moved.frame, 1 - moved.share, 0)
    return canvas


def _lay_strokes(canvas, brushwork: Brushwork, moved: Moved, tracked, looks, strength: float):
    """Draws strokes, flat areas and small forms over a recoloured frame, uint8 [h, w, 3]."""
    furrows, picture = not brushwork.draft, canvas
    for hand, share, part in _layers_of(brushwork):
        if hand.kind == "flat":
            assert moved.palette is not None
            (points,) = build_strokes(tracked[part], looks[part], hand)
            canvas = draw_areas(canvas, picture, points, moved.palette, hand, share * strength)
            continue
        own = tracked[part], looks[part], hand
        # The colours of a hand that lies on another's strokes don't run, or those would run, too.
        size = brushwork.geometry.tracked_size
        wet = find_wet(*own, size, strength) if share == 1 else None
        strokes = build_strokes(*own, wet)
        canvas = draw_strokes(canvas, strokes, calmed(hand), Manner(strength, share, furrows, wet))
    left = strength
    for hand, share, _ in reversed(list(_layers_of(brushwork))):  # the last one lies on top
        canvas = draw_forms(canvas, moved.frame, hand, left * share)
        left *= 1.0 - share
    return canvas


def _layers_of(brushwork: Brushwork) -> Iterator[tuple[Hand, float, slice]]:
    """Yields each hand, its share, and which layers are its own."""
    first = 0
    for hand, share in brushwork.hands:
        count = len(hand.layers())
        yield hand, share, slice(first, first + count)
        first += count


def measure(
    brushwork: Brushwork,
    moved: Moved,
    tracked: Sequence[Tracked],
    rows: Sequence[np.ndarray] | None = None,
) -> list[Looks]:
    """Measures how the strokes of each layer look in a frame, all or some rows of them."""
    colours = recolour(brushwork.geometry, moved, moved.tracked)
    places = [layer.places for layer in tracked]
    if rows is not None:
        places = [own[some] for own, some in zip(places, rows, strict=True)]
    return [
        look
        for hand, _, part in _layers_of(brushwork)
        for look in measure_looks(moved.tracked, colours, hand, places[part])
    ]


def recolour(geometry: Geometry, moved: Moved, picture: np.ndarray) -> np.ndarray:
    """Moves a picture of the frame, of any size: uint8 [h, w, 3] -> [h, w, 3]."""
    height, width = picture.shape[:2]
    offset = geometry.enlarge_from_tile(255.0 * moved.offset, (width, height))
    recoloured = np.empty_like(picture)
    for top in range(0, height, STRIP):  # a strip fits in the processor's cache
        rows = slice(top, top + STRIP)
        mixed = cv2.transform(picture[rows].astype(np.float32), moved.matrix.T)
        cv2.add(mixed, offset[rows], dst=recoloured[rows], dtype=cv2.CV_8U)
    if not moved.gamut:
        return recoloured
    small = recoloured
    if (width, height) != geometry.tracked_size:  # a small frame tells where colours are too pure
        small = recolour(geometry, moved._replace(gamut=None), moved.tracked)
    scale = softening(small, *moved.gamut)
    if scale is None:
        return recoloured
    return soften(recoloured, cv2.resize(scale, (width, height)))


@dataclass(frozen=True)
class FramePainter:
    """Works out how any frame of a video is moved and painted."""

    brushwork: Brushwork
    # takes moved codes and the frames' own, float32 [N, codes] each; returns offsets, float32
    # [N, 45, 80, 3], and matrices, float32 [N, 3, 3]
    change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    codes: MovedCodes  # moved codes of all frames
    strength: float  # of colours and strokes, from 0 to 1
    shares: np.ndarray  # float32 [N], share of the painting in each frame
    # matrix, float32 [3, 3], and shift, [3], that bring the moved film's colours to the painter's;
    # None: they stay
    palette_map: tuple[np.ndarray, np.ndarray] | None = None
    gamut: np.ndarray | None = None  # the painter's, as `Colours` has it; None: any colour
    # takes a frame's number, returns the colours of its flat areas; None: no hand has flat areas
    palette_at: Callable[[int], np.ndarray] | None = None

    def with_colours(self, frames: np.ndarray, own: np.ndarray, goal: Colours) -> "FramePainter":
        """Adds the map of moved colours to a painter's, found in some frames.

        Args:
            frames: uint8 [n, h, w, 3]; if there are none, there is no map.
            own: their codes, float32 [n, codes].
            goal: the painter's colours.
        """
        if not len(frames):
            return dataclasses.replace(self, gamut=goal.gamut)
        found = map_between(Colours.of(self.recoloured(frames, own)), goal)
        return dataclasses.replace(self, palette_map=found, gamut=goal.gamut)

    def recoloured(self, frames: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Moves single frames, at the size that strokes are followed on.

        Args:
            frames: uint8 [n, h, w, 3].
            own: their codes, float32 [n, codes].

        Returns:
            uint8 [n, h, w, 3].
        """
        moved = self._moved(frames, *self.change(self.codes.moved(own), own))
        return np.stack([recolour(self.brushwork.geometry, one, one.tracked) for one in moved])

    def with_palettes(
        self, shots: np.ndarray, numbers: np.ndarray, pictures: np.ndarray
    ) -> "FramePainter":
        """Adds the colours of flat areas: a shot's are found in one frame, when first asked for.

        Args:
            shots: int [N], number of each frame's shot.
            numbers: int, the frame of each shot in which they are found.
            pictures: uint8 [shots, h, w, 3], these frames, of any size.
        """
        hand = next(own for own, _ in self.brushwork.hands if own.kind == "flat")

        @functools.lru_cache(2)
        def find(shot: int) -> np.ndarray:
            own = self.codes.own(slice(numbers[shot], numbers[shot] + 1))
            (picture,) = self.recoloured(pictures[shot : shot + 1], own)
            return palette_of(picture, hand)

        return dataclasses.replace(self, palette_at=lambda number: find(int(shots[number])))

    def _changes(self, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Returns how frames are changed, as `change`, worked out for some of them."""
        # One frame more than asked for, so that the last one has a neighbour on each side, too.
        around = slice(part.start, min(part.stop + 1, len(self.codes)))
        shots = self.codes.shots[around]
        chosen = in_between.choose(shots, CHANGED_EVERY[self.brushwork.draft])
        changes = self.change(self.codes[around][chosen], self.codes.own(around)[chosen])
        offsets, matrices = (
            in_between.fill_in(chosen, own, shots)[: part.stop - part.start] for own in changes
        )
        return offsets, matrices

    def move(self, first: int, frames: Sequence[np.ndarray]) -> list[Moved]:
        """Works out how neighbouring frames are moved.

        Args:
            first: number of the first frame.
            frames: uint8 [h, w, 3] each, at the size that is painted.
        """
        numbers = np.arange(first, first + len(frames))
        moved = self._moved(frames, *self._changes(slice(first, first + len(frames))))
        return [
            one._replace(
                palette=self.palette_at(number) if self.palette_at else None,
                share=float(self.shares[number]),
            )
            for number, one in zip(numbers.tolist(), moved, strict=True)
        ]

    def _moved(self, frames, offsets, matrices) -> list[Moved]:
        """Puts together how frames are moved, with the map to the painter's colours."""
        tracked = [resize(frame, self.brushwork.geometry.tracked_size) for frame in frames]
        if self.palette_map is not None:
            matrix, shift = self.palette_map
            one = np.eye(3, dtype=np.float32)
            more = one + np.float32(self.strength) * (matrix - one)
            offsets = offsets @ more + np.float32(self.strength) * shift
            matrices = matrices @ more
        gamut = None if self.gamut is None else (self.gamut, self.strength)
        parts = zip(frames, tracked, offsets, matrices, strict=True)
        return [Moved(*part, gamut=gamut) for part in parts]
