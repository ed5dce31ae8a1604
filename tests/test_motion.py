from cadl import motion

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(0)


def film(down, right, *, frames=6, noise=3.0, light=None):
    """Films a picture of noise, coarse and fine, that moves by so many pixels a frame."""
    noises = [
        Image.fromarray(RNG.integers(0, 255, (2 * size, 3 * size, 3), dtype=np.uint8))
        for size in (3, 10, 30)
    ]
    coarse, middle, fine = (x.resize((720, 480), Image.Resampling.BICUBIC) for x in noises)
    picture = Image.blend(coarse, Image.blend(middle, fine, 0.4), 0.5)
    for i in range(frames):
        way = (1, 0, 200 - i * right, 0, 1, 150 - i * down)
        frame = picture.transform((320, 180), Image.Transform.AFFINE, way, Image.Resampling.BICUBIC)
        shown = np.asarray(frame) * (1.0 if light is None else light[i])
        yield np.clip(shown + RNG.normal(0, noise, shown.shape), 0, 255).astype(np.uint8)


def drifts(frames):
    camera = motion.CameraMotion()
    return np.array([camera.add(frame) for frame in frames])


@pytest.mark.parametrize("way", [(0, 0.7), (0, 2), (1.3, -5.5), (-12, 9.4)])
def test_pans_are_followed_by_parts_of_a_pixel(way):
    found = drifts(film(*way))
    np.testing.assert_allclose(found, np.outer(np.arange(6), way), atol=0.3)


def test_what_stands_still_does_not_move_whatever_the_light():
    assert not drifts(film(0, 0, light=[0.0, 0.1, 0.4, 0.7, 0.9, 1.0])).any()
    assert not drifts(np.full((3, 180, 320, 3), 77, np.uint8)).any()
    assert not drifts(RNG.integers(0, 255, (3, 136, 320, 3), dtype=np.uint8)).any()


def test_what_moves_before_a_still_ground_is_not_followed():
    frames = np.stack(list(film(0, 0, noise=0.0)))
    for i, frame in enumerate(frames):
        frame[40:140, 60 + 6 * i : 160 + 6 * i] = frames[0, 40:140, 200:300] // 2
    assert not drifts(frames).any()


def test_a_cut_is_no_motion():
    camera = motion.CameraMotion()
    first, second = film(0, 3, frames=2), film(0, 3, frames=2)
    found = [camera.add(frame) for frame in first]
    found += [camera.add(frame, cut=i == 0) for i, frame in enumerate(second)]
    np.testing.assert_allclose(np.diff(found, axis=0)[:, 1], [3, 0, 3], atol=0.2)


def test_a_steady_pan_stays_steady_when_smoothed_to_both_ends_of_its_shot():
    steps = np.array([0.0] + [2.0] * 9 + [0.0] + [-1.0] * 9)[:, None] * [0.5, 1.0]
    shots = np.repeat([0, 1], 10)
    drift = np.cumsum(steps, axis=0)
    np.testing.assert_allclose(motion.smooth_drift(drift, shots), drift, atol=1e-5)


def test_jitter_is_smoothed_but_not_over_a_cut_nor_in_a_shot_of_one_frame():
    jitter = RNG.normal(0, 1, (30, 2))
    shots = np.repeat([0, 1, 2], [15, 1, 14])
    smoothed = motion.smooth_drift(np.cumsum(jitter, axis=0), shots)
    steps = np.diff(smoothed, axis=0)
    assert steps.std() < 0.7 * jitter.std()
    assert not steps[[14, 15]].any()
