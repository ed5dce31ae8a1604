from types import SimpleNamespace

from cadl import conversion, latents, tiles, video

import numpy as np
import pytest

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


@pytest.mark.parametrize(
    "made_as",
    [
        "colorspace=all=bt709:iall=bt601-6-625,format=yuv420p",
        "colorspace=all=bt601-6-625:iall=bt601-6-625,format=yuv420p",
        "colorspace=all=bt709:iall=bt601-6-625:range=pc,format=yuv444p",
    ],
)
def test_colour_bars_come_through_both_passes_as_they_are(tmp_path, ffmpeg, made_as):
    """With networks that change nothing: matrix, range and primaries are what they were."""
    clip = tmp_path / "bars.mp4"
    ffmpeg("-f", "lavfi", "-i", "smptebars=s=320x180:r=24:d=0.5", "-vf", made_as, "-c:v", "libx264",
           "-crf", 4, clip)  # fmt: skip
    source = video.probe(clip)
    geometry = conversion.Geometry.of(source, tiles.Crop(), "source", "none", scale=1)
    part = conversion.Clip(source, tiles.Crop(), geometry.tile_size, 1, 0.0, 0.0)
    nothing = SimpleNamespace(encode=lambda whole: {"z_mean": np.zeros((len(whole), 4))})
    found = conversion.encode_video(part, nothing, "none", tmp_path / "work")
    recipe = conversion.Recipe(found.latents, found.light, found.drift)
    target = tmp_path / "out.mp4"
    conversion.write_video(
        part, found, recipe, lambda codes, whole, strengths, drift: whole, geometry, target,
        tmp_path / "segments", compare="none", crf=4, preset="superfast", request={},
    )  # fmt: skip
    before, after = (
        np.stack(list(video.read_frames(x, crop=tiles.Crop(), size=(320, 180)))).astype(float)
        for x in (source, video.probe(target))
    )
    assert before.shape == after.shape and before.std() > 40
    middles = np.s_[:, 8:110:8, 20::45]  # of bars; at their edges chroma is halved in size
    assert np.abs(before - after)[middles].max() < 6
    assert np.abs((before - after).mean((0, 1, 2))).max() < 1
