"""The refiner: makes a sharp, painted tile of the VAE's picture, the tile's detail and a strength.

512 codes cannot hold the shapes of a picture never seen. So a detail encoder reads the tile's
luminance into a few channels at a quarter of the resolution, with noise added in training that
leaves it few bits; beside it goes the tile's chroma, which is moved toward the mean and spread of
the VAE's picture as strength grows. From these a residual network restores a sharp tile, at every
strength alike: light, large forms and palette come from the VAE's codes, which are what is moved
toward the painter; shapes come from the detail. Over it go brush strokes (`cadl/brush.py`): the
tile's own colours, changed by what is learnt from the painter's tiles.
"""

from typing import Any

from cadl import brush, lattice
from cadl.blocks import SpaceToDepth, blur_121, smooth_depth_to_space
from cadl.metrics import LUMINANCE

import keras
import numpy as np
from keras import layers, ops

BLOCK = 4  # the refiner works at a quarter of the resolution
FEATURES = 40
HALF_FEATURES = 24
BLOCKS = 3
DETAIL_NOISE = 0.25  # standard deviation of the noise on the detail code in training
DETAIL_BETA = 1e-3  # weight of the detail code's KL, which only keeps its scale in bounds
# What a new painter does in each layer: how strokes differ in light and in hue, logits of tanh; how
# opaque they are and how high their relief, logits of the sigmoid. Before these it has a tint of 3.
FIRST_STROKES = (0.5, 0.5, 2.0, 0.0)
WARM = (0.9, 0.2, -1.1)  # strokes differ in hue from blue to orange; left free, they shimmered
MAX_TINT = 0.3  # of red, green and blue, added alike to all strokes of a place
TINT_BLOCK = 5  # side, in places of features, of what gets one tint; finer ones became confetti
MIN_OPACITY = 0.7  # of strokes, of what their layer allows; left free, they gave way to bare grey
MAX_RELIEF = 0.06  # left free, relief outgrew colour: it looked like plaster
TRAINING_SPACING = 2  # pixels between places of strokes where speed counts more than sharp edges
GROUND_BLOCK = 2  # pixels; what is finer is finer than strokes
GROUND = 0.3  # how much of what is finer than strokes is seen through them
HINT_GAINS = (1.0, 3.0)  # bounds of how much the spread of chroma is changed: never made greyer
HINT_KEPT = 0.4  # share of the tile's own mean chroma that is kept; unseen videos turned to mud
MIN_SPREAD = 0.01  # of chroma, below which it is grey
FIRST_COLOURS = (0.0,) * 3 + FIRST_STROKES * len(brush.LAYERS)
ARCHITECTURE = {
    "features": [FEATURES, HALF_FEATURES],
    "blocks": BLOCKS,
    "strokes": [layer.cell for layer in brush.LAYERS],
    "colours": len(FIRST_COLOURS),
}


class Refining(keras.Model):
    """Detail encoder, refiner and painter in one, for training, checkpoints and export.

    Attributes:
        detail_encoder: by `build_detail_encoder`; None without a detail code.
        refiner: by `build_refiner`.
        painter: by `build_painter`; None without a detail code, where nothing is painted.
    """

    def __init__(self, detail_channels: int, size: tuple = (None, None)):
        """Builds the networks, for tiles of any or of one size; `call` takes whole tiles only."""
        super().__init__(name="refining", dtype="float32")
        self.detail_encoder: Any = None
        self.painter: Any = None
        self.refiner = build_refiner(detail_channels, size)
        if detail_channels:
            self.detail_encoder = build_detail_encoder(detail_channels, size)
            self.painter = build_painter(size)
        self.built = True
        self._numbers = [brush.scatter(layer) for layer in brush.LAYERS]

    def restore(self, pictures, detail=None, hint=None):
        """Sharpens the VAE's pictures, first blurred by half a pixel.

        That takes the grid of the decoder's blocks away, and made no reconstruction worse.

        Args:
            pictures: float32 [N, h, w, 3].
            detail: float32 [N, h/4, w/4, detail_channels], or None if there is none.
            hint: float32 [N, h/4, w/4, 2], by `chroma_hint`, or None if there is no detail.

        Returns:
            Tiles, float32 [N, h, w, 3], not clipped, and features for `paint`.
        """
        pictures = blur_121(ops.convert_to_tensor(pictures))
        inputs = [pictures, detail, hint] if self.detail_encoder else [pictures]
        return self.refiner([ops.convert_to_tensor(x) for x in inputs])

    def paint(self, restored, features, strength, laid):
        """Paints over restored tiles.

        Args:
            restored: float32 [N, h, w, 3].
            features: float32 [N, h/4, w/4, FEATURES], by `restore`.
            strength: float32 [N, 1] in [0, 1].
            laid: by `lay_strokes`.

        Returns:
            float32 [N, h, w, 3], not clipped; the restored tiles themselves at strength 0.
        """
        colours = self.painter([features, ops.convert_to_tensor(strength)])
        return paint_strokes(restored, colours, strength, laid)

    def call(self, pictures, tiles_in, strength, spacing: float = 1, drift=None):
        """Refines the VAE's pictures of whole tiles.

        Args:
            pictures: float32 [N, 180, 320, 3].
            tiles_in: the tiles themselves, the same.
            strength: float32 [N] in [0, 1].
            spacing: pixels between the places of strokes; more is faster and less sharp, and less
                than 1 gives tiles as much larger.
            drift: float32 [N, 2], pixels that the strokes of each tile are moved down and right;
                None if by none.

        Returns:
            float32 [N, 180, 320, 3], or [N, 180 / spacing, 320 / spacing, 3] if that is larger, not
            clipped.
        """
        if not self.detail_encoder:
            return enlarge(self.restore(pictures)[0], spacing)
        strength = ops.reshape(strength, (-1, 1))
        small, small_tiles = (ops.average_pool(x, BLOCK, BLOCK) for x in (pictures, tiles_in))
        hint = chroma_hint(small, small_tiles, strength)
        restored, features = self.restore(pictures, self.detail_encoder(tiles_in), hint)
        lattices = [
            lattice.Fixed(layer, numbers)
            if drift is None
            else lattice.Moved(layer, numbers, drift, spacing)
            for layer, numbers in zip(brush.LAYERS, self._numbers, strict=True)
        ]
        laid = lay_strokes(brush.directions(small_tiles), lattices, spacing)
        return self.paint(restored, features, strength, laid)


def lay_strokes(flow, lattices: list, spacing: float) -> list[tuple]:
    """Lays all layers of strokes along the forms.

    Args:
        flow: float32 [N, h/4, w/4, 3], by `brush.directions`.
        lattices: where the strokes of each layer are.
        spacing: pixels between the places of strokes.

    Returns:
        For each layer its lattice; what is seen of each stroke and its relief, by `brush.lay`; and
        how opaque strokes may be, float32 [N, rows, columns, 1].
    """
    laid = []
    for own in lattices:
        layer, at_cells = own.layer, own.sample(flow)
        share = layer.even + (layer.detailed - layer.even) * at_cells[..., 2:]
        laid.append((own, *brush.lay(layer, own.numbers, at_cells, spacing), share))
    return laid


def paint_strokes(restored, colours, strength, laid: list[tuple]):
    """Draws layers of strokes over restored tiles, as opaque as the strength says.

    Args:
        restored: float32 [N, h, w, 3].
        colours: float32 [N, h/4, w/4, channels], by the painter.
        strength: float32 [N, 1].
        laid: by `lay_strokes`.

    Returns:
        float32 [N, h, w, 3], or larger if strokes were laid closer than a pixel.
    """
    ground = ops.average_pool(restored, GROUND_BLOCK, GROUND_BLOCK)
    canvas: Any = None
    bare = 1.0
    tint, *parts = ops.split(colours, 3 + len(FIRST_STROKES) * np.arange(len(laid)), axis=-1)
    tint = brush.blur(ops.average_pool(MAX_TINT * ops.tanh(tint), TINT_BLOCK, TINT_BLOCK))
    for part, (own, seen, relief, share) in zip(parts, laid, strict=True):
        layer, light, hue = own.layer, own.numbers[..., 7:8], own.numbers[..., 8:9]
        lighter, warmer, opacity, height = ops.split(own.sample(part), len(FIRST_STROKES), axis=-1)
        differing = light * ops.tanh(lighter) + hue * ops.tanh(warmer) * ops.convert_to_tensor(WARM)
        dab = own.average(restored) + layer.contrast * differing + own.sample(tint)
        opacity = share * (MIN_OPACITY + (1.0 - MIN_OPACITY) * ops.sigmoid(opacity))
        drawn = brush.draw(layer, seen, ops.concatenate([opacity * dab, opacity], -1))
        drawn = own.cut(drawn)
        covered = drawn[..., 3:]
        if canvas is None:
            canvas = ground = lattice.resize(ground, ops.shape(drawn)[1:3])
        canvas = canvas * (1.0 - covered) + drawn[..., :3]
        if layer.raised:
            height = MAX_RELIEF * ops.sigmoid(height)
            canvas = canvas + own.cut(brush.draw(layer, relief, opacity * height))
        bare = bare * (1.0 - covered)
    restored = enlarge(restored, restored.shape[1] / canvas.shape[1])
    grown = lattice.resize(ops.concatenate([canvas, ground, bare], -1), ops.shape(restored)[1:3])
    canvas, ground, bare = ops.split(grown, (3, 6), axis=-1)
    painted = canvas + (GROUND + (1.0 - GROUND) * bare) * (restored - ground)
    return restored + ops.reshape(strength, (-1, 1, 1, 1)) * (painted - restored)


def enlarge(pictures, spacing: float):
    """Enlarges [N, h, w, 3] to pixels that lie `spacing` apart, if that is less than 1."""
    if spacing >= 1:
        return pictures
    _, h, w, _ = pictures.shape
    return ops.image.resize(pictures, (round(h / spacing), round(w / spacing)), "bicubic")


def chroma_hint(pictures, tiles_in, strength):
    """Returns the chroma of tiles, moved toward that of the VAE's pictures.

    At strength 0 it is the tile's own. At 1 its mean over the tile has gone most of the way to
    that of the picture, and its spread is at least that of both (as Reinhard et al. 2001, doi
    10.1109/38.946629, move colours): so things keep apart in colour which codes cannot tell apart.

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
    goal_mean = goal_mean + HINT_KEPT * (mean - goal_mean)
    moved = (ours - mean) * ops.clip(goal_spread / spread, *HINT_GAINS) + goal_mean
    return ours + ops.reshape(strength, (-1, 1, 1, 1)) * (moved - ours)


def _chroma(pictures):
    light = ops.sum(pictures * ops.convert_to_tensor(LUMINANCE), -1, keepdims=True)
    return ops.concatenate([pictures[..., :1] - light, pictures[..., 2:] - light], -1)


def build_detail_encoder(detail_channels: int, size: tuple = (None, None)) -> keras.Model:
    """Builds the network from tiles to their detail code.

    Takes float32 [N, h, w, 3] in [0, 1], h and w multiples of 4; returns float32
    [N, h/4, w/4, detail_channels]. It sees luminance only: hues are the codes' and the
    hint's.
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
    """Builds the network that restores tiles.

    Takes a list: the VAE's tiles, float32 [N, h, w, 3]; and, unless `detail_channels` is 0, the
    detail code, float32 [N, h/4, w/4, detail_channels], and chroma, float32 [N, h/4, w/4, 2].
    Returns tiles, float32 [N, h, w, 3], not clipped, and features, float32 [N, h/4, w/4, FEATURES].
    New, it returns the VAE's tiles as they are. Interpolation and a smooth depth-to-space lead back
    to full size, so no grid can show.
    """
    picture = keras.Input((*size, 3), name="picture")
    quarter = tuple(side and side // BLOCK for side in size)
    inputs = [picture]
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
    features = layers.Activation("linear", dtype="float32", name="features")(x)
    x = layers.Dense(HALF_FEATURES, name="to_half")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="half")(x)  # [N, h/2, w/2, 24]
    x = layers.Conv2D(HALF_FEATURES, 3, padding="same", activation="silu", name="half_conv")(x)
    x = layers.Conv2D(12, 3, padding="same", kernel_initializer="zeros", name="residual")(x)
    x = smooth_depth_to_space(x, "full")  # [N, h, w, 3]
    x = layers.Add(dtype="float32", name="refined")([picture, x])
    return keras.Model(inputs, [x, features], name="refiner")


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
    float32 [N, 1]. Returns a tint and, for each layer of strokes, what FIRST_STROKES tells of, at
    every place, float32 [N, h/4, w/4, channels]. Features are scaled and moved by the strength
    (Perez et al. 2018, arXiv 1709.07871), so that one network paints at every strength.
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


def detail_kl(detail):
    """Returns the divergence of each tile's noisy detail code from N(0, 1) in nats: [N]."""
    variance = DETAIL_NOISE**2
    kl = 0.5 * (ops.square(detail) + variance - 1.0 - ops.log(variance))
    return ops.sum(kl, axis=(1, 2, 3))
