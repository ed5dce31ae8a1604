from cadl.images.colours import Colours, map_between, mix

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
    np.testing.assert_allclose(found.covariance, goal.covariance, atol=1e-3)


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
    dark, light = (Colours(np.full(3, value), value * np.eye(3), value) for value in (0.2, 0.6))
    found = mix([dark, light], [0.25, 0.75])
    np.testing.assert_allclose(found.mean, 0.5)
    np.testing.assert_allclose(found.covariance, 0.5 * np.eye(3))
    assert found.chroma == pytest.approx(0.5)


def test_chroma_is_that_of_all_pixels_not_of_their_means():
    """Red and green dots that lie side by side are colourful, though their mean is not."""
    dots = np.zeros((1, 40, 40, 3), np.uint8)
    dots[:, ::2, :, 0] = dots[:, 1::2, :, 1] = 200
    assert Colours.of(dots).chroma == pytest.approx(200 / 255)
    assert Colours.of(np.full((1, 40, 40, 3), 90, np.uint8)).chroma == 0
