import itertools

from cadl import brush, lattice, refiner, tiles

import numpy as np
import pytest

BORDER = 40  # pixels below and at the right where strokes from outside reach in
LAYERS = pytest.mark.parametrize("layer", brush.LAYERS)


def drawn(layer, picture, drift, spacing=1):
    """Draws a picture in strokes that run one way and have its colours and light of their own."""
    numbers = brush.scatter(layer)
    own = (
        lattice.Fixed(layer, numbers)
        if drift is None
        else lattice.Moved(layer, numbers, np.float32(drift)[None], spacing)
    )
    one_way = np.tile(np.float32([0.6, 0.8, 1]), (1, 45, 80, 1))
    laid = brush.lay(layer, own.numbers, own.sample(one_way), spacing)
    colours = own.average(picture) + 0.1 * own.numbers[..., 7:8]
    return np.asarray(own.cut(brush.draw(layer, laid, colours)))


def waves(down, right):
    """Films slow waves of colour that have moved by so many pixels."""
    y, x = np.mgrid[0 : tiles.HEIGHT, 0 : tiles.WIDTH].astype(np.float32)
    y, x = y - down, x - right
    ways = ((1, 2), (3, 1), (-1, 1))
    return np.stack([0.5 + 0.3 * np.sin((y * a + x * b) / 40) for a, b in ways], -1)[None]


@LAYERS
@pytest.mark.parametrize("spacing", [2, 1, 0.5])
def test_strokes_that_move_by_nothing_are_the_fixed_ones(layer, spacing):
    picture = waves(0, 0)
    fixed, moved = (drawn(layer, picture, drift, spacing) for drift in (None, (0, 0)))
    inner = np.s_[:, : -int(BORDER / spacing), : -int(BORDER / spacing)]
    np.testing.assert_allclose(moved[inner], fixed[inner], atol=1e-4)


@LAYERS
@pytest.mark.parametrize("drift", [(3, 0), (0, -7), (-26, 51), (20.0, 40.0)])
def test_strokes_move_with_the_picture(layer, drift):
    still, moved = drawn(layer, waves(0, 0), (0, 0)), drawn(layer, waves(*drift), drift)
    wanted = np.roll(still, tuple(map(int, drift)), (1, 2))
    (top, left), (bottom, right) = (
        [BORDER + int(max(0, way * step)) for step in drift] for way in (1, -1)
    )
    inner = np.s_[:, top:-bottom, left:-right]
    np.testing.assert_allclose(moved[inner], wanted[inner], atol=5e-3)
    assert np.abs(drawn(layer, waves(*drift), (0, 0)) - wanted)[inner].mean() > 0.01


@LAYERS
def test_strokes_move_smoothly(layer):
    """By parts of a pixel, over the ends of cells and of the table of random numbers."""
    steps = np.arange(-1.5, 1.5, 0.25)
    for start in (0, layer.cell / 2, tiles.WIDTH):
        pictures = [drawn(layer, waves(0, 0), (0, start + step)) for step in steps]
        jumps = [np.abs(b - a).mean() for a, b in itertools.pairwise(pictures)]
        assert max(jumps) < 2.5 * np.median(jumps)


@pytest.mark.parametrize("spacing", [2, 1, 0.5])
def test_the_refiner_takes_a_drift_of_its_own_for_each_tile(spacing):
    rng = np.random.default_rng(0)
    model = refiner.Refining(4)
    picture = np.repeat(waves(0, 0), 3, 0) + rng.uniform(0, 0.1, (1, 180, 320, 3))
    picture, strength = picture.astype(np.float32), np.ones(3, np.float32)
    fixed = np.asarray(model(picture, picture, strength, spacing=spacing))
    drift = np.float32([[0, 0], [7.3, -4.6], [0, 0]])
    moved = np.asarray(model(picture, picture, strength, spacing=spacing, drift=drift))
    assert moved.shape == fixed.shape
    inner = np.s_[0::2, : -int(BORDER / spacing), : -int(BORDER / spacing)]
    np.testing.assert_allclose(moved[inner], fixed[inner], atol=1e-4)
    assert np.abs(moved[1] - fixed[1]).mean() > 0.005
