from cadl import blocks, colour_transfer, metrics

import numpy as np
import pytest
from keras import ops

RNG = np.random.default_rng(0)
TILES = RNG.random((2, 180, 320, 3)).astype(np.float32)


def test_at_strength_0_a_frame_is_not_moved():
    offset, matrix = colour_transfer.frame_change(TILES[::-1], TILES, np.zeros(2, "f4"))
    assert offset.shape == (2, 45, 80, 3) and matrix.shape == (2, 3, 3)
    np.testing.assert_array_equal(matrix, np.tile(np.eye(3), (2, 1, 1)))
    np.testing.assert_allclose(offset, 0, atol=1e-6)


def test_a_frame_moves_in_proportion_to_the_strength():
    whole, half = (
        colour_transfer.frame_change(TILES[::-1], TILES, np.full(2, s, "f4")) for s in (1.0, 0.5)
    )
    np.testing.assert_allclose(2 * half[0], whole[0], atol=1e-5)
    np.testing.assert_allclose(2 * (half[1] - np.eye(3)), whole[1] - np.eye(3), atol=1e-5)


def test_a_frame_moved_by_offset_and_matrix_has_the_thumbnail_that_was_wanted():
    large = RNG.random((1, 6, 8, 3)).astype("f4")
    tile, goal = (
        np.asarray(ops.image.resize(x, (180, 320), "bicubic")) for x in (large, large[:, ::-1])
    )
    offset, matrix = colour_transfer.frame_change(goal, tile, np.ones(1, "f4"))
    moved = tile @ np.asarray(matrix)[0] + ops.image.resize(offset, (180, 320), "bilinear")
    small = [np.asarray(blocks.shrink(x, 4)) for x in (tile, goal)]
    wanted, matrices = colour_transfer.transfer(*small, np.ones((1, 1), "f4"))
    np.testing.assert_allclose(matrix, matrices, atol=1e-6)
    np.testing.assert_allclose(blocks.shrink(moved, 4), wanted, atol=0.01)
    assert np.abs(np.asarray(wanted) - small[0]).mean() > 0.05


@pytest.fixture
def forms():
    """Fine waves over an even slope, and the slope of another picture."""
    y, x = np.mgrid[0:45, 0:80].astype(np.float32)
    fine = 0.05 * np.sin(2.5 * x + y)[None, ..., None] * np.float32([1, 0.5, -1])
    ours = fine + np.float32([0.3, 0.4, 0.2]) + 0.001 * x[None, ..., None]
    goal = np.float32([0.6, 0.5, 0.2]) + 0.002 * y[None, ..., None] + np.zeros_like(fine)
    return fine, ours, goal


def test_thumbnails_are_the_tiles_own_at_0_and_go_to_the_pictures_at_1(forms):
    fine, ours, goal = forms
    still, led = (
        np.asarray(colour_transfer.transfer(ours, goal, np.full((1, 1), s, "f4"))[0])
        for s in (0, 1)
    )
    np.testing.assert_array_equal(still, ours)
    kept = colour_transfer.KEPT
    inner = np.s_[:, 15:-15, 15:-15]
    wanted = kept * (ours - fine) + (1 - kept) * goal  # large forms are led, what is fine stays
    np.testing.assert_allclose((led - fine)[inner], wanted[inner], atol=0.01)


def test_thumbnails_gain_the_contrast_of_the_pictures_but_never_lose_any():
    flat = np.float32([0.4, 0.5, 0.3]) + 0.02 * RNG.standard_normal((1, 45, 80, 3)).astype("f4")
    lively = 0.5 + 6 * (flat - 0.5)
    one = np.ones((1, 1), "f4")
    more, same = (
        np.asarray(colour_transfer.transfer(*pair, one)[0])
        for pair in ((flat, lively), (lively, flat))
    )
    contrast = [np.std(np.diff(x @ metrics.LUMINANCE, axis=2)) for x in (flat, more, lively, same)]
    assert contrast[1] == pytest.approx(colour_transfer.GAINS[1, 0] * contrast[0], rel=0.05)
    assert contrast[3] == pytest.approx(contrast[2], rel=0.05)


def test_matrices_multiply_light_and_chroma_alone():
    """What is grey stays grey, and only gets more contrast."""
    _, matrix = colour_transfer.frame_change(
        np.clip(3 * (TILES - 0.5) + 0.5, 0, 1), TILES, np.ones(2, "f4")
    )
    greys = np.ones((2, 1, 3), "f4") @ np.asarray(matrix)
    np.testing.assert_allclose(greys - greys.mean(axis=2, keepdims=True), 0, atol=1e-5)
    assert (greys >= 1 - 1e-5).all() and (greys <= colour_transfer.GAINS[1, 0] + 1e-5).all()
