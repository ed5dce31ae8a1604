"""The judges of bench_hands on samples whose answer is known."""

import functools

from benchmarks import hand_judges
from benchmarks.hand_judges import CROP, Classifier, Patches, grid, tell_apart

import cv2
import keras
import numpy as np

RNG = np.random.default_rng(0)


def textures(scale, count=3):
    """Random blobs of one size, uint8 [192, 256, 3] each."""
    found = []
    for _ in range(count):
        noise = cv2.GaussianBlur(RNG.standard_normal((192, 256, 3)), (0, 0), scale)
        found.append(np.clip(128 + 40 * noise / noise.std(), 0, 255).astype(np.uint8))
    return found


def test_two_samples_of_one_kind_are_not_told_apart_and_two_of_different_kinds_always():
    a, b = RNG.standard_normal((2, 400, 8)).astype(np.float32)
    assert 0.4 < tell_apart(a, b) < 0.6
    assert tell_apart(a, b + 6) > 0.99
    assert 0.6 < tell_apart(a, b + 0.6) < 0.95


def test_patches_are_nearest_to_those_of_the_same_texture():
    fine, other_fine, coarse = (Patches.of(textures(scale)) for scale in (1.0, 1.0, 4.0))
    assert fine.distance_to(fine) == (0.0, 0.0)
    for own, other in zip(fine.distance_to(other_fine), fine.distance_to(coarse), strict=True):
        assert own < 0.1 < 0.5 < other


def test_light_alone_does_not_see_colours():
    grey = [np.repeat(own[..., :1], 3, axis=2) for own in textures(2.0)]
    tinted = [(own * (1.0, 0.8, 0.2)).astype(np.uint8) for own in grey]
    colour, light = Patches.of(tinted).distance_to(Patches.of(grey))
    assert light < 0.1 < 0.2 < colour


def test_crops_lie_beside_each_other_inside_the_picture():
    picture = np.arange(200 * 300 * 3, dtype=np.uint32).reshape(200, 300, 3).astype(np.uint8)
    crops = grid(picture)
    assert len(crops) == 2 * 3 and all(crop.shape == (CROP, CROP, 3) for crop in crops)
    np.testing.assert_array_equal(np.rint(255 * crops[1]), picture[:CROP, CROP : 2 * CROP])


def test_a_classifier_learns_from_pictures_of_different_sizes(monkeypatch):
    quick = functools.partial(keras.layers.BatchNormalization, momentum=0.7)
    monkeypatch.setattr(keras.layers, "BatchNormalization", quick)
    monkeypatch.setattr(hand_judges, "TRAINED_STEPS", 60)
    monkeypatch.setattr(hand_judges, "BATCH", 12)
    fine, coarse = ([own[: 190 - 9 * i] for i, own in enumerate(textures(by))] for by in (1, 6))
    found = Classifier({"fine": fine, "coarse": coarse})
    assert found.names_of(textures(1.0)) == ["fine"] * 12
    assert found.names_of(textures(6.0)) == ["coarse"] * 12
