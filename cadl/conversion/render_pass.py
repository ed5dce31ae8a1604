"""The second pass over a video: frames painted, written in segments and joined with sound.

A segment is whole or absent. What a frame looks like depends on the frames near it alone, which are
read again where a segment begins, so that an interrupted conversion ends in the same file.
"""

import dataclasses
import itertools
import shutil
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

from cadl import console, files
from cadl.conversion.clip import BATCH, PREFETCHED_BATCHES, Clip, Encoding, batches
from cadl.conversion.encode_pass import Encoded
from cadl.conversion.frame_painter import FramePainter, Moved, measure, measure_and_paint, paint
from cadl.images import gallery
from cadl.strokes.looks import MEASURED_EVERY, WINDOW, Looks, TrackAverager
from cadl.strokes.track_files import Tracked, read_tracks
from cadl.strokes.tracks import LIVES
from cadl.video.reader import prefetch
from cadl.video.writer import FrameWriter, join_segments
from cadl.workers import WorkerPool

import cv2
import numpy as np
from PIL import Image

SEGMENT_FRAMES = 240  # a multiple of BATCH
FORMAT = 6  # raise when segments of before would not fit beside those of now
WAITING = 2  # frames that wait for each process that draws


@dataclasses.dataclass(frozen=True)
class Rendering:
    """All that the second pass paints from.

    Attributes:
        clip: the video.
        encoded: by pass 1.
        tracks: folder of the tracks of strokes.
        painter: paints frames.
        encoding: how they are written.
        hold_frames: how many frames each painted state is held.
        workers: processes that draw.
    """

    clip: Clip
    encoded: Encoded
    tracks: Path
    painter: FramePainter
    encoding: Encoding
    hold_frames: int
    workers: WorkerPool

    @property
    def total(self) -> int:
        """How many frames there are."""
        return len(self.encoded.shots)

    def held(self, number: int) -> int:
        """Returns the frame whose painted state is shown at a frame: it begins anew in a shot."""
        shots = self.encoded.shots
        begin = int(np.searchsorted(shots, shots[number]))
        return number - (number - begin) % self.hold_frames


class Flicker:
    """Sums of differences between neighbouring frames, of a video and of what was made of it."""

    def __init__(self) -> None:
        self.sums = [0.0, 0.0]
        self._last: tuple[np.ndarray, ...] | None = None

    def add(self, *frames: np.ndarray) -> None:
        """Adds a frame of both, uint8 [h, w, 3]."""
        if self._last is not None:
            for i, (before, now) in enumerate(zip(self._last, frames, strict=True)):
                self.sums[i] += cv2.norm(before, now, cv2.NORM_L1) / now.size
        self._last = frames


def write_video(rendering: Rendering, target: Path, folder: Path, request: dict) -> dict:
    """Runs pass 2 and joins its segments with the sound.

    Args:
        rendering: what is painted.
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
    clip, total = rendering.clip, rendering.total
    times = _regular_times(clip, rendering.encoded.times)
    missing = [
        number for number in range(-(-total // SEGMENT_FRAMES)) if not _is_done(folder, number)
    ]
    left = sum(len(_frames_of(number, total)) for number in missing)
    if left < total:
        console.say(f"going on after {total - left} of {total} frames")
    if left > 2 * SEGMENT_FRAMES:
        _say_estimate(rendering, folder, left)
    painted = prefetch(paint_frames(rendering, missing), PREFETCHED_BATCHES * BATCH)
    with console.progress(total=total, initial=total - left, unit="frame", label="pass 2") as bar:
        for number, group in itertools.groupby(painted, key=lambda item: item[0] // SEGMENT_FRAMES):
            path = segment_path(folder, number)
            own = _frames_of(number, total)
            stamps = None if times is None else times[own.start : own.stop] - times[own.start]
            with files.whole_file(path) as temporary:
                writer = rendering.encoding.writer(temporary, clip.source.rate, stamps)
                flicker = _write_segment(writer, group, rendering.encoding, bar)
                files.write_json(path.with_suffix(".json"), {"flicker_sums": flicker.sums})
    report = _join(rendering, times, target, folder)
    return {**report, "output_size": list(rendering.encoding.geometry.output_size)}


def write_picture(rendering: Rendering, target: Path) -> dict:
    """Paints a film of one frame and writes it as a picture; returns as `write_video`."""
    ((_, original, painted),) = paint_frames(rendering, [0])
    picture = Image.fromarray(rendering.encoding.compose(original, painted))
    gallery.save_picture(target, picture)
    return {"frames": 1, "output_size": list(picture.size), "sound": "none, it is a picture"}


def segment_path(folder: Path, number: int) -> Path:
    """Names the file of a segment."""
    return folder / f"segment-{number:05d}.mp4"


def _is_done(folder: Path, number: int) -> bool:
    path = segment_path(folder, number)
    return path.exists() and path.with_suffix(".json").exists()


def _frames_of(segment: int, total: int) -> range:
    return range(segment * SEGMENT_FRAMES, min((segment + 1) * SEGMENT_FRAMES, total))


def _write_segment(writer: FrameWriter, group: Iterator, encoding: Encoding, bar) -> Flicker:
    flicker = Flicker()
    with writer:
        for _, original, painted in group:
            flicker.add(original, painted)
            writer.write(encoding.compose(original, painted))
            bar.update()
    return flicker


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


def paint_frames(
    rendering: Rendering, segments: list[int]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Paints the frames of some segments, on all cores.

    Args:
        rendering: what is painted.
        segments: numbers of the segments, in order.

    Yields:
        Number of a frame, the frame as it is and painted, uint8 [h, w, 3] each.

    Raises:
        RuntimeError: there are more or fewer frames than in the first pass.
    """
    painter, workers = rendering.painter, rendering.workers
    waiting: deque[tuple[int, np.ndarray, Future]] = deque()
    shown: Future | None = None
    for number, wanted, moved, tracked, looks in _measured_frames(rendering, segments):
        if rendering.held(number) == number:
            strength = float(painter.strengths[number])
            shown = workers.submit(paint, painter.brushwork, moved, tracked, looks, strength)
        if wanted and shown is not None:
            waiting.append((number, moved.frame, shown))
        while len(waiting) > WAITING * workers.count:
            number, frame, future = waiting.popleft()
            yield number, frame, future.result()
    for number, frame, future in waiting:
        yield number, frame, future.result()


def paint_alone(
    rendering: Rendering, numbers: list[int], frames: list, tracked: list
) -> list[Future]:
    """Paints single frames, whose strokes' looks are not averaged along their tracks.

    Args:
        rendering: what is painted.
        numbers: of the frames.
        frames: uint8 [h, w, 3] each.
        tracked: the strokes of each frame, a layer each.

    Returns:
        Futures of the painted frames.
    """
    painter = rendering.painter
    futures = []
    for number, frame, strokes in zip(numbers, frames, tracked, strict=True):
        (moved,) = painter.move(number, [frame])
        strength = float(painter.strengths[number])
        futures.append(
            rendering.workers.submit(measure_and_paint, painter.brushwork, moved, strokes, strength)
        )
    return futures


def _measured_frames(
    rendering: Rendering, segments: list[int]
) -> Iterator[tuple[int, bool, Moved, list[Tracked], list[Looks]]]:
    """Yields frames with all that they are painted from, also those that are held into a segment.

    Beside its number each has whether it belongs to the segments.
    """
    if not segments:
        return
    total = rendering.total
    stream = _Stream(rendering)
    for run in _runs(segments):
        first, last = run[0] * SEGMENT_FRAMES, _frames_of(run[-1], total).stop
        begin = rendering.held(first)
        lead = max(0, begin - WINDOW) // BATCH * BATCH
        stop = min(total, last + WINDOW)
        averagers: list[TrackAverager] = []
        waiting: deque[tuple[int, Moved, list[Tracked]]] = deque()
        strokes = read_tracks(rendering.tracks, lead, stop)
        for number, moved in stream.frames(lead, stop):
            tracked = next(strokes)
            averagers = averagers or [TrackAverager() for _ in tracked]
            new = None
            if number % MEASURED_EVERY:
                new = [np.arange((own.fates == LIVES).sum(), len(own.places)) for own in tracked]
            looks = measure(rendering.painter.brushwork, moved, tracked, new)
            tables = [
                averager.add(
                    own.table(),
                    None if new is None else new[i],
                    tracked[i].fates,
                    len(tracked[i].places),
                )
                for i, (averager, own) in enumerate(zip(averagers, looks, strict=True))
            ]
            waiting.append((number, moved, tracked))
            if tables[0] is not None:
                yield from _ready(waiting, tables, begin, first, last)
        for rest in zip(*(averager.finish() for averager in averagers), strict=True):
            yield from _ready(waiting, list(rest), begin, first, last)
    stream.finish()


def _ready(waiting: deque, tables: list, begin: int, first: int, last: int) -> Iterator[tuple]:
    number, moved, tracked = waiting.popleft()
    if begin <= number < last:
        yield number, number >= first, moved, tracked, [Looks.of_table(table) for table in tables]


def _runs(segments: list[int]) -> list[list[int]]:
    """Splits numbers into runs of neighbours."""
    runs: list[list[int]] = []
    for number in segments:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


class _Stream:
    """A video's frames from its first to its last, moved where they are asked for."""

    def __init__(self, rendering: Rendering):
        self._rendering = rendering
        size = rendering.encoding.geometry.picture_size
        frames = prefetch(rendering.clip.read(size), BATCH)
        self._batches = prefetch(batches(frames, SEGMENT_FRAMES), 1)
        self._next = 0
        self._kept: list[tuple[int, Moved]] = []

    def frames(self, first: int, last: int) -> Iterator[tuple[int, Moved]]:
        """Yields the frames from one on, moved in the batches that they always are moved in."""
        yield from ((number, moved) for number, moved in self._kept if first <= number < last)
        while self._next < last:
            batch = next(self._batches, None)
            if batch is None:
                self._complain(self._next)
                return
            start, self._next = self._next, self._next + len(batch)
            if self._next > self._rendering.total:
                self._complain(f"more than {self._rendering.total}")
            if self._next <= first:
                continue
            moved = self._rendering.painter.move(start, list(batch))
            self._kept = list(enumerate(moved, start))
            yield from ((number, one) for number, one in self._kept if first <= number < last)

    def finish(self) -> None:
        """Reads what is left, which must be as much as in the first pass."""
        for batch in self._batches:
            self._next += len(batch)
        if self._next != self._rendering.total:
            self._complain(self._next)

    def _complain(self, count: int | str) -> None:
        raise RuntimeError(
            f"{self._rendering.clip.source.path} gave {count} frames in the second pass and "
            f"{self._rendering.total} in the first: run the same command again, which does both "
            "again"
        )


def _regular_times(clip: Clip, times: np.ndarray) -> np.ndarray | None:
    """Returns the frames' times if they are not evenly spaced, None if they are."""
    if len(times) < 2:
        return None
    even = times[0] + np.arange(len(times)) / float(clip.source.rate)
    irregular = np.abs(times - even).max() > 0.6 / float(clip.source.rate)
    return times if irregular or clip.source.variable_rate else None


def read_frames_at(rendering: Rendering, number: int, count: int) -> list[np.ndarray]:
    """Reads a few frames from one on; none of a file that can't be read from its middle."""
    clip, times = rendering.clip, rendering.encoded.times
    start = clip.start_seconds + float(times[number] - times[0])
    length = (count - 0.5) / float(clip.source.rate)
    few = dataclasses.replace(clip, start_seconds=start, length_seconds=length)
    try:
        return list(itertools.islice(few.read(rendering.encoding.geometry.picture_size), count))
    except (ValueError, OSError):
        return []


def _say_estimate(rendering: Rendering, folder: Path, left: int) -> None:
    """Paints and writes a few frames, and says how long the rest takes and how large all gets."""
    total = rendering.total
    middle = total // 2 // BATCH * BATCH
    frames = read_frames_at(rendering, middle, BATCH)
    if not frames:
        return
    numbers = range(middle, middle + len(frames))
    started = time.monotonic()
    tracked = list(read_tracks(rendering.tracks, numbers[0], numbers[-1] + 1))
    futures = paint_alone(rendering, list(numbers), frames, tracked)
    painted = [future.result() for future in futures]
    painting = time.monotonic() - started
    composed = [rendering.encoding.compose(*both) for both in zip(frames, painted, strict=True)]
    sizes = []
    for count in (1, len(frames)):
        started = time.monotonic()
        with files.whole_file(folder / "estimate.mp4") as temporary:
            with rendering.encoding.writer(temporary, rendering.clip.source.rate) as writer:
                for frame in composed[:count]:
                    writer.write(frame)
            sizes.append(temporary.stat().st_size)
    (folder / "estimate.mp4").unlink()
    seconds = (painting + time.monotonic() - started) / len(frames) * left
    each = (sizes[1] - sizes[0]) / max(1, len(frames) - 1)  # what a frame adds to a first one
    megabytes = (each * total + (sizes[0] - each) * -(-total // SEGMENT_FRAMES)) / 1e6
    kept = sum(path.stat().st_size for path in rendering.tracks.glob("tracks-*")) / 1e6
    console.say(
        f"about {console.duration(seconds)} for {left} frames; video of some {megabytes:.0f} MB "
        f"without sound, {kept:.0f} MB of tracks; {console.peak_memory():.1f} GiB of memory"
    )


def _join(rendering: Rendering, times: np.ndarray | None, target: Path, folder: Path) -> dict:
    clip, encoded, total = rendering.clip, rendering.encoded, rendering.total
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
        sound = join_segments(
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
