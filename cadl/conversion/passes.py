"""What pass 1 leaves on disk: written in chunks and joined, loaded again, removed."""

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any

from cadl import console, files
from cadl.conversion.codes import Encoded
from cadl.errors import UserError
from cadl.strokes import track_files

import numpy as np

KEPT_PASSES = 4  # over one video
LATENTS, OBSERVED = "latents.npy", "observed.npz"  # what is kept; the latter is written last
TRACKED_FRAMES = "tracks.json"  # beside the tracks, written last: how many frames they are of


def load_encoded(folder: Path) -> Encoded | None:
    """Returns what is kept, None if it is not there, or damaged; then it is removed."""
    if not (folder / OBSERVED).exists():
        return None
    try:
        with np.load(folder / OBSERVED) as data:
            observed = {name: data[name] for name in data.files}
        if files.checksum(folder / LATENTS) != observed.pop("latents_checksum"):
            raise ValueError
        return Encoded(latents=np.load(folder / LATENTS, mmap_mode="r"), **observed)
    except files.UNREADABLE:
        console.warn(f"{folder} is damaged: the first pass is done again")
        (folder / OBSERVED).unlink()
        return None


def are_tracked(folder: Path, frames: int) -> bool:
    """Returns True if the tracks of all frames lie in a folder."""
    try:
        number = files.read_json(folder / TRACKED_FRAMES)
    except (FileNotFoundError, ValueError):
        return False
    chunks = range(-(-frames // track_files.CHUNK_FRAMES))
    return number == frames and all(track_files.chunk_path(folder, i).exists() for i in chunks)


def save_chunk(path: Path, latents: np.ndarray) -> None:
    """Writes the latents of consecutive frames, float32 [n, codes]."""
    buffer = io.BytesIO()  # of a full disk NumPy says only that it wrote less than it was to
    np.save(buffer, latents)
    with files.whole_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def save_encoded(folder: Path, count: int, observed: dict[str, Any]) -> None:
    """Joins all chunks of latents, and writes them and what else was seen of the frames.

    Args:
        folder: holds the chunks, by `save_chunk`; they are removed.
        count: of frames.
        observed: all attributes of `Encoded` but the latents.

    Raises:
        UserError: a chunk is damaged; all are removed.
    """
    chunks = sorted(folder.glob("chunk-?????.npy"))
    with files.whole_file(folder / LATENTS) as temporary:
        _join_chunks(chunks, count, temporary)
    checksum = files.checksum(folder / LATENTS)
    with files.whole_file(folder / OBSERVED) as temporary, temporary.open("wb") as file:
        np.savez(file, latents_checksum=checksum, **observed)
    for path in chunks:
        path.unlink()


def _join_chunks(chunks: list[Path], count: int, joined: Path) -> None:
    """Writes all chunks as one array; a mapped file would die of a full disk without a word."""
    missing = count
    with joined.open("wb") as file:
        for path in chunks:
            try:
                chunk = np.load(path)[:missing]
            except (ValueError, EOFError):
                break
            if missing == count:
                header = {"descr": "<f4", "fortran_order": False, "shape": (count, chunk.shape[1])}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(chunk, "<f4").data)
            missing -= len(chunk)
    if missing:
        for path in chunks:
            path.unlink()
        raise UserError(
            f"{joined.parent} had damaged parts of {count} frames, which are removed: run the "
            "same command again"
        )


def remove_unused(folder: Path, kept: int) -> None:
    """Removes all passes over a video but the newest of each kind, unless another run uses them."""
    with contextlib.suppress(UserError), files.only_one(folder):
        for kind in ("latents", "tracks"):
            passes = sorted(folder.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)
            for old in passes[: len(passes) - kept]:
                shutil.rmtree(old, ignore_errors=True)


def distrust(tracks: Path) -> None:
    """Has the next run look at all tracks in a folder, and make those anew that are damaged."""
    (tracks / TRACKED_FRAMES).unlink(missing_ok=True)
