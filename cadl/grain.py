"""Grain laid along the forms of a picture: what the refiner makes brush strokes of.

Noise is drawn out into lines of eight directions, once, broad ones and fine ones. At every place
the lines that run along the forms are taken: the direction comes from the structure tensor of the
picture (Bigun & Granlund 1987), as in painterly filters (Kyprianidis & Kang 2011,
doi 10.1111/j.1467-8659.2011.01882.x), from wide surroundings where the place itself is even, and
from fixed slow swirls where all is. Where there is detail, strokes are finer and fainter, as
painters set them (Hertzmann 1998, doi 10.1145/280814.280951).
"""

from cadl import tiles

import numpy as np
from keras import ops

BLOCK = 2  # grain has half the tile's resolution
DIRECTIONS = 8
SIZES = {"broad": (6.0, 1.4), "fine": (4.0, 0.9)}  # standard deviations of a line, along, across
LINE_SIDE = 27
DETAIL_CONTRAST = 0.04  # contrast between neighbours (at a quarter of the size) that is detail
SETS = (("broad", 0), ("fine", 0), ("broad", 1))  # of lines, and the noise each is drawn from
CHANNELS = 3  # strokes of light, broad or fine; of hue; and the relief of the first
CRISPNESS = 1.2  # how flat strokes are and how steep their edges
FAINTER_LIGHT, FAINTER_HUE = 0.5, 0.9  # how much less there is of them in detail
SWIRL = 2e-5  # squared contrast below which swirls lead
SEED = 5
LUMINANCE = (0.299, 0.587, 0.114)


def line_filters(length: float, width: float) -> np.ndarray:
    """Returns filters that draw points out into lines: float32 [27, 27, 1, DIRECTIONS].

    Filter k runs at k / DIRECTIONS of half a turn from the horizontal, clockwise on the screen. The
    sum of its squares is 1, so that noise keeps its variance.
    """
    half = LINE_SIDE // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    filters = []
    for angle in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        along = x * np.cos(angle) + y * np.sin(angle)
        across = y * np.cos(angle) - x * np.sin(angle)
        line = np.exp(-0.5 * ((along / length) ** 2 + (across / width) ** 2))
        filters.append(line / np.sqrt((line**2).sum()))
    return np.stack(filters, -1)[:, :, None].astype(np.float32)


def draw_lines(noise):
    """Draws noise out into lines.

    Args:
        noise: float32 [N, h/2, w/2, 2] from N(0, 1).

    Returns:
        float32 [N, h/2, w/2, 3 * DIRECTIONS].
    """
    filters = {name: ops.convert_to_tensor(line_filters(*size)) for name, size in SIZES.items()}
    return ops.concatenate(
        [
            ops.conv(noise[..., number : number + 1], filters[name], padding="same")
            for name, number in SETS
        ],
        -1,
    )


def fixed_lines() -> np.ndarray:
    """Returns the lines of every whole tile, float32 [90, 160, 3 * DIRECTIONS].

    They are the same in all frames: new ones in each would be flicker.
    """
    shape = (1, tiles.HEIGHT // BLOCK, tiles.WIDTH // BLOCK, 2)
    noise = np.random.default_rng(SEED).standard_normal(shape).astype(np.float32)
    return np.asarray(draw_lines(noise))[0]


def fixed_swirls() -> np.ndarray:
    """Returns slowly turning directions, as doubled angles: float32 [45, 80, 2] of length 1."""
    rng = np.random.default_rng(SEED + 1)
    height, width = (side // (2 * BLOCK) for side in tiles.SHAPE[:2])
    y, x = np.mgrid[0:height, 0:width] / width
    phase = sum(
        2.0 * np.sin(2 * np.pi * (fx * x + fy * y) + shift) / np.hypot(fx, fy)
        for fx, fy, shift in rng.uniform((-2, -2, 0), (2, 2, 2 * np.pi), (6, 3))
    )
    return np.stack([np.cos(phase), np.sin(phase)], -1).astype(np.float32)


def directions(pictures):
    """Returns the direction along the forms at every place, and how much detail there is.

    Args:
        pictures: float32 [N, 45, 80, 3] in [0, 1], tiles averaged over 4x4 pixels.

    Returns:
        float32 [N, 90, 160, 3]: cosine and sine of twice the angle from the horizontal; detail
        from 0, even, to 1.
    """
    light = _mirror(ops.matmul(pictures, ops.convert_to_tensor(LUMINANCE)[:, None]), 1)
    across = light[:, 1:-1, 2:] - light[:, 1:-1, :-2]
    down = light[:, 2:, 1:-1] - light[:, :-2, 1:-1]
    across2, down2 = across * across, down * down
    # The gradient's doubled angle turned by half a turn, which is a quarter turn of the angle.
    tensor = ops.concatenate([down2 - across2, -2.0 * across * down, down2 + across2], -1)
    tensor = _blur(_blur(tensor))  # [N, 45, 80, 3]
    near, contrast = tensor[..., :2], tensor[..., 2:]
    detail = contrast / (contrast + DETAIL_CONTRAST**2)
    _, height, width, _ = ops.shape(near)
    wide = _blur(ops.average_pool(near, 5, 5))  # [N, 9, 16, 2]
    leading = near + 0.3 * ops.image.resize(wide, (height, width)) + SWIRL * fixed_swirls()
    maps = ops.concatenate([leading / (_length(leading) + 1e-9), detail], -1)
    maps = ops.image.resize(maps, (BLOCK * height, BLOCK * width))  # [N, 90, 160, 3]
    return ops.concatenate([maps[..., :2] / (_length(maps[..., :2]) + 1e-9), maps[..., 2:]], -1)


def lay(lines, flow):
    """Takes the lines that run along the forms, as strokes of light and hue with their relief.

    Args:
        lines: float32 [N, h, w, 3 * DIRECTIONS], or without N, by `draw_lines`.
        flow: float32 [N, h, w, 3], by `directions`.

    Returns:
        float32 [N, h, w, CHANNELS], of a spread of about 0.7 where the picture is even.
    """
    angles = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
    fan = np.stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    weights = ops.square(ops.square(ops.relu(ops.matmul(flow[..., :2], fan))))
    weights = weights / (_length(weights) + 1e-9)
    broad, fine, hue = (
        ops.sum(part * weights, -1, keepdims=True) for part in ops.split(lines, len(SETS), axis=-1)
    )
    detail = flow[..., 2:]
    light = ops.tanh(CRISPNESS * (broad + detail * (fine - broad))) * (1.0 - FAINTER_LIGHT * detail)
    hue = ops.tanh(CRISPNESS * hue) * (1.0 - FAINTER_HUE * detail)
    raised = _mirror(light, 1)
    relief = raised[:, 2:, 2:] - raised[:, :-2, :-2]  # lit from the top left
    return ops.concatenate([light, hue, relief], -1)


def _length(vectors):
    return ops.sqrt(ops.sum(ops.square(vectors), -1, keepdims=True))


def _mirror(maps, margin: int):
    return ops.pad(maps, [[0, 0], [margin] * 2, [margin] * 2, [0, 0]], mode="reflect")


def _blur(maps):
    """Averages over squares of three, edges mirrored."""
    return ops.average_pool(_mirror(maps, 1), 3, 1)
