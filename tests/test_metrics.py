from benchmarks import measures
from cadl.images import metrics

import numpy as np
import pytest

RNG = np.random.default_rng(0)
PICTURES = RNG.random((3, 60, 80, 3)).astype(np.float32)


def test_psnr_of_a_known_error():
    assert metrics.psnr(np.zeros((1, 4, 4, 3)), np.full((1, 4, 4, 3), 0.1))[0] == pytest.approx(20)


def test_a_picture_is_like_itself():
    grey = PICTURES @ metrics.LUMINANCE
    np.testing.assert_allclose(metrics.ssim(grey, grey), 1, atol=1e-5)
    assert metrics.ssim(grey, 1 - grey).max() < 0


def test_a_constant_picture_has_no_sharpness():
    assert metrics.sharpness(np.full((1, 9, 9), 0.3)).item() == pytest.approx(0)
    checks = np.indices((8, 8)).sum(0)[None] % 2
    assert metrics.sharpness(checks).item() == pytest.approx(16)


def test_a_grid_stands_out_and_noise_does_not():
    noise = RNG.normal(0.5, 0.05, (32, 180, 320))
    assert measures.grid_energy(noise) == pytest.approx(1, abs=0.4)
    for period in (2, 4):
        lines = 0.02 * (np.arange(320) % period == 0)
        assert measures.grid_energy(noise + lines) > 5


def test_patch_distance_is_zero_for_the_same_pixels_and_grows_with_a_shift():
    near, far = (measures.patch_distance(PICTURES, PICTURES + d) for d in (0.1, 0.3))
    flat = np.full((2, 60, 80, 3), 0.5, np.float32)
    assert measures.patch_distance(flat, flat) == pytest.approx(0, abs=1e-6)
    assert 0 < near < far


def test_flicker_of_a_still_is_zero_and_of_steps_is_their_height():
    assert measures.flicker(np.zeros((4, 8, 8, 3), np.uint8)) == 0
    steps = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 3), np.uint8)
    assert measures.flicker(steps) == 1
