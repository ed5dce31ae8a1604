import dataclasses

from cadl.strokes.flat import draw_areas, find_palette
from cadl.strokes.hand import Hand
from cadl.strokes.stroke import Looks, Strokes

import cv2
import numpy as np

HAND = Hand(kind="flat", smooth=1.0)


def halves(
    strength=1.0, hand=HAND, size=(360, 640), right=(0.1, 0.1, 0.9), shift=0.0, canvas=77, clear=1.0
):
    """Points left of the middle are red, right of it blue; the edge between them is clear."""
    y, x = np.mgrid[2:180:4, 2:320:4]
    places = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
    red, blue = np.array([0.9, 0.1, 0.1], np.float32), np.array(right, np.float32)
    colours = np.where(places[:, :1] < 160, red, blue)
    count = len(places)
    nothing = np.zeros((count, 2), np.float32)
    none = nothing[:, 0]
    looks = Looks(nothing, nothing, none, nothing, none + np.float32(clear), colours, none)
    points = Strokes(places + np.float32(shift), np.arange(count), np.ones(count), looks)
    picture = np.broadcast_to(np.uint8(canvas), (*size, 3)).copy()
    return draw_areas(picture, picture, points, np.stack([red, blue]), hand, strength), picture


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


def test_a_mean_of_many_hues_is_as_pure_as_they_are():
    """Reds and greens of one light, which k-means puts together, are grey in the mean."""
    rng = np.random.default_rng(0)
    reds, greens = np.full((500, 3), (130, 100, 90)), np.full((500, 3), (104, 114, 90))
    pixels = np.clip(np.concatenate([reds, greens]) + rng.normal(0, 2, (1000, 3)), 0, 255)
    black = np.zeros((1000, 3))
    found = find_palette(np.concatenate([pixels, black]).astype(np.uint8)[None], 2)
    lightest = 255 * found[found.sum(axis=1).argmax()]
    chroma = np.ptp(pixels, axis=1).mean()
    assert np.ptp(pixels.mean(axis=0)) < 0.9 * chroma
    assert abs(np.ptp(lightest) - chroma) < 2


WASH = Hand(kind="flat", smooth=1.0, rim=1.0, light=0.0)
PALE = 0.9, 0.8, 0.8


def test_a_wash_dries_with_a_rim_on_the_dark_side_of_its_outline_alone():
    for size in ((360, 640), (720, 1280)):
        areas, _ = halves(size=size, right=PALE)
        drawn = halves(hand=WASH, size=size, right=PALE, canvas=areas)[0].mean(axis=(0, 2))
        middle, step = size[1] // 2, size[1] // 160
        inside, beside, far = (drawn[middle + by * step] for by in (-20, 2, 20))
        assert drawn[middle - 2 * step : middle].min() < inside - 8 and abs(beside - far) < 2


def test_pigment_settles_in_blotches_that_move_with_the_film_on_paper_that_stays():
    uneven = dataclasses.replace(WASH, rim=0.01, light=0.2)
    here, there = (
        halves(hand=uneven, right=(0.9, 0.1, 0.1), shift=by, canvas=100)[0]
        .astype(float)
        .sum(axis=2)
        for by in (0.0, 10.0)
    )
    blurred = [cv2.GaussianBlur(own, (0, 0), 6)[60:300, 60:580] for own in (here, there)]
    fine = [(own - cv2.GaussianBlur(own, (0, 0), 2))[60:300, 60:580] for own in (here, there)]
    moved = cv2.GaussianBlur(there, (0, 0), 6)[80:320, 80:600]  # 10 tracked pixels are 20
    assert np.corrcoef(blurred[0].ravel(), moved.ravel())[0, 1] > 0.7
    assert np.corrcoef(blurred[0].ravel(), blurred[1].ravel())[0, 1] < 0.5
    assert np.corrcoef(fine[0].ravel(), fine[1].ravel())[0, 1] > 0.7
    assert here.std() > 5


def test_colours_run_in_washes_as_they_do_in_the_picture():
    plain, _ = halves(hand=WASH, canvas=60)
    lit, _ = halves(hand=WASH, canvas=160)
    assert lit[180, 100].mean() > plain[180, 100].mean() + 30


def test_a_contour_is_as_broad_as_its_edge_is_clear():
    ink = dataclasses.replace(HAND, contour=1.0, contour_width=6.0, ink=(0, 0, 0))
    widths = []
    for clear in (1.0, 0.5, 0.0):
        areas, _ = halves(hand=ink, clear=clear)
        widths.append((255 - areas.max(axis=2).astype(float)).sum() / 255 / len(areas))
    whole, half, none = widths
    line = whole - none  # areas are not white
    assert line > 2 and 0.35 * line < half - none < 0.65 * line
