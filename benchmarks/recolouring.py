"""The trivial rival: frames with the mean and spread of a painter's colours, and no strokes.

Reinhard et al. 2001, doi 10.1109/38.946629, in Lab.
"""

from cadl.images import metrics, tiles

import cv2
import numpy as np


def recolour(frames: list[np.ndarray], pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Gives frames the mean and spread of colours of pictures, in Lab, each frame by itself."""
    mean = np.concatenate([_lab(own) for own in pictures]).mean(axis=0)
    spread = np.mean([_lab(own).std(axis=0) for own in pictures], axis=0)
    return [_respread(frame, _lab(frame), mean, spread) for frame in frames]


def recolour_as_a_whole(frames: list[np.ndarray], pictures: list[np.ndarray]) -> list[np.ndarray]:
    """Gives a film the mean and spread of colours of pictures, in Lab."""
    goal, own = (np.concatenate([_lab(x) for x in group]) for group in (pictures, frames))
    return [_respread(frame, own, goal.mean(axis=0), goal.std(axis=0)) for frame in frames]


def _respread(frame: np.ndarray, own: np.ndarray, mean, spread) -> np.ndarray:
    """Moves a frame from the mean and spread of Lab colours, [n, 3], to others."""
    lab = cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    moved = (lab - own.mean(axis=0)) * (spread / (own.std(axis=0) + 1e-3)) + mean
    rgb = cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_LAB2RGB)
    return tiles.to_uint8(np.clip(rgb, 0, 1))


def _lab(picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(picture, (64, 48), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)


def spread_of_light(picture: np.ndarray) -> float:
    """Returns the standard deviation of the luminance of large forms, of 1."""
    small = cv2.resize(picture, (80, 45), interpolation=cv2.INTER_AREA)
    return float((tiles.to_float(small) @ metrics.LUMINANCE).std())
