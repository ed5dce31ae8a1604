"""What the refiner is trained on: video tiles moved toward painters, and all random numbers.

Everything here is worked out from a batch before anything that is learnt sees it.
"""

from types import SimpleNamespace

from cadl import (
    blocks,
    brush,
    latents,
    lattice,
    leading,
    painting,
    refiner,
    refiner_losses,
    shards,
    tiles,
)

import numpy as np
import tensorflow as tf

CROP_HEIGHT, CROP_WIDTH = 120, 160  # of what is trained on, cut out of the tiles
SPACING = 2  # pixels between places of strokes: speed counts more than sharp edges
MAX_GRAIN = 4.0 / 255  # deviation of the noise on what the detail encoder sees, as a sensor's
MAX_SHIFT = 4.0  # pixels of 320x180: a block of the refiner, after which blocks fall as before
TILES_PER_SHIFTED = 4  # one in so many, at a batch's end, is seen twice; at least one a device
CORNER_STEP = 20  # pixels; strokes of all layers and the refiner's blocks fit in it


def own_painters(tile_set: shards.TileSet) -> list[str]:
    """Lists the painters of a tile set."""
    return [
        name
        for name, own in tile_set.source_indices().items()
        if tile_set.kinds[own[0]] == "painting"
    ]


def style_maps(tile_set: shards.TileSet, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Works out the diagonal map, next to the default of mogrify_video.py and cheaper to apply.

    Returns:
        Gains and offsets, float32 [videos, painters, codes] each: `gains[video, painter] * z +
        offsets[video, painter]` is what strength 1 makes of z.
    """
    found: dict[str, list[latents.Statistics]] = {"painting": [], "video": []}
    for own in tile_set.source_indices().values():
        kind = str(tile_set.kinds[own[0]])
        found[kind].append(latents.statistics_of(codes[own], kind))
    gains = np.array(
        [[latents.diagonal_gains(v, p) for p in found["painting"]] for v in found["video"]]
    )
    means = {kind: np.array([x.mean for x in own]) for kind, own in found.items()}
    offsets = means["painting"][None] - gains * means["video"][:, None]
    return gains.astype(np.float32), offsets.astype(np.float32)


def make_batches(
    tile_set: shards.TileSet,
    indices: np.ndarray,
    *,
    batch_size: int,
    seed: int,
    first_step: int,
    last_step: int,
    scale: int,
    detail_channels: int,
) -> tf.data.Dataset:
    """Adds to each batch of tiles all random numbers of its step, drawn from (seed, step).

    Args:
        tile_set: paintings and videos.
        indices: of the tiles to draw from.
        batch_size: tiles in a batch, every second one a painting.
        seed: of the order of tiles and of all random numbers.
        first_step: steps done before.
        last_step: step after which the batches end.
        scale: of the refiner.
        detail_channels: of the refiner.

    Returns:
        Batches of `tiles`, uint8 [N, h, w, 3]; `pair`, int32 [N, 2], which video is moved toward
        which painter; `strength`, float32 [N]; `corner` for `cut`; `shift` by which some are seen
        again, float32 [N, 2]; `grain` on the tiles; `noise` on their detail code; `numbers` for
        `refiner_losses.oriented_filters`, N times the same.
    """
    batches = shards.training_batches(
        tile_set, indices, batch_size=batch_size, seed=seed, first_step=first_step,
        last_step=last_step,
    )  # fmt: skip
    pixels = tuple(scale * side for side in (CROP_HEIGHT, CROP_WIDTH))
    places = tuple(side // refiner.BLOCK for side in pixels)
    num_painters = len(own_painters(tile_set))

    def complete(step: tf.Tensor, batch: tf.Tensor, sources: tf.Tensor) -> dict[str, tf.Tensor]:
        def key(number: int) -> tuple:
            return seed * 16 + number, step

        painters, videos = sources[0::2], sources[1::2] - num_painters
        strength = tf.random.stateless_uniform((batch_size,), key(0))
        # A third of the tiles at full strength, which matters most.
        strength = tf.minimum(1.0, 1.5 * strength)
        rows, columns = (
            CORNER_STEP
            * tf.random.stateless_uniform((), key(i), 0, room // CORNER_STEP + 1, tf.int32)
            for i, room in ((1, tiles.HEIGHT - CROP_HEIGHT), (2, tiles.WIDTH - CROP_WIDTH))
        )
        return {
            "tiles": batch,
            "pair": tf.repeat(tf.stack([videos, painters], 1), 2, axis=0),
            "strength": strength,
            "corner": tf.tile(tf.stack([rows, columns])[None], (batch_size, 1)),
            "shift": tf.tile(
                scale * tf.random.stateless_uniform((1, 2), key(7), 0.0, MAX_SHIFT), (batch_size, 1)
            ),
            "grain": tf.random.stateless_normal((batch_size, *pixels, 1), key(5))
            * tf.random.stateless_uniform((batch_size, 1, 1, 1), key(6), 0.0, MAX_GRAIN),
            "noise": tf.random.stateless_normal((batch_size, *places, detail_channels), key(3)),
            "numbers": tf.tile(
                tf.random.stateless_uniform(
                    (1, refiner_losses.FILTERS, refiner_losses.FILTER_NUMBERS), key(4)
                ),
                (batch_size, 1, 1),
            ),
        }

    return batches.map(complete)


def make_preparation(vae_model, maps, *, with_detail: bool, with_pictures: bool):
    """Returns the function that makes of a batch all that nothing is learnt from.

    It cuts one window out of everything: `targets`, the tiles, [N, scale * h, scale * w, 3]; if
    wanted `pictures`, the VAE's, [N, h, w, 3]. With a detail code also `grained`, what that is made
    of: the tiles, with noise that is not to be restored, or the refiner would answer a film's own
    with more of it; `noise` on the code; `shifted`, the last tiles moved by `shift`, [2];
    `thumbnails` of the tiles, of as many videos as there are, led by codes moved toward a painter,
    and of those shifted; `strength`, [N/2, 1], and `laid`, strokes, of the led ones.
    """
    gains, offsets = map(tf.constant, maps)
    numbers = [tf.constant(brush.scatter(layer))[None] for layer in brush.LAYERS]

    def prepare(batch: dict[str, tf.Tensor]) -> SimpleNamespace:
        corner = batch["corner"]
        large = tf.cast(batch["tiles"], tf.float32) / 255
        given = SimpleNamespace(targets=cut(large, corner))
        scale = large.shape[1] // tiles.HEIGHT
        whole = blocks.shrink(large, scale)
        codes, _ = vae_model.encoder(whole)
        if with_pictures:
            given.pictures = cut(vae_model.decoder(codes), corner)
        if not with_detail:
            return given
        strength = batch["strength"][1::2]
        pairs = batch["pair"][1::2]
        goal = codes[1::2] * tf.gather_nd(gains, pairs) + tf.gather_nd(offsets, pairs)
        moved = vae_model.decoder(codes[1::2] + strength[:, None] * (goal - codes[1::2]))
        small = blocks.shrink(whole, refiner.BLOCK)
        led = leading.lead(small[1::2], blocks.shrink(moved, refiner.BLOCK), strength[:, None])
        flow = cut(brush.directions(small[1::2]), corner)
        lattices = [
            lattice.Fixed(layer, cut(own, corner)[0])
            for layer, own in zip(brush.LAYERS, numbers, strict=True)
        ]
        given.grained = given.targets + batch["grain"]
        given.shift = batch["shift"][0]
        again = large[tf.shape(large)[0] * (TILES_PER_SHIFTED - 1) // TILES_PER_SHIFTED :]
        given.shifted = cut(blocks.shift(again, given.shift), corner)
        given.noise = refiner.DETAIL_NOISE * batch["noise"]
        small_shifted = blocks.shrink(given.shifted, scale * refiner.BLOCK)
        given.thumbnails = tf.concat([cut(tf.concat([small, led], 0), corner), small_shifted], 0)
        given.strength = strength[:, None]
        given.laid = painting.lay_strokes(flow, lattices, SPACING)
        return given

    return prepare


def cut(pictures: tf.Tensor, corner: tf.Tensor) -> tf.Tensor:
    """Cuts the window at a corner out of tiles: more tiles a second, no fixed composition.

    Args:
        pictures: [N, height, width, channels], whole tiles of any size.
        corner: int32 [N, 2], top and left in pixels of a tile of 320x180, multiples of
            CORNER_STEP, all the same.
    """
    rows = pictures.shape[1]
    top, left = (corner[0, axis] * rows // tiles.HEIGHT for axis in (0, 1))
    height, width = (side * rows // tiles.HEIGHT for side in (CROP_HEIGHT, CROP_WIDTH))
    window = pictures[:, top : top + height, left : left + width]
    return tf.ensure_shape(window, (None, height, width, pictures.shape[-1]))
