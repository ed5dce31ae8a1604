"""Tiles on disk: GZIP TFRecord shards, their writer, their reader, and batches for training."""

import contextlib
import errno
import hashlib
import math
import os
import re
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadl import _startup, console  # noqa: F401
from cadl.images import tiles

import numpy as np
import tensorflow as tf

KINDS = ("painting", "video")
TILES_PER_SHARD = 128
NAME = re.compile(r"(painting|video)-(.+)-(\d{5})-of-(\d{5})\.tfrecord\.gz")


@dataclass(frozen=True)
class Tile:
    """One record.

    Attributes:
        pixels: uint8 [180, 320, 3], RGB.
        kind: "painting" or "video".
        source: name of the painter or the video.
        index: frame number in the video, or number of the crop of the picture.
        seconds: time in the video; 0 for a painting.
        shot: number of the shot in the video; 0 for a painting.
        path: file it came from.
    """

    pixels: np.ndarray
    kind: str
    source: str
    index: int
    seconds: float
    shot: int
    path: str


def source_name(name: str) -> str:
    """Turns a folder's or file's name into a source's: lower case, dashes for the rest."""
    name = unicodedata.normalize("NFC", name).lower()
    return re.sub(r"[\W_]+", "-", name).strip("-") or "unnamed"


class ShardWriter:
    """Writes one source's tiles; its shards appear together, and only if the block succeeds.

    Use as a context manager. Shards of an earlier extraction of the source are replaced, unless
    there are no tiles to replace them with.
    """

    def __init__(self, folder: Path, kind: str, source: str):
        self.count = 0
        self._folder = folder
        self._prefix = f"{kind}-{source}"
        self._writer: Any = None
        self._temporary: list[Path] = []

    def __enter__(self) -> "ShardWriter":
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob(f".part-{_escape(self._prefix)}-?????"):
            leftover.unlink()
        return self

    def write(self, tile: Tile) -> None:
        """Appends a tile."""
        if self.count % TILES_PER_SHARD == 0:
            self._close()
            path = self._folder / f".part-{self._prefix}-{len(self._temporary):05d}"
            self._temporary.append(path)
            options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
            self._writer = tf.io.TFRecordWriter(str(path), options)
        self._writer.write(_serialize(tile))
        self.count += 1

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            with full_disk_as_os_error(self._folder):
                self._close()
            if kind is None and self.count:
                self._publish()
        finally:
            for path in self._temporary:
                path.unlink(missing_ok=True)

    def _publish(self) -> None:
        for old in shards_of(self._folder, self._prefix):
            old.unlink()
        for number, path in enumerate(self._temporary):
            name = f"{self._prefix}-{number:05d}-of-{len(self._temporary):05d}.tfrecord.gz"
            path.rename(self._folder / name)

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def shards_of(folder: Path, prefix: str) -> list[Path]:
    """Returns the shards of one `<kind>-<source>` in order."""
    found = folder.glob(f"{_escape(prefix)}-?????-of-?????.tfrecord.gz")
    return sorted(path for path in found if NAME.fullmatch(path.name))


def kind_and_source(path: Path) -> tuple[str, str]:
    """Reads both from the name of a shard.

    Raises:
        ValueError: it is none.
    """
    match = NAME.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path} is not named as shards are")
    return match[1], match[2]


def list_shards(folder: Path) -> list[Path]:
    """Returns all shards of a folder.

    Raises:
        FileNotFoundError: there are none; the script that makes them is named.
        ValueError: a shard of a set is missing, or a painter and a video have one name.
    """
    named = ((path, NAME.fullmatch(path.name)) for path in folder.glob("*.tfrecord.gz"))
    shards = {path: match for path, match in sorted(named) if match}
    if not shards:
        raise FileNotFoundError(f"no tiles in {folder}: run extract_tiles.py first")
    sets: dict[str, list[re.Match]] = {}
    for match in shards.values():
        sets.setdefault(f"{match[1]}-{match[2]}", []).append(match)
    for prefix, matches in sets.items():
        if len(matches) != int(matches[0][4]) or len({match[4] for match in matches}) != 1:
            raise ValueError(
                f"{folder}/{prefix}: {len(matches)} shards of {int(matches[0][4])} are there: "
                "run extract_tiles.py again"
            )
    names = Counter(prefix.partition("-")[2] for prefix in sets)
    for name, count in names.items():
        if count > 1:
            raise ValueError(
                f"{folder} has tiles of a painter and of a video named {name}: rename one, or, if "
                "one is gone, run extract_tiles.py --remove-gone yes"
            )
    return list(shards)


def read_shard(path: Path) -> Iterator[Tile]:
    """Reads and checks the records of one shard.

    Raises:
        ValueError: a record is damaged or of another size, or there is none; shard, record and
            fault are named.
    """
    records = iter(tf.data.TFRecordDataset(str(path), "GZIP", buffer_size=1 << 20))
    number = 0
    while True:
        try:
            record = next(records).numpy()
        except StopIteration:
            if not number:
                raise ValueError(f"{path}: holds no tiles: run extract_tiles.py again") from None
            return
        except tf.errors.OpError as error:
            reason = error.message.split(" [Op")[0].splitlines()[0]
            raise ValueError(
                f"{path}, record {number}: damaged ({reason}): delete it and run "
                "extract_tiles.py again"
            ) from None
        try:
            tile = _parse(record)
        except (KeyError, IndexError, ValueError, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}, record {number}: {error}: run extract_tiles.py again"
            ) from None
        yield tile
        number += 1


@dataclass(frozen=True)
class TileSet:
    """All tiles of a folder, in unnamed files that the system keeps in memory while it can.

    Attributes:
        pixels: uint8 [N, 180, 320, 3], memory mapped.
        kinds: [N] "painting" or "video".
        sources: [N] names.
        groups: [N] names of what must not be split between training and validation: a painting,
            or a shot of a video.
        labels: [N] source and place, for people.
    """

    pixels: np.ndarray
    kinds: np.ndarray
    sources: np.ndarray
    groups: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, chosen: np.ndarray) -> "TileSet":
        """Returns the tiles at some indices; their pixels are copied."""
        return TileSet(
            np.asarray(self.pixels[chosen]),
            *(values[chosen] for values in (self.kinds, self.sources, self.groups, self.labels)),
        )

    def source_indices(self) -> dict[str, np.ndarray]:
        """Returns for each source the indices of its tiles, painters first."""
        names = dict.fromkeys(self.sources[np.argsort(self.kinds, kind="stable")])
        return {str(name): np.flatnonzero(self.sources == name) for name in names}

    def names(self, kind: str) -> list[str]:
        """Lists the sources of a kind, "painting" or "video"."""
        return list(dict.fromkeys(self.sources[self.kinds == kind].tolist()))

    def split(self, validation_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Splits into indices for training and for validation, by whole groups of each source.

        A hash of their names orders the groups. So a source that is added later changes nothing for
        the others, and a few pictures more of a painter hardly anything for the rest of them.
        """

        def order(group: str) -> bytes:
            return hashlib.sha256(f"{seed} {group}".encode("utf-8", "surrogateescape")).digest()

        held_out = np.zeros(len(self), bool)
        for indices in self.source_indices().values():
            groups = sorted(set(self.groups[indices].tolist()), key=order)
            wanted = validation_fraction * len(indices)
            for group in groups[:-1]:  # something is always left to train on
                members = indices[self.groups[indices] == group]
                if held_out[indices].sum() + len(members) / 2 <= wanted:
                    held_out[members] = True
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def spread(indices: np.ndarray, at_most: int) -> np.ndarray:
    """Picks some of many indices, evenly, neither the first nor the last."""
    if len(indices) <= at_most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, at_most + 2).astype(int)[1:-1]]


def load_tiles(folder: Path) -> TileSet:
    """Decompresses all tiles of a folder once, into a temporary file of 173 kB a tile.

    The file lies in the folder, or where the system keeps such files if the folder is read-only.

    Raises:
        FileNotFoundError: there are no tiles.
        ValueError: a shard is missing or damaged.
    """
    columns: list[tuple[str, str, str, str]] = []
    found = list_shards(folder)
    file = tempfile.TemporaryFile(
        prefix=".tiles-", dir=folder if os.access(folder, os.W_OK) else None
    )
    for shard in console.progress(found, unit="shard", label="load tiles"):
        for tile in read_shard(shard):
            file.write(tile.pixels.tobytes())
            place = Path(tile.path).name if tile.kind == "painting" else f"shot {tile.shot}"
            label = f"{tile.source} {Path(tile.path).stem if tile.kind == 'painting' else ''}"
            label += f" frame {tile.index}" if tile.kind == "video" else f" {tile.index}"
            label = label.encode("utf-8", "replace").decode("utf-8")  # whatever the file's name
            columns.append((tile.kind, tile.source, f"{tile.source}/{place}", label))
    file.flush()
    pixels = np.memmap(file, np.uint8, "r", shape=(len(columns), *tiles.SHAPE))
    return TileSet(pixels, *(np.array(values) for values in zip(*columns, strict=True)))


def training_batches(
    tile_set: TileSet,
    indices: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    first_step: int,
    last_step: int,
    weights: Mapping[str, int] | None = None,
) -> tf.data.Dataset:
    """Draws batches, half paintings and half video, sources of a kind in equal parts.

    What a step sees depends on (seed, step) alone, so that a resumed run goes on exactly. Each
    source's tiles come in a new random order each time round. Half of the tiles are mirrored.

    Args:
        tile_set: all tiles.
        indices: those to draw from.
        batch_size: tiles a step.
        seed: of the order.
        first_step: number of the first batch.
        last_step: number after the last batch.
        weights: how many times as often as others a source is drawn; or a kind, "painting" or
            "video", as the other.

    Raises:
        ValueError: a weight is of no source, or less than 1.

    Yields (as a dataset):
        step int64 [], tiles uint8 [batch_size, 180, 320, 3]; source number int32
        [batch_size] in the order of `source_indices`.
    """
    chosen = np.zeros(len(tile_set), bool)
    chosen[indices] = True
    sources = [own[chosen[own]] for own in tile_set.source_indices().values()]
    groups, members = _cycles(tile_set, sources, weights or {})

    def draw(step: np.int64) -> tuple[np.ndarray, np.ndarray]:
        picked = np.empty(batch_size, np.int64)
        source_of = np.empty(batch_size, np.int32)
        for slot in range(batch_size):
            kind, within_kind = _take_turns(int(step) * batch_size + slot, groups)
            source, within_source = _take_turns(within_kind, members[kind])
            turn, place = divmod(within_source, len(sources[source]))
            order = np.random.default_rng([seed, source, turn]).permutation(len(sources[source]))
            picked[slot], source_of[slot] = sources[source][order[place]], source
        batch = tile_set.pixels[picked]
        mirrored = np.random.default_rng([seed, 1 << 20, int(step)]).random(batch_size) < 0.5
        batch[mirrored] = batch[mirrored, :, ::-1]
        return batch, source_of

    def load(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        batch, source_of = tf.numpy_function(draw, [step], (tf.uint8, tf.int32), stateful=False)
        batch.set_shape((batch_size, *tile_set.pixels.shape[1:]))
        source_of.set_shape((batch_size,))
        return step, batch, source_of

    steps = tf.data.Dataset.range(first_step, last_step)
    return steps.map(load, num_parallel_calls=1).prefetch(2)


def _cycles(
    tile_set: TileSet, sources: list[np.ndarray], weights: Mapping[str, int]
) -> tuple[list[str], dict[str, list[int]]]:
    """Returns the kinds in the order of their turns, and so for each kind the sources' numbers."""
    indices = tile_set.source_indices()
    weights = check_weights(dict(weights), indices)
    members: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for number, (name, own) in enumerate(indices.items()):
        if len(sources[number]):
            members[str(tile_set.kinds[own[0]])] += [number] * weights.get(name, 1)
    return [kind for kind in KINDS if members[kind] for _ in range(weights.get(kind, 1))], members


def check_weights(weights: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    """Returns the weights if each is at least 1 and of a source or a kind.

    Raises:
        ValueError: one is not; it is named, and the names that there are.
    """
    for name, weight in weights.items():
        if name not in {*names, *KINDS}:
            raise ValueError(f"WEIGHTS names {name}; the sources are {', '.join(names)}")
        if name in names and name in KINDS:
            raise ValueError(f"WEIGHTS {name} is a source and a kind: rename the source")
        if weight < 1:
            raise ValueError(f"WEIGHTS {name}={weight} must be at least 1")
    return weights


def _take_turns(number: int, cycle: Sequence) -> tuple[Any, int]:
    """Returns whose turn it is, and how many turns that one has had before."""
    turn, place = divmod(number, len(cycle))
    item = cycle[place]
    return item, turn * cycle.count(item) + cycle[:place].count(item)


def _escape(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)


@contextlib.contextmanager
def full_disk_as_os_error(folder: Path) -> Iterator[None]:
    """Turns TensorFlow's error for a full disk into the system's."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder)) from error


def _serialize(tile: Tile) -> bytes:
    shape = tile.pixels.shape
    if shape != tiles.SHAPE or tile.pixels.dtype != np.uint8:
        raise ValueError(f"tile is {tile.pixels.dtype} {shape}, not {tiles.SHAPE}")
    values = {
        "raw": _bytes(np.ascontiguousarray(tile.pixels).tobytes()),
        "height": _int(shape[0]),
        "width": _int(shape[1]),
        "kind": _bytes(tile.kind.encode()),
        "source": _bytes(tile.source.encode()),
        "index": _int(tile.index),
        "time": tf.train.Feature(float_list=tf.train.FloatList(value=[tile.seconds])),
        "shot": _int(tile.shot),
        "path": _bytes(tile.path.encode("utf-8", "surrogateescape")),
    }
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString(
        deterministic=True
    )


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))


def _parse(record: bytes) -> Tile:
    try:
        fields = tf.train.Example.FromString(record).features.feature
    except Exception as error:  # protobuf's DecodeError moves between its versions
        raise ValueError(f"not a tile record ({error})") from None
    missing = {"raw", "height", "width", "kind", "source", "index", "time", "shot", "path"} - set(
        fields
    )
    if missing:
        raise ValueError(f"fields are missing: {', '.join(sorted(missing))}")
    height, width = (fields[name].int64_list.value[0] for name in ("height", "width"))
    raw = fields["raw"].bytes_list.value[0]
    shape = (height, width, tiles.CHANNELS)
    if shape != tiles.SHAPE or len(raw) != math.prod(shape):
        raise ValueError(
            f"tile of {width}x{height} in {len(raw)} bytes, not {tiles.WIDTH}x{tiles.HEIGHT}"
        )
    kind = fields["kind"].bytes_list.value[0].decode()
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, not painting or video")
    return Tile(
        pixels=np.frombuffer(raw, np.uint8).reshape(shape),
        kind=kind,
        source=fields["source"].bytes_list.value[0].decode(),
        index=fields["index"].int64_list.value[0],
        seconds=fields["time"].float_list.value[0],
        shot=fields["shot"].int64_list.value[0],
        path=fields["path"].bytes_list.value[0].decode("utf-8", "surrogateescape"),
    )
