from cadl.errors import UserError
from cadl.style import latents
from cadl.style.latents import Statistics

import numpy as np
import pytest
from conftest import frechet_distance, map_latents

RNG = np.random.default_rng(3)


def gaussian_source(codes, count, seed, kind="video"):
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((codes, codes)) / np.sqrt(codes) + np.eye(codes)
    samples = (rng.standard_normal((count, codes)) @ mix + rng.standard_normal(codes)).astype("f4")
    return samples, moments(samples, kind)


def moments(samples, kind="video"):
    return latents.statistics_of(samples, kind)


def test_moments_are_those_of_numpy(monkeypatch):
    monkeypatch.setattr(latents, "BLOCK", 16)  # the last of three is shorter
    samples, found = gaussian_source(5, 40, 0)
    assert found.count == 40
    np.testing.assert_allclose(found.mean, samples.mean(0), atol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(samples.T, bias=True), atol=1e-5)


def test_no_latents_have_no_moments():
    with pytest.raises(ValueError, match="no latents"):
        latents.statistics_of(np.empty((0, 4), np.float32), "video")


@pytest.mark.parametrize("style_map", latents.STYLE_MAPS)
def test_strength_0_is_the_identity(style_map):
    samples, video = gaussian_source(8, 60, 1)
    _, painter = gaussian_source(8, 60, 2, "painting")
    same = map_latents(samples, video, painter, style_map=style_map, strength=0.0)
    np.testing.assert_array_equal(same, samples)


@pytest.mark.parametrize("style_map", ["mean", "diagonal", "gaussian"])
def test_strength_1_matches_the_painters_mean(style_map):
    samples, video = gaussian_source(8, 400, 1)
    _, painter = gaussian_source(8, 400, 2, "painting")
    moved = map_latents(samples, video, painter, style_map=style_map, strength=1.0)
    np.testing.assert_allclose(moved.mean(0), painter.mean, atol=1e-4)


def test_the_diagonal_map_matches_spreads():
    samples, video = gaussian_source(8, 400, 1)
    _, painter = gaussian_source(8, 400, 2, "painting")
    moved = map_latents(samples, video, painter, style_map="diagonal", strength=1.0)
    np.testing.assert_allclose(moved.var(0), np.diag(painter.covariance), rtol=1e-3)


def test_the_gaussian_map_matches_covariances_of_many_samples():
    samples, video = gaussian_source(4, 20000, 1)
    _, painter = gaussian_source(4, 20000, 2, "painting")
    moved = map_latents(samples, video, painter, style_map="gaussian", strength=1.0)
    error = np.abs(np.cov(moved.T, bias=True) - painter.covariance).max()
    assert error < 0.1 * np.abs(painter.covariance).max()


def test_the_ancestors_map_is_a_quarter_and_a_half():
    samples, video = gaussian_source(4, 50, 1)
    _, painter = gaussian_source(4, 50, 2, "painting")
    moved = map_latents(samples, video, painter, style_map="ancestor", strength=1.0)
    wanted = samples - 0.25 * video.mean + 0.5 * painter.mean
    np.testing.assert_allclose(moved, wanted, atol=1e-6)


def test_an_unknown_map_is_named():
    samples, video = gaussian_source(4, 50, 1)
    with pytest.raises(ValueError, match="'median' is not one of mean"):
        map_latents(samples, video, video, style_map="median", strength=1.0)


@pytest.mark.parametrize("style_map", latents.STYLE_MAPS)
def test_a_constant_video_and_few_paintings_work(style_map):
    samples = np.ones((10, 32), np.float32)
    _, painter = gaussian_source(32, 5, 2, "painting")
    moved = map_latents(samples, moments(samples), painter, style_map=style_map, strength=1.0)
    assert np.isfinite(moved).all() and np.ptp(moved, axis=0).max() < 1e-5


def test_the_frechet_distance_of_known_gaussians():
    a, b = (
        Statistics("", 9, np.full(2, m), np.diag([v, 1.0])) for m, v in ((0.0, 4.0), (1.0, 9.0))
    )
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(2 + (3 - 2) ** 2)


@pytest.mark.parametrize("style_map", ["mean", "diagonal", "gaussian"])
def test_distance_falls_steadily_with_strength(style_map):
    samples, video = gaussian_source(6, 300, 1)
    _, painter = gaussian_source(6, 300, 2, "painting")
    distances = []
    for strength in (0, 0.25, 0.5, 0.75, 1):
        moved = map_latents(samples, video, painter, style_map=style_map, strength=strength)
        distances.append(frechet_distance(moments(moved), painter))
    assert (np.diff(distances) < 0).all()


@pytest.mark.parametrize("style_map", ["mean", "diagonal", "gaussian"])
def test_the_way_back_leads_back(style_map):
    """Where no gain meets its bound."""
    samples, video = gaussian_source(6, 5000, 1)
    others, painter = gaussian_source(6, 5000, 1, "painting")
    painter = moments(1.5 * others[:, ::-1] + 2.0, "painting")
    there = map_latents(samples, video, painter, style_map=style_map, strength=1.0)
    back = map_latents(there, painter, video, style_map=style_map, strength=1.0)
    assert np.abs(there - samples).mean() > 1
    assert np.abs(back - samples).mean() < 0.02


def test_a_blend_with_itself_is_itself():
    painter = Statistics("painting", 9, RNG.standard_normal(4), np.diag(RNG.random(4)))
    both = latents.blend({"a": painter, "b": painter}, {"a": 0.3, "b": 0.7})
    np.testing.assert_allclose(both.mean, painter.mean)
    np.testing.assert_allclose(both.covariance, painter.covariance, atol=1e-8)


def test_a_blend_of_two_lies_on_the_way_of_the_optimal_map_between_them():
    _, a = gaussian_source(6, 5000, 1, "painting")
    _, b = gaussian_source(6, 5000, 2, "painting")
    both = latents.blend({"a": a, "b": b}, {"a": 0.3, "b": 0.7})
    np.testing.assert_allclose(both.mean, 0.3 * a.mean + 0.7 * b.mean)
    root, inverse = latents._powers(a.covariance, 0.5, -0.5)
    whole_way = inverse @ latents._powers(root @ b.covariance @ root, 0.5)[0] @ inverse
    part = 0.3 * np.eye(6) + 0.7 * whole_way
    np.testing.assert_allclose(both.covariance, part @ a.covariance @ part, rtol=1e-2, atol=1e-2)


def test_painters_of_few_tiles_blend():
    few = [gaussian_source(32, 12, seed, "painting")[1] for seed in (1, 2)]
    both = latents.blend({"a": few[0], "b": few[1]}, {"a": 0.5, "b": 0.5})
    assert np.linalg.eigvalsh(both.covariance).min() > -1e-3
    spread, own, other = (np.sqrt(np.diag(x.covariance)) for x in (both, *few))
    assert 0.9 < (spread / (0.5 * own + 0.5 * other)).mean() < 1.1


def test_what_was_trained_on_is_near_and_else_is_far():
    samples, ours = gaussian_source(6, 4000, 1)
    others, theirs = gaussian_source(6, 4000, 2, "painting")
    both = moments(np.concatenate([samples, others]))
    assert latents.distance_from(both, [ours, theirs]) == pytest.approx(1, rel=1e-3)
    assert latents.distance_from(moments(samples + 10), [ours, theirs]) > 5
    few, of_few = gaussian_source(64, 20, 3)
    assert latents.distance_from(moments(few), [of_few]) == pytest.approx(1, rel=1e-3)


def test_styles_are_parsed_into_weights():
    assert latents.parse_style("a", ["a", "b"]) == {"a": 1.0}
    assert latents.parse_style("a:3,b:1", ["a", "b"]) == {"a": 0.75, "b": 0.25}
    assert latents.parse_style("e\u0301:3,b:1", ["\u00e9", "b"]) == {"\u00e9": 0.75, "b": 0.25}


@pytest.mark.parametrize(
    ("style", "message"),
    [("c", "'c' is no painter: there are a, b"), ("a:x", "is not a weight"), ("a:0", "above 0")],
)
def test_bad_styles_are_refused(style, message):
    with pytest.raises(UserError, match=message):
        latents.parse_style(style, ["a", "b"])


def test_smoothing_stays_within_a_shot_and_has_no_delay():
    codes = np.zeros((20, 1), np.float32)
    codes[10:] = 1
    shots = np.array([0] * 10 + [1] * 10)
    np.testing.assert_array_equal(latents.smooth(codes, shots, frames=2.0), codes)
    pulse = np.zeros((21, 1), np.float32)
    pulse[10] = 1
    smoothed = latents.smooth(pulse, np.zeros(21, int), frames=2.0)[:, 0]
    np.testing.assert_allclose(smoothed, smoothed[::-1], atol=1e-7)
    assert smoothed.argmax() == 10 and smoothed[10] < 0.25


def test_no_smoothing_is_the_identity():
    codes = RNG.standard_normal((9, 3)).astype("f4")
    assert latents.smooth(codes, np.zeros(9, int), frames=0) is codes


def test_the_default_map_is_that_of_the_script():
    import mogrify_video

    assert mogrify_video.STYLE_MAP == latents.DEFAULT_STYLE_MAP
