"""Claim: the refiner restores what the VAE blurs, and paints a video never seen like the painter.

    python -m benchmarks.bench_picture --refiners ours=log/refiner,2017=log/refiner-2017

Each row is one way to draw the same tiles, at strength 0 (restoring) or 1 (painting). Judges are
small classifiers, trained afterwards to tell the painter's tiles from those drawn: their mean error
on tiles that they have not seen, 0.5 if they cannot.
"""

import functools
import sys
from pathlib import Path
from types import SimpleNamespace

from benchmarks.claims import claim
from cadl import console, gallery, latents, metrics, networks, shards, tiles
from cadl.settings import Count, Seed, read_settings

import keras
import numpy as np
import tensorflow as tf
from keras import layers

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py, of the sources never seen too
VAE_RUN: Path = Path("log/vae")  # the VAE that all refiners were trained on
REFINERS: dict[str, str] = {"ours": "log/refiner"}  # name=run,...
PAINTER: str = ""  # painting source; the first if empty
VIDEO: str = ""  # video source; the one never seen in training if empty
NUM_TILES: Count = 40  # tiles of the video
JUDGES: Count = 5  # of each way; their mean error is shown, one alone is off by as much as 0.1
JUDGE_STEPS: Count = 200  # training steps of a judge
SEED: Seed = 1  # of the judges and of the patches
PICTURE: Path = Path("out/bench/picture.png")  # enlarged crops of all ways side by side

MEASURES = ("PSNR", "PSNR light", "SSIM light", "sharp", "to video", "to painter", "of the way",
            "judge", "flicker", "grid")  # fmt: skip
CROP = (slice(40, 130), slice(80, 240))  # of a tile, enlarged in the picture
PAN_FRAMES = 12
PAN_STEP = 1.5  # pixels a frame


@console.script
def main(argv: list[str] | None = None) -> int:
    """Measures all ways, prints a table and draws a picture."""
    settings = read_settings(argv)
    vae_model, _, record = networks.load_vae(settings.vae_run)
    fingerprint = networks.fingerprint(vae_model)
    refiners = {}
    for name, run in settings.refiners.items():
        refiners[name], _, own = networks.load_refiner(Path(run))
        networks.check_vae(Path(run), own, settings.vae_run, fingerprint)
    scene = find_scene(vae_model, record, settings)
    console.say(
        f"{scene.video} toward {scene.painter}; paintings against paintings: {scene.floor:.3f}"
    )
    rows, shown, measured = [], {}, {}
    for (name, strength), drawn in draw_all(scene, vae_model, refiners).items():
        drawn, panned = (np.clip(x, 0, 1) for x in drawn)
        shown[f"{name} {strength}".strip()] = drawn
        measured[name, strength] = measure(scene, name, strength, drawn, panned, settings)
        rows.append([name, strength, *measured[name, strength]])
    console.say(
        console.table(
            ["way", "strength", *MEASURES],
            [[f"{x:.3f}" if isinstance(x, float) else x for x in map(plain, row)] for row in rows],
        )
    )  # fmt: skip
    for name in refiners:
        make_claims(name, measured)
    draw(settings.picture, shown)
    return 0


def make_claims(name: str, measured: dict) -> None:
    """Says what is claimed of a refiner."""
    vae_alone, restored, painted, rival = (
        dict(zip(MEASURES, measured[way], strict=True))
        for way in (("VAE", 0.0), (name, 0.0), (name, 1.0), ("colour transfer", ""))
    )
    gain = restored["PSNR light"] - vae_alone["PSNR light"]
    claim(f"{name}, 0: dB of light above the VAE", gain, least=6)
    gap = (1 - restored["sharp"]) / (1 - vae_alone["sharp"])
    claim(f"{name}, 0: gap in sharpness over that of the VAE", gap, most=0.5)
    claim(f"{name}, 0: patch distance to the video over that of the VAE",
          restored["to video"] / vae_alone["to video"], most=0.6)  # fmt: skip
    grids = max(restored["grid"], painted["grid"])
    claim(f"{name}: energy of a pixel grid over the video's", grids, most=1)
    claim(f"{name}, 1: of the way to the paintings", painted["of the way"], least=0.6)
    claim(f"{name}, 1: SSIM of light", painted["SSIM light"], least=0.45)
    claim(f"{name}, 1: judge's error over that of colour transfer",
          painted["judge"] / max(rival["judge"], 1e-3), least=1)  # fmt: skip
    claim(f"{name}, 1: flicker of a pan over that of the VAE at 0",
          painted["flicker"] / vae_alone["flicker"], most=1.15)  # fmt: skip


def find_scene(vae_model, record: dict, settings) -> SimpleNamespace:
    """Picks video, painter and tiles, and works out codes as they are and moved."""
    tile_set = shards.load_tiles(settings.tiles)
    fraction, seed = (record["settings"][key] for key in ("validation_fraction", "seed"))
    trained, held_out = tile_set.split(fraction, seed)
    indices = tile_set.source_indices()
    kinds = {name: str(tile_set.kinds[own[0]]) for name, own in indices.items()}
    painter = settings.painter or next((n for n in indices if kinds[n] == "painting"), "")
    known = record.get("notes", {}).get("sources", [])
    video = settings.video or next(
        (name for name in reversed(indices) if kinds[name] == "video" and name not in known), ""
    )
    for name in (painter, video):
        if name not in indices:
            raise ValueError(f"{name or 'a video never seen'} is not among {', '.join(indices)}")
    codes = networks.encode_tiles(vae_model, tile_set.pixels, "encode")
    own = {name: latents.statistics_of(codes[i], kinds[name]) for name, i in indices.items()}

    def some(of: np.ndarray) -> np.ndarray:
        return shards.spread(of, settings.num_tiles)

    def moved(z: np.ndarray) -> np.ndarray:
        return latents.map_latents(
            z, own[video], own[painter], style_map=latents.DEFAULT_STYLE_MAP, strength=1.0
        )

    chosen = some(indices[video])
    originals = tiles.to_float(tile_set.pixels[chosen])
    pan = pan_over(originals[len(originals) // 2])
    pan_codes = in_batches(lambda x: vae_model.encoder(x)[0], pan)
    paintings = tiles.to_float(tile_set.pixels[some(np.intersect1d(indices[painter], trained))])
    unseen = tiles.to_float(tile_set.pixels[np.intersect1d(indices[painter], held_out)])
    return SimpleNamespace(
        video=video,
        painter=painter,
        originals=originals,
        pan=pan,
        codes={0.0: codes[chosen], 1.0: moved(codes[chosen])},
        pan_codes={0.0: pan_codes, 1.0: moved(pan_codes)},
        paintings=paintings,
        unseen=unseen,
        floor=metrics.patch_distance(paintings, unseen, seed=settings.seed),
        far=metrics.patch_distance(originals, unseen, seed=settings.seed),
    )


def draw_all(scene: SimpleNamespace, vae_model, refiners: dict) -> dict:
    """Draws the tiles and the pan in all ways: {(name, strength): (tiles, pan)}."""
    transfer = colour_transfer(scene.originals, scene.paintings)
    ways: dict[tuple, tuple] = {
        ("untouched", ""): (scene.originals, scene.pan),
        ("colour transfer", ""): tuple(map(transfer, (scene.originals, scene.pan))),
    }
    for strength in (0.0, 1.0):
        pictures, panned = (
            in_batches(vae_model.decoder, codes[strength])
            for codes in (scene.codes, scene.pan_codes)
        )
        ways["VAE", strength] = pictures, panned
        for name, model in refiners.items():
            ways[name, strength] = (
                refine(model, pictures, scene.originals, strength),
                refine(model, panned, scene.pan, strength),
            )
    return ways


def measure(scene: SimpleNamespace, name, strength, drawn, panned, settings) -> list:
    """Returns the columns of one way."""
    grey, light = metrics.luminance(scene.originals), metrics.luminance(drawn)
    distance = metrics.patch_distance(drawn, scene.unseen, seed=settings.seed)
    untouched = name == "untouched"
    return [
        "" if untouched else metrics.psnr(scene.originals, drawn).mean(),
        "" if untouched else metrics.psnr(grey, light).mean(),
        metrics.ssim(grey, light).mean(),
        metrics.sharpness(light).mean() / metrics.sharpness(grey).mean(),
        metrics.patch_distance(drawn, scene.originals, seed=settings.seed),
        distance,
        (scene.far - distance) / (scene.far - scene.floor),
        judge_all(drawn, scene.paintings, scene.unseen, settings) if strength != 0 else "",
        metrics.flicker(panned) / metrics.flicker(scene.pan),
        metrics.grid_energy(light) / metrics.grid_energy(grey),
    ]


def plain(value):
    """Turns numpy's numbers into Python's."""
    return value.item() if isinstance(value, np.generic) else value


def in_batches(function, values: np.ndarray) -> np.ndarray:
    """Runs a network over arrays of any length."""
    return networks.in_batches(tf.function(function, reduce_retracing=True), values)


def refine(model, pictures: np.ndarray, originals: np.ndarray, strength: float) -> np.ndarray:
    """Returns the refined pictures."""
    call = functools.partial(compiled(model), strength=tf.constant(strength))
    return networks.in_batches(call, pictures, originals, batch_size=8)


@functools.cache
def compiled(model):
    """Returns a refiner's compiled call at one strength for all tiles."""
    return tf.function(
        lambda a, b, strength: model(a, b, tf.fill(tf.shape(a)[:1], strength)),
        reduce_retracing=True,
    )


def colour_transfer(originals: np.ndarray, paintings: np.ndarray):
    """Returns the trivial rival: chroma mapped between Gaussians, luminance kept."""

    def chroma(x):
        return np.stack([x[..., 0] - metrics.luminance(x), x[..., 2] - metrics.luminance(x)], -1)

    ours, theirs = (
        latents.statistics_of(chroma(x).reshape(-1, 2)[::7], "") for x in (originals, paintings)
    )
    matrix = latents.monge_matrix(ours, theirs)

    def transfer(x: np.ndarray) -> np.ndarray:
        light = metrics.luminance(x)
        red, blue = np.moveaxis((chroma(x) - ours.mean) @ matrix + theirs.mean, -1, 0)
        weights = metrics.LUMINANCE
        green = -(weights[0] * red + weights[2] * blue) / weights[1]
        return np.stack([light + red, light + green, light + blue], -1).astype(np.float32)

    return transfer


def pan_over(tile: np.ndarray) -> np.ndarray:
    """Films one tile, enlarged, moving by a fraction more than a pixel a frame."""
    height, width = tiles.SHAPE[:2]
    room = int(PAN_FRAMES * PAN_STEP) + 2
    size = (height + room, width + room)
    enlarged = np.asarray(tf.image.resize(tile, size, method="bicubic"))
    boxes = [
        [0, i * PAN_STEP / (size[1] - 1), (height - 1) / (size[0] - 1),
         (i * PAN_STEP + width - 1) / (size[1] - 1)]
        for i in range(PAN_FRAMES)
    ]  # fmt: skip
    frames = tf.image.crop_and_resize(enlarged[None], boxes, [0] * PAN_FRAMES, (height, width))
    return np.clip(np.asarray(frames), 0, 1)


def judge_all(drawn: np.ndarray, paintings: np.ndarray, unseen: np.ndarray, settings) -> float:
    """Returns the mean error of several judges."""
    seeds = range(settings.seed, settings.seed + settings.judges)
    return float(
        np.mean([judge(drawn, paintings, unseen, settings.judge_steps, seed) for seed in seeds])
    )


def judge(
    drawn: np.ndarray, paintings: np.ndarray, unseen: np.ndarray, steps: int, seed: int
) -> float:
    """Trains a judge on half of the tiles and returns its error on the other half."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential([keras.Input((64, 64, 3))])
    for width in (24, 48, 96):
        network.add(layers.Conv2D(width, 4, strides=2, activation="relu"))
    network.add(layers.GlobalAveragePooling2D())
    network.add(layers.Dense(1))
    network.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    rng = np.random.default_rng(seed)

    def crops(of: np.ndarray, count: int) -> np.ndarray:
        number = rng.integers(0, len(of), count)
        tops, lefts = (rng.integers(0, side - 64, count) for side in tiles.SHAPE[:2])
        return np.stack([
            of[n, top : top + 64, left : left + 64]
            for n, top, left in zip(number, tops, lefts, strict=True)
        ])  # fmt: skip

    labels = np.repeat([1.0, 0.0], 16)
    for _ in range(steps):
        batch = np.concatenate([crops(paintings, 16), crops(drawn[::2], 16)])
        network.train_on_batch(batch, labels)
    said_painting = [
        float((network.predict(crops(of, 256), verbose=0) > 0).mean())
        for of in (unseen, drawn[1::2])
    ]
    return (1.0 - said_painting[0] + said_painting[1]) / 2


def draw(path: Path, shown: dict[str, np.ndarray]) -> None:
    """Draws whole tiles and enlarged crops of three of them, a row a way."""
    count = len(next(iter(shown.values())))
    places = [count // 6, count // 2, count - 1 - count // 6]
    rows = []
    for drawn in shown.values():
        crops = [drawn[i][CROP].repeat(2, 0).repeat(2, 1) for i in places]
        rows.append([x for i, crop in zip(places, crops, strict=True) for x in (drawn[i], crop)])
    gallery.save_picture(path, gallery.contact_sheet(rows, row_labels=list(shown), scale=0.6))
    console.say(f"drew {path}")


if __name__ == "__main__":
    sys.exit(main())
