"""Colour transfer: light and colours of a frame's large forms become those of the VAE's picture."""

from cadl import _startup  # noqa: F401
from cadl.images.colours import TO_LIGHT_AND_CHROMA
from cadl.networks.blocks import filter_by, grow, shrink

import numpy as np
from keras import ops

# Bounds of how much contrast in light, and the spread of chroma, may grow; where they shrank,
# unseen videos turned to mud.
GAINS = np.array([[1.0, 1.0, 1.0], [1.6, 3.0, 3.0]], np.float32)
KEPT = 0.3  # share of the tile's own large forms of light and colour that is kept
BLOCK = 4  # pixels of a tile that are one place of a thumbnail
LARGE = 5  # places of a thumbnail; large forms are means over some three such blocks
MIN_SPREAD = 0.01  # of light or chroma, below which it is even or grey
FROM_LIGHT_AND_CHROMA = np.linalg.inv(TO_LIGHT_AND_CHROMA.astype(np.float64)).astype(np.float32)


def transfer(thumbnails, pictures, strength):
    """Moves light and colours of thumbnails toward those of the VAE's pictures.

    Large forms, light and chroma over some sixty pixels of a tile, go most of the way to the
    picture. Small ones keep their shapes; their contrast and the spread of their chroma are
    multiplied (as Reinhard et al. 2001, doi 10.1109/38.946629, move colours, but place by place):
    so things keep apart which codes cannot tell apart.

    Args:
        thumbnails: float32 [N, h/4, w/4, 3], tiles averaged over blocks.
        pictures: the same of the VAE's pictures.
        strength: float32 [N, 1], 0 for no change.

    Returns:
        The thumbnails, moved, float32 [N, h/4, w/4, 3], not clipped; and the matrices that small
        forms of RGB are multiplied by from the right, float32 [N, 3, 3].
    """
    to, back = map(ops.convert_to_tensor, (TO_LIGHT_AND_CHROMA, FROM_LIGHT_AND_CHROMA))
    ours, theirs = (x @ to for x in (thumbnails, pictures))
    large, goal = _large_forms(ours), _large_forms(theirs)
    goal = goal + KEPT * (large - goal)
    gains = ops.clip(_spread(theirs) / _spread(ours), *GAINS)  # [N, 1, 1, 3]
    moved = (goal + gains * (ours - large)) @ back
    share = ops.reshape(strength, (-1, 1, 1))
    matrices = np.eye(3, dtype=np.float32) + share * ((gains[:, 0] - 1.0) * to[None] @ back)
    return thumbnails + share[..., None] * (moved - thumbnails), matrices


def _spread(maps):
    """Returns the standard deviation of each channel, [N, 1, 1, c], at least about MIN_SPREAD.

    The bound is added to the variance: where a picture is even, rounding would show in its root.
    """
    return ops.sqrt(ops.var(maps, axis=(1, 2), keepdims=True) + MIN_SPREAD**2)


def _large_forms(maps):
    _, height, width, _ = maps.shape
    blurred = _blur(_blur(shrink(maps, LARGE)))
    return grow(blurred, LARGE, (height, width))


def _blur(maps):
    """Averages over squares of three, edges mirrored: [N, h, w, c]."""
    padded = ops.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")
    return ops.average_pool(padded, 3, 1)


def frame_shift(moved, own):
    """Works out what is added to a frame's tile: how large forms of the VAE's pictures differ.

    So what the VAE can't tell of a picture cancels. Contrast in small forms stays: it changed from
    frame to frame when it followed these pictures, and what was even became haze. To restore both
    thumbnails by the refiner first changes a tenth of a level of 255
    (`benchmarks/bench_picture.py`) and takes five times as long.

    Args:
        moved: the VAE's pictures of moved codes, float32 [N, 180, 320, 3].
        own: of the codes before they were moved; the same pictures: nothing is added.

    Returns:
        float32 [N, 45, 80, 3].
    """
    return _large_forms(shrink(moved - own, BLOCK))


def ahead(small):
    """Sharpens a thumbnail by what interpolation will blur, so that blocks nearly keep their means.

    Upsampling by an even factor and averaging again equals a [1, 6, 1] / 8 blur; this inverts it
    to first order.
    """
    return 2.0 * small - filter_by(small, (0.75, 0.125), "symmetric")
