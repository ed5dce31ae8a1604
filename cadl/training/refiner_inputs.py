"""What the refiner sees of a batch, and what it makes of it, under any backend of Keras."""

from typing import Any, NamedTuple

from cadl import _startup  # noqa: F401
from cadl.networks import blocks, refiner

from keras import ops

CROP_HEIGHT, CROP_WIDTH = 120, 160  # of what is trained on, cut out of the tiles
MAX_GRAIN = 4.0 / 255  # deviation of the noise on what the detail encoder sees, as a sensor's
MAX_SHIFT = 4.0  # pixels: a block of the refiner, after which blocks fall as before
CORNER_STEP = 20  # pixels; the refiner's blocks fit in it
TILES_PER_SHIFTED = 4  # one in so many, at a batch's end, is seen twice; at least one a device


class RefinerInputs(NamedTuple):
    """What the refiner is shown of N tiles, of which the last M are seen again, shifted."""

    targets: Any  # float32 [N, h, w, 3], windows of the tiles, to be restored
    # the targets with noise like a sensor's, so that the refiner does not restore such noise
    grained: Any
    shifted: Any  # float32 [M, h, w, 3], windows of the last tiles, moved
    shift: Any  # float32 [2], the move in pixels
    thumbnails: Any  # float32 [N + M, h/4, w/4, 3], of the targets and of the shifted ones
    noise: Any  # float32 [N, h/4, w/4, channels], noise on the detail code


def prepare(batch: dict[str, Any]) -> RefinerInputs:
    """Cuts one window out of a batch by `refiner_batches.make_batches`: all the refiner sees."""
    corner, shift = batch["corner"], batch["shift"][0]
    whole = ops.cast(batch["tiles"], "float32") / 255
    targets = cut(whole, corner)
    count = ops.shape(whole)[0]
    first = count * (TILES_PER_SHIFTED - 1) // TILES_PER_SHIFTED
    again = blocks.window(whole, 0, first, count - first)
    shifted = cut(blocks.shift(again, shift), corner)
    return RefinerInputs(
        targets=targets,
        grained=targets + batch["grain"],
        shifted=shifted,
        shift=shift,
        thumbnails=blocks.shrink(ops.concatenate([targets, shifted], 0), refiner.BLOCK),
        noise=refiner.DETAIL_NOISE * batch["noise"],
    )


def cut(pictures, corner):
    """Cuts the window at a corner out of tiles: more tiles a second, no fixed composition.

    Args:
        pictures: [N, 180, 320, channels].
        corner: int32 [N, 2], top and left in pixels, multiples of CORNER_STEP, all the same.
    """
    rows = blocks.window(pictures, 1, corner[0, 0], CROP_HEIGHT)
    return blocks.window(rows, 2, corner[0, 1], CROP_WIDTH)


def restore(model: refiner.Refining, given: RefinerInputs) -> tuple:
    """Restores the tiles, and those that are seen again, shifted.

    Returns:
        The tiles, restored; their detail code; the shifted ones, restored.
    """
    count, count_shifted = ops.shape(given.targets)[0], ops.shape(given.shifted)[0]
    codes = model.detail_encoder(ops.concatenate([given.grained, given.shifted], 0))
    detail, shifted = _split(codes, count, count_shifted)
    noise = blocks.window(given.noise, 0, 0, count_shifted)
    noisy = ops.concatenate([detail + given.noise, shifted + noise], 0)
    restored = model.restore(given.thumbnails, noisy)
    restored, shifted = _split(restored, count, count_shifted)
    return restored, detail, shifted


def _split(x, count, count_after):
    return blocks.window(x, 0, 0, count), blocks.window(x, 0, count, count_after)
