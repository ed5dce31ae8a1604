"""The first pass over a video: latents, shots, light and tracks of strokes of all frames, on disk.

Both latents (2 kB a frame) and tracks lie on disk in chunks. A chunk is whole or absent, and always
made from the same frames in the same batches, so that an interrupted pass ends in the same file.
"""

import bisect
import contextlib
import functools
import io
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cadl import console, files
from cadl.conversion import every_second
from cadl.conversion.clip import BATCH, PREFETCHED_BATCHES, Clip, Geometry, batches, resize
from cadl.images import metrics
from cadl.strokes.hand import Hand
from cadl.strokes.track_files import CHUNK_FRAMES as TRACK_CHUNK
from cadl.strokes.track_files import TrackWriter, chunk_path
from cadl.strokes.tracks import StrokeTracker
from cadl.style import latents
from cadl.style.latents import Statistics
from cadl.video.flow import Flow, OpticalFlow
from cadl.video.reader import prefetch
from cadl.video.shots import ShotFinder

import cv2
import numpy as np

PASS_FORMAT = 11  # of what is kept; raise when its contents change
KEPT_PASSES = 4  # over one video
LATENTS, OBSERVED = "latents.npy", "observed.npz"  # what is kept; the latter is written last
TRACKED_FRAMES = "tracks.json"  # beside the tracks, written last: how many frames they are of
CHUNK_FRAMES = 480
SMOOTHED_FRAMES = 256  # at a time: what lies around them is smoothed too, and thrown away
SAMPLES = 12
SHRINK = 4  # times that a shot's picture is smaller than what is tracked
DARK, LIT = 0.02, 0.08  # mean luminance below which a frame stays as it is, and above is painted


@dataclass(frozen=True)
class Encoded:
    """What pass 1 found.

    Attributes:
        latents: float32 [N, codes], posterior means of all frames; a file that is read when needed.
        shots: int [N], number of each frame's shot.
        times: float64 [N], seconds of each frame.
        light: float32 [N], mean luminance of each frame in [0, 1].
        samples: uint8 [n, h, w, 3], a few frames as they were tracked, for pictures.
        sample_indices: int [n], which frames they are.
        shot_pictures: uint8 [shots, h, w, 3], small, of one frame of each shot.
        shot_frames: int [shots], which frames they are.
    """

    latents: np.ndarray
    shots: np.ndarray
    times: np.ndarray
    light: np.ndarray
    samples: np.ndarray
    sample_indices: np.ndarray
    shot_pictures: np.ndarray
    shot_frames: np.ndarray

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

    def strengths(self, strength: float) -> np.ndarray:
        """Returns each frame's strength, float32 [N]: less in dark frames, so black stays black."""
        lit = np.clip((self.light - DARK) / (LIT - DARK), 0.0, 1.0)
        return (strength * lit).astype(np.float32)


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

    @property
    def shots(self) -> np.ndarray:
        """Number of each frame's shot, int [N]."""
        return self._encoded.shots

    def __getitem__(self, part: slice) -> np.ndarray:
        """Returns the codes of consecutive frames, moved: float32 [n, codes]."""
        codes = self.own(part)
        strengths = self._strengths[part, None]
        return (codes + strengths * (self._move(codes) - codes)).astype(np.float32)

    def own(self, part: slice) -> np.ndarray:
        """Returns the codes of consecutive frames, smoothed, not moved: float32 [n, codes]."""
        start, stop, _ = part.indices(len(self))
        first = start // SMOOTHED_FRAMES
        last = max(first, (stop - 1) // SMOOTHED_FRAMES)
        blocks = [self._smoothed(number) for number in range(first, last + 1)]
        start_there = start - first * SMOOTHED_FRAMES
        return np.concatenate(blocks)[start_there : start_there + max(0, stop - start)]

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


class Analysis(NamedTuple):
    """What pass 1 leaves.

    Attributes:
        encoded: latents and what else is known of each frame.
        tracks: folder of the tracks of strokes.
    """

    encoded: Encoded
    tracks: Path


def analyse_video(
    clip: Clip,
    geometry: Geometry,
    hands: Sequence[Hand],
    encode: Callable[[np.ndarray], np.ndarray],
    vae_fingerprint: str,
    folder: Path,
) -> Analysis:
    """Runs pass 1, or what is left of it.

    Args:
        clip: what to analyse.
        geometry: its sizes.
        hands: whose strokes are followed.
        encode: returns the latents of tiles, uint8 [N, 180, 320, 3] -> float32 [N, codes].
        vae_fingerprint: of the VAE, part of what must be the same for old latents to count.
        folder: where the passes of this video are kept, a sub-folder each.

    Raises:
        ValueError: the video can't be read.
        OSError: something can't be written.
        RuntimeError: another run is making the same pass.
    """
    same = [
        files.identity(clip.source.path), clip.crop, geometry.tracked_size, clip.start_seconds,
        clip.num_frames, BATCH, PASS_FORMAT,
    ]  # fmt: skip
    latents_key = [*same, geometry.tile_size, vae_fingerprint, CHUNK_FRAMES]
    encoded_folder = folder / f"latents-{files.hash_of(map(str, latents_key))}"
    layouts = [hand.layout() for hand in hands]
    tracks = folder / f"tracks-{files.hash_of(map(str, [*same, layouts]))}"
    with files.only_one(encoded_folder), files.only_one(tracks):
        encoded = _load_encoded(encoded_folder)
        tracked = encoded is not None and _are_tracked(tracks, len(encoded.shots))
        if encoded is None or not tracked:
            _go_through(clip, geometry, hands, encode if encoded is None else None,
                        encoded_folder, tracks)  # fmt: skip
        if encoded is not None:
            also = "" if tracked else "; strokes of another layout were followed anew"
            console.say(f"the first pass was done before and is used again{also}")
        for kept in (encoded_folder, tracks):
            os.utime(kept)  # the oldest ones are removed
            _remove_old(kept)
        encoded = encoded or _load_encoded(encoded_folder)
        if encoded is None:
            raise RuntimeError(f"{encoded_folder} was damaged: run the same command again")
        return Analysis(encoded, tracks)


def _load_encoded(folder: Path) -> Encoded | None:
    """Returns what is kept, None if it is not there, or damaged; then it is removed."""
    if not (folder / OBSERVED).exists():
        return None
    try:
        with np.load(folder / OBSERVED) as data:
            observed = {name: data[name] for name in data.files}
        if files.checksum(folder / LATENTS) != observed.pop("latents_checksum"):
            raise ValueError
        return Encoded(latents=np.load(folder / LATENTS, mmap_mode="r"), **observed)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        console.warn(f"{folder} is damaged: the first pass is done again")
        (folder / OBSERVED).unlink()
        return None


def _are_tracked(folder: Path, frames: int) -> bool:
    try:
        number = files.read_json(folder / TRACKED_FRAMES)
    except (FileNotFoundError, ValueError):
        return False
    chunks = -(-frames // TRACK_CHUNK)
    return number == frames and all(chunk_path(folder, i).exists() for i in range(chunks))


def forget(folder: Path) -> None:
    """Removes all passes over a video that turned out to have other frames than they saw."""
    shutil.rmtree(folder, ignore_errors=True)


def _remove_old(folder: Path) -> None:
    """Removes the oldest passes of the same kind over a video, unless in use."""
    kind = folder.name.partition("-")[0]
    passes = sorted(folder.parent.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
    for old in passes[:-KEPT_PASSES]:
        if old != folder:
            with contextlib.suppress(RuntimeError), files.only_one(old):
                shutil.rmtree(old, ignore_errors=True)


class Observed:
    """What is seen of each frame beside its latents, gathered while the frames go by."""

    def __init__(self, clip: Clip, geometry: Geometry):
        """Takes what will go by."""
        self._clip, self._geometry = clip, geometry
        self.expected = clip.expected_frames
        middles = (np.arange(SAMPLES) + 0.5) * self.expected / SAMPLES
        self._wanted = {0, *middles.astype(int)}
        self._shot_finder = ShotFinder()
        self._times: list[float] = []
        self.shots: list[int] = []
        self._light: list[float] = []
        self._samples: dict[int, np.ndarray] = {}
        self._shot_pictures: list[tuple[int, np.ndarray]] = []

    def __len__(self) -> int:
        return len(self.shots)

    def go_by(self) -> Iterator[tuple[int, np.ndarray, list[int]]]:
        """Yields batches: number of the first frame, frames, uint8 [N, h, w, 3], their shots."""
        frames = prefetch(self._clip.read(self._geometry.tracked_size, self._times), 4 * BATCH)
        for batch in batches(frames, CHUNK_FRAMES):
            first = len(self)
            for frame in batch:
                if len(self) in self._wanted:
                    self._samples[len(self)] = frame
                self._add_to_shot(self._shot_finder.add(frame), frame)
                self._light.append(float(metrics.LUMINANCE @ cv2.mean(frame)[:3]) / 255)
            yield first, batch, self.shots[first:]

    def _add_to_shot(self, shot: int, frame: np.ndarray) -> None:
        """Keeps a small picture of each shot: in the end one from its second half."""
        self.shots.append(shot)
        age = len(self) - bisect.bisect_left(self.shots, shot)
        if age & (age - 1) == 0:  # 1, 2, 4, 8: each takes the place of the one before
            width, height = self._geometry.tracked_size
            size = max(1, width // SHRINK), max(1, height // SHRINK)
            del self._shot_pictures[shot:]
            self._shot_pictures.append((len(self) - 1, resize(frame, size)))

    def arrays(self) -> dict[str, Any]:
        """Returns all attributes of `Encoded` but the latents."""
        if len(self._samples) > SAMPLES:  # the first frame is for a video of which no more came
            del self._samples[0]
        return {
            "shots": np.array(self.shots),
            "times": np.array(self._times),
            "light": np.array(self._light, np.float32),
            "samples": np.stack(list(self._samples.values())),
            "sample_indices": np.array(list(self._samples)),
            "shot_pictures": np.stack([picture for _, picture in self._shot_pictures]),
            "shot_frames": np.array([number for number, _ in self._shot_pictures]),
        }


def _go_through(
    clip: Clip,
    geometry: Geometry,
    hands: Sequence[Hand],
    encode: Callable | None,
    encoded: Path,
    tracks: Path,
) -> None:
    """Reads all frames once; encodes them unless `encode` is None, and follows the strokes."""
    observed = Observed(clip, geometry)
    tracker = StrokeTracker(hands, geometry.tracked_size)
    writer = TrackWriter(tracks, tracker)
    # Each stage runs in a thread of its own.
    seen = prefetch(observed.go_by(), PREFETCHED_BATCHES)
    moving = prefetch(_add_flow(seen, writer.frames_done), 1)
    followed = prefetch(_follow(moving, writer, tracker), PREFETCHED_BATCHES)
    chunk: list[np.ndarray] = []
    path = encoded
    with console.progress(total=observed.expected, unit="frame", label="pass 1") as bar:
        for first, batch in followed:
            path = encoded / f"chunk-{first // CHUNK_FRAMES:05d}.npy"
            if encode and not path.exists():
                shots = observed.shots[first : first + len(batch)]
                chunk.append(_encode_some(encode, geometry, batch, shots))
                if (first + len(batch)) % CHUNK_FRAMES == 0:
                    _save_chunk(path, chunk)
            bar.update(len(batch))
        if chunk:
            _save_chunk(path, chunk)
    count = len(observed)
    files.write_json(tracks / TRACKED_FRAMES, count)
    if not encode:
        return
    if count < 0.95 * observed.expected:
        console.warn(f"{clip.source.path}: breaks off after {count} of {observed.expected} frames")
    chunks = sorted(encoded.glob("chunk-?????.npy"))
    with files.whole_file(encoded / LATENTS) as temporary:
        _join_chunks(chunks, count, temporary)
    checksum = files.checksum(encoded / LATENTS)
    with files.whole_file(encoded / OBSERVED) as temporary, temporary.open("wb") as file:
        np.savez(file, latents_checksum=checksum, **observed.arrays())
    for path in chunks:
        path.unlink()


def _encode_some(
    encode: Callable, geometry: Geometry, batch: np.ndarray, shots: Sequence[int]
) -> np.ndarray:
    """Encodes every second frame; codes are smoothed over more frames than that.

    Args:
        encode: as `analyse_video` has it.
        geometry: sizes.
        batch: uint8 [N, h, w, 3].
        shots: of these frames.

    Returns:
        float32 [N, codes].
    """
    chosen = every_second.choose(shots)
    codes = encode(np.stack([geometry.tile(batch[i]) for i in chosen]))
    return every_second.fill_in(chosen, codes, shots)


def _add_flow(
    seen: Iterator[tuple[int, np.ndarray, list[int]]], done: int
) -> Iterator[tuple[int, np.ndarray, list[Flow | None]]]:
    """Adds to frames that go by the flow to each, None where a shot begins; not to those done."""
    flow, shot = OpticalFlow(), -1
    for first, batch, shots in seen:
        motions = []
        for number, (frame, own_shot) in enumerate(zip(batch, shots, strict=True), first):
            cut = own_shot != shot or number < done
            motions.append(flow.add(frame, cut=cut) if number >= done - 1 else None)
            shot = own_shot
        yield first, batch, motions


def _follow(
    moving: Iterator[tuple[int, np.ndarray, list[Flow | None]]],
    writer: TrackWriter,
    tracker: StrokeTracker,
) -> Iterator[tuple[int, np.ndarray]]:
    """Follows the strokes through frames that go by, and passes these on."""
    done = writer.frames_done
    for first, batch, motions in moving:
        for number, (frame, motion) in enumerate(zip(batch, motions, strict=True), first):
            if number >= done:
                writer.add(tracker.add(number, frame, motion))
            elif number == done - 1:
                tracker.see(frame)
        yield first, batch
    writer.write()


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
    buffer = io.BytesIO()  # of a full disk NumPy says only that it wrote less than it was to
    np.save(buffer, np.concatenate(chunk))
    with files.whole_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    chunk.clear()
