"""The colour of each stroke: from the picture and the recipe, and how it differs from others."""

import math

from cadl.images.metrics import LUMINANCE
from cadl.strokes.hand import AREA, Hand, Layer
from cadl.strokes.points import sample, splat
from cadl.strokes.stroke import Strokes, unit_vectors

import cv2
import numpy as np

WARM = np.array((0.8, 0.1, -1.2), np.float32)  # strokes differ in hue from blue to orange
# and from magenta to green: in paintings about half as much
GREEN = np.array((-0.4, 0.5, -0.3), np.float32)
CALMER = 0.7  # share of the broader strokes' difference in light and hue that finer ones have
FINEST_RADIUS = 2.0  # pixels of the map that hues are averaged on
# How far a hue is shared along strokes: at how many radii, to both sides, and with what weight.
ALONG = (-1.6, 0.6), (0.0, 1.0), (1.6, 0.6)


def base_colours(own: Strokes, layer: Layer, number: int, hand: Hand, strength: float):
    """Returns colours before strokes differ by themselves: float32 RGB in [0, 1], [n, 3].

    Args:
        own: the strokes of a layer.
        layer: which.
        number: of the layer.
        hand: the recipe.
        strength: of the strokes, 0 to 1.
    """
    colours = own.looks.colours
    if layer.tones:
        return _tinted(colours, hand)
    if layer.contour:
        return colours + strength * hand.contour * (np.array(hand.ink, np.float32) - colours)
    if hand.bare > 0 and number == 0:
        away = colours - np.array(hand.ground, np.float32)
        return colours + strength * hand.bare * _making_up(hand) * away
    return colours


def _tinted(colours: np.ndarray, hand: Hand) -> np.ndarray:
    """Returns the colours of lines: float32 RGB in [0, 1], [n, 3] -> [n, 3].

    `tint` is the share of the picture's colours; the rest is ink. Chalk, ink that is lighter than
    its ground, takes their hue and keeps its own luminance.
    """
    ink = np.array(hand.ink, np.float32)
    if sum(hand.ink) > sum(hand.ground):
        colours = np.clip(colours + ((ink - colours) @ LUMINANCE)[:, None], 0, 1)
    return hand.tint * colours + (1 - hand.tint) * ink


def _making_up(hand: Hand) -> float:
    """Returns by how much strokes exceed the ground, so that both together have the right colour.

    It is the ground's share of the canvas over the strokes'.
    """
    scattered, in_rows = float(np.exp(-1.25 * hand.cover)), max(0.0, 1.0 - hand.cover / AREA)
    open_ground = scattered + hand.rows * hand.fixed * (in_rows - scattered)
    return min(1.0, open_ground / (1.0 - open_ground))


def share_hues(
    hues: np.ndarray, own: Strokes, spacing: float, loaded: float, size: tuple[int, int]
) -> np.ndarray:
    """Averages the random hues of neighbouring strokes, farther along strokes than across.

    Their spread stays. In paintings light differs from stroke to stroke, and hue over several.

    Args:
        hues: float32 [n, 2], of mean 0.
        own: the strokes.
        spacing: distance between them, in pixels of the tracked frame.
        loaded: deviation of the Gaussian that neighbours count by, in these distances.
        size: width and height of the tracked frame.

    Returns:
        As the hues.
    """
    factor = max(1.0, FINEST_RADIUS / (loaded * spacing))  # of a map that is fine enough
    radius, places = factor * loaded * spacing, np.float32(factor) * own.places
    weights = np.minimum(own.growth, 1)[:, None]
    width, height = (round(factor * side) for side in size)
    maps = splat(np.column_stack([weights * hues, weights**2]), places, (width, height))
    # The squared weights of a Gaussian are those of one that is narrower by the root of 2.
    total, squares = (
        cv2.GaussianBlur(own, (0, 0), by, borderType=cv2.BORDER_CONSTANT)
        for own, by in ((cv2.merge([*maps[:2]]), radius), (maps[2], radius / math.sqrt(2)))
    )
    alone = 1e-3 / (factor * spacing) ** 2
    mean = (
        total
        / np.sqrt((squares + np.float32(alone)) / np.float32(4 * np.pi * radius**2))[..., None]
    )
    steps, shares = np.array(ALONG, np.float32).T
    alike = np.exp(-0.25 * np.square(steps[:, None] - steps[None]))  # correlation of the map there
    way = np.float32(radius) * unit_vectors(own.looks.axis)
    shares = shares / np.sqrt(shares @ alike @ shares)
    read = (share * sample(mean, places + step * way) for step, share in zip(steps, shares))
    return sum(read, np.zeros_like(hues))


def differing_colours(
    colours, hand: Hand, chance, hues, spread: np.ndarray, alike: np.ndarray | float = 0.0
) -> np.ndarray:
    """Returns the colours of strokes: float32 RGB, [n, 3] in [0, 1] -> [n, 3] in [0, 255].

    Accents differ in light, and in hue unless brushes are loaded.

    Args:
        colours: RGB, float32 [n, 3].
        hand: the recipe.
        chance: what is random about the strokes, [n, 20].
        hues: float32 [n, 2], of mean 0, deviation 0.29.
        spread: float32 [n, 1], share of the hand's differences in light and hue that each has.
        alike: how far accents are made like other strokes, 0 to 1, float32 [n, 1], or of all.
    """
    far, power = 2 * chance[:, 6:7] - 1, 1 + np.float32(hand.accents - 1) * (1 - alike)
    rare = np.abs(far) ** (power - 1)  # factors below keep the spreads as they are
    light = hand.light * spread * (2 * power + 1) ** 0.5 * far * rare
    hue = hand.hue * spread * 3.46 * (hues[:, :1] * WARM + hues[:, 1:] * GREEN)
    if not hand.loaded:
        hue = (2 * power - 1) ** 0.5 * rare * hue
    return np.clip(255 * (colours + light + hue), 0, 255)
