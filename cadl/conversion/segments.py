"""Segments of a painted video on disk: a folder of them for one request, each whole or absent."""

import contextlib
import shutil
from pathlib import Path

from cadl import files
from cadl.errors import UserError

SEGMENT_FRAMES = 240  # a multiple of BATCH, more than twice what is read around a segment
WORK_LOCK = "work.lock"  # is gone when the conversion is finished
FORMAT = 26  # raise when segments of before would not fit beside those of now


def segment_path(folder: Path, number: int) -> Path:
    """Names the file of a segment."""
    return folder / f"segment-{number:05d}.mp4"


def is_done(folder: Path, number: int) -> bool:
    """Returns True if a segment and its record are there."""
    path = segment_path(folder, number)
    return path.exists() and path.with_suffix(".json").exists()


def frames_of(segment: int, total: int) -> range:
    """Returns the numbers of a segment's frames, of so many in all."""
    return range(segment * SEGMENT_FRAMES, min((segment + 1) * SEGMENT_FRAMES, total))


def count_frames(numbers: list[int], total: int) -> int:
    """Returns how many frames some segments have together."""
    return sum(len(frames_of(number, total)) for number in numbers)


def missing(folder: Path, total: int) -> list[int]:
    """Returns the numbers of all segments that are not done, of a film of so many frames."""
    return [number for number in numbers_of(total) if not is_done(folder, number)]


def numbers_of(total: int) -> range:
    """Returns the numbers of all segments of a film of so many frames."""
    return range(-(-total // SEGMENT_FRAMES))


def begin(folder: Path, request: dict) -> None:
    """Removes segments that were made for another request."""
    folder.mkdir(parents=True, exist_ok=True)
    if not was_begun(folder, request):
        for old in folder.glob("segment-*"):
            old.unlink()
        files.write_json(folder / "request.json", request)


def was_begun(folder: Path, request: dict) -> bool:
    """Returns True if segments in a folder are of this request."""
    try:
        return files.read_json(folder / "request.json") == request
    except (FileNotFoundError, ValueError):
        return False


def remove(folder: Path, number: int) -> None:
    """Removes a segment."""
    path = segment_path(folder, number)
    for own in (path, path.with_suffix(".json")):
        own.unlink(missing_ok=True)


def clean_up(folder: Path) -> None:
    """Removes the segments of a finished conversion."""
    (folder / WORK_LOCK).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def remove_unused(folder: Path) -> None:
    """Removes the segments of a conversion unless another run works on it."""
    with contextlib.suppress(UserError), files.only_one(folder):
        clean_up(folder)
