"""The refiner: makes a sharp, painted tile of the VAE's picture, the tile's detail and a strength.

512 codes cannot hold the shapes of a picture never seen. So a detail encoder reads the tile's
luminance into a few channels at a quarter of the resolution, with noise added in training that
leaves it few bits; beside it goes the tile's chroma, which is moved to the mean and spread of the
VAE's picture as strength grows. So light, large forms and palette come from the VAE's codes, which
are what is moved toward the painter; shapes come from the detail; strokes are learnt from the
paintings, out of grain that is laid along the forms (`cadl/grain.py`).
"""

from cadl import grain
from cadl.blocks import SpaceToDepth, smooth_depth_to_space

import keras
from keras import layers, ops

BLOCK = 4  # the refiner works at a quarter of the resolution
FEATURES = 40
HALF_FEATURES = 24
BLOCKS = 3
DETAIL_NOISE = 0.25  # standard deviation of the noise on the detail code in training
DETAIL_BETA = 1e-3  # weight of the detail code's KL, which only keeps its scale in bounds
ARCHITECTURE = {
    "features": [FEATURES, HALF_FEATURES],
    "blocks": BLOCKS,
    "grain": grain.CHANNELS,
}
# Red, green and blue of a new refiner's tint and of its strokes of light, of hue, and of relief.
FIRST_COLOURS = ((0, 0, 0), (0.1, 0.1, 0.1), (0.05, 0, -0.06), (0.08, 0.08, 0.08))
HINT_GAINS = (0.5, 3.0)  # bounds of how much the spread of chroma is changed
MIN_SPREAD = 0.01  # of chroma, below which it is grey


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
        self._lines = grain.fixed_lines()

    def draw(self, pictures, strength, laid, detail=None, hint=None):
        """Refines the VAE's pictures.

        Args:
            pictures: float32 [N, h, w, 3].
            strength: float32 [N, 1].
            laid: grain, float32 [N, h/2, w/2, 3], by `cadl.grain.lay`.
            detail: float32 [N, h/4, w/4, detail_channels], or None if there is none.
            hint: float32 [N, h/4, w/4, 2], by `chroma_hint`, or None if there is no detail.
        """
        inputs = [pictures, strength, laid]
        if self.detail_encoder:
            inputs += [detail, hint]
        return self.refiner([ops.convert_to_tensor(x) for x in inputs])

    def call(self, pictures, tiles_in, strength):
        """Refines the VAE's pictures of whole tiles, [N, 180, 320, 3], at a strength [N]."""
        strength = ops.reshape(strength, (-1, 1))
        small = ops.average_pool(pictures, BLOCK, BLOCK)
        lines = ops.convert_to_tensor(self._lines)
        if not self.detail_encoder:
            return self.draw(pictures, strength, grain.lay(lines, grain.directions(small)))
        small_tiles = ops.average_pool(tiles_in, BLOCK, BLOCK)
        laid = grain.lay(lines, grain.directions(small_tiles))
        hint = chroma_hint(small, small_tiles, strength)
        return self.draw(pictures, strength, laid, self.detail_encoder(tiles_in), hint)


def chroma_hint(pictures, tiles_in, strength):
    """Returns the chroma of tiles, moved toward that of the VAE's pictures.

    At strength 0 it is the tile's own. At 1 it has the mean and spread over the tile that the
    picture has (as Reinhard et al. 2001, doi 10.1109/38.946629, move colours), so that things
    keep apart in colour which codes cannot tell apart.

    Args:
        pictures: float32 [N, h/4, w/4, 3], averaged over blocks.
        tiles_in: the same.
        strength: float32 [N, 1].

    Returns:
        Red and blue less luminance, float32 [N, h/4, w/4, 2].
    """
    ours, theirs = _chroma(tiles_in), _chroma(pictures)
    (mean, spread), (goal_mean, goal_spread) = (
        (
            ops.mean(x, axis=(1, 2), keepdims=True),
            ops.std(x, axis=(1, 2), keepdims=True) + MIN_SPREAD,
        )
        for x in (ours, theirs)
    )
    moved = (ours - mean) * ops.clip(goal_spread / spread, *HINT_GAINS) + goal_mean
    return ours + ops.reshape(strength, (-1, 1, 1, 1)) * (moved - ours)


def _chroma(pictures):
    light = ops.sum(pictures * ops.convert_to_tensor(grain.LUMINANCE), -1, keepdims=True)
    return ops.concatenate([pictures[..., :1] - light, pictures[..., 2:] - light], -1)


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
            ops.convert_to_tensor(grain.LUMINANCE, dtype), shape
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
    grain, float32 [N, h/2, w/2, 3]; and, unless `detail_channels` is 0, the detail code, float32
    [N, h/4, w/4, detail_channels], and chroma, float32 [N, h/4, w/4, 2]. Returns tiles, float32
    [N, h, w, 3], not clipped. New, it returns the VAE's tiles as they are, under as much of
    strokes as the strength says.

    Two things are added to them. A residual restores, at every strength alike. A tint and grain,
    each place of it times colours that the network chooses, paint, times the strength. What paints
    is smooth but for the grain: left free to draw strokes, the network met the statistics of
    paintings with a fine hatching. Interpolations and a smooth depth-to-space lead back to full
    size, so no grid can show.
    """
    picture = keras.Input((*size, 3), name="picture")
    strength = keras.Input((1,), name="strength")
    quarter, half = (tuple(side and side // block for side in size) for block in (4, 2))
    laid = keras.Input((*half, grain.CHANNELS), name="grain")
    inputs = [picture, strength, laid]
    x = SpaceToDepth(BLOCK, name="space_to_depth")(picture)  # [N, h/4, w/4, 48]
    parts = [layers.Rescaling(2.0, -1.0, name="centre")(x)]
    if detail_channels:
        detail = keras.Input((*quarter, detail_channels), name="detail")
        hint = keras.Input((*quarter, 2), name="hint")
        inputs += [detail, hint]
        parts += [detail, layers.Rescaling(4.0, name="hint_scale")(hint)]
    x = layers.Concatenate(name="with_detail")(parts) if detail_channels else parts[0]
    x = layers.Conv2D(FEATURES, 3, padding="same", name="stem")(x)
    for i in range(BLOCKS):  # [N, h/4, w/4, 40]
        x = residual_block(x, f"block{i}")
    paint = paint_strokes(x, strength, laid)
    x = layers.Dense(HALF_FEATURES, name="to_half")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="half")(x)  # [N, h/2, w/2, 24]
    x = layers.Conv2D(HALF_FEATURES, 3, padding="same", activation="silu", name="half_conv")(x)
    x = layers.Conv2D(12, 3, padding="same", kernel_initializer="zeros", name="residual")(x)
    x = smooth_depth_to_space(x, "full")  # [N, h, w, 3]
    x = layers.Add(dtype="float32", name="refined")([picture, x, paint])
    return keras.Model(inputs, x, name="refiner")


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


def paint_strokes(
    x: keras.KerasTensor, strength: keras.KerasTensor, laid: keras.KerasTensor
) -> keras.KerasTensor:
    """Returns what painting adds to the tiles, [N, h, w, 3].

    Features are scaled and moved by the strength (Perez et al. 2018, arXiv 1709.07871), so that one
    network paints at every strength.
    """
    style = layers.Dense(32, activation="silu", name="style")(strength)
    scale, move = (
        layers.Reshape((1, 1, FEATURES), name=f"{name}_map")(
            layers.Dense(FEATURES, kernel_initializer="zeros", name=name)(style)
        )
        for name in ("scale", "move")
    )
    y = layers.Dense(FEATURES, name="brush")(layers.Activation("silu", name="brush_act0")(x))
    y = layers.Add(name="brush_styled")([y, layers.Multiply(name="brush_scaled")([y, scale]), move])
    y = layers.Activation("silu", name="brush_act1")(y)
    colours = 3 * (1 + grain.CHANNELS)  # of the tint and of each kind of stroke
    y = layers.Conv2D(
        colours, 3, padding="same", kernel_initializer="zeros", name="colours",
        bias_initializer=lambda shape, dtype=None: ops.reshape(
            ops.convert_to_tensor(FIRST_COLOURS, dtype), shape
        ),
    )(y)  # fmt: skip
    y = layers.UpSampling2D(2, interpolation="bilinear", name="colours_half")(y)
    strength_map = layers.Reshape((1, 1, 1), name="strength_map")(strength)
    y = layers.Lambda(mix_colours, output_shape=(*laid.shape[1:3], 3), name="mix_colours")(
        [y, laid, strength_map]
    )
    return layers.UpSampling2D(2, interpolation="bilinear", name="paint")(y)


def mix_colours(parts: list):
    """Adds up the tint and each kind of stroke times its colour, all times the strength."""
    colours, laid, strength = parts
    total, *strokes = ops.split(colours, 1 + grain.CHANNELS, axis=-1)
    for number, colour in enumerate(strokes):
        total = total + colour * laid[..., number : number + 1]
    return strength * total


def detail_kl(detail):
    """Returns the divergence of each tile's noisy detail code from N(0, 1) in nats: [N]."""
    variance = DETAIL_NOISE**2
    kl = 0.5 * (ops.square(detail) + variance - 1.0 - ops.log(variance))
    return ops.sum(kl, axis=(1, 2, 3))
