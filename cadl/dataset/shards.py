"""Tiles on disk: GZIP TFRecord shards, their writer and their reader."""

import contextlib
import errno
import glob
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadl import _startup, files  # noqa: F401
from cadl.errors import UserError
from cadl.images import tiles

import numpy as np
import tensorflow as tf

KINDS = ("painting", "video")
TILES_PER_SHARD = 128
NAME = re.compile(r"(painting|video)-(.+)-(\d{5})-of-(\d{5})\.tfrecord\.gz")


@dataclass(frozen=True)
class Tile:
    """One record."""

    pixels: np.ndarray  # uint8 [180, 320, 3], RGB
    kind: str  # "painting" or "video"
    source: str  # name of the painter or the video
    index: int  # frame number in the video, or number of the crop of the picture
    seconds: float  # time in the video; 0 for a painting
    shot: int  # number of the shot in the video; 0 for a painting
    path: str  # file it came from


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
        for leftover in self._folder.glob(f".part-{glob.escape(self._prefix)}-?????"):
            leftover.unlink()
        return self

    def write(self, tile: Tile) -> None:
        """Appends a tile."""
        if self.count % TILES_PER_SHARD == 0:
            self._close()
            path = self._folder / f".part-{self._prefix}-{len(self._temporary):05d}"
            self._temporary.append(path)
            options = tf.io.TFRecordOptions(compression_type="GZIP", compression_level=1)
            plain = files.plain_path(self._folder) / path.name
            self._writer = tf.io.TFRecordWriter(str(plain), options)
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
    found = ((path, match_name(path)) for path in folder.glob("*.tfrecord.gz"))
    return sorted(path for path, match in found if match and f"{match[1]}-{match[2]}" == prefix)


def match_name(path: Path) -> re.Match | None:
    """Reads the name of a shard; some disks give letters and their marks one by one."""
    return NAME.fullmatch(unicodedata.normalize("NFC", path.name))


def list_shards(folder: Path) -> dict[Path, tuple[str, str]]:
    """Returns all shards of a folder, in order, with kind and source of each.

    Raises:
        UserError: there are none; a shard of a set is missing; a painter and a video have one name.
    """
    named = ((path, match_name(path)) for path in folder.glob("*.tfrecord.gz"))
    shards = {path: match for path, match in sorted(named) if match}
    if not shards:
        raise UserError(f"no tiles in {folder}: run extract_tiles.py first")
    sets: dict[str, list[re.Match]] = {}
    for match in shards.values():
        sets.setdefault(f"{match[1]}-{match[2]}", []).append(match)
    for prefix, matches in sets.items():
        if len(matches) != int(matches[0][4]) or len({match[4] for match in matches}) != 1:
            raise UserError(
                f"{folder}/{prefix}: {len(matches)} shards of {int(matches[0][4])} are there: "
                "run extract_tiles.py again"
            )
    names = Counter(prefix.partition("-")[2] for prefix in sets)
    for name, count in names.items():
        if count > 1:
            raise UserError(
                f"{folder} has tiles of a painter and of a video named {name}: rename one, or, if "
                "one is gone, run extract_tiles.py --remove-gone yes"
            )
    return {path: (match[1], match[2]) for path, match in shards.items()}


def read_shard(path: Path) -> Iterator[Tile]:
    """Reads and checks the records of one shard.

    Raises:
        UserError: a record is damaged or of another size, or there is none; shard, record and
            fault are named.
    """
    plain = files.plain_path(path.parent) / path.name
    records = iter(tf.data.TFRecordDataset(str(plain), "GZIP", buffer_size=1 << 20))
    number = 0
    while True:
        try:
            record = next(records).numpy()
        except StopIteration:
            if not number:
                raise UserError(f"{path}: holds no tiles: run extract_tiles.py again") from None
            return
        except tf.errors.OpError as error:
            reason = error.message.split(" [Op")[0].splitlines()[0]
            raise UserError(
                f"{path}, record {number}: damaged ({reason}): delete it and run "
                "extract_tiles.py again"
            ) from None
        try:
            tile = _parse(record)
        except (KeyError, IndexError, ValueError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}, record {number}: {error}: run extract_tiles.py again"
            ) from None
        yield tile
        number += 1


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
