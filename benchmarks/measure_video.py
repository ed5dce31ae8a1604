"""Measures a converted video beside its source: what moves, likeness, sharpness, distance of style.

    python -m benchmarks.measure_video source.mp4 painted.mp4 --paintings data/paintings/van-gogh

Prints a row for each video, measured on frames that are WIDTH pixels wide:

- warping error: mean change between neighbouring frames with the source's motion undone, of 255,
  over all that is seen in both frames; what moves: the same where something moves
- E_warp x1000: Lai et al. 2018 (arXiv 1808.00449). The next frame is warped to a frame by the
  source's optical flow; squared error in [0, 1], averaged over the pixels that are not occluded and
  over R, G and B, as their program does, then over frames. E_warp 10: from the tenth frame after it
- SSIM light: likeness of the luminance to the source's, at most 1 (Wang et al. 2004)
- Laplacian: its mean absolute value, of 255: sharpness
- patches: distance of 7x7 patches of pixels in [0, 1] to the paintings', the sliced Wasserstein
  distance of Elnekave & Weiss 2022 (GPDM, arXiv 2203.11862), 256 random directions of length 1
- style 1 to 4: the same in octaves from fine to coarse, each over the spread of the paintings' own

The mask leaves out what is covered or uncovered, and edges of the motion (Ruder et al. 2016). Pairs
of frames across a cut do not count. The flow is DIS; Lai et al. took FlowNet2, so only figures of
one run compare to the digit.
"""

import itertools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measures import BANDS, band_distances, draw_patches, sliced_distance
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
WIDTH: Count = 640  # pixels of what is measured

MOVES = 0.5  # pixels a frame from which on something moves
LEAST_SEEN, LEAST_MOVING = 0.3, 0.02  # shares of a frame below which it does not count
DIRECTIONS = 256  # random projections of patches
FAR = 10  # frames between those of the second E_warp
MOST_PAINTINGS = 40
SPREAD_FRAMES = 20  # of a video, for distances
FORMATS = {"SSIM light": ".3f", "E_warp x1000": ".3f", "E_warp 10 x1000": ".3f", "patches": ".4f",
           "Laplacian": ".1f"}  # fmt: skip


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
    films = read_both(paths[0], paths[1], settings)
    paintings = None
    if settings.paintings:
        paintings = read_paintings(Path(settings.paintings), settings.width)
    found = measure(films[0], films, paintings)
    rows = [
        [path.name, *(f"{x:{FORMATS.get(name, '.2f')}}" for name, x in own.items())]
        for path, own in zip(paths, found, strict=True)
    ]
    console.say(console.table(["video", *found[0]], rows))
    return 0


def measure(
    frames: np.ndarray, films: Sequence[np.ndarray], paintings: list[np.ndarray] | None = None
) -> list[dict[str, float]]:
    """Measures films beside their source; the names of the figures are the module's.

    Args:
        frames: of the source, uint8 [N, h, w, 3].
        films: the same of each film; the source may be one.
        paintings: uint8 [h, w, 3] each, to measure distances to.
    """
    motions = find_motion(frames)
    errors = [squared_warping_errors(frames, films, distance) for distance in (1, FAR)]
    whole, theirs = (draw_patches(paintings, bands=n) if paintings else [] for n in (1, BANDS))
    found = []
    for number, own in enumerate(films):
        every, moving = warping_error(own, motions)
        near, far = (1000 * error[number] for error in errors)
        row = {"warping error": every, "what moves": moving, "E_warp x1000": near,
               f"E_warp {FAR} x1000": far, "SSIM light": likeness(frames, own),
               "Laplacian": laplacian(own)}  # fmt: skip
        if paintings:
            some = own[:: max(1, len(own) // SPREAD_FRAMES)]
            rng = np.random.default_rng(0)
            row["patches"] = sliced_distance(
                draw_patches(some, bands=1)[0], whole[0], DIRECTIONS, rng
            )[0]
            bands = band_distances(draw_patches(some), theirs)
            row |= {f"style {i}": x for i, x in enumerate(bands, start=1)}
        found.append(row)
    return found


def read_both(source_path: Path, output_path: Path, settings) -> tuple[np.ndarray, np.ndarray]:
    """Reads the same frames of both videos at the size that is measured: uint8 [N, h, w, 3]."""
    source, output = map(probing.probe, (source_path, output_path))
    crop = probing.find_crop(source) if settings.crop == "auto" else Crop.parse(settings.crop)
    width, height = source.display_size(crop)
    size = settings.width, max(2, round(settings.width * height / width))
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
    search, shots, last = make_search(), ShotFinder(), 0
    found: list[Motion | None] = []
    before: np.ndarray | None = None
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        shot = shots.add(frame)
        if before is not None:
            found.append(None if shot != last else match(search, before, grey))
        before, last = grey, shot
    return found


def make_search() -> cv2.DISOpticalFlow:
    """Returns the optical flow that all is measured by."""
    return cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)


def match(search: cv2.DISOpticalFlow, before: np.ndarray, after: np.ndarray) -> Motion:
    """Returns how one frame came from another: luminance, uint8 [h, w]."""
    back, forward = (np.zeros((*after.shape, 2), np.float32) for _ in range(2))
    search.calc(after, before, back)
    search.calc(before, after, forward)
    return Motion(back, _seen_in_both(back, forward))


def _seen_in_both(back: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """Returns the mask of Ruder et al. 2016 (arXiv 1604.08610), equations 5 and 6."""
    height, width = back.shape[:2]
    there = warp(forward, back)
    motion = np.square(back).sum(-1) + np.square(there).sum(-1)
    hidden = np.square(back + there).sum(-1) > 0.01 * motion + 0.5
    slopes = [np.square(slope) for i in (0, 1) for slope in np.gradient(back[..., i])]
    edge = sum(slopes) > 0.01 * np.square(back).sum(-1) + 0.002
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


def squared_warping_errors(
    frames: np.ndarray, films: Sequence[np.ndarray], distance: int
) -> np.ndarray:
    """Returns E_warp of films as Lai et al. 2018 define it, float64 [films]; NaN without a pair.

    Args:
        frames: of the source, uint8 [N, h, w, 3].
        films: made of it, the same each.
        distance: in frames, between a frame and the one that is warped to it.
    """
    search, finder = make_search(), ShotFinder()
    shots = [finder.add(frame) for frame in frames]
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    errors = []
    for i, j in zip(range(len(frames)), range(distance, len(frames)), strict=False):
        if shots[i] == shots[j]:
            motion = match(search, greys[j], greys[i])
            gaps = [(motion.undo(film[j]) - film[i])[motion.seen] / 255 for film in films]
            if motion.seen.any():
                errors.append([np.square(gap).mean() for gap in gaps])
    return np.mean(errors, axis=0) if errors else np.full(len(films), np.nan)


def likeness(before: np.ndarray, after: np.ndarray) -> float:
    """Returns the SSIM of luminance of a few frames, uint8 [N, h, w, 3]."""
    step = max(1, len(before) // SPREAD_FRAMES)
    pairs = zip(before[::step], after[::step], strict=True)
    return float(
        np.mean(
            [
                metrics.ssim(*(tiles.to_float(x[None]) @ metrics.LUMINANCE for x in pair))
                for pair in pairs
            ]
        )
    )


def laplacian(frames: Sequence[np.ndarray] | np.ndarray) -> float:
    """Returns the mean absolute Laplacian of light, of 255, of a few frames."""
    some = frames[:: max(1, len(frames) // SPREAD_FRAMES)]
    grey = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in some)
    return float(np.mean([np.abs(cv2.Laplacian(x, cv2.CV_32F)).mean() for x in grey]))


def read_paintings(folder: Path, width: int) -> list[np.ndarray]:
    """Reads some paintings as wide as frames are measured: uint8 [h, width, 3] each."""
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in tiles.PICTURE_SUFFIXES]
    if not paths:
        raise UserError(f"PAINTINGS {folder}: no pictures in it")
    pictures = []
    for path in paths[:: -(-len(paths) // MOST_PAINTINGS)]:
        picture = np.asarray(tiles.load_picture(path))
        scale = width / picture.shape[1]
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        pictures.append(cv2.resize(picture, (width, round(picture.shape[0] * scale)), None,
                                   0, 0, way))  # fmt: skip
    return pictures


if __name__ == "__main__":
    sys.exit(main())
