import dataclasses
import math

from cadl import brush, tiles

import numpy as np
import pytest


def stripes(angle):
    """Draws stripes that run at an angle (in turns, clockwise from the horizontal)."""
    y, x = np.mgrid[0 : tiles.HEIGHT : 4, 0 : tiles.WIDTH : 4]
    across = y * math.cos(2 * math.pi * angle) - x * math.sin(2 * math.pi * angle)
    return np.repeat((0.5 + 0.4 * np.sin(across / 12))[None, ..., None], 3, -1).astype(np.float32)


@pytest.mark.parametrize("angle", [0, 1 / 16, 1 / 8, 1 / 4, 3 / 8])
def test_directions_run_along_stripes(angle):
    found = np.asarray(brush.directions(stripes(angle)))[0, 10:-10, 10:-10, :2]
    wanted = [math.cos(4 * math.pi * angle), math.sin(4 * math.pi * angle)]
    assert (found @ np.float32(wanted)).min() > 0.95


def test_directions_have_length_1_and_an_even_picture_swirls():
    even = np.full((1, 45, 80, 3), 0.3, np.float32)
    *_, detail = found = np.moveaxis(np.asarray(brush.directions(even))[0], -1, 0)
    np.testing.assert_allclose((found[:2] ** 2).sum(0), 1, atol=1e-2)
    assert detail.max() < 1e-3
    assert np.abs(found[:2].mean((1, 2))).max() < 0.6  # they turn


def lay(layer, angle, spacing=1):
    numbers = brush.scatter(layer)[None]
    _, height, width, _ = numbers.shape
    flow = np.tile(np.float32([math.cos(2 * angle), math.sin(2 * angle), 1]), (1, height, width, 1))
    return numbers, brush.lay(layer, numbers, flow, spacing)


def lay_all(layer, *given):
    """As `lay`, and all strokes are drawn in a cell that may reach into it."""
    return lay(dataclasses.replace(layer, leading=len(layer.neighbours)), *given)


def seen_of(laid):
    """Returns what is seen of each stroke at each place: [1, h, w, strokes, places]."""
    weight = np.asarray(laid.weight).reshape(-1, 1)
    weighed = weight[np.asarray(laid.strokes)] * np.asarray(laid.shapes)
    return weighed / (weighed.sum(3, keepdims=True) + brush.BARE)


@pytest.mark.parametrize("layer", brush.LAYERS)
def test_strokes_cover_nearly_everything_once(layer):
    _, laid = lay(layer, 0.4)
    seen = seen_of(laid)
    covered = seen.sum(3)
    assert seen.min() >= 0 and covered.max() <= 1 + 1e-5
    assert covered.mean() > 0.9
    assert seen.max(3).mean() > 0.7  # mostly one stroke, not a mixture
    assert (laid.relief is not None) == layer.raised
    if layer.raised:
        assert np.all(np.abs(laid.relief) <= np.asarray(laid.shapes) + 1e-6)


@pytest.mark.parametrize(
    "layer", [layer for layer in brush.LAYERS if layer.leading < len(layer.neighbours)]
)
@pytest.mark.parametrize("spacing", [1, 0.5])
def test_strokes_that_are_left_out_are_hardly_seen(layer, spacing):
    for angle in np.linspace(0, math.pi, 5):
        drawn, whole = (
            np.asarray(brush.draw(laid, numbers[..., 8:9]))
            for numbers, laid in (lay(layer, angle, spacing), lay_all(layer, angle, spacing))
        )
        error = np.abs(drawn - whole)
        assert error.max() > 0  # some are left out
        assert error.max() < 0.1 * np.ptp(whole)
        assert np.quantile(error, 0.999) < 1e-3


@pytest.mark.parametrize("layer", brush.LAYERS)
@pytest.mark.parametrize(("angle", "axis"), [(0, 1), (math.pi / 2, 0)])
def test_strokes_are_longer_along_than_across(layer, angle, axis):
    numbers, laid = lay(layer, angle)
    drawn = np.asarray(brush.draw(laid, numbers[..., 8:9]))[0, ..., 0]
    assert drawn.shape == (180, 320)
    shift = layer.cell
    along, across = (
        np.corrcoef(drawn.ravel(), np.roll(drawn, shift, way).ravel())[0, 1]
        for way in (axis, 1 - axis)
    )
    assert along > across + 0.25


@pytest.mark.parametrize("layer", brush.LAYERS)
def test_no_stroke_reaches_further_than_is_looked(layer):
    """What is seen of strokes two cells away has faded where they are no longer looked at."""
    for angle in np.linspace(0, math.pi, 7):
        seen = np.swapaxes(seen_of(lay_all(layer, angle)[1]), -1, -2)
        far = [max(abs(y), abs(x)) == brush.REACH for y, x in layer.neighbours]
        side = layer.cell
        places = seen[..., far].reshape(*seen.shape[1:3], side, side, -1)
        for k, (y, x) in enumerate(np.array(layer.neighbours)[far]):
            # The edge of the cell that is turned away from the stroke.
            if abs(y) == brush.REACH:
                away = places[:, :, -1 if y < 0 else 0, :, k]
            else:
                away = places[:, :, :, -1 if x < 0 else 0, k]
            assert np.quantile(away, 0.99) < 0.35


@pytest.mark.parametrize("layer", brush.LAYERS)
@pytest.mark.parametrize("spacing", [1, 0.5])
def test_coarser_strokes_are_the_same_strokes(layer, spacing):
    numbers = brush.scatter(layer)[None]
    flow = np.tile(np.float32([0.6, 0.8, 1]), (1, *layer.size, 1))
    coarse, fine = (
        np.asarray(brush.draw(brush.lay(layer, numbers, flow, block), numbers[..., 8:9]))
        for block in (2 * spacing, spacing)
    )
    _, height, width, _ = coarse.shape
    averaged = fine.reshape(1, height, 2, width, 2, 1).mean((2, 4))
    assert np.corrcoef(coarse.ravel(), averaged.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("layer", brush.LAYERS)
@pytest.mark.parametrize("angle", [0.3, math.pi / 2 - 5e-4, math.pi])
@pytest.mark.parametrize("spacing", [1, 0.5])
def test_strokes_turn_without_a_jump(layer, angle, spacing):
    """Not where an angle starts anew, either."""

    def drawn(angle):
        numbers, laid = lay(layer, angle, spacing)
        heights = np.ones_like(numbers[..., :1]) if layer.raised else None
        return np.asarray(brush.draw(laid, numbers[..., 8:9], heights))

    little, much = (
        np.abs(drawn(angle) - drawn(angle + turn)).mean((0, 1, 2)) for turn in (1e-3, 0.1)
    )
    assert np.all(little < 0.03 * much)
