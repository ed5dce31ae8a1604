"""One frame painted: moved toward the painter at its own size, then strokes over it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cadl.conversion.clip import Geometry, resize
from cadl.conversion.encode_pass import MovedCodes
from cadl.strokes.drawing import Strokes, draw_strokes
from cadl.strokes.hand import Hand
from cadl.strokes.looks import Looks, measure_looks
from cadl.strokes.track_files import Tracked

import cv2
import numpy as np

DRAFT = 2  # how many times smaller a draft is drawn, both ways


class Moved(NamedTuple):
    """A frame, and how it is moved toward the painter.

    Attributes:
        frame: uint8 [h, w, 3], at the size that is painted.
        tracked: uint8 [h, w, 3], at the size that strokes were followed on.
        offset: float32 [180, 320, 3], tile added to the frame.
        matrix: float32 [3, 3], that its RGB is multiplied by from the right.
    """

    frame: np.ndarray
    tracked: np.ndarray
    offset: np.ndarray
    matrix: np.ndarray


@dataclass(frozen=True)
class FramePainter:
    """Paints any frame of a video.

    Attributes:
        geometry: sizes.
        hand: the recipe of the strokes.
        change: from codes, float32 [N, codes], tiles, uint8 [N, 180, 320, 3], and strengths,
            float32 [N], to offsets, float32 tiles, and matrices, float32 [N, 3, 3].
        codes: of all frames, mapped.
        strengths: float32, of all frames.
        draft: draw at half the width and height, without furrows of bristles.
    """

    geometry: Geometry
    hand: Hand
    change: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    codes: MovedCodes
    strengths: np.ndarray
    draft: bool = False

    def move(self, first: int, frames: Sequence[np.ndarray]) -> list[Moved]:
        """Works out how neighbouring frames are moved.

        Args:
            first: number of the first frame.
            frames: uint8 [h, w, 3] each, at the size that is painted.
        """
        part = slice(first, first + len(frames))
        tracked = [resize(frame, self.geometry.tracked_size) for frame in frames]
        tiles = np.stack([self.geometry.tile(frame) for frame in tracked])
        changes = self.change(self.codes[part], tiles, self.strengths[part])
        return [
            Moved(*parts) for parts in zip(frames, tracked, *map(np.asarray, changes), strict=True)
        ]

    def measure(self, moved: Moved, tracked: Sequence[Tracked]) -> list[Looks]:
        """Measures how the strokes of each layer look in a frame."""
        colours = self._apply(moved, moved.tracked)
        places = [layer.places for layer in tracked]
        return measure_looks(moved.tracked, colours, self.hand.layers(), places, self.hand.detail)

    def paint(
        self, moved: Moved, tracked: Sequence[Tracked], looks: Sequence[Looks], strength: float
    ) -> np.ndarray:
        """Paints a frame: uint8 [h, w, 3], at its own size.

        Args:
            moved: by `move`.
            tracked: its strokes, a layer each.
            looks: by `measure`, averaged along the tracks.
            strength: of the strokes, 0 to 1.
        """
        height, width = moved.frame.shape[:2]
        size = width, height
        frame = moved.frame
        if self.draft:
            frame = resize(frame, (max(2, width // DRAFT), max(2, height // DRAFT)))
        canvas = self._apply(moved, frame)
        if strength > 0:
            strokes = [
                Strokes(layer.places, layer.identities, layer.growth, own)
                for layer, own in zip(tracked, looks, strict=True)
            ]
            canvas = draw_strokes(
                canvas, strokes, self.hand, strength=strength, furrows=not self.draft
            )
        return resize(canvas, size)

    def paint_alone(self, numbers: Sequence[int], frames, tracked) -> list[np.ndarray]:
        """Paints single frames, whose strokes' looks are not averaged along their tracks.

        Args:
            numbers: of the frames.
            frames: uint8 [h, w, 3] each.
            tracked: the strokes of each frame, a layer each.
        """
        painted = []
        for number, frame, strokes in zip(numbers, frames, tracked, strict=True):
            (moved,) = self.move(number, [frame])
            looks = self.measure(moved, strokes)
            painted.append(self.paint(moved, strokes, looks, float(self.strengths[number])))
        return painted

    def _apply(self, moved: Moved, picture: np.ndarray) -> np.ndarray:
        """Moves a picture of the frame, of any size: uint8 [h, w, 3] -> [h, w, 3]."""
        if not moved.offset.any() and (moved.matrix == np.eye(3)).all():
            return picture.copy()
        height, width = picture.shape[:2]
        offset = self.geometry.from_tile(moved.offset, (width, height))
        mixed = cv2.transform(picture.astype(np.float32), moved.matrix.T)
        return cv2.scaleAdd(offset, 255.0, mixed).clip(0, 255).round().astype(np.uint8)
