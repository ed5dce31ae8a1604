"""Batches that the refiner is trained on, and all random numbers of a step."""

from cadl import _startup  # noqa: F401
from cadl.dataset import tile_sets
from cadl.images import tiles
from cadl.networks import refiner
from cadl.training.refiner_inputs import CORNER_STEP, CROP_HEIGHT, CROP_WIDTH, MAX_GRAIN, MAX_SHIFT

import numpy as np
import tensorflow as tf


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
        Batches of `tiles`, uint8 [N, 180, 320, 3]; `corner` for `refiner_inputs.cut`, int32 [N, 2];
        `shift`, float32 [N, 2]; `grain`, float32 [N, h, w, 1]; `noise`, float32 [N, h/4, w/4,
        channels].
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
