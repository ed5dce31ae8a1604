"""Claim: SCALE 2 beats the enlargement of what is drawn at SCALE 1, on tiles never trained on.

    python -m benchmarks.bench_scale --tiles data/tiles --small log/refiner --large log/refiner-2

Tiles of 640x360 are restored at strength 0: by the refiner of SCALE 1 from half the size, enlarged
by Lanczos; by the refiner of SCALE 2; and, as a bound on the former, tiles of half the size that
nothing was done to are enlarged likewise. Both refiners belong to one VAE.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.claims import claim
from cadl import console, gallery, metrics, networks, shards, tiles
from cadl.settings import Count, Seed, read_settings

import numpy as np
import tensorflow as tf
from PIL import Image

TILES: Path = Path("data/tiles")  # by extract_tiles.py --scale 2, of sources never seen too
VAE_RUN: Path = Path("log/vae")  # the VAE that both refiners were trained on
SMALL: Path = Path("log/refiner")  # refiner of SCALE 1
LARGE: Path = Path("log/refiner-2")  # refiner of SCALE 2
NUM_TILES: Count = 24  # of each source
SEED: Seed = 1  # of the patches
PICTURE: Path = Path("out/bench/scale.png")  # crops of all ways, a row a source

WAYS = ("tiles enlarged", "SCALE 1 enlarged", "SCALE 2")
CROP = (slice(90, 270), slice(160, 480))  # of a tile, shown
BATCH = 8


@console.script
def main(argv: list[str] | None = None) -> int:
    """Measures every source and prints a table."""
    settings = read_settings(argv)
    vae_model, _, record = networks.load_vae(settings.vae_run)
    (small, _, of_small), (large, _, of_large) = map(
        networks.load_refiner, (settings.small, settings.large)
    )
    fingerprint = networks.fingerprint(vae_model)
    networks.check_vae(settings.small, of_small, settings.vae_run, fingerprint)
    networks.check_vae(settings.large, of_large, settings.vae_run, fingerprint)
    if (small.scale, large.scale) != (1, 2):
        raise ValueError(f"{settings.small} and {settings.large} are not of SCALE 1 and 2")
    tile_set = shards.load_tiles(settings.tiles, scale=2)
    fraction, seed = (record["settings"][name] for name in ("validation_fraction", "seed"))
    _, held_out = tile_set.split(fraction, seed)
    draw_all = make_drawing(vae_model, small, large)
    rows, shown = [], []
    found: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    for name, own in tile_set.source_indices().items():
        seen = name in record["notes"]["sources"]
        members = own[np.isin(own, held_out)] if seen else own
        if not len(members):
            continue
        chosen = tile_set.select(shards.spread(members, settings.num_tiles))
        drawn = draw_all(chosen)
        originals = tiles.to_float(chosen.large)
        for way in WAYS:
            values = measure(originals, drawn[way], settings.seed)
            found[way].append(values)
            rows.append([name, "held out" if seen else "never seen", way, *map(float, values)])
        middle = len(originals) // 2
        shown.append([x[middle][CROP] for x in (originals, *drawn.values())])
    header = ["source", "tiles", "way", "PSNR light", "SSIM light", "sharp", "to tiles x1000"]
    console.say(console.table(header, rows))
    _, enlarged, ours = (np.mean(found[way], axis=0) for way in WAYS)
    claim("SCALE 2: patch distance over that of SCALE 1 enlarged", ours[3] / enlarged[3], most=1)
    claim("SCALE 2: sharpness over that of SCALE 1 enlarged", ours[2] / enlarged[2], least=1)
    sheet = gallery.contact_sheet(shown, title=f"tiles, {', '.join(WAYS)}")
    gallery.save_picture(settings.picture, sheet)
    console.say(f"drew {settings.picture}")
    return 0


def make_drawing(vae_model, small, large) -> Callable[[shards.TileSet], dict[str, np.ndarray]]:
    """Returns what draws the same tiles in all WAYS: float32 [N, 360, 640, 3] in [0, 1]."""

    def compiled(model) -> Callable:
        return tf.function(
            lambda pictures, originals: model(
                pictures, originals, tf.zeros(tf.shape(pictures)[:1])
            ),
            reduce_retracing=True,
        )

    reconstruct = tf.function(
        lambda x: vae_model.decoder(vae_model.encoder(x)[0]), reduce_retracing=True
    )
    refine_small, refine_large = compiled(small), compiled(large)

    def draw_all(chosen: shards.TileSet) -> dict[str, np.ndarray]:
        pictures = networks.in_batches(reconstruct, tiles.to_float(chosen.pixels), batch_size=BATCH)

        def restore(refine: Callable, originals: np.ndarray) -> np.ndarray:
            pixels = tiles.to_float(originals)
            return networks.in_batches(refine, pictures, pixels, batch_size=BATCH)

        drawn = (
            enlarge(chosen.pixels),
            enlarge(tiles.to_uint8(restore(refine_small, chosen.pixels))),
            np.clip(restore(refine_large, chosen.large), 0, 1),
        )
        return dict(zip(WAYS, drawn, strict=True))

    return draw_all


def enlarge(pixels: np.ndarray) -> np.ndarray:
    """Enlarges uint8 tiles by Lanczos: float32 [N, 360, 640, 3]."""
    height, width, _ = tiles.shape_at(2)
    pictures = (Image.fromarray(x).resize((width, height), Image.Resampling.LANCZOS)
                for x in pixels)  # fmt: skip
    return tiles.to_float(np.stack([np.asarray(picture) for picture in pictures]))


def measure(originals: np.ndarray, drawn: np.ndarray, seed: int) -> np.ndarray:
    """Returns PSNR and SSIM of light, sharpness and patch distance (times 1000)."""
    grey, light = metrics.luminance(originals), metrics.luminance(drawn)
    return np.array([
        metrics.psnr(grey, light).mean(),
        metrics.ssim(grey, light).mean(),
        metrics.sharpness(light).mean() / metrics.sharpness(grey).mean(),
        1000 * metrics.patch_distance(drawn, originals, seed=seed),
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
