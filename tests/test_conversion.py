import dataclasses
import re
import subprocess
import threading
from fractions import Fraction

from cadl.conversion import encode_pass, passes, render_pass
from cadl.conversion.clip import Clip, Encoding, Geometry
from cadl.conversion.codes import Encoded, MovedCodes
from cadl.conversion.colour_match import find_correction
from cadl.conversion.frame_painter import (
    MOST_APART,
    SHOTS_APART,
    Brushwork,
    FramePainter,
    Moved,
    paint,
)
from cadl.conversion.output import Output
from cadl.conversion.recolouring import Recolouring
from cadl.conversion.rendering import DifferentFrames, Rendering, paint_frames, read_frames_at
from cadl.conversion.sharing import Sharing
from cadl.errors import UserError
from cadl.images import tiles
from cadl.images.colours import Colours
from cadl.strokes.hand import Hand
from cadl.strokes.track_files import Tracked, read_tracks
from cadl.strokes.tracks import StrokeTracker
from cadl.style import latents
from cadl.video import probing, reader, writer
from cadl.workers import WorkerPool

import cv2
import numpy as np
import pytest
from conftest import map_latents

RNG = np.random.default_rng(0)


def encoded(light):
    codes = RNG.standard_normal((len(light), 4)).astype(np.float32)
    return Encoded(
        codes, np.zeros(len(light), int), np.arange(len(light)) / 24,
        np.array(light, np.float32), *2 * (np.zeros((1, 180, 320, 3), np.uint8), np.array([0])),
        np.zeros((0, 180, 320, 3), np.uint8), np.zeros((0, 4), np.float32),
    )  # fmt: skip


def test_black_is_not_painted_a_dark_scene_is_and_a_fade_fades():
    scene, faded = 5 * [0.05], [0.036, 0.018, 0.012, 0.0]
    found = encoded([*scene, *faded, *4 * [0.02], 0.018, 0.015, 0.001])
    found.shots[9:] = 1
    wanted = [*5 * [1], 1, 0.6, 0.2, 0, *4 * [1], 0.8, 0.5, 0]
    np.testing.assert_allclose(found.painted_shares, wanted, atol=1e-6)


GEOMETRY = Geometry((320, 180), (320, 180), (320, 180), (320, 180))


def painted_in(hands, frame, share=1.0, offset=0.0, palette=None):
    """Paints a frame of 320x180 in some hands and shares of them."""
    own = StrokeTracker([hand for hand, _ in hands], (320, 180)).add(0, frame, None)
    whole = [np.ones(len(one.places), np.float32) for one in own]
    strokes = [
        Tracked(x.places, x.identities, x.fates, growth, 0 * growth)
        for x, growth in zip(own, whole, strict=True)
    ]
    recolouring = Recolouring.of(GEOMETRY, frame, np.full((45, 80, 3), offset, np.float32))
    moved = Moved(frame, frame, recolouring, palette, share=share)
    return paint(Brushwork(GEOMETRY, hands), moved, strokes, None, 1.0)


def test_of_a_frame_in_a_fade_a_share_is_painted():
    frame = RNG.integers(0, 60, (9, 16, 3)).astype(np.uint8).repeat(20, 0).repeat(20, 1)
    whole, half, none = (
        painted_in(((Hand(), 1.0),), frame, share, 0.3) for share in (1.0, 0.5, 0.0)
    )
    assert whole.mean() > frame.mean() + 60
    np.testing.assert_allclose(half, (whole.astype(float) + frame) / 2, atol=1)
    np.testing.assert_array_equal(none, frame)


def test_a_quiet_hands_even_places_are_misty_unless_it_lies_on_anothers_strokes():
    frame = np.full((180, 320, 3), 120, np.uint8)
    frame[:, 160:] = RNG.integers(40, 200, (180, 160, 1))
    lively = Hand(light=0.15, relief=0.0, finest=60.0)
    quiet = dataclasses.replace(lively, quiet=0.45)
    plain, misty, below, above = (
        painted_in(hands, frame)[20:160, 20:140].std()
        for hands in (
            ((lively, 1.0),), ((quiet, 1.0),), ((lively, 1.0), (quiet, 0.01)),
            ((quiet, 1.0), (lively, 0.01)),
        )
    )  # fmt: skip
    assert misty < 0.4 * plain and above < 0.6 * plain
    assert below > 0.9 * plain


def test_washes_over_pencil_have_the_colours_of_the_film():
    frame = np.full((180, 320, 3), (176, 56, 46), np.uint8)
    frame[60:120, 100:200] = 150, 80, 70
    pencil, washes = Hand(kind="hatching"), Hand(kind="flat", rim=0.3)
    alone, over = (
        painted_in(hands, frame, palette=frame[::60, ::60].reshape(-1, 3) / np.float32(255))
        for hands in (((washes, 1.0),), ((pencil, 1.0), (washes, 0.99)))
    )
    np.testing.assert_allclose(over.mean(axis=(0, 1)), alone.mean(axis=(0, 1)), atol=4)


def test_codes_asked_for_in_parts_are_those_of_the_whole(monkeypatch):
    """Smoothed within shots, across the borders of parts."""
    found = encoded([0.5] * 40)
    found.shots[17:] = 1
    monkeypatch.setattr("cadl.conversion.codes.SMOOTHED_FRAMES", 12)
    painter = latents.statistics_of(RNG.standard_normal((50, 4)), "painting")
    move = latents.style_move(found.statistics, painter, "gaussian")
    codes = MovedCodes(found, 2.0, move, 0.7)
    smoothed = latents.smooth(found.latents, found.shots, frames=2.0)
    whole = map_latents(smoothed, found.statistics, painter, style_map="gaussian", strength=0.7)
    assert len(codes) == 40
    parts = np.concatenate([codes[i : i + 8] for i in range(0, 48, 8)])
    np.testing.assert_allclose(parts, whole, atol=1e-6)


def clip_of(path, start=0.0, length=0.0):
    source = path if isinstance(path, probing.Video) else probing.probe(path)
    return Clip(source, tiles.Crop(), start, length)


def analyse(part, folder, value=1.0):
    """Runs pass 1 with codes that are always the same."""

    def encode(seen):
        assert seen.shape[1:] == tiles.SHAPE and seen.dtype == np.uint8
        return np.full((len(seen), 4), value, np.float32)

    geometry = Geometry.of(part.source, part.crop, "source", "none")
    return encode_pass.analyse_video(part, geometry, [Hand()], encode, "none", folder)


def unchanged(codes, own):
    return np.zeros((len(codes), 45, 80, 3), np.float32)


def rendering_of(part, folder, workers, *, strength=0.0, crf=20, hold_frames=1):
    """Returns what paints a clip whose light and colours stay as they are."""
    found = analyse(part, folder / "work")
    geometry = Geometry.of(part.source, part.crop, "source", "none")
    codes = MovedCodes(found.encoded, 0.0, lambda own: own, strength)
    brushwork, shares = Brushwork(geometry, ((Hand(), 1.0),)), found.encoded.painted_shares
    painter = FramePainter(brushwork, unchanged, codes, strength, shares)
    encoding = Encoding(geometry, "none", crf, "ultrafast")
    return Rendering(part, found.encoded, found.tracks, painter, encoding, hold_frames, workers)


def convert_nothing(part, folder, crf=20):
    """Takes a clip through both passes with networks that change nothing."""
    with WorkerPool(2) as workers:
        rendering = rendering_of(part, folder, workers, crf=crf)
        output = Output(folder / "out.mp4", folder / "segments", folder / "work", {})
        with Sharing(output) as share:
            render_pass.write_video(rendering, share)
    return probing.probe(folder / "out.mp4")


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
    source = probing.probe(clip)
    made = convert_nothing(clip_of(source), tmp_path, crf=4)
    before, after = (
        np.stack(list(reader.read_frames(x, crop=tiles.Crop(), size=(320, 180)))).astype(float)
        for x in (source, made)
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
    return probing.probe(clip)


def test_a_part_of_a_video_that_starts_late_is_cut_by_the_files_clock(late, tmp_path):
    assert late.times[0] == pytest.approx(1, abs=0.05)
    part = clip_of(late, 2.2, 0.5)
    made = convert_nothing(part, tmp_path)
    wanted = ((late.times >= 2.2) & (late.times < 2.7)).sum()
    assert part.num_frames == len(made.times) == wanted and wanted in (11, 12, 13)


def test_a_frame_of_a_video_that_starts_late_is_found_again(late, tmp_path):
    with WorkerPool(2) as workers:
        rendering = rendering_of(clip_of(late), tmp_path, workers)
        frames = list(rendering.clip.read(rendering.encoding.geometry.picture_size))
        for number in (0, 17, 59):
            (found,) = read_frames_at(rendering, number, 1)
            np.testing.assert_array_equal(found, frames[number])


def test_frames_that_cannot_be_decoded_at_the_beginning_shift_no_picture(tmp_path, ffmpeg):
    """The first picture in a group of which the frames before it are cut off."""
    whole, path = tmp_path / "whole.ts", tmp_path / "recording.ts"
    ffmpeg("-f", "lavfi", "-i", "color=black:s=64x36:r=25:d=3,"
           "drawbox=color=white:t=fill:enable='gte(t,1.98)'", "-f", "lavfi", "-i",
           "aevalsrc='0.5*sin(880*2*PI*t)*gte(t,2)':d=3:s=48000", "-c:v", "mpeg2video", "-bf", 2,
           "-g", 24, "-c:a", "mp2", whole)  # fmt: skip
    data = whole.read_bytes()
    path.write_bytes(data[len(data) // 5 // 188 * 188 :])
    made = convert_nothing(clip_of(path), tmp_path)
    heard = ffmpeg("-i", made.path, "-af", "silencedetect=noise=0.05:d=0.01,ametadata=print:file=-",
                   "-vn", "-f", "null", "-")  # fmt: skip
    frames = reader.read_frames(made, crop=tiles.Crop(), size=(64, 36))
    flash = next(number for number, frame in enumerate(frames) if frame.mean() > 128)
    beep = float(re.search(r"silence_end=([\d.]+)", heard)[1])
    assert made.times[flash] == pytest.approx(beep - 0.02, abs=0.021)


def test_the_sound_of_a_part_ends_with_its_picture(late, tmp_path, ffmpeg):
    part = clip_of(late, 0.0, 2.0)
    made = convert_nothing(part, tmp_path)
    end = made.times[-1] + 1 / float(made.rate)
    sound = ffmpeg("-i", tmp_path / "out.mp4", "-map", "0:a", "-f", "framehash", "-")
    rows = [line.split(",") for line in sound.splitlines() if not line.startswith("#")]
    tick = next(line for line in sound.splitlines() if line.startswith("#tb 0"))
    last = (int(rows[-1][2]) + int(rows[-1][3])) * float(Fraction(tick.split(": ")[1]))
    assert 1.9 < end < 2.1 and abs(last - end) < 0.06


@pytest.mark.parametrize(
    ("start", "length", "times", "seconds"),
    [
        (0, 0, [0, 2, 3], 8),
        (2, 3, [0, 1], 3),
        (0, 2.5, [0, 2], 2.5),
        (3, 0, [0], 5),
        (0.5, 1, [0], 1),
        (1.5, 0, [0, 0.5, 1.5], 6.5),
        (4, 2, [0], 2),
    ],
)
def test_slides_are_shown_as_long_as_they_were(tmp_path, start, length, times, seconds):
    path = tmp_path / "slides.mp4"
    size = (64, 36)
    with writer.FrameWriter(
        path, rate=Fraction(1), size=size, output_size=size, times=np.array([0, 2, 3, 8])
    ) as film:
        film.write(RNG.integers(0, 255, (3, 36, 64, 3)).astype(np.uint8))
    made = convert_nothing(clip_of(path, start, length), tmp_path)
    np.testing.assert_allclose(made.times, times, atol=1e-3)
    assert made.seconds == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize(("last", "end"), [(300.0, 900.0), (599.99, 1200.0)])
def test_the_last_picture_of_an_even_film_lasts_as_long_as_it_did(tmp_path, last, end):
    source = probing.Video(tmp_path, 64, 36, Fraction(1), Fraction(1, 600), variable_rate=False,
                           times=np.array([0.0, 600.0]), last_seconds=last)  # fmt: skip
    edges = clip_of(source).edges(source.times)
    assert edges.tolist() == [0, 600, end]
    told = render_pass._irregular_edges(clip_of(source), source.times)
    assert (told is None) == (end == 1200)


@pytest.mark.parametrize("damaged", [passes.OBSERVED, passes.LATENTS])
@pytest.mark.parametrize("fault", ["cut", "blank", "gone"])
def test_a_first_pass_that_was_damaged_is_made_again(media, tmp_path, capsys, damaged, fault):
    part = clip_of(media.clip)
    found = analyse(part, tmp_path).encoded
    path = next(tmp_path.rglob(damaged))
    whole = path.read_bytes()
    path.unlink()
    if fault != "gone":
        path.write_bytes(whole[:-200] if fault == "cut" else whole[:-200] + bytes(200))
    again = analyse(part, tmp_path).encoded
    said = "is damaged: the first pass is done again" in capsys.readouterr().err
    assert said == (fault != "gone" or damaged == passes.LATENTS)
    np.testing.assert_array_equal(found.times, again.times)
    assert path.read_bytes() == whole
    analyse(part, tmp_path)
    assert "is used again" in capsys.readouterr().out


def test_a_first_pass_that_another_run_makes_is_waited_for(media, tmp_path, capsys):
    part, found = clip_of(media.clip, 0.0, 0.5), []
    runs = [
        threading.Thread(target=lambda: found.append(analyse(part, tmp_path))) for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    said = capsys.readouterr().out
    assert f"another run makes the first pass over {media.clip.name}: waiting for it" in said
    assert said.count("the first pass was done before and is used again\n") == 1
    assert found[0].tracks == found[1].tracks
    np.testing.assert_array_equal(found[0].encoded.latents, found[1].encoded.latents)


@pytest.mark.parametrize(("frames", "said"), [(48, "48"), (52, "52"), (96, "more than 60")])
def test_other_frames_in_the_second_pass_than_in_the_first_are_noticed(
    media, tmp_path, monkeypatch, frames, said
):
    """Also if they end with a segment."""
    monkeypatch.setattr("cadl.conversion.segments.SEGMENT_FRAMES", 48)
    part = clip_of(media.clip)
    read = Clip.read

    def other(self, size, times=None):
        own = list(read(self, size, times))
        return iter(own if times is not None else (own + own)[:frames])

    monkeypatch.setattr(Clip, "read", other)
    with pytest.raises(DifferentFrames, match=f"gave {said} frames in the second pass and 60 in"):
        convert_nothing(part, tmp_path)
    assert not list(tmp_path.rglob("out.mp4"))


@pytest.mark.parametrize("fault", ["cut", "short"])
def test_parts_of_a_first_pass_that_were_damaged_are_made_again(media, tmp_path, fault):
    part = clip_of(media.clip)
    analyse(part, tmp_path)
    observed = next(tmp_path.rglob(passes.OBSERVED))
    observed.unlink()
    chunk = observed.with_name("chunk-00000.npy")
    np.save(chunk, np.ones((40, 4), np.float32))
    if fault == "cut":
        chunk.write_bytes(chunk.read_bytes()[:-9])
    with pytest.raises(UserError, match="run the same command again"):
        analyse(part, tmp_path)
    found = analyse(part, tmp_path).encoded
    assert found.latents.shape == (60, 4)


def test_a_killed_ffmpeg_is_no_end_of_the_video(media, tmp_path, monkeypatch):
    part = clip_of(media.clip)
    running = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, **k: running.append(popen(*a, **k)) or running[-1]
    )
    frames = part.read((320, 176))
    next(frames)
    running[-1].kill()
    with pytest.raises(UserError, match=r"ffmpeg was killed after \d+ frames"):
        list(frames)


def test_a_frame_of_a_few_rows_goes_through(tmp_path, ffmpeg):
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=960x20:r=24:d=0.5", tmp_path / "flat.mp4")
    source = probing.probe(tmp_path / "flat.mp4")
    made = convert_nothing(clip_of(source), tmp_path)
    assert len(made.times) == 12 and (made.width, made.height) == (960, 20)


def counted(monkeypatch, owner, name):
    """Returns a list that grows with each call of a method."""
    calls, method = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: calls.append(given) or method(*given))
    return calls


def painted(rendering, segments):
    return {number: frame for number, _, frame in paint_frames(rendering, segments)}


def test_a_segment_painted_alone_is_the_same_to_the_bit(media, tmp_path, monkeypatch):
    """The frames that its strokes' looks are averaged over are read again."""
    monkeypatch.setattr("cadl.conversion.segments.SEGMENT_FRAMES", 16)
    with WorkerPool(2) as workers:
        rendering = rendering_of(clip_of(media.clip), tmp_path, workers, strength=0.8)
        whole, asked = {}, []
        numbers = (asked.append(len(whole)) or number for number in range(4))
        reads = counted(monkeypatch, Clip, "read")
        for number, _, frame in paint_frames(rendering, numbers):
            whole[number] = frame
        assert list(whole) == list(range(60))
        # Neighbours are painted in one go, and asked for when those before are almost done.
        assert len(reads) == 1 and asked[0] == 0
        assert all(16 * i - 8 < asked[i] <= 16 * i for i in range(1, 4))
        for segments in ([1], [3], [0, 3]):
            alone = painted(rendering, segments)
            wanted = [i for i in range(60) if i // 16 in segments]
            assert list(alone) == wanted
            for number in wanted:
                np.testing.assert_array_equal(alone[number], whole[number])
        assert np.abs(whole[40].astype(int) - whole[41]).mean() > 1


def test_held_frames_begin_anew_in_a_shot_and_are_held_into_a_segment(media, tmp_path, monkeypatch):
    monkeypatch.setattr("cadl.conversion.segments.SEGMENT_FRAMES", 16)
    with WorkerPool(2) as workers:
        rendering = rendering_of(clip_of(media.clip), tmp_path, workers, strength=1, hold_frames=5)
        assert rendering.encoded.shots.tolist() == [0] * 36 + [1] * 24
        held = [rendering.held(number) for number in range(60)]
        assert held[14:17] == [10, 15, 15] and held[34:42] == [30, 35, 36, 36, 36, 36, 36, 41]
        whole, alone = painted(rendering, [0, 1, 2, 3]), painted(rendering, [1])
        for number in range(16, 32):
            np.testing.assert_array_equal(alone[number], whole[number])
        same = [bool((whole[i] == whole[i - 1]).all()) for i in range(1, 60)]
        assert same == [held[i] == held[i - 1] for i in range(1, 60)]


@pytest.mark.parametrize("stopped_at", [7, 24, 30, 47])
def test_tracks_that_were_interrupted_end_in_the_same_strokes(
    media, tmp_path, monkeypatch, stopped_at
):
    from cadl.strokes import track_files

    monkeypatch.setattr(track_files, "CHUNK_FRAMES", 24)
    part = clip_of(media.clip)
    whole = analyse(part, tmp_path / "whole").tracks
    read = Clip.read

    def broken(self, size, times=None):
        for number, frame in enumerate(read(self, size, times)):
            if number == stopped_at:
                raise OSError("unplugged")
            yield frame

    with monkeypatch.context() as patched:
        patched.setattr(Clip, "read", broken)
        with pytest.raises(OSError, match="unplugged"):
            analyse(part, tmp_path / "broken")
    resumed = analyse(part, tmp_path / "broken").tracks
    assert [path.name for path in sorted(whole.glob("*.npz"))] == [
        f"tracks-{i:05d}.npz" for i in range(3)
    ]
    for path in whole.glob("*.npz"):
        assert path.read_bytes() == (resumed / path.name).read_bytes()
    frames = list(read_tracks(resumed, 0, 60))
    assert len(frames) == 60 and all(len(layer.places) > 20 for layer in frames[0][:2])


def test_flat_areas_have_the_colours_of_their_own_shot(tmp_path, ffmpeg):
    """A red and blue shot, then a green and white one: neither has colours of the other."""
    path = tmp_path / "two.mp4"
    halves = [
        f"color={left}:160x180:d=1:r=10[a{i}];color={right}:160x180:d=1:r=10[b{i}];"
        f"[a{i}][b{i}]hstack[s{i}]"
        for i, (left, right) in enumerate((("red", "blue"), ("green", "white")))
    ]
    ffmpeg("-filter_complex", ";".join(halves) + ";[s0][s1]concat=n=2,format=yuv444p[v]",
           "-map", "[v]", "-crf", 1, path)  # fmt: skip
    part = clip_of(path)
    found = analyse(part, tmp_path / "work").encoded
    assert found.shots.tolist() == 10 * [0] + 10 * [1]
    # Every fourth of ten frames: after a fifth picture every second one is dropped.
    assert found.shot_frames.tolist() == [0, 4, 8, 10, 14, 18]
    assert found.shot_pictures.shape == (6, 45, 80, 3)
    geometry = Geometry.of(part.source, part.crop, "source", "none")
    codes = MovedCodes(found, 0.0, lambda own: own, 1.0)
    hand = Hand(kind="flat", colours=6)
    painter = FramePainter(Brushwork(geometry, ((hand, 1.0),)), unchanged, codes, 1.0, np.ones(20))
    painter = painter.with_palettes(found.by_shot)
    frames = list(part.read(geometry.picture_size))
    for number, wanted in ((3, ((254, 0, 0), (0, 0, 254))), (15, ((0, 128, 0), (255, 255, 255)))):
        (moved,) = painter.move(number, [frames[number]])
        apart = np.abs(255 * moved.palette[:, None] - np.array(wanted)).max(axis=2)
        assert (apart.min(axis=0) < 12).all()  # both colours are there
        main = np.argsort(apart.min(axis=1))[:2]
        assert (apart[main].min(axis=1) < 12).all()
        others = ((0, 128, 0), (255, 255, 255)) if number < 10 else ((254, 0, 0), (0, 0, 254))
        assert np.abs(255 * moved.palette[:, None] - np.array(others)).max(axis=2).min() > 60


ROUGH = cv2.resize(
    RNG.standard_normal((45, 80, 3)).astype(np.float32), (320, 180), interpolation=cv2.INTER_NEAREST
)


def rough_picture(light, spread):
    return tiles.to_uint8(np.clip(light + spread * ROUGH, 0, 1))


def painter_of(shots, goal, film=None):
    """Returns what moves a film of given pictures, a list for each shot, to a painter's colours."""
    numbers = np.cumsum([0, *map(len, shots)])
    pictures = np.stack([picture for shot in shots for picture in shot])
    found = dataclasses.replace(
        encoded(len(pictures) * [0.05]), shot_frames=np.arange(len(pictures)),
        shots=np.repeat(np.arange(len(shots)), np.diff(numbers)), shot_pictures=pictures,
    )  # fmt: skip
    film = pictures if film is None else film
    codes = MovedCodes(found, 0.0, lambda own: own, 1.0)
    painter = FramePainter(
        Brushwork(GEOMETRY, ()), unchanged, codes, 1.0, np.ones(len(pictures), np.float32)
    )
    own = np.zeros((len(film), 4), np.float32)
    return painter.with_colours(film, own, found.by_shot, goal), pictures


def colours_of(painter, pictures, number):
    (moved,) = painter.move(number, [pictures[number]])
    return Colours.of(moved.recoloured(GEOMETRY, moved.frame)[None])


@pytest.mark.parametrize("contrast", [1.0, 0.8])
def test_a_shot_gets_the_spread_of_one_picture_and_dark_ones_stay_darker(contrast):
    """As a whole the film has the painter's mean, though its shots differ less than they did."""
    goal = Colours.of(np.stack([rough_picture(light, 0.08) for light in (0.45, 0.65)]))
    painter, pictures = painter_of([[rough_picture(0.25, 0.05)], [rough_picture(0.55, 0.1)]], goal)
    painter = dataclasses.replace(painter, contrast=contrast)
    dark, light = (colours_of(painter, pictures, number) for number in (0, 1))
    for own in (dark, light):
        assert own.spread_within == pytest.approx(contrast * goal.spread_within, rel=0.05)
    means = np.array([own.mean.mean() for own in (dark, light)])
    assert means.mean() == pytest.approx(goal.mean.mean(), abs=0.01)
    assert means[1] - means[0] == pytest.approx(0.3 * SHOTS_APART, abs=0.02)


def test_shots_lie_no_further_apart_than_a_painters_pictures_do():
    goal = Colours.of(np.stack([rough_picture(light, 0.1) for light in (0.5, 0.52)]))
    painter, pictures = painter_of([[rough_picture(0.1, 0.02)], [rough_picture(0.9, 0.02)]], goal)
    dark, light = (colours_of(painter, pictures, number).mean.mean() for number in (0, 1))
    assert light - dark == pytest.approx(2 * MOST_APART[1], abs=0.02)


def test_frames_in_a_fade_don_t_tell_the_colours_of_their_shot():
    goal = Colours.of(np.stack([rough_picture(light, 0.1) for light in (0.45, 0.55)]))
    scene, faded, black = (rough_picture(light, light / 4) for light in (0.4, 0.1, 0.0))
    film = scene[None]
    painter, pictures = painter_of([[scene, scene, scene, faded, black]], goal, film)
    alone, one = painter_of([[scene]], goal, film)
    found, wanted = colours_of(painter, pictures, 0), colours_of(alone, one, 0)
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-3)
    np.testing.assert_allclose(found.covariance, wanted.covariance, atol=1e-4)
    # The faded frame has a quarter of the scene's light, which is less than 0.6 of it.
    dim = colours_of(painter, pictures, 3)
    assert (dim.mean > 0.25 * wanted.mean).all() and (dim.mean < 0.25 / 0.6 * wanted.mean).all()
    assert colours_of(painter, pictures, 4).mean.max() < 0.01  # black stays black


def test_what_pale_ground_takes_from_the_chroma_is_found_out(tmp_path, ffmpeg):
    """White ground between strokes makes a film paler; a film without ground is left alone."""
    path = tmp_path / "red.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=0xc03020:320x180:d=0.5:r=10", "-pix_fmt", "yuv444p", path)
    part = clip_of(path)
    goal = Colours.of(np.stack(list(part.read((320, 180)))))
    with WorkerPool(2) as workers:
        rendering = rendering_of(part, tmp_path, workers, strength=1.0)
        plain = find_correction(corrected(rendering), lambda _: goal)
        assert plain.chroma == pytest.approx(1.0, abs=0.1) and abs(plain.light) < 0.03
        bare = Hand(bare=1.0, under=0.0, cover=0.6, ground=(1.0, 1.0, 1.0), width=15.0, finest=60.0)
        brushwork = dataclasses.replace(rendering.painter.brushwork, hands=((bare, 1.0),))
        found = encode_pass.analyse_video(
            part, brushwork.geometry, [bare], lambda own: np.ones((len(own), 4), np.float32),
            "none", tmp_path / "bare",
        )  # fmt: skip
        painter = dataclasses.replace(rendering.painter, brushwork=brushwork)
        pale = dataclasses.replace(rendering, painter=painter, tracks=found.tracks)
        correction = find_correction(corrected(pale), lambda _: goal)
        before, after = (
            Colours.of(np.stack([frame for _, _, frame in paint_frames(own, [0])]))
            for own in (pale, corrected(pale)(correction))
        )
    assert correction.chroma > 1.15 and correction.light < -0.03
    assert before.chroma < after.chroma < 1.1 * goal.chroma


def corrected(rendering):
    """Returns what makes a rendering with a correction."""
    return lambda own: dataclasses.replace(rendering, painter=own.apply(rendering.painter))
