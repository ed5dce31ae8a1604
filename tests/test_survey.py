"""Which frames tell the colours of a whole film, and how they are read."""

from cadl.conversion import survey
from cadl.conversion.clip import Clip, Geometry
from cadl.errors import UserError
from cadl.images import tiles
from cadl.video import probing

import numpy as np
import pytest


def encode(batch):
    assert batch.shape[1:] == tiles.SHAPE
    return batch.reshape(len(batch), -1)[:, :4].astype(np.float32)


def look_over(path, length):
    clip = Clip(probing.probe(path), tiles.Crop(), 0.0, length)
    return survey.survey(clip, Geometry.of(clip.source, clip.crop, "source", "none"), encode)


@pytest.fixture(scope="module")
def getting_lighter(tmp_path_factory, ffmpeg):
    """Returns what films from black to white, 100 frames, as a format with keys every so often."""

    def film(suffix, keys):
        path = tmp_path_factory.mktemp("film") / f"lighter.{suffix}"
        ffmpeg("-f", "lavfi", "-i", "color=black:320x180:r=25:d=4,geq=lum=2.5*N:cb=128:cr=128",
               "-g", keys, "-pix_fmt", "yuv420p", "-crf", 1, path)  # fmt: skip
        return path

    return film


@pytest.mark.parametrize(("suffix", "keys"), [("mp4", 5), ("mp4", 1000), ("h264", 1000)])
def test_frames_are_spread_over_the_whole_film(getting_lighter, suffix, keys):
    """Also if decoding can begin at the first frame alone, and if nothing can be sought."""
    frames, latents = look_over(getting_lighter(suffix, keys), 0.4)
    assert len(frames) == len(latents) == survey.FRAMES
    light = frames.mean(axis=(1, 2, 3))
    assert (np.diff(light) >= 0).all()
    assert light[0] < 12 and light[-1] > 235
    assert np.diff(light).max() < 20


def test_a_film_that_is_converted_whole_needs_none(getting_lighter):
    path = getting_lighter("mp4", 50)
    assert len(look_over(path, 0.0)[0]) == len(look_over(path, 3.8)[0]) == 0


def test_frames_that_cannot_be_read_are_told_of(getting_lighter, monkeypatch, capsys):
    path = getting_lighter("mp4", 2)

    def fail(*_, **__):
        raise UserError("no frame could be decoded")
        yield

    monkeypatch.setattr(survey.reader, "read_frames", fail)
    frames, latents = look_over(path, 0.4)
    assert len(frames) == len(latents) == 0
    assert f"{path}: only 0 of 48 frames" in capsys.readouterr().err


def test_a_frame_after_a_key_frame_is_taken_if_one_is_near():
    times = np.arange(1000) / 10
    numbers = survey.choose(times, times[::25])
    assert len(numbers) == survey.FRAMES and numbers == sorted(set(numbers))
    even = (np.arange(48) + 0.5) * 1000 / 48
    assert (np.array(numbers) <= even).all() and (even - numbers < 12).all()
    assert sum(number % 25 == 1 for number in numbers) > 15
    assert survey.choose(times, times[:0]) == even.astype(int).tolist()
    assert survey.choose(times[:2], times[:1]) == [0, 1]
