import dataclasses

from cadl.strokes.drawing import DEEP, draw_strokes
from cadl.strokes.hand import Hand
from cadl.strokes.on_film import (
    ACCENTS_EVENED,
    BROADER,
    CALMER_THERE,
    QUICKLY,
    RESTING,
    SPARSE,
    VARIED,
    VARYING,
    build_strokes,
    calmed,
    draw_forms,
    find_rest,
    find_wet,
    sharpened,
)
from cadl.strokes.points import hashed
from cadl.strokes.stroke import Looks, Strokes
from cadl.strokes.track_files import Tracked

import cv2
import numpy as np
import pytest

HEIGHT, WIDTH, SCALE = 720, 1280, 4
X, Y = 400, 360
HAND = Hand(width=8.0, finest=2.0, light=0.2, bristles=0.5, relief=0.8)
BARE = dataclasses.replace(HAND, bare=1.0, under=0.0)
SOFT = dataclasses.replace(HAND, soft=2.0)
COARSE = dataclasses.replace(HAND, finest=60.0)
GREY = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
SPOT = np.full_like(GREY, 200)  # a dark spot, a little larger than the finest strokes are wide
cv2.circle(SPOT, (X, Y), 5, (60, 60, 60), -1)


def test_small_forms_are_drawn_and_large_ones_and_single_pixels_are_not():
    drawn = draw_forms(GREY, SPOT, HAND, 1.0).astype(int)
    assert drawn[Y, X].max() < 128 - 30 and drawn[Y, X + 3].max() < 128 - 20
    assert abs(drawn.mean() - 128) < 1 and np.abs(drawn[:, X + 80 :] - 128).max() <= 1
    slope = 60 + np.linspace(0, 150, WIDTH)[None] * np.ones((HEIGHT, 1))
    pixels = 128 + 40 * (np.indices((HEIGHT, WIDTH)).sum(0) % 2)
    for light in (slope, pixels):
        film = np.repeat(light.astype(np.uint8)[..., None], 3, axis=2)
        drawn = draw_forms(GREY, film, HAND, 1.0)[80:-80, 80:-80]
        assert np.abs(drawn.astype(int) - 128).max() <= 3


def test_forms_come_with_their_share_and_take_no_colour_along():
    nothing, half, whole = (128 - draw_forms(GREY, SPOT, HAND, x)[Y, X, 0] for x in (0, 0.5, 1))
    assert nothing == 0 and half == pytest.approx(whole / 2, abs=1)
    red = SPOT.copy()
    red[..., 0] = 255
    drawn = draw_forms(GREY, red, HAND, 1.0)
    assert (drawn != GREY).any() and (np.ptp(drawn, axis=2) == 0).all()


def test_dark_forms_get_darker_without_light_rims():
    """Of a dark stripe, drawn over strokes or sharpened below them."""
    stripe = np.full_like(GREY, 160)
    stripe[:, X - 4 : X + 4] = 90
    row = draw_forms(GREY, stripe, HAND, 1.0)[Y, :, 0].astype(int) - 128
    assert row.min() < -20 and 0 < row.max() < -0.15 * row.min()
    row = sharpened(stripe, HAND)[Y, :, 0].astype(int) - stripe[Y, :, 0]
    assert row.min() < -20 and 0 < row.max() < -0.4 * row.min()
    assert sharpened(stripe, dataclasses.replace(HAND, light=0.0)) is stripe


@pytest.mark.parametrize("hand", [BARE, SOFT, COARSE, Hand(kind="flat"), Hand(kind="hatching")])
def test_no_forms_are_drawn_on_bare_ground_in_washes_and_by_other_hands(hand):
    np.testing.assert_array_equal(draw_forms(GREY, SPOT, hand, 1.0), GREY)


def test_opaque_strokes_are_calmer_than_in_a_painting_and_those_on_bare_ground_are_not():
    rng = np.random.default_rng(0)
    ones, nothing = np.ones(1500, np.float32), np.zeros((1500, 2), np.float32)
    looks = Looks(
        np.tile(np.float32([1, 0]), (1500, 1)), nothing, ones, nothing, 9 * ones,
        np.full((1500, 3), 0.5, np.float32), 0 * ones,
    )  # fmt: skip
    places = (rng.random((1500, 2)) * (WIDTH / SCALE, HEIGHT / SCALE)).astype(np.float32)
    own = [Strokes(places, np.arange(1500), ones, looks)] * len(HAND.layers())
    spreads = [draw_strokes(GREY, own, hand).std() for hand in (calmed(HAND), HAND)]
    assert 0.65 < spreads[0] / spreads[1] < 0.9
    assert calmed(BARE) == BARE


def test_a_calmer_hand_keeps_the_furrows_of_narrow_strokes():
    for bristles in (0.3, DEEP, 0.45, 1.0):
        calm = calmed(dataclasses.replace(HAND, bristles=bristles))
        assert (calm.bristles >= DEEP) == (bristles >= DEEP)


@pytest.mark.parametrize(("hand", "grow"), [
    (Hand(width=7.9), True), (Hand(width=8.0), False), (Hand(width=7.9, under=0.0), False),
    (Hand(kind="hatching", width=1.0), False), (Hand(width=7.9, contour=1.0), True),
    (Hand(width=7.9, finest=60.0), False), (Hand(width=7.9, finest=60.0, contour=1.0), False),
])  # fmt: skip
def test_a_narrow_brush_that_has_finer_strokes_lays_few_broad_ones_where_it_is_even(hand, grow):
    count = 3000
    need = np.repeat(np.float32([0, 9]), count // 2)
    even = need == 0
    none, young = np.zeros((count, 2), np.float32), np.full(count, 0.4, np.float32)
    looks = Looks(none, none, young, none, need, np.zeros((count, 3), np.float32), 0 * young)
    one = Tracked(none, np.arange(count), np.zeros(0, np.uint8), young, 0 * young)
    layers = hand.layers()
    found = build_strokes([one] * len(layers), [looks] * len(layers), hand)
    for number, (layer, own) in enumerate(zip(layers, found, strict=True)):
        np.testing.assert_array_equal(own.growth[~even], young[~even])
        if not grow or layer.coarser:
            np.testing.assert_array_equal(own.growth, young)
            continue
        growth = own.growth[even]
        if number:  # the underpainting's strokes are all alike
            growth = growth * np.exp(VARIED * hashed(own.identities[even], 1, VARYING)[:, 0])
        drawn = growth > 0
        np.testing.assert_allclose(growth.max(), 0.4 * BROADER, rtol=1e-5)
        whole = np.isclose(growth, 0.4 * BROADER).mean()
        assert whole == pytest.approx(1.0 if not number else SPARSE, abs=0.04)
        some = 1.0 if not number else SPARSE + 1 / QUICKLY
        assert drawn.mean() == pytest.approx(some, abs=0.04)


QUIET = dataclasses.replace(HAND, quiet=0.5)


def half_even(hand):
    """Strokes on a film whose left half is even: tracked and looks, a layer each."""
    y, x = np.mgrid[1:180:3, 1:320:3]
    places = np.column_stack([x.ravel(), y.ravel()]).astype(np.float32)
    count = len(places)
    none, one = np.zeros((count, 2), np.float32), np.ones(count, np.float32)
    need = np.where(places[:, 0] < 160, 0, 9).astype(np.float32)
    grey = np.full((count, 3), 0.5, np.float32)
    looks = Looks(np.float32([[1, 0]]) + none, none, one, none, need, grey, 0 * one)
    tracked = Tracked(places, np.arange(count), np.zeros(0, np.uint8), one, 0 * one)
    layers = len(hand.layers())
    return [tracked] * layers, [looks] * layers


def test_a_quiet_hands_colours_run_together_where_a_film_is_even_and_are_calm_around():
    tracked, looks = half_even(QUIET)
    wet = find_wet(tracked, looks, QUIET, (320, 180), 1.0)
    assert wet is not None
    assert (wet.share[:, :145] > 0.99).all() and (wet.share[:, 175:] < 0.01).all()
    assert np.allclose(wet.calm[:, :150], CALMER_THERE, atol=0.01)
    assert (wet.calm[:, 190:] < 0.01).all() and (wet.calm[:, 162] > 0.5 * CALMER_THERE).all()
    half = find_wet(tracked, looks, QUIET, (320, 180), 0.5)
    assert half is not None and np.allclose(half.share, 0.5 * wet.share, atol=1e-5)
    for layer in build_strokes(tracked, looks, QUIET, wet):
        assert layer.calm is not None
        assert layer.calm[layer.places[:, 0] < 150] == pytest.approx(CALMER_THERE, abs=0.01)
        assert layer.calm[layer.places[:, 0] > 195] == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("hand", "strength"),
    [(HAND, 1.0), (Hand(kind="flat", quiet=0.5), 1.0), (QUIET, 0.0),
     (dataclasses.replace(QUIET, bare=1.0, under=0.0), 1.0)],
)  # fmt: skip
def test_nothing_is_wet_for_other_hands_and_without_strength(hand, strength):
    assert find_wet(*half_even(hand), hand, (320, 180), strength) is None


def test_nothing_is_wet_where_nothing_is_even():
    tracked, looks = half_even(QUIET)
    busy = [dataclasses.replace(own, need=np.full_like(own.need, 9)) for own in looks]
    assert find_wet(tracked, busy, QUIET, (320, 180), 1.0) is None


def test_washes_get_what_is_small_and_dark_and_not_what_is_light():
    film = np.full((360, 640, 3), 150, np.uint8)
    film[100:104, 100:104], film[200:204, 100:104] = 110, 250
    canvas = np.full_like(film, (180, 120, 60))
    washes = Hand(kind="flat", rim=0.5)
    drawn = draw_forms(canvas, film, washes, 1.0).astype(int) - canvas
    assert (drawn[102, 102] < -5).all() and (drawn[195:210, 102] > -8).all()
    assert not drawn[:, 150:].any()
    half = draw_forms(canvas, film, washes, 0.5).astype(int) - canvas
    np.testing.assert_allclose(half[102, 102], 0.5 * drawn[102, 102], atol=1)
    np.testing.assert_array_equal(draw_forms(canvas, film, Hand(kind="flat"), 1.0), canvas)


def test_the_canvas_is_seen_where_strokes_rest_and_less_where_they_move():
    tracked, looks = half_even(HAND)
    fast = np.where(tracked[0].places[:, 0] < 160, 0, 2).astype(np.float32)
    moving = [dataclasses.replace(own, speed=fast) for own in looks]
    rest = find_rest(tracked, moving, HAND, (320, 180), 24.0)
    assert rest.shape == (180, 320)
    np.testing.assert_allclose(rest[:, :120], 1, atol=0.01)
    np.testing.assert_allclose(rest[:, 200:], RESTING[1][1], atol=0.01)
    assert np.abs(np.diff(rest, axis=1)).max() < 0.1


def test_broad_strokes_in_even_places_differ_in_size_and_are_no_accents():
    hand = Hand(width=7.9, accents=3.0)
    broad = build_strokes(*half_even(hand), hand)[1]
    even = broad.places[:, 0] < 160
    sizes = broad.growth[even][broad.growth[even] > 0.5 * BROADER]
    assert sizes.std() > 0.15 * sizes.mean() and sizes.max() <= BROADER
    np.testing.assert_array_equal(broad.growth[~even], 1)
    np.testing.assert_allclose(broad.alike, np.where(even, ACCENTS_EVENED, 0))
