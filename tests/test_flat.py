from cadl.strokes.flat import draw_areas, find_palette
from cadl.strokes.hand import Hand

import numpy as np

HAND = Hand(kind="flat", smooth=1.0)


def halves(strength=1.0, hand=HAND, size=(360, 640)):
    """Points left of the middle are red, right of it blue."""
    y, x = np.mgrid[2:180:4, 2:320:4]
    places = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    red, blue = np.array([0.9, 0.1, 0.1], np.float32), np.array([0.1, 0.1, 0.9], np.float32)
    colours = np.where(places[:, :1] < 160, red, blue)
    canvas = np.full((*size, 3), 77, np.uint8)
    return draw_areas(canvas, places, colours, np.stack([red, blue]), hand, strength), canvas


def test_areas_have_the_colours_of_their_points_at_any_size():
    for size in ((360, 640), (720, 1280), (180, 320)):
        drawn, _ = halves(size=size)
        middle = size[1] // 2
        edge = max(4, size[1] // 100)
        assert (drawn[:, : middle - edge] == (230, 26, 26)).all()
        assert (drawn[:, middle + edge :] == (26, 26, 230)).all()


def test_nothing_is_drawn_at_strength_0():
    drawn, canvas = halves(0.0)
    np.testing.assert_array_equal(drawn, canvas)


def test_contours_lie_where_areas_meet_and_nowhere_else():
    ink = Hand(kind="flat", smooth=1.0, contour=1.0, contour_width=4.0, ink=(0.0, 0.0, 0.0))
    drawn, _ = halves(hand=ink)
    dark = (drawn.max(axis=2) < 40).any(axis=0)
    assert set(np.flatnonzero(dark)) and np.abs(np.flatnonzero(dark) - 319.5).max() < 6


def test_a_palette_finds_the_colours_of_a_poster():
    poster = np.repeat(np.array([[9, 9, 9], [200, 30, 30], [30, 200, 90]], np.uint8), 50, axis=0)
    found = np.rint(255 * find_palette(poster.reshape(10, 15, 3), 3))
    assert {tuple(map(int, colour)) for colour in found} == {tuple(map(int, c)) for c in poster}


def test_a_palette_of_one_colour_is_one_colour():
    assert find_palette(np.full((8, 8, 3), 50, np.uint8), 10).shape == (1, 3)
