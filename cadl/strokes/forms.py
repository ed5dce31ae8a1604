"""Forms without strokes: a picture blurred, and its edges made sharp again."""

import cv2
import numpy as np

SHARPENINGS = 6
NEAR = 0.5  # of the blur's radius: surroundings whose light tells both sides of an edge
STEEP = 0.5  # of 255, second derivative of light from which on a pixel is wholly pushed


def remove_strokes(picture: np.ndarray, radius: float) -> np.ndarray:
    """Returns a picture without strokes: blurred, its edges made sharp again.

    The sharpening is a shock filter (Osher & Rudin 1990, doi 10.1137/0727053): what is lighter than
    its surroundings takes the lightest of its neighbours, what is darker the darkest.

    Args:
        picture: uint8 [h, w, 3].
        radius: of the blur, in pixels.

    Returns:
        uint8 [h, w, 3].
    """
    smooth = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), radius)
    square = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    for _ in range(SHARPENINGS):
        light = cv2.GaussianBlur(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), (0, 0), NEAR * radius)
        curvature = cv2.Laplacian(light, cv2.CV_32F)[..., None]
        share = np.clip(np.abs(curvature) / STEEP, 0, 1)
        pushed = np.where(curvature < 0, cv2.dilate(smooth, square), cv2.erode(smooth, square))
        smooth = smooth * (1 - share) + share * pushed
    return np.rint(smooth).astype(np.uint8)
