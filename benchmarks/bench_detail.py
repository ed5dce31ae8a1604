"""Claim: the default detail code keeps most of a video never seen for what it costs.

    python -m benchmarks.bench_detail --tiles data/tiles --vae-run log/vae

Trains detail encoder and refiner for equal time in each of WAYS, to restore tiles only, and
measures on a video never seen: what is kept at strength 0; how far from the painter the moved codes
are when restored; bits of the code; operations.
"""

import itertools
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from benchmarks import measures
from benchmarks.bench_picture import find_scene
from benchmarks.claims import claim
from cadl import console
from cadl.errors import UserError
from cadl.images import gallery, metrics
from cadl.networks import blocks, refiner
from cadl.settings import Count, Seed, read_settings
from cadl.training import checkpoints, optimizer, refiner_losses
from train_refiner import ADAM_BETA_1, ADAM_BETA_2, DETAIL_BETA, LEARNING_RATE

import keras
import numpy as np
import tensorflow as tf
from keras import layers

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py, of the video never seen too
VAE_RUN: Path = Path("log/vae")  # the VAE that is refined
PAINTER: str = ""  # painting source; the first if empty
VIDEO: str = ""  # video source; the one never seen in training if empty
NUM_TILES: Count = 32  # tiles of the video
SECONDS: Count = 60  # of training, each
WAYS: list[str] = [  # what it sees, channels, noise; the default first
    "left-out 16 0.1", "left-out 8 0.25", "left-out 4 0.25", "left-out 2 0.25", "left-out 8 0.1",
    "light 8 0.25", "tile 8 0.25",
]  # fmt: skip
BATCH_SIZE: Count = 8  # tiles a step
SEED: Seed = 1  # of weights, tiles and noise
PICTURE: Path = Path("out/bench/detail.png")  # enlarged crops of all ways

CROP = 120, 160  # of the tiles that are trained on
SHOWN = (slice(40, 130), slice(80, 240))  # of a tile
HEADER = ["sees", "channels", "noise", "steps", "PSNR light", "SSIM light", "sharp", "kbit a tile",
          "to painter, 1", "SSIM, 1", "GFLOP"]  # fmt: skip


@console.script
def main(argv: list[str] | None = None) -> int:
    """Trains and measures all ways, prints a table and draws a picture."""
    settings = read_settings(argv)
    vae_model, _, record = checkpoints.load_vae(settings.vae_run)
    scene = find_scene(vae_model, record, settings)
    pixels = scene.tile_set.pixels[scene.trained]
    untouched = measures.patch_distance(scene.originals, scene.paintings)
    console.say(f"{scene.video} toward {scene.painter}, untouched {untouched:.3f}")

    rows, shown = [], {"tiles": scene.originals}
    gains = {}
    alone = score(scene, checkpoints.in_batches(vae_model.decoder, scene.codes[0.0]))
    rows.append(["VAE alone", "", "", "", *alone, "", "", "", ""])
    bare = score(scene, draw(build("left-out", 1), scene, vae_model)[0])
    rows.append(["thumbnail", "", "", 0, *bare, "", "", "", ""])
    for way in settings.ways:
        sees, channels, noise = parse(way)
        keras.utils.set_random_seed(settings.seed)
        parts = build(sees, channels)
        steps, bits = train(parts, pixels, noise, settings)
        restored, moved = draw(parts, scene, vae_model)
        kept = score(scene, restored)
        gains[way] = kept[0] - alone[0]
        light = [np.clip(x, 0, 1) @ metrics.LUMINANCE for x in (scene.originals, moved)]
        rows.append([
            sees, channels, noise, steps, *kept, bits / 1000,
            f"{measures.patch_distance(moved, scene.paintings):.3f}",
            float(metrics.ssim(*light).mean()),
            operations(sees, channels),
        ])  # fmt: skip
        console.say(console.table(HEADER, rows[-1:]))
        shown |= {f"{way}, 0": restored, f"{way}, 1": moved}
    console.say(console.table(HEADER, rows))
    claim("default detail code: dB of light above the VAE", gains[settings.ways[0]], least=6)
    sheet = gallery.contact_sheet(
        [[tile[SHOWN] for tile in row[:: max(1, len(row) // 4)][:4]] for row in shown.values()],
        title="detail codes, strengths 0 and 1", row_labels=list(shown),
    )  # fmt: skip
    settings.picture.parent.mkdir(parents=True, exist_ok=True)
    gallery.save_picture(settings.picture, sheet)
    console.say(f"wrote {settings.picture}")
    return 0


def parse(way: str) -> tuple[str, int, float]:
    """Reads one of WAYS."""
    try:
        sees, channels, noise = way.split()
        found = sees, int(channels), float(noise)
    except ValueError:
        raise UserError(f"WAYS {way!r} is not what is seen, channels and noise") from None
    if sees not in ("left-out", "light", "tile") or found[1] < 1:
        raise UserError(f"WAYS {way!r}: left-out, light or tile, and at least one channel")
    return found


def build(sees: str, channels: int, size: tuple = (None, None)) -> SimpleNamespace:
    """Builds detail encoder and refiner."""
    model = refiner.Refining(channels, size)
    if sees != "left-out":
        usual = model.detail_encoder.layers
        first = next(i for i, layer in enumerate(usual) if layer.name == "space_to_depth")
        x = pixels = keras.Input((*size, 3))
        if sees == "light":
            x = layers.Rescaling(4.0, -2.0)(usual[1](pixels))
        for layer in usual[first:]:
            x = type(layer).from_config(layer.get_config())(x)
        model.detail_encoder = keras.Model(pixels, x)
    return SimpleNamespace(encoder=model.detail_encoder, refining=model)


def operations(sees: str, channels: int) -> float:
    """Counts a tile's GFLOP in encoder and refiner."""
    parts = build(sees, channels, (180, 320))
    return sum(map(blocks.count_operations, (parts.encoder, parts.refining.refiner))) / 1e9


def train(parts, pixels, noise: float, settings) -> tuple[int, float]:
    """Trains for the time given; returns the steps made and the bits of a tile's code."""
    rng = np.random.default_rng(settings.seed)
    variables = parts.encoder.trainable_variables + parts.refining.refiner.trainable_variables
    adam = optimizer.Adam(LEARNING_RATE, beta_1=ADAM_BETA_1, beta_2=ADAM_BETA_2)
    adam.bounds_updates = True
    adam.build(variables)
    height, width = CROP

    @tf.function(reduce_retracing=True)
    def step(tile):
        with tf.GradientTape() as tape:
            detail = parts.encoder(tile)
            noisy = detail + noise * tf.random.normal(tf.shape(detail))
            restored = parts.refining.restore(blocks.shrink(tile, refiner.BLOCK), noisy)
            loss = tf.reduce_mean(refiner_losses.sharp_loss(tile, restored))
            loss += DETAIL_BETA * tf.reduce_mean(refiner.detail_kl(detail, noise))
        gradients = tape.gradient(loss, variables)
        adam.learn(variables, gradients, loss)
        return tf.math.reduce_variance(detail, (0, 1, 2))

    started, variance = None, np.zeros(1)
    for number in itertools.count():
        chosen = rng.integers(0, len(pixels), settings.batch_size)
        top, left = (int(rng.integers(0, room // 4)) * 4 for room in (180 - height, 320 - width))
        window = np.s_[chosen, top : top + height, left : left + width]
        variance = step(pixels[window].astype(np.float32) / 255).numpy()
        started = started or time.monotonic()  # the first step compiles
        if time.monotonic() - started > settings.seconds:
            bits = 0.5 * np.log2(1 + variance / noise**2).sum() * 45 * 80
            return number + 1, float(bits)
    raise AssertionError("never reached")


def draw(parts, scene, vae_model) -> tuple[np.ndarray, np.ndarray]:
    """Returns the video's tiles restored at strength 0, and at 1 from moved codes."""
    drawn = []
    for strength in (0.0, 1.0):
        pictures = checkpoints.in_batches(vae_model.decoder, scene.codes[strength])

        def refine(part, originals, strength=strength):
            strengths = np.full(len(part), strength, np.float32)
            return np.asarray(parts.refining(part, originals, strengths))

        drawn.append(checkpoints.in_batches(refine, pictures, scene.originals, batch_size=8))
    return drawn[0], drawn[1]


def score(scene, drawn: np.ndarray) -> list[float]:
    """Returns PSNR and SSIM of light, and sharpness over the original's."""
    ours, theirs = (np.clip(x, 0, 1) @ metrics.LUMINANCE for x in (drawn, scene.originals))
    sharp = metrics.sharpness(ours).mean() / metrics.sharpness(theirs).mean()
    return [float(metrics.psnr(ours, theirs).mean()), float(metrics.ssim(ours, theirs).mean()),
            float(sharp)]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
