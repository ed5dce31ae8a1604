"""Measures a converted video beside its source: what moves, likeness, sharpness, distance of style.

    python -m benchmarks.measure_video source.mp4 painted.mp4 --paintings data/paintings/van-gogh

The warping error is the mean change between neighbouring frames once the source's motion is undone
(Lai et al. 2018, arXiv 1808.00449), of 255: over all that is seen in both frames, and over what
moves. Its mask leaves out what is covered or uncovered, edges of the motion, and cuts. All is
measured on frames that are 640 pixels wide.
"""

import itertools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cadl import console
from cadl.errors import UserError
from cadl.images import metrics, tiles
from cadl.images.tiles import Crop
from cadl.settings import Amount, Count, read_settings
from cadl.video import probing, reader
from cadl.video.shots import ShotFinder

import cv2
import numpy as np

PAINTINGS: str = ""  # folder of pictures to measure the distance to; none if empty
CROP: str = "auto"  # the source's black borders: auto, or top:left:bottom:right in pixels
START_SECONDS: Amount = 0.0  # where to begin in the source; the output begins there
FRAMES: Count = 200  # how many are compared

WIDTH = 640  # pixels of what is measured
MOVES = 0.5  # pixels a frame from which on something moves
LEAST_SEEN, LEAST_MOVING = 0.3, 0.02  # shares of a frame below which it does not count
BANDS = 4  # octaves, from fine to coarse
PATCH, DIRECTIONS, PATCHES = 7, 64, 20000
MOST_PAINTINGS = 40
SPREAD_FRAMES = 20  # of a video, for distances


@dataclass(frozen=True)
class Motion:
    """How a frame came from the one before.

    Attributes:
        back: float32 [h, w, 2], by how many pixels each place moves back to the frame before.
        seen: bool [h, w], where both frames show the same things.
    """

    back: np.ndarray
    seen: np.ndarray

    def undo(self, before: np.ndarray) -> np.ndarray:
        """Moves a frame before to where its things are now: float32 [h, w, c]."""
        return warp(before.astype(np.float32), self.back)

    @property
    def moving(self) -> np.ndarray:
        """Where things are seen that move, bool [h, w]."""
        return self.seen & (np.hypot(self.back[..., 0], self.back[..., 1]) > MOVES)


@console.script
def main(argv: list[str] | None = None) -> int:
    """Measures and prints a table."""
    words = list(sys.argv[1:] if argv is None else argv)
    paths = [Path(word) for word in itertools.takewhile(lambda x: not x.startswith("--"), words)]
    settings = read_settings(words[len(paths) :])
    if len(paths) != 2:
        raise UserError("name two videos, the source and what was made of it, before all flags")
    frames, shown = read_both(paths[0], paths[1], settings)
    motions = find_motion(frames)
    rows = []
    theirs = draw_patches(read_paintings(Path(settings.paintings))) if settings.paintings else None
    for path, own in zip(paths, (frames, shown), strict=True):
        row = [path.name, *map("{:.2f}".format, warping_error(own, motions))]
        row += [f"{likeness(frames, own):.3f}", f"{laplacian(own):.1f}"]
        if theirs:
            step = max(1, len(own) // SPREAD_FRAMES)
            row += map("{:.2f}".format, band_distances(draw_patches(own[::step]), theirs))
        rows.append(row)
    header = ["video", "warping error", "what moves", "SSIM light", "Laplacian"]
    header += [f"style {i}" for i in range(1, BANDS + 1)] if theirs else []
    console.say(console.table(header, rows))
    return 0


def read_both(source_path: Path, output_path: Path, settings) -> tuple[np.ndarray, np.ndarray]:
    """Reads the same frames of both videos at the size that is measured: uint8 [N, h, w, 3]."""
    source, output = map(probing.probe, (source_path, output_path))
    crop = probing.find_crop(source) if settings.crop == "auto" else Crop.parse(settings.crop)
    width, height = source.display_size(crop)
    size = WIDTH, max(2, round(WIDTH * height / width))
    before, after = (
        np.stack(list(itertools.islice(frames, settings.frames)))
        for frames in (
            reader.read_frames(source, crop=crop, size=size, start_seconds=settings.start_seconds),
            reader.read_frames(output, crop=Crop(), size=size),
        )
    )
    count = min(len(before), len(after))
    return before[:count], after[:count]


def find_motion(frames: Iterable[np.ndarray]) -> list[Motion | None]:
    """Finds the motion between neighbouring frames, uint8 [h, w, 3]; None at cuts."""
    search = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)
    shots, last = ShotFinder(), 0
    found: list[Motion | None] = []
    before: np.ndarray | None = None
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        shot = shots.add(frame)
        if before is not None:
            back, forward = (np.zeros((*grey.shape, 2), np.float32) for _ in range(2))
            search.calc(grey, before, back)
            search.calc(before, grey, forward)
            cut = shot != last
            found.append(None if cut else Motion(back, _seen_in_both(back, forward)))
        before, last = grey, shot
    return found


def _seen_in_both(back: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Returns the mask of Ruder et al. 2016 (arXiv 1604.08610), equations 5 and 6."""
    height, width = back.shape[:2]
    there = warp(forward, back)
    motion = np.square(back).sum(-1) + np.square(there).sum(-1)
    hidden = np.square(back + there).sum(-1) > 0.01 * motion + 0.5
    slopes = [np.square(slope) for i in (0, 1) for slope in np.gradient(back[..., i])]
    edge = sum(slopes) > 0.01 * motion + 0.002
    y, x = np.mgrid[0:height, 0:width]
    x, y = x + back[..., 0], y + back[..., 1]
    return ~hidden & ~edge & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def warp(picture: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Takes each pixel from where the flow leads, linearly; edges repeat."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return cv2.remap(
        picture, x + back[..., 0], y + back[..., 1], cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip


def warping_error(
    frames: Sequence[np.ndarray] | np.ndarray,
    motions: Sequence[Motion | None],
    least_seen: float = LEAST_SEEN,
) -> tuple[float, float]:
    """Returns the mean change with the motion undone: of all that is seen, and of what moves.

    Args:
        frames: uint8 [h, w, 3] each.
        motions: between them.
        least_seen: share of a frame that must be seen in both for a pair to count.
    """
    everything, moving = [], []
    for before, after, motion in zip(frames[:-1], frames[1:], motions, strict=True):
        if motion is None or motion.seen.mean() < least_seen:
            continue
        change = np.abs(motion.undo(before) - after).mean(-1)
        everything.append(change[motion.seen].mean())
        if motion.moving.mean() >= LEAST_MOVING:
            moving.append(change[motion.moving].mean())
    whole, part = (float(np.mean(x)) if x else float("nan") for x in (everything, moving))
    return whole, part


def likeness(before: np.ndarray, after: np.ndarray) -> float:
    """Returns the SSIM of luminance of a few frames, uint8 [N, h, w, 3]."""
    step = max(1, len(before) // SPREAD_FRAMES)
    pairs = zip(before[::step], after[::step], strict=True)
    return float(
        np.mean(
            [
                metrics.ssim(*(metrics.luminance(tiles.to_float(x[None])) for x in pair))
                for pair in pairs
            ]
        )
    )


def laplacian(frames: Sequence[np.ndarray] | np.ndarray) -> float:
    """Returns the mean absolute Laplacian of light, of 255, of a few frames."""
    some = frames[:: max(1, len(frames) // SPREAD_FRAMES)]
    grey = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in some)
    return float(np.mean([np.abs(cv2.Laplacian(x, cv2.CV_32F)).mean() for x in grey]))


def read_paintings(folder: Path) -> list[np.ndarray]:
    """Reads some paintings as wide as frames are measured: uint8 [h, w, 3] each."""
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in tiles.PICTURE_SUFFIXES]
    if not paths:
        raise UserError(f"PAINTINGS {folder}: no pictures in it")
    pictures = []
    for path in paths[:: -(-len(paths) // MOST_PAINTINGS)]:
        picture = np.asarray(tiles.load_picture(path))
        scale = WIDTH / picture.shape[1]
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        pictures.append(cv2.resize(picture, (WIDTH, round(picture.shape[0] * scale)), None,
                                   0, 0, way))  # fmt: skip
    return pictures


def draw_patches(pictures: Iterable[np.ndarray], seed: int = 1) -> list[np.ndarray]:
    """Draws patches of each band of a Laplacian pyramid: float32 [patches, 7 * 7 * 3] a band."""
    rng = np.random.default_rng(seed)
    pictures = list(pictures)
    each = max(1, PATCHES // len(pictures))
    drawn: list[list[np.ndarray]] = [[] for _ in range(BANDS)]
    for picture in pictures:
        for band, own in zip(_pyramid(tiles.to_float(picture)), drawn, strict=True):
            room = np.array(band.shape[:2]) - PATCH
            if room.min() <= 0:
                continue
            y, x = (rng.integers(0, side, each)[:, None, None] for side in room)
            own.append(band[y + np.arange(PATCH)[:, None], x + np.arange(PATCH)].reshape(each, -1))
    return [np.concatenate(own) for own in drawn]


def _pyramid(picture: np.ndarray) -> list[np.ndarray]:
    bands = []
    for _ in range(BANDS - 1):
        height, width = picture.shape[:2]
        half = cv2.resize(picture, (width // 2, height // 2), None, 0, 0, cv2.INTER_AREA)
        bands.append(picture - cv2.resize(half, (width, height)))
        picture = half
    return [*bands, picture]


def band_distances(ours: list[np.ndarray], theirs: list[np.ndarray]) -> list[float]:
    """Returns the sliced Wasserstein distance of patches, over the spread of theirs, a band each.

    As Karras et al. 2018 (arXiv 1710.10196), section 5, but each band by itself.
    """
    rng = np.random.default_rng(0)
    distances = []
    for own, other in zip(ours, theirs, strict=True):
        filters = rng.standard_normal((own.shape[1], DIRECTIONS)).astype(np.float32)
        filters /= np.linalg.norm(filters, axis=0)
        places = np.linspace(0, 1, min(len(own), len(other)))
        a, b = (
            np.sort(x @ filters, axis=0)[(places * (len(x) - 1)).astype(int)] for x in (own, other)
        )
        distances.append(float(np.abs(a - b).mean() / np.abs(b - b.mean(axis=0)).mean()))
    return distances


if __name__ == "__main__":
    sys.exit(main())
