"""The refiner: restores a sharp tile from a thumbnail and a detail code.

512 codes cannot hold the shapes of a picture never seen. So two small views of the tile itself go
beside them: a thumbnail of a sixteenth of its pixels, whose light and colours are moved toward the
VAE's picture as strength grows (`colour_transfer.py`); and a detail code, made by an encoder
that sees only the light that the thumbnail leaves out, with noise added in training that leaves it
few bits. From these a residual network restores a sharp tile, at every strength alike: palette,
light and large forms come from the VAE's codes, which are what is moved toward the painter; shapes
come from the tile.
"""

from cadl import _startup  # noqa: F401
from cadl.images.metrics import LUMINANCE
from cadl.networks.blocks import SpaceToDepth, shrink, smooth_depth_to_space
from cadl.networks.colour_transfer import BLOCK, ahead, transfer

import keras
from keras import layers, ops

FEATURES = 40
HALF_FEATURES = 24  # at half of it, on the way up
BLOCKS = 3
DETAIL_CHANNELS = 16
DETAIL_NOISE = 0.1  # standard deviation of the noise on the detail code in training
DETAIL_SCALE = 16.0  # of what thumbnails leave out, whose deviation is some 1/30
ARCHITECTURE = {  # what must be the same for checkpoints to fit
    "form": 3,  # more when weights would still fit and mean something else
    "features": [FEATURES, HALF_FEATURES],
    "blocks": BLOCKS,
    "detail_channels": DETAIL_CHANNELS,
}


class Refining(keras.Model):
    """Detail encoder and refiner in one, for training, checkpoints and export.

    Attributes:
        detail_encoder: by `build_detail_encoder`.
        refiner: by `build_refiner`.
    """

    def __init__(self, detail_channels: int = DETAIL_CHANNELS, size: tuple = (None, None)):
        """Builds the networks, for tiles of any size or of one."""
        super().__init__(name="refining", dtype="float32")
        self.refiner = build_refiner(detail_channels, size)
        self.detail_encoder = build_detail_encoder(detail_channels, size)
        self.built = True

    def restore(self, thumbnails, detail):
        """Sharpens thumbnails.

        Args:
            thumbnails: float32 [N, h/4, w/4, 3].
            detail: float32 [N, h/4, w/4, detail_channels].

        Returns:
            Tiles, float32 [N, h, w, 3], not clipped.
        """
        return self.refiner([ops.convert_to_tensor(thumbnails), ops.convert_to_tensor(detail)])

    def call(self, pictures, tiles_in, strength):
        """Refines the VAE's pictures of whole tiles.

        Args:
            pictures: float32 [N, h, w, 3], of codes moved by the strength.
            tiles_in: the tiles themselves, float32 [N, h, w, 3].
            strength: float32 [N] in [0, 1].

        Returns:
            As `tiles_in`, not clipped.
        """
        pictures, tiles_in = map(ops.convert_to_tensor, (pictures, tiles_in))
        thumbnails, small = shrink(tiles_in, BLOCK), shrink(pictures, BLOCK)
        moved, _ = transfer(thumbnails, small, ops.reshape(strength, (-1, 1)))
        return self.restore(moved, self.detail_encoder(tiles_in))


def build_detail_encoder(detail_channels: int, size: tuple = (None, None)) -> keras.Model:
    """Builds the network from tiles to their detail code.

    Takes float32 [N, h, w, 3] in [0, 1], h and w multiples of 4; returns float32 [N, h/4, w/4,
    detail_channels]. It sees luminance only, and of it only what a thumbnail leaves out: light and
    colours are the thumbnail's.
    """
    pixels = keras.Input((*size, 3), name="tiles")
    x = layers.Conv2D(
        1, 1, use_bias=False, trainable=False, name="luminance",
        kernel_initializer=lambda shape, dtype=None: ops.reshape(
            ops.convert_to_tensor(LUMINANCE, dtype), shape
        ),
    )(pixels)  # fmt: skip
    x = layers.Subtract(name="left_out")([x, enlarged_thumbnail(x, BLOCK, "enlarged")])
    x = layers.Rescaling(DETAIL_SCALE, name="scaled")(x)
    x = SpaceToDepth(BLOCK, name="space_to_depth")(x)  # [N, h/4, w/4, 16]
    x = layers.Conv2D(32, 3, padding="same", activation="silu", name="conv0")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="silu", name="conv1")(x)
    x = layers.Conv2D(detail_channels, 3, padding="same", dtype="float32", name="detail")(x)
    return keras.Model(pixels, x, name="detail_encoder")


def build_refiner(detail_channels: int, size: tuple = (None, None)) -> keras.Model:
    """Builds the network that restores tiles.

    Takes a list: thumbnails, float32 [N, h/4, w/4, 3], and the detail code, float32 [N, h/4, w/4,
    detail_channels]. Returns tiles, float32 [N, h, w, 3], not clipped. New, it returns the
    thumbnail enlarged by way of `ahead`.

    The residual has its block means removed, so it can only add detail that the thumbnail lacks.
    Else all weights of the last layers move a picture's mean together, training is far slower, and
    now and then a step leaps (`Adam.bounds_updates`).
    """
    quarter = tuple(side and side // BLOCK for side in size)
    small = keras.Input((*quarter, 3), name="thumbnail")
    detail = keras.Input((*quarter, detail_channels), name="detail")
    base = layers.Lambda(ahead, output_shape=(*quarter, 3), name="ahead")(small)
    base = layers.UpSampling2D(BLOCK, interpolation="bilinear", name="enlarged")(base)
    x = layers.Rescaling(2.0, -1.0, name="centre")(small)
    x = residual(layers.Concatenate(name="with_detail")([x, detail]))
    x = layers.Subtract(name="finer")([x, enlarged_thumbnail(x, BLOCK, "large_forms")])
    x = layers.Add(dtype="float32", name="refined")([base, x])
    return keras.Model([small, detail], x, name="refiner")


def residual(x: keras.KerasTensor) -> keras.KerasTensor:
    """Builds the layers from features at a quarter of a tile's size to what is added to a picture.

    Takes [N, h/4, w/4, channels], returns [N, h, w, 3], zeros while its weights are new.
    Interpolation and a smooth depth-to-space lead back to full size, so no grid can show.
    """
    x = layers.Conv2D(FEATURES, 3, padding="same", name="stem")(x)
    for i in range(BLOCKS):  # [N, h/4, w/4, 40]
        x = residual_block(x, f"block{i}")
    x = layers.Dense(HALF_FEATURES, name="to_half")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="half")(x)  # [N, h/2, w/2, 24]
    x = layers.Conv2D(HALF_FEATURES, 3, padding="same", activation="silu", name="half_conv")(x)
    x = layers.Conv2D(12, 3, padding="same", kernel_initializer="zeros", name="residual")(x)
    return smooth_depth_to_space(x, "full")  # [N, h, w, 3]


def enlarged_thumbnail(x: keras.KerasTensor, block: int, name: str) -> keras.KerasTensor:
    """Averages over blocks and interpolates back: what a thumbnail tells of `x`."""
    _, h, w, c = x.shape
    small = layers.Lambda(
        lambda maps: shrink(maps, block),
        output_shape=(h and h // block, w and w // block, c), name=f"{name}_small",
    )(x)  # fmt: skip
    return layers.UpSampling2D(block, interpolation="bilinear", name=name)(small)


def residual_block(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Adds two 3x3 convolutions to `x`."""
    y = layers.Activation("silu", name=f"{name}_act0")(x)
    y = layers.Conv2D(FEATURES, 3, padding="same", name=f"{name}_conv0")(y)
    y = layers.Activation("silu", name=f"{name}_act1")(y)
    y = layers.Conv2D(
        FEATURES, 3, padding="same", name=f"{name}_conv1",
        kernel_initializer=keras.initializers.VarianceScaling(0.1),
    )(y)  # fmt: skip
    return layers.Add(name=f"{name}_add")([x, y])


def detail_kl(detail, noise: float = DETAIL_NOISE):
    """Returns the divergence of each tile's noisy detail code from N(0, 1) in nats: [N]."""
    variance = noise**2
    kl = 0.5 * (ops.square(detail) + variance - 1.0 - ops.log(variance))
    return ops.sum(kl, axis=(1, 2, 3))
