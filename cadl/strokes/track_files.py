"""Tracks of strokes on disk: chunks of frames that are whole or absent.

A chunk begins with all its strokes and goes on with what changes: fates, births, moves. Moves are
stored as changes of the move before, in parts of a pixel, and compressed.
"""

import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cadl import files
from cadl.errors import UserError
from cadl.strokes.tracks import CROWD_OUT, LIVES, Carried, StrokeTracker

import numpy as np

CHUNK_FRAMES = 240
STEPS = 32  # of a pixel, to which places are rounded
GROWING_FRAMES = 5  # in which a stroke grows, or shrinks before it is crowded out
GROWN = 255  # age from which on it is no longer counted


class DamagedTracks(UserError):
    """A chunk of tracks can't be read."""


class Tracked(NamedTuple):
    """The strokes of one layer in one frame, n of them."""

    places: np.ndarray  # float32 [n, 2], x and y in pixels of the tracked frame
    identities: np.ndarray  # int64 [n]
    fates: np.ndarray  # uint8 [m], what became of each stroke of the frame before
    growth: np.ndarray  # float32 [n], above 0 to 1: less when just born, or about to be crowded out
    # float32 [n], pixels that strokes go to the next frame, or if they end, came from the last one
    speed: np.ndarray


def chunk_path(folder: Path, number: int) -> Path:
    """Names the file of a chunk."""
    return folder / f"tracks-{number:05d}.npz"


class TrackWriter:
    """Gathers the strokes of frames and writes them chunk by chunk."""

    def __init__(self, folder: Path, tracker: StrokeTracker):
        """Takes where chunks go, and the tracker whose state each chunk ends with.

        The tracker goes on where the chunks that are there end.
        """
        self._folder, self._tracker = folder, tracker
        self.frames_done, data = 0, None
        with contextlib.suppress(FileNotFoundError, DamagedTracks):
            while True:
                data = load_chunk(folder, self.frames_done // CHUNK_FRAMES)
                self.frames_done += CHUNK_FRAMES
        self._layers: list[list[Carried]] = [[] for _ in tracker.trackers]
        self._ages: list[np.ndarray] = [np.zeros(0, np.int64) for _ in tracker.trackers]
        if data is not None:
            for i, layer in enumerate(tracker.trackers):
                layer.places = data[f"{i}/end/places"]
                layer.identities = data[f"{i}/end/identities"]
                layer.next_identity = int(data[f"{i}/end/next"])
                self._ages[i] = data[f"{i}/end/ages"].astype(np.int64)
        self._first_ages = list(self._ages)

    def add(self, strokes: list[Carried]) -> None:
        """Adds the strokes of the next frame; writes a chunk when it is full."""
        for i, own in enumerate(strokes):
            kept = own.fates == LIVES
            born = np.where(own.growing[int(kept.sum()) :], 0, GROWN)
            ages = np.concatenate([np.minimum(self._ages[i][kept] + 1, GROWN), born])
            if not self._layers[i]:
                self._first_ages[i] = ages
            self._ages[i] = ages
            self._layers[i].append(own)
        if len(self._layers[0]) == CHUNK_FRAMES:
            self.write()

    def write(self) -> None:
        """Writes what was gathered as the next chunk, if there is anything."""
        if not self._layers[0]:
            return
        arrays: dict[str, Any] = {}
        for i, frames in enumerate(self._layers):
            tracker = self._tracker.trackers[i]
            packed = _pack(frames) | {
                "ages": self._first_ages[i].astype(np.uint8),
                "end/places": tracker.places,
                "end/identities": tracker.identities,
                "end/next": np.int64(tracker.next_identity),
                "end/ages": self._ages[i].astype(np.uint8),
            }
            arrays |= {f"{i}/{name}": value for name, value in packed.items()}
        path = chunk_path(self._folder, self.frames_done // CHUNK_FRAMES)
        with files.whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        self.frames_done += len(self._layers[0])
        self._layers = [[] for _ in self._layers]


def load_chunk(folder: Path, number: int) -> dict[str, np.ndarray]:
    """Reads a chunk.

    Raises:
        FileNotFoundError: it is not there.
        DamagedTracks: it can't be read; it is named.
    """
    path = chunk_path(folder, number)
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except files.UNREADABLE as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DamagedTracks(
            f"{path} is damaged ({error}): run the same command again, which makes it anew"
        ) from None


def _pack(frames: list[Carried]) -> dict[str, np.ndarray]:
    """Packs the strokes of one layer over a chunk."""
    places = _rounded(frames[0].places)
    moves = np.zeros_like(places)
    births, changes, born = [], [], []
    for own in frames[1:]:
        kept = own.fates == LIVES
        now = _rounded(own.places)
        count = int(kept.sum())
        move = now[:count] - places[kept]
        changes.append(move - moves[kept])
        births.append(now[count:])
        born.append(own.identities[count:])
        moves = np.concatenate([move, np.zeros_like(now[count:])])
        places = now
    low_and_high = _zigzag(_joined(changes))
    return {
        "counts": np.array([len(own.places) for own in frames], np.int32),
        "first/places": _rounded(frames[0].places),
        "first/identities": frames[0].identities,
        "fates": np.concatenate([own.fates for own in frames]),
        "fate_counts": np.array([len(own.fates) for own in frames], np.int32),
        "births": _joined(births),
        "growing": np.packbits(np.concatenate([own.growing for own in frames])),
        "moves/x/low": low_and_high[0][:, 0],
        "moves/x/high": low_and_high[1][:, 0],
        "moves/y/low": low_and_high[0][:, 1],
        "moves/y/high": low_and_high[1][:, 1],
        "born": np.concatenate(born) if born else np.zeros(0, np.int64),
    }


def _rounded(places: np.ndarray) -> np.ndarray:
    return np.round(places * STEPS).astype(np.int32)


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.zeros((0, 2), np.int32)


def _zigzag(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Splits whole numbers into low and high bytes; 0, -1, 1, -2 are folded to 0, 1, 2, 3."""
    folded = ((values << 1) ^ (values >> 31)).astype(np.uint32)
    folded = np.minimum(folded, 65535)
    return (folded & 255).astype(np.uint8), (folded >> 8).astype(np.uint8)


def _unzigzag(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    folded = low.astype(np.int32) | (high.astype(np.int32) << 8)
    return (folded >> 1) ^ -(folded & 1)


def _unpack(
    data: dict[str, np.ndarray], layer: int
) -> Iterator[tuple[Carried, np.ndarray, np.ndarray]]:
    """Yields the strokes of one layer in each frame of a chunk, their ages and their speeds."""

    def part(name: str) -> np.ndarray:
        return data[f"{layer}/{name}"]

    changes = np.stack(
        [_unzigzag(part(f"moves/{axis}/low"), part(f"moves/{axis}/high")) for axis in "xy"], axis=1
    )
    counts, fates, births = part("counts"), part("fates"), part("births")
    edges = np.append(0, np.cumsum(part("fate_counts")))
    growing = np.unpackbits(part("growing"), count=int(counts.sum())).astype(bool)
    places, identities, born = part("first/places"), part("first/identities"), part("born")
    ages = part("ages").astype(np.int64)
    moves = np.zeros_like(places)
    change_at = birth_at = 0
    for frame, count in enumerate(counts):
        start = int(counts[:frame].sum())
        own_fates = fates[edges[frame] : edges[frame + 1]]
        own_growing = growing[start : start + count]
        if frame:
            kept = own_fates == LIVES
            survivors = int(kept.sum())
            moves = moves[kept] + changes[change_at : change_at + survivors]
            new = slice(birth_at, birth_at + count - survivors)
            places = np.concatenate([places[kept] + moves, births[new]])
            moves = np.concatenate([moves, np.zeros_like(births[new])])
            identities = np.concatenate([identities[kept], born[new]])
            ages = np.concatenate(
                [np.minimum(ages[kept] + 1, GROWN), np.where(own_growing[survivors:], 0, GROWN)]
            )
            change_at, birth_at = change_at + survivors, new.stop
        spots, moved = (own.astype(np.float32) / np.float32(STEPS) for own in (places, moves))
        yield Carried(spots, identities, own_fates, own_growing), ages, np.hypot(*moved.T)


def read_tracks(folder: Path, first: int, last: int) -> Iterator[list[Tracked]]:
    """Yields the strokes of each layer in frames `first` to `last`, the latter left out.

    Raises:
        FileNotFoundError: a chunk is not there.
        DamagedTracks: it can't be read.
    """
    ahead: deque = deque()
    wanted = iter(range(first, last))
    for number in range(first // CHUNK_FRAMES, (last + GROWING_FRAMES) // CHUNK_FRAMES + 1):
        try:
            data = load_chunk(folder, number)
        except FileNotFoundError:
            if number * CHUNK_FRAMES < last:
                raise
            break
        layers = {name.partition("/")[0] for name in data}
        rows = zip(*(_unpack(data, layer) for layer in range(len(layers))), strict=True)
        for frame, row in enumerate(rows, number * CHUNK_FRAMES):
            if frame < first:
                continue
            ahead.append(row)
            if len(ahead) > GROWING_FRAMES:
                if next(wanted, None) is None:
                    return
                yield _with_growth(ahead)
                ahead.popleft()
    for _ in wanted:
        yield _with_growth(ahead)
        ahead.popleft()


def _with_growth(ahead: deque) -> list[Tracked]:
    """Adds growth and speed to the strokes of the first of several frames, by what follows."""
    found = []
    for layer, (own, ages, speed) in enumerate(ahead[0]):
        left = np.full(len(own.places), GROWING_FRAMES)
        who = where = np.arange(len(own.places))
        for step in range(1, min(GROWING_FRAMES, len(ahead))):
            fates = ahead[step][layer][0].fates
            left[who[fates[where] == CROWD_OUT]] = step
            lives = fates[where] == LIVES
            who, where = who[lives], (np.cumsum(fates == LIVES) - 1)[where[lives]]
        share = np.minimum(np.minimum(ages + 1, left), GROWING_FRAMES) / GROWING_FRAMES
        if len(ahead) > 1:
            after = ahead[1][layer][0]
            lives = after.fates == LIVES
            way = after.places[: np.count_nonzero(lives)] - own.places[lives]
            speed = speed.copy()
            speed[lives] = np.hypot(*way.T)
        growth = np.sqrt(share).astype(np.float32)  # so that the area grows evenly
        found.append(Tracked(own.places, own.identities, own.fates, growth, speed))
    return found
