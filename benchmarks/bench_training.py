"""Claim: the VAE trains several times as many tiles a second as the network of 2017.

    python -m benchmarks.bench_training

Both networks take steps in turn, on the same batch, in the same process, each with its own loss and
settings of Adam, in the same kernel. Then a step with tiles from the disk is compared with one
without, and the memory of training at each batch size is read, each in a process of its own. A line
through all times tells what a step takes whatever its batch, and what a tile adds.
"""

import functools
import multiprocessing
import os
import sys
import time
from pathlib import Path

from benchmarks import ancestor
from benchmarks.claims import claim
from cadl import console
from cadl.dataset import tile_sets
from cadl.images import tiles
from cadl.networks import blocks, vae
from cadl.settings import Count, read_settings
from cadl.training import optimizer

import keras
import numpy as np
import tensorflow as tf

BATCH_SIZES: list[int] = [8, 16, 50]  # tiles a step: ours, twice that, that of 2017
REPEATS: Count = 7  # timed steps of each
TILES: Path = Path("demo/tiles")  # for the input pipeline; left out if there are none

MATRIX = 2048


@console.script
def main(argv: list[str] | None = None) -> int:
    """Times both at each batch size; prints medians, spread, ratios and memory."""
    settings = read_settings(argv)
    print(f"tensorflow {tf.__version__}, keras {keras.__version__}, {os.cpu_count()} cores")
    ours, theirs = vae.build_vae(), ancestor.build_ancestor()
    operations = sum(map(blocks.count_operations, (ours.encoder, ours.decoder))) / 1e9
    steps = {
        "ours": make_step(ours, lambda *a: vae.vae_loss(*a, beta=0.05)[0], 1e-3, clip=True),
        "2017": make_step(theirs, ancestor.ancestor_loss, ancestor.LEARNING_RATE, clip=False),
    }
    matrix = tf.random.stateless_normal((MATRIX, MATRIX), (1, 4))
    multiply = tf.function(tf.matmul)
    rows, times, peaks = [], [], []
    for batch_size in settings.batch_sizes:
        pixels = tf.random.stateless_uniform((batch_size, *tiles.SHAPE), (1, 2))
        noise = tf.random.stateless_normal((batch_size, vae.CODES), (1, 3))
        ways = {name: functools.partial(step, pixels, noise) for name, step in steps.items()}
        seconds = take_turns(ways | {"matrix": lambda: multiply(matrix, matrix)}, settings.repeats)
        rates = {name: batch_size / np.array(seconds[name]) for name in ways}
        peak = 2 * MATRIX**3 / np.median(seconds["matrix"]) / 1e9
        times.append(float(np.median(seconds["ours"])))
        peaks.append(peak)
        reached = 3 * operations * np.median(rates["ours"])
        ratios = np.array(seconds["2017"]) / np.array(seconds["ours"])
        claim(f"training rate over that of 2017, batch {batch_size}", np.median(ratios), least=4)
        claim(f"share of the matrix product, batch {batch_size}", reached / peak, least=0.75)
        rows.append([
            batch_size,
            *(f"{np.median(r):.1f} ({r.min():.1f}-{r.max():.1f})" for r in rates.values()),
            float(np.median(ratios)), f"{reached:.0f}", f"{peak:.0f}", float(reached / peak),
            *measure_memory(batch_size),
        ])  # fmt: skip
    header = ["batch", "ours tiles/s", "2017 tiles/s", "ratio", "GFLOP/s",
              "matrix GFLOP/s", "share", "CPU GiB", "GPU GiB"]  # fmt: skip
    print(console.table(header, rows))
    print(f"ours: {operations:.2f} GFLOP a tile forward, counted three times in a step")
    if len(set(settings.batch_sizes)) > 1:
        each, fixed = np.polyfit(settings.batch_sizes, times, 1)
        weights = ours.count_params() / 1e6
        share = 3 * operations / each / np.median(peaks)
        print(
            f"a step takes {1e3 * fixed:.0f} ms for {weights:.1f} million weights, whatever its "
            f"batch, and {1e3 * each:.1f} ms a tile, {share:.2f} of the matrix product"
        )
    print("CPU GiB: peak of a training process; GPU GiB: what its steps added, as they would there")
    if settings.tiles.is_dir():
        time_input(steps["ours"], settings)
    return 0


def take_turns(ways: dict, repeats: int) -> dict[str, list[float]]:
    """Runs all ways one after the other, `repeats` times after a warm-up; returns seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):
        for name, run in ways.items():
            started = time.perf_counter()
            run().numpy()
            if repeat:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def measure_memory(batch_size: int) -> list[str]:
    """Trains a little in a fresh process; returns its peak, and what the steps added, in GiB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        before, peak = pool.apply(_train_a_little, (batch_size,))
    return [f"{peak:.2f}", f"{peak - before:.2f}"]


def _train_a_little(batch_size: int) -> tuple[float, float]:
    tf.random.stateless_normal((8, 8), (1, 1))  # TensorFlow is up
    before = console.peak_memory()
    model = vae.build_vae()
    step = make_step(model, lambda *a: vae.vae_loss(*a, beta=0.05)[0], 1e-3, clip=True)
    pixels = tf.random.stateless_uniform((batch_size, *tiles.SHAPE), (1, 2))
    for _ in range(3):
        step(pixels, tf.random.stateless_normal((batch_size, vae.CODES), (1, 3)))
    return before, console.peak_memory()


def time_input(step, settings) -> None:
    """Compares steps on tiles from the disk with steps on one batch that stays."""
    batch_size = settings.batch_sizes[0]
    tile_set = tile_sets.load_tiles(settings.tiles)
    batches = iter(
        tile_sets.training_batches(
            tile_set, np.arange(len(tile_set)), batch_size=batch_size, seed=1, first_step=0,
            last_step=10**9,
        )
    )  # fmt: skip
    noise = tf.random.stateless_normal((batch_size, vae.CODES), (1, 3))
    kept = next(batches)[1]
    ways = {
        "from disk": lambda: step(tf.cast(next(batches)[1], tf.float32) / 255, noise),
        "constant": lambda: step(tf.cast(kept, tf.float32) / 255, noise),
    }
    seconds = take_turns(ways, 3 * settings.repeats)
    ratio = np.median(seconds["from disk"]) / np.median(seconds["constant"])
    claim("a step with tiles from the disk over one without", ratio, most=1.03)


def make_step(model: keras.Model, loss_of, learning_rate: float, *, clip: bool):
    """Returns a compiled training step."""
    adam = optimizer.Adam(learning_rate)
    adam.build(model.trainable_variables)

    @tf.function(reduce_retracing=False)
    def step(pixels: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(loss_of(pixels, *model([pixels, noise], training=True)))
        gradients = tape.gradient(loss, model.trainable_variables)
        if clip:
            adam.learn(model.trainable_variables, gradients, loss)
        else:
            adam.apply(gradients, model.trainable_variables)
        return loss

    return step


if __name__ == "__main__":
    sys.exit(main())
