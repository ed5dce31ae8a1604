"""The refiner: makes a sharp, painted tile of the VAE's picture, the tile's detail and a strength.

512 codes cannot hold the shapes of a picture never seen. So two small views of the tile itself go
beside them: a thumbnail of a sixteenth of its pixels, whose light and colours are led toward the
VAE's picture as strength grows (`cadl/leading.py`); and a detail code, made by an encoder that sees
only the light that the thumbnail leaves out, with noise added in training that leaves it few bits.
From these a residual network restores a sharp tile, at every strength alike: palette, light and
large forms come from the VAE's codes, which are what is moved toward the painter; shapes come from
the tile. Over it go brush strokes (`cadl/painting.py`): the tile's own colours, changed by what is
learnt from the painter's tiles.
"""

from typing import Any

from cadl import brush, lattice, leading, painting, tiles
from cadl.blocks import (
    SpaceToDepth,
    blur_121,
    enlarge,
    filter_by,
    shrink,
    smooth_depth_to_space,
)
from cadl.metrics import LUMINANCE
from cadl.painting import FIRST_COLOURS

import keras
from keras import layers, ops

FORM = 2  # of the networks; more when weights would still fit and mean something else
BLOCK = 4  # the refiner works at a quarter of the resolution
FEATURES = 40
STAGES = (("half", 24), ("whole", 16))  # and features of each size on the way up; 2 for scale 2
BLOCKS = 3
DETAIL_NOISE = 0.1  # standard deviation of the noise on the detail code in training
DETAIL_SCALE = 16.0  # of what thumbnails leave out, whose deviation is some 1/30
DETAIL_BETA = 3e-4  # weight of the detail code's KL, which only keeps its scale in bounds


def architecture(detail_channels: int, scale: int) -> dict[str, Any]:
    """Returns what must be the same for checkpoints to fit."""
    return ({"form": FORM} if detail_channels else {}) | {
        "features": [FEATURES, *(width for _, width in STAGES[:scale])],
        "blocks": BLOCKS,
        "strokes": [layer.cell for layer in brush.LAYERS],
        "colours": len(FIRST_COLOURS),
        "detail_channels": detail_channels,
        "scale": scale,
    }


class Refining(keras.Model):
    """Detail encoder, refiner and painter in one, for training, checkpoints and export.

    Attributes:
        detail_encoder: by `build_detail_encoder`; None without a detail code.
        refiner: by `build_refiner`.
        painter: by `build_painter`; None without a detail code, where nothing is painted.
        scale: how many times larger tiles are than 320x180, those seen and those drawn.
    """

    def __init__(self, detail_channels: int, size: tuple = (None, None), scale: int = 1):
        """Builds the networks, for tiles of any size or of one, which is that at scale 1."""
        super().__init__(name="refining", dtype="float32")
        self.detail_encoder: Any = None
        self.painter: Any = None
        self.scale = scale
        self.refiner = build_refiner(detail_channels, size, scale)
        if detail_channels:
            self.detail_encoder = build_detail_encoder(detail_channels, size, scale)
            self.painter = build_painter(size)
        self.built = True
        self._numbers = [brush.scatter(layer) for layer in brush.LAYERS]

    def restore(self, given, detail=None):
        """Sharpens tiles.

        Args:
            given: thumbnails led by the VAE's pictures, float32 [N, h/4, w/4, 3], by `leading`;
                without a detail code the VAE's pictures themselves, [N, h, w, 3]. The latter are
                first blurred by half a pixel: that takes the grid of the decoder's blocks away, and
                made no reconstruction worse.
            detail: float32 [N, scale * h/4, scale * w/4, detail_channels]; None if there is none.

        Returns:
            Tiles, float32 [N, scale * h, scale * w, 3], not clipped, and features for `paint`.
        """
        given = ops.convert_to_tensor(given)
        if not self.detail_encoder:
            return self.refiner([blur_121(given)])
        return self.refiner([given, ops.convert_to_tensor(detail)])

    def paint(self, restored, ground, features, strength, laid, scale: int = 1):
        """Paints over restored tiles.

        Args:
            restored: float32 [N, scale * h, scale * w, 3].
            ground: float32 [N, h, w, 3], by `painting.lay_ground`, at 320x180 whatever the scale.
            features: float32 [N, h/4, w/4, FEATURES], by `restore`.
            strength: float32 [N, 1] in [0, 1].
            laid: by `painting.lay_strokes`.
            scale: of the tiles.

        Returns:
            As `restored`, not clipped; at strength 0 that itself.
        """
        colours = self.painter([features, ops.convert_to_tensor(strength)])
        return painting.paint_strokes(restored, ground, colours, strength, laid, scale)

    def call(self, pictures, tiles_in, strength, spacing: float = 1, drift=None):
        """Refines the VAE's pictures of whole tiles.

        Args:
            pictures: float32 [N, 180, 320, 3].
            tiles_in: the tiles themselves, float32 [N, scale * 180, scale * 320, 3].
            strength: float32 [N] in [0, 1].
            spacing: pixels between the places of strokes; more is faster and less sharp, and less
                than 1 gives tiles as much larger.
            drift: float32 [N, 2], pixels that the picture of each tile has moved down and right,
                and strokes and the refiner's blocks with it; None if they are to keep their places.

        Returns:
            As `tiles_in`, or [N, 180 / spacing, 320 / spacing, 3] if that is larger, not clipped.
        """
        if not self.detail_encoder:
            return enlarge(self.restore(pictures)[0], 1 / (spacing * self.scale))
        strength = ops.reshape(strength, (-1, 1))
        pictures, tiles_in = map(ops.convert_to_tensor, (pictures, tiles_in))
        layers_and_numbers = list(zip(brush.LAYERS, self._numbers, strict=True))
        if drift is None:
            lattices = [lattice.Fixed(*own) for own in layers_and_numbers]
            return self._paint_whole(pictures, tiles_in, strength, lattices, spacing)
        drift = ops.convert_to_tensor(drift)
        aligned, margin = lattice.align(tiles_in, self.scale * drift, self.scale * BLOCK)
        size = tiles.HEIGHT + BLOCK, tiles.WIDTH + BLOCK
        pictures = lattice.take_window(pictures, -(margin // self.scale), size)
        margins = ops.cast(margin, "float32") / self.scale
        moved = [lattice.Moved(*own, drift, spacing, margins) for own in layers_and_numbers]
        return self._paint_whole(pictures, aligned, strength, moved, spacing, margin)

    def _paint_whole(self, pictures, tiles_in, strength, lattices, spacing, margin=None):
        """Restores and paints tiles, aligned ones with their margin."""
        small, small_tiles = shrink(pictures, BLOCK), shrink(tiles_in, self.scale * BLOCK)
        led = leading.lead(small_tiles, small, strength)
        aligned, features = self.restore(led, self.detail_encoder(tiles_in))
        restored = aligned
        if margin is not None:
            restored = lattice.take_window(aligned, margin, tiles.shape_at(self.scale)[:2])

        def paint():
            laid = painting.lay_strokes(brush.directions(small_tiles), lattices, spacing)
            ground = painting.lay_ground(aligned, self.scale)
            if margin is not None:
                ground = lattice.take_window(ground, margin, tiles.shape_at(self.scale)[:2])
            ground = shrink(ground, self.scale) if self.scale > 1 else ground
            return self.paint(restored, ground, features, strength, laid, self.scale)

        def leave_bare():
            return enlarge(restored, 1 / (spacing * self.scale))

        # Strokes take half of the time, and black frames, titles and strength 0 show none.
        return ops.cond(ops.any(strength > 0), paint, leave_bare)


def build_detail_encoder(
    detail_channels: int, size: tuple = (None, None), scale: int = 1
) -> keras.Model:
    """Builds the network from tiles to their detail code.

    Takes float32 [N, scale * h, scale * w, 3] in [0, 1], h and w multiples of 4; returns float32
    [N, scale * h/4, scale * w/4, detail_channels], as dense at either scale. It sees luminance
    only, and of it only what a thumbnail leaves out: light and colours are the thumbnail's.
    """
    block = scale * BLOCK
    pixels = keras.Input((*(side and scale * side for side in size), 3), name="tiles")
    x = layers.Conv2D(
        1, 1, use_bias=False, trainable=False, name="luminance",
        kernel_initializer=lambda shape, dtype=None: ops.reshape(
            ops.convert_to_tensor(LUMINANCE, dtype), shape
        ),
    )(pixels)  # fmt: skip
    x = layers.Subtract(name="left_out")([x, enlarged_thumbnail(x, block, "enlarged")])
    x = layers.Rescaling(DETAIL_SCALE, name="scaled")(x)
    x = SpaceToDepth(BLOCK, name="space_to_depth")(x)  # [N, scale * h/4, scale * w/4, 16]
    x = layers.Conv2D(32, 3, padding="same", activation="silu", name="conv0")(x)
    x = layers.Conv2D(32, 3, padding="same", activation="silu", name="conv1")(x)
    x = layers.Conv2D(detail_channels, 3, padding="same", dtype="float32", name="detail")(x)
    return keras.Model(pixels, x, name="detail_encoder")


def build_refiner(detail_channels: int, size: tuple = (None, None), scale: int = 1) -> keras.Model:
    """Builds the network that restores tiles.

    Takes a list. Unless `detail_channels` is 0: thumbnails, float32 [N, h/4, w/4, 3], and the
    detail code, float32 [N, scale * h/4, scale * w/4, detail_channels]. If it is, the VAE's tiles,
    float32 [N, h, w, 3]. Returns tiles, float32 [N, scale * h, scale * w, 3], not clipped, and
    features, float32 [N, h/4, w/4, FEATURES]. New, it returns what it is given, enlarged, a
    thumbnail by way of `ahead`.

    What it adds to a thumbnail is what the thumbnail leaves out: its own large forms are taken away
    again. Else all weights of the last layers move a picture's mean together, training is far
    slower, and now and then a step leaps (`Adam.bounds_updates`).

    Interpolation and a smooth depth-to-space lead back to full size, so no grid can show. A detail
    code finer than the features joins them once more where they are as fine as it is: what they
    tell of a block of 8x8 pixels alone, they draw as a weave of such blocks.
    """
    if detail_channels:
        quarter = tuple(side and side // BLOCK for side in size)
        small = keras.Input((*quarter, 3), name="thumbnail")
        fine = tuple(side and scale * side for side in quarter)
        detail = keras.Input((*fine, detail_channels), name="detail")
        inputs = [small, detail]
        base = layers.Lambda(ahead, output_shape=(*quarter, 3), name="ahead")(small)
        base = layers.UpSampling2D(scale * BLOCK, interpolation="bilinear", name="enlarged")(base)
        x = layers.Rescaling(2.0, -1.0, name="centre")(small)
        coarse = SpaceToDepth(scale, name="coarse_detail")(detail) if scale > 1 else detail
        x = layers.Concatenate(name="with_detail")([x, coarse])
    else:
        picture = keras.Input((*size, 3), name="picture")
        inputs = [picture]
        base = layers.UpSampling2D(scale, interpolation="bilinear", name="enlarged")(picture)
        x = SpaceToDepth(BLOCK, name="space_to_depth")(picture)  # [N, h/4, w/4, 48]
        x = layers.Rescaling(2.0, -1.0, name="centre")(x)
    x = layers.Conv2D(FEATURES, 3, padding="same", name="stem")(x)
    for i in range(BLOCKS):  # [N, h/4, w/4, 40]
        x = residual_block(x, f"block{i}")
    features = layers.Activation("linear", dtype="float32", name="features")(x)
    for i, (name, width) in enumerate(STAGES[:scale], 1):  # [N, h/2, w/2, 24], [N, h, w, 16]
        x = layers.Dense(width, name=f"to_{name}")(x)
        x = layers.UpSampling2D(2, interpolation="bilinear", name=name)(x)
        if detail_channels and 2**i == scale:
            x = layers.Concatenate(name=f"{name}_with_detail")([x, detail])
        x = layers.Conv2D(width, 3, padding="same", activation="silu", name=f"{name}_conv")(x)
    x = layers.Conv2D(12, 3, padding="same", kernel_initializer="zeros", name="residual")(x)
    x = smooth_depth_to_space(x, "full")  # [N, scale * h, scale * w, 3]
    if detail_channels:
        x = layers.Subtract(name="finer")([x, enlarged_thumbnail(x, scale * BLOCK, "large_forms")])
    x = layers.Add(dtype="float32", name="refined")([base, x])
    return keras.Model(inputs, [x, features], name="refiner")


def ahead(small):
    """Sharpens a thumbnail by what interpolation will blur, so that blocks nearly keep their means.

    An interpolated thumbnail's own thumbnail is it filtered by 1, 6, 1 over 8, if blocks are even.
    """
    return 2.0 * small - filter_by(small, (0.75, 0.125), "symmetric")


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


def build_painter(size: tuple = (None, None)) -> keras.Model:
    """Builds the network that mixes the colours of strokes.

    Takes a list: features of the refiner, float32 [N, h/4, w/4, FEATURES], and the strength,
    float32 [N, 1]. Returns a tint and, for each layer of strokes, what `painting.FIRST_STROKES`
    tells of, at every place, float32 [N, h/4, w/4, channels]. Features are scaled and moved by the
    strength (Perez et al. 2018, arXiv 1709.07871), so that one network paints at every strength.
    """
    features = keras.Input((*(side and side // BLOCK for side in size), FEATURES), name="features")
    strength = keras.Input((1,), name="strength")
    style = layers.Dense(32, activation="silu", name="style")(strength)
    scale, move = (
        layers.Reshape((1, 1, FEATURES), name=f"{name}_map")(
            layers.Dense(FEATURES, kernel_initializer="zeros", name=name)(style)
        )
        for name in ("scale", "move")
    )
    y = layers.Activation("silu", name="act0")(features)
    y = layers.Conv2D(FEATURES, 3, padding="same", name="mix")(y)
    y = layers.Add(name="styled")([y, layers.Multiply(name="scaled")([y, scale]), move])
    y = layers.Activation("silu", name="act1")(y)
    y = layers.Conv2D(
        len(FIRST_COLOURS), 3, padding="same", dtype="float32", kernel_initializer="zeros",
        name="colours",
        bias_initializer=lambda shape, dtype=None: ops.convert_to_tensor(FIRST_COLOURS, dtype),
    )(y)  # fmt: skip
    return keras.Model([features, strength], y, name="painter")


def detail_kl(detail, noise: float = DETAIL_NOISE):
    """Returns the divergence of each tile's noisy detail code from N(0, 1) in nats: [N]."""
    variance = noise**2
    kl = 0.5 * (ops.square(detail) + variance - 1.0 - ops.log(variance))
    return ops.sum(kl, axis=(1, 2, 3))
