"""Colours of many pictures in a few numbers, and the map from some colours to others."""

from collections.abc import Sequence
from typing import NamedTuple

from cadl.images.tiles import to_float

import cv2
import numpy as np

BLOCK = 4  # pixels of a tile that count as one: strokes are not palette
TILES = 400  # that colours are taken from, at most
EVEN = 1e-5  # variance added to all, of 1: even pictures have a map, too
MOST = 3.0  # by how much a map may spread colours


class Colours(NamedTuple):
    """Mean and spread of colours.

    Attributes:
        mean: float64 [3], RGB in [0, 1].
        covariance: float64 [3, 3].
        chroma: mean of the largest less the smallest of R, G and B, in [0, 1].
    """

    mean: np.ndarray
    covariance: np.ndarray
    chroma: float

    @classmethod
    def of(cls, pictures: np.ndarray) -> "Colours":
        """Returns those of pictures, uint8 or float in [0, 1], [N, h, w, 3], h and w above 4."""
        chosen = pictures[:: max(1, len(pictures) // TILES)]
        size = pictures.shape[2] // BLOCK, pictures.shape[1] // BLOCK
        small = [cv2.resize(own, size, interpolation=cv2.INTER_AREA) for own in chosen]
        chroma = np.mean([np.ptp(to_float(own), axis=2).mean() for own in chosen])
        return cls.of_pixels(np.stack(small))._replace(chroma=float(chroma))

    @classmethod
    def of_pixels(cls, pixels: np.ndarray) -> "Colours":
        """Returns those of pixels, uint8 or float in [0, 1], [..., 3]."""
        values = to_float(pixels) if pixels.dtype == np.uint8 else pixels
        values = values.reshape(-1, 3).astype(np.float64)
        chroma = float(np.ptp(values, axis=1).mean())
        return cls(values.mean(axis=0), np.cov(values.T, bias=True), chroma)


def mix(colours: Sequence[Colours], weights: Sequence[float]) -> Colours:
    """Returns the mean of several, by weights that sum to 1."""
    mean, covariance, chroma = (
        np.average(own, axis=0, weights=weights) for own in zip(*colours, strict=True)
    )
    return Colours(mean, covariance, float(chroma))


def map_between(source: Colours, goal: Colours) -> tuple[np.ndarray, np.ndarray]:
    """Returns the linear map that gives colours another mean and spread.

    It is the one that moves them least: the optimal transport between Gaussians (Monge; for colours
    Pitie & Kokaram 2007, doi 10.1049/cp:20070055).

    Args:
        source: colours as they are.
        goal: as they are to be.

    Returns:
        Matrix, float32 [3, 3], that RGB is multiplied by from the right, and what is added, [3].
    """
    a, b = (own.covariance + EVEN * np.eye(3) for own in (source, goal))
    root = _root(a)
    inverse = np.linalg.inv(root)
    matrix = inverse @ _root(root @ b @ root) @ inverse
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors * np.minimum(values, MOST)) @ vectors.T
    return matrix.astype(np.float32), (goal.mean - source.mean @ matrix).astype(np.float32)


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
