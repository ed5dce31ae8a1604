"""The second pass over a video: frames drawn from mapped latents, written and joined with sound.

Frames are read again for their detail and drawn into segments. A segment is whole or absent, and
always made from the same frames in the same batches, after the same ones before, so that an
interrupted conversion ends in the same file.
"""

import dataclasses
import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cadl import console, files, metrics, movie, tiles, video
from cadl.clips import BATCH, PREFETCHED_BATCHES, Clip, Encoding, batches
from cadl.first_pass import Encoded, Recipe
from cadl.replenishment import Replenisher

import numpy as np

SEGMENT_FRAMES = 240
FORMAT = 3  # more when segments of before would not fit beside those of now


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
        RuntimeError: the second pass gave other frames than the first.
        ValueError: the video can't be read.
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
        for number, drawn in _segments(clip, recipe, stylize, folder):
            path = folder / f"segment-{number:05d}.mp4"
            first, last = number * SEGMENT_FRAMES, min((number + 1) * SEGMENT_FRAMES, total)
            stamps = None if times is None else times[first:last] - times[first]
            with files.whole_file(path) as temporary:
                writer = encoding.writer(temporary, clip.source.rate, stamps)
                flicker = _write_segment(writer, drawn, encoding, bar)
                files.write_json(path.with_suffix(".json"), {"flicker_sums": flicker.sums})
    report = _join(clip, encoded, times, target, folder, total)
    return {**report, "output_size": list(encoding.geometry.output_size)}


def _write_segment(writer: movie.FrameWriter, batches, encoding: Encoding, bar) -> "Flicker":
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
        self.sums = [0.0, 0.0]
        self._last: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, originals: np.ndarray, drawn: np.ndarray) -> None:
        """Adds frames of both, uint8 [N, height, width, 3]."""
        for i, frames in enumerate((originals, drawn)):
            chain = frames if self._last is None else np.concatenate([self._last[i][None], frames])
            if len(chain) > 1:
                self.sums[i] += metrics.flicker(chain) * (len(chain) - 1)
        self._last = originals[-1], drawn[-1]


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
    """Yields number and drawn batches of every segment that is not there yet.

    Raises:
        RuntimeError: there are more or fewer frames than in the first pass.
    """
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
        replenisher = Replenisher(clip.scale)
        for batch in batches(video.prefetch(clip.read(), 4 * BATCH), SEGMENT_FRAMES):
            number = first // SEGMENT_FRAMES
            whole = tiles.mirror_to_tile(batch, clip.scale)
            shown = replenisher.add(whole)  # of finished segments, too: frames follow them
            if number in missing and first + len(batch) <= total:
                yield number, whole, recipe.draw(stylize, shown, first)
            first += len(batch)
        if first != total:
            raise RuntimeError(
                f"{clip.source.path} gave {first} frames in the second pass and {total} in the "
                "first: run the same command again, which does both again"
            )

    drawn = video.prefetch(draw(), PREFETCHED_BATCHES)
    for number, group in itertools.groupby(drawn, key=lambda item: item[0]):
        yield number, (item[1:] for item in group)


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
        sound = movie.join_segments(
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
