"""The library of recipes that the search of a hand begins with."""

import dataclasses
import math
from typing import Any

from cadl.strokes.hand import Hand
from cadl.strokes.reading import Reading

PLAIN: dict[str, Any] = {"bristles": 0.0, "relief": 0.0, "ragged": 0.0}
# Of narrow brushes: straight strokes whose furrows are seen, several of one hue; accents on top.
FURROWED: dict[str, Any] = {
    "bristles": 0.65, "relief": 0.7, "bend": 0.1, "hue": 0.035, "loaded": 0.7,
}  # fmt: skip
DASHED: dict[str, Any] = {"accents": 2.5, **FURROWED}
DABBED: dict[str, Any] = {"accents": 1.6, **FURROWED}
BRUSHES: list[dict[str, Any]] = [
    {}, {"width": 4.4, "aspect": 4.5, "finest": 2.0, "light": 0.06, "bend": 0.2},
    {"width": 7.0, "aspect": 4.5, "finest": 2.4, "light": 0.06, "bend": 0.2},
    {"width": 4.0, "aspect": 3.0, "finest": 2.0, "light": 0.05, "tilt": 0.3, "bend": 0.2},
    {"width": 5.0, "aspect": 2.0, "finest": 2.0, "light": 0.07, "tilt": 0.4, "bend": 0.2},
    {"width": 10.0, "aspect": 2.5, "finest": 3.0, "light": 0.05, "bristles": 0.8},
    {"width": 26.0, "aspect": 2.4, "taper": 0.0, "ragged": 0.25, "relief": 0.9,
     "finest": 8.0},
    {"width": 5.0, "aspect": 4.0, "finest": 2.0, "light": 0.07, "tilt": 0.3, **DASHED},
    {"width": 4.0, "aspect": 4.0, "finest": 2.0, "light": 0.06, "tilt": 0.2, **DASHED},
    {"width": 4.0, "aspect": 3.0, "finest": 2.0, "light": 0.05, "tilt": 0.5, **DABBED},
    {"width": 4.5, "aspect": 1.6, "finest": 2.0, "light": 0.06, **DABBED},
    {"width": 12.0, "aspect": 6.5, "finest": 3.0, "bend": 0.6},
    {"width": 4.0, "aspect": 4.0, "finest": 2.0, "bare": 0.6, "under": 0.0, "cover": 1.3,
     "bend": 0.2},
    {"width": 14.0, "aspect": 2.0, "soft": 4.0, **PLAIN, "light": 0.03, "finest": 6.0},
    {"width": 8.0, "aspect": 3.0, "soft": 1.2, **PLAIN, "light": 0.04, "finest": 3.0},
    {"width": 4.0, "aspect": 3.0, "soft": 0.7, "light": 0.04, "finest": 2.0, "bend": 0.2},
    {"width": 4.0, "aspect": 2.6, "soft": 0.4, "light": 0.05, "finest": 2.0, "tilt": 0.4,
     "bend": 0.2},
    {"width": 26.0, "aspect": 2.4, "taper": 0.0, "tilt": 1.0, "finest": 8.0, **PLAIN},
    {"width": 11.0, "aspect": 3.0, "taper": 0.0, "tilt": 1.0, "bend": 0.0, "finest": 60.0,
     "light": 0.05, **PLAIN, "bare": 0.5},
    {"width": 11.0, "aspect": 1.0, "taper": 0.75, "tilt": 1.0, "bend": 0.0, "finest": 60.0,
     "cover": 1.7, "light": 0.05, **PLAIN},
    {"width": 10.0, "aspect": 2.4, "taper": 0.0, "tilt": 0.3, "fixed": 1.0, "bend": 0.0,
     "sizes": 0.3, "cover": 1.7, "finest": 60.0, "light": 0.05, **PLAIN},
    {"width": 18.0, "aspect": 2.4, "taper": 0.0, "tilt": 0.2, "fixed": 1.0, "bend": 0.0,
     "sizes": 0.3, "cover": 1.7, "finest": 6.0, "light": 0.05, **PLAIN},
    {"width": 5.0, "aspect": 4.0, "tilt": 0.15, "fixed": 1.0, "finest": 2.0, "light": 0.06,
     **DASHED},
    {"width": 40.0, "aspect": 1.6, "soft": 7.0, **PLAIN, "light": 0.02, "finest": 20.0},
    {"width": 6.0, "aspect": 4.5, "fixed": 1.0, "finest": 3.0, "light": 0.06, "bend": 0.2},
]  # fmt: skip


def library(reading: Reading) -> list[Hand]:
    """Returns the recipes that a search begins with, in the painter's own colours."""
    own = reading._asdict()
    brush = Hand(**own)
    dots = dataclasses.replace(
        brush, **PLAIN, aspect=1.0, tilt=1.0, bend=0.0, under=0.0, finest=60.0, sizes=0.15,
        taper=0.75, bare=1.0, light=0.1, hue=0.07, cover=1.9, contour=0.0, quiet=0.0, grain=0.0,
    )  # fmt: skip
    pencil = Hand(
        kind="hatching", **own | {"quiet": 0.0, "grain": 0.0}, **PLAIN, width=1.3, aspect=22.0,
        cover=0.35, sizes=0.3, tilt=0.04, bend=0.1, taper=0.1, light=0.06, hue=0.0,
    )  # fmt: skip
    stipple = dataclasses.replace(pencil, aspect=1.0, taper=0.75, width=2.4, tilt=1.0, cover=0.4)
    across = round((reading.directions[0] + 0.5 * math.pi) % math.pi, 3)
    crossed = (*reading.directions, across) if len(reading.directions) == 1 else reading.directions
    chalk = dataclasses.replace(pencil, ground=reading.ink, ink=reading.ground, width=1.8)
    engraved = dataclasses.replace(
        pencil, width=7.0, aspect=2.5, rows=1.0, swell=1.0, cover=0.9, sizes=0.0, tilt=0.0,
        bend=0.0, taper=0.0, light=0.0, directions=reading.directions[:1],
    )  # fmt: skip
    cut = dataclasses.replace(engraved, ground=reading.ink, ink=reading.ground)
    # A screen of 45 degrees.
    printed = dataclasses.replace(engraved, aspect=1.0, taper=0.75, cover=1.6, directions=(0.0,))
    stones = dataclasses.replace(
        dots, width=8.5, aspect=1.1, tilt=0.02, fixed=1.0, rows=0.8, taper=0.0, cover=0.6,
        sizes=0.1, light=0.05, hue=0.02,
    )  # fmt: skip
    on_dark = dataclasses.replace(stones, ground=reading.ink)
    flat = Hand(kind="flat", **own | {"contour": 0.0, "grain": 0.0})
    variants: list[tuple[Hand, list[dict[str, Any]]]] = [
        (brush, BRUSHES),
        (dots, [{"width": 6.6}, {"width": 9.0}, {"width": 4.5}, {"width": 14.0},
                {"width": 9.0, "aspect": 1.8, "tilt": 0.4}]),
        (pencil, [{}, {"width": 1.0, "cover": 0.25, "first_tone": 0.0, "last_tone": 0.7},
                  {"width": 0.8, "cover": 0.25, "aspect": 36.0},
                  {"cover": 0.7}, {"width": 2.2, "aspect": 14.0}, {"tint": 1.0},
                  {"width": 1.8, "tint": 1.0, "cover": 0.8},
                  {"aspect": 12.0, "cover": 0.7, "directions": crossed}]),
        (stipple, [{}, {"width": 4.5}, {"tint": 1.0}]),
        (chalk, [{}, {"tint": 0.6}, {"tint": 1.0, "width": 3.0, "cover": 0.6},
                 {"tint": 1.0, "width": 2.0, "aspect": 12.0, "cover": 0.8, "directions": crossed}]),
        (engraved, [{}, {"width": 4.5}, {"directions": crossed}]),
        (cut, [{}]),
        (printed, [{}, {"directions": reading.directions[:1]}, {"tint": 1.0}]),
        (stones, [{}, {"width": 16.0}, {"aspect": 2.4}, {"cover": 0.8},
                  {"rows": 0.0, "cover": 1.1}]),
        (on_dark, [{}, {"width": 14.0}, {"width": 4.5, "aspect": 3.0},
                   {"width": 2.4, "aspect": 6.5, "light": 0.06}]),
        (flat, [{}, {"contour": 1.0}, {"contour": 1.0, "contour_width": 4.0, "smooth": 5.0},
                {"smooth": 6.0, "colours": 7}]),
        (dataclasses.replace(flat, rim=0.35, light=0.2, colours=20), [{}, {"light": 0.08}]),
    ]  # fmt: skip
    return [dataclasses.replace(base, **change) for base, changes in variants for change in changes]
