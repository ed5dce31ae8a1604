"""One frame painted: moved toward the painter at its own size, then strokes over it."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cadl.conversion import in_between
from cadl.conversion.brushwork import Brushwork, lay_strokes
from cadl.conversion.clip import Geometry, resize
from cadl.conversion.codes import MovedCodes, Shots
from cadl.conversion.recolouring import Recolouring, recolour
from cadl.images.colours import UNCHANGED, ColourMap, Colours, map_between
from cadl.images.metrics import LUMINANCE
from cadl.strokes.flat import palette_of
from cadl.strokes.looks import measure_looks
from cadl.strokes.stroke import Looks
from cadl.strokes.track_files import Tracked

import cv2
import numpy as np

SHIFTED_EVERY = (2, 4)  # frames whose shift is worked out: in full, in a draft
# Share of the VAE's shift that frames take: the map that follows would amplify the VAE's errors.
SHIFTED = 0.5
SHOTS_APART = 0.7  # share of the differences between shots' mean colours that stays
# How far the mean light of a shot may lie from the painter's: so many times what the painter's own
# tiles differ by, or the second number, of 1, if that is more.
MOST_APART = 1.5, 0.1


class Moved(NamedTuple):
    """A frame, and how it is moved toward the painter."""

    frame: np.ndarray  # uint8 [h, w, 3], at the size that is painted
    tracked: np.ndarray  # uint8 [h, w, 3], at the size that strokes were followed on
    recolouring: Recolouring
    # colours of flat areas in this shot, float32 [n, 3]; None for other hands
    palette: np.ndarray | None = None
    share: float = 1.0  # share of the painting; the rest is the film's own frame

    def recoloured(self, geometry: Geometry, picture: np.ndarray) -> np.ndarray:
        """Returns a picture of the frame, of any size, in its new colours: uint8 [h, w, 3]."""
        return recolour(geometry, self.recolouring, picture, self.tracked)


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
    canvas = moved.recoloured(brushwork.geometry, moved.frame)
    if strength > 0:
        looks = measure(brushwork, moved, tracked) if looks is None else looks
        canvas = lay_strokes(
            canvas, moved.frame, brushwork, tracked, looks, strength, moved.palette
        )
    if moved.share < 1:
        canvas = cv2.addWeighted(canvas, moved.share, moved.frame, 1 - moved.share, 0)
    return canvas


def measure(
    brushwork: Brushwork,
    moved: Moved,
    tracked: Sequence[Tracked],
    rows: Sequence[np.ndarray] | None = None,
) -> list[Looks]:
    """Measures how the strokes of each layer look in a frame, all or some rows of them."""
    colours = moved.recoloured(brushwork.geometry, moved.tracked)
    places, speeds = [own.places for own in tracked], [own.speed for own in tracked]
    if rows is not None:
        places = [own[some] for own, some in zip(places, rows, strict=True)]
        speeds = [own[some] for own, some in zip(speeds, rows, strict=True)]
    return [
        look
        for hand, _, part in brushwork.parts()
        for look in measure_looks(moved.tracked, colours, hand, places[part], speeds=speeds[part])
    ]


@dataclass(frozen=True)
class FramePainter:
    """Works out how any frame of a video is moved and painted."""

    brushwork: Brushwork
    # takes moved codes and the frames' own, float32 [N, codes] each; returns what is added to the
    # frames' tiles, float32 [N, 45, 80, 3]
    shift: Callable[[np.ndarray, np.ndarray], np.ndarray]
    codes: MovedCodes  # moved codes of all frames
    strength: float  # of colours and strokes, from 0 to 1
    shares: np.ndarray  # float32 [N], share of the painting in each frame
    # takes a frame's number and a factor of the contrast in light, returns the map of its shot's
    # colours to the painter's; None: they stay
    map_at: Callable[[int, float], ColourMap] | None = None
    # takes a frame's number and the frame, returns the share of its light that a frame in a fade
    # has left, 0 to 1; None: there are no fades
    light_left: Callable[[int, np.ndarray], float] | None = None
    contrast: float = 1.0  # factor of the contrast in light that a shot gets
    correction: ColourMap = UNCHANGED  # that follows the map of a shot
    gamut: np.ndarray | None = None  # the painter's, as `Colours` has it; None: any colour
    # takes a frame's number, returns the colours of its flat areas; None: no hand has flat areas
    palette_at: Callable[[int], np.ndarray] | None = None

    def with_colours(
        self, frames: np.ndarray, own: np.ndarray, shots: Shots, goal: Colours
    ) -> "FramePainter":
        """Adds the maps of shots' colours to a painter's.

        A shot's colours get the spread that those of one tile of a painter have. Its mean is moved
        as the whole film's; shots differ less in it than they did, so that dark ones stay legible.

        Args:
            frames: uint8 [n, h, w, 3], of the whole film; if there are none, there is no map.
            own: their codes, float32 [n, codes].
            shots: of the film.
            goal: the painter's colours.
        """
        if not len(frames):
            return dataclasses.replace(self, gamut=goal.gamut)
        film = Colours.of(self.recoloured(frames, own))
        most = max(MOST_APART[0] * goal.spread_between, MOST_APART[1])

        @functools.lru_cache(8)
        def find(shot: int, contrast: float) -> ColourMap:
            here = Colours.of(self._shot_pictures(shots, shot))
            apart = SHOTS_APART * (here.mean - film.mean)
            apart *= min(1.0, most / max(abs(LUMINANCE @ apart), 1e-6))
            return map_between(
                here._replace(covariance=here.within),
                goal._replace(mean=goal.mean + apart, covariance=goal.within),
                contrast,
            )

        return dataclasses.replace(
            self, map_at=lambda number, contrast: find(int(shots.of_frames[number]), contrast),
            light_left=lambda number, frame: shots.light_left(int(shots.of_frames[number]), frame),
            gamut=goal.gamut,
        )  # fmt: skip

    def _shot_pictures(self, shots: Shots, shot: int) -> np.ndarray:
        """Returns a few pictures of a shot as they are moved, uint8 [n, h, w, 3]."""
        numbers, pictures = shots.lit(shot)
        own = [self.codes.own(slice(number, number + 1)) for number in numbers.tolist()]
        return self.recoloured(pictures, np.concatenate(own), numbers.tolist())

    def recoloured(
        self, frames: np.ndarray, own: np.ndarray, numbers: Sequence[int] | None = None
    ) -> np.ndarray:
        """Moves single frames, at the size that strokes are followed on.

        Args:
            frames: uint8 [n, h, w, 3].
            own: their codes, float32 [n, codes].
            numbers: of the frames; None: as without maps of shots.

        Returns:
            uint8 [n, h, w, 3].
        """
        moved = self._moved(frames, self.shift(self.codes.moved(own), own), numbers)
        return np.stack([one.recoloured(self.brushwork.geometry, one.tracked) for one in moved])

    def with_palettes(self, shots: Shots) -> "FramePainter":
        """Adds the colours of flat areas: a shot's are found in its pictures, when first needed."""
        hand = next(own for own, _ in self.brushwork.hands if own.kind == "flat")

        @functools.lru_cache(2)
        def find(shot: int) -> np.ndarray:
            return palette_of(np.concatenate(self._shot_pictures(shots, shot)), hand)

        return dataclasses.replace(
            self, palette_at=lambda number: find(int(shots.of_frames[number]))
        )

    def _shifts(self, part: slice) -> np.ndarray:
        """Returns how frames are shifted, worked out for some of them: float32 [n, 45, 80, 3]."""
        # One frame more than asked for, so that the last one has a neighbour on each side, too.
        around = slice(part.start, min(part.stop + 1, len(self.codes)))
        shots = self.codes.shots[around]
        chosen = in_between.choose(shots, SHIFTED_EVERY[self.brushwork.draft])
        found = self.shift(self.codes[around][chosen], self.codes.own(around)[chosen])
        return in_between.fill_in(chosen, found, shots)[: part.stop - part.start]

    def move(self, first: int, frames: Sequence[np.ndarray]) -> list[Moved]:
        """Works out how neighbouring frames are moved.

        Args:
            first: number of the first frame.
            frames: uint8 [h, w, 3] each, at the size that is painted.
        """
        numbers = range(first, first + len(frames))
        moved = self._moved(frames, self._shifts(slice(first, numbers.stop)), numbers)
        return [
            one._replace(
                palette=self.palette_at(number) if self.palette_at else None,
                share=float(self.shares[number]),
            )
            for number, one in zip(numbers, moved, strict=True)
        ]

    def _moved(self, frames, shifts: np.ndarray, numbers: Sequence[int] | None) -> list[Moved]:
        """Puts together how frames are moved, with the maps of their shots."""
        geometry = self.brushwork.geometry
        gamut = None if self.gamut is None else (self.gamut, self.strength)
        found = []
        for place, (frame, shift) in enumerate(zip(frames, shifts, strict=True)):
            tracked = resize(frame, geometry.tracked_size)
            own = Recolouring.of(geometry, tracked, SHIFTED * shift)._replace(gamut=gamut)
            colour_map = self.correction
            if self.map_at and numbers is not None:
                colour_map = self.map_at(numbers[place], self.contrast).then(colour_map)
            own = own.then(colour_map.part(self.strength))
            if self.light_left and numbers is not None:
                own = own.dimmed(self.light_left(numbers[place], tracked))
            found.append(Moved(frame, tracked, own))
        return found
