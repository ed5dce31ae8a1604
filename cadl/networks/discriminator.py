"""The discriminator that tells tiles from their reconstructions, patch by patch, and its losses.

A patch discriminator (Isola et al. 2017, arXiv 1611.07004) with the hinge loss (Lim & Ye 2017,
arXiv 1705.02894) and a penalty on its gradient at real tiles (R1: Mescheder et al. 2018, arXiv
1801.04406).
"""

from cadl import _startup  # noqa: F401

import keras
from keras import layers, ops

R1_WEIGHT = 0.3


def build_discriminator() -> keras.Model:
    """Builds the network that scores patches.

    Takes tiles, float32 [N, h, w, 3], and returns float32 [N, h/16, w/16, 1]. It sees tiles at half
    their size, in patches 76 pixels wide: strokes, neither compositions nor grain.
    """
    pixels = keras.Input((None, None, 3), name="tiles")
    x = layers.Rescaling(2.0, -1.0, name="centre")(pixels)
    x = layers.AveragePooling2D(2, name="half")(x)
    for i, width in enumerate((32, 64, 128)):  # [N, h/4, w/4, 32] ... [N, h/16, w/16, 128]
        x = layers.Conv2D(width, 4, strides=2, padding="same", name=f"down{i}")(x)
        x = layers.Lambda(leak, name=f"act{i}")(x)
    x = layers.Conv2D(128, 3, padding="same", name="mix")(x)
    x = layers.Lambda(leak, name="act")(x)
    scores = layers.Dense(1, dtype="float32", name="score")(x)
    return keras.Model(pixels, scores, name="discriminator")


def leak(x):
    """Returns the leaky rectifier of slope 0.2. TensorFlow fails to fuse its own, and says so."""
    return ops.maximum(x, 0.2 * x)


def features_of(discriminator: keras.Model) -> keras.Model:
    """Returns the network from what a discriminator takes to what it sees in it, [N, h/8, w/8, 64].

    Reconstructions that look alike to it are alike in more than pixels (Larsen et al. 2016, arXiv
    1512.09300).
    """
    return keras.Model(discriminator.inputs, discriminator.get_layer("act1").output)


def discriminator_loss(real_scores, fake_scores):
    """Returns the hinge loss: real patches above 1, reconstructed ones below -1."""
    return ops.mean(ops.relu(1.0 - real_scores)) + ops.mean(ops.relu(1.0 + fake_scores))


def generator_loss(fake_scores):
    """Returns what reconstructions pay for being told apart; scores are float32 [N, h, w, 1]."""
    return -ops.mean(fake_scores)
