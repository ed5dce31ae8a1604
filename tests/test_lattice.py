import itertools

from cadl import brush, lattice, refiner, tiles

import numpy as np
import pytest

BORDER = 40  # pixels below and at the right where strokes from outside reach in
FORMS = 80  # the same for large forms of light, of which a margin makes other means there
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
    return np.asarray(own.cut(brush.draw(laid, colours)))


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
    border = int(FORMS / min(spacing, 1))  # tiles do not get smaller
    inner = np.s_[0::2, :-border, :-border]
    np.testing.assert_allclose(moved[inner], fixed[inner], atol=1e-4)
    assert np.abs(moved[1] - fixed[1]).mean() > 0.005


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_refined_picture_moves_with_a_pan_by_whole_pixels(strength):
    """Also with weights that restore something: blocks fall on the same things."""
    rng = np.random.default_rng(0)
    model = refiner.Refining(4)
    for network in (model.refiner, model.painter):
        network.set_weights(
            [w + 0.03 * rng.standard_normal(w.shape).astype("f4") for w in network.get_weights()]
        )
    wide = np.repeat(rng.uniform(0.2, 0.8, (180, 110, 3)), 3, 1)  # upright stripes and noise
    wide = (wide + rng.uniform(-0.1, 0.1, (180, 330, 3))).astype(np.float32)
    shifts = (0, 1, 2, 5)
    films = np.stack([wide[:, 8 - shift :][:, :320] for shift in shifts])
    drift = np.float32([[0, shift] for shift in shifts])
    even = np.full_like(films, 0.5)
    strengths = np.full(len(shifts), strength, np.float32)
    still, moved = (
        np.asarray(model(even, films, strengths, drift=way)) for way in (0 * drift, drift)
    )

    def jump(drawn):
        gaps = [
            np.abs(frame[:, 60 + shift : 260 + shift] - drawn[0][:, 60:260]).mean()
            for shift, frame in zip(shifts, drawn, strict=True)
        ]
        return max(gaps)

    assert jump(moved) < 0.04 * jump(still)


def test_aligned_tiles_have_their_blocks_on_the_same_things():
    picture = np.arange(180 * 320, dtype=np.float32).reshape(1, 180, 320, 1)
    for drift, wanted in (((0, 0), (0, 0)), ((1, -1), (3, 1)), ((-4.2, 6), (0, 2))):
        aligned, margin = lattice.align(picture, np.float32([drift]), 4)
        top, left = np.asarray(margin)[0]
        assert (top, left) == wanted and aligned.shape == (1, 184, 324, 1)
        assert (top + round(drift[0])) % 4 == (left + round(drift[1])) % 4 == 0
        own = lattice.take_window(aligned, margin, (180, 320))
        np.testing.assert_array_equal(own, picture)
        np.testing.assert_array_equal(np.asarray(aligned)[0, : top + 1, left, 0], 0)
