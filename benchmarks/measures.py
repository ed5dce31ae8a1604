"""More measures of pictures, which benchmarks alone need: edges, grid, flicker, patches."""

from collections.abc import Iterable

from cadl.images import tiles

import cv2
import numpy as np

BANDS = 4  # octaves, from fine to coarse
PATCH, PATCHES = 7, 20000  # pixels of a patch, patches drawn from a set of pictures
BAND_DIRECTIONS = 64  # random projections of patches of a band


def edge_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the correlation of how steep two sets of pictures are: luminance, float [N, h, w]."""
    steep = [np.hypot(x[:, 2:, 1:-1] - x[:, :-2, 1:-1], x[:, 1:-1, 2:] - x[:, 1:-1, :-2]).ravel()
             for x in (a, b)]  # fmt: skip
    return float(np.corrcoef(*steep)[0, 1])


def grid_energy(pictures: np.ndarray) -> float:
    """Returns how much a grid of every second or fourth pixel stands out: 1 is not at all.

    The energy at the frequencies of 1/2 and 1/4 across and down over that at frequencies near by,
    the larger of both: luminance, float [N, h, w].
    """
    height, width = pictures.shape[1:]
    window = np.hanning(height)[:, None] * np.hanning(width)
    flat = (pictures - pictures.mean(axis=(1, 2), keepdims=True)) * window
    energy = np.square(np.abs(np.fft.fft2(flat))).mean(axis=0)
    down, across = (np.abs(np.fft.fftfreq(size)) for size in (height, width))

    def near(frequency: float) -> float:
        rows, columns = (np.abs(axis - frequency) < 0.008 for axis in (down, across))
        level, upright = down < 0.008, across < 0.008
        return float(energy[np.ix_(rows, upright)].mean() + energy[np.ix_(level, columns)].mean())

    ratios = []
    for frequency in (0.5, 0.25):
        beside = [near(f) for f in (frequency - 0.03, frequency + 0.03) if f <= 0.5]
        ratios.append(near(frequency) / (np.mean(beside) + 1e-12))
    return float(max(ratios))


def patch_distance(
    a: np.ndarray, b: np.ndarray, *, patches: int = 20000, directions: int = 128, seed: int = 0
) -> float:
    """Returns the sliced Wasserstein distance of 7x7 patches at three scales.

    As in Karras et al. 2018 (arXiv 1710.10196), section 5, but on pixels in [0, 1] without
    normalising, so that palette and contrast count.

    Args:
        a: float [N, h, w, 3] in [0, 1].
        b: float [M, h, w, 3].
        patches: drawn from each set at each scale.
        directions: random projections.
        seed: of the draw.

    Returns:
        Mean over scales and directions of the mean distance between sorted projections.
    """
    rng = np.random.default_rng(seed)
    total = 0.0
    for _ in range(3):
        own, other = (_draw_patches(x, patches, rng) for x in (a, b))
        total += sliced_distance(own, other, directions, rng)[0]
        a, b = _halve(a), _halve(b)
    return total / 3


def draw_patches(pictures: Iterable[np.ndarray], bands: int = BANDS) -> list[np.ndarray]:
    """Draws patches of each band of a Laplacian pyramid: float32 [patches, 7 * 7 * 3] a band.

    A pyramid of one band is the picture.
    """
    rng = np.random.default_rng(1)
    pictures = list(pictures)
    each = max(1, PATCHES // len(pictures))
    drawn: list[list[np.ndarray]] = [[] for _ in range(bands)]
    for picture in pictures:
        for band, own in zip(_pyramid(tiles.to_float(picture), bands), drawn, strict=True):
            room = np.array(band.shape[:2]) - PATCH
            if room.min() <= 0:
                continue
            y, x = (rng.integers(0, side, each)[:, None, None] for side in room)
            own.append(band[y + np.arange(PATCH)[:, None], x + np.arange(PATCH)].reshape(each, -1))
    return [np.concatenate(own) for own in drawn]


def band_distances(ours: list[np.ndarray], theirs: list[np.ndarray]) -> list[float]:
    """Returns the sliced Wasserstein distance of patches, over the spread of theirs, a band each.

    As Karras et al. 2018 (arXiv 1710.10196), section 5, but each band by itself.
    """
    rng = np.random.default_rng(0)
    found = [
        sliced_distance(*pair, BAND_DIRECTIONS, rng) for pair in zip(ours, theirs, strict=True)
    ]
    return [distance / max(spread, 1e-9) for distance, spread in found]


def sliced_distance(
    own: np.ndarray, other: np.ndarray, directions: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Returns the sliced Wasserstein distance of vectors, float32 [n, c], and the other's spread.

    Both are means over random directions of length 1 of absolute differences: between vectors of
    equal rank, and from the other's mean.
    """
    filters = rng.standard_normal((own.shape[1], directions)).astype(np.float32)
    filters /= np.linalg.norm(filters, axis=0)
    places = np.linspace(0, 1, min(len(own), len(other)))
    a, b = (
        np.sort(x @ filters, axis=0)[np.rint(places * (len(x) - 1)).astype(int)]
        for x in (own, other)
    )
    return float(np.abs(a - b).mean()), float(np.abs(b - b.mean(axis=0)).mean())


def flicker(frames: np.ndarray) -> float:
    """Returns the mean difference of neighbouring frames: uint8 or float [N, ...], in its unit."""
    before, after = frames[:-1], frames[1:]
    return float((np.maximum(before, after) - np.minimum(before, after)).mean(dtype=np.float64))


def _draw_patches(tiles: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    n, height, width, _ = tiles.shape
    i = rng.integers(0, n, count)[:, None, None]
    y = rng.integers(0, height - 6, count)[:, None, None] + np.arange(7)[:, None]
    x = rng.integers(0, width - 6, count)[:, None, None] + np.arange(7)
    return tiles[i, y, x].reshape(count, -1).astype(np.float32)


def _halve(tiles: np.ndarray) -> np.ndarray:
    n, height, width, c = tiles.shape
    tiles = tiles[:, : height // 2 * 2, : width // 2 * 2]
    return tiles.reshape(n, height // 2, 2, width // 2, 2, c).mean(axis=(2, 4))


def _pyramid(picture: np.ndarray, count: int) -> list[np.ndarray]:
    bands = []
    for _ in range(count - 1):
        height, width = picture.shape[:2]
        half = cv2.resize(picture, (width // 2, height // 2), None, 0, 0, cv2.INTER_AREA)
        bands.append(picture - cv2.resize(half, (width, height)))
        picture = half
    return [*bands, picture]
