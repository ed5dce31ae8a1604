"""The discriminator that tells paintings from refined tiles, patch by patch, and its losses.

A patch discriminator (Isola et al. 2017, arXiv 1611.07004) with the hinge loss (Lim & Ye 2017,
arXiv 1705.02894) and a penalty on its gradient at real tiles (R1: Mescheder et al. 2018,
arXiv 1801.04406).
"""

import keras
from keras import layers, ops

R1_WEIGHT = 0.3


def build_discriminator() -> keras.Model:
    """Builds the network from tiles, float32 [N, h, w, 3], to a score a patch, [N, h/16, w/16, 1].

    It sees tiles at half their size, in patches 76 pixels wide: strokes, neither compositions nor
    grain. At full size it taught the refiner to sparkle.
    """
    pixels = keras.Input((None, None, 3), name="tiles")
    x = layers.Rescaling(2.0, -1.0, name="centre")(pixels)
    x = layers.AveragePooling2D(2, name="half")(x)
    for i, width in enumerate((32, 64, 128)):  # [N, h/4, w/4, 32] ... [N, h/16, w/16, 128]
        x = layers.Conv2D(width, 4, strides=2, padding="same", name=f"down{i}")(x)
        x = layers.LeakyReLU(0.2, name=f"act{i}")(x)
    x = layers.Conv2D(128, 3, padding="same", name="mix")(x)
    x = layers.LeakyReLU(0.2, name="act")(x)
    scores = layers.Conv2D(1, 1, dtype="float32", name="score")(x)
    return keras.Model(pixels, scores, name="discriminator")


def discriminator_loss(real_scores, fake_scores):
    """Returns the hinge loss: real patches above 1, refined ones below -1."""
    return ops.mean(ops.relu(1.0 - real_scores)) + ops.mean(ops.relu(1.0 + fake_scores))


def generator_loss(fake_scores, weights):
    """Returns what the refiner pays for being told apart.

    Args:
        fake_scores: float32 [N, h, w, 1].
        weights: float32 [N], a weight a tile.
    """
    return -ops.mean(ops.mean(fake_scores, axis=(1, 2, 3)) * weights)
