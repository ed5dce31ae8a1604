"""What ffmpeg says of a file: its first frames, its packets and its tracks."""

import re
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from cadl.errors import UserError
from cadl.video import ffmpeg

import numpy as np

FIRST_FRAMES = 12
MISSING_STAMP = -(2**62)  # what ffmpeg prints where a packet has no presentation time
MARKS = (
    "default dub original comment forced hearing_impaired visual_impaired captions descriptions"
).split()
UNKNOWN = frozenset({"unknown", "unspecified", "reserved"})
# Formats without stamps: ffmpeg counts their frames from the beginning.
BARE = frozenset("h264 hevc vvc m4v mpegvideo mjpeg jpeg_pipe obu vc1 dirac".split())
# Formats without an index, whose clock may also jump.
STREAMED = frozenset({"mpegts", "mpeg", "ogg"}) | BARE
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # ffmpeg's own ones leave alpha out


class FirstFrames(NamedTuple):
    """What the first frames of the first real video track say of themselves."""

    size: tuple[int, int]  # width and height, upright
    pixel_aspect: Fraction  # width of a pixel over its height; 0 if unknown
    pixel_format: str  # ffmpeg's name of the format
    interlaced: bool  # whether one of the frames is interlaced
    matrix: str  # ffmpeg's name of the YCbCr matrix, empty if unknown; gbr for RGB
    primaries: str  # name of the primaries, empty if unknown
    transfer: str  # name of the transfer curve, empty if unknown
    step: float  # median seconds from frame to frame, 0 for a single frame
    # seconds of the file's first packet of the picture, when the picture is read alone
    first_packet: float


class Track(NamedTuple):
    """A track of a file."""

    kind: str  # Video, Audio, Subtitle, Data or Attachment
    codec: str  # ffmpeg's name of the codec; for data the file's name
    number: int  # number among the tracks of its kind
    is_cover: bool  # whether it is an attached picture
    marks: tuple[str, ...]  # ffmpeg's dispositions, those in MARKS
    name: str  # the file's name for it, may be empty


class Packets(NamedTuple):
    """Contents of a file, read without decoding."""

    container: str  # ffmpeg's name of the format; the first of several
    tracks: tuple[Track, ...]  # all tracks, in order
    # length that the header gives, from the beginning of the file's clock; 0 if it gives none
    told_seconds: float
    tick: Fraction  # seconds of a unit of the stamps
    # int64 [packets], stamp of each packet of the picture, sorted, each once
    stamps: np.ndarray
    keys: np.ndarray  # int64 [keys], stamps at which decoding can begin, sorted
    end: int  # stamp at which the last picture ends
    first_packet: float  # seconds of the file's first packet of the picture
    end_seconds: float  # end of the last packet of picture and sound, in seconds
    clock_jumps: bool  # whether the file's clock jumps
    breaks_off: bool  # whether the file ends too early
    alpha: bool  # whether the header tells of an alpha channel
    interlaced: bool  # whether the header says so
    encrypted: bool  # whether the picture is encrypted
    log: str  # ffmpeg's log


def first_frames(path: Path, decoder: tuple[str, ...]) -> FirstFrames:
    """Decodes a few frames.

    Args:
        path: the file.
        decoder: as `probing.Video.decoder`.

    Raises:
        UserError: none can be decoded; ffmpeg's reason is given.
    """
    command = [*ffmpeg.command("-nostdin", "-nostats", "-loglevel", "level+info"), *decoder]
    command += [*ffmpeg.input_of(path), "-map", "0:V:0", "-vf", "showinfo=checksum=0"]
    command += ["-frames:v", str(FIRST_FRAMES), "-fps_mode", "passthrough", "-f", "null", "-"]
    command += ["-map", "0:V:0", "-c", "copy", "-frames:v", "1", "-f", "framecrc", "pipe:1"]
    finished = subprocess.run(command, capture_output=True, check=False)
    log = finished.stderr.decode("utf-8", "replace")
    lines = re.findall(r"^\[Parsed_showinfo_0 @ \w+\] \[info\] (.*)", log, re.M)
    pattern = r"n: *\d+ .*?pts_time:(\S+) .*?fmt:(\w+) .*?sar:(\d+)/(\d+) s:(\d+)x(\d+) i:(\w)"
    frames = [said.groups() for said in map(re.compile(pattern).match, lines) if said]
    if not frames:
        raise UserError(f"{path}: no frame could be decoded: {ffmpeg.reason(log)}")
    _, pixel_format, *numbers, _ = frames[0]
    across, down, width, height = map(int, numbers)
    colours = next((line for line in lines if line.startswith("color_range:")), "")
    facts = dict(re.findall(r"\bcolor_(\w+):(\S+)", colours))
    known = {name: "" if value in UNKNOWN else value for name, value in facts.items()}
    times = [float(seconds) for seconds, *_ in frames if seconds != "NOPTS"]
    copied = finished.stdout.decode("ascii", "replace")
    packet = re.search(r"^#tb 0: (\S+)$.*?^0, *(-?\d+),", copied, re.M | re.S)
    return FirstFrames(
        size=(width, height),
        pixel_aspect=Fraction(across, down or 1),
        pixel_format=pixel_format,
        interlaced=any(order in "TB" for *_, order in frames),
        matrix=known.get("space", ""),
        primaries=known.get("primaries", ""),
        transfer=known.get("trc", ""),
        step=float(np.median(np.diff(times))) if len(times) > 1 else 0.0,
        first_packet=float(int(packet[2]) * Fraction(packet[1])) if packet else 0.0,
    )


def packets(path: Path) -> Packets:
    """Lists all packets of the first real video track, and all tracks of a file."""
    command = [*ffmpeg.command("-nostdin", "-nostats", "-loglevel", "info")]
    command += [*ffmpeg.input_of(path), "-map", "0:V:0", "-map", "0:a?", "-copy_unknown"]
    command += ["-c", "copy", "-f", "framecrc", "pipe:1"]
    finished = subprocess.run(command, capture_output=True, check=False)
    log = finished.stderr.decode("utf-8", "replace")
    ticks: dict[str, Fraction] = {}
    rows: list[tuple[int, int, int, bool, bool]] = []
    ends = [0.0]
    encrypted = False
    for line in finished.stdout.decode("ascii", "replace").splitlines():
        if header := re.match(r"#tb (\d+): (\S+)", line):
            ticks[header[1]] = Fraction(header[2])
        elif not line.startswith("#"):
            track, dts, pts, duration, size, _, *more = line.split(",")
            shown = int(dts) if int(pts) < MISSING_STAMP else int(pts)
            ends.append((shown + int(duration)) * float(ticks[track]))
            if track == "0":
                is_key = not (more and more[0].startswith(" F="))
                rows.append((int(pts), int(dts), int(duration), is_key, int(size) > 0))
                encrypted |= "Encryption info" in line
    # An empty packet has no picture: the one before it is shown on.
    filled = [row for row in rows if row[4]]
    tick = ticks.get("0", Fraction(1))
    which = 1 if any(row[0] < MISSING_STAMP for row in rows) else 0
    header_log = re.split(r"^(?:Stream mapping:|Output #)", log, maxsplit=1, flags=re.M)[0]
    tracks, picture = _tracks(header_log)
    named = re.search(r"^Input #0, ([^, ]+)", header_log, re.M)
    container = named[1] if named else ""
    return Packets(
        container=container,
        tracks=tracks,
        told_seconds=_told_seconds(header_log, container),
        tick=tick,
        stamps=np.array(sorted({row[which] for row in filled}), np.int64),
        keys=np.array(sorted({row[which] for row in filled if row[3]}), np.int64),
        end=max((row[which] + row[2] for row in rows), default=0),
        first_packet=float(rows[0][1] * tick) if rows else 0.0,
        end_seconds=max(ends),
        clock_jumps="timestamp discontinuity" in log,
        breaks_off=re.search("partial file|File ended prematurely", log) is not None,
        alpha=re.search(r"^ {6,8}alpha_mode +: 1$", picture, re.M) is not None,
        interlaced=re.match(r".*\b(top|bottom) (coded )?first", picture) is not None,
        encrypted=encrypted,
        log=log,
    )


def _tracks(log: str) -> tuple[tuple[Track, ...], str]:
    """Returns the tracks that a header tells of, and all it says of the first real picture."""
    found: list[Track] = []
    picture = ""
    # Tracks of a group come before the others, and one of two programs comes twice. A title begins
    # no line: there is a colon before each of its own.
    blocks = {}
    for block in re.split(r"^ +Stream #0:", log, flags=re.M)[1:]:
        if said := re.match(r"(\d+)(?:\[\w+\])?(?:\(.*?\))?: (\w+): (\w+)(.*)", block):
            blocks[int(said[1])] = block, said.groups()[1:]
    for _, (block, (kind, codec, more)) in sorted(blocks.items()):
        is_cover = "(attached pic)" in more
        if kind == "Video" and not is_cover:
            picture = picture or block
        tag = re.match(r" \((\w+) / ", more)
        if kind == "Data" and tag:
            if tag[1] == "text":
                continue  # the chapters of an mp4
            codec = tag[1]
        number = sum(track.kind == kind for track in found)
        marks = tuple(mark for mark in MARKS if f"({mark.replace('_', ' ')})" in more)
        named = re.search(r"^ {6,8}(?:title|name) +: (.*)$", block, re.M)
        name = named[1] if named else ""
        found.append(Track(kind, codec, number, is_cover, marks, name))
    return tuple(found), picture


def _told_seconds(log: str, container: str) -> float:
    told = re.search(r"^  Duration: (\d+):(\d+):([\d.]+)(?:, start: ([\d.]+))?", log, re.M)
    if told is None or "Estimating duration" in log:
        return 0.0
    hours, minutes, seconds, start = (float(part or 0) for part in told.groups())
    length = 3600 * hours + 60 * minutes + seconds
    # That of Matroska counts from 0, even where the clock begins later.
    return max(0.0, length - start) if container == "matroska" else length
