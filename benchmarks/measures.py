"""More measures of pictures, which benchmarks alone need: edges, grid, flicker, patches."""

import numpy as np


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
        filters = rng.standard_normal((7 * 7 * 3, directions)).astype(np.float32)
        filters /= np.linalg.norm(filters, axis=0)
        sorted_a = np.sort(_draw_patches(a, patches, rng) @ filters, axis=0)
        sorted_b = np.sort(_draw_patches(b, patches, rng) @ filters, axis=0)
        total += float(np.abs(sorted_a - sorted_b).mean())
        a, b = _halve(a), _halve(b)
    return total / 3


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
