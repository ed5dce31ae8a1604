"""The part of a video that is converted, its sizes on the way, and how it is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from cadl import movie, tiles, video

import numpy as np
from PIL import Image

BATCH = 8  # frames
PREFETCHED_BATCHES = 3  # by each stage of a pass
INSET = 4  # the original's side in the corner is the picture's over this


@dataclass(frozen=True)
class Geometry:
    """Sizes on the way: width and height in pixels.

    Attributes:
        tile_size: of the frame inside its tile of 320x180; the rest of the tile mirrors it.
        picture_size: of what is handed to the encoder.
        output_size: of the video.
        scale: how many times larger than 320x180 tiles are drawn.
    """

    tile_size: tuple[int, int]
    picture_size: tuple[int, int]
    output_size: tuple[int, int]
    scale: int

    @classmethod
    def of(
        cls, source: video.Video, crop: tiles.Crop, size: str | tuple[int, int], compare: str,
        scale: int,
    ) -> "Geometry":  # fmt: skip
        """Works out all sizes; `size` as OUTPUT_SIZE, `compare` as COMPARE."""
        shown = source.display_size(crop)
        fitted = tiles.fit_size(*shown)
        output = shown if size == "source" else (tiles.WIDTH, tiles.HEIGHT)
        if not isinstance(size, str):
            output = size
        picture = scale * fitted[0], scale * fitted[1]
        if compare == "side":
            picture, output = (2 * picture[0], picture[1]), (2 * output[0], output[1])
        return cls(fitted, picture, output, scale)

    def cut(self, whole: np.ndarray) -> np.ndarray:
        """Cuts the frames out of tiles, uint8 [N, h, w, 3], as seen or as drawn.

        Returns frames at the scale that is drawn at, enlarged if the tiles were not.
        """
        whole = np.asarray(whole)
        height, width, _ = tiles.shape_at(self.scale)
        if whole.shape[2] < width:
            whole = np.stack([
                np.asarray(Image.fromarray(tile).resize((width, height))) for tile in whole
            ])  # fmt: skip
        return tiles.crop_from_tile(whole, *(self.scale * side for side in self.tile_size))


@dataclass(frozen=True)
class Encoding:
    """How drawn frames become a video.

    Attributes:
        geometry: sizes.
        compare: none, inset or side.
        crf: x264's constant rate factor.
        preset: x264's preset.
    """

    geometry: Geometry
    compare: str
    crf: int
    preset: str

    def writer(
        self, path: Path, rate: Fraction, times: np.ndarray | None = None
    ) -> movie.FrameWriter:
        """Returns what writes frames to a file; `times` as `FrameWriter`'s."""
        return movie.FrameWriter(
            path, rate=rate, size=self.geometry.picture_size,
            output_size=self.geometry.output_size, crf=self.crf, preset=self.preset, times=times,
        )  # fmt: skip

    def compose(self, originals: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Puts originals beside or into drawn frames, uint8 [N, h, w, 3], if they are compared."""
        if self.compare == "side":
            return np.concatenate([originals, drawn], axis=2)
        if self.compare == "inset":
            _, height, width, _ = drawn.shape
            small = originals[:, : height // INSET * INSET, : width // INSET * INSET]
            drawn = drawn.copy()
            drawn[:, : height // INSET, : width // INSET] = tiles.reduce(small, INSET)
        return drawn


@dataclass(frozen=True)
class Clip:
    """The part of a video that is converted.

    Attributes:
        source: the video.
        crop: its black borders.
        tile_size: width and height of a frame inside its tile of 320x180.
        scale: how many times larger than that frames are read.
        start_seconds: where to begin, from the file's start.
        length_seconds: how much to convert; 0 is all.
    """

    source: video.Video
    crop: tiles.Crop
    tile_size: tuple[int, int]
    scale: int
    start_seconds: float
    length_seconds: float

    @property
    def num_frames(self) -> int | None:
        """Bound on the frames; None for all to the end."""
        if not self.length_seconds:
            return None
        end = self.start_seconds + self.length_seconds - 1e-6
        times = self.source.times
        return max(1, int(((times >= self.start_seconds - 1e-6) & (times < end)).sum()))

    @property
    def expected_frames(self) -> int:
        """How many frames there should be, by the file's index."""
        left = int((self.source.times >= self.start_seconds - 1e-6).sum())
        if self.num_frames is not None:
            left = min(left, self.num_frames)
        return max(1, left)

    def read(self, times: list[float] | None = None) -> Iterator[np.ndarray]:
        """Yields the frames, uint8, at their size within the tile at its scale."""
        width, height = self.tile_size
        return video.read_frames(
            self.source,
            crop=self.crop,
            size=(self.scale * width, self.scale * height),
            start_seconds=self.start_seconds,
            num_frames=self.num_frames,
            times=times,
        )


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
