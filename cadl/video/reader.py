"""Videos read: their frames in order.

ffmpeg crops, scales and converts; Python sees RGB frames of the size it asked for, one at a time.
"""

import functools
import re
import subprocess
import tempfile
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from cadl import console
from cadl.errors import UserError
from cadl.images import tiles
from cadl.images.tiles import Crop
from cadl.video import ffmpeg
from cadl.video.probing import Video

import numpy as np
from PIL import Image

Item = TypeVar("Item")
SEARCHED_SECONDS = 1.0  # before a key frame, in files without an index


def read_frames(
    video: Video,
    *,
    crop: Crop,
    size: tuple[int, int],
    start_seconds: float = 0.0,
    num_frames: int | None = None,
    times: list[float] | None = None,
) -> Iterator[np.ndarray]:
    """Decodes every frame in order, cropped and scaled by ffmpeg.

    Args:
        video: from `probing.probe`.
        crop: in rows and columns of the decoded frame.
        size: width and height wanted.
        start_seconds: where to begin.
        num_frames: how many at most; None for all.
        times: gets the exact time of each frame, in seconds from the file's start or, if given,
            from `start_seconds`, when the last frame has been read.

    Yields:
        uint8 [height, width, 3], RGB.

    Raises:
        UserError: not a single frame could be decoded; ffmpeg's words are given. A file that
            breaks off later simply ends early. Or something killed ffmpeg.
    """
    width, height = size
    if video.is_picture:
        if times is not None:
            times.extend(video.times)
        yield _read_picture(video.path, crop, size)
        return
    with tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder, "times")
        sought, origin = _seek(video, start_seconds)
        begin = max(start_seconds, min(0.0, float(video.times[0]))) - origin
        filters = [f"select=gte(t\\,{begin - 1e-6:.6f})", *video.filters, *_fit(video, crop, size)]
        command = _command(video, filters, sought, num_frames, stamps)
        count = 0
        with ffmpeg.running(command, stdout=subprocess.PIPE) as (process, log):
            while True:
                data = process.stdout.read(width * height * 3)
                if len(data) < width * height * 3:
                    break
                count += 1
                yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
            if process.wait() < 0:  # a signal; what ffmpeg itself finds wrong is a positive status
                raise UserError(
                    f"{video.path}: ffmpeg was killed after {count} frames: run the same command "
                    "again"
                )
            if count == 0:
                raise UserError(f"{video.path}: no frame could be decoded: {ffmpeg.reason(log())}")
            _say_if_size_changes(video, log())
        if times is not None:
            lines = stamps.read_text().splitlines()[:count]
            read = (int(pts) * Fraction(base) for pts, base in map(str.split, lines))
            times.extend(float(seconds) + origin - start_seconds for seconds in read)


def _say_if_size_changes(video: Video, log: str) -> None:
    first = f"{video.width}x{video.height}"
    sizes = re.findall(r"Reconfiguring filter graph .*?, (\d+x\d+)", log)
    if other := next((size for size in sizes if size != first), None):
        _say_once(
            f"{video.path}: its size changes from {first} to {other}: all is fitted into the first"
        )


_say_once = functools.cache(console.say)  # a file is read several times


def _seek(video: Video, start_seconds: float) -> tuple[float, float]:
    """Returns where ffmpeg is to begin, and the time in the file that it then calls 0."""
    if video.searchable:
        # ffmpeg rounds it to a stamp; what is before is left out.
        earlier = video.times[video.times < start_seconds - 1e-6]
        sought = max(0.0, float(earlier[-1])) if len(earlier) else 0.0
        return sought, sought
    keys = video.key_times[video.key_times <= start_seconds]
    sought = max(0.0, float(keys[-1]) - SEARCHED_SECONDS) if len(keys) else 0.0
    # The clock of such a file begins with the tracks that are read.
    return sought, max(sought, video.picture_clock)


def _command(
    video: Video, filters: list[str], start_seconds: float, num_frames: int | None, stamps: Path
) -> list[str]:
    """Returns what starts ffmpeg as `read_frames` needs it; times of frames go to `stamps`."""
    return [
        *ffmpeg.command("-nostdin", "-nostats", "-loglevel", "level+info"),
        *(["-ss", f"{start_seconds:.6f}"] if start_seconds else []),
        *(*video.decoder, *ffmpeg.input_of(video.path)),
        *("-map", "0:V:0", "-vf", ",".join(filters)),
        *("-fps_mode", "passthrough", "-enc_time_base", "filter", "-pix_fmt", "rgb24"),
        *(["-frames:v", str(num_frames)] if num_frames is not None else []),
        *("-stats_enc_pre", str(stamps), "-stats_enc_pre_fmt", "{pts} {tb}"),
        *("-f", "rawvideo", "pipe:1"),
    ]


def _read_picture(path: Path, crop: Crop, size: tuple[int, int]) -> np.ndarray:
    picture = tiles.load_picture(path)
    crop.size(*picture.size)  # complains if nothing is left
    window = crop.left, crop.top, picture.width - crop.right, picture.height - crop.bottom
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS, window))


def _fit(video: Video, crop: Crop, size: tuple[int, int]) -> tuple[str, str]:
    """Returns ffmpeg's filters that cut a window out of a video's frames and scale it."""
    width, height = size
    kept_width, kept_height = crop.size(video.width, video.height)
    window = f"crop={kept_width}:{kept_height}:{crop.left}:{crop.top}:exact=1"
    way = "lanczos" if width > kept_width or height > kept_height else "area"
    return window, f"scale={width}:{height}:flags={way}+{ffmpeg.ROUNDING}"


def prefetch(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Runs an iterator in a thread of its own, up to `depth` items ahead.

    An error in the thread is raised here; closing this generator closes the iterator.
    """
    source, end = iter(items), object()
    pool = ThreadPoolExecutor(1)
    try:
        ahead = deque(pool.submit(next, source, end) for _ in range(depth))
        while (item := ahead.popleft().result()) is not end:
            ahead.append(pool.submit(next, source, end))
            yield item  # type: ignore[misc]
    finally:
        pool.shutdown(cancel_futures=True)
        if hasattr(source, "close"):
            source.close()
