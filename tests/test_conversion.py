from cadl import conversion, latents

import numpy as np

RNG = np.random.default_rng(0)


def encoded(light):
    codes = RNG.standard_normal((len(light), 4)).astype(np.float32)
    return conversion.Encoded(
        codes, np.zeros(len(light), int), np.arange(len(light)) / 24,
        np.array(light, np.float32), np.arange(2 * len(light), dtype=np.float32).reshape(-1, 2),
        np.zeros((1, 180, 320, 3), np.uint8), np.array([0]),
    )  # fmt: skip


def test_dark_frames_keep_their_codes_and_light_ones_are_moved_whole():
    found = encoded([0.0, 0.02, 0.05, 0.08, 0.9])
    painter = latents.statistics_of(RNG.standard_normal((50, 4)) + 3, "painting")
    recipe = found.restyle(found.latents, painter, "diagonal", 0.8)
    moved = recipe.codes
    whole = latents.map_latents(
        found.latents, found.statistics, painter, style_map="diagonal", strength=0.8
    )
    np.testing.assert_allclose(recipe.strengths, [0, 0, 0.4, 0.8, 0.8], atol=1e-6)
    np.testing.assert_array_equal(moved[:2], found.latents[:2])
    np.testing.assert_allclose(moved[2], (found.latents[2] + whole[2]) / 2, atol=1e-5)
    np.testing.assert_allclose(moved[3:], whole[3:], atol=1e-5)


def test_some_frames_are_moved_as_among_all():
    found = encoded([0.5] * 6)
    painter = latents.statistics_of(RNG.standard_normal((50, 4)), "painting")
    some = np.array([1, 4])
    all_moved = found.restyle(found.latents, painter, "gaussian", 1.0)
    moved = found.restyle(found.latents, painter, "gaussian", 1.0, some)
    np.testing.assert_allclose(moved.codes, all_moved.codes[some], atol=1e-5)
    np.testing.assert_array_equal(moved.strengths, [1, 1])
    np.testing.assert_array_equal(moved.drift, found.drift[some])
