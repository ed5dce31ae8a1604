"""What the refiner is trained on: likeness, structure, palette, strokes. Pure functions.

At strength 0 the refiner restores a tile. Above, it draws a video tile whose codes were moved
toward a painter, in the texture and palette of the painter's tiles and with the video's structure.
"""

from cadl import tiles
from cadl.blocks import shift, shrink, window
from cadl.metrics import LUMINANCE
from cadl.refiner import detail_kl

import numpy as np
from keras import ops

STROKE_STRIDE = 7  # every so-manieth filter response is sorted, row by row
FINEST_STRIDE = 5  # those of the finest band are worked out at every fifth place only, both ways
STROKE_BANDS = (0.05, 1.0, 1.5)  # weights from fine to coarse: strokes are broader than noise
FILTERS = 24  # drawn anew at every step
FILTER_SIDE = 11
FILTER_NUMBERS = 7  # that a filter is made of
SHIFT_EDGE = 12  # pixels of a crop's edge, where what lies beyond differs most
STRUCTURE_SCALES = (4, 8)  # the video's structure is held at these sizes; below, strokes are free
STRUCTURE_FLOOR = 0.06  # contrast below which a place has no structure to hold, but may be painted


def pyramid(pictures, levels: int) -> list:
    """Splits pictures into a Laplacian pyramid: `levels` bands, then what is left.

    Args:
        pictures: float32 [N, h, w, c], h and w multiples of 2 ** levels.
        levels: number of bands.
    """
    bands = []
    for _ in range(levels):
        smaller = shrink(pictures, 2)
        _, h, w, _ = ops.shape(pictures)
        bands.append(pictures - ops.image.resize(smaller, (h, w), interpolation="bilinear"))
        pictures = smaller
    return [*bands, pictures]


def oriented_filters(numbers):
    """Makes filters for strokes of random direction, width, length, phase and colour.

    They are Gabor functions: waves across, under a Gaussian that is longer along.

    Args:
        numbers: float32 [D, FILTER_NUMBERS], uniform in [0, 1].

    Returns:
        float32 [11, 11, 3, D], each of mean 0 and length 1.
    """
    angle, frequency, length, phase = (ops.reshape(numbers[:, i], (1, 1, -1)) for i in range(4))
    colour = 2.0 * numbers[:, 4:7] - 1.0 + ops.convert_to_tensor((0.35, 0.35, 0.35))
    half = FILTER_SIDE // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)[..., None]
    along = x * ops.cos(np.pi * angle) + y * ops.sin(np.pi * angle)
    across = y * ops.cos(np.pi * angle) - x * ops.sin(np.pi * angle)
    frequency = 0.06 + 0.16 * frequency  # waves a pixel
    width = 0.3 / frequency
    envelope = (across / width) ** 2 + (along / (width * (1.0 + 2.0 * length))) ** 2
    wave = ops.exp(-0.5 * envelope) * ops.cos(2 * np.pi * (frequency * across + phase))
    wave = wave - ops.mean(wave, axis=(0, 1), keepdims=True)
    filters = wave[:, :, None] * ops.transpose(colour)[None, None]
    return filters / (ops.sqrt(ops.sum(ops.square(filters), axis=(0, 1, 2))) + 1e-6)


def stroke_loss(pictures, paintings, numbers):
    """Returns the sliced Wasserstein distance between the textures of two sets of tiles.

    Responses of random oriented filters over the bands of a Laplacian pyramid are sorted and
    compared (Heitz et al. 2021, arXiv 2006.07229, on these in place of a trained network's
    features). So are, of the broader bands, the same filters' responses to the strength of those
    responses: how strokes lie to one another (a scattering of second order: Bruna & Mallat 2013,
    arXiv 1203.1513).

    Args:
        pictures: float32 [N, h, w, 3].
        paintings: float32 [N, h, w, 3].
        numbers: float32 [FILTERS, FILTER_NUMBERS], uniform in [0, 1], new at every step.

    Returns:
        Scalar, mean over filters, summed over bands, each over the paintings' own spread.
    """
    filters = oriented_filters(numbers)
    grey = ops.sum(filters, axis=2, keepdims=True)
    second = grey / (ops.sqrt(ops.sum(ops.square(grey), axis=(0, 1, 2))) + 1e-6)
    second = ops.transpose(ops.roll(second, 1, axis=3), (0, 1, 3, 2))[2:-2, 2:-2]  # [7, 7, D, 1]
    total = 0.0
    bands = zip(STROKE_BANDS, pyramid(pictures, 3)[:-1], pyramid(paintings, 3)[:-1], strict=True)
    for level, (weight, *pair) in enumerate(bands):
        stride = 1 if level else FINEST_STRIDE
        responses = [ops.conv(band, filters, strides=stride, padding="valid") for band in pair]
        total = total + weight * _sorted_distance(responses, STROKE_STRIDE if level else 1)
        if level:
            strengths = [shrink(ops.abs(x), 2) for x in responses]
            nested = [ops.depthwise_conv(x, second, padding="valid") for x in strengths]
            total = total + weight * _sorted_distance(nested, STROKE_STRIDE)
    return total


def colour_loss(pictures, paintings, numbers):
    """Returns the sliced Wasserstein distance between the colours of two sets of tiles.

    Args:
        pictures: float32 [N, h, w, 3].
        paintings: float32 [N, h, w, 3].
        numbers: float32 [D, FILTER_NUMBERS], uniform in [0, 1], new at every step.
    """
    axes = ops.transpose(numbers[:, :3] - 0.5)
    axes = axes / (ops.sqrt(ops.sum(ops.square(axes), axis=0)) + 1e-6)
    return _sorted_distance(
        [ops.matmul(shrink(x, 8) - 0.5, axes) for x in (pictures, paintings)], 1
    )


def _sorted_distance(pair: list, stride: int):
    """Compares the distributions of each channel: [N, h, w, D] twice -> scalar."""
    ours, theirs = (ops.sort(_every(values, stride), axis=0) for values in pair)
    return ops.mean(ops.abs(ours - theirs)) / (ops.mean(ops.abs(theirs)) + 1e-3)


def _every(values, stride: int):
    """Takes every so-manieth place: [N, h, w, D] -> [N * h * w / stride, D]."""
    *_, height, width, channels = values.shape
    places = ops.shape(values)[0] * height * width // stride
    table = window(ops.reshape(values, (-1, channels)), 0, 0, places * stride)
    return window(ops.reshape(table, (places, stride * channels)), 1, 0, channels)


def structure_loss(pictures, tiles_in):
    """Returns how much of the tiles' local structure is lost: 0 none, 1 all, 2 inverted.

    One minus the local correlation of luminance in windows of 8 pixels at reduced sizes: the
    structure term of SSIM (Wang et al. 2004, eq. 10), which leaves brightness and contrast free.

    Args:
        pictures: float32 [N, h, w, 3].
        tiles_in: float32 [N, h, w, 3].

    Returns:
        float32 [N].
    """
    total = 0.0
    for factor in STRUCTURE_SCALES:
        a, b = (
            shrink(ops.sum(x * ops.convert_to_tensor(LUMINANCE), -1, keepdims=True), factor)
            for x in (pictures, tiles_in)
        )

        def mean(x):
            return ops.average_pool(x, 8, 4)

        mean_a, mean_b = mean(a), mean(b)
        var_a = mean(a * a) - mean_a**2
        var_b = mean(b * b) - mean_b**2
        covariance = mean(a * b) - mean_a * mean_b
        floor = STRUCTURE_FLOOR**2
        correlation = (covariance + floor) / (
            ops.sqrt(ops.maximum(var_a, 0.0) + floor) * ops.sqrt(ops.maximum(var_b, 0.0) + floor)
        )
        total = total + 0.5 * (1.0 - ops.mean(correlation, axis=(1, 2, 3)))
    return total


def sharp_loss(tiles_in, refined, scale: int = 1):
    """Returns the squared error of each tile plus that of its finest bands: [N].

    The bands, two and at scale 2 three, weigh edges, which a squared error alone trades for blur.
    Of larger tiles the mean over the pixels is taken that make one of 320x180.
    """
    error = ops.sum(ops.square(tiles_in - refined), axis=(1, 2, 3))
    for band in pyramid(tiles_in - refined, 1 + scale)[:-1]:
        error = error + ops.sum(ops.square(band), axis=(1, 2, 3))
    return error / scale**2


def restoring_terms(targets, restored, detail, scale: int = 1) -> dict:
    """Returns the terms of the loss of restored tiles, each a mean over tiles.

    Args:
        targets: float32 [N, h, w, 3], tiles to restore.
        restored: the same, refined.
        detail: detail code of the targets, None without one.
        scale: of the tiles.
    """
    terms = {"reconstruction_loss": ops.mean(sharp_loss(targets, restored, scale))}
    if detail is not None:
        terms["detail_kl_loss"] = ops.mean(detail_kl(detail))
    return terms


def shift_loss(error, shifted_error, by, scale: int = 1):
    """Returns how much of what is wrong with a picture stays behind when the picture moves.

    An error that moves with things is taken for a part of them; one that does not shimmers
    (Eilertsen et al. 2019, arXiv 1902.10424). If noise on both differs, answers to it count too.

    Args:
        error: float32 [N, h, w, 3], of restored tiles.
        shifted_error: float32 [M, h, w, 3], of the last ones, moved by `blocks.shift` before.
        by: float32 [2], by which they were moved.
        scale: of the tiles.

    Returns:
        A mean over tiles of the squared difference, far enough from the edges.
    """
    count, count_shifted = ops.shape(error)[0], ops.shape(shifted_error)[0]
    left = shift(window(error, 0, count - count_shifted, count_shifted), by) - shifted_error
    for axis in (1, 2):
        left = window(left, axis, scale * SHIFT_EDGE, left.shape[axis] - 2 * scale * SHIFT_EDGE)
    return ops.mean(ops.sum(ops.square(left), axis=(1, 2, 3))) / scale**2


def painting_terms(*, painted, plain, videos, paintings, strength, numbers) -> dict:
    """Returns the terms of the loss of painted tiles, each a mean over tiles.

    Beside the losses above, `palette_loss` keeps the colours of the moved codes at a sixteenth of
    the resolution.

    Args:
        painted: float32 [M, h, w, 3], video tiles with moved codes, painted at their strength.
        plain: the same before painting.
        videos: float32 [M, h, w, 3], the tiles as they are.
        paintings: float32 [M, h, w, 3], tiles of the painter that each was moved toward.
        strength: float32 [M] in [0, 1].
        numbers: float32 [FILTERS, FILTER_NUMBERS], uniform in [0, 1], new at every step.
    """
    palette = ops.sum(ops.square(shrink(painted, 16) - shrink(plain, 16)), axis=(1, 2, 3))
    mean_strength = ops.mean(strength)
    return {
        "palette_loss": 256 * ops.mean(palette),
        "structure_loss": ops.mean(structure_loss(painted, videos)),
        "stroke_loss": mean_strength * stroke_loss(painted, paintings, numbers),
        "colour_loss": mean_strength * colour_loss(painted, paintings, numbers),
    }


def ancestor_terms(targets, restored, pictures) -> dict:
    """Returns the terms of the loss of 2017: nearer to the original, further from the VAE.

    Its weights are 0.6 and 0.4; the second is 1e4 over the squared error of a whole tile, to which
    crops are scaled.

    Args:
        targets: float32 [N, h, w, 3], tiles to restore.
        restored: the same, refined.
        pictures: the same, as the VAE drew them.
    """

    def error(a):
        share = a.shape[1] * a.shape[2] / (tiles.HEIGHT * tiles.WIDTH)
        return ops.sum(ops.square(restored - a), axis=(1, 2, 3)) / share

    return {
        "nearer_loss": ops.mean(error(targets)),
        "further_loss": ops.mean(1e4 / (error(pictures) + 1.0)),
    }
