"""Videos written: frames in as H.264, segments joined with what goes along with a source."""

import contextlib
import math
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from cadl import files
from cadl.video import ffmpeg
from cadl.video.companions import Companions, Part, switch_off_subtitles, take_tracks, write_tags
from cadl.video.probing import Video

import numpy as np

VARIABLE_TIMESCALE = 90_000
# What ffmpeg writes into the file is what the frames say of themselves.
BT709 = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
# Looking ahead for cuts and B frames gains little on painted pictures (`bench_encoding`).
LEANER = {"superfast": "b-adapt=0:scenecut=0"}


class Quality(NamedTuple):
    """How frames are encoded."""

    crf: int = 20  # constant rate factor of x264, 0 lossless to 51
    preset: str = "veryfast"  # x264's speed
    lean: bool = True  # whether LEANER options are added to fast presets


USUAL = Quality()
WHOLE = Part()


class FrameWriter:
    """Writes frames as H.264 in an mp4 that plays everywhere; use as a context manager.

    Args:
        path: the file; write to a temporary name and rename.
        rate: frames a second, exact.
        size: width and height of the frames given.
        output_size: width and height of the video, even; ffmpeg scales by Lanczos.
        quality: how they are encoded.
        times: where frames are not evenly spaced, seconds from the first: float64 [frames + 1], the
            beginning of each and the end of the last.

    Raises:
        OSError: writing or leaving the block: ffmpeg could not write the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: Fraction,
        size: tuple[int, int],
        output_size: tuple[int, int],
        quality: Quality = USUAL,
        times: np.ndarray | None = None,
    ):
        """Remembers what to write; ffmpeg starts with the block."""
        crf, preset, lean = quality
        timescale = rate.numerator * max(1, math.ceil(10_000 / rate.numerator))
        stamp, lasting = "", []
        if times is not None:
            timescale = VARIABLE_TIMESCALE
            *ticks, end = np.round(np.asarray(times) * timescale).astype(int).tolist()
            stamp = f"settb=1/{timescale},setpts={_pick(ticks)},"
            longer = f"if(eq(N\\,{len(ticks) - 1})\\,{end - ticks[-1]}\\,DURATION)"
            lasting = ["-bsf:v", f"setts=pts=PTS:dts=DTS:duration={longer}"]
            lasting += ["-bf", "0"]  # frames that wait for later ones would shorten the file
        scale = f"scale={output_size[0]}:{output_size[1]}:flags=lanczos+{ffmpeg.ROUNDING}"
        self._path = path
        self._stack = contextlib.ExitStack()
        self._command = [
            *ffmpeg.command(),
            *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}"),
            *("-r", str(rate), "-i", "pipe:0"),
            *("-vf", f"{stamp}{scale}:out_color_matrix=bt709:out_range=tv,format=yuv420p,{BT709}"),
            *lasting,
            *(["-fps_mode", "passthrough", "-enc_time_base", f"1/{timescale}"] if stamp else []),
            *("-c:v", "libx264", "-preset", preset, "-crf", str(crf)),
            *(["-x264-params", LEANER[preset]] if lean and preset in LEANER else []),
            *("-video_track_timescale", str(timescale)),
            *("-f", "mp4", "-y", ffmpeg.url(path)),
        ]

    def __enter__(self) -> "FrameWriter":
        self._process, self._log = self._stack.enter_context(
            ffmpeg.running(self._command, stdin=subprocess.PIPE)
        )
        return self

    def write(self, frames: np.ndarray) -> None:
        """Appends frames: uint8 [height, width, 3] or [N, height, width, 3], RGB."""
        try:
            self._process.stdin.write(np.ascontiguousarray(frames).data)
        except BrokenPipeError:
            self._process.wait()
            raise ffmpeg.write_error(self._path, self._log()) from None

    def __exit__(self, kind: Any, *_: Any) -> None:
        try:
            if kind is None:
                with contextlib.suppress(BrokenPipeError):
                    self._process.stdin.close()
                if self._process.wait():
                    raise ffmpeg.write_error(self._path, self._log())
        finally:
            self._stack.close()


def join_segments(
    segments: list[Path],
    output: Path,
    *,
    durations: list[float],
    source: Video,
    part: Part = WHOLE,
    delay_seconds: float = 0.0,
) -> Companions:
    """Joins video segments without encoding them again, and adds what goes along with a source.

    Args:
        segments: files by FrameWriter with the same settings, in order, in one folder.
        output: the mp4; write to a temporary name and rename.
        durations: length of each segment in seconds, exact.
        source: the video whose sound, text subtitles, chapters and tags are taken.
        part: of the source.
        delay_seconds: how much later than the part the picture starts.

    Raises:
        OSError: ffmpeg could not write the file.
    """
    listing = segments[0].parent / "segments.txt"
    lines = [
        f"file {path.name}\nduration {seconds:.6f}\n"
        for path, seconds in zip(segments, durations, strict=True)
    ]
    listing.write_text("".join(lines), encoding="utf-8")
    command = [
        *ffmpeg.command("-nostdin", "-copyts"),
        *(["-itsoffset", f"{delay_seconds:.6f}"] if delay_seconds > 1e-6 else []),
        *("-f", "concat", "-i", ffmpeg.url(files.plain_path(listing.parent) / listing.name)),
    ]
    ending = ["-c", "copy", "-movflags", "+faststart", "-f", "mp4", "-y", ffmpeg.url(output)]
    with tempfile.TemporaryDirectory(dir=listing.parent) as name:
        folder = Path(name)
        kept = take_tracks(source, part, folder)
        kept.left_out.extend(write_tags(source, part, folder / "tags"))
        inputs, maps = [], []
        counts = {"Audio": 0, "Subtitle": 0}
        for number, (track, path) in enumerate(kept.tracks, start=1):
            inputs += ["-i", ffmpeg.url(path)]
            own = f"{track.kind[0].lower()}:{counts[track.kind]}"
            counts[track.kind] += 1
            maps += ["-map", f"{number}:0", f"-disposition:{own}"]
            maps += ["+".join(track.marks) or "0"]
            maps += [f"-metadata:s:{own}", f"title={track.name}"]
        command += [*inputs, "-f", "ffmetadata", "-i", ffmpeg.url(folder / "tags")]
        command += ["-map", "0:v:0", *maps]
        tags = str(len(kept.tracks) + 1)
        ffmpeg.run([*command, "-map_metadata", tags, "-map_chapters", tags, *ending], output)
    if not any("default" in track.marks for track, _ in kept.tracks if track.kind == "Subtitle"):
        switch_off_subtitles(output)
    return kept


def _pick(ticks: list[int], first: int = 0) -> str:
    """Writes the tick of frame N as a binary search: a long sum is too deep for ffmpeg."""
    if len(ticks) == 1:
        return str(ticks[0])
    half = len(ticks) // 2
    return (
        f"if(lt(N\\,{first + half})\\,{_pick(ticks[:half], first)}\\,"
        f"{_pick(ticks[half:], first + half)})"
    )
