"""What a video file is: its size, rate, times of frames, sound and black borders."""

import contextlib
import functools
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from cadl import console
from cadl.errors import UserError
from cadl.images import tiles
from cadl.images.tiles import Crop
from cadl.video import facts, ffmpeg, filters
from cadl.video.facts import FirstFrames, Packets, Track

import numpy as np
from PIL import Image

SUFFIXES = frozenset(
    ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .mts .m2ts .wmv .flv .ogv .3gp .gif".split()
)
STANDARD_RATES = [Fraction(rate) for rate in (24, 25, 30, 48, 50, 60, 12, 15, 120)]
STANDARD_RATES += [Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)]

CUT_OFF_SECONDS = 5.0  # by which all may end before it does by the file's header
FIELDS_LOOKED_AT = 24


@dataclass(frozen=True)
class Video:
    """Facts about a video file's first real video track."""

    path: Path
    width: int  # columns of a decoded, upright frame
    height: int  # rows of a decoded, upright frame
    pixel_aspect: Fraction  # width of a pixel over its height
    rate: Fraction  # frames a second; the mean if `variable_rate`
    variable_rate: bool  # whether frames are unevenly spaced in time
    # float64 [frames], seconds of each packet from the start of the file, in order
    times: np.ndarray
    last_seconds: float  # duration of the last frame
    tracks: tuple[Track, ...] = ()  # all tracks of the file
    filters: tuple[str, ...] = ()  # ffmpeg filters that every reading needs
    # ffmpeg's options that name a decoder, if its usual one fails
    decoder: tuple[str, ...] = ()
    # float64 [keys], seconds of the frames at which decoding can begin
    key_times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    searchable: bool = True  # whether ffmpeg can search the file exactly
    # seconds from the start of the file to the beginning of the picture's own clock
    picture_clock: float = 0.0
    is_picture: bool = False  # whether the file is a picture, a film of one frame

    @property
    def seconds(self) -> float:
        """Length from the first frame's start to the last frame's end."""
        return float(self.times[-1] - self.times[0] + self.last_seconds)

    @property
    def audio_codecs(self) -> tuple[str, ...]:
        """ffmpeg's names of the audio tracks' codecs."""
        return tuple(track.codec for track in self.tracks if track.kind == "Audio")

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


def probe(path: Path) -> Video:
    """Finds out what a video is, without decoding more than a few frames.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: no video can be read from it; ffmpeg's reason is given.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "no such video file", str(path))
    if path.suffix.lower() in tiles.PICTURE_SUFFIXES - SUFFIXES:
        return _picture_as_video(path)
    packets = facts.packets(path)
    if packets.encrypted:
        raise UserError(f"{path}: it is encrypted: give a copy that is not")
    codec = next((x.codec for x in packets.tracks if x.kind == "Video" and not x.is_cover), "")
    decoder: tuple[str, ...] = ()
    if packets.alpha and codec in facts.ALPHA_DECODERS:
        decoder = "-c:v", facts.ALPHA_DECODERS[codec]
    if not len(packets.stamps):
        raise UserError(f"{path}: no readable video in it: {ffmpeg.reason(packets.log)}")
    frames = facts.first_frames(path, decoder)
    frames = frames._replace(interlaced=frames.interlaced or packets.interlaced)
    times = _frame_times(packets, frames if codec == "h264" else None)
    rate, variable = _frame_rate(times, packets.tick)
    length = packets.told_seconds
    if packets.breaks_off:
        console.warn(f"{path}: breaks off after {packets.end_seconds:.1f} s: is it whole?")
    elif packets.container not in facts.STREAMED and packets.end_seconds < length - CUT_OFF_SECONDS:
        console.warn(
            f"{path}: its last frame is at {times[-1]:.1f} s, but by its header it lasts "
            f"{length:.1f} s: is it whole?"
        )
    key_times, picture_clock = packets.keys * float(packets.tick), 0.0
    if packets.container in facts.STREAMED:
        picture_clock = packets.first_packet - frames.first_packet
        # Nothing can be sought but the beginning.
        if packets.clock_jumps or packets.container in facts.BARE:
            key_times = key_times[:0]
    last = packets.end * float(packets.tick) - times[-1]
    width, height = frames.size
    aspect = frames.pixel_aspect if 0 < frames.pixel_aspect < 100 else Fraction(1)
    return Video(
        path=path,
        width=width,
        height=height,
        pixel_aspect=aspect,
        rate=rate,
        variable_rate=variable,
        times=times,
        last_seconds=last if last > 0 else float(1 / rate),
        tracks=packets.tracks,
        filters=(filters.one_size(frames), *filters.to_bt709(frames)),
        decoder=decoder,
        key_times=key_times,
        searchable=packets.container not in facts.STREAMED,
        picture_clock=picture_clock,
    )


def _picture_as_video(path: Path) -> Video:
    width, height = tiles.load_picture(path).size
    count = 1
    with contextlib.suppress(*tiles.PICTURE_ERRORS), Image.open(path) as picture:
        count = getattr(picture, "n_frames", 1)
    if count > 1:
        console.warn(
            f"{path}: only the first of its {count} pictures is painted: "
            "make a GIF or a video of it to have all of them"
        )
    return Video(
        path, width, height, Fraction(1), Fraction(25), variable_rate=False, times=np.zeros(1),
        last_seconds=0.04, is_picture=True,
    )  # fmt: skip


def _frame_times(packets: Packets, first: FirstFrames | None) -> np.ndarray:
    """Turns packet stamps into seconds of frames.

    Left out are frames before the beginning, which no player shows, hidden ones (of VP9 and AV1),
    and, if what the `first` frames say of themselves is given, packets with a frame's second field.
    """
    stamps = packets.stamps
    shown = stamps[stamps >= 0] if (stamps >= 0).any() else stamps
    if len(shown) > 2:
        gaps = np.diff(shown)
        hidden = np.append(gaps < 0.25 * np.median(gaps), False)
        if hidden.mean() < 0.3:
            shown = shown[~hidden]
    if first and first.interlaced and len(shown) > 1:
        step = first.step / float(packets.tick)
        if np.median(np.diff(shown[:FIELDS_LOOKED_AT])) < 0.75 * step:
            kept = [shown[0]]
            for stamp in shown[1:]:
                if stamp - kept[-1] > 0.75 * step:
                    kept.append(stamp)
            shown = np.array(kept)
    return shown * float(packets.tick)


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
    num_frames = min(num_frames, max(4, len(video.times) // 8))  # a process for each

    def brightness_at(seconds: float) -> np.ndarray:
        for only_key_frames in (("-skip_frame", "nokey"), ()):  # quick, but some files have none
            command = [
                *ffmpeg.command("-nostdin", "-threads", "1", *only_key_frames),
                *("-noaccurate_seek", "-ss", f"{seconds:.3f}"),
                *(*video.decoder, *ffmpeg.input_of(video.path)),
                *("-map", "0:V:0", "-vf", ",".join(video.filters)),
                *("-frames:v", "1", "-pix_fmt", "rgb24"),
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
