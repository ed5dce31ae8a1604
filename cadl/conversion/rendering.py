"""The frames of a video painted in order, on all cores, from any segment on."""

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from cadl.conversion import segments
from cadl.conversion.clip import BATCH, Clip, Encoding, batches
from cadl.conversion.codes import Encoded
from cadl.conversion.frame_painter import FramePainter, Moved, measure, paint
from cadl.errors import UserError
from cadl.strokes.averaging import MEASURED_EVERY, WINDOW, TrackAverager
from cadl.strokes.stroke import Looks
from cadl.strokes.track_files import Tracked, read_tracks
from cadl.strokes.tracks import LIVES
from cadl.video.reader import prefetch
from cadl.workers import WorkerPool

import numpy as np

WAITING = 2  # frames that wait for each process that draws


class DifferentFrames(UserError):
    """The second pass saw other frames than the first."""


@dataclass(frozen=True)
class Rendering:
    """All that the second pass paints from."""

    clip: Clip
    encoded: Encoded
    tracks: Path
    painter: FramePainter
    encoding: Encoding
    hold_frames: int  # number of frames for which each painted state is held
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


def paint_frames(
    rendering: Rendering, numbers: Iterable[int]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Paints the frames of some segments, on all cores.

    Args:
        rendering: what is painted.
        numbers: of the segments, in order; each is asked for when the one before is almost painted.

    Yields:
        The number of a frame, the film's frame and the painted one, uint8 [h, w, 3] each.

    Raises:
        DifferentFrames: there are more or fewer than in the first pass.
    """
    painter, workers = rendering.painter, rendering.workers
    waiting: deque[tuple[int, np.ndarray, Future]] = deque()
    shown: Future | None = None
    for number, wanted, moved, tracked, looks in _measured_frames(rendering, iter(numbers)):
        if rendering.held(number) == number:
            shown = workers.submit(
                paint, painter.brushwork, moved, tracked, looks, painter.strength
            )
        if wanted and shown is not None:
            waiting.append((number, moved.frame, shown))
        while len(waiting) > WAITING * workers.count:
            number, frame, future = waiting.popleft()
            yield number, frame, future.result()
    for number, frame, future in waiting:
        yield number, frame, future.result()


def _measured_frames(
    rendering: Rendering, numbers: Iterator[int]
) -> Iterator[tuple[int, bool, Moved, list[Tracked], list[Looks]]]:
    """Yields frames with all that they are painted from, also those that are held into a segment.

    Beside its number each has whether it belongs to the segments.
    """
    total = rendering.total
    stream: _Stream | None = None
    following = next(numbers, None)
    while following is not None:
        stream = stream or _Stream(rendering)
        own = segments.frames_of(following, total)
        first, last = own.start, own.stop
        begin = rendering.held(first)
        lead = max(0, begin - WINDOW) // BATCH * BATCH
        hands = rendering.painter.brushwork.hands
        averagers = [TrackAverager(own.printed) for hand, _ in hands for own in hand.layers()]
        waiting: deque[tuple[int, Moved, list[Tracked]]] = deque()
        strokes = read_tracks(rendering.tracks, lead, total)
        for number, moved in stream.frames(lead):
            tracked = next(strokes)
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
            if number + 1 == min(total, last + WINDOW):  # a neighbour goes on in the same stream
                following = next(numbers, None)
                if following is None or segments.frames_of(following, total).start != last:
                    break
                last = segments.frames_of(following, total).stop
        else:
            following = None
        for rest in zip(*(averager.finish() for averager in averagers), strict=True):
            yield from _ready(waiting, list(rest), begin, first, last)
    if stream:
        stream.finish()


def _ready(waiting: deque, tables: list, begin: int, first: int, last: int) -> Iterator[tuple]:
    number, moved, tracked = waiting.popleft()
    if begin <= number < last:
        yield number, number >= first, moved, tracked, [Looks.of_table(table) for table in tables]


class _Stream:
    """A video's frames from its first to its last, moved where they are asked for."""

    def __init__(self, rendering: Rendering):
        self._rendering = rendering
        size = rendering.encoding.geometry.picture_size
        frames = prefetch(rendering.clip.read(size), BATCH)
        self._batches = prefetch(batches(frames, segments.SEGMENT_FRAMES), 1)
        self._next = 0
        self._kept: list[tuple[int, Moved]] = []

    def frames(self, first: int) -> Iterator[tuple[int, Moved]]:
        """Yields the frames from one on, moved in the batches that they always are moved in."""
        yield from ((number, moved) for number, moved in self._kept if first <= number)
        while self._next < self._rendering.total:
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
            yield from ((number, one) for number, one in self._kept if first <= number)

    def finish(self) -> None:
        """Reads what is left, which must be as much as in the first pass."""
        for batch in self._batches:
            self._next += len(batch)
        if self._next != self._rendering.total:
            self._complain(self._next)

    def _complain(self, count: int | str) -> None:
        raise DifferentFrames(
            f"{self._rendering.clip.source.path} gave {count} frames in the second pass and "
            f"{self._rendering.total} in the first: run the same command again, which does both "
            "again"
        )


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
        futures.append(
            rendering.workers.submit(
                paint, painter.brushwork, moved, strokes, None, painter.strength
            )
        )
    return futures


def read_frames_at(rendering: Rendering, number: int, count: int) -> list[np.ndarray]:
    """Reads a few frames from one on; none of a file that can't be read from its middle."""
    clip, times = rendering.clip, rendering.encoded.times
    start = clip.start_seconds + float(times[number])
    length = (count - 0.5) / float(clip.source.rate)
    few = dataclasses.replace(clip, start_seconds=start, length_seconds=length)
    try:
        return list(itertools.islice(few.read(rendering.encoding.geometry.picture_size), count))
    except (ValueError, OSError):
        return []
