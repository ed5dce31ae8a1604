"""Everything that touches ffmpeg: what a video is, its frames in, frames out, sound across.

ffmpeg crops, scales and converts; Python sees RGB frames of the size it asked for, one at a time.
"""

import contextlib
import errno
import functools
import math
import queue
import re
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from cadl import tiles
from cadl.tiles import Crop

import imageio_ffmpeg
import numpy as np

SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .wmv .flv .ogv .3gp .gif".split()
)
MP4_AUDIO_CODECS = frozenset("aac mp3 ac3 eac3 opus alac".split())
STANDARD_RATES = [Fraction(rate) for rate in (24, 25, 30, 48, 50, 60, 12, 15, 120)]
STANDARD_RATES += [Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)]

VARIABLE_TIMESCALE = 90_000
MISSING_STAMP = -(2**62)  # what ffmpeg prints where a packet has no presentation time
ROUNDING = "accurate_rnd+full_chroma_int"  # without the second all gets darker by two levels of 255
CUT_THRESHOLD = 0.09
CUT_RATIO = 3.0

Item = TypeVar("Item")


@dataclass(frozen=True)
class Video:
    """What is known of a video file's first real video track.

    Attributes:
        path: the file.
        width: columns of a decoded, upright frame.
        height: rows of a decoded, upright frame.
        pixel_aspect: width of a pixel over its height.
        rate: frames a second; the mean if `variable_rate`.
        variable_rate: frames are not evenly spaced in time.
        times: float64 [frames], seconds of each packet from the start of the file, in order.
        audio_codecs: ffmpeg's names of the audio tracks' codecs.
        filters: ffmpeg filters that every reading needs (interlaced or HDR sources).
        matrix: name of the YCbCr matrix, where the file leaves it open.
    """

    path: Path
    width: int
    height: int
    pixel_aspect: Fraction
    rate: Fraction
    variable_rate: bool
    times: np.ndarray
    audio_codecs: tuple[str, ...]
    filters: tuple[str, ...]
    matrix: str | None

    @property
    def seconds(self) -> float:
        """Length from the first frame's start to the last frame's end."""
        return float(self.times[-1] - self.times[0] + 1 / self.rate)

    def display_size(self, crop: Crop) -> tuple[int, int]:
        """Returns width and height in square pixels after a crop, even, at least 2."""
        width, height = crop.size(self.width, self.height)
        shown = float(width * self.pixel_aspect)
        return max(2, int(shown + 0.5) // 2 * 2), max(2, height // 2 * 2)

    def cover_crop(self, crop: Crop, shape: tuple[int, int] = (tiles.WIDTH, tiles.HEIGHT)) -> Crop:
        """Widens a crop, centred, until what it leaves is shown in a shape, as 16:9."""
        width, height = crop.size(self.width, self.height)
        shown = max(1, round(width * self.pixel_aspect))
        more = tiles.cover_crop(shown, height, shape)
        left = min(round(more.left / self.pixel_aspect), (width - 1) // 2)
        right = min(round(more.right / self.pixel_aspect), (width - 1) // 2)
        return Crop(
            crop.top + more.top, crop.left + left, crop.bottom + more.bottom, crop.right + right
        )


def find_videos(folder: Path) -> list[Path]:
    """Lists the files below a folder that are named like videos, hidden ones left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    )


def probe(path: Path) -> Video:
    """Finds out what a video is, without decoding more than one frame.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no video can be read from it; ffmpeg's reason is given.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "no such video file", str(path))
    header, _ = _framehash(path, "-frames:v", "1")
    packets, log = _framehash(path, "-map", "0:a?", "-c", "copy")
    if "dimensions 0" not in header or not packets["times"]:
        raise ValueError(f"{path}: no readable video in it: {_reason(log)}")
    width, height = map(int, header["dimensions 0"].split("x"))
    aspect = Fraction(*map(int, header["sar 0"].split("/"))) if "sar 0" in header else Fraction(0)
    tick = Fraction(packets["tb 0"])
    times = _frame_times(np.array(sorted(set(packets["times"]))), tick)
    rate, variable = _frame_rate(times, tick)
    track = next((line for line in log.splitlines() if "Video:" in line), "")
    filters = []
    if re.search(r"(top|bottom) (coded )?first", track):
        filters.append("bwdif=mode=send_frame:deint=interlaced")
    if "arib-std-b67" in track or "smpte2084" in track:
        filters.append(
            "zscale=t=linear:npl=100,format=gbrpf32le,tonemap=hable:desat=0,"
            "zscale=p=bt709:t=bt709:m=bt709:r=tv,format=yuv420p"
        )
    tagged = re.search(r"bt709|bt470|smpte170m|bt2020|smpte240m|fcc|gbr", track)
    return Video(
        path=path,
        width=width,
        height=height,
        pixel_aspect=aspect if 0 < aspect < 100 else Fraction(1),
        rate=rate,
        variable_rate=variable,
        times=times,
        audio_codecs=tuple(re.findall(r"Stream #0:\d+.*?: Audio: (\w+)", log.split("Output #")[0])),
        filters=tuple(filters),
        matrix=None if tagged or (width < 1280 and height <= 576) else "bt709",
    )


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
        video: from `probe`.
        crop: in rows and columns of the decoded frame.
        size: width and height wanted.
        start_seconds: where to begin.
        num_frames: how many at most; None for all.
        times: gets the exact time of each frame, in seconds from the file's start or, if given,
            from `start_seconds`, when the last frame has been read.

    Yields:
        uint8 [height, width, 3], RGB.

    Raises:
        ValueError: not a single frame could be decoded; ffmpeg's words are given. A file that
            breaks off later simply ends early. Or something killed ffmpeg.
    """
    width, height = size
    kept_width, kept_height = crop.size(video.width, video.height)
    scale = f"scale={width}:{height}:flags=area+{ROUNDING}"
    if width > kept_width or height > kept_height:
        scale = f"scale={width}:{height}:flags=lanczos+{ROUNDING}"
    if video.matrix:
        scale += f":in_color_matrix={video.matrix}"
    window = f"crop={kept_width}:{kept_height}:{crop.left}:{crop.top}:exact=1"
    with tempfile.TemporaryDirectory() as folder:
        stamps = Path(folder, "times")
        command = [
            *_ffmpeg("-nostdin"),
            *(["-ss", f"{start_seconds:.6f}"] if start_seconds else []),
            *_input(video.path),
            *("-map", "0:V:0", "-vf", ",".join([*video.filters, window, scale])),
            *("-fps_mode", "passthrough", "-enc_time_base", "filter", "-pix_fmt", "rgb24"),
            *(["-frames:v", str(num_frames)] if num_frames is not None else []),
            *("-stats_enc_pre", str(stamps), "-stats_enc_pre_fmt", "{pts} {tb}"),
            *("-f", "rawvideo", "pipe:1"),
        ]
        count = 0
        with _running(command, stdout=subprocess.PIPE) as (process, log):
            while True:
                data = process.stdout.read(width * height * 3)
                if len(data) < width * height * 3:
                    break
                count += 1
                yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
            if process.wait() < 0:  # a signal; what ffmpeg itself finds wrong is a positive status
                raise ValueError(
                    f"{video.path}: ffmpeg was killed after {count} frames: run the same command "
                    "again"
                )
            if count == 0:
                raise ValueError(f"{video.path}: no frame could be decoded: {_reason(log())}")
        if times is not None:
            lines = stamps.read_text().splitlines()[:count]
            times.extend(float(int(pts) * Fraction(base)) for pts, base in map(str.split, lines))


def find_crop(video: Video, num_frames: int = 24) -> Crop:
    """Finds a video's black borders from frames spread over its length."""

    def brightness_at(seconds: float) -> np.ndarray:
        for only_key_frames in (("-skip_frame", "nokey"), ()):  # quick, but some files have none
            command = [
                *_ffmpeg("-nostdin", "-threads", "1", *only_key_frames),
                *("-noaccurate_seek", "-ss", f"{seconds:.3f}"),
                *_input(video.path),
                *("-map", "0:V:0", "-frames:v", "1", "-pix_fmt", "rgb24"),
                *("-f", "rawvideo", "pipe:1"),
            ]
            data = subprocess.run(command, capture_output=True, check=False).stdout
            if len(data) == video.width * video.height * 3:
                frame = np.frombuffer(data, np.uint8).reshape(video.height, video.width, 3)
                return frame.max(axis=2)
        return np.zeros((video.height, video.width), np.uint8)

    moments = (video.seconds * (part + 0.5) / num_frames for part in range(num_frames))
    with ThreadPoolExecutor(2) as pool:
        frames = pool.map(brightness_at, moments)
        return tiles.find_borders(functools.reduce(np.maximum, frames))


class ShotFinder:
    """Numbers the shots of a video while its frames go by.

    A cut is a frame whose 9x16 thumbnail differs from the last one's by more than a threshold and
    by several times what the frames before it differed.
    """

    def __init__(self) -> None:
        self.shot = 0
        self._thumbnail: np.ndarray | None = None
        self._usual = 0.0

    def add(self, frame: np.ndarray) -> int:
        """Returns the number of the shot that a frame (uint8 [h, w, 3]) belongs to."""
        height, width, _ = frame.shape
        rows = np.linspace(0, height, 9, endpoint=False).astype(int)
        columns = np.linspace(0, width, 16, endpoint=False).astype(int)
        sums = np.add.reduceat(np.add.reduceat(frame, rows, 0, np.float32), columns, 1)
        thumbnail = sums * (9 * 16 / (height * width * 255))
        if self._thumbnail is not None:
            change = float(np.abs(thumbnail - self._thumbnail).mean())
            if change > CUT_THRESHOLD and change > CUT_RATIO * self._usual:
                self.shot += 1
                self._usual = 0.0
            else:
                self._usual += 0.3 * (change - self._usual)
        self._thumbnail = thumbnail
        return self.shot


class FrameWriter:
    """Writes frames as H.264 in an mp4 that plays everywhere; use as a context manager.

    Args:
        path: the file; write to a temporary name and rename.
        rate: frames a second, exact.
        size: width and height of the frames given.
        output_size: width and height of the video, even; ffmpeg scales by Lanczos.
        crf: constant rate factor of x264, 0 lossless to 51.
        preset: x264's speed.
        times: where frames are not evenly spaced, the seconds of each from the first.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: Fraction,
        size: tuple[int, int],
        output_size: tuple[int, int],
        crf: int = 20,
        preset: str = "veryfast",
        times: np.ndarray | None = None,
    ):
        """Remembers what to write; ffmpeg starts with the block."""
        timescale = rate.numerator * max(1, math.ceil(10_000 / rate.numerator))
        stamp = ""
        if times is not None:
            timescale = VARIABLE_TIMESCALE
            ticks = np.round(np.asarray(times) * timescale).astype(int)
            stamp = f"settb=1/{timescale},setpts={_pick(ticks.tolist())},"
        scale = f"scale={output_size[0]}:{output_size[1]}:flags=lanczos+{ROUNDING}"
        self._path = path
        self._stack = contextlib.ExitStack()
        self._command = [
            *_ffmpeg(),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}"),
            *("-r", str(rate), "-i", "pipe:0"),
            *("-vf", f"{stamp}{scale}:out_color_matrix=bt709:out_range=tv,format=yuv420p"),
            *(["-fps_mode", "passthrough", "-enc_time_base", f"1/{timescale}"] if stamp else []),
            *("-c:v", "libx264", "-preset", preset, "-crf", str(crf)),
            *("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"),
            *("-color_range", "tv", "-video_track_timescale", str(timescale)),
            *("-f", "mp4", "-y", _url(path)),
        ]

    def __enter__(self) -> "FrameWriter":
        self._process, self._log = self._stack.enter_context(
            _running(self._command, stdin=subprocess.PIPE)
        )
        return self

    def write(self, frames: np.ndarray) -> None:
        """Appends frames: uint8 [height, width, 3] or [N, height, width, 3], RGB."""
        try:
            self._process.stdin.write(np.ascontiguousarray(frames).data)
        except BrokenPipeError:
            self._process.wait()
            raise _write_error(self._path, self._log()) from None

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            if kind is None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()
                if self._process.wait():
                    raise _write_error(self._path, self._log())
        finally:
            self._stack.close()


def join_segments(
    segments: list[Path],
    output: Path,
    *,
    durations: list[float],
    sound: Video | None = None,
    sound_start: float = 0.0,
    sound_seconds: float | None = None,
    delay_seconds: float = 0.0,
) -> str:
    """Joins video segments without encoding them again, and adds a source's sound.

    Args:
        segments: files by FrameWriter with the same settings, in order, in one folder.
        output: the mp4; write to a temporary name and rename.
        durations: length of each segment in seconds, exact.
        sound: the video whose audio tracks are copied, or re-encoded to AAC if mp4 can't hold
            them.
        sound_start: where in the source the sound begins, in seconds.
        sound_seconds: how much of it is taken; None for all.
        delay_seconds: how much later than the sound the picture starts.

    Returns:
        What was done with the sound, in words.

    Raises:
        OSError: ffmpeg could not write the file.
    """
    listing = segments[0].parent / "segments.txt"
    lines = [
        f"file {path.name}\nduration {seconds:.6f}\n"
        for path, seconds in zip(segments, durations, strict=True)
    ]
    listing.write_text("".join(lines), encoding="utf-8")
    picture = [
        *_ffmpeg("-nostdin"),
        *(["-itsoffset", f"{delay_seconds:.6f}"] if delay_seconds > 1e-6 else []),
        *("-f", "concat", "-i", _url(listing)),
    ]
    ending = ["-c:v", "copy", "-movflags", "+faststart", "-f", "mp4", "-y", _url(output)]
    # Reading the source's picture too keeps the start of both in formats whose clock may jump.
    listening = ["-map", "1:V:0", "-c", "copy", "-f", "null", "-"]
    if sound is None or not sound.audio_codecs:
        _run([*picture, "-map", "0:v:0", *ending], output)
        return "no sound in the source"
    cut = [*(["-ss", f"{sound_start:.6f}"] if sound_start else [])]
    cut += [*(["-t", f"{sound_seconds:.6f}"] if sound_seconds is not None else [])]
    tracks = [*cut, *_input(sound.path), "-map", "0:v:0", "-map", "1:a"]
    attempts = [
        ("re-encoded to AAC", ["-c:a", "aac", "-b:a", "192k"]),
    ]
    if set(sound.audio_codecs) <= MP4_AUDIO_CODECS:
        attempts.insert(0, ("copied", ["-c:a", "copy"]))
    names = "+".join(sound.audio_codecs)
    for words, options in attempts:
        try:
            _run([*picture, *tracks, *options, *ending, *listening], output)
            return f"{names} {words}"
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            problem = str(error)
    _run([*picture, "-map", "0:v:0", *ending], output)
    return f"left out: {names} can't be read ({problem})"


def prefetch(items: Iterable[Item], depth: int) -> Iterator[Item]:
    """Runs an iterator in a thread of its own, up to `depth` items ahead.

    An error in the thread is raised here; closing this generator closes the iterator.
    """
    waiting: queue.Queue = queue.Queue(maxsize=depth)
    stopped = threading.Event()
    end = object()

    def put(item: Any) -> bool:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return True
        return False

    def work() -> None:
        source = iter(items)
        try:
            for item in source:
                if not put((item, None)):
                    break
            put((end, None))
        except BaseException as error:
            put((end, error))
        finally:
            if hasattr(source, "close"):
                source.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def _ffmpeg(*options: str) -> list[str]:
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *options]


def _url(path: Path) -> str:
    """Names a local file so that ffmpeg takes it for nothing else, whatever it begins with."""
    return f"file:{path.absolute()}"


def _input(path: Path) -> list[str]:
    """Options that open a file, and only files: no network, no playlist that leads there."""
    return ["-protocol_whitelist", "file,pipe", "-i", _url(path)]


@contextlib.contextmanager
def _running(command: list[str], **pipes: Any) -> Iterator[tuple[Any, Callable[[], str]]]:
    """Runs ffmpeg for the block; yields it with a function that returns what it logged."""
    with tempfile.TemporaryFile() as errors:

        def log() -> str:
            errors.seek(0)
            return errors.read().decode("utf-8", "replace")

        process = subprocess.Popen(
            command, stderr=errors, start_new_session=True, bufsize=1 << 20, **pipes
        )
        try:
            yield process, log
        finally:
            if process.poll() is None:
                process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()


def _run(command: list[str], output: Path) -> None:
    finished = subprocess.run(command, capture_output=True, check=False)
    if finished.returncode:
        raise _write_error(output, finished.stderr.decode("utf-8", "replace"))


def _write_error(path: Path, log: str) -> OSError:
    if "No space left" in log:
        return OSError(errno.ENOSPC, "No space left on device", str(path))
    return OSError(f"{path}: {_reason(log)}")


def _pick(ticks: list[int], first: int = 0) -> str:
    """Writes the tick of frame N as a binary search: a long sum is too deep for ffmpeg."""
    if len(ticks) == 1:
        return str(ticks[0])
    half = len(ticks) // 2
    return (
        f"if(lt(N\\,{first + half})\\,{_pick(ticks[:half], first)}\\,"
        f"{_pick(ticks[half:], first + half)})"
    )


def _reason(log: str) -> str:
    """Picks the line of ffmpeg's log that says most."""
    lines = [re.sub(r"^\[.*?\] ", "", line).strip() for line in log.splitlines()]
    lines = [line for line in lines if line and "framehash" not in line]
    telling = [line for line in lines if re.search(r"invalid|no space|error|not", line, re.I)]
    if any("0:V:0" in line for line in lines):
        return "it has no video track"
    return (telling or lines or ["ffmpeg gave no reason"])[0]


def _framehash(path: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Returns the first video track's header and packet times, and ffmpeg's log."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", *_input(path)]
    command += ["-map", "0:V:0", *options, "-f", "framehash", "-hash", "adler32", "pipe:1"]
    finished = subprocess.run(command, capture_output=True, check=False)
    header: dict[str, Any] = {"times": []}
    for line in finished.stdout.decode("ascii", "replace").splitlines():
        if line.startswith("#"):
            name, _, value = line[1:].partition(": ")
            header[name] = value
        elif line.startswith("0,"):
            _, dts, pts, *_ = line.split(",")
            header["times"].append((int(pts), int(dts)))
    which = 1 if any(pts < MISSING_STAMP for pts, _ in header["times"]) else 0
    header["times"] = [stamps[which] for stamps in header["times"]]
    return header, finished.stderr.decode("utf-8", "replace")


def _frame_times(stamps: np.ndarray, tick: Fraction) -> np.ndarray:
    """Turns packet stamps into seconds, less those of hidden frames (VP9's and AV1's)."""
    shown = stamps[stamps >= 0] if (stamps >= 0).any() else stamps
    if len(shown) > 2:
        gaps = np.diff(shown)
        hidden = np.append(gaps < 0.25 * np.median(gaps), False)
        if hidden.mean() < 0.3:
            shown = shown[~hidden]
    return shown * float(tick)


def _frame_rate(times: np.ndarray, tick: Fraction) -> tuple[Fraction, bool]:
    """Returns the rate and whether it varies, from times rounded to a tick."""
    if len(times) < 2:
        return Fraction(25), False
    step = (times[-1] - times[0]) / (len(times) - 1)
    tolerance = 1.5 * float(tick)
    exact_ticks = Fraction(round(step / tick), 1)
    candidates = [1 / (exact_ticks * tick)] if exact_ticks else []
    if tick >= Fraction(1, 200) and np.ptp(np.diff(times)) < 1e-9:  # ticks of whole frames
        return candidates[0], False
    if tick >= Fraction(1, 2000):  # Matroska's milliseconds round the true rate away
        candidates = STANDARD_RATES + candidates
        tolerance = 1.2 * float(tick)
    candidates.append(Fraction(1 / step).limit_denominator(1001))
    for rate in candidates:
        if np.abs(times - times[0] - np.arange(len(times)) / float(rate)).max() <= tolerance:
            return rate, False
    return Fraction(1 / step).limit_denominator(1001), True
