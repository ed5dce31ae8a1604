"""Claim: after equal time the VAE reconstructs tiles several dB better than the network of 2017.

    python -m benchmarks.bench_learning --tiles data/tiles --seconds 600

All ways learn in turn, a slice of time each, in one process, so that they share the machine's
moods; only steps are timed. Prints PSNR against time and draws the curves.
"""

import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import ancestor
from benchmarks.claims import claim
from cadl import console
from cadl.dataset import tile_sets
from cadl.errors import UserError
from cadl.images import gallery, metrics, tiles
from cadl.networks import vae
from cadl.settings import Count, Seed, read_settings
from cadl.training import checkpoints, optimizer

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFont

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
WAYS: list[str] = ["ours", "2017"]  # which of the ways below
SECONDS: Count = 600  # of training, each
SLICE: Count = 20  # seconds of one before the next has its turn
SEED: Seed = 1  # of weights, tiles and noise
CURVES: Path = Path("out/bench/learning.png")  # picture of PSNR against time

OURS = dict[str, Any](batch_size=8, rate=1e-3, beta=0.05, kl_warm_up=0, average=True)
VARIANTS = dict[str, dict[str, Any]](
    {
        "ours": {},
        "2017": {},
        "batch 4": {"batch_size": 4},
        "batch 16": {"batch_size": 16},
        "batch 50": {"batch_size": 50},
        "rate 5e-4": {"rate": 5e-4},
        "rate 2e-3": {"rate": 2e-3},
        "beta 1": {"beta": 1.0},
        "KL warm-up": {"kl_warm_up": 1000},
        "no average": {"average": False},
    }
)
MEASURED_TILES = 48
VALIDATION_FRACTION = 0.05
COLOURS = ("#d1495b", "#30638e", "#edae49", "#00798c", "#8d6a9f", "#5c946e", "#444444", "#bb7744")


@console.script
def main(argv: list[str] | None = None) -> int:
    """Lets all ways learn, prints a table and draws the curves."""
    settings = read_settings(argv)
    for way in settings.ways:
        if way not in VARIANTS:
            raise UserError(f"WAYS: {way} is none of {', '.join(VARIANTS)}")
    tile_set = tile_sets.load_tiles(settings.tiles)
    train, held_out = tile_set.split(VALIDATION_FRACTION, settings.seed)
    learners = [Learner(way, tile_set, train, settings.seed) for way in settings.ways]
    rng = np.random.default_rng(settings.seed)
    sets = [
        tiles.to_float(tile_set.select(np.sort(rng.permutation(of)[:MEASURED_TILES])).pixels)
        for of in (train, held_out)
    ]
    bar = console.progress(
        range(settings.slice, settings.seconds + 1, settings.slice), unit="slice", label="learn"
    )
    for until in bar:
        for learner in learners:
            learner.learn_until(until)
            learner.measure(sets)
    header = ["way", "steps", "tiles/s", "PSNR trained", "PSNR held out"]
    rows = [
        [x.name, x.steps, x.steps * x.batch_size / x.seconds, *x.curve[-1][1:]] for x in learners
    ]
    console.say(console.table(header, rows))
    if {"ours", "2017"} <= set(settings.ways):
        last = {x.name: x.curve[-1][1] for x in learners}
        claim(
            f"dB above 2017 on trained tiles after {settings.seconds} s",
            last["ours"] - last["2017"],
            least=6,
        )
    gallery.save_picture(settings.curves, draw_curves(learners, settings.seconds))
    console.say(f"drew {settings.curves}")
    return 0


class Learner:
    """A network that learns for as long as it is told to.

    Attributes:
        name: of the way.
        batch_size: tiles a step.
        steps: made so far.
        seconds: spent in them.
        curve: (seconds, PSNR trained, PSNR held out).
    """

    def __init__(self, name: str, tile_set: tile_sets.TileSet, train: np.ndarray, seed: int):
        """Builds network, optimizer and data."""
        keras.utils.set_random_seed(seed)
        self.name, self.steps, self.seconds = name, 0, 0.0
        self.curve: list[tuple] = []
        way = OURS | VARIANTS[name]
        if name == "2017":
            way |= {"batch_size": ancestor.BATCH_SIZE, "average": False}
        self.batch_size, self._way = way["batch_size"], way
        build = ancestor.build_ancestor if name == "2017" else vae.build_vae
        self._model = build()
        self._shown = self._model
        if way["average"]:
            self._shown = build()
            self._shown.set_weights(self._model.get_weights())
        self._average = optimizer.make_averager(
            tf.distribute.get_strategy(), self._shown, self._model
        )
        self._adam = optimizer.Adam(way["rate"], beta_2=0.99, epsilon=optimizer.VAE_EPSILON)
        if name == "2017":
            self._adam = optimizer.Adam(ancestor.LEARNING_RATE)
        self._adam.build(self._model.trainable_variables)
        self._batches = iter(
            tile_sets.training_batches(
                tile_set, train, batch_size=self.batch_size, seed=seed, first_step=0,
                last_step=10**9,
            )
        )  # fmt: skip
        self._rng = np.random.default_rng(seed)
        self._step = tf.function(self._make_step)
        self._reconstruct = tf.function(
            lambda x: self._shown([x, tf.zeros((tf.shape(x)[0], vae.CODES))], training=False)[0],
            reduce_retracing=True,
        )

    def learn_until(self, until: float) -> None:
        """Makes steps until this many seconds were spent in them; compiling is not counted."""
        while self.seconds < until:
            _, batch, _ = next(self._batches)
            noise = self._rng.standard_normal((self.batch_size, vae.CODES)).astype(np.float32)
            beta = self._way["beta"]
            if self._way["kl_warm_up"]:
                beta *= min(1.0, self.steps / self._way["kl_warm_up"])
            if self.name != "2017":
                rate = optimizer.learning_rate_at(self.steps, self._way["rate"])
                self._adam.learning_rate.assign(rate)
            started = time.perf_counter()
            self._step(batch, noise, tf.constant(beta, tf.float32)).numpy()
            if self._way["average"] and self.steps % optimizer.AVERAGE_EVERY == 0:
                self._average(tf.constant(self.steps))
            if self.steps:
                self.seconds += time.perf_counter() - started
            self.steps += 1

    def measure(self, sets: list[np.ndarray]) -> None:
        """Adds a point to the curve."""
        psnr = [metrics.psnr(x, checkpoints.in_batches(self._reconstruct, x)).mean() for x in sets]
        self.curve.append((self.seconds, *psnr))

    def _make_step(self, batch: tf.Tensor, noise: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
        tiles_in = tf.cast(batch, tf.float32) / 255
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            drawn = self._model([tiles_in, noise], training=True)
            if self.name == "2017":
                loss = tf.reduce_mean(ancestor.ancestor_loss(tiles_in, *drawn))
            else:
                loss = tf.reduce_mean(vae.vae_loss(tiles_in, *drawn, beta=beta)[0])
        gradients = tape.gradient(loss, variables)
        if self.name == "2017":
            self._adam.apply(gradients, variables)
        else:
            self._adam.learn(variables, gradients, loss)
        return loss


def draw_curves(learners: list, seconds: float) -> Image.Image:
    """Draws PSNR against time: whole lines for trained tiles, dots for those held out.

    Args:
        learners: each with `name` and `curve`, as a `Learner`.
        seconds: where the picture ends.
    """
    width, height, margin = 900, 480, 50
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    values = np.concatenate([np.array(x.curve)[:, 1:].ravel() for x in learners])
    low, high = np.floor(values.min()), np.ceil(values.max())

    def place(second: float, psnr: float) -> tuple[float, float]:
        return (
            margin + second / seconds * (width - 2 * margin),
            height - margin - (psnr - low) / (high - low) * (height - 2 * margin),
        )

    for psnr in np.arange(low, high + 1):
        pen.line([place(0, psnr), place(seconds, psnr)], fill="#dddddd")
        pen.text((8, place(0, psnr)[1] - 8), f"{psnr:.0f} dB", fill="#444444", font=font)
    for part in range(0, 11, 2):
        left, bottom = place(seconds * part / 10, low)
        pen.text((left - 12, bottom + 8), f"{seconds * part / 10:.0f} s", fill="#444444", font=font)
    for number, learner in enumerate(learners):
        colour = COLOURS[number % len(COLOURS)]
        pen.line([place(s, trained) for s, trained, _ in learner.curve], fill=colour, width=3)
        for second, _, held_out in learner.curve:
            x, y = place(second, held_out)
            pen.ellipse([x - 2, y - 2, x + 2, y + 2], fill=colour)
        pen.text((width - 180, height - margin - 24 * (number + 1)), learner.name, fill=colour,
                 font=font)  # fmt: skip
    pen.text((margin, 12), "line: trained tiles, dots: held out", fill="#444444", font=font)
    return sheet


if __name__ == "__main__":
    sys.exit(main())
