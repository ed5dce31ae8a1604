import dataclasses

from cadl.strokes.drawing import draw_strokes
from cadl.strokes.hand import Hand
from cadl.strokes.stroke import Looks, Manner, Strokes, unit_vectors
from cadl.strokes.surface import Wet

import cv2
import numpy as np
import pytest

# One layer, and nothing left to chance: blunt strokes that are all alike.
PLAIN = Hand(
    width=20.0, aspect=4.0, under=0.0, finest=20.0, sizes=0.0, tilt=0.0, bend=0.0, taper=0.0,
    ragged=0.0, bristles=0.0, relief=0.0, light=0.0, hue=0.0,
)  # fmt: skip
LIVELY = Hand(width=20.0, under=0.0, finest=20.0)
BLACK = np.zeros((360, 640, 3), np.uint8)


def strokes_of(places, angles, colours, *, bend=0.0, lean=0.0, reach=1.0, growth=1.0, start=0):
    count = len(places)
    angles = np.broadcast_to(np.float32(angles), count)
    axis = np.stack([np.cos(2 * angles), np.sin(2 * angles)], axis=1).astype(np.float32)
    along = unit_vectors(axis)
    looks = Looks(
        axis, np.float32(bend) * along, np.full(count, reach, np.float32),
        np.float32(lean) * along, np.full(count, 9, np.float32),
        np.broadcast_to(np.float32(colours), (count, 3)), np.zeros(count, np.float32),
    )  # fmt: skip
    return Strokes(
        np.array(places, np.float32), np.arange(start, start + count),
        np.full(count, growth, np.float32), looks,
    )  # fmt: skip


def many(count=400, seed=0):
    rng = np.random.default_rng(seed)
    places = rng.random((count, 2)) * (320, 180)
    return strokes_of(
        places, rng.random(count) * np.pi, rng.random((count, 3)), bend=0.01, lean=0.2, reach=0.8
    )


def test_at_strength_0_the_canvas_stays_as_it_is_bit_for_bit():
    canvas = np.random.default_rng(0).integers(0, 256, (360, 640, 3)).astype(np.uint8)
    before = canvas.copy()
    drawn = draw_strokes(canvas, [many()], LIVELY, Manner(strength=0.0))
    np.testing.assert_array_equal(drawn, before)
    np.testing.assert_array_equal(canvas, before)
    assert (draw_strokes(canvas, [many()], LIVELY) != before).any()
    np.testing.assert_array_equal(canvas, before)  # what is given is never drawn upon


def covered(size, place, degrees, **options):
    """Draws one white stroke on black; returns what it covers, and each pixel's place in it."""
    width, height = size
    scale = max(size) / 320
    angle = np.radians(degrees)
    own = strokes_of([place], angle, 1.0, **options)
    drawn = draw_strokes(np.zeros((height, width, 3), np.uint8), [own], PLAIN)[..., 0] / 255
    y, x = np.mgrid[0:height, 0:width] + 0.5
    x, y = (v - scale * (p + 0.5) for v, p in zip((x, y), place, strict=True))
    return drawn, x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


@pytest.mark.parametrize("size", [(320, 180), (640, 360), (1280, 544), (360, 640)])
@pytest.mark.parametrize("degrees", [0, 30, 90, 115])
def test_a_stroke_covers_its_place_its_length_and_its_width_and_nothing_else(size, degrees):
    drawn, along, across = covered(size, (100.3, 71.8), degrees)
    scale = max(size) / 640
    half_length, half_width = 0.5 * 80 * scale, 0.5 * 20 * scale
    beyond = np.maximum(np.abs(along) - half_length, np.abs(across) - half_width)
    assert drawn[beyond > 1].max() < 0.5 and not drawn[beyond > 1.75].any()  # faint
    within = np.hypot(along / (half_length - 1), across / (half_width - 1)) < 0.96
    assert within.sum() > 100 and drawn[within].min() > 0.99
    # Blunt, most of a rectangle; smoothed edges add half a pixel all round.
    assert 3.2 * half_length * half_width < drawn.sum()
    assert drawn.sum() < 4 * (half_length + 0.5) * (half_width + 0.5)


def test_a_stroke_of_half_growth_is_half_as_long_and_broad():
    whole, half = (covered((2560, 1440), (100, 70), 30, growth=g)[0].sum() for g in (1.0, 0.5))
    assert half == pytest.approx(whole / 4, rel=0.05)


def test_a_stroke_leans_where_it_reaches_further():
    drawn, along, _ = covered((640, 360), (100, 70), 30, lean=0.4, reach=0.6)
    ahead, behind = (np.abs(along[(drawn > 0.5) & side]).max() for side in (along > 0, along < 0))
    assert ahead == pytest.approx(40, abs=1.5) and behind == pytest.approx(0.2 * 40, abs=1.5)


@pytest.mark.parametrize("bend", [-0.02, 0.02])
def test_a_stroke_bends_to_the_side_of_its_sign(bend):
    drawn, along, across = covered((640, 360), (100, 70), 20, bend=bend)
    ends = (drawn > 0.5) & (np.abs(along) > 25)
    middle = (drawn > 0.5) & (np.abs(along) < 5)
    assert np.sign(across[ends].mean() - across[middle].mean()) == np.sign(bend)
    wanted = 0.5 * 0.5 * bend * np.square(along[ends]).mean()  # in pixels of 640
    assert across[ends].mean() == pytest.approx(wanted, abs=1)


@pytest.mark.parametrize("hand", [PLAIN, LIVELY])
def test_half_a_turn_of_the_direction_draws_the_same(hand):
    """Just before and just after the angle at which the direction's sign changes."""
    rng = np.random.default_rng(2)
    places, colours = rng.random((150, 2)) * (320, 180), rng.random((150, 3))
    upward = np.float32([0, 1])
    drawn = []
    for degrees in (89.9, 90.1):
        own = strokes_of(places, np.radians(degrees), colours, reach=0.7)
        vectors = [np.tile(size * upward, (150, 1)) for size in (0.02, 0.3)]
        looks = dataclasses.replace(own.looks, bend=vectors[0], lean=vectors[1])
        own = dataclasses.replace(own, looks=looks)
        drawn.append(draw_strokes(BLACK, [own], hand).astype(float))
    assert np.sign(unit_vectors(own.looks.axis)[:, 1]).max() == -1  # it did turn
    differences = np.abs(drawn[0] - drawn[1])
    assert differences.mean() < 1.5 and (differences.max(axis=2) > 60).mean() < 0.005
    assert drawn[0].mean() > 20


def test_at_two_sizes_the_drawing_agrees():
    small, large = (
        draw_strokes(np.zeros((height, width, 3), np.uint8), [many()], PLAIN)
        for width, height in ((640, 360), (1280, 720))
    )
    reduced = cv2.resize(large, (640, 360), interpolation=cv2.INTER_AREA).astype(float)
    differences = np.abs(reduced - small)
    assert differences.mean() < 3.5 and np.quantile(differences, 0.99) < 75
    aside = np.abs(np.roll(reduced, 2, axis=1) - small)
    assert aside.mean() > 2 * differences.mean()


def test_the_order_of_drawing_is_by_identity_and_not_by_the_order_of_arrays():
    own, order = many(), np.random.default_rng(3).permutation(400)
    mixed = Strokes(
        own.places[order], own.identities[order], own.growth[order],
        Looks.of_table(own.looks.table()[order]),
    )  # fmt: skip
    drawn = draw_strokes(BLACK, [own], LIVELY)
    np.testing.assert_array_equal(draw_strokes(BLACK, [mixed], LIVELY), drawn)
    others = dataclasses.replace(own, identities=own.identities[::-1].copy())
    assert (draw_strokes(BLACK, [others], LIVELY) != drawn).any()


def test_a_finer_stroke_that_adds_nothing_is_not_drawn():
    hand = dataclasses.replace(PLAIN, finest=10.0)
    assert len(hand.layers()) == 2
    broad, fine = strokes_of([(-500, -500)], 0, 1.0), strokes_of([(100, 70)], 0, 1.0)
    seen = []
    for need in (0.0, 9.0):
        looks = dataclasses.replace(fine.looks, need=np.float32([need]))
        own = dataclasses.replace(fine, looks=looks)
        seen.append(draw_strokes(BLACK, [broad, own], hand).any())
    assert seen == [False, True]


def test_relief_lights_paint_and_leaves_an_empty_canvas_alone():
    grey = np.full((360, 640, 3), 128, np.uint8)
    hand = dataclasses.replace(PLAIN, relief=1.0)
    none = strokes_of([(-500, -500)], 0, 1.0)
    np.testing.assert_array_equal(draw_strokes(grey, [none], hand), grey)
    own = many()
    looks = dataclasses.replace(own.looks, colours=np.full((400, 3), 128 / 255, np.float32))
    lit = draw_strokes(grey, [dataclasses.replace(own, looks=looks)], hand).astype(int)
    assert lit.min() < 120 and lit.max() > 136 and abs(lit.mean() - 128) < 2
    assert np.ptp(lit, axis=2).max() == 0  # light has no colour


def test_a_share_of_the_strokes_is_so_many_of_them_and_always_the_same():
    y, x = np.mgrid[10:170:20, 20:300:20]
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    small = dataclasses.replace(PLAIN, width=6.0, aspect=1.0, finest=6.0)
    whole, some, again = (
        draw_strokes(BLACK, [strokes_of(places, 0.0, 1.0)], small, Manner(share=share))
        for share in (1.0, 0.4, 0.4)
    )
    assert 0.3 < (some > 128).sum() / (whole > 128).sum() < 0.5
    np.testing.assert_array_equal(some, again)
    assert (whole[some > 128] > 128).all()


def test_contours_are_of_ink_as_far_as_the_hand_says():
    places = np.linspace((100, 90), (220, 90), 40)
    for contour in (0.5, 1.0):
        hand = dataclasses.replace(PLAIN, contour=contour, contour_width=6.0, ink=(0.0, 0.0, 1.0))
        layers = [strokes_of([], 0.0, 0.0), strokes_of(places, 0.0, (1.0, 0.0, 0.0))]
        drawn = draw_strokes(BLACK, layers, hand)
        expected = 255 * np.array((1 - contour, 0, contour))
        np.testing.assert_allclose(drawn[180, 220:420], np.tile(expected, (200, 1)), atol=2)
        assert not drawn[:160].any() and not drawn[200:].any()


def test_accents_are_few_strokes_that_differ_more_and_lie_on_top():
    apart = [(x, y) for x in range(8, 320, 16) for y in range(4, 180, 8)]
    grey = np.full((360, 640, 3), 128, np.uint8)
    lights, tops = [], []
    for accents in (1.0, 4.0):
        hand = dataclasses.replace(
            PLAIN, width=6.0, aspect=2.0, finest=6.0, light=0.06, accents=accents
        )
        drawn = draw_strokes(grey, [strokes_of(apart, 0.0, 0.5)], hand)
        lights.append(np.array([drawn[2 * y, 2 * x, 0] for x, y in apart]) - 128.0)
        crowds = [strokes_of([(160, 90)] * 50, 0.0, 0.5, start=50 * i) for i in range(40)]
        seen = [draw_strokes(grey, [own], hand)[180, 320, 0] - 128.0 for own in crowds]
        tops.append(np.abs(seen).mean())
    even, few = lights
    assert few.std() == pytest.approx(even.std(), rel=0.2)
    assert (np.abs(few) > few.std()).mean() < 0.3 < (np.abs(even) > even.std()).mean()
    assert np.abs(few).max() > 1.3 * np.abs(even).max()
    assert tops[1] > 2 * tops[0]  # the uppermost of fifty strokes is rarely a usual one


@pytest.mark.parametrize("bristles", [0.0, 0.8])
def test_a_quiet_hands_strokes_differ_less_where_the_picture_is_even(bristles):
    hand = dataclasses.replace(LIVELY, light=0.1, bristles=bristles)
    quiet = dataclasses.replace(hand, quiet=0.8)
    own = strokes_of(many().places, 0.3, 0.5)
    even = dataclasses.replace(own, looks=dataclasses.replace(own.looks, need=0 * own.growth))
    grey = np.full((360, 640, 3), 128, np.uint8)
    np.testing.assert_array_equal(draw_strokes(grey, [own], hand), draw_strokes(grey, [own], quiet))
    spreads = [draw_strokes(grey, [even], by).std() for by in (quiet, hand)]
    assert 0.1 < spreads[0] / spreads[1] < 0.3


def test_calm_strokes_have_one_colour_and_wet_ones_run_together():
    hand = dataclasses.replace(LIVELY, light=0.1)
    own = strokes_of(many().places, 0.3, 0.5)
    calm = dataclasses.replace(own, calm=np.ones(len(own.places), np.float32))
    grey = np.full((360, 640, 3), 128, np.uint8)
    everywhere = np.ones((180, 320), np.float32)
    wet = Manner(wet=Wet(everywhere, everywhere, 12.0))
    lively, one_colour, running = (
        draw_strokes(grey, *how).std()
        for how in (([own], hand), ([calm], hand), ([own], hand, wet))
    )
    assert one_colour < 0.1 * lively and running < 0.6 * lively


def test_some_of_the_strokes_are_drawn_as_in_the_whole_layer():
    own = many()
    calm = own.places[:, 0] / np.float32(320)
    some = dataclasses.replace(own, broadest=2.5, calm=calm).some(0.5)
    assert 0.4 < len(some.places) / len(own.places) < 0.6 and some.broadest == 2.5
    np.testing.assert_array_equal(some.calm, some.places[:, 0] / np.float32(320))


@pytest.mark.parametrize(("aspect", "longer"), [(4.0, False), (1.0, True)])
def test_strokes_that_swell_grow_with_the_tone_lines_in_width_and_dots_to_all_sides(aspect, longer):
    hand = dataclasses.replace(
        PLAIN, kind="hatching", aspect=aspect, rows=1.0, swell=1.0, first_tone=0.0,
        directions=(0.0,), ground=(1.0, 1.0, 1.0), ink=(0.0, 0.0, 0.0),
    )  # fmt: skip
    sizes = []
    for tone in (0.4, 1.0):
        one = strokes_of([(160, 90)], 0.0, [(0, 0, 0)])
        one = dataclasses.replace(
            one, looks=dataclasses.replace(one.looks, need=np.float32([tone]))
        )
        y, x = np.nonzero(draw_strokes(BLACK, [one], hand, scale=2.0)[..., 0] < 128)
        sizes.append((np.ptp(x) + 1, np.ptp(y) + 1))
    (short, thin), (long, thick) = sizes
    assert thick == pytest.approx(20, abs=2)
    assert thin == pytest.approx(20 * (0.4**0.5 if longer else 0.4), abs=2)
    assert short == pytest.approx(0.4**0.5 * long if longer else long, abs=2)
