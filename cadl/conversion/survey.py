"""Frames spread over a whole film, looked at when only a part of it is painted.

The mean colour of a film becomes the painter's. If a part were taken for the whole, a part that is
all sky would get the colour that the painter uses on average, and lose its blue.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from cadl import console
from cadl.conversion.clip import BATCH, Clip, Geometry
from cadl.errors import UserError
from cadl.video import reader

import numpy as np

FRAMES = 48
WHOLE = 0.9  # share of a film's frames from which on a part counts as the whole
FEW = 0.5  # share of the frames that must be readable


def survey(
    clip: Clip, geometry: Geometry, encode: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns frames of the whole film and their latents; none if it is converted whole.

    Args:
        clip: the part that is converted.
        geometry: its sizes.
        encode: as `analyse_video`'s.

    Returns:
        uint8 [n, h, w, 3], as they are tracked, and float32 [n, codes].
    """
    width, height = geometry.tracked_size
    none = np.zeros((0, height, width, 3), np.uint8), np.zeros((0, 1), np.float32)
    if clip.expected_frames >= WHOLE * len(clip.source.times):
        return none
    numbers = choose(clip.source.times, clip.source.key_times)
    frames = (
        _read_in_order(clip, numbers, (width, height))
        if _decoded(numbers, clip.source.times, clip.source.key_times) > len(clip.source.times)
        else _read_each(clip, numbers, (width, height))
    )
    with console.progress(
        total=len(numbers), unit="frame", label="colours of the whole film"
    ) as bar:
        found = []
        for frame in frames:
            found.append(frame)
            bar.update(1)
    if len(found) < FEW * len(numbers):
        console.warn(
            f"{clip.source.path}: only {len(found)} of {len(numbers)} frames all over it could be "
            "read: the part is given the painter's colours as if it were all"
        )
        return none
    tiles = [geometry.tile(frame) for frame in found]
    parts = [np.stack(tiles[start : start + BATCH]) for start in range(0, len(tiles), BATCH)]
    return np.stack(found), np.concatenate([encode(part) for part in parts])


def choose(times: np.ndarray, key_times: np.ndarray) -> list[int]:
    """Returns numbers of frames spread over a film.

    Each moves to the frame after a key frame, if one is shortly before it: it is read quickly.

    Args:
        times: float64 [frames], seconds, in order.
        key_times: float64 [keys], seconds of the frames at which decoding can begin, in order.
    """
    count = min(FRAMES, len(times))
    even = ((np.arange(count) + 0.5) * len(times) / count).astype(int).tolist()
    step = (times[-1] - times[0]) / count
    chosen = []
    for number in even:
        key = _key_before(times[number], key_times)
        if key is not None and key > times[number] - 0.5 * step:
            number = min(number, int(np.searchsorted(times, key, "right")))
        chosen.append(number)
    return chosen


def _key_before(seconds: float, key_times: np.ndarray) -> float | None:
    """Returns when the last key frame at or before a moment is shown; None if there is none."""
    place = int(np.searchsorted(key_times, seconds, "right")) - 1
    return float(key_times[place]) if place >= 0 else None


def _decoded(numbers: list[int], times: np.ndarray, key_times: np.ndarray) -> int:
    """Returns how many frames are decoded to read some, each from the key frame before it."""
    keys = (_key_before(times[number], key_times) for number in numbers)
    firsts = [0 if key is None else int(np.searchsorted(times, key)) for key in keys]
    return sum(number - first + 1 for number, first in zip(numbers, firsts, strict=True))


def _read_each(clip: Clip, numbers: list[int], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yields frames, uint8 [h, w, 3], each read for itself; leaves out those that can't be."""

    def read(number: int) -> np.ndarray | None:
        frames = reader.read_frames(
            clip.source, crop=clip.crop, size=size, num_frames=1,
            start_seconds=float(clip.source.times[number]),
        )  # fmt: skip
        try:
            return next(frames, None)
        except UserError:  # nothing can be decoded there
            return None

    with ThreadPoolExecutor(2) as pool:
        yield from (frame for frame in pool.map(read, numbers) if frame is not None)


def _read_in_order(clip: Clip, numbers: list[int], size: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yields frames, uint8 [h, w, 3], of a film that has few places where decoding can begin."""
    wanted, last = set(numbers), max(numbers)
    frames = reader.read_frames(clip.source, crop=clip.crop, size=size, num_frames=last + 1)
    yield from (frame for number, frame in enumerate(frames) if number in wanted)
