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


def test_what_is_small_is_followed_more_closely_than_by_the_preset():
    ground, disc = texture(), texture()[::-1]
    y, x = np.mgrid[0:180, 0:320]

    def frame(at):
        inside = (np.hypot(x - at[0], y - at[1]) < 9)[..., None]
        return np.where(inside, moved(disc, *at), ground).astype(np.uint8)

    pictures = frame((150, 90)), frame((154.5, 87.5))
    flow = OpticalFlow()
    flow.add(pictures[0])
    preset = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = (cv2.cvtColor(own, cv2.COLOR_RGB2GRAY) for own in pictures)
    found = flow.add(pictures[1]).forward, preset.calc(*greys, None)
    inside = np.hypot(x - 150, y - 90) < 7
    off, its_off = (np.linalg.norm(own - (4.5, -2.5), axis=2)[inside].mean() for own in found)
    assert off < 0.5 and off < 0.8 * its_off


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
