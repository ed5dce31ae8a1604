from cadl.images.colours import (
    HUES,
    TO_LIGHT_AND_CHROMA,
    UNCHANGED,
    ColourMap,
    Colours,
    map_between,
    mix,
    soften,
    softening,
)
from cadl.images.metrics import LUMINANCE

import cv2
import numpy as np
import pytest

RNG = np.random.default_rng(0)


def mapped(pixels, goal):
    matrix, shift = map_between(Colours.of_pixels(pixels), goal)
    return pixels @ matrix + shift


def test_the_map_gives_colours_the_mean_and_the_spread_of_others():
    pixels = RNG.random((5000, 3)) @ np.diag([1.0, 0.5, 0.25])
    goal = Colours.of_pixels(RNG.random((5000, 3)) @ RNG.random((3, 3)) / 3)
    found = Colours.of_pixels(mapped(pixels, goal))
    np.testing.assert_allclose(found.mean, goal.mean, atol=1e-4)
    to = TO_LIGHT_AND_CHROMA
    ours, theirs = (to.T @ own.covariance @ to for own in (found, goal))
    assert ours[0, 0] == pytest.approx(theirs[0, 0], rel=0.05)  # the spread of light
    np.testing.assert_allclose(ours[1:, 1:], theirs[1:, 1:], atol=1e-3)  # and that of chroma


def test_dark_green_stays_green_where_what_is_dark_of_the_goal_is_red():
    green, red = (
        Colours.of_pixels(
            np.clip(0.5 + RNG.random((4000, 1)) * np.array(way), 0, 1)
            + 0.02 * RNG.standard_normal((4000, 3))
        )
        for way in ((-0.4, -0.2, -0.4), (-0.1, -0.4, -0.4))
    )
    matrix, added = map_between(green, red)
    light, dark = (np.array(own) @ matrix + added for own in ((0.5, 0.5, 0.5), (0.1, 0.3, 0.1)))
    light, dark = light - light.mean(), dark - dark.mean()
    assert dark[1] - light[1] > 0.02 and dark[0] < light[0]


def test_of_many_pictures_the_spread_within_one_is_known_beside_that_of_all():
    grey = [np.full((8, 8, 3), level, np.uint8) for level in (40, 200)]
    found = Colours.of(np.stack(grey))
    assert np.abs(found.within).max() < 1e-9 and found.covariance[0, 0] > 0.09
    assert found.spread_within == 0 and found.spread_between == pytest.approx(80 / 255)
    striped = np.zeros((1, 8, 8, 3), np.uint8)
    striped[:, :4] = 200
    found = Colours.of(striped)
    np.testing.assert_allclose(found.within, found.covariance)
    assert found.spread_between == 0 and found.spread_within == pytest.approx(100 / 255)


def test_a_map_can_take_a_share_of_the_contrast_in_light_and_leaves_chroma():
    pixels = RNG.random((4000, 3))
    own = Colours.of_pixels(pixels)
    matrix, added = map_between(own, own, 0.7)
    moved, to = pixels @ matrix + added, TO_LIGHT_AND_CHROMA
    ours, theirs = ((x - x.mean(axis=0)) @ to for x in (moved, pixels))
    np.testing.assert_allclose(ours[:, 0], 0.7 * theirs[:, 0], atol=1e-3)
    np.testing.assert_allclose(ours[:, 1:], theirs[:, 1:], atol=1e-4)


def test_maps_follow_each_other_and_go_part_of_the_way():
    first, then = (
        ColourMap(RNG.random((3, 3)).astype("f4"), RNG.random(3).astype("f4")) for _ in range(2)
    )
    pixels = RNG.random((50, 3))
    both = first.then(then)
    np.testing.assert_allclose(
        pixels @ both.matrix + both.added,
        (pixels @ first.matrix + first.added) @ then.matrix + then.added, atol=1e-5,
    )  # fmt: skip
    some, way = first.part(0.25), pixels @ first.matrix + first.added - pixels
    np.testing.assert_allclose(pixels @ some.matrix + some.added, pixels + 0.25 * way, atol=1e-5)
    for same in (UNCHANGED.then(first), first.then(UNCHANGED)):
        np.testing.assert_array_equal(same.matrix, first.matrix)
        np.testing.assert_array_equal(same.added, first.added)


def test_colours_that_are_the_goal_stay():
    own = Colours.of_pixels(RNG.random((500, 3)))
    matrix, shift = map_between(own, own)
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(shift, 0, atol=1e-5)


def test_colours_become_grey_where_the_goal_is_grey():
    grey = Colours.of_pixels(np.repeat(RNG.random((500, 1)), 3, axis=1))
    moved = mapped(RNG.random((500, 3)), grey)
    assert np.ptp(moved, axis=1).mean() < 0.02 and moved.std() > 0.2


def test_an_even_film_is_not_blown_up():
    goal = Colours.of_pixels(RNG.random((500, 3)))
    moved = mapped(np.full((500, 3), 0.4) + 1e-4 * RNG.standard_normal((500, 3)), goal)
    assert moved.std(axis=0).max() < 0.01


def test_a_blend_lies_between():
    dark, light = (
        Colours(np.full(3, x), x * np.eye(3), x / 2 * np.eye(3), x, np.full(HUES, x, np.float32))
        for x in (0.2, 0.6)
    )
    found = mix([dark, light], [0.25, 0.75])
    np.testing.assert_allclose(found.mean, 0.5)
    np.testing.assert_allclose(found.covariance, 0.5 * np.eye(3))
    np.testing.assert_allclose(found.within, 0.25 * np.eye(3))
    assert found.chroma == pytest.approx(0.5)


def test_chroma_is_that_of_all_pixels_not_of_their_means():
    """Red and green dots that lie side by side are colourful, though their mean is not."""
    dots = np.zeros((1, 40, 40, 3), np.uint8)
    dots[:, ::2, :, 0] = dots[:, 1::2, :, 1] = 200
    assert Colours.of(dots).chroma == pytest.approx(200 / 255)
    assert Colours.of(np.full((1, 40, 40, 3), 90, np.uint8)).chroma == 0


def picture_of(hues, chroma, light=0.5):
    """Colours of some hues, 0 to 1, chroma and light, uint8 [1, n, 3]."""
    hsv = np.stack(np.broadcast_arrays(360 * np.asarray(hues), 1.0, 1.0), axis=-1)
    pure = cv2.cvtColor(hsv[None].astype(np.float32), cv2.COLOR_HSV2RGB)
    return np.round(255 * (light + chroma * (pure - 0.5))).astype(np.uint8)


def kept_within(picture, gamut, share):
    scale = softening(picture, gamut, share)
    return picture if scale is None else soften(picture, scale)


def test_a_gamut_is_how_pure_the_colours_of_each_hue_are():
    hues = (np.arange(HUES) + 0.5) / HUES
    chroma = np.where(hues < 0.5, 0.6, 0.2)
    own = Colours.of_pixels(picture_of(np.repeat(hues, 50), np.repeat(chroma, 50)[:, None]))
    np.testing.assert_allclose(own.gamut[2:10], 0.6, atol=0.02)
    np.testing.assert_allclose(own.gamut[14:22], 0.2, atol=0.02)
    assert not Colours.of_pixels(np.full((9, 3), 77, np.uint8)).gamut.any()


def test_colours_beyond_a_gamut_come_within_and_others_stay():
    gamut = np.where(np.arange(HUES) < HUES // 2, 0.6, 0.2).astype(np.float32)
    hues = np.linspace(0.1, 0.4, 30)
    weak, pure = picture_of(hues, 0.3), picture_of(hues + 0.5, 0.8)
    assert softening(weak, gamut, 1.0) is None and softening(pure, gamut, 0.0) is None
    half, whole = (kept_within(pure, gamut, share).astype(int) for share in (0.5, 1.0))
    assert np.ptp(whole, axis=2).max() <= 0.2 * 255 + 2
    assert (np.ptp(half, axis=2) > np.ptp(whole, axis=2) + 20).all()
    np.testing.assert_allclose(whole @ LUMINANCE, pure @ LUMINANCE, atol=1.5)
    order = np.argsort(pure.astype(int), axis=2)
    assert (np.diff(np.take_along_axis(whole, order, axis=2), axis=2) >= 0).all()  # hues stay


def test_a_painter_without_colours_makes_all_grey():
    found = kept_within(picture_of(np.linspace(0, 1, 50), 0.9), np.zeros(HUES, np.float32), 1.0)
    assert np.ptp(found.astype(int), axis=2).max() <= 1
