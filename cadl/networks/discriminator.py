"""The discriminator that tells paintings from refined tiles, patch by patch, and its losses.

A patch discriminator (Isola et al. 2017, arXiv 1611.07004) that knows the painter (projection:
Miyato & Koyama 2018, arXiv 1802.05637), with the hinge loss (Lim & Ye 2017, arXiv 1705.02894) and a
penalty on its gradient at real tiles (R1: Mescheder et al. 2018, arXiv 1801.04406).
"""

from cadl import _startup  # noqa: F401

import keras
from keras import layers, ops

R1_WEIGHT = 0.3
MAX_PAINTERS = 64  # that one discriminator can know
FEATURES = 128


def build_discriminator() -> keras.Model:
    """Builds the network that scores patches.

    Takes a list: tiles, float32 [N, h, w, 3], and the numbers of their painters, int32 [N], below
    MAX_PAINTERS. Returns float32 [N, h/16, w/16, 1].

    It sees tiles at half their size, in patches 76 pixels wide: strokes, neither compositions nor
    grain. At full size it taught the refiner to sparkle.
    """
    pixels = keras.Input((None, None, 3), name="tiles")
    painter = keras.Input((), dtype="int32", name="painter")
    x = layers.Rescaling(2.0, -1.0, name="centre")(pixels)
    x = layers.AveragePooling2D(2, name="half")(x)
    for i, width in enumerate((32, 64, FEATURES)):  # [N, h/4, w/4, 32] ... [N, h/16, w/16, 128]
        x = layers.Conv2D(width, 4, strides=2, padding="same", name=f"down{i}")(x)
        x = layers.Lambda(leak, name=f"act{i}")(x)
    x = layers.Conv2D(FEATURES, 3, padding="same", name="mix")(x)
    x = layers.Lambda(leak, name="act")(x)
    scores = layers.Dense(1, dtype="float32", name="score")(x)
    own = layers.Lambda(lambda i: ops.one_hot(i, MAX_PAINTERS), name="one_hot")(painter)
    own = layers.Dense(FEATURES, use_bias=False, kernel_initializer="zeros", name="own")(own)
    own = layers.Reshape((1, 1, FEATURES), name="own_map")(own)
    alike = layers.Lambda(lambda p: ops.sum(p[0] * p[1], -1, keepdims=True), name="alike")
    scores = layers.Add(dtype="float32", name="of_painter")([scores, alike([x, own])])
    return keras.Model([pixels, painter], scores, name="discriminator")


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
    """Returns the hinge loss: real patches above 1, refined ones below -1."""
    return ops.mean(ops.relu(1.0 - real_scores)) + ops.mean(ops.relu(1.0 + fake_scores))


def generator_loss(fake_scores, weights):
    """Returns what the refiner pays for being told apart.

    Args:
        fake_scores: float32 [N, h, w, 1].
        weights: float32 [N], a weight a tile.
    """
    return -ops.mean(ops.mean(fake_scores, axis=(1, 2, 3)) * weights)
