"""Packs tiles into one small file for `bench_gpu`, whose machine has no TensorFlow.

    python -m benchmarks.gpu_tiles --tiles data/tiles --pack tiles.npz

Tiles stay as they are to the bit. All held-out tiles are taken, and as many others of each source,
alike for all sources that have so many, as the file may hold.
"""

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cadl import console, files
from cadl.errors import UserError
from cadl.settings import Count, Range, Seed, read_settings

import numpy as np
from PIL import Image

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
PACK: Path = Path("tiles.npz")  # the file to write
MEGABYTES: Count = 45  # at most, of 1 000 000 bytes
VALIDATION_FRACTION: Annotated[float, Range(0, 0.5)] = 0.05  # held out, as train_vae.py does
SEED: Seed = 1  # that train_vae.py holds tiles out by

THREADS = 16
METHOD = 4  # of WebP; 6 makes files smaller by a hundredth in ten times the time


@dataclass(frozen=True)
class Pack:
    """Tiles in memory.

    Attributes:
        pixels: uint8 [N, 180, 320, 3].
        kinds: [N] "painting" or "video".
        sources: [N] names.
        held_out: bool [N], not to be trained on.
        split: validation fraction and seed by which they were held out.
    """

    pixels: np.ndarray
    kinds: np.ndarray
    sources: np.ndarray
    held_out: np.ndarray
    split: tuple[float, int]


@console.script
def main(argv: list[str] | None = None) -> int:
    """Writes the pack and says what is in it."""
    settings = read_settings(argv)
    from cadl.dataset import tile_sets

    tile_set = tile_sets.load_tiles(settings.tiles)
    _, held_out = tile_set.split(settings.validation_fraction, settings.seed)
    with ThreadPoolExecutor(THREADS) as threads:
        encoded = list(threads.map(_encode, tile_set.pixels))
    room = 1_000_000 * settings.megabytes - 1_000 * len(tile_set)  # names and places, too
    chosen = choose([len(data) for data in encoded], tile_set.source_indices(), held_out, room)
    with files.whole_file(settings.pack) as temporary:
        np.savez(
            temporary,
            data=np.frombuffer(b"".join(encoded[i] for i in chosen), np.uint8),
            ends=np.cumsum([len(encoded[i]) for i in chosen]),
            kinds=tile_set.kinds[chosen],
            sources=tile_set.sources[chosen],
            held_out=np.isin(chosen, held_out),
            split=np.array([settings.validation_fraction, settings.seed]),
        )
    taken = {name: np.isin(own, chosen).sum() for name, own in tile_set.source_indices().items()}
    console.say(
        f"wrote {len(chosen)} of {len(tile_set)} tiles, {len(held_out)} held out, to "
        f"{settings.pack}: " + ", ".join(f"{name} {count}" for name, count in taken.items())
    )
    return 0


def choose(
    sizes: list[int], sources: dict[str, np.ndarray], held_out: np.ndarray, room: int
) -> np.ndarray:
    """Returns the indices of the tiles to take, source by source.

    Args:
        sizes: of all tiles, in bytes.
        sources: indices of each source's tiles.
        held_out: indices of tiles that are all taken.
        room: in bytes.

    Raises:
        UserError: there is not room for one tile of each source.
    """
    rng = np.random.default_rng(0)
    kept = [own[np.isin(own, held_out)] for own in sources.values()]
    others = [rng.permutation(np.setdiff1d(own, held_out)) for own in sources.values()]
    for count in range(max(map(len, others)), 0, -1):
        parts = [np.sort(np.append(a, b[:count])) for a, b in zip(kept, others, strict=True)]
        chosen = np.concatenate(parts)
        if sum(sizes[i] for i in chosen) <= room:
            return chosen
    raise UserError(f"MEGABYTES has {room} bytes of room, not enough: give a larger --megabytes")


def read_pack(path: Path) -> Pack:
    """Returns the tiles of a pack.

    Raises:
        UserError: there is none.
    """
    if not path.exists():
        raise UserError(f"no tiles in {path}: make them by python -m benchmarks.gpu_tiles")
    with np.load(path) as pack:
        data, ends = pack["data"], pack["ends"]
        starts = np.append(0, ends[:-1])
        with ThreadPoolExecutor(THREADS) as threads:
            pixels = np.stack(
                list(threads.map(lambda a, b: _decode(data[a:b]), starts.tolist(), ends.tolist()))
            )
        fraction, seed = pack["split"].tolist()
        return Pack(pixels, pack["kinds"], pack["sources"], pack["held_out"], (fraction, int(seed)))


def _encode(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "WEBP", lossless=True, method=METHOD)
    return stream.getvalue()


def _decode(data: np.ndarray) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data.tobytes())).convert("RGB"))


if __name__ == "__main__":
    sys.exit(main())
