"""Measures of pictures: error, likeness, sharpness, flicker, distance of style. All in numpy."""

import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


def luminance(tiles: np.ndarray) -> np.ndarray:
    """Returns Rec. 601 luma, in the unit of the pixels: [..., 3] -> float [...]."""
    return tiles @ LUMINANCE


def psnr(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the peak signal-to-noise ratio of each picture in dB: float [N, ...] in [0, 1]."""
    error = np.square(np.clip(a, 0, 1) - np.clip(b, 0, 1), dtype=np.float64)
    error = error.reshape(len(error), -1).mean(axis=1)
    return -10 * np.log10(np.maximum(error, 1e-10))


def ssim(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the structural similarity of each pair (Wang et al. 2004), Gaussian window.

    Args:
        a: luminance, float [N, h, w] in [0, 1].
        b: the same.
    """
    mean_a, mean_b = _blur(a), _blur(b)
    var_a = _blur(a * a) - mean_a**2
    var_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    likeness /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return likeness.mean(axis=(1, 2))


def edge_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Returns the correlation of how steep two sets of pictures are: luminance, float [N, h, w]."""
    steep = [np.hypot(x[:, 2:, 1:-1] - x[:, :-2, 1:-1], x[:, 1:-1, 2:] - x[:, 1:-1, :-2]).ravel()
             for x in (a, b)]  # fmt: skip
    return float(np.corrcoef(*steep)[0, 1])


def sharpness(pictures: np.ndarray) -> np.ndarray:
    """Returns the energy of each picture's Laplacian: luminance, float [N, h, w]."""
    p = pictures.astype(np.float64)
    laplacian = 4 * p[:, 1:-1, 1:-1] - p[:, :-2, 1:-1] - p[:, 2:, 1:-1] - p[:, 1:-1, :-2]
    laplacian -= p[:, 1:-1, 2:]
    return np.square(laplacian).mean(axis=(1, 2))


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


def _blur(pictures: np.ndarray) -> np.ndarray:
    """Blurs with an 11-tap Gaussian of sigma 1.5, the valid part only."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    taps /= taps.sum()
    height, width = pictures.shape[1:]
    rows = sum(t * pictures[:, i : height - 10 + i] for i, t in enumerate(taps))
    return sum(t * rows[:, :, i : width - 10 + i] for i, t in enumerate(taps))
