"""What goes along with a source's picture into an mp4: sound and subtitles, chapters and tags."""

import errno
import itertools
import math
import mmap
import re
import subprocess
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from cadl.video import ffmpeg
from cadl.video.facts import Track
from cadl.video.probing import Video

UNREADABLE = "can't be read"
COPIED_SOUND = frozenset("aac mp3 ac3 eac3 opus alac".split())
# Layouts of channels that AAC lacks are mixed; of some channels nobody knows the place.
RE_ENCODINGS: tuple[tuple[str, list[str]], ...] = (
    ("re-encoded to AAC", []),
    ("mixed and re-encoded to AAC", ["-af", "aformat=channel_layouts=7.1|5.1|stereo"]),
    ("re-encoded to AAC (first two channels)", ["-af", "pan=stereo|c0=c0|c1=c1"]),
)
TEXT_SUBTITLES = frozenset("subrip srt ass ssa mov_text webvtt text".split())
SUBTITLE = r"^\d+\n([\d:,]+) --> ([\d:,]+).*?\n(.*?)(?=\n\n\d+\n[\d:,]+ -->|\n*\Z)"
KEPT_TAGS = frozenset(
    "title artist album_artist album composer date comment genre copyright description synopsis "
    "lyrics show episode_id network keywords location creation_time".split()
)
OTHER_NAMES = {
    "location.iso6709": "location", "creationdate": "date", "date_recorded": "date",
    "date_released": "date", "year": "date", "author": "artist",
}  # fmt: skip
# Of the file, not of the film.
TECHNICAL_TAGS = frozenset(
    "major_brand minor_version compatible_brands encoder software duration".split()
)


class Part(NamedTuple):
    """A part of a video: where it begins in the file, and how long it lasts, None to the end."""

    start: float = 0.0
    seconds: float | None = None


class Companions(NamedTuple):
    """Sound, subtitles and other tracks that are kept beside a picture."""

    # each kept track, and an mp4 of it on the clock of the part
    tracks: list[tuple[Track, Path]]
    sound: str  # in words, what became of the sound
    left_out: list[str]  # in words, all that mp4 can't hold


def take_tracks(source: Video, part: Part, folder: Path) -> Companions:
    """Writes each track of sound and of text by itself, so that a bad one costs no good one.

    Args:
        source: the video.
        part: of it.
        folder: where the files go.

    Raises:
        OSError: the disk is full.
    """
    taken: list[tuple[Track, Path]] = []
    done: dict[str, list[str]] = {}
    others: list[str] = []
    pictures = 0
    for track in source.tracks:
        target = folder / f"{track.kind.lower()}-{track.number}.mp4"
        if track.kind == "Audio":
            words = _take_sound(source, track, part, target)
            done.setdefault(words, []).append(track.codec)
        elif track.kind == "Subtitle" and track.codec in TEXT_SUBTITLES:
            problem = _take_subtitles(source, track, part, target)
            others += [f"subtitle {track.codec} ({problem})"] if problem else []
        elif track.kind == "Video" and not track.is_cover:
            pictures += 1
            others += ["a further picture track"] if pictures > 1 else []
        else:
            kind = "cover" if track.is_cover else track.kind.lower()
            others.append(f"{kind} {track.codec}".removesuffix(" none"))
        if target.exists():
            taken.append((track, target))
    sound = [
        f"{'left out: ' if words.startswith(UNREADABLE) else ''}{'+'.join(names)} {words}"
        for words, names in done.items()
    ]
    return Companions(
        taken,
        ", ".join(sound) or "no sound in the source",
        [f"{name} ({n} times)" if n > 1 else name for name, n in Counter(others).items()],
    )


def _take_sound(source: Video, track: Track, part: Part, target: Path) -> str:
    """Writes a track of sound; returns what was done in words."""
    attempts = [
        (words, [*filters, "-c:a", "aac", "-b:a", "192k"]) for words, filters in RE_ENCODINGS
    ]
    if track.codec in COPIED_SOUND:
        attempts.insert(0, ("copied", ["-c:a", "copy"]))
    problems = []
    for words, options in attempts:
        problem = _take(source, track, options, part, target)
        if problem is None:
            return words if target.exists() else "has nothing in this part"
        problems.append(problem)
    return f"{UNREADABLE} ({problems[-len(RE_ENCODINGS)]})"


def _take(source: Video, track: Track, options: list[str], part: Part, target: Path) -> str | None:
    """Writes a track, or nothing if it has nothing in a part; returns what went wrong.

    All is read from the beginning: no other way gives the same clock in all formats.
    """
    cut, until = ["-ss", f"{part.start:.6f}"] if part.start else [], []
    if part.seconds is not None:
        cut += ["-t", f"{part.seconds:.6f}"]
        until = ["-t", f"{part.start + part.seconds:.6f}"]
    if track.kind == "Subtitle":  # one that is shown when the part begins is shown on
        cut = until
    command = [
        *ffmpeg.command("-nostdin", "-loglevel", "level+warning"), *ffmpeg.input_of(source.path),
        *("-map", f"0:{track.kind[0].lower()}:{track.number}", *options),
        *(*cut, "-map_chapters", "-1", "-y", ffmpeg.url(target)),
        # The clock begins with the tracks that are read.
        *("-map", "0:V:0", "-map", "0:a?", "-c", "copy", "-copy_unknown", *until),
        *("-f", "null", "-"),
    ]  # fmt: skip
    return _write(command, target)


def _write(command: list[str], target: Path) -> str | None:
    """Runs ffmpeg; returns what went wrong. What is empty is not kept."""
    try:
        log = ffmpeg.run(command, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise
        return str(error).removeprefix(f"{target}: ")
    if re.search(r"Output file is empty|nothing was encoded", log):
        target.unlink(missing_ok=True)
    return None


def _take_subtitles(source: Video, track: Track, part: Part, target: Path) -> str | None:
    """Writes a track of text, as `_take`; an mp4 shows one text at a time, so some are joined."""
    listing = target.with_suffix(".srt")
    problem = _take(source, track, [], part, listing)
    if problem or not listing.exists():
        return problem
    starts: dict[float, list[tuple[float, str]]] = {}
    edges: set[float] = set()
    listed = listing.read_text(encoding="utf-8", errors="replace")
    for start, end, text in re.findall(SUBTITLE, listed, re.S | re.M):
        begin = max(0.0, _seconds_of(start) - part.start)
        last = min(_seconds_of(end) - part.start, part.seconds or math.inf)
        if last > begin:
            starts.setdefault(begin, []).append((last, text))
            edges |= {begin, last}
    shown: list[tuple[float, str]] = []
    lines = []
    for begin, end in itertools.pairwise(sorted(edges)):
        shown = [own for own in shown if own[0] > begin] + starts.get(begin, [])
        if shown:
            text = "\n".join(dict.fromkeys(text for _, text in shown))
            lines.append(f"1\n{_srt_time(begin)} --> {_srt_time(end)}\n{text}\n\n")
    if lines:
        listing.write_text("".join(lines), encoding="utf-8")
        command = [
            *ffmpeg.command("-nostdin", "-f", "srt"), *ffmpeg.input_of(listing),
            *(*ffmpeg.input_of(source.path), "-map", "0:s", "-c:s", "mov_text"),
            *("-map_metadata", "-1", "-map_metadata:s:0", f"1:s:s:{track.number}"),
            *("-y", ffmpeg.url(target)),
        ]  # fmt: skip
        return _write(command, target)
    return None


def _seconds_of(time: str) -> float:
    hours, minutes, seconds = time.replace(",", ".").split(":")
    return round(3600 * int(hours) + 60 * int(minutes) + float(seconds), 3)


def _srt_time(seconds: float) -> str:
    hours, rest = divmod(round(1000 * seconds), 3_600_000)
    return f"{hours:02}:{rest // 60_000:02}:{rest // 1000 % 60:02},{rest % 1000:03}"


def switch_off_subtitles(path: Path) -> None:
    """Marks all subtitles of an mp4 as not shown: ffmpeg has players show the first.

    Args:
        path: the file; its header comes before its frames.
    """
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        begin = data.find(b"moov")
        header = data[begin : begin + int.from_bytes(data[begin - 4 : begin])]
        tracks = re.finditer(rb"tkhd\0\0\0(.)", header, re.S)
        for track in tracks:
            kind = re.compile(rb"hdlr\0{8}(....)", re.S).search(header, track.end())
            if kind and kind[1] == b"sbtl":
                data[begin + track.start(1)] &= ~1


def write_tags(source: Video, part: Part, target: Path) -> list[str]:
    """Writes the tags and chapters that go along as a file that ffmpeg reads.

    Args:
        source: the video.
        part: of it; chapters are cut to it.
        target: the file.

    Returns:
        Names of the tags that are left out.
    """
    command = [*ffmpeg.command("-nostdin"), *ffmpeg.input_of(source.path), "-map_metadata", "0"]
    finished = subprocess.run(
        [*command, "-f", "ffmetadata", "pipe:1"], capture_output=True, check=False
    )
    text = finished.stdout.decode("utf-8", "replace")
    # A line goes on after a backslash.
    lines = [line for line in re.findall(r"(?:\\.|[^\\\n])+", text, re.S) if line[0] not in ";#"]
    sections: list[dict[str, str]] = [{}]
    chapters: list[dict[str, str]] = []
    for line in lines:
        if re.fullmatch(r"\[\w+\]", line):
            sections.append({})
            if line == "[CHAPTER]":
                chapters.append(sections[-1])
        else:
            name, value = re.split(r"(?<!\\)=", f"{line}=", maxsplit=1)
            sections[-1][name] = value[:-1]
    kept, left_out = _choose_tags(sections[0])
    written = [";FFMETADATA1", *(f"{name}={value}" for name, value in kept.items())]
    for chapter in chapters:
        written += _cut_chapter(chapter, part)
    target.write_text("\n".join(written) + "\n", encoding="utf-8")
    return left_out


def _choose_tags(tags: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """Returns the tags that mp4 can hold, by its names, and the names of the others."""
    kept: dict[str, str] = {}
    left_out = []
    for name, value in tags.items():
        plain = name.lower().removeprefix("com.apple.quicktime.")
        plain = OTHER_NAMES.get(plain, plain)
        if plain.startswith("location-"):
            plain = "location"
        if plain in KEPT_TAGS:
            kept.setdefault(plain, value)
        elif plain not in TECHNICAL_TAGS:
            left_out.append(f"tag {name}")
    return kept, left_out


def _cut_chapter(chapter: dict[str, str], part: Part) -> list[str]:
    """Returns the lines of a chapter, none if it lies outside of a part."""
    tick = Fraction(chapter.get("TIMEBASE", "1/1000000000"))
    start, end = (float(int(chapter[name]) * tick) - part.start for name in ("START", "END"))
    start, end = max(0.0, start), min(end, part.seconds if part.seconds is not None else end)
    if end - start < 1e-3:
        return []
    title = [f"title={chapter['title']}"] if "title" in chapter else []
    span = f"START={round(start * 1e6)}", f"END={round(end * 1e6)}"
    return ["[CHAPTER]", "TIMEBASE=1/1000000", *span, *title]
