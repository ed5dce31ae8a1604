"""A video through the networks, in two passes that can be stopped anywhere and gone on with.

Pass 1 encodes every frame into its latents; they are 2 kB a frame and lie on disk in chunks. Pass
2 reads the frames again for their detail, draws them from the mapped latents and writes segments
of video, which are joined at the end. A chunk or segment is whole or absent, and always made from
the same frames in the same batches, so that an interrupted conversion ends in the same file.
"""

import contextlib
import dataclasses
import functools
import itertools
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from cadl import console, files, latents, metrics, motion, tiles, video
from cadl.latents import Statistics

import numpy as np
from PIL import Image

PASS_FORMAT = 5  # of latents.npz; more when its contents change
KEPT_PASSES = 4  # over one video
BATCH = 8
CHUNK_FRAMES = 512
SEGMENT_FRAMES = 240
SAMPLES = 4
PREFETCHED_BATCHES = 3
DARK, LIT = 0.02, 0.08  # mean luminance below which a frame stays as it is, and above is painted
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
    ) -> video.FrameWriter:
        """Returns what writes frames to a file; `times` as `FrameWriter`'s."""
        return video.FrameWriter(
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


@dataclass(frozen=True)
class Encoded:
    """What pass 1 found.

    Attributes:
        latents: float32 [N, codes], posterior means of all frames.
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

    def restyle(
        self,
        smoothed: np.ndarray,
        painter: Statistics,
        style_map: str,
        strength: float,
        chosen: np.ndarray | slice = slice(None),
    ) -> "Recipe":
        """Moves codes toward a painter, those of dark frames less: black stays black.

        Args:
            smoothed: float32 [N, codes], the latents after smoothing.
            painter: the goal.
            style_map: as STYLE_MAP.
            strength: as STRENGTH.
            chosen: which frames; all if left out.
        """
        lit = np.clip((self.light[chosen] - DARK) / (LIT - DARK), 0.0, 1.0).astype(np.float32)
        codes = smoothed[chosen]
        moved = latents.map_latents(
            codes, self.statistics, painter, style_map=style_map, strength=strength
        )
        return Recipe(codes + lit[:, None] * (moved - codes), strength * lit, self.drift[chosen])


@dataclass(frozen=True)
class Recipe:
    """What frames are drawn from, beside themselves.

    Attributes:
        codes: float32 [N, codes], mapped latents.
        strengths: float32 [N], given to the refiner.
        drift: float32 [N, 2], how far strokes are moved.
    """

    codes: np.ndarray
    strengths: np.ndarray
    drift: np.ndarray

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
    """
    key = files.hash_of(
        map(str, [
            files.identity(clip.source.path), clip.crop, clip.tile_size, clip.scale,
            clip.start_seconds, clip.num_frames, vae_fingerprint, CHUNK_FRAMES, BATCH, PASS_FORMAT,
        ])
    )  # fmt: skip
    folder = folder / f"pass1-{key}"
    with files.only_one(folder):
        finished = folder / "latents.npz"
        if finished.exists():
            try:
                encoded = _load_encoded(finished)
                console.say("the first pass was done before and is used again")
                return encoded
            except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
                console.warn(f"{finished} is damaged: the first pass is done again")
        _encode_chunks(clip, vae_graph, folder, finished)
        _remove_old_passes(folder)
        return _load_encoded(finished)


def _load_encoded(path: Path) -> Encoded:
    with np.load(path) as data:
        return Encoded(**{name: data[name] for name in data.files})


def _remove_old_passes(folder: Path) -> None:
    """Removes the oldest passes over a video (other crops, parts or models), unless in use."""
    passes = sorted(folder.parent.glob("pass1-*"), key=lambda path: path.stat().st_mtime)
    for old in passes[:-KEPT_PASSES]:
        if old != folder:
            with contextlib.suppress(RuntimeError), files.only_one(old):
                shutil.rmtree(old, ignore_errors=True)


def _encode_chunks(clip: Clip, vae_graph, folder: Path, finished: Path) -> None:
    times: list[float] = []
    shots: list[int] = []
    light: list[float] = []
    drift: list[np.ndarray] = []
    samples, sample_indices = [], []
    expected = clip.expected_frames
    wanted = set(((np.arange(SAMPLES) + 0.5) * expected / SAMPLES).astype(int))
    shot_finder, camera = video.ShotFinder(), motion.CameraMotion()
    chunk: list[np.ndarray] = []
    with console.progress(total=expected, unit="frame", label="pass 1") as bar:

        def close_chunk() -> None:
            path = folder / f"chunk-{(len(shots) - 1) // CHUNK_FRAMES:05d}.npy"
            with files.whole_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, np.concatenate(chunk))
            chunk.clear()

        for batch in _batches(video.prefetch(clip.read(times), 4 * BATCH), CHUNK_FRAMES):
            small = tiles.reduce(batch, clip.scale)
            number = len(shots) // CHUNK_FRAMES
            for offset, frame in enumerate(small):
                if len(shots) in wanted or not shots:
                    samples.append(tiles.mirror_to_tile(batch[offset][None], clip.scale)[0])
                    sample_indices.append(len(shots))
                shots.append(shot_finder.add(frame))
                drift.append(camera.add(frame, cut=shots[-1] != shots[max(0, len(shots) - 2)]))
            light += list(metrics.luminance(small).mean(axis=(1, 2)) / 255)
            bar.update(len(batch))
            if not (folder / f"chunk-{number:05d}.npy").exists():
                codes = vae_graph.encode(tiles.mirror_to_tile(small))["z_mean"]
                chunk.append(np.asarray(codes))
                if len(shots) % CHUNK_FRAMES == 0:
                    close_chunk()
        if chunk:
            close_chunk()
    if len(shots) < 0.95 * expected:
        console.warn(f"{clip.source.path}: breaks off after {len(shots)} of {expected} frames")
    keep = slice(1, None) if len(samples) > SAMPLES else slice(None)
    chunks = sorted(folder.glob("chunk-?????.npy"))
    found = np.concatenate([np.load(path) for path in chunks])[: len(shots)]
    if len(found) != len(shots):
        raise RuntimeError(f"{folder} lost a chunk of {len(shots)} frames: run again")
    with files.whole_file(finished) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            latents=found,
            shots=np.array(shots),
            times=np.array(times),
            light=np.array(light, np.float32),
            drift=motion.smooth_drift(np.array(drift), np.array(shots)),
            samples=np.stack(samples[keep]),
            sample_indices=np.array(sample_indices[keep]),
        )
    for path in chunks:
        path.unlink()


def write_video(
    clip: Clip,
    encoded: Encoded,
    recipe: Recipe,
    stylize: Callable,
    encoding: Encoding,
    target: Path,
    folder: Path,
    request: dict,
) -> dict:
    """Runs pass 2 and joins its segments with the sound.

    Args:
        clip: as in pass 1.
        encoded: by pass 1.
        recipe: what all frames are drawn from.
        stylize: draws tiles, from codes, original tiles, strengths and drift.
        encoding: how frames are written.
        target: the mp4 to write.
        folder: where the segments go.
        request: everything the result depends on; segments of another request are removed.

    Returns:
        Frames, rate, flicker and what was done with the sound.

    Raises:
        ValueError: the second pass gave other frames than the first, or can't be read.
        OSError: something can't be written.
    """
    _begin_segments(folder, request)
    times = _regular_times(clip, encoded.times)
    total = len(recipe.codes)
    done = sum(_segment_length(path, total) for path in folder.glob("segment-?????.mp4"))
    if done:
        console.say(f"going on after frame {done} of {total}")
    if total - done > 2 * SEGMENT_FRAMES:
        _say_estimate(clip, encoded, recipe, stylize, encoding, folder, total - done)
    with console.progress(total=total, initial=done, unit="frame", label="pass 2") as bar:
        for number, batches in _segments(clip, recipe, stylize, folder):
            path = folder / f"segment-{number:05d}.mp4"
            first, last = number * SEGMENT_FRAMES, min((number + 1) * SEGMENT_FRAMES, total)
            stamps = None if times is None else times[first:last] - times[first]
            with files.whole_file(path) as temporary:
                writer = encoding.writer(temporary, clip.source.rate, stamps)
                flicker = _write_segment(writer, batches, encoding, bar)
                if flicker.frames != last - first:
                    raise ValueError(
                        f"{clip.source.path} gave {first + flicker.frames} frames in the second "
                        f"pass and {total} in the first: was it changed meanwhile?"
                    )
                files.write_json(path.with_suffix(".json"), {"flicker_sums": flicker.sums})
    report = _join(clip, encoded, times, target, folder, total)
    return {**report, "output_size": list(encoding.geometry.output_size)}


def _write_segment(writer: video.FrameWriter, batches, encoding: Encoding, bar) -> "Flicker":
    flicker, cut = Flicker(), encoding.geometry.cut
    with writer:
        for originals, drawn in batches:
            originals, drawn = cut(originals), cut(drawn)
            flicker.add(originals, drawn)
            writer.write(encoding.compose(originals, drawn))
            bar.update(len(drawn))
    return flicker


class Flicker:
    """Sums of differences between neighbouring frames, of a video and of what was made of it."""

    def __init__(self) -> None:
        self.frames = 0
        self.sums = [0.0, 0.0]
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, originals: np.ndarray, drawn: np.ndarray) -> None:
        """Adds frames of both, uint8 [N, height, width, 3]."""
        for i, frames in enumerate((originals, drawn)):
            chain = frames if self._last is None else np.concatenate([self._last[i][None], frames])
            if len(chain) > 1:
                self.sums[i] += metrics.flicker(chain) * (len(chain) - 1)
        self._last = originals[-1], drawn[-1]
        self.frames += len(drawn)


def _begin_segments(folder: Path, request: dict) -> None:
    """Removes segments that were made for another request."""
    folder.mkdir(parents=True, exist_ok=True)
    if not was_begun(folder, request):
        for old in folder.glob("segment-*"):
            old.unlink()
        files.write_json(folder / "request.json", request)


def was_begun(folder: Path, request: dict) -> bool:
    """Returns True if segments in a folder are of this request."""
    try:
        return files.read_json(folder / "request.json") == request
    except (FileNotFoundError, ValueError):
        return False


def _segment_length(path: Path, total: int) -> int:
    first = int(path.stem.split("-")[1]) * SEGMENT_FRAMES
    return min(SEGMENT_FRAMES, total - first)


def _segments(
    clip: Clip, recipe: Recipe, stylize: Callable, folder: Path
) -> Iterator[tuple[int, Iterator[tuple[np.ndarray, np.ndarray]]]]:
    """Yields number and drawn batches of every segment that is not there yet."""
    total = len(recipe.codes)
    missing = [
        number
        for number in range(-(-total // SEGMENT_FRAMES))
        if not (folder / f"segment-{number:05d}.mp4").exists()
        or not (folder / f"segment-{number:05d}.json").exists()
    ]

    def draw() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        if not missing:
            return
        first = 0
        for batch in _batches(video.prefetch(clip.read(), 4 * BATCH), SEGMENT_FRAMES):
            number = first // SEGMENT_FRAMES
            if number in missing and first < total:
                whole = tiles.mirror_to_tile(batch[: total - first], clip.scale)
                yield number, whole, recipe.draw(stylize, whole, first)
            first += len(batch)

    drawn = video.prefetch(draw(), PREFETCHED_BATCHES)
    waiting = next(drawn, None)
    while waiting is not None:
        number = waiting[0]

        def of_this_segment() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            nonlocal waiting
            while waiting is not None and waiting[0] == number:  # noqa: B023
                yield waiting[1:]
                waiting = next(drawn, None)

        yield number, of_this_segment()


def _batches(frames: Iterator[np.ndarray], boundary: int) -> Iterator[np.ndarray]:
    """Stacks frames into batches that never reach over a multiple of `boundary`."""
    batch: list[np.ndarray] = []
    for count, frame in enumerate(frames, start=1):
        batch.append(frame)
        if len(batch) == BATCH or count % boundary == 0:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _regular_times(clip: Clip, times: np.ndarray) -> np.ndarray | None:
    """Returns the frames' times if they are not evenly spaced, None if they are."""
    if len(times) < 2:
        return None
    even = times[0] + np.arange(len(times)) / float(clip.source.rate)
    irregular = np.abs(times - even).max() > 0.6 / float(clip.source.rate)
    return times if irregular or clip.source.variable_rate else None


def _say_estimate(
    clip: Clip, encoded: Encoded, recipe: Recipe, stylize: Callable, encoding: Encoding,
    folder: Path, left: int,
) -> None:  # fmt: skip
    """Draws and writes a few frames, and says how long the rest takes and how large all gets."""
    total, rate = len(recipe.codes), float(clip.source.rate)
    middle = total // 2
    start = clip.start_seconds + float(encoded.times[middle] - encoded.times[0])
    few = dataclasses.replace(clip, start_seconds=start, length_seconds=(BATCH - 0.5) / rate)
    try:
        frames = list(itertools.islice(few.read(), BATCH))
    except (ValueError, OSError):
        frames = []
    if not frames:  # a damaged file that can be read on, but not from its middle
        return
    originals = tiles.mirror_to_tile(np.stack(frames), clip.scale)
    started = time.monotonic()
    drawn = recipe.draw(stylize, originals, middle)
    composed = encoding.compose(*map(encoding.geometry.cut, (originals, drawn)))
    drawing = time.monotonic() - started
    sizes = []
    for count in (1, len(frames)):
        started = time.monotonic()
        with files.whole_file(folder / "estimate.mp4") as temporary:
            with encoding.writer(temporary, clip.source.rate) as writer:
                writer.write(composed[:count])
            sizes.append(temporary.stat().st_size)
    (folder / "estimate.mp4").unlink()
    seconds = (drawing + time.monotonic() - started) / len(frames) * left
    each = (sizes[1] - sizes[0]) / max(1, len(frames) - 1)  # what a frame adds to a first one
    megabytes = (each * total + (sizes[0] - each) * -(-total // SEGMENT_FRAMES)) / 1e6
    console.say(
        f"about {console.duration(seconds)} for {left} frames; video of some {megabytes:.0f} MB "
        f"without sound; {console.peak_memory():.1f} GiB of memory"
    )


def _join(
    clip: Clip,
    encoded: Encoded,
    times: np.ndarray | None,
    target: Path,
    folder: Path,
    total: int,
) -> dict:
    segments = sorted(folder.glob("segment-?????.mp4"))
    rate = clip.source.rate
    starts = np.arange(0, total, SEGMENT_FRAMES)
    ends = np.minimum(starts + SEGMENT_FRAMES, total)
    if times is None:
        durations = [float((end - start) / rate) for start, end in zip(starts, ends, strict=True)]
        length = float(total / rate)
    else:
        edges = np.append(times, times[-1] + float(1 / rate))
        durations = [edges[end] - edges[start] for start, end in zip(starts, ends, strict=True)]
        length = float(edges[-1] - edges[0])
    delay = max(0.0, float(encoded.times[0] if clip.start_seconds else clip.source.times[0]))
    cut = clip.start_seconds > 0 or clip.num_frames is not None
    with files.whole_file(target) as temporary:
        sound = video.join_segments(
            segments,
            temporary,
            durations=durations,
            sound=clip.source,
            sound_start=clip.start_seconds,
            sound_seconds=delay + length if cut else None,
            delay_seconds=delay,
        )
    if sound.startswith("left out"):
        console.warn(f"{target}: sound {sound}")
    records = [files.read_json(path.with_suffix(".json")) for path in segments]
    sums = np.sum([record["flicker_sums"] for record in records], axis=0)
    pairs = max(1, total - len(segments))
    return {
        "frames": total,
        "rate": str(rate),
        "variable_rate": times is not None,
        "seconds": length,
        "sound": sound,
        "flicker_input": float(sums[0] / pairs),
        "flicker_output": float(sums[1] / pairs),
    }


def clean_up(folder: Path) -> None:
    """Removes the segments of a finished conversion."""
    shutil.rmtree(folder, ignore_errors=True)
