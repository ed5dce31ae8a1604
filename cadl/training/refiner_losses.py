"""What the refiner is trained on. Pure functions: each returns terms by their names."""

from cadl import _startup  # noqa: F401
from cadl.networks.blocks import shift, shrink, window
from cadl.networks.refiner import detail_kl

from keras import ops

SHIFT_EDGE = 12  # pixels of a crop's edge, where what lies beyond differs most


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


def sharp_loss(tiles_in, refined):
    """Returns the squared error of each tile plus that of its two finest bands: [N].

    The bands weigh edges, which a squared error alone trades for blur.
    """
    error = ops.sum(ops.square(tiles_in - refined), axis=(1, 2, 3))
    for band in pyramid(tiles_in - refined, 2)[:-1]:
        error = error + ops.sum(ops.square(band), axis=(1, 2, 3))
    return error


def restoring_terms(targets, restored, detail) -> dict:
    """Returns the terms of the loss of restored tiles, each a mean over tiles.

    Args:
        targets: float32 [N, h, w, 3], tiles to restore.
        restored: the same, refined.
        detail: float32 [N, h/4, w/4, channels], detail code of the targets.
    """
    return {
        "reconstruction_loss": ops.mean(sharp_loss(targets, restored)),
        "detail_kl_loss": ops.mean(detail_kl(detail)),
    }


def shift_loss(error, shifted_error, by):
    """Returns how much of what is wrong with a picture stays behind when the picture moves.

    An error that moves with things is taken for a part of them; one that does not shimmers
    (Eilertsen et al. 2019, arXiv 1902.10424). If noise on both differs, answers to it count too.

    Args:
        error: float32 [N, h, w, 3], of restored tiles.
        shifted_error: float32 [M, h, w, 3], of the last ones, moved by `blocks.shift` before.
        by: float32 [2], by which they were moved.

    Returns:
        A mean over tiles of the squared difference, far enough from the edges.
    """
    count, count_shifted = ops.shape(error)[0], ops.shape(shifted_error)[0]
    left = shift(window(error, 0, count - count_shifted, count_shifted), by) - shifted_error
    for axis in (1, 2):
        left = window(left, axis, SHIFT_EDGE, left.shape[axis] - 2 * SHIFT_EDGE)
    return ops.mean(ops.sum(ops.square(left), axis=(1, 2, 3)))
