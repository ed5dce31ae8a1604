"""Strokes drawn: polygons with furrows of bristles and lit relief, at any size.

A frame is drawn from what is known of its strokes alone. Each stroke has a colour and a height;
when all are laid, the heights are lit from the top left.
"""

import dataclasses
from collections.abc import Sequence

from cadl.strokes.detail import wanted_need
from cadl.strokes.hand import CANVAS, ROUND, THINNEST, TRACKED, Hand, Layer
from cadl.strokes.points import hashed
from cadl.strokes.stroke import WHOLE, Manner, Strokes
from cadl.strokes.stroke_colours import CALMER, base_colours, differing_colours, share_hues
from cadl.strokes.surface import light, run_together

import cv2
import numpy as np

SUBPIXEL = 4  # bits of the coordinates that OpenCV draws at
CORNERS = ((9.0, 16), (4.0, 12), (0.0, 8))  # half width in drawn pixels, from which: corners
SPREADING = 0.75  # drawn pixels by which OpenCV's smooth edges reach beyond a polygon
# Drawn pixels: thinner strokes are drawn at twice the size, and those that are then still thinner
# than the second at three times or more. In a draft only the second counts.
THIN = 2.5, 1.9
MOST_TIMES = 4  # the size at most, for lines that are thin only where their tone begins
SMALLEST = 0.22  # of its size, below which a stroke is not drawn
ROUND_ENDS = 0.06  # taper from which on the ends of strokes are round; without any: square
MAX_TURN = 0.9  # radians that a stroke may turn over half its length
BROKEN = 0.25  # share of the tones, from the lightest, in which lines that swell are broken
TONE_STEP = 12.0  # how quickly a stroke of hatching grows as its place gets darker
FURROWS = (0.45, 0.15)  # places of bristles, of half the width, on both sides alike
DEEP = 0.4  # depth of bristles from which on they are seen on strokes of a third of that, too
FURROW_WIDTH = 3.0  # drawn pixels of half width, from which on furrows can be seen
CHANCES = hashed(np.arange(4096), 20)  # what is random about a stroke, by its identity
BRISTLE_TONES = 0.25  # spread of the light of bristles, of white
QUIET = (0.003, 0.02), (1.0, 0.0)  # unevenness, and the share of `quiet` that counts there
LEAST_LOADED = 0.5  # nearer than that there are no neighbours
CONTOUR_LOOSE = 0.3  # share of the other strokes' tilt, bend, light and hue that contours have


def draw_strokes(
    canvas: np.ndarray,
    strokes: Sequence[Strokes],
    hand: Hand,
    manner: Manner = WHOLE,
    scale: float | None = None,
) -> np.ndarray:
    """Draws all layers over a picture.

    Args:
        canvas: uint8 [h, w, 3], RGB; what is seen between strokes.
        strokes: of each layer, from broad to fine.
        hand: the recipe.
        manner: how they are laid.
        scale: drawn pixels for each one of the tracked frame; None: as a whole frame has.

    Returns:
        As the canvas.
    """
    height, width = canvas.shape[:2]
    scale = scale or max(height, width) / TRACKED
    thinnest = 2 * scale * min(layer.thinnest for layer in hand.layers())
    whole, times = 2 * scale * min(layer.width for layer in hand.layers()), 1
    most = max(MOST_TIMES, int(THIN[1] / whole) + 1)
    while times * thinnest < THIN[not manner.furrows or times > 1] and times < most:
        times += 1
    if times > 1:
        size, scale = (times * width, times * height), times * scale
        canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_LINEAR)
    if not manner.furrows:
        hand = dataclasses.replace(hand, bristles=0.0)
    drawn = _draw(canvas, strokes, hand, manner, scale)
    return cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA) if times > 1 else drawn


def _draw(canvas, strokes: Sequence[Strokes], hand: Hand, manner: Manner, scale: float):
    """Draws all layers at the canvas' size: uint8 [h, w, 3] -> [h, w, 3]."""
    height, width = canvas.shape[:2]
    strength, share, _, wet = manner
    canvas = _lay_ground(canvas, hand, strength * share)
    board = np.empty((height, width, 4), np.uint8)
    ground = np.full((height, width), 128, np.uint8)
    cv2.mixChannels([canvas, ground], [board], [0, 0, 1, 1, 2, 2, 3, 3])
    for number, (layer, own) in enumerate(zip(hand.layers(), strokes, strict=True)):
        _draw_layer(board, layer, own.some(share), hand, number, strength, scale)
    if hand.soft > 0:
        radius = hand.soft * strength * scale * TRACKED / CANVAS
        cv2.GaussianBlur(board, (0, 0), max(0.1, radius), dst=board)
    if wet is not None:
        run_together(board, wet, scale)
    return light(board, hand.relief, scale)


def _lay_ground(canvas: np.ndarray, hand: Hand, strength: float) -> np.ndarray:
    """Puts the ground in place of the picture between strokes: uint8 [h, w, 3] -> [h, w, 3]."""
    share = strength * (1.0 if hand.kind == "hatching" else hand.bare)
    if share <= 0:
        return canvas
    ground = np.full_like(canvas, 255 * np.array(hand.ground))
    return cv2.addWeighted(ground, share, canvas, 1 - share, 0)


def _draw_layer(board, layer: Layer, own: Strokes, hand: Hand, number, strength, scale):
    chance = CHANCES[(own.identities + 389 * number) % len(CHANCES)]
    grown, slender = _sizes(layer, own, hand, chance, strength)
    kept = np.flatnonzero(grown > SMALLEST)
    if not len(kept):
        return
    kept = kept[np.argsort(_order(chance[kept], hand), kind="stable")]
    hues = chance[:, (7, 10)] - 0.5
    if hand.loaded >= LEAST_LOADED and not layer.tones:
        size = round(board.shape[1] / scale), round(board.shape[0] / scale)
        hues = share_hues(hues, own, layer.spacing, hand.loaded, size)
    own = own.at(kept)
    chance, hues, grown, slender = (every[kept] for every in (chance, hues, grown, slender))
    if layer.swell and hand.aspect <= ROUND:  # dots grow to all sides
        grown, slender = grown * np.sqrt(slender), np.ones_like(slender)
    geometry = _geometry(layer, own, hand, chance, grown, slender)
    outlines, lines = _outlines(geometry, layer.width * own.broadest, hand, scale, number < 3)
    lively = _lively(layer, own, hand)
    differing = strength if layer.tones else strength * CALMER ** max(0, number - 1)
    spread = np.float32(differing * (CONTOUR_LOOSE if layer.contour else 1)) * lively
    alike = 0.0 if own.alike is None else own.alike[:, None]
    base = base_colours(own, layer, number, hand, strength)
    colours = differing_colours(base, hand, chance, hues, spread, alike)
    heights = np.float32(128) + 90.0 * lively * (chance[:, 5:6] - 0.5)
    colours = np.concatenate([colours, heights], axis=1)
    if lines is None:
        for outline, colour in zip(outlines, colours.tolist(), strict=True):
            cv2.fillPoly(board, [outline], colour, cv2.LINE_AA, SUBPIXEL)
        return
    pairs = lines.shape[1]
    tones = 255 * hand.bristles * BRISTLE_TONES * lively * (chance[:, 8 : 8 + pairs] - 0.5)
    bristles = colours[:, None] + tones[..., None] * np.array((1, 1, 1, 5), np.float32)
    thickness = max(1, round(0.22 * layer.width * scale / 2))
    _draw_furrowed(board, outlines, colours, lines, bristles, thickness)


def _sizes(layer: Layer, own: Strokes, hand: Hand, chance, strength: float) -> tuple:
    """Returns how large strokes are over the usual size, and how slender: float32 [n] each."""
    grown = own.growth * np.sqrt(np.float32(strength))
    slender: np.ndarray = np.ones(len(grown), np.float32)
    if layer.tones:
        begin, end = layer.tones
        dots = hand.aspect <= ROUND
        some = 1 - (1.0 if dots else 1 - BROKEN) * layer.swell
        wanted = begin + some * (end - begin) * chance[:, 9]
        grown = grown * np.clip(0.5 + TONE_STEP * (own.looks.need - wanted), 0.0, 1.0)
        tone = (own.looks.need - begin) / (end - begin)
        slender = 1 - layer.swell * (1 - np.clip(tone, THINNEST ** (1 + dots), 1.0))
    elif layer.coarser:
        wanted = wanted_need(own.identities)
        grown = grown * np.clip(2.5 * (own.looks.need / wanted - 0.6), 0.0, 1.0)
    return grown, slender


def _lively(layer: Layer, own: Strokes, hand: Hand) -> np.ndarray:
    """Returns the share of their differences that strokes keep in even places: float32 [n, 1]."""
    lively: np.ndarray = np.ones((len(own.places), 1), np.float32)
    if hand.quiet and not (layer.coarser or layer.tones):
        even = np.interp(own.looks.need, *QUIET).astype(np.float32)
        lively -= hand.quiet * even[:, None]
    if own.calm is not None:
        lively = np.minimum(lively, 1 - own.calm[:, None])
    return lively


def _draw_furrowed(board, outlines, colours, lines, bristles, thickness: int) -> None:
    """Draws strokes one over the other, each with its furrows."""
    pairs = lines.shape[1]
    drawn = iter(lines.reshape(-1, *lines.shape[2:]))
    toned = iter(np.clip(bristles, 0, 255).reshape(-1, 4).tolist())
    for outline, colour in zip(outlines, colours.tolist(), strict=True):
        cv2.fillPoly(board, [outline], colour, cv2.LINE_AA, SUBPIXEL)
        for _ in range(pairs):
            cv2.polylines(board, next(drawn), False, next(toned), thickness, cv2.LINE_AA, SUBPIXEL)


def _geometry(layer: Layer, own: Strokes, hand: Hand, chance, grown, slender) -> tuple:
    """Works out angle, half length and width, ends and bend of strokes.

    Returns:
        Places, float32 [n, 2]; angle, reach forward and back, half width and bend, float32 [n]
        each, in pixels of the tracked frame; and chances, float32 [n, 20].
    """
    looks = own.looks
    angle = 0.5 * np.arctan2(looks.axis[:, 1], looks.axis[:, 0])
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    # Half a turn must leave a stroke as it is: what is odd changes its sign with the direction.
    odd = along[:, 0] - along[:, 1]
    loose = CONTOUR_LOOSE if layer.contour else 1.0
    angle = angle + np.pi * loose * hand.tilt * (chance[:, 1] - 0.5)
    spread = np.exp(hand.sizes * 1.7 * (2.0 * chance[:, 2] - 1.0))
    longer = np.exp(0.6 * hand.sizes * 1.7 * (2.0 * chance[:, 3] - 1.0))
    length = layer.length * spread * longer * grown
    width = layer.width * spread * grown * slender
    lean = (looks.lean * along).sum(axis=1)
    forward, back = (
        length * np.clip(looks.reach + side * lean, layer.kept, 1.0) for side in (1, -1)
    )
    turn = (looks.bend * along).sum(axis=1) * length
    turn = turn + loose * hand.bend * (chance[:, 4] - 0.5) * 2.0 * odd
    bend = np.clip(turn, -MAX_TURN, MAX_TURN) / np.maximum(length, 1e-3)
    return own.places, angle, forward, back, width, bend, chance


def _outlines(geometry: tuple, broadest: float, hand: Hand, scale: float, furrows: bool) -> tuple:
    """Returns outlines and furrows in OpenCV's fixed-point pixels; `broadest` is a half width.

    Returns:
        int32 [n, corners, 2]; and pairs of lines, int32 [n, pairs, 2, 4, 2], or None if no furrow
        could be seen.
    """
    places, angle, forward, back, width, bend, chance = geometry
    broadest *= scale
    corners = next(count for least, count in CORNERS if broadest >= least)
    around = (np.arange(corners) + 0.5) * (2 * np.pi / corners)
    roundness = min(1.0, hand.taper / ROUND_ENDS)
    power = 0.08 + 0.37 * roundness + 0.75 * hand.taper
    along = np.sign(np.cos(around)) * np.abs(np.cos(around)) ** (0.4 + 0.6 * hand.taper)
    across = np.sign(np.sin(around)) * np.abs(np.sin(around)) ** power
    # The outline is the same after half a turn, as the direction's sign means nothing.
    half = corners // 2
    rough = chance[:, 12 : 12 + half] - 0.5
    rough = 1.0 + hand.ragged * 2.0 * np.concatenate([rough, rough], axis=1)
    inset = np.float32(SPREADING / scale)
    a = along.astype(np.float32) * rough
    ends = np.where(a > 0, forward[:, None], back[:, None])
    a = np.maximum(ends - inset, 0.2 * ends) * a
    c = np.maximum(width - inset, 0.2 * width)[:, None] * across.astype(np.float32) * (2.0 - rough)
    outlines = _placed(a, c, places, angle, bend, scale)
    least = FURROW_WIDTH / (3 if hand.bristles >= DEEP else 1)
    if not furrows or hand.bristles <= 0 or broadest < least:
        return outlines, None
    steps = np.array((-0.8, -0.3, 0.3, 0.8), np.float32)
    a = np.where(steps > 0, forward[:, None], back[:, None]) * steps
    pairs = [
        [
            _placed(a, side * place * width[:, None] + 0 * a, places, angle, bend, scale)
            for side in (1, -1)
        ]
        for place in (FURROWS if broadest >= 3 * least else FURROWS[:1])
    ]
    return outlines, np.array(pairs).transpose(2, 0, 1, 3, 4)


def _placed(a, c, places, angle, bend, scale: float) -> np.ndarray:
    """Puts points along and across strokes where they belong in the picture: int32 [n, m, 2]."""
    c = c + 0.5 * bend[:, None] * np.square(a)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x = places[:, :1] + a * cos - c * sin
    y = places[:, 1:] + a * sin + c * cos
    points = (np.stack([x, y], axis=-1) + 0.5) * scale - 0.5
    return np.round(points * (1 << SUBPIXEL)).astype(np.int32)


def _order(chance: np.ndarray, hand: Hand) -> np.ndarray:
    """Returns numbers by which strokes follow each other: at random, accents rather last."""
    at_random = np.float32(1 / hand.accents)
    return at_random * chance[:, 0] + (1 - at_random) * np.abs(2 * chance[:, 6] - 1)
