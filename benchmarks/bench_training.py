"""Claim: the VAE trains several times as many tiles a second as the network of 2017.

    python -m benchmarks.bench_training

Both networks take steps in turn, on the same batch, in the same process.
"""

import sys
import time

from benchmarks import ancestor
from cadl import blocks, tiles, vae
from cadl.settings import Count, read_settings

import keras
import numpy as np
import tensorflow as tf

BATCH_SIZE: Count = 50  # tiles a step, as in 2017
REPEATS: Count = 5  # timed steps of each

MATRIX = 2048


def main(argv: list[str] | None = None) -> int:
    """Times both and the machine's matrix product; prints medians, spread and ratios."""
    settings = read_settings(argv)
    shape = (settings.batch_size, *tiles.SHAPE)
    pixels = tf.random.stateless_uniform(shape, (1, 2))
    noise = tf.random.stateless_normal((settings.batch_size, vae.CODES), (1, 3))
    ours, theirs = vae.build_vae(), ancestor.build_ancestor()
    steps = {
        "ours": make_step(ours, lambda *a: vae.vae_loss(*a, beta=0.05)[0], 1e-3),
        "2017": make_step(theirs, ancestor.ancestor_loss, ancestor.LEARNING_RATE),
    }
    matrix = tf.random.stateless_normal((MATRIX, MATRIX), (1, 4))
    multiply = tf.function(tf.matmul)
    seconds: dict[str, list[float]] = {"ours": [], "2017": [], "matrix": []}
    for repeat in range(settings.repeats + 1):
        for name, run in (
            *((name, lambda step=step: step(pixels, noise)) for name, step in steps.items()),
            ("matrix", lambda: multiply(matrix, matrix)),
        ):
            started = time.perf_counter()
            run().numpy()
            if repeat:
                seconds[name].append(time.perf_counter() - started)
    rates = {name: settings.batch_size / np.array(seconds[name]) for name in steps}
    peak = 2 * MATRIX**3 / np.median(seconds["matrix"]) / 1e9
    for name, rate in rates.items():
        print(f"{name}: {np.median(rate):.1f} tiles/s ({rate.min():.1f} to {rate.max():.1f})")
    operations = sum(map(blocks.count_operations, (ours.encoder, ours.decoder))) / 1e9
    reached = 3 * operations * np.median(rates["ours"])
    print(
        f"ours: {operations:.2f} GFLOP a tile forward, three times that in a step: "
        f"{reached:.0f} GFLOP/s, {reached / peak:.2f} of the matrix product's {peak:.0f}"
    )
    ratio = np.median(rates["ours"]) / np.median(rates["2017"])
    print(
        f"training rate over that of 2017 at batch {settings.batch_size}: {ratio:.2f} (target 4) | "
        f"tensorflow {tf.__version__}, keras {keras.__version__}"
    )
    return 0


def make_step(model: keras.Model, loss_of, learning_rate: float):
    """Returns a compiled training step."""
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(pixels: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(loss_of(pixels, *model([pixels, noise], training=True)))
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return step


if __name__ == "__main__":
    sys.exit(main())
