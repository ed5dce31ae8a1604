"""What the refiner is trained on: likeness, structure, palette, strokes. Pure functions.

At strength 0 the refiner restores a tile. Above, it draws a video tile whose codes were moved
toward a painter: nearly as it would restore it at low strength, in the texture and palette of the
painter's tiles at full strength, and always with the video's structure.
"""

from cadl.refiner import LUMINANCE, detail_kl

from keras import ops

STROKE_STRIDE = 7  # every so-manieth filter response is sorted; prime to the width of a crop
STRUCTURE_SCALES = (4, 8)  # the video's structure is held at these sizes; below, strokes are free
STROKE_BANDS = (0.1, 1.0, 1.5)  # weights from fine to coarse: strokes are broader than grain


def pyramid(pictures, levels: int) -> list:
    """Splits pictures into a Laplacian pyramid: `levels` bands, then what is left.

    Args:
        pictures: float32 [N, h, w, c], h and w multiples of 2 ** levels.
        levels: number of bands.
    """
    bands = []
    for _ in range(levels):
        smaller = ops.average_pool(pictures, 2, 2)
        _, h, w, _ = ops.shape(pictures)
        bands.append(pictures - ops.image.resize(smaller, (h, w), interpolation="bilinear"))
        pictures = smaller
    return [*bands, pictures]


def shrink(pictures, factor: int):
    """Averages over blocks: [N, h, w, c] -> [N, h/factor, w/factor, c]."""
    return ops.average_pool(pictures, factor, factor)


def stroke_loss(pictures, paintings, filters):
    """Returns the sliced Wasserstein distance between the textures of two sets of tiles.

    Responses of random 7x7 filters over the bands of a Laplacian pyramid are sorted and compared
    (Heitz et al. 2021, arXiv 2006.07229, on random features in place of a trained network's).

    Args:
        pictures: float32 [N, h, w, 3].
        paintings: float32 [N, h, w, 3].
        filters: float32 [7, 7, 3, D], new N(0, 1) numbers at every step.

    Returns:
        Scalar, mean over directions, summed over bands, each over the paintings' own spread.
    """
    filters = filters - ops.mean(filters, axis=(0, 1), keepdims=True)
    bands = zip(STROKE_BANDS, pyramid(pictures, 3)[:-1], pyramid(paintings, 3)[:-1], strict=True)
    return sum(
        weight * _sliced_distance(ours, theirs, filters, STROKE_STRIDE)
        for weight, ours, theirs in bands
    )


def colour_loss(pictures, paintings, filters):
    """Returns the sliced Wasserstein distance between the colours of two sets of tiles.

    As `stroke_loss`, on the colours of what the lowest band of the pyramid leaves.

    Args:
        pictures: float32 [N, h, w, 3].
        paintings: float32 [N, h, w, 3].
        filters: float32 [..., 3, D], new N(0, 1) numbers at every step.
    """
    filters = ops.reshape(filters, (-1, 1, 1, *filters.shape[-2:]))[0]
    return _sliced_distance(shrink(pictures, 8) - 0.5, shrink(paintings, 8) - 0.5, filters, 1)


def _sliced_distance(ours, theirs, filters, stride: int):
    filters = filters / ops.sqrt(ops.sum(ops.square(filters), axis=(0, 1, 2)))
    ours, theirs = (
        ops.sort(
            ops.reshape(
                ops.conv(band, filters, strides=1, padding="valid"), (-1, filters.shape[3])
            )[::stride],
            axis=0,
        )
        for band in (ours, theirs)
    )
    return ops.mean(ops.abs(ours - theirs)) / (ops.mean(ops.abs(theirs)) + 1e-3)


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
        floor = 0.03**2
        correlation = (covariance + floor) / (
            ops.sqrt(ops.maximum(var_a, 0.0) + floor) * ops.sqrt(ops.maximum(var_b, 0.0) + floor)
        )
        total = total + 0.5 * (1.0 - ops.mean(correlation, axis=(1, 2, 3)))
    return total


def sharp_loss(tiles_in, refined):
    """Returns the squared error of each tile plus that of its two finest bands: [N].

    The bands weigh edges, which a squared error alone trades for blur.
    """
    error = ops.sum(ops.square(tiles_in - refined), axis=(1, 2, 3))
    for band in pyramid(tiles_in - refined, 2)[:2]:
        error = error + ops.sum(ops.square(band), axis=(1, 2, 3))
    return error


def refining_terms(
    *, targets, restored, videos, plain, painted, paintings, strength, filters, detail
) -> dict:
    """Returns the terms of the refiner's loss, each a mean over the tiles it is about.

    Beside the losses above: `calm_loss` holds low strengths near the restored picture,
    `palette_loss` keeps the colours of the moved codes at an eighth of the resolution, and
    `speckle_loss` keeps hues at half of it: strokes differ in light more than in hue.

    Args:
        targets: float32 [N, h, w, 3], tiles to restore.
        restored: the same, drawn at strength 0.
        videos: float32 [M, h, w, 3], tiles to paint.
        plain: the same with moved codes, drawn at strength 0, no gradient.
        painted: the same with moved codes, drawn at their strength.
        paintings: float32 [M, h, w, 3], tiles of the painter that each was moved toward.
        strength: float32 [M] in [0, 1].
        filters: float32 [7, 7, 3, D], new N(0, 1) numbers at every step.
        detail: detail code of the targets, None without one.
    """
    palette = ops.sum(ops.square(shrink(painted, 8) - shrink(plain, 8)), axis=(1, 2, 3))
    speckle = shrink(painted - plain, 2)
    speckle = ops.square(speckle - ops.mean(speckle, axis=-1, keepdims=True))
    mean_strength = ops.mean(strength)
    terms = {
        "reconstruction_loss": ops.mean(sharp_loss(targets, restored)),
        "calm_loss": ops.mean(sharp_loss(plain, painted) * (1 - strength) ** 2),
        "palette_loss": 64 * ops.mean(palette),
        "speckle_loss": 4 * ops.mean(ops.sum(speckle, axis=(1, 2, 3))),
        "structure_loss": ops.mean(structure_loss(painted, videos)),
        "stroke_loss": mean_strength * stroke_loss(painted, paintings, filters),
        "colour_loss": mean_strength * colour_loss(painted, paintings, filters),
    }
    if detail is not None:
        terms["detail_kl_loss"] = ops.mean(detail_kl(detail))
    return terms
