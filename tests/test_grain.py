import math

from cadl import grain, tiles

import numpy as np
import pytest


def stripes(angle):
    """Draws stripes that run at an angle (in turns, clockwise from the horizontal)."""
    y, x = np.mgrid[0 : tiles.HEIGHT : 4, 0 : tiles.WIDTH : 4]
    across = y * math.cos(2 * math.pi * angle) - x * math.sin(2 * math.pi * angle)
    return np.repeat((0.5 + 0.4 * np.sin(across / 12))[None, ..., None], 3, -1).astype(np.float32)


@pytest.mark.parametrize("angle", [0, 1 / 16, 1 / 8, 1 / 4, 3 / 8])
def test_directions_run_along_stripes(angle):
    found = np.asarray(grain.directions(stripes(angle)))[0, 10:-10, 10:-10, :2]
    wanted = [math.cos(4 * math.pi * angle), math.sin(4 * math.pi * angle)]
    assert (found @ np.float32(wanted)).min() > 0.95


def test_directions_have_length_1_and_an_even_picture_swirls():
    even = np.full((1, 45, 80, 3), 0.3, np.float32)
    *_, detail = found = np.moveaxis(np.asarray(grain.directions(even))[0], -1, 0)
    np.testing.assert_allclose((found[:2] ** 2).sum(0), 1, atol=1e-2)
    assert detail.max() < 1e-3
    assert np.abs(found[:2].mean((1, 2))).max() < 0.6  # they turn


def test_lines_keep_the_variance_of_noise():
    lines = grain.fixed_lines()
    assert lines.shape == (90, 160, 3 * grain.DIRECTIONS)
    np.testing.assert_allclose(lines[14:-14, 14:-14].std((0, 1)), 1, atol=0.2)


@pytest.mark.parametrize(("angle", "axis"), [(0, 1), (1 / 4, 0)])
def test_laid_grain_is_longer_along_than_across(angle, axis):
    laid = np.asarray(grain.lay(grain.fixed_lines(), grain.directions(stripes(angle))))[0, ..., 0]
    along, across = (
        np.corrcoef(laid.ravel(), np.roll(laid, 4, way).ravel())[0, 1] for way in (axis, 1 - axis)
    )
    assert along > 0.5 and abs(across) < 0.15


def test_grain_does_not_move_when_the_picture_does_not():
    first, second = (
        np.asarray(grain.lay(grain.fixed_lines(), grain.directions(stripes(0.1)))) for _ in "12"
    )
    np.testing.assert_array_equal(first, second)
