"""Frames in a painter's colours: what is shifted follows forms, and contrast stays."""

from cadl.conversion.clip import Geometry
from cadl.conversion.recolouring import CONTRAST, Recolouring, follow_forms, recolour
from cadl.images.colours import ColourMap
from cadl.images.metrics import LUMINANCE

import numpy as np
import pytest

RNG = np.random.default_rng(0)
GEOMETRY = Geometry((320, 180), (320, 180), (640, 360), (640, 360))
FRAME = RNG.integers(0, 256, (180, 320, 3)).astype(np.uint8)
NOTHING = np.zeros((45, 80, 3), np.float32)


@pytest.fixture
def figure():
    """A dark figure on a light ground, float32 [45, 80, 3], and where it is."""
    inside = np.zeros((45, 80), bool)
    inside[12:, 30:50] = True
    return np.where(inside[..., None], np.float32(0.2), np.float32(0.6)) + NOTHING, inside


def test_a_frame_that_nothing_is_added_to_stays_to_the_bit():
    recolouring = Recolouring.of(GEOMETRY, FRAME, NOTHING)
    for picture in (FRAME, np.repeat(np.repeat(FRAME, 2, axis=0), 2, axis=1)):
        np.testing.assert_array_equal(recolour(GEOMETRY, recolouring, picture, FRAME), picture)


def test_an_even_shift_is_added_everywhere():
    recolouring = Recolouring.of(GEOMETRY, FRAME // 2, NOTHING + np.float32([0.1, 0.0, 0.2]))
    found = recolour(GEOMETRY, recolouring, FRAME // 2, FRAME // 2)
    added = found.astype(int) - FRAME // 2
    np.testing.assert_allclose(added, np.broadcast_to([25.5, 0, 51], added.shape), atol=1)


def test_a_shift_of_a_figure_ends_at_its_edge(figure):
    """One that was blurred before lay round it like a glow."""
    tile, inside = figure
    blue = np.float32([-0.05, 0.0, 0.1])
    spread = np.zeros((45, 80), np.float32)
    for y, x in zip(*np.nonzero(inside), strict=True):
        spread[max(0, y - 5) : y + 6, max(0, x - 5) : x + 6] += 1 / 121
    offset, slope = follow_forms(spread[..., None] * blue, tile)
    found = offset + slope * (tile @ LUMINANCE)[..., None]
    rim = np.zeros_like(inside)
    rim[8:, 26:54] = True
    rim &= ~inside
    assert found[inside, 2].mean() > 0.06 and found[rim, 2].mean() < 0.4 * spread[rim].mean() * 0.1


def test_contrast_in_light_is_hardly_lost_where_a_shift_would_level_it(figure):
    tile, inside = figure
    levelling = np.where(inside[..., None], np.float32(0.2), np.float32(-0.2)) + NOTHING
    offset, slope = follow_forms(levelling, tile)
    found = tile + offset + slope * (tile @ LUMINANCE)[..., None]
    kept = (found[~inside].mean() - found[inside].mean()) / 0.4
    assert 0.6 < kept <= 1 + CONTRAST[0]  # nothing would be left by the shift itself


def test_a_map_of_colours_follows():
    matrix = np.eye(3, dtype=np.float32) + 0.2 * RNG.random((3, 3)).astype(np.float32)
    added = np.float32([0.05, 0.0, -0.1])
    first = Recolouring.of(GEOMETRY, FRAME // 2, NOTHING + 0.05)
    once = recolour(GEOMETRY, first, FRAME // 2, FRAME // 2)
    twice = recolour(GEOMETRY, first.then(ColourMap(matrix, added)), FRAME // 2, FRAME // 2)
    wanted = np.clip(once @ matrix + 255 * added, 0, 255)
    np.testing.assert_allclose(twice, wanted, atol=2)


def test_colours_purer_than_the_painters_are_softened_by_what_the_small_frame_shows():
    grey_painter = Recolouring.of(GEOMETRY, FRAME, NOTHING)._replace(
        gamut=(np.zeros(24, np.float32), 1.0)
    )
    found = recolour(GEOMETRY, grey_painter, FRAME, FRAME).astype(int)
    assert np.ptp(found, axis=2).mean() < 3 < np.ptp(FRAME.astype(int), axis=2).mean()
