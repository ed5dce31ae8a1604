"""What is shown of a film that stands still, and of one that does not."""

from cadl import tiles
from cadl.replenishment import BLOCK, NOISE, Replenisher

import numpy as np
import pytest


@pytest.fixture
def film():
    """A picture that stands still for twelve frames but for a codec's noise, and the picture."""
    rng = np.random.default_rng(3)
    picture = rng.integers(20, 230, tiles.SHAPE)
    noise = rng.integers(-1, 2, (12, *tiles.SHAPE)) * (rng.random((12, *tiles.SHAPE)) < 0.4)
    return (picture + noise).astype(np.uint8), picture


def test_noise_on_what_stands_still_is_not_shown(film):
    frames, _ = film
    shown = Replenisher().add(frames)
    assert np.abs(np.diff(frames.astype(int), axis=0)).mean() > 0.3
    assert np.array_equal(shown, np.broadcast_to(frames[0], shown.shape))


def test_what_moves_is_shown_as_it_is_and_all_else_kept(film):
    frames, _ = film
    frames[5:, 40:60, 80:120] = 255
    shown = Replenisher().add(frames)
    assert np.array_equal(shown[5:, 40:60, 80:120], frames[5:, 40:60, 80:120])
    kept = np.ones(tiles.SHAPE[:2], bool)
    kept[40:60, 80:120] = False
    assert np.array_equal(shown[-1][kept], frames[0][kept])


def test_a_star_and_a_wire_are_shown(film):
    frames, picture = film
    frames[5:, 62, 101] = np.where(picture[62, 101] > 125, picture[62, 101] - 16, 255)
    frames[5:, 90, :] = np.where(picture[90] > 125, picture[90] - 16, picture[90] + 16)
    shown = Replenisher().add(frames)
    assert np.array_equal(shown[5:, 62, 101], frames[5:, 62, 101])
    assert np.array_equal(shown[5:, 90], frames[5:, 90])


def test_no_block_is_ever_further_from_its_frame_than_noise(film):
    _, picture = film
    fade = np.linspace(1.0, 0.8, 90)[:, None, None, None]
    frames = (picture * fade).astype(np.uint8)
    shown = Replenisher().add(frames)
    change = np.abs(shown.astype(float) - frames)
    height, width = tiles.HEIGHT // BLOCK, tiles.WIDTH // BLOCK
    means = change.reshape(-1, height, BLOCK, width, BLOCK * 3).mean(axis=(2, 4))
    assert 0 < means.max() <= NOISE


@pytest.mark.parametrize("scale", tiles.SCALES)
def test_batches_follow_one_another(film, scale):
    frames = film[0].repeat(scale, axis=1).repeat(scale, axis=2)
    frames[7:] = frames[7:, ::-1]
    whole, parts = Replenisher(scale), Replenisher(scale)
    expected = whole.add(frames)
    assert np.array_equal(np.concatenate([parts.add(frames[:5]), parts.add(frames[5:])]), expected)
    assert np.array_equal(expected[7], frames[7])
