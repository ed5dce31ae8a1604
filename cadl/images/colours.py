"""Colours of many pictures in a few numbers, and the map from some colours to others."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

from cadl.images.metrics import LUMINANCE
from cadl.images.tiles import to_float

import cv2
import numpy as np

BLOCK = 4  # pixels of a tile that count as one: strokes are not palette
TILES = 400  # that colours are taken from, at most
EVEN = 1e-5  # variance added to all, of 1: even pictures have a map, too
# Light, red less light, blue less light: columns of what RGB is multiplied by.
TO_LIGHT_AND_CHROMA = np.stack(
    [LUMINANCE, np.eye(3)[0] - LUMINANCE, np.eye(3)[2] - LUMINANCE], axis=1
).astype(np.float32)
SEPARATE = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 1]])  # light and chroma in a covariance
MOST = 2.2  # by how much a map may spread colours: what is nearly even stays so
HUES = 24  # of a gamut, from red over green and blue
PUREST = 0.98  # share of the colours of a hue that are no purer than the gamut's bound
AROUND = 1.5  # hues to each side whose colours count for a bound
KNEE = 0.6  # of a bound, below which colours stay as they are


class Colours(NamedTuple):
    """Mean and spread of colours."""

    mean: np.ndarray  # float64 [3], RGB in [0, 1]
    covariance: np.ndarray  # float64 [3, 3]
    within: np.ndarray  # float64 [3, 3], the mean of that of the colours of each picture alone
    chroma: float  # mean of the largest less the smallest of R, G and B, in [0, 1]
    gamut: np.ndarray  # float32 [HUES], how large that is at most in each hue

    @classmethod
    def of(cls, pictures: np.ndarray) -> "Colours":
        """Returns those of pictures, uint8 or float in [0, 1], [N, h, w, 3], h and w above 4."""
        chosen = pictures[:: max(1, len(pictures) // TILES)]
        size = pictures.shape[2] // BLOCK, pictures.shape[1] // BLOCK
        small = [cv2.resize(own, size, interpolation=cv2.INTER_AREA) for own in chosen]
        chroma = np.mean([np.ptp(to_float(own), axis=2).mean() for own in chosen])
        within = np.mean([_covariance(to_float(own).reshape(-1, 3)) for own in small], axis=0)
        return cls.of_pixels(np.stack(small))._replace(within=within, chroma=float(chroma))

    @property
    def spread_within(self) -> float:
        """Standard deviation of light within a picture, of 1."""
        return float(max(0.0, LUMINANCE @ self.within @ LUMINANCE) ** 0.5)

    @property
    def spread_between(self) -> float:
        """Standard deviation of light between pictures, of 1."""
        return float(max(0.0, LUMINANCE @ (self.covariance - self.within) @ LUMINANCE) ** 0.5)

    @classmethod
    def of_pixels(cls, pixels: np.ndarray) -> "Colours":
        """Returns those of pixels, uint8 or float in [0, 1], [..., 3], as of one picture."""
        values = to_float(pixels) if pixels.dtype == np.uint8 else pixels
        values = values.reshape(-1, 3).astype(np.float64)
        chroma = np.ptp(values, axis=1)
        covariance = _covariance(values)
        return cls(
            values.mean(axis=0), covariance, covariance, float(chroma.mean()), find_gamut(values)
        )


def _covariance(values: np.ndarray) -> np.ndarray:
    return np.cov(values.T.astype(np.float64), bias=True)


def mix(colours: Sequence[Colours], weights: Sequence[float]) -> Colours:
    """Returns the mean of several, by weights that sum to 1."""
    mean, covariance, within, chroma, gamut = (
        np.average(own, axis=0, weights=weights) for own in zip(*colours, strict=True)
    )
    return Colours(mean, covariance, within, float(chroma), gamut.astype(np.float32))


def find_gamut(values: np.ndarray) -> np.ndarray:
    """Returns the chroma that colours of each hue have at most, float32 [HUES].

    A hue that a painter does not use is nearly grey.

    Args:
        values: RGB in [0, 1], [n, 3].
    """
    hsv = cv2.cvtColor(values[None].astype(np.float32), cv2.COLOR_RGB2HSV)[0]
    hues, chroma = hsv[:, 0] * (HUES / 360), hsv[:, 1] * hsv[:, 2]
    bounds = []
    for hue in range(HUES):
        off = np.abs((hues - hue - 0.5 + HUES / 2) % HUES - HUES / 2)
        own = chroma[off < AROUND]
        bounds.append(np.quantile(own, PUREST) if len(own) else 0.0)
    return np.array(bounds, np.float32)


def softening(picture: np.ndarray, gamut: np.ndarray, share: float) -> np.ndarray | None:
    """Returns what chroma is to be multiplied by so that no colour is purer than a painter's.

    Args:
        picture: uint8 [h, w, 3].
        gamut: float32 [HUES].
        share: 0 changes nothing, 1 brings all colours within the gamut.

    Returns:
        float32 [h, w], up to 1; None if that is 1 everywhere.
    """
    hue, saturation, value = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL))
    chroma = cv2.multiply(saturation, value, scale=1 / 255)
    scale = _scales(gamut.tobytes(), round(float(share), 3))[hue, chroma]
    return scale if scale.min() < 1 else None


def soften(picture: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Multiplies chroma, while light stays: uint8 [h, w, 3], float32 [h, w] -> uint8 [h, w, 3]."""
    grey = cv2.transform(picture, np.repeat(LUMINANCE[None], 3, axis=0).astype(np.float32))
    return cv2.blendLinear(picture, grey, scale, 1 - scale)


@functools.lru_cache(64)
def _scales(gamut: bytes, share: float) -> np.ndarray:
    """Returns what chroma is multiplied by, for each hue and chroma of 255: float32 [256, 256]."""
    bounds = np.frombuffer(gamut, np.float32)
    places = (np.arange(256) / 256 * HUES - 0.5) % HUES
    bound = np.interp(places, np.arange(HUES + 1), np.append(bounds, bounds[0]))[:, None]
    knee = KNEE * bound
    room = np.maximum(bound - knee, 1e-4)
    chroma = np.maximum(np.arange(256), 0.5)[None] / 255
    softened = np.where(chroma > knee, knee + room * np.tanh((chroma - knee) / room), chroma)
    return (1 + share * (softened / chroma - 1)).astype(np.float32)


class ColourMap(NamedTuple):
    """A linear map of colours."""

    matrix: np.ndarray  # float32 [3, 3], that RGB is multiplied by from the right
    added: np.ndarray  # float32 [3], to RGB in [0, 1]

    def then(self, other: "ColourMap") -> "ColourMap":
        """Returns the map that is followed by another one."""
        return ColourMap(self.matrix @ other.matrix, self.added @ other.matrix + other.added)

    def part(self, share: float) -> "ColourMap":
        """Returns the map that moves colours a share of the way."""
        one = np.eye(3, dtype=np.float32)
        return ColourMap(one + np.float32(share) * (self.matrix - one), share * self.added)


UNCHANGED = ColourMap(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))


def map_between(source: Colours, goal: Colours, contrast: float = 1.0) -> ColourMap:
    """Returns the linear map that gives colours another mean and spread, of light and of chroma.

    Both are moved as little as may be: the optimal transport between Gaussians (Monge; for colours
    Pitie & Kokaram 2007, doi 10.1049/cp:20070055), in light and in red and blue less light. Light
    and chroma are mapped apart: a dark green stays green where the goal's darks are brown.

    Args:
        source: colours as they are.
        goal: as they are to be.
        contrast: factor of the goal's spread of light.

    Returns:
        The map; no spread grows by more than MOST.
    """
    to = TO_LIGHT_AND_CHROMA.astype(np.float64)
    a, b = (SEPARATE * (to.T @ own.covariance @ to) + EVEN * np.eye(3) for own in (source, goal))
    b[0, 0] *= contrast**2
    root = _root(a)
    inverse = np.linalg.inv(root)
    matrix = inverse @ _root(root @ b @ root) @ inverse
    values, vectors = np.linalg.eigh(matrix)
    matrix = to @ (vectors * np.minimum(values, MOST)) @ vectors.T @ np.linalg.inv(to)
    added = goal.mean - source.mean @ matrix
    return ColourMap(matrix.astype(np.float32), added.astype(np.float32))


def _root(matrix: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
