"""Forms without strokes: what is small taken out of a picture, its edges kept or made sharp."""

import cv2
import numpy as np

SHARPENINGS = 6
STEEP = 0.5  # of 255, second derivative of light from which on a pixel is wholly pushed
MEDIAN = 2.6  # side of the square whose median is taken, over the radius


def remove_strokes(picture: np.ndarray, radius: float) -> np.ndarray:
    """Returns a picture without strokes, but with its forms: as a painter may have seen it.

    A median takes away what is small and leaves edges where they are; what it does to the mean
    (thin lines vanish in paper) is given back, blurred.

    Args:
        picture: uint8 [h, w, 3].
        radius: of what is taken away, in pixels.

    Returns:
        uint8 [h, w, 3].
    """
    middle = cv2.medianBlur(picture, 2 * int(0.5 * MEDIAN * radius) + 1).astype(np.float32)
    lost = cv2.GaussianBlur(picture.astype(np.float32) - middle, (0, 0), 1.6 * radius)
    return sharpen_edges(middle + lost, 0.3 * radius)


def sharpen_edges(picture: np.ndarray, radius: float) -> np.ndarray:
    """Blurs a picture, and makes its edges sharp again.

    The sharpening is a shock filter (Osher & Rudin 1990, doi 10.1137/0727053): what is lighter than
    its surroundings takes the lightest of its neighbours, what is darker the darkest.

    Args:
        picture: uint8 or float32 [h, w, 3], of 255.
        radius: of the blur, in pixels.

    Returns:
        uint8 [h, w, 3].
    """
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), radius)
    square = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    for _ in range(SHARPENINGS):
        light = cv2.GaussianBlur(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), (0, 0), 0.5 * radius)
        curvature = cv2.Laplacian(light, cv2.CV_32F)[..., None]
        share = np.clip(np.abs(curvature) / STEEP, 0, 1)
        pushed = np.where(curvature < 0, cv2.dilate(smooth, square), cv2.erode(smooth, square))
        smooth = smooth * (1 - share) + share * pushed
    return np.rint(np.clip(smooth, 0, 255)).astype(np.uint8)
