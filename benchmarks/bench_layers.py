"""Claims: on a CPU the layers that the VAE is built from train faster than the usual ones.

    python -m benchmarks.bench_layers

A strided convolution against space-to-depth and a dense layer; a 1x1 convolution against a dense
layer; rows cropped by brackets against `blocks.window`; Keras' Adam against the one kernel of
`cadl/training/optimizer.py`. Forward and backward, in turn.
"""

import sys

from benchmarks.bench_training import take_turns
from benchmarks.claims import claim
from cadl import console
from cadl.images import tiles
from cadl.networks import vae
from cadl.networks.blocks import SpaceToDepth, window
from cadl.training import optimizer

import keras
import numpy as np
import tensorflow as tf
from keras import layers

BATCH_SIZE = 16
REPEATS = 15


def main() -> int:
    """Prints a row for each pair, with the ratio of the medians."""
    usual, ours = {}, {}
    for height, width, features in ((24, 40, 48), (12, 20, 112), (6, 10, 224)):
        x = tf.random.normal((BATCH_SIZE, height, width, features))
        name = f"{height}x{width}x{features}"
        halving = layers.Conv2D(2 * features, 3, strides=2, padding="same")
        usual[f"halve {name}"] = train(halving, x)
        ours[f"halve {name}"] = train(
            keras.Sequential([SpaceToDepth(2), layers.Dense(2 * features)]), x
        )
        usual[f"mix {name}"] = train(layers.Conv2D(4 * features, 1), x)
        ours[f"mix {name}"] = train(layers.Dense(4 * features), x)
    pictures = tf.random.normal((BATCH_SIZE, vae.PADDED_HEIGHT, tiles.WIDTH, 3))
    usual["crop rows"] = train(layers.Lambda(lambda x: x[:, 6 : 6 + tiles.HEIGHT]), pictures)
    ours["crop rows"] = train(layers.Lambda(lambda x: window(x, 1, 6, tiles.HEIGHT)), pictures)
    model = vae.build_vae()
    for ways, adam in ((usual, keras.optimizers.Adam()), (ours, optimizer.Adam())):
        ways["Adam, whole VAE"] = update(adam, model.trainable_variables)
    rows = [compare(name, usual[name], ours[name]) for name in usual]
    claim("least gain of a layer of ours over the usual one", min(row[-1] for row in rows), least=1)
    print(console.table(["layer", "usual ms", "ours ms", "ratio"], rows))
    return 0


def compare(name: str, usual, ours) -> list:
    """Returns a row: the name, milliseconds of both ways, and the ratio."""
    seconds = take_turns({"usual": usual, "ours": ours}, REPEATS)
    slow, fast = (1e3 * float(np.median(seconds[way])) for way in ("usual", "ours"))
    return [name, slow, fast, slow / fast]


def train(layer, x: tf.Tensor):
    """Returns a function that runs a layer forward and backward."""
    layer(x)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x)))
        gradients = tape.gradient(loss, [x, *layer.trainable_variables])
        return tf.add_n([tf.reduce_sum(gradient) for gradient in gradients])

    return step


def update(adam, variables: list):
    """Returns a function that makes one update of all variables."""
    adam.build(variables)
    gradients = [tf.random.normal(variable.shape) for variable in variables]

    @tf.function
    def step() -> tf.Tensor:
        adam.apply(gradients, variables)
        return tf.convert_to_tensor(adam.iterations)

    return step


if __name__ == "__main__":
    sys.exit(main())
