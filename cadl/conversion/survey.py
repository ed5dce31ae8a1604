"""Frames spread over a whole film, looked at when only a part of it is painted.

A painter's colours are given to a film as a whole: its blue sky becomes the painter's. If a part
were taken for the whole, a part that is all sky would become what the painter uses on average.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cadl import console
from cadl.conversion.clip import BATCH, Clip, Geometry
from cadl.errors import UserError
from cadl.video import reader

import numpy as np

FRAMES = 48
WHOLE = 0.9  # share of a film's frames from which on a part counts as the whole


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
    if clip.expected_frames >= WHOLE * len(clip.source.times):
        return np.zeros((0, height, width, 3), np.uint8), np.zeros((0, 1), np.float32)

    def read(seconds: float) -> np.ndarray | None:
        frames = reader.read_frames(
            clip.source, crop=clip.crop, size=(width, height), start_seconds=seconds, num_frames=1
        )
        try:
            return next(frames, None)
        except (UserError, OSError):  # some files can't be read from their middle
            return None

    moments = choose(clip.source.times, clip.source.key_times)
    with ThreadPoolExecutor(2) as pool, console.progress(
        total=len(moments), unit="frame", label="colours of the whole film"
    ) as bar:  # fmt: skip
        found = []
        for frame in pool.map(read, moments):
            found += [] if frame is None else [frame]
            bar.update(1)
    if not found:
        return np.zeros((0, height, width, 3), np.uint8), np.zeros((0, 1), np.float32)
    tiles = [geometry.tile(frame) for frame in found]
    parts = [np.stack(tiles[start : start + BATCH]) for start in range(0, len(tiles), BATCH)]
    return np.stack(found), np.concatenate([encode(part) for part in parts])


def choose(times: np.ndarray, key_times: np.ndarray) -> list[float]:
    """Returns moments spread over a film: of key frames, which are read quickly, where they do.

    Args:
        times: seconds of all frames, in order.
        key_times: seconds of those at which decoding can begin, in order.
    """
    count = min(FRAMES, len(times))
    moments = times[((np.arange(count) + 0.5) * len(times) / count).astype(int)]
    step = (times[-1] - times[0]) / count
    chosen = []
    for moment in moments:
        keys = key_times[(key_times <= moment) & (key_times > moment - 0.5 * step)]
        chosen.append(float(keys[-1]) if len(keys) else float(moment))
    return chosen
