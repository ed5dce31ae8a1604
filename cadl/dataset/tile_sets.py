"""All tiles of a folder in memory, split for training and validation, and batches for training."""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadl import _startup, console  # noqa: F401
from cadl.dataset.shards import KINDS, list_shards, read_shard
from cadl.errors import UserError
from cadl.images import tiles

import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class TileSet:
    """All tiles of a folder, in unnamed files that the system keeps in memory while it can."""

    pixels: np.ndarray  # uint8 [N, 180, 320, 3], memory mapped
    kinds: np.ndarray  # [N] "painting" or "video"
    sources: np.ndarray  # [N] names
    # [N] names of paintings and of shots; neither is split between training and validation
    groups: np.ndarray
    labels: np.ndarray  # [N] source and place, for people

    def __len__(self) -> int:
        return len(self.pixels)

    def select(self, chosen: np.ndarray) -> "TileSet":
        """Returns the tiles at some indices; their pixels are copied."""
        return TileSet(*(np.asarray(own)[chosen] for own in vars(self).values()))

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
        UserError: there are no tiles, or a shard is missing or damaged.
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
            # One line of text, whatever the file's name.
            label = " ".join(label.encode("utf-8", "replace").decode("utf-8").split())
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
        UserError: a weight is of no source, or less than 1.

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
        UserError: one is not; it is named, and the names that there are.
    """
    for name, weight in weights.items():
        if name not in {*names, *KINDS}:
            raise UserError(f"WEIGHTS names {name}; the sources are {', '.join(names)}")
        if name in names and name in KINDS:
            raise UserError(f"WEIGHTS {name} is a source and a kind: rename the source")
        if weight < 1:
            raise UserError(f"WEIGHTS {name}={weight} must be at least 1")
    return weights


def _take_turns(number: int, cycle: Sequence) -> tuple[Any, int]:
    """Returns whose turn it is, and how many turns that one has had before."""
    turn, place = divmod(number, len(cycle))
    item = cycle[place]
    return item, turn * cycle.count(item) + cycle[:place].count(item)
