"""The variational autoencoder: tiles of 320x180 to 512 codes and back, and its loss.

Kingma & Welling 2014 (arXiv 1312.6114). Most pixels are handled at an eighth of the resolution:
space-to-depth on the way in, depth-to-space on the way out, since full-size layers are bound by
memory, not by arithmetic. What only mixes channels is a `Dense` layer, since a CPU trains a matrix
product faster than a 1x1 or a strided convolution (`python -m benchmarks.bench_layers`).
"""

from cadl import _startup  # noqa: F401
from cadl.images import tiles
from cadl.networks.blocks import DepthToSpace, SpaceToDepth, window

import keras
from keras import layers, ops

CODES = 512
PADDED_HEIGHT = 192  # six halvings of 192x320 end at 3x5
FEATURES = (32, 96, 192, 320)  # at 24x40, 12x20, 6x10, 3x5
NECK = 128  # features at 3x5 that the dense layers of the codes see, which hold most weights
STEM = 4  # side of the blocks of pixels that the decoder's last layer draws
STEM_FEATURES = 24  # at 48x80
ARCHITECTURE = {"codes": CODES, "features": [STEM_FEATURES, *FEATURES, NECK]}
MAX_LOG_VAR = 4.0
MIN_LOG_VAR = -12.0


def residual_block(x: keras.KerasTensor, features: int, name: str) -> keras.KerasTensor:
    """Adds two normalised 3x3 convolutions to `x` (He et al. 2016, arXiv 1603.05027)."""
    y = layers.GroupNormalization(groups=8, name=f"{name}_norm")(x)
    y = layers.Activation("silu", name=f"{name}_act0")(y)
    y = layers.Conv2D(features, 3, padding="same", name=f"{name}_conv0")(y)
    y = layers.Activation("silu", name=f"{name}_act1")(y)
    y = layers.Conv2D(
        features, 3, padding="same", kernel_initializer="zeros", name=f"{name}_conv1"
    )(y)
    return layers.Add(name=f"{name}_add")([x, y])


def build_encoder() -> keras.Model:
    """Builds the network from tiles to the posterior over codes.

    Takes float32 [N, 180, 320, 3] in [0, 1]; returns `z_mean` and `z_log_var`, float32 [N, codes],
    the latter bounded to [-12, 4].
    """
    pixels = keras.Input(tiles.SHAPE, name="tiles")
    margin = (PADDED_HEIGHT - tiles.HEIGHT) // 2
    x = layers.Lambda(
        lambda t: ops.pad(t - 0.5, [[0, 0], [margin, margin], [0, 0], [0, 0]], mode="reflect"),
        output_shape=(PADDED_HEIGHT, tiles.WIDTH, 3),
        name="mirror_rows",
    )(pixels)  # [N, 192, 320, 3]
    for i, width in enumerate(FEATURES):  # [N, 24, 40, 32] ... [N, 3, 5, 320]
        x = SpaceToDepth(2 if i else 8, name=f"down{i}_space_to_depth")(x)
        x = layers.Dense(width, name=f"down{i}")(x)
        x = residual_block(x, width, f"down{i}_block")
    x = layers.GroupNormalization(groups=8, name="norm")(x)
    x = layers.Activation("silu", name="act")(x)
    x = layers.Dense(NECK, name="neck")(x)
    x = layers.Flatten(name="flatten")(x)  # [N, 1920]
    z_mean = layers.Dense(CODES, dtype="float32", name="z_mean")(x)  # [N, 512]
    z_log_var = layers.Dense(CODES, kernel_initializer="zeros", dtype="float32", name="log_var")(x)
    z_log_var = layers.Lambda(bound_log_var, name="z_log_var", dtype="float32")(z_log_var)
    return keras.Model(pixels, [z_mean, z_log_var], name="encoder")


def build_decoder() -> keras.Model:
    """Builds the network from codes, float32 [N, codes], to tiles, float32 [N, 180, 320, 3].

    The tiles are not clipped: the loss pulls them into [0, 1], whoever shows them clips.
    """
    z = keras.Input((CODES,), name="z")
    widths = FEATURES[::-1]
    x = layers.Dense(3 * 5 * NECK, name="grid")(z)
    x = layers.Reshape((3, 5, NECK), name="to_grid")(x)
    x = layers.Dense(widths[0], name="neck")(x)  # [N, 3, 5, 320]
    for i, width in enumerate((*widths[1:], STEM_FEATURES)):
        x = residual_block(x, widths[i], f"up{i}_block")
        x = layers.Dense(4 * width, name=f"up{i}")(x)
        x = DepthToSpace(2, name=f"up{i}_depth_to_space")(x)  # [N, 6, 10, 192] ... [N, 48, 80, 24]
    x = layers.Activation("silu", name="act")(x)
    x = layers.Conv2D(3 * STEM**2, 3, padding="same", name="to_pixels")(x)  # [N, 48, 80, 48]
    x = DepthToSpace(STEM, dtype="float32", name="depth_to_space")(x)  # [N, 192, 320, 3]
    margin = (PADDED_HEIGHT - tiles.HEIGHT) // 2
    x = layers.Lambda(
        lambda t: window(t, 1, margin, tiles.HEIGHT),
        output_shape=tiles.SHAPE, dtype="float32", name="crop",
    )(x)  # fmt: skip  # [N, 180, 320, 3]
    x = layers.Rescaling(0.25, 0.5, dtype="float32", name="reconstruction")(x)
    return keras.Model(z, x, name="decoder")


def build_vae() -> keras.Model:
    """Joins both: tiles, noise [N, codes] -> reconstruction, `z_mean`, `z_log_var`.

    The two networks are attributes `encoder` and `decoder` of what is returned.
    """
    encoder, decoder = build_encoder(), build_decoder()
    pixels = keras.Input(tiles.SHAPE, name="tiles")
    noise = keras.Input((CODES,), name="noise")
    z_mean, z_log_var = encoder(pixels)
    z = layers.Lambda(lambda parts: sample(*parts), output_shape=(CODES,), name="sample")(
        [z_mean, z_log_var, noise]
    )
    model = keras.Model([pixels, noise], [decoder(z), z_mean, z_log_var], name="vae")
    model.encoder, model.decoder = encoder, decoder
    return model


def bound_log_var(x):
    """Bounds log variances smoothly to [-12, 4], 0 staying 0: unbounded, they made Adam diverge."""
    middle, half = (MAX_LOG_VAR + MIN_LOG_VAR) / 2, (MAX_LOG_VAR - MIN_LOG_VAR) / 2
    offset = 0.5493061443340549  # artanh(1/2) = artanh(-middle / half)
    return middle + half * ops.tanh(x / half + offset)


def sample(z_mean, z_log_var, noise):
    """Draws codes from the posterior, given N(0, 1) noise of their shape (eq. 10)."""
    return z_mean + ops.exp(0.5 * z_log_var) * noise


def kl_per_code(z_mean, z_log_var):
    """Returns the divergence of each code's posterior from N(0, 1) in nats: [N, codes] (eq. B)."""
    return 0.5 * (ops.square(z_mean) + ops.exp(z_log_var) - 1.0 - z_log_var)


def vae_loss(tiles_in, reconstruction, z_mean, z_log_var, *, beta: float):
    """Returns the loss of each tile and its terms.

    A squared error with KL weight `beta` is the likelihood of a Gaussian decoder of variance
    `beta / 2` (Rybkin et al. 2021, arXiv 2006.13202): 1 would claim a pixel error of 0.7.

    Args:
        tiles_in: float32 [N, 180, 320, 3] in [0, 1].
        reconstruction: float32 of the same shape.
        z_mean: float32 [N, codes].
        z_log_var: float32 [N, codes].
        beta: weight of the KL term.

    Returns:
        loss [N] and {"reconstruction_loss": [N], "kl_loss": [N]}.
    """
    squared_error = ops.sum(ops.square(tiles_in - reconstruction), axis=(1, 2, 3))
    kl = ops.sum(kl_per_code(z_mean, z_log_var), axis=1)
    return squared_error + beta * kl, {"reconstruction_loss": squared_error, "kl_loss": kl}
