"""Measures of pictures: error, likeness, sharpness."""

import cv2
import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


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


def sharpness(pictures: np.ndarray) -> np.ndarray:
    """Returns the energy of each picture's Laplacian: luminance, float [N, h, w]."""
    p = pictures.astype(np.float64)
    laplacian = 4 * p[:, 1:-1, 1:-1] - p[:, :-2, 1:-1] - p[:, 2:, 1:-1] - p[:, 1:-1, :-2]
    laplacian -= p[:, 1:-1, 2:]
    return np.square(laplacian).mean(axis=(1, 2))


def _blur(pictures: np.ndarray) -> np.ndarray:
    """Blurs with an 11-tap Gaussian of sigma 1.5, the valid part only."""
    taps = cv2.getGaussianKernel(11, 1.5)
    return np.stack([cv2.sepFilter2D(own, -1, taps, taps)[5:-5, 5:-5] for own in pictures])
