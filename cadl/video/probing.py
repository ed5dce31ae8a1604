"""What a video file is: its size, rate, times of frames, sound and black borders."""

import functools
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from cadl import console, files
from cadl.errors import UserError
from cadl.images import tiles
from cadl.images.tiles import Crop
from cadl.video import ffmpeg

import imageio_ffmpeg
import numpy as np

SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .wmv .flv .ogv .3gp .gif".split()
)
STANDARD_RATES = [Fraction(rate) for rate in (24, 25, 30, 48, 50, 60, 12, 15, 120)]
STANDARD_RATES += [Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)]

MISSING_STAMP = -(2**62)  # what ffmpeg prints where a packet has no presentation time
CUT_OFF_SECONDS = 5.0  # by which a picture may end before its file does, as sound may be longer


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
        is_picture: the file is a picture, a film of one frame.
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
    is_picture: bool = False

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
        if path.suffix.lower() in SUFFIXES and path.is_file() and not files.is_hidden(path, folder)
    )


def probe(path: Path) -> Video:
    """Finds out what a video is, without decoding more than one frame.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: no video can be read from it; ffmpeg's reason is given.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "no such video file", str(path))
    if path.suffix.lower() in tiles.PICTURE_SUFFIXES - SUFFIXES:
        return _picture_as_video(path)
    header, _ = _framehash(path, "-frames:v", "1")
    packets, log = _framehash(path, "-map", "0:a?", "-c", "copy")
    if "dimensions 0" not in header or not packets["times"]:
        raise UserError(f"{path}: no readable video in it: {ffmpeg.reason(log)}")
    width, height = map(int, header["dimensions 0"].split("x"))
    aspect = Fraction(*map(int, header["sar 0"].split("/"))) if "sar 0" in header else Fraction(0)
    tick = Fraction(packets["tb 0"])
    times = _frame_times(np.array(sorted(set(packets["times"]))), tick)
    rate, variable = _frame_rate(times, tick)
    _warn_if_cut_off(path, times, log)
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


def _picture_as_video(path: Path) -> Video:
    width, height = tiles.load_picture(path).size
    return Video(
        path, width, height, Fraction(1), Fraction(25), variable_rate=False, times=np.zeros(1),
        audio_codecs=(), filters=(), matrix=None, is_picture=True,
    )  # fmt: skip


def _warn_if_cut_off(path: Path, times: np.ndarray, log: str) -> None:
    """Says that a file is shorter than its header tells, as one that was half downloaded."""
    told = re.search(r"Duration: (\d+):(\d+):([\d.]+)", log)
    if told is None or "Estimating duration" in log:
        return
    hours, minutes, seconds = map(float, told.groups())
    length = 3600 * hours + 60 * minutes + seconds
    if times[-1] - min(0.0, times[0]) < length - CUT_OFF_SECONDS:
        console.warn(
            f"{path}: its last frame is at {times[-1]:.1f} s, but by its header it lasts "
            f"{length:.1f} s: is it whole?"
        )


def _framehash(path: Path, *options: str) -> tuple[dict[str, Any], str]:
    """Returns the first video track's header and packet times, and ffmpeg's log."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", *ffmpeg.input_of(path)]
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


def find_crop(video: Video, num_frames: int = 24) -> Crop:
    """Finds a video's black borders from frames spread over its length.

    Frames that can't be decoded count as black; of a video without any, and of a picture, there are
    no borders.
    """
    if video.is_picture:
        return Crop()

    def brightness_at(seconds: float) -> np.ndarray:
        for only_key_frames in (("-skip_frame", "nokey"), ()):  # quick, but some files have none
            command = [
                *ffmpeg.command("-nostdin", "-threads", "1", *only_key_frames),
                *("-noaccurate_seek", "-ss", f"{seconds:.3f}"),
                *ffmpeg.input_of(video.path),
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
