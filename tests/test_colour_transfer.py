from cadl.images import metrics
from cadl.networks import colour_transfer

import numpy as np
import pytest

RNG = np.random.default_rng(0)
TILES = RNG.random((2, 180, 320, 3)).astype(np.float32)


def test_a_frame_stays_where_the_codes_pictures_are_the_same():
    shift = np.asarray(colour_transfer.frame_shift(TILES, TILES))
    assert shift.shape == (2, 45, 80, 3) and not shift.any()


def test_a_frame_takes_the_difference_of_the_codes_pictures_in_large_forms():
    """What the VAE can't tell of it stays: here all that is in it but one colour."""
    moved = TILES + np.float32([-0.3, 0.2, 0.4])
    shift = np.asarray(colour_transfer.frame_shift(moved, TILES))
    np.testing.assert_allclose(shift, np.broadcast_to([-0.3, 0.2, 0.4], shift.shape), atol=1e-5)
    fine = np.tile(np.float32([[0.2, -0.2], [-0.2, 0.2]]), (90, 160))[None, ..., None]
    shift = np.asarray(colour_transfer.frame_shift(TILES + fine, TILES))
    np.testing.assert_allclose(shift, 0, atol=1e-5)


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
