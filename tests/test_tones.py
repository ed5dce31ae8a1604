from cadl.strokes.drawing import draw_strokes
from cadl.strokes.hand import Hand
from cadl.strokes.looks import measure_looks
from cadl.strokes.stroke import Strokes
from cadl.strokes.tones import measure_tones
from cadl.strokes.tracks import StrokeTracker

import numpy as np
import pytest

HEIGHT, WIDTH = 90, 160
PENCIL = Hand(
    kind="hatching", width=0.8, aspect=30.0, cover=0.35, bend=0.1, tilt=0.05, first_tone=0.0,
    directions=(0.7, 2.2, 0.1, 1.6), ground=(0.97, 0.97, 0.97), ink=(0.3, 0.3, 0.3),
)  # fmt: skip
CHALK = Hand(
    kind="hatching", width=2.0, aspect=12.0, cover=1.2, directions=(0.7, 2.2),
    ground=(0.1, 0.1, 0.12), ink=(0.9, 0.9, 0.85),
)  # fmt: skip
STIPPLE = Hand(kind="hatching", width=2.4, aspect=1.2, cover=0.35, tilt=1.0)
ENGRAVED = Hand(
    kind="hatching", width=7.0, aspect=2.5, cover=0.9, rows=1.0, swell=1.0, sizes=0.0, tilt=0.0,
    bend=0.0, taper=0.0, directions=(0.3,),
)  # fmt: skip
HALFTONE = Hand.from_json(
    ENGRAVED.to_json() | {"aspect": 1.0, "taper": 0.75, "cover": 1.6, "directions": [0.0]},
    "halftone",
)


def hatched_light(hand: Hand, light: float, scale: float) -> float:
    """Returns the mean light of an even frame of one light, hatched."""
    frame = np.full((HEIGHT, WIDTH, 3), round(255 * light), np.uint8)
    carried = StrokeTracker([hand], (WIDTH, HEIGHT)).add(0, frame, None)
    looks = measure_looks(frame, frame, hand, [own.places for own in carried], frame)
    strokes = [
        Strokes(own.places, own.identities, np.ones(len(own.places), np.float32), look)
        for own, look in zip(carried, looks, strict=True)
    ]
    canvas = np.zeros((round(HEIGHT * scale), round(WIDTH * scale), 3), np.uint8)
    return float(draw_strokes(canvas, strokes, hand, scale=scale).mean() / 255)


@pytest.mark.parametrize("width", [0.6, 0.8, 1.0, 1.6])
@pytest.mark.parametrize("scale", [1.0, 1.33, 2.0, 2.7, 4.0])
def test_hatching_has_the_light_of_what_it_shows(width, scale):
    """Whatever the width of the lines and of the video, as thin lines are drawn larger first."""
    hand = Hand.from_json(PENCIL.to_json() | {"width": width}, "pencil")
    for light in (0.6, 0.75, 0.9):
        assert hatched_light(hand, light, scale) == pytest.approx(light, abs=0.025)


@pytest.mark.parametrize("scale", [1.0, 2.0, 6.0])
@pytest.mark.parametrize("hand", [ENGRAVED, HALFTONE])
def test_prints_have_the_light_of_what_they_show_at_any_size(hand, scale):
    for light in (0.3, 0.5, 0.7, 0.9):
        assert hatched_light(hand, light, scale) == pytest.approx(light, abs=0.025)


@pytest.mark.parametrize("hand, lights", [
    (CHALK, (0.3, 0.5, 0.7)), (STIPPLE, (0.5, 0.65, 0.8)),
])  # fmt: skip
def test_chalk_and_dots_have_the_light_of_what_they_show(hand, lights):
    for light in lights:
        assert hatched_light(hand, light, 2.0) == pytest.approx(light, abs=0.03)


def test_lights_grow_and_tones_follow_the_ink():
    for hand, first in ((PENCIL, 1.3), (CHALK, 0.0)):
        lights, tones = measure_tones(hand)
        assert (np.diff(lights) > 0).all()
        assert tones[0] == first and tones[-1] == 1.3 - first
