import subprocess
from fractions import Fraction
from types import SimpleNamespace

from cadl import clips, first_pass, latents, second_pass, tiles

import numpy as np
import pytest

RNG = np.random.default_rng(0)


def encoded(light):
    codes = RNG.standard_normal((len(light), 4)).astype(np.float32)
    return first_pass.Encoded(
        codes, np.zeros(len(light), int), np.arange(len(light)) / 24,
        np.array(light, np.float32), np.arange(2 * len(light), dtype=np.float32).reshape(-1, 2),
        np.zeros((1, 180, 320, 3), np.uint8), np.array([0]),
    )  # fmt: skip


def test_dark_frames_keep_their_codes_and_light_ones_are_moved_whole():
    found = encoded([0.0, 0.02, 0.05, 0.08, 0.9])
    painter = latents.statistics_of(RNG.standard_normal((50, 4)) + 3, "painting")
    recipe = found.restyle(found.style_move(painter, "diagonal"), 0.8)
    moved = recipe.codes[:]
    whole = latents.map_latents(
        found.latents, found.statistics, painter, style_map="diagonal", strength=0.8
    )
    np.testing.assert_allclose(recipe.strengths, [0, 0, 0.4, 0.8, 0.8], atol=1e-6)
    np.testing.assert_array_equal(moved[:2], found.latents[:2])
    np.testing.assert_allclose(moved[2], (found.latents[2] + whole[2]) / 2, atol=1e-5)
    np.testing.assert_allclose(moved[3:], whole[3:], atol=1e-5)


def test_codes_asked_for_in_parts_are_those_of_the_whole(monkeypatch):
    """Smoothed within shots, across the borders of parts."""
    found = encoded([0.5] * 40)
    found.shots[17:] = 1
    monkeypatch.setattr(first_pass, "SMOOTHED_FRAMES", 12)
    painter = latents.statistics_of(RNG.standard_normal((50, 4)), "painting")
    recipe = found.restyle(found.style_move(painter, "gaussian"), 0.7, smoothing=2.0)
    smoothed = latents.smooth(found.latents, found.shots, frames=2.0)
    whole = latents.map_latents(
        smoothed, found.statistics, painter, style_map="gaussian", strength=0.7
    )
    assert len(recipe.codes) == 40
    parts = np.concatenate([recipe.codes[i : i + 8] for i in range(0, 48, 8)])
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def test_some_frames_are_moved_as_among_all():
    found = encoded([0.5] * 6)
    painter = latents.statistics_of(RNG.standard_normal((50, 4)), "painting")
    some = np.array([1, 4])
    all_moved = found.restyle(found.style_move(painter, "gaussian"), 1.0)
    moved = all_moved.of(some)
    np.testing.assert_allclose(moved.codes, all_moved.codes[:][some], atol=1e-5)
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
    source = reader.probe(clip)
    geometry = clips.Geometry.of(source, tiles.Crop(), "source", "none", scale=1)
    part = clips.Clip(source, tiles.Crop(), geometry.tile_size, 1, 0.0, 0.0)
    nothing = SimpleNamespace(encode=lambda whole: {"z_mean": np.zeros((len(whole), 4))})
    found = first_pass.encode_video(part, nothing, "none", tmp_path / "work")
    recipe = first_pass.Recipe(found.latents, found.light, found.drift)
    target = tmp_path / "out.mp4"
    second_pass.write_video(
        part, found, recipe, lambda codes, whole, strengths, drift: whole,
        clips.Encoding(geometry, "none", 4, "superfast"), target, tmp_path / "segments", {},
    )  # fmt: skip
    before, after = (
        np.stack(list(reader.read_frames(x, crop=tiles.Crop(), size=(320, 180)))).astype(float)
        for x in (source, reader.probe(target))
    )
    assert before.shape == after.shape and before.std() > 40
    middles = np.s_[:, 8:110:8, 20::45]  # of bars; at their edges chroma is halved in size
    assert np.abs(before - after)[middles].max() < 6
    assert np.abs((before - after).mean((0, 1, 2))).max() < 1


@pytest.fixture
def late(tmp_path, media, ffmpeg):
    """A video whose picture starts a second after its sound."""
    clip = tmp_path / "late.mkv"
    ffmpeg("-itsoffset", 1, "-i", f"file:{media.clip}", "-i", f"file:{media.clip}", "-map", "0:v",
           "-map", "1:a", "-c", "copy", clip)  # fmt: skip
    return reader.probe(clip)


def convert_nothing(part, folder):
    """Takes a clip through both passes with networks that change nothing."""
    nothing = SimpleNamespace(encode=lambda whole: {"z_mean": np.zeros((len(whole), 4))})
    found = first_pass.encode_video(part, nothing, "none", folder / "work")
    recipe = first_pass.Recipe(found.latents, found.light, found.drift)
    geometry = clips.Geometry.of(part.source, part.crop, "source", "none", scale=1)
    second_pass.write_video(
        part, found, recipe, lambda codes, whole, strengths, drift: whole,
        clips.Encoding(geometry, "none", 20, "ultrafast"), folder / "out.mp4",
        folder / "segments", {},
    )  # fmt: skip
    return reader.probe(folder / "out.mp4")


def test_a_part_of_a_video_that_starts_late_is_cut_by_the_files_clock(late, tmp_path):
    assert late.times[0] == pytest.approx(1, abs=0.05)
    part = clips.Clip(late, tiles.Crop(), (320, 176), 1, 2.2, 0.5)
    made = convert_nothing(part, tmp_path)
    wanted = ((late.times >= 2.2) & (late.times < 2.7)).sum()
    assert part.num_frames == len(made.times) == wanted and wanted in (11, 12, 13)


def test_the_sound_of_a_part_ends_with_its_picture(late, tmp_path, ffmpeg):
    part = clips.Clip(late, tiles.Crop(), (320, 176), 1, 0.0, 2.0)
    made = convert_nothing(part, tmp_path)
    end = made.times[-1] + 1 / float(made.rate)
    sound = ffmpeg("-i", tmp_path / "out.mp4", "-map", "0:a", "-f", "framehash", "-")
    rows = [line.split(",") for line in sound.splitlines() if not line.startswith("#")]
    tick = next(line for line in sound.splitlines() if line.startswith("#tb 0"))
    last = (int(rows[-1][2]) + int(rows[-1][3])) * float(Fraction(tick.split(": ")[1]))
    assert 1.9 < end < 2.1 and abs(last - end) < 0.06


@pytest.mark.parametrize("damaged", [first_pass.OBSERVED, first_pass.LATENTS])
@pytest.mark.parametrize("fault", ["cut", "blank", "gone"])
def test_a_first_pass_that_was_damaged_is_made_again(media, tmp_path, capsys, damaged, fault):
    part = clips.Clip(reader.probe(media.clip), tiles.Crop(), (320, 176), 1, 0.0, 0.0)
    nothing = SimpleNamespace(encode=lambda whole: {"z_mean": np.ones((len(whole), 4))})
    found = first_pass.encode_video(part, nothing, "none", tmp_path)
    path = next(tmp_path.rglob(damaged))
    whole = path.read_bytes()
    path.unlink()
    if fault != "gone":
        path.write_bytes(whole[:-200] if fault == "cut" else whole[:-200] + bytes(200))
    again = first_pass.encode_video(part, nothing, "none", tmp_path)
    said = "is damaged: the first pass is done again" in capsys.readouterr().err
    assert said == (fault != "gone" or damaged == first_pass.LATENTS)
    np.testing.assert_array_equal(found.times, again.times)
    assert path.read_bytes() == whole
    first_pass.encode_video(part, nothing, "none", tmp_path)
    assert "is used again" in capsys.readouterr().out


@pytest.mark.parametrize("frames", [48, 52, 96])
def test_other_frames_in_the_second_pass_than_in_the_first_are_noticed(
    media, tmp_path, monkeypatch, frames
):
    """Also if they end with a segment."""
    monkeypatch.setattr(second_pass, "SEGMENT_FRAMES", 48)
    part = clips.Clip(reader.probe(media.clip), tiles.Crop(), (320, 176), 1, 0.0, 0.0)
    read = clips.Clip.read

    def other(self, times=None):
        own = list(read(self, times))
        return iter(own if times is not None else (own + own)[:frames])

    monkeypatch.setattr(clips.Clip, "read", other)
    with pytest.raises(RuntimeError, match=f"gave {frames} frames in the second pass and 60 in"):
        convert_nothing(part, tmp_path)
    assert not list(tmp_path.rglob("out.mp4"))


@pytest.mark.parametrize("fault", ["cut", "short"])
def test_parts_of_a_first_pass_that_were_damaged_are_made_again(media, tmp_path, fault):
    part = clips.Clip(reader.probe(media.clip), tiles.Crop(), (320, 176), 1, 0.0, 0.0)
    nothing = SimpleNamespace(encode=lambda whole: {"z_mean": np.ones((len(whole), 4))})
    first_pass.encode_video(part, nothing, "none", tmp_path)
    observed = next(tmp_path.rglob(first_pass.OBSERVED))
    observed.unlink()
    chunk = observed.with_name("chunk-00000.npy")
    np.save(chunk, np.ones((40, 4), np.float32))
    if fault == "cut":
        chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(RuntimeError, match="run the same command again"):
        first_pass.encode_video(part, nothing, "none", tmp_path)
    found = first_pass.encode_video(part, nothing, "none", tmp_path)
    assert found.latents.shape == (60, 4)


def test_a_killed_ffmpeg_is_no_end_of_the_video(media, tmp_path, monkeypatch):
    part = clips.Clip(reader.probe(media.clip), tiles.Crop(), (320, 176), 1, 0.0, 0.0)
    running = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: running.append(popen(*a, **k)) or running[-1]
    )
    frames = part.read()
    next(frames)
    running[-1].kill()
    with pytest.raises(ValueError, match=r"ffmpeg was killed after \d+ frames"):
        list(frames)


def test_a_frame_of_a_few_rows_goes_through(tmp_path, ffmpeg):
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=960x20:r=24:d=0.5", tmp_path / "flat.mp4")
    source = reader.probe(tmp_path / "flat.mp4")
    size = tiles.fit_size(*source.display_size(tiles.Crop()))
    made = convert_nothing(clips.Clip(source, tiles.Crop(), size, 1, 0.0, 0.0), tmp_path)
    assert len(made.times) == 12 and (made.width, made.height) == (960, 20)
