"""The refiner: makes a sharp, painted tile of the VAE's picture, the tile's detail and a strength.

512 codes cannot hold the shapes of a picture never seen. So a detail encoder reads the tile's
luminance into a few channels at a quarter of the resolution, with noise added in training that
leaves it few bits. Palette, light and large forms come from the VAE's codes, which are what is
moved toward the painter; shapes come from the detail; strokes are learnt from the paintings. A
fixed grain gives strokes something to start from where the picture is even: without it the network
rings there.
"""

from cadl import tiles
from cadl.blocks import SpaceToDepth

import keras
import numpy as np
from keras import layers, ops

BLOCK = 4  # the refiner works at a quarter of the resolution
FEATURES = 48
HALF_FEATURES = 24
FULL_FEATURES = 12
BLOCKS = 3
DETAIL_NOISE = 0.25  # standard deviation of the noise on the detail code in training
GRAIN_CHANNELS = 2
GRAIN_SEED = 5
DETAIL_BETA = 1e-3  # weight of the detail code's KL, which only keeps its scale in bounds
ARCHITECTURE = {
    "features": [FEATURES, HALF_FEATURES, FULL_FEATURES],
    "blocks": BLOCKS,
    "grain_channels": GRAIN_CHANNELS,
}
LUMINANCE = (0.299, 0.587, 0.114)


class Refining(keras.Model):
    """Detail encoder and refiner in one, for training, checkpoints and export.

    Attributes:
        detail_encoder: by `build_detail_encoder`; None without a detail code.
        refiner: by `build_refiner`.
    """

    def __init__(self, detail_channels: int, size: tuple = (None, None)):
        """Builds both networks, for tiles of any or of one height and width."""
        super().__init__(name="refining")
        self.detail_encoder = (
            build_detail_encoder(detail_channels, size) if detail_channels else None
        )
        self.refiner = build_refiner(detail_channels, size)
        self.built = True

    def draw(self, pictures, detail, strength, grain):
        """Refines the VAE's pictures.

        Args:
            pictures: float32 [N, h, w, 3].
            detail: float32 [N, h/4, w/4, detail_channels], or None if there is none.
            strength: float32 [N, 1].
            grain: float32 [N, h/4, w/4, GRAIN_CHANNELS].
        """
        inputs = [pictures, strength, grain]
        if detail is not None:
            inputs.append(detail)
        return self.refiner([ops.convert_to_tensor(x) for x in inputs])

    def call(self, pictures, tiles_in, strength):
        """Refines the VAE's pictures of whole tiles, [N, 180, 320, 3], at a strength [N]."""
        detail = self.detail_encoder(tiles_in) if self.detail_encoder else None
        count = ops.shape(pictures)[0]
        grain = ops.broadcast_to(fixed_grain()[None], (count, *fixed_grain().shape))
        return self.draw(pictures, detail, ops.reshape(strength, (-1, 1)), grain)


def fixed_grain() -> np.ndarray:
    """Returns the grain of every whole tile, float32 [45, 80, GRAIN_CHANNELS], from N(0, 1).

    It is the same in all frames: new grain in each would be flicker.
    """
    shape = (tiles.HEIGHT // BLOCK, tiles.WIDTH // BLOCK, GRAIN_CHANNELS)
    return np.random.default_rng(GRAIN_SEED).standard_normal(shape).astype(np.float32)


def build_detail_encoder(detail_channels: int, size: tuple = (None, None)) -> keras.Model:
    """Builds the network from tiles to their detail code.

    Takes float32 [N, h, w, 3] in [0, 1], h and w multiples of 4; returns float32
    [N, h/4, w/4, detail_channels]. It sees luminance only, so that every colour comes from the
    codes that are shifted.
    """
    pixels = keras.Input((*size, 3), name="tiles")
    x = layers.Conv2D(
        1, 1, use_bias=False, trainable=False, name="luminance",
        kernel_initializer=lambda shape, dtype=None: ops.reshape(
            ops.convert_to_tensor(LUMINANCE, dtype), shape
        ),
    )(pixels)  # fmt: skip
    x = layers.Rescaling(4.0, -2.0, name="centre")(x)
    x = SpaceToDepth(BLOCK, name="space_to_depth")(x)  # [N, h/4, w/4, 16]
    x = layers.Conv2D(32, 3, padding="same", activation="silu", name="conv0")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="silu", name="conv1")(x)
    x = layers.Conv2D(detail_channels, 3, padding="same", dtype="float32", name="detail")(x)
    return keras.Model(pixels, x, name="detail_encoder")


def build_refiner(detail_channels: int, size: tuple = (None, None)) -> keras.Model:
    """Builds the network that refines the VAE's pictures.

    Takes a list: the VAE's tiles, float32 [N, h, w, 3]; the strength, float32 [N, 1] in [0, 1];
    grain, float32 [N, h/4, w/4, GRAIN_CHANNELS]; and the detail code, float32 [N, h/4, w/4,
    detail_channels], left out if that is 0. Returns tiles, float32 [N, h, w, 3], not clipped. New,
    it returns the VAE's tiles as they are.

    Two plain interpolations lead back to full size, each followed by a convolution: equal features
    give equal pixels, whatever the weights, so no grid can show (Odena et al. 2016,
    doi 10.23915/distill.00003).
    """
    picture = keras.Input((*size, 3), name="picture")
    strength = keras.Input((1,), name="strength")
    quarter = tuple(side and side // BLOCK for side in size)
    grain = keras.Input((*quarter, GRAIN_CHANNELS), name="grain")
    inputs = [picture, strength, grain]
    x = SpaceToDepth(BLOCK, name="space_to_depth")(picture)  # [N, h/4, w/4, 48]
    x = layers.Rescaling(2.0, -1.0, name="centre")(x)
    if detail_channels:
        detail = keras.Input((*quarter, detail_channels), name="detail")
        inputs.append(detail)
        x = layers.Concatenate(name="with_detail")([x, detail])
    strength_map = layers.Reshape((1, 1, 1), name="strength_map")(strength)
    grain = layers.Multiply(name="grain_by_strength")([grain, strength_map])
    x = layers.Concatenate(name="with_grain")([x, grain])
    x = layers.Conv2D(FEATURES, 3, padding="same", name="stem")(x)
    style = layers.Dense(32, activation="silu", name="style")(strength)
    for i in range(BLOCKS):  # [N, h/4, w/4, 48]
        x = modulated_block(x, style, f"block{i}")
    x = layers.Conv2D(HALF_FEATURES, 1, name="to_half")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="half")(x)  # [N, h/2, w/2, 24]
    x = layers.Conv2D(HALF_FEATURES, 3, padding="same", activation="silu", name="half_conv")(x)
    x = layers.Conv2D(FULL_FEATURES, 1, activation="silu", name="to_full")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="full")(x)  # [N, h, w, 12]
    x = layers.Conv2D(
        3, 3, padding="same", kernel_initializer="zeros", dtype="float32", name="residual"
    )(x)
    x = layers.Add(dtype="float32", name="refined")([picture, x])
    return keras.Model(inputs, x, name="refiner")


def modulated_block(x: keras.KerasTensor, style: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Residual block whose inner features are scaled and moved by the style.

    Feature-wise modulation (Perez et al. 2018, arXiv 1709.07871) lets one network draw at every
    strength.
    """
    y = layers.Activation("silu", name=f"{name}_act0")(x)
    y = layers.Conv2D(FEATURES, 3, padding="same", name=f"{name}_conv0")(y)
    scale = layers.Dense(FEATURES, kernel_initializer="zeros", name=f"{name}_scale")(style)
    move = layers.Dense(FEATURES, kernel_initializer="zeros", name=f"{name}_move")(style)
    scale = layers.Reshape((1, 1, FEATURES), name=f"{name}_scale_map")(scale)
    move = layers.Reshape((1, 1, FEATURES), name=f"{name}_move_map")(move)
    y = layers.Add(name=f"{name}_scaled")([y, layers.Multiply()([y, scale]), move])
    y = layers.Activation("silu", name=f"{name}_act1")(y)
    y = layers.Conv2D(
        FEATURES, 3, padding="same", name=f"{name}_conv1",
        kernel_initializer=keras.initializers.VarianceScaling(0.1),
    )(y)  # fmt: skip
    return layers.Add(name=f"{name}_add")([x, y])


def detail_kl(detail):
    """Returns the divergence of each tile's noisy detail code from N(0, 1) in nats: [N]."""
    variance = DETAIL_NOISE**2
    kl = 0.5 * (ops.square(detail) + variance - 1.0 - ops.log(variance))
    return ops.sum(kl, axis=(1, 2, 3))
