"""Pictures and videos found in folders; those that are left out are counted by reason, and said."""

import contextlib
import mimetypes
import os
from collections import Counter
from pathlib import Path

from cadl import console, files

SYSTEM_FOLDERS = {"system volume information"}.union(
    "@eadir __macosx #recycle @recycle $recycle.bin lost+found".split()
)
NO_SUFFIX = "without a suffix"
MARK = "cadl"  # the software that a picture of ours names in itself


def find(root: Path, suffixes: frozenset[str]) -> list[Path]:
    """Lists the files below a folder that have one of some suffixes, in order.

    Links to folders are followed, each folder is read once. Hidden folders, those of a system and
    what these scripts wrote are left out. One line counts what is left out, by reason.

    Args:
        root: the folder.
        suffixes: in lower case, with their dots.
    """
    found: list[Path] = []
    left_out: Counter[str] = Counter()

    def count_folder(_: OSError) -> None:
        left_out["unreadable folders"] += 1

    real = Path(os.path.realpath(root))
    above = {str(real), *map(str, real.parents)}  # where a link would lead round in a circle
    seen: set[tuple[str, str]] = set()
    waiting = [root]  # links wait until all that is there without them was read
    while waiting:
        for place, folders, names in os.walk(waiting.pop(0), onerror=count_folder):
            folder, target = Path(place), os.path.realpath(place)
            reason = _why_no_input(root, folder)
            if (target, reason) in seen or (folder != root and target in above):
                folders.clear()
                continue
            seen.add((target, reason))
            waiting += (folder / name for name in sorted(folders) if (folder / name).is_symlink())
            for path in (folder / name for name in names):
                why = reason or _why_left_out(path, suffixes)
                if not why:
                    found.append(path)
                elif _is_medium(path, suffixes, why):
                    left_out[why] += 1
    if left_out:
        counts = ", ".join(f"{why} {count}" for why, count in sorted(left_out.items()))
        console.say(f"{root}: left out {left_out.total()}: {counts}")
    return sorted(found)


def is_input_folder(folder: Path) -> bool:
    """Returns True if inputs are looked for in a folder: no hidden, system or own one."""
    return folder.is_dir() and not _why_no_input(folder.parent, folder)


def _why_no_input(root: Path, folder: Path) -> str:
    """Returns why nothing below a folder is an input, an empty text if it may be."""
    parts = folder.relative_to(root).parts
    if any(part.startswith(".") or part.lower() in SYSTEM_FOLDERS for part in parts):
        return "in hidden or system folders"
    below = [*reversed(folder.parents), folder][-len(parts) :] if parts else []
    if any(files.exists(f"{part}/{files.LOCK}") for part in below):
        return "in folders of these scripts"
    return ""


def _why_left_out(path: Path, suffixes: frozenset[str]) -> str:
    """Returns why a file is no input, an empty text if it is one."""
    if path.name.startswith("."):
        return "hidden"
    if not path.is_file():
        return "broken links, devices or pipes"
    if _is_own(path):
        return "made by these scripts"
    if path.suffix.lower() not in suffixes:
        return path.suffix.lower() or NO_SUFFIX
    return ""


def _is_medium(path: Path, suffixes: frozenset[str], why: str) -> bool:
    """Says whether a file that is left out may be a picture or a video, by its suffix."""
    suffix, (kind, packed) = path.suffix.lower(), mimetypes.guess_type(path.name)
    if not kind and not packed and why == (suffix or NO_SUFFIX):
        return True  # of a kind that nobody knows
    return suffix in suffixes or str(kind).startswith(("image/", "video/"))


def _is_own(path: Path) -> bool:
    """Says whether these scripts made a file: a picture has a mark, a video a record beside it."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        if path.suffix.lower() == ".png":
            with path.open("rb") as file:
                return f"Software\0{MARK}".encode() in file.read(200)
        if path.suffix == ".mp4":
            begun = path.parent / "work" / path.stem / "request.json"  # its record comes last
            record = path.with_suffix(".json")
            return begun.exists() or "segment_frames" in files.read_json(record)["request"]
    return False
