import dataclasses

from cadl.strokes.drawing import Strokes, draw_strokes
from cadl.strokes.hand import Hand
from cadl.strokes.looks import Looks
from cadl.strokes.on_film import draw_on_film

import cv2
import numpy as np
import pytest

HEIGHT, WIDTH, SCALE = 720, 1280, 4
HAND = Hand(width=8.0, finest=2.0, light=0.2, bristles=0.5, relief=0.8)
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
BARE = dataclasses.replace(HAND, bare=1.0)
SOFT = dataclasses.replace(HAND, soft=2.0)
COARSE = dataclasses.replace(HAND, finest=60.0)


def strokes_of(count):
    """Grey strokes all over, as many in each layer."""
    rng = np.random.default_rng(0)
    ones, nothing = np.ones(count, np.float32), np.zeros((count, 2), np.float32)
    axis = np.tile(np.float32([1, 0]), (count, 1))
    places = rng.random((count, 2)) * (WIDTH / SCALE, HEIGHT / SCALE)
    own = Strokes(
        places.astype(np.float32), np.arange(count), ones,
        Looks(axis, nothing, ones, nothing, 9 * ones, np.full((count, 3), 0.5, np.float32)),
    )  # fmt: skip
    return [own] * len(HAND.layers())


PLACE = 400, 360


def spot_at(place):
    """A dark spot a little larger than the finest strokes are wide, on a light ground."""
    light = np.full((HEIGHT, WIDTH), 200, np.float32)
    cv2.circle(light, place, 5, 60.0, -1)
    return light


def film_with(light):
    return np.repeat(np.clip(light, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def test_small_forms_are_drawn_and_large_ones_and_single_pixels_are_not():
    drawn = draw_on_film(GREY, film_with(spot_at(PLACE)), strokes_of(0), HAND).astype(int)
    x, y = PLACE
    assert drawn[y, x].max() < 128 - 30 and drawn[y, x + 3].max() < 128 - 20
    assert abs(drawn.mean() - 128) < 1 and np.abs(drawn[:, x + 80 :] - 128).max() <= 1
    slope = 60 + np.linspace(0, 150, WIDTH)[None] * np.ones((HEIGHT, 1))
    pixels = 128 + 40 * (np.indices((HEIGHT, WIDTH)).sum(0) % 2)
    for light in (slope, pixels):
        drawn = draw_on_film(GREY, film_with(light), strokes_of(0), HAND)[80:-80, 80:-80]
        assert np.abs(drawn.astype(int) - 128).max() <= 3


def test_forms_come_with_the_strength():
    x, y = PLACE
    nothing, half, whole = (
        128
        - draw_on_film(GREY, film_with(spot_at(PLACE)), strokes_of(0), HAND, strength=own)[y, x, 0]
        for own in (0.0, 0.5, 1.0)
    )
    assert nothing == 0 and half == pytest.approx(whole / 2, abs=1)


@pytest.mark.parametrize("hand", [BARE, SOFT, COARSE])
def test_no_forms_are_drawn_on_bare_ground_in_washes_and_by_coarse_hands(hand):
    strokes = strokes_of(0)[: len(hand.layers())]
    drawn = draw_on_film(GREY, film_with(spot_at(PLACE)), strokes, hand)
    np.testing.assert_array_equal(drawn, draw_strokes(GREY, strokes, hand))


def test_opaque_strokes_are_calmer_than_in_a_painting_and_single_ones_are_not():
    def spread(draw, hand):
        strokes = strokes_of(1500)[: len(hand.layers())]
        return float(draw(strokes, hand).std())

    def on_film(strokes, hand):
        return draw_on_film(GREY, GREY, strokes, hand)

    def in_painting(strokes, hand):
        return draw_strokes(GREY, strokes, hand)

    ratio = spread(on_film, HAND) / spread(in_painting, HAND)
    assert 0.6 < ratio < 0.85
    assert spread(on_film, BARE) == spread(in_painting, BARE)
