"""Claim: the refiner restores what the VAE blurs, also of a video never seen.

    python -m benchmarks.bench_picture --refiners ours=log/refiner

Each row is one way to draw the same tiles from their codes, at strength 0. The refiner of 2017 is
trained first. And frames of a video are moved toward the painter without the refiner: restoring
both thumbnails, moved and not, and taking the difference would change next to nothing of what is
added to a frame.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

from benchmarks import ancestor, measures
from benchmarks.claims import claim
from cadl import console
from cadl.dataset import tile_sets
from cadl.errors import UserError
from cadl.images import gallery, metrics, tiles
from cadl.networks.blocks import shrink
from cadl.networks.colour_transfer import BLOCK, frame_shift
from cadl.settings import Count, Seed, read_settings
from cadl.style import latents
from cadl.training import checkpoints

import numpy as np
import tensorflow as tf

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py, of the sources never seen too
VAE_RUN: Path = Path("log/vae")  # the VAE that all refiners were trained on
REFINERS: dict[str, str] = {"ours": "log/refiner"}  # name=run,...
ANCESTOR_STEPS: Count = 500  # of training of the refiner of 2017
PAINTER: str = ""  # painting source; the first if empty
VIDEO: str = ""  # video source; the one never seen in training if empty
NUM_TILES: Count = 40  # tiles of the video
SEED: Seed = 1  # of the patches
PICTURE: Path = Path("out/bench/picture.png")  # enlarged crops of all ways side by side

MEASURES = ("PSNR", "PSNR light", "SSIM light", "sharp", "to video", "flicker", "grid")
CROP = (slice(40, 130), slice(80, 240))  # of a tile, enlarged in the picture
PAN_FRAMES = 12
PAN_STEP = 1.5  # pixels a frame


@console.script
def main(argv: list[str] | None = None) -> int:
    """Measures all ways, prints a table and draws a picture."""
    settings = read_settings(argv)
    vae_model, _, record = checkpoints.load_vae(settings.vae_run)
    fingerprint = checkpoints.fingerprint(vae_model)
    refiners = {}
    for name, run in settings.refiners.items():
        refiners[name], _, own = checkpoints.load_refiner(Path(run))
        checkpoints.check_vae(Path(run), own, settings.vae_run, fingerprint)
    scene = find_scene(vae_model, record, settings)
    console.say(f"{scene.video}, moved toward {scene.painter} where it is moved")
    theirs = ancestor.train_refiner(
        vae_model, scene.tile_set, scene.trained, settings.ancestor_steps, settings.seed
    )
    rows, shown, measured = [], {}, {}
    for name, (drawn, panned) in draw_all(scene, vae_model, theirs, refiners).items():
        shown[name] = np.clip(drawn, 0, 1)
        measured[name] = measure(scene, name, shown[name], np.clip(panned, 0, 1), settings.seed)
        rows.append([name, *(f"{x:.3f}" if x != "" else x for x in measured[name])])
    console.say(console.table(["way", *MEASURES], rows))
    for name, model in refiners.items():
        make_claims(name, measured)
        change = 255 * change_by_restoring(scene, vae_model, model)
        claim(f"{name}: what restoring both thumbnails would change of a moved frame, of 255",
              change, most=0.2)  # fmt: skip
    draw(settings.picture, shown)
    return 0


def make_claims(name: str, measured: dict) -> None:
    """Says what is claimed of a refiner."""
    vae_alone, restored = (dict(zip(MEASURES, measured[way], strict=True)) for way in ("VAE", name))
    gain = restored["PSNR light"] - vae_alone["PSNR light"]
    claim(f"{name}: dB of light above the VAE", gain, least=6)
    gap = (1 - restored["sharp"]) / (1 - vae_alone["sharp"])
    claim(f"{name}: gap in sharpness over that of the VAE", gap, most=0.5)
    claim(f"{name}: patch distance to the video over that of the VAE",
          restored["to video"] / vae_alone["to video"], most=0.6)  # fmt: skip
    claim(f"{name}: energy of a pixel grid over the video's", restored["grid"], most=1)


def change_by_restoring(scene: SimpleNamespace, vae_model, model) -> float:
    """Returns the mean change, of 1, of moved frames if the refiner restored both thumbnails.

    Frames are moved by `colour_transfer.frame_shift`, the difference of two thumbnails; here it is
    compared with the difference of the tiles restored from these.
    """

    def change(originals: tf.Tensor, codes: tf.Tensor) -> tf.Tensor:
        own = vae_model.decoder(vae_model.encoder(originals)[0])
        shift = frame_shift(vae_model.decoder(codes), own)
        thumbnails = shrink(originals, BLOCK)
        detail = model.detail_encoder(originals)
        enlarged = tf.image.resize(shift, tiles.SHAPE[:2])
        restored = model.restore(thumbnails + shift, detail) - model.restore(thumbnails, detail)
        frames = [tf.clip_by_value(originals + x, 0.0, 1.0) for x in (enlarged, restored)]
        return tf.reduce_mean(tf.abs(frames[0] - frames[1]), axis=(1, 2, 3))

    call = tf.function(change, reduce_retracing=True)
    found = checkpoints.in_batches(call, scene.originals, scene.codes[1.0], batch_size=8)
    return float(found.mean())


def find_scene(vae_model, record: dict, settings) -> SimpleNamespace:
    """Picks video, painter and tiles, and works out codes as they are and moved."""
    tile_set = tile_sets.load_tiles(settings.tiles)
    fraction, seed = (record["settings"][key] for key in ("validation_fraction", "seed"))
    trained, _ = tile_set.split(fraction, seed)
    indices = tile_set.source_indices()
    kinds = {name: str(tile_set.kinds[own[0]]) for name, own in indices.items()}
    painter = settings.painter or next((n for n in indices if kinds[n] == "painting"), "")
    known = record["notes"]["sources"]
    trained = trained[np.isin(np.array(tile_set.sources)[trained], known)]
    video = settings.video or next(
        (name for name in reversed(indices) if kinds[name] == "video" and name not in known), ""
    )
    for name in (painter, video):
        if name not in indices:
            raise UserError(f"{name or 'a video never seen'} is not among {', '.join(indices)}")
    codes = checkpoints.encode_tiles(vae_model, tile_set.pixels, "encode")
    own = {name: latents.statistics_of(codes[i], kinds[name]) for name, i in indices.items()}

    def some(of: np.ndarray) -> np.ndarray:
        return tile_sets.spread(of, settings.num_tiles)

    def moved(z: np.ndarray) -> np.ndarray:
        return latents.style_move(own[video], own[painter], latents.DEFAULT_STYLE_MAP)(z)

    chosen = some(indices[video])
    originals = tiles.to_float(tile_set.pixels[chosen])
    pan = pan_over(originals[len(originals) // 2])
    paintings = tiles.to_float(tile_set.pixels[some(np.intersect1d(indices[painter], trained))])
    return SimpleNamespace(
        tile_set=tile_set,
        trained=trained,
        video=video,
        painter=painter,
        originals=originals,
        pan=pan,
        codes={0.0: codes[chosen], 1.0: moved(codes[chosen])},
        pan_codes=in_batches(lambda x: vae_model.encoder(x)[0], pan),
        paintings=paintings,
    )


def draw_all(scene: SimpleNamespace, vae_model, theirs, refiners: dict) -> dict[str, tuple]:
    """Draws the tiles and the pan in all ways: {name: (tiles, pan)}."""
    pictures, panned = (
        in_batches(vae_model.decoder, codes) for codes in (scene.codes[0.0], scene.pan_codes)
    )
    ways = {
        "untouched": (scene.originals, scene.pan),
        "VAE": (pictures, panned),
        "2017": (in_batches(theirs, pictures), in_batches(theirs, panned)),
    }
    for name, model in refiners.items():
        ways[name] = (
            restore(model, pictures, scene.originals),
            restore(model, panned, scene.pan),
        )
    return ways


def measure(scene: SimpleNamespace, name: str, drawn, panned, seed: int) -> list:
    """Returns the columns of one way."""
    grey, light = scene.originals @ metrics.LUMINANCE, drawn @ metrics.LUMINANCE
    untouched = name == "untouched"
    return [
        "" if untouched else metrics.psnr(scene.originals, drawn).mean(),
        "" if untouched else metrics.psnr(grey, light).mean(),
        metrics.ssim(grey, light).mean(),
        metrics.sharpness(light).mean() / metrics.sharpness(grey).mean(),
        measures.patch_distance(drawn, scene.originals, seed=seed),
        measures.flicker(panned) / measures.flicker(scene.pan),
        measures.grid_energy(light) / measures.grid_energy(grey),
    ]


def in_batches(function, values: np.ndarray) -> np.ndarray:
    """Runs a network over arrays of any length."""
    return checkpoints.in_batches(tf.function(function, reduce_retracing=True), values)


def restore(model, pictures: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """Returns the tiles restored at strength 0."""
    call = tf.function(lambda a, b: model(a, b, tf.zeros(tf.shape(a)[:1])), reduce_retracing=True)
    return checkpoints.in_batches(call, pictures, originals, batch_size=8)


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
