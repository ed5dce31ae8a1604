from cadl.video.flow import OpticalFlow

import cv2
import numpy as np
import pytest


def texture(height=180, width=320):
    rng = np.random.default_rng(3)
    noise = rng.random((height, width, 3)).astype(np.float32)
    rough = cv2.GaussianBlur(noise, (0, 0), 2) + 2 * cv2.GaussianBlur(noise, (0, 0), 8)
    rough = (rough - rough.mean()) / rough.std()
    return np.clip(128 + 45 * rough, 0, 255).astype(np.uint8)


def moved(picture, x, y):
    way = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv2.warpAffine(
        picture, way, picture.shape[1::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


@pytest.mark.parametrize(("x", "y"), [(3, 0), (-2, 4), (0.5, -1.25), (7.5, 2)])
def test_a_known_shift_is_found_to_a_tenth_of_a_pixel(x, y):
    flow, picture = OpticalFlow(), texture()
    flow.add(picture)
    found = flow.add(moved(picture, x, y))
    inner = np.s_[20:-20, 20:-20]
    for field, wanted in ((found.forward, (x, y)), (found.backward, (-x, -y))):
        assert field.shape == (180, 320, 2) and field.dtype == np.float32
        errors = np.linalg.norm(field[inner] - wanted, axis=-1)
        assert np.median(errors) < 0.1 and np.quantile(errors, 0.95) < 0.2
        np.testing.assert_allclose(np.median(field[inner], axis=(0, 1)), wanted, atol=0.1)


def test_a_still_frame_has_no_flow_at_all():
    flow, picture = OpticalFlow(), texture()
    flow.add(picture)
    found = flow.add(picture.copy())
    assert not found.forward.any() and not found.backward.any()


def test_the_noise_of_a_sensor_does_not_let_a_still_picture_creep():
    flow, picture, rng = OpticalFlow(), texture().astype(np.float32), np.random.default_rng(1)
    noisy = [
        np.clip(picture + rng.normal(0, 1, picture.shape), 0, 255).astype(np.uint8) for _ in "12"
    ]
    flow.add(noisy[0])
    found = flow.add(noisy[1])
    still = (found.forward == 0).all(axis=-1)
    assert still.mean() > 0.8


def test_there_is_no_flow_to_the_first_frame_nor_over_a_cut():
    flow, picture = OpticalFlow(), texture()
    assert flow.add(picture) is None
    assert flow.add(moved(picture, 1, 0)) is not None
    assert flow.add(picture[::-1].copy(), cut=True) is None
    again = flow.add(moved(picture[::-1].copy(), 2, 0))
    np.testing.assert_allclose(np.median(again.forward, axis=(0, 1)), (2, 0), atol=0.1)
