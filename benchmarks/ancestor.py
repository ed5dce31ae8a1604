"""The networks of 2017, as the baseline.

The VAE has seven stride-2 stages, batch normalisation and ELU. Its refiner sees the VAE's picture
alone, and learns to come nearer to the original and to go further from that picture.
"""

from cadl import console
from cadl.dataset import tile_sets
from cadl.images import tiles
from cadl.networks import refiner
from cadl.networks.blocks import SpaceToDepth, filter_by
from cadl.training import optimizer, refiner_batches, refiner_inputs
from train_refiner import ADAM_BETA_1, ADAM_BETA_2
from train_refiner import BATCH_SIZE as REFINER_BATCH_SIZE
from train_refiner import LEARNING_RATE as REFINER_RATE

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

FILTERS = (64, 64, 64, 128, 128, 192, 256)
KERNELS = (7, 7, 5, 5, 3, 3, 3)
CODES = 512
SAMPLE = "sample"  # name of the layer that draws codes
LEARNING_RATE = 2e-4
BATCH_SIZE = 50
NEARER, FURTHER = 0.6, 0.4  # weights of the two terms of the refiner's loss


def build_ancestor() -> keras.Model:
    """Builds it: tiles [N, 180, 320, 3], noise [N, 512] -> reconstruction, z_mean, z_log_var."""
    pixels, noise = keras.Input(tiles.SHAPE), keras.Input((CODES,))
    x, sizes = pixels, []
    for filters, kernel in zip(FILTERS, KERNELS, strict=True):
        sizes.append(x.shape[1:3])
        x = layers.Conv2D(filters, kernel, strides=2, padding="same", use_bias=False)(x)
        x = layers.Activation("elu")(layers.BatchNormalization()(x))
    grid = x.shape[1:]
    x = layers.Flatten()(x)
    z_mean, z_log_var = layers.Dense(CODES)(x), layers.Dense(CODES)(x)
    z = layers.Lambda(
        lambda t: t[0] + ops.exp(0.5 * t[1]) * t[2], output_shape=(CODES,), name=SAMPLE
    )([z_mean, z_log_var, noise])
    x = layers.Reshape(grid)(layers.Dense(grid[0] * grid[1] * grid[2])(z))
    filters_up = (*FILTERS[-2::-1], tiles.CHANNELS)
    for filters, kernel, (height, width) in zip(filters_up, KERNELS, sizes[::-1], strict=True):
        x = layers.Conv2DTranspose(filters, kernel, strides=2, padding="same", use_bias=False)(x)
        x = layers.Cropping2D(((0, x.shape[1] - height), (0, x.shape[2] - width)))(x)
        x = layers.Activation("elu")(layers.BatchNormalization()(x))
    return keras.Model([pixels, noise], [x, z_mean, z_log_var], name="ancestor")


def ancestor_loss(tiles_in, reconstruction, z_mean, z_log_var):
    """Returns its loss of each tile: squared error plus KL."""
    error = ops.sum(ops.square(tiles_in - reconstruction), axis=(1, 2, 3))
    kl = 0.5 * ops.sum(ops.square(z_mean) + ops.exp(z_log_var) - 1 - z_log_var, axis=1)
    return error + kl


def build_refiner() -> keras.Model:
    """Builds the refiner without a detail code: the VAE's tiles [N, h, w, 3] -> tiles, refined.

    Its layers are those of `cadl.networks.refiner`, so that what it sees and its loss are compared.
    A blur by half a pixel takes the grid of the decoder's blocks away.
    """
    picture = keras.Input((None, None, tiles.CHANNELS))
    blurred = layers.Lambda(lambda x: filter_by(x, (0.5, 0.25)), output_shape=picture.shape[1:])
    base = blurred(picture)
    x = layers.Rescaling(2.0, -1.0)(SpaceToDepth(refiner.BLOCK)(base))  # [N, h/4, w/4, 48]
    return keras.Model(picture, layers.Add()([base, refiner.residual(x)]), name="refiner_of_2017")


def refiner_loss(targets, restored, pictures):
    """Returns the refiner's loss of each crop: nearer to the original, further from the VAE.

    Args:
        targets: float32 [N, h, w, 3], tiles to restore.
        restored: the same, refined.
        pictures: the same, as the VAE drew them.

    Returns:
        [N]; squared errors are scaled from a crop to a whole tile.
    """

    def error(a):
        share = a.shape[1] * a.shape[2] / (tiles.HEIGHT * tiles.WIDTH)
        return ops.sum(ops.square(restored - a), axis=(1, 2, 3)) / share

    return NEARER * error(targets) + FURTHER * 1e4 / (error(pictures) + 1.0)


def train_refiner(
    vae_model: keras.Model, tile_set: tile_sets.TileSet, indices: np.ndarray, steps: int, seed: int
) -> keras.Model:
    """Trains the refiner on tiles as the VAE draws them; returns its average over steps.

    Args:
        vae_model: trained.
        tile_set: all tiles.
        indices: of those to train on.
        steps: of training.
        seed: of weights and order of tiles.
    """
    keras.utils.set_random_seed(seed)
    model, averaged = build_refiner(), build_refiner()
    averaged.set_weights(model.get_weights())
    variables = model.trainable_variables
    adam = optimizer.Adam(REFINER_RATE, beta_1=ADAM_BETA_1, beta_2=ADAM_BETA_2)
    adam.bounds_updates = True
    adam.build(variables)
    average = optimizer.make_averager(tf.distribute.get_strategy(), averaged, model)

    @tf.function(reduce_retracing=True)
    def update(batch: dict[str, tf.Tensor]) -> None:
        whole = tf.cast(batch["tiles"], tf.float32) / 255
        drawn = vae_model.decoder(vae_model.encoder(whole)[0])
        targets, pictures = (refiner_inputs.cut(x, batch["corner"]) for x in (whole, drawn))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(refiner_loss(targets, model(pictures), pictures))
        adam.learn(variables, tape.gradient(loss, variables), loss)

    batches = refiner_batches.make_batches(
        tile_set, indices, batch_size=REFINER_BATCH_SIZE, seed=seed, first_step=0, last_step=steps
    )
    bar = console.progress(batches, total=steps, unit="step", label="refiner of 2017")
    for step, batch in enumerate(bar, start=1):
        adam.learning_rate.assign(optimizer.learning_rate_at(step - 1, REFINER_RATE))
        update(batch)
        if step % optimizer.AVERAGE_EVERY == 0:
            average(tf.constant(step))
    return averaged
