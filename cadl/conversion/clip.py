"""The part of a video that is converted, its sizes on the way, and how it is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from cadl.images import tiles
from cadl.strokes.hand import TRACKED
from cadl.video import probing, reader, writer

import cv2
import numpy as np

BATCH = 8  # frames
PREFETCHED_BATCHES = 3  # by each stage of a pass
DRAFT = 2  # times that a draft is painted smaller, both ways
INSET = 4  # the original's side in the corner is the picture's over this
HELD_SECONDS = 0.25  # a frame that is shown so far into a part belongs to it
LATE_SECONDS = 0.03  # that nobody sees or hears
LEAST_SIDE = 16  # pixels of a tracked frame: optical flow needs so many


@dataclass(frozen=True)
class Geometry:
    """Sizes on the way: width and height in pixels."""

    # the frame inside its tile of 320x180; the rest of the tile mirrors it
    tile_size: tuple[int, int]
    # the frame on which strokes are followed; its longer side is TRACKED
    tracked_size: tuple[int, int]
    picture_size: tuple[int, int]  # the painted frame; in a draft half of the shown one
    # the written video, which may show the original beside the painted frame
    output_size: tuple[int, int]

    @classmethod
    def of(
        cls,
        source: probing.Video,
        crop: tiles.Crop,
        size: str | tuple[int, int],
        compare: str,
        draft: bool = False,
    ) -> "Geometry":
        """Works out all sizes; `size` as OUTPUT_SIZE, `compare` as COMPARE."""
        shown = source.display_size(crop)
        picture = shown if size == "source" else (tiles.WIDTH, tiles.HEIGHT)
        if not isinstance(size, str):
            picture = size
        scale = TRACKED / max(shown)
        tracked = max(LEAST_SIDE, round(scale * shown[0])), max(LEAST_SIDE, round(scale * shown[1]))
        output = (2 * picture[0], picture[1]) if compare == "side" else picture
        if draft:
            picture = max(2, picture[0] // DRAFT), max(2, picture[1] // DRAFT)
        return cls(tiles.fit_size(*shown), tracked, picture, output)

    def tile(self, frame: np.ndarray) -> np.ndarray:
        """Fits a frame of any size into a tile: uint8 [h, w, 3] -> [180, 320, 3]."""
        return tiles.mirror_to_tile(resize(frame, self.tile_size)[None])[0]

    def enlarge_from_tile(self, small: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Cuts the frame's part out of a small tile, and enlarges it, linearly.

        Args:
            small: float32 [h, w, c], a whole tile at any size.
            size: width and height wanted.
        """
        scale = small.shape[1] / tiles.WIDTH
        ratio = [scale * own / wanted for own, wanted in zip(self.tile_size, size, strict=True)]
        left, top = (
            0.5 * (whole - scale * own)
            for whole, own in zip(small.shape[1::-1], self.tile_size, strict=True)
        )
        way = np.array([
            [ratio[0], 0.0, left + 0.5 * ratio[0] - 0.5],
            [0.0, ratio[1], top + 0.5 * ratio[1] - 0.5],
        ])  # fmt: skip
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(small, way, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Gives a picture another size, by means where it shrinks: [h, w, c], size as (w, h)."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    shrinks = size[0] <= width and size[1] <= height
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


@dataclass(frozen=True)
class Encoding:
    """How painted frames become a video."""

    geometry: Geometry
    compare: str  # none, inset or side
    crf: int  # x264's constant rate factor
    preset: str

    def writer(
        self, path: Path, rate: Fraction, times: np.ndarray | None = None
    ) -> writer.FrameWriter:
        """Returns what writes frames to a file; `times` as `FrameWriter`'s."""
        width, height = self.geometry.picture_size
        return writer.FrameWriter(
            path, rate=rate, size=(width * (1 + (self.compare == "side")), height),
            output_size=self.geometry.output_size, quality=writer.Quality(self.crf, self.preset),
            times=times,
        )  # fmt: skip

    def compose(self, original: np.ndarray, painted: np.ndarray) -> np.ndarray:
        """Puts the original beside or into a painted frame, uint8 [h, w, 3] each, if asked to."""
        if self.compare == "side":
            return np.concatenate([original, painted], axis=1)
        if self.compare == "inset":
            height, width = (max(1, side // INSET) for side in painted.shape[:2])
            painted = painted.copy()
            painted[:height, :width] = resize(original, (width, height))
        return painted


@dataclass(frozen=True)
class Clip:
    """The part of a video that is converted."""

    source: probing.Video
    crop: tiles.Crop
    start_seconds: float  # where to begin, from the file's start
    length_seconds: float  # length of the part; 0 for the whole video

    @property
    def begin_seconds(self) -> float:
        """Where reading begins: a frame that is held far into the part is its first."""
        times, start = self.source.times, self.start_seconds
        before, after = times[times <= start + 1e-6], times[times >= start - 1e-6]
        until = after[0] if len(after) else times[-1] + self.source.last_seconds
        return float(before[-1]) if len(before) and until - start > HELD_SECONDS else start

    @property
    def num_frames(self) -> int | None:
        """Bound on the frames; None for all to the end."""
        if not self.length_seconds:
            return None
        end = self.start_seconds + self.length_seconds - 1e-6
        times = self.source.times
        return max(1, int(((times >= self.begin_seconds - 1e-6) & (times < end)).sum()))

    @property
    def expected_frames(self) -> int:
        """How many frames there should be, by the file's index."""
        left = int((self.source.times >= self.begin_seconds - 1e-6).sum())
        return self.num_frames or max(1, left)

    @property
    def tolerance(self) -> float:
        """How many seconds early or late a frame of an even film may be."""
        return min(0.6 / float(self.source.rate), LATE_SECONDS)

    def edges(self, times: np.ndarray) -> np.ndarray:
        """Returns when each frame begins, and when the last one ends.

        Args:
            times: float64 [frames], seconds of each frame that was read, as `reader.read_frames`.

        Returns:
            float64 [frames + 1].
        """
        usual = float(1 / self.source.rate)
        known = np.append(self.source.times, self.source.times[0] + self.source.seconds)
        known -= self.start_seconds
        later = known[known > times[-1] + min(1e-3, 0.5 * usual)]
        end = later[0] if len(later) else times[-1] + usual
        if self.length_seconds:
            end = max(min(end, self.length_seconds), times[-1] + 1e-3)
        if abs(end - times[-1] - usual) < self.tolerance and not self.source.variable_rate:
            end = times[-1] + usual
        return np.append(times, end)

    def read(self, size: tuple[int, int], times: list[float] | None = None) -> Iterator[np.ndarray]:
        """Yields the frames at a size, width and height: uint8 [h, w, 3].

        The times of all, as `reader.read_frames` gives them, are in seconds of the part.
        """
        begin = self.begin_seconds
        found: list[float] = []
        yield from reader.read_frames(
            self.source,
            crop=self.crop,
            size=size,
            start_seconds=begin,
            num_frames=self.num_frames,
            times=found,
        )
        if times is not None:
            earlier = self.start_seconds - begin
            times.extend(max(0.0, time - earlier) if earlier else time for time in found)


def batches(frames: Iterator[np.ndarray], boundary: int) -> Iterator[np.ndarray]:
    """Stacks frames into batches that never reach over a multiple of `boundary`."""
    batch: list[np.ndarray] = []
    for count, frame in enumerate(frames, start=1):
        batch.append(frame)
        if len(batch) == BATCH or count % boundary == 0:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
