"""The network of 2017, as the baseline: seven stride-2 stages, batch normalisation, ELU."""

from cadl.images import tiles

import keras
from keras import layers, ops

FILTERS = (64, 64, 64, 128, 128, 192, 256)
KERNELS = (7, 7, 5, 5, 3, 3, 3)
CODES = 512
SAMPLE = "sample"  # name of the layer that draws codes
LEARNING_RATE = 2e-4
BATCH_SIZE = 50


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
