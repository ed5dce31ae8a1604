"""Strokes on a film: calmer than in a painting, broader in even places, small forms over them.

A painter's strokes differ as much in light as the small forms of a film: eyes and letters would be
lost among them.
"""

import dataclasses
from collections.abc import Sequence

from cadl.strokes.detail import blur, evenness
from cadl.strokes.drawing import DEEP
from cadl.strokes.flat import darken
from cadl.strokes.hand import CANVAS, NARROW, TRACKED, Hand, Layer
from cadl.strokes.points import hashed, sample, spread
from cadl.strokes.stroke import Looks, Strokes
from cadl.strokes.surface import Wet
from cadl.strokes.track_files import Tracked

import cv2
import numpy as np

CALM = 0.2, 0.25  # shares of opaque strokes' differences in light and in hue that are left out
# A hand's quiet, and how much of this it needs: where it is even, its strokes are calm as they are.
QUIET_CALM = (0.2, 0.45), (1.0, 0.6)
# In even places a narrow brush that has finer strokes lays few broad ones, which would hide each
# other if they were many. So a sky has broad marks, and a figure fine ones.
BROADER = 3.3  # how much larger the largest of these are
SPARSE, QUICKLY = 0.33, 8.0  # share of them that is drawn whole, and how steeply others shrink
SPARED = 77  # of the random numbers that say which are drawn
# How far the logarithm of their sizes may lie below that of the largest, and the numbers that say
# how far; and how far accents among them are made like others: a few dark strokes in a clear sky
# would look like crumbs.
VARIED, VARYING, ACCENTS_EVENED = 0.7, 78, 0.8
# A hand's quiet, and the share by which its colours run into each other where a film is even, as
# in a misty sky; and how far they run, over the half width of the broadest strokes there.
QUIET_WET = (0.2, 0.45), (0.0, 1.0)
WET_RADIUS = 0.65
WET_EVEN = (0.3, 0.95), (0.0, 1.0)  # mean evenness of strokes nearby, and how wet they are
MOIST = 0.02  # a frame that is nowhere wetter has no wet place
# Side of the square within which strokes near a wet place are calmer, in tracked pixels, and the
# share of their differences that is left out: else lively ones would be a rim round dark forms.
NEAR_WET, CALMER_THERE = 15, 0.6
# Speed of strokes, in pixels of the tracked frame a second, and the share of the canvas' weave that
# is seen there; and the deviation of the mean over strokes near, in distances between them.
RESTING, REST_RADIUS = ((4.0, 28.0), (1.0, 0.2)), 1.5
# Sides of the squares that the film is blurred over, in half widths of the finest strokes: forms
# between these sizes are drawn.
DRAWN = 2.2, 12.0
DRAWN_BY = 1.3  # half width of the finest strokes, in pixels of tracked frames, at most
# Sides in pixels of the canvas of the blurs whose difference is what the tip of a brush adds to
# washes, and how much pigment there is where a form is 255 levels darker than what is round it.
TIP, TOUCH = (1.5, 14.0), 5.0
# As `light` of the hand grows through LIVELY, a film's light is sharpened up to SHARPER, and more
# of its small forms is drawn: the more strokes differ, the more forms must stand out.
LIVELY, SHARPER, DRAWN_SHARE = (0.032, 0.04), 0.8, (0.6, 0.9)
SHARPER_OVER = 3.0  # standard deviation of the blur that gives the surroundings, in pixels
LIGHTER = 0.2  # share of what makes lighter: light rims round dark forms look like a glow
_STEPS = np.arange(256.0) - 128
LESS_LIGHT = np.round(128 + np.where(_STEPS > 0, LIGHTER * _STEPS, _STEPS)).astype(np.uint8)


def build_strokes(
    tracked: Sequence[Tracked], looks: Sequence[Looks], hand: Hand, wet: Wet | None = None
) -> list[Strokes]:
    """Puts together the strokes of a frame; in even places some brushes lay few and broad ones.

    Args:
        tracked: where they lie, for each layer of the hand.
        looks: how they look, for each layer.
        hand: the recipe.
        wet: by `find_wet`.
    """
    found: list[Strokes] = []
    for layer, own, look in zip(hand.layers(), tracked, looks, strict=True):
        growth, most = own.growth * enlarged(hand, layer, look.need), broadest(hand, layer)
        alike = None
        if found and most > 1:  # the underpainting stays whole
            even = evenness(look.need)
            smaller = np.exp(-VARIED * even * hashed(own.identities, 1, VARYING)[:, 0])
            growth = growth * _spared(even, own.identities) * smaller
            alike = ACCENTS_EVENED * even
        calm = None if wet is None else sample(wet.calm[..., None], own.places)[:, 0]
        found.append(Strokes(own.places, own.identities, growth, look, most, calm, alike))
    return found


def broadest(hand: Hand, layer: Layer) -> float:
    """Returns how much larger a layer's strokes are drawn where a film is quite even."""
    if layer.coarser or hand.kind != "brush" or not hand.under or hand.width >= NARROW:
        return 1.0
    has_finer = any(own.coarser and not own.contour for own in hand.layers())
    return BROADER if has_finer else 1.0


def enlarged(hand: Hand, layer: Layer, unevenness: np.ndarray) -> np.ndarray:
    """Returns how much larger strokes are drawn, by a film's unevenness near them: float32 [n]."""
    return 1 + np.float32(broadest(hand, layer) - 1) * evenness(unevenness)


def _spared(even: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """Returns how large strokes are where only a share of them is drawn, float32 [n], 0 to 1."""
    share = 1 - np.float32(1 - SPARSE) * even
    over = share - hashed(identities, 1, SPARED)[:, 0]
    return np.clip(1 + np.float32(QUICKLY) * over, 0, 1)


def find_wet(
    tracked: Sequence[Tracked],
    looks: Sequence[Looks],
    hand: Hand,
    size: tuple[int, int],
    strength: float,
) -> Wet | None:
    """Finds where the colours of a quiet painter's strokes run into each other on a film.

    What is even is asked of the broadest strokes, whose looks are averaged in time: a map of one
    frame would flicker with its grain.

    Args:
        tracked: where strokes lie, for each layer of the hand.
        looks: how they look, for each layer.
        hand: the recipe.
        size: width and height of the tracked frame.
        strength: of the strokes, 0 to 1.

    Returns:
        Where and how far colours run; None: nowhere.
    """
    most = np.float32(strength * np.interp(hand.quiet, *QUIET_WET) * _opaque(hand))
    if most <= 0:
        return None
    number = 1 if hand.under else 0
    layer = hand.layers()[number]
    even = spread(evenness(looks[number].need), tracked[number].places, size, layer.spacing)
    share = most * np.interp(even, *WET_EVEN).astype(np.float32)
    if share.max() < MOIST:
        return None
    near = cv2.dilate(share, np.ones((NEAR_WET, NEAR_WET), np.uint8))
    calm = np.float32(CALMER_THERE) * blur(near, NEAR_WET / 2)
    return Wet(share, calm, WET_RADIUS * layer.width * broadest(hand, layer))


def find_rest(
    tracked: Sequence[Tracked],
    looks: Sequence[Looks],
    hand: Hand,
    size: tuple[int, int],
    rate: float,
) -> np.ndarray:
    """Finds where a film rests, so that its canvas is seen: on what moves it would look like dirt.

    Args:
        tracked: where strokes lie, for each layer of the hand.
        looks: how they look, for each layer.
        hand: the recipe.
        size: width and height of the tracked frame.
        rate: frames a second.

    Returns:
        float32 [h, w] of the tracked frame, share of the canvas that is seen.
    """
    places, spacing = tracked[0].places, hand.layers()[0].spacing
    rest = np.interp(rate * looks[0].speed, *RESTING).astype(np.float32)
    return spread(rest, places, size, REST_RADIUS * spacing)


def calmed(hand: Hand) -> Hand:
    """Returns a hand as it paints films: opaque paint differs less in light and hue."""
    needed = float(np.interp(hand.quiet, *QUIET_CALM)) * _opaque(hand)
    calm, hue = (1.0 - needed * share for share in CALM)
    bristles = calm * hand.bristles
    if hand.bristles >= DEEP:  # below it, narrow strokes of one size have no furrows
        bristles = max(DEEP, bristles)
    return dataclasses.replace(
        hand, light=calm * hand.light, hue=hue * hand.hue, bristles=bristles,
        relief=calm * hand.relief,
    )  # fmt: skip


def sharpened(colours: np.ndarray, hand: Hand) -> np.ndarray:
    """Sharpens the light of a tracked frame in the painter's colours: uint8 [h, w, 3] -> [h, w, 3].

    A stroke's colour is a mean over its area and over time, which would make small forms pale.
    """
    gain = SHARPER * float(np.interp(hand.light, LIVELY, (0.0, 1.0)))
    if not gain:
        return colours
    light = cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_RGB2GRAY)
    more = gain * (light - cv2.GaussianBlur(light, (0, 0), SHARPER_OVER))
    more = np.where(more > 0, LIGHTER * more, more)
    return cv2.add(colours, cv2.merge([more] * 3), dtype=cv2.CV_8U)


def draw_forms(canvas: np.ndarray, film: np.ndarray, hand: Hand, share: float) -> np.ndarray:
    """Draws the small forms of a film over strokes: their light alone.

    Hands with narrow strokes have them, unless their paint is soft. The film's light at the size of
    the finest strokes is added, because a stroke has only one colour, averaged over time. Washes
    get what is small and dark, with the tip of the brush.

    Args:
        canvas: uint8 [h, w, 3], RGB, painted.
        film: uint8 [h, w, 3], the frame in its own colours, as large as the canvas.
        hand: the recipe.
        share: how much of it is drawn, 0 to 1.

    Returns:
        As the canvas.
    """
    if hand.washes:
        return _touch(canvas, film, share)
    share *= float(np.interp(hand.light, LIVELY, DRAWN_SHARE)) * _opaque(hand)
    finest = [layer for layer in hand.layers() if not layer.contour][-1]
    if share <= 0 or finest.width > DRAWN_BY or hand.soft:
        return canvas
    light = cv2.cvtColor(film, cv2.COLOR_RGB2GRAY)
    width = finest.width * max(light.shape) / TRACKED
    small, large = (blur(light, part * width) for part in DRAWN)
    drawn = cv2.LUT(cv2.addWeighted(small, share, large, -share, 128), LESS_LIGHT)
    return cv2.addWeighted(canvas, 1, cv2.merge([drawn] * 3), 1, -128)


def _touch(canvas: np.ndarray, film: np.ndarray, share: float) -> np.ndarray:
    """Adds what is small and dark to washes: uint8 [h, w, 3] -> [h, w, 3]."""
    if share <= 0:
        return canvas
    light = cv2.cvtColor(film, cv2.COLOR_RGB2GRAY)
    fine, coarse = (blur(light, side * max(light.shape) / CANVAS) for side in TIP)
    return darken(canvas, np.float32(share * TOUCH / 255) * cv2.subtract(coarse, fine))


def _opaque(hand: Hand) -> float:
    """Returns the share of the canvas where paint, and not ground, is seen between strokes."""
    if hand.kind != "brush":
        return 0.0
    return 1.0 if hand.under else 1.0 - hand.bare
