"""What the refiner is trained on: windows of tiles, and all random numbers of a step."""

from typing import NamedTuple

from cadl import _startup  # noqa: F401
from cadl.dataset import tile_sets
from cadl.images import tiles
from cadl.networks import blocks, refiner

import numpy as np
import tensorflow as tf

CROP_HEIGHT, CROP_WIDTH = 120, 160  # of what is trained on, cut out of the tiles
MAX_GRAIN = 4.0 / 255  # deviation of the noise on what the detail encoder sees, as a sensor's
MAX_SHIFT = 4.0  # pixels: a block of the refiner, after which blocks fall as before
TILES_PER_SHIFTED = 4  # one in so many, at a batch's end, is seen twice; at least one a device
CORNER_STEP = 20  # pixels; the refiner's blocks fit in it


class RefinerInputs(NamedTuple):
    """What the refiner is shown of N tiles, of which the last M are seen again, shifted.

    Attributes:
        targets: float32 [N, h, w, 3], windows of the tiles: what is to be restored.
        grained: the targets with a sensor's noise, which is not to be restored; the refiner would
            else answer a film's own with more of it.
        shifted: float32 [M, h, w, 3], windows of the last tiles, moved.
        shift: float32 [2], by how many pixels.
        thumbnails: float32 [N + M, h/4, w/4, 3], of the targets and of the shifted ones.
        noise: float32 [N, h/4, w/4, channels], on the detail code.
    """

    targets: tf.Tensor
    grained: tf.Tensor
    shifted: tf.Tensor
    shift: tf.Tensor
    thumbnails: tf.Tensor
    noise: tf.Tensor


def make_batches(
    tile_set: tile_sets.TileSet,
    indices: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    first_step: int,
    last_step: int,
) -> tf.data.Dataset:
    """Adds to each batch of tiles all random numbers of its step, drawn from (seed, step).

    Args:
        tile_set: paintings and videos.
        indices: of the tiles to draw from.
        batch_size: tiles in a batch.
        seed: of the order of tiles and of all random numbers.
        first_step: steps done before.
        last_step: step after which the batches end.

    Returns:
        Batches of `tiles`, uint8 [N, 180, 320, 3]; `corner` for `cut`, int32 [N, 2]; `shift`,
        float32 [N, 2]; `grain`, float32 [N, h, w, 1]; `noise`, float32 [N, h/4, w/4, channels].
        One corner and one shift stand N times each, so that several devices can share a batch.
    """
    batches = tile_sets.training_batches(
        tile_set, indices, batch_size=batch_size, seed=seed, first_step=first_step,
        last_step=last_step,
    )  # fmt: skip
    places = CROP_HEIGHT // refiner.BLOCK, CROP_WIDTH // refiner.BLOCK
    code = batch_size, *places, refiner.DETAIL_CHANNELS

    def complete(step: tf.Tensor, batch: tf.Tensor, _: tf.Tensor) -> dict[str, tf.Tensor]:
        def key(number: int) -> tuple:
            return seed * 16 + number, step

        rows, columns = (
            CORNER_STEP
            * tf.random.stateless_uniform((), key(i), 0, room // CORNER_STEP + 1, tf.int32)
            for i, room in ((1, tiles.HEIGHT - CROP_HEIGHT), (2, tiles.WIDTH - CROP_WIDTH))
        )
        shift = tf.random.stateless_uniform((1, 2), key(7), 0.0, MAX_SHIFT)
        deviation = tf.random.stateless_uniform((batch_size, 1, 1, 1), key(6), 0.0, MAX_GRAIN)
        grain = tf.random.stateless_normal((batch_size, CROP_HEIGHT, CROP_WIDTH, 1), key(5))
        return {
            "tiles": batch,
            "corner": tf.tile(tf.stack([rows, columns])[None], (batch_size, 1)),
            "shift": tf.tile(shift, (batch_size, 1)),
            "grain": grain * deviation,
            "noise": tf.random.stateless_normal(code, key(3)),
        }

    return batches.map(complete)


def prepare(batch: dict[str, tf.Tensor]) -> RefinerInputs:
    """Cuts one window out of a batch by `make_batches`, and makes of it all the refiner sees."""
    corner, shift = batch["corner"], batch["shift"][0]
    whole = tf.cast(batch["tiles"], tf.float32) / 255
    targets = cut(whole, corner)
    again = whole[tf.shape(whole)[0] * (TILES_PER_SHIFTED - 1) // TILES_PER_SHIFTED :]
    shifted = cut(blocks.shift(again, shift), corner)
    return RefinerInputs(
        targets=targets,
        grained=targets + batch["grain"],
        shifted=shifted,
        shift=shift,
        thumbnails=blocks.shrink(tf.concat([targets, shifted], 0), refiner.BLOCK),
        noise=refiner.DETAIL_NOISE * batch["noise"],
    )


def cut(pictures: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
    """Cuts the window at a corner out of tiles: more tiles a second, no fixed composition.

    Args:
        pictures: [N, 180, 320, channels].
        corner: int32 [N, 2], top and left in pixels, multiples of CORNER_STEP, all the same.
    """
    top, left = corner[0, 0], corner[0, 1]
    window = pictures[:, top : top + CROP_HEIGHT, left : left + CROP_WIDTH]
    return tf.ensure_shape(window, (None, CROP_HEIGHT, CROP_WIDTH, pictures.shape[-1]))


def restore(model: refiner.Refining, given: RefinerInputs) -> tuple:
    """Restores the tiles, and those that are seen again, shifted.

    Returns:
        The tiles, restored; their detail code; the shifted ones, restored.
    """
    count, count_shifted = tf.shape(given.targets)[0], tf.shape(given.shifted)[0]
    codes = model.detail_encoder(tf.concat([given.grained, given.shifted], 0))
    detail, shifted = tf.split(codes, [count, count_shifted])
    noisy = tf.concat([detail + given.noise, shifted + given.noise[:count_shifted]], 0)
    restored = model.restore(given.thumbnails, noisy)
    restored, shifted = tf.split(restored, [count, count_shifted])
    return restored, detail, shifted
