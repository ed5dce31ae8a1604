"""The second pass over a video: frames painted, written in segments and joined with sound.

A segment is whole or absent. What a frame looks like depends on the frames near it alone, which are
read again where a segment begins, so that an interrupted conversion ends in the same file.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from cadl import console, files
from cadl.conversion import segments
from cadl.conversion.clip import BATCH, PREFETCHED_BATCHES, Clip, resize
from cadl.conversion.rendering import Rendering, paint_alone, paint_frames, read_frames_at
from cadl.conversion.sharing import Sharing
from cadl.images import gallery
from cadl.strokes.track_files import read_tracks
from cadl.video.companions import Part
from cadl.video.reader import prefetch
from cadl.video.writer import join_segments

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

WAITING_SECONDS = 1.0  # until a run looks again at what others paint


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


def write_video(rendering: Rendering, share: Sharing) -> dict | None:
    """Runs pass 2 and joins its segments with the sound.

    Args:
        rendering: what is painted.
        share: this run's part in it.

    Returns:
        Frames, rate, flicker and what was done with the sound; None if another run has finished it.

    Raises:
        DifferentFrames: the second pass gave other frames than the first.
        UserError: the video can't be read.
        OSError: something can't be written.
    """
    times = _irregular_edges(rendering.clip, rendering.encoded.times)
    folder, total = share.output.segments, rendering.total
    while True:
        if not share.begin():
            return None
        _paint_missing(rendering, times, share)
        if not share.finish():
            return None
        if not segments.missing(folder, total):  # else another run has taken some back
            break
    report = _join(rendering, times, share.output.target, folder)
    return {**report, "output_size": list(rendering.encoding.geometry.output_size)}


def _paint_missing(rendering: Rendering, times: np.ndarray | None, share: Sharing) -> None:
    """Paints all segments that no other run paints, and waits until the others are done, too."""
    folder, total = share.output.segments, rendering.total
    missing = segments.missing(folder, total)
    left = segments.count_frames(missing, total)
    if left < total:
        console.say(f"going on after {total - left} of {total} frames")
    if left > 2 * segments.SEGMENT_FRAMES and not share.joined:
        _say_estimate(rendering, folder, left)
    waits = False
    with console.progress(total=total, initial=total - left, unit="frame", label="pass 2") as bar:
        while missing:
            painted = paint_frames(rendering, share.claims(missing))
            with contextlib.closing(prefetch(painted, PREFETCHED_BATCHES * BATCH)) as frames:
                is_idle = not _write_segments(rendering, times, share, frames, bar)
            missing = _show_done(folder, total, bar)
            if is_idle and missing:
                if not waits:
                    console.say("all that is left is being painted by other runs: waiting for them")
                waits = True
                time.sleep(WAITING_SECONDS)


def _write_segments(
    rendering: Rendering, times: np.ndarray | None, share: Sharing, frames: Iterator, bar: tqdm
) -> int:
    """Writes painted frames in the segments that this run has claimed; returns how many."""
    folder, total, count = share.output.segments, rendering.total, 0
    encoding = rendering.encoding
    for number, group in itertools.groupby(
        frames, key=lambda item: item[0] // segments.SEGMENT_FRAMES
    ):
        path = segments.segment_path(folder, number)
        own = segments.frames_of(number, total)
        stamps = None if times is None else times[own.start : own.stop + 1] - times[own.start]
        with files.whole_file(path) as temporary:
            flicker = Flicker()
            with encoding.writer(temporary, rendering.clip.source.rate, stamps) as writer:
                for _, original, painted in group:
                    flicker.add(original, painted)
                    writer.write(encoding.compose(original, painted))
                    bar.update()
            files.write_json(path.with_suffix(".json"), {"flicker_sums": flicker.sums})
        share.done(number)
        _show_done(folder, total, bar)
        count += 1
    return count


def _show_done(folder: Path, total: int, bar: tqdm) -> list[int]:
    """Shows how many frames are on disk, by all runs; returns the segments that are missing."""
    missing = segments.missing(folder, total)
    bar.update(total - segments.count_frames(missing, total) - bar.n)
    return missing


def write_picture(rendering: Rendering, target: Path) -> dict:
    """Paints a film of one frame and writes it as a picture; returns as `write_video`."""
    ((_, original, painted),) = paint_frames(rendering, [0])
    encoding = rendering.encoding
    size = encoding.geometry.output_size
    picture = Image.fromarray(resize(encoding.compose(original, painted), size))
    gallery.save_picture(target, picture)
    return {"frames": 1, "output_size": list(size), "sound": "none, it is a picture"}


def _irregular_edges(clip: Clip, times: np.ndarray) -> np.ndarray | None:
    """Returns `Clip.edges` if the frames are not evenly spaced, None if they are."""
    edges = clip.edges(times)
    even = edges[0] + np.arange(len(edges)) / float(clip.source.rate)
    irregular = np.abs(edges - even).max() > clip.tolerance
    return edges if irregular or clip.source.variable_rate else None


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
    (folder / "estimate.mp4").unlink(missing_ok=True)  # another run may write one, too
    seconds = (painting + time.monotonic() - started) / len(frames) * left
    each = (sizes[1] - sizes[0]) / max(1, len(frames) - 1)  # what a frame adds to a first one
    megabytes = (each * total + (sizes[0] - each) * -(-total // segments.SEGMENT_FRAMES)) / 1e6
    kept = sum(path.stat().st_size for path in rendering.tracks.glob("tracks-*")) / 1e6
    console.say(
        f"about {console.duration(seconds)} for {left} frames; video of some {megabytes:.0f} MB "
        f"without sound, {kept:.0f} MB of tracks; {console.peak_memory():.1f} GiB of memory"
    )


def _join(rendering: Rendering, times: np.ndarray | None, target: Path, folder: Path) -> dict:
    clip, encoded, total = rendering.clip, rendering.encoded, rendering.total
    paths = [segments.segment_path(folder, number) for number in segments.numbers_of(total)]
    rate = clip.source.rate
    edges = [number / rate for number in range(total + 1)] if times is None else times
    parts = [segments.frames_of(number, total) for number in segments.numbers_of(total)]
    durations = [float(edges[own.stop] - edges[own.start]) for own in parts]
    length = float(edges[-1] - edges[0])
    delay = max(0.0, float(encoded.times[0]))
    cut = clip.start_seconds > 0 or clip.num_frames is not None
    with files.whole_file(target) as temporary:
        kept = join_segments(
            paths,
            temporary,
            durations=durations,
            source=clip.source,
            part=Part(clip.start_seconds, delay + length if cut else None),
            delay_seconds=delay,
        )
    if "left out" in kept.sound:
        console.warn(f"{target}: sound {kept.sound}")
    records = [files.read_json(path.with_suffix(".json")) for path in paths]
    sums = np.sum([record["flicker_sums"] for record in records], axis=0)
    pairs = max(1, total - len(paths))
    return {
        "frames": total,
        "rate": str(rate),
        "variable_rate": times is not None,
        "seconds": length,
        "sound": kept.sound,
        "left_out": kept.left_out,
        "flicker_input": float(sums[0] / pairs),
        "flicker_output": float(sums[1] / pairs),
    }
