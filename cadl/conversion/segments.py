"""Segments of a painted video on disk: a folder of them for one request, each whole or absent."""

import shutil
from pathlib import Path

from cadl import files

SEGMENT_FRAMES = 240  # a multiple of BATCH
FORMAT = 8  # raise when segments of before would not fit beside those of now


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


def neighbours_of(segments: list[int]) -> list[list[int]]:
    """Splits numbers into runs of neighbours."""
    runs: list[list[int]] = []
    for number in segments:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


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


def clean_up(folder: Path) -> None:
    """Removes the segments of a finished conversion."""
    shutil.rmtree(folder, ignore_errors=True)
