"""The first pass over a video: every frame's latents, shots, light and the camera's way, on disk.

Latents are 2 kB a frame and lie on disk in chunks. A chunk is whole or absent, and always made from
the same frames in the same batches, so that an interrupted pass ends in the same file.
"""

import contextlib
import functools
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadl import console, files, latents, metrics, motion, tiles, video
from cadl.clips import BATCH, PREFETCHED_BATCHES, Clip, batches
from cadl.latents import Statistics
from cadl.replenishment import Replenisher
from cadl.shots import ShotFinder

import numpy as np

PASS_FORMAT = 7  # of what is kept; more when its contents change
KEPT_PASSES = 4  # over one video
LATENTS, OBSERVED = "latents.npy", "observed.npz"  # what is kept; the latter is written last
CHUNK_FRAMES = 512
SMOOTHED_FRAMES = 256  # at a time: what lies around them is smoothed too, and thrown away
SAMPLES = 4
DARK, LIT = 0.02, 0.08  # mean luminance below which a frame stays as it is, and above is painted


@dataclass(frozen=True)
class Encoded:
    """What pass 1 found.

    Attributes:
        latents: float32 [N, codes], posterior means of all frames; a file that is read when needed.
        shots: int [N], number of each frame's shot.
        times: float64 [N], seconds of each frame.
        light: float32 [N], mean luminance of each frame in [0, 1].
        drift: float32 [N, 2], how far down and right the picture has moved, in pixels of a tile.
        samples: uint8 [n, scale * 180, scale * 320, 3], a few frames' tiles, for pictures.
        sample_indices: int [n], which frames they are.
    """

    latents: np.ndarray
    shots: np.ndarray
    times: np.ndarray
    light: np.ndarray
    drift: np.ndarray
    samples: np.ndarray
    sample_indices: np.ndarray

    @functools.cached_property
    def statistics(self) -> Statistics:
        """The moments of the whole video's latents."""
        return latents.statistics_of(self.latents, "video")

    def style_move(self, painter: Statistics, style_map: str) -> Callable:
        """Returns the function that moves this video's latents all the way to a painter's.

        Args:
            painter: the goal.
            style_map: as STYLE_MAP.
        """
        return latents.style_move(self.statistics, painter, style_map)

    def restyle(self, move: Callable, strength: float, smoothing: float = 0.0) -> "Recipe":
        """Smooths codes and moves them toward a painter, those of dark frames less.

        Black stays black.

        Args:
            move: by `style_move`.
            strength: as STRENGTH.
            smoothing: deviation of the window in frames.
        """
        lit = np.clip((self.light - DARK) / (LIT - DARK), 0.0, 1.0).astype(np.float32)
        strengths = strength * lit
        return Recipe(MovedCodes(self, smoothing, move, strengths), strengths, self.drift)


class MovedCodes:
    """Codes of a video's frames, smoothed and moved when they are asked for.

    So a long video takes no more memory than a short one.
    """

    def __init__(self, encoded: Encoded, smoothing: float, move: Callable, strengths: np.ndarray):
        """Takes a window's deviation in frames, a `style_move`, and each frame's strength."""
        self._encoded, self._smoothing = encoded, smoothing
        self._move, self._strengths = move, strengths
        self._reach = latents.smoothing_reach(smoothing)
        self._newest: dict[int, np.ndarray] = {}  # the block that was smoothed last

    def __len__(self) -> int:
        return len(self._strengths)

    def __getitem__(self, part: slice) -> np.ndarray:
        """Returns the codes of consecutive frames, float32 [n, codes]."""
        start, stop, _ = part.indices(len(self))
        first = start // SMOOTHED_FRAMES
        last = max(first, (stop - 1) // SMOOTHED_FRAMES)
        blocks = [self._smoothed(number) for number in range(first, last + 1)]
        start_there = start - first * SMOOTHED_FRAMES
        codes = np.concatenate(blocks)[start_there : start_there + max(0, stop - start)]
        strengths = self._strengths[start:stop, None]
        return (codes + strengths * (self._move(codes) - codes)).astype(np.float32)

    def _smoothed(self, number: int) -> np.ndarray:
        if number in self._newest:
            return self._newest[number]
        start = number * SMOOTHED_FRAMES
        first = max(0, start - self._reach)
        around = slice(first, start + SMOOTHED_FRAMES + self._reach)
        smoothed = latents.smooth(
            np.asarray(self._encoded.latents[around]), self._encoded.shots[around],
            frames=self._smoothing,
        )  # fmt: skip
        block = smoothed[start - first : start - first + SMOOTHED_FRAMES]
        self._newest = {number: block}
        return block


@dataclass(frozen=True)
class Recipe:
    """What frames are drawn from, beside themselves.

    Attributes:
        codes: float32 [N, codes], mapped latents.
        strengths: float32 [N], given to the refiner.
        drift: float32 [N, 2], how far strokes are moved.
    """

    codes: np.ndarray | MovedCodes
    strengths: np.ndarray
    drift: np.ndarray

    def of(self, chosen: np.ndarray) -> "Recipe":
        """Returns what some frames are drawn from, int [n]."""
        codes = np.concatenate([self.codes[i : i + 1] for i in chosen.tolist()])
        return Recipe(codes, self.strengths[chosen], self.drift[chosen])

    def draw(self, stylize: Callable, whole: np.ndarray, first: int = 0) -> np.ndarray:
        """Draws frames from a first one on, from their tiles at the refiner's scale, uint8."""
        part = slice(first, first + len(whole))
        drawn = stylize(self.codes[part], whole, self.strengths[part], self.drift[part])
        return np.asarray(drawn)


def encode_video(clip: Clip, vae_graph, vae_fingerprint: str, folder: Path) -> Encoded:
    """Runs pass 1, or finds it done.

    Args:
        clip: what to encode.
        vae_graph: SavedModel with `encode`.
        vae_fingerprint: of the VAE, part of what must be the same for an old pass to count.
        folder: where the passes of this video are kept, one sub-folder each.

    Raises:
        ValueError: the video can't be read.
        OSError: the latents can't be written.
        RuntimeError: another run is making the same pass.
    """
    key = files.hash_of(
        map(str, [
            files.identity(clip.source.path), clip.crop, clip.tile_size, clip.scale,
            clip.start_seconds, clip.num_frames, vae_fingerprint, CHUNK_FRAMES, BATCH, PASS_FORMAT,
        ])
    )  # fmt: skip
    folder = folder / f"pass1-{key}"
    with files.only_one(folder):
        if (folder / OBSERVED).exists():
            try:
                encoded = _load_encoded(folder)
                os.utime(folder)  # the oldest ones are removed
                console.say("the first pass was done before and is used again")
                return encoded
            except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
                console.warn(f"{folder} is damaged: the first pass is done again")
                (folder / OBSERVED).unlink()
        _encode_chunks(clip, vae_graph, folder)
        _remove_old_passes(folder)
        return _load_encoded(folder)


def _load_encoded(folder: Path) -> Encoded:
    """Raises ValueError, or what numpy and zip raise, if it is damaged."""
    with np.load(folder / OBSERVED) as data:
        observed = {name: data[name] for name in data.files}
    if files.checksum(folder / LATENTS) != observed.pop("latents_checksum"):
        raise ValueError(f"{folder / LATENTS} is damaged")
    return Encoded(latents=np.load(folder / LATENTS, mmap_mode="r"), **observed)


def forget(folder: Path) -> None:
    """Removes all passes over a video that turned out to have other frames than they saw."""
    shutil.rmtree(folder, ignore_errors=True)


def _remove_old_passes(folder: Path) -> None:
    """Removes the oldest passes over a video (other crops, parts or models), unless in use."""
    passes = sorted(folder.parent.glob("pass1-*"), key=lambda path: path.stat().st_mtime)
    for old in passes[:-KEPT_PASSES]:
        if old != folder:
            with contextlib.suppress(RuntimeError), files.only_one(old):
                shutil.rmtree(old, ignore_errors=True)


class Observed:
    """What is seen of each frame beside its latents, gathered while the frames go by."""

    def __init__(self, clip: Clip):
        """Takes what will go by."""
        self._clip = clip
        self.expected = clip.expected_frames
        middles = (np.arange(SAMPLES) + 0.5) * self.expected / SAMPLES
        self._wanted = {0, *middles.astype(int)}
        self._shot_finder, self._camera = ShotFinder(), motion.CameraMotion()
        self._times: list[float] = []
        self._shots: list[int] = []
        self._light: list[float] = []
        self._drift: list[np.ndarray] = []
        self._samples: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self._shots)

    def go_by(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yields batches: number of the first frame, and tiles, uint8 [N, 180, 320, 3].

        What stands still in them is kept as it was, see `replenishment`.
        """
        scale, replenisher = self._clip.scale, Replenisher()
        frames = video.prefetch(self._clip.read(self._times), 4 * BATCH)
        for batch in batches(frames, CHUNK_FRAMES):
            first, small = len(self), tiles.reduce(batch, scale)
            for frame, large in zip(small, batch, strict=True):
                if len(self) in self._wanted:
                    self._samples[len(self)] = tiles.mirror_to_tile(large[None], scale)[0]
                before = self._shot_finder.shot
                self._shots.append(self._shot_finder.add(frame))
                self._drift.append(self._camera.add(frame, cut=self._shots[-1] != before))
            self._light += list(metrics.luminance(small).mean(axis=(1, 2)) / 255)
            yield first, replenisher.add(tiles.mirror_to_tile(small))

    def arrays(self) -> dict[str, Any]:
        """Returns all attributes of `Encoded` but the latents."""
        if len(self._samples) > SAMPLES:  # the first frame is for a video of which no more came
            del self._samples[0]
        return {
            "shots": np.array(self._shots),
            "times": np.array(self._times),
            "light": np.array(self._light, np.float32),
            "drift": motion.smooth_drift(np.array(self._drift), np.array(self._shots)),
            "samples": np.stack(list(self._samples.values())),
            "sample_indices": np.array(list(self._samples)),
        }


def _encode_chunks(clip: Clip, vae_graph, folder: Path) -> None:
    observed = Observed(clip)
    chunk: list[np.ndarray] = []
    path = folder
    with console.progress(total=observed.expected, unit="frame", label="pass 1") as bar:
        for first, whole in video.prefetch(observed.go_by(), PREFETCHED_BATCHES):
            path = folder / f"chunk-{first // CHUNK_FRAMES:05d}.npy"
            if not path.exists():
                chunk.append(np.asarray(vae_graph.encode(whole)["z_mean"]))
                if (first + len(whole)) % CHUNK_FRAMES == 0:
                    _save_chunk(path, chunk)
            bar.update(len(whole))
        if chunk:
            _save_chunk(path, chunk)
    count = len(observed)
    if count < 0.95 * observed.expected:
        console.warn(f"{clip.source.path}: breaks off after {count} of {observed.expected} frames")
    chunks = sorted(folder.glob("chunk-?????.npy"))
    with files.whole_file(folder / LATENTS) as temporary:
        _join_chunks(chunks, count, temporary)
    checksum = files.checksum(folder / LATENTS)
    with files.whole_file(folder / OBSERVED) as temporary, temporary.open("wb") as file:
        np.savez(file, latents_checksum=checksum, **observed.arrays())
    for path in chunks:
        path.unlink()


def _join_chunks(chunks: list[Path], count: int, joined: Path) -> None:
    """Writes all chunks as one array; a mapped file would die of a full disk without a word."""
    missing = count
    with joined.open("wb") as file:
        for path in chunks:
            try:
                chunk = np.load(path)[:missing]
            except (ValueError, EOFError):
                break
            if missing == count:
                header = {"descr": "<f4", "fortran_order": False, "shape": (count, chunk.shape[1])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(chunk, "<f4").data)
            missing -= len(chunk)
    if missing:
        for path in chunks:
            path.unlink()
        raise RuntimeError(
            f"{joined.parent} had damaged parts of {count} frames, which are removed: run the "
            "same command again"
        )


def _save_chunk(path: Path, chunk: list[np.ndarray]) -> None:
    with files.whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.concatenate(chunk))
    chunk.clear()
