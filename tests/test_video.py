import re
from fractions import Fraction

from cadl.errors import UserError
from cadl.images import metrics, tiles
from cadl.images.tiles import Crop
from cadl.video import facts, probing, reader, writer
from cadl.video.shots import ShotFinder

import numpy as np
import pytest
from conftest import FRAMES, RATE, make_clip
from PIL import Image


@pytest.fixture(scope="module")
def clip(media):
    return probing.probe(media.clip)


def read_all(source, **options):
    times = []
    options = {"crop": Crop(), "size": (source.width, source.height), **options}
    return np.stack(list(reader.read_frames(source, times=times, **options))), times


def test_a_clip_is_what_it_was_made_as(clip):
    assert (clip.width, clip.height, clip.pixel_aspect) == (320, 176, 1)
    assert clip.rate == RATE and not clip.variable_rate
    assert clip.audio_codecs == ("aac",) and len(clip.times) == FRAMES
    assert clip.seconds == pytest.approx(FRAMES / RATE, abs=1e-3)


def test_every_frame_is_read_with_its_time(clip):
    frames, times = read_all(clip)
    assert frames.shape == (FRAMES, 176, 320, 3)
    np.testing.assert_allclose(times, np.arange(FRAMES) / float(RATE), atol=1e-4)


def test_reading_starts_at_the_frame_of_a_time(clip):
    whole, _ = read_all(clip)
    part, times = read_all(clip, start_seconds=20 / float(RATE), num_frames=5)
    assert len(part) == 5 and len(times) == 5
    assert (part == whole[20:25]).all()


def test_borders_and_the_cut_are_found(clip):
    assert probing.find_crop(clip) == Crop(16, 0, 16, 0)
    finder = ShotFinder()
    frames, _ = read_all(clip)
    shots = [finder.add(frame) for frame in frames]
    assert shots == [0] * 36 + [1] * (FRAMES - 36)


def test_frames_keep_their_colours(tmp_path):
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128], [240, 200, 40]])
    frame = colours.astype(np.uint8).repeat(64, 0)[None].repeat(64, 0)
    path = tmp_path / "bars.mp4"
    size = (320, 64)
    with writer.FrameWriter(
        path, rate=Fraction(25), size=size, output_size=size, quality=writer.Quality(crf=1)
    ) as film:
        for _ in range(5):
            film.write(frame)
    back, _ = read_all(probing.probe(path))
    middles = back[2][32, 32::64].astype(int)
    assert np.abs(middles - colours).max() <= 4


def test_a_file_says_that_it_is_bt709_in_limited_range(tmp_path, ffmpeg):
    path = tmp_path / "tagged.mp4"
    size = (64, 64)
    with writer.FrameWriter(path, rate=Fraction(25), size=size, output_size=size) as film:
        film.write(np.full((3, 64, 64, 3), 90, np.uint8))
    first = facts.first_frames(path, ())
    assert (first.matrix, first.primaries, first.transfer) == ("bt709", "bt709", "bt709")
    assert first.pixel_format == "yuv420p"
    seen = ffmpeg("-i", path, "-vf", "signalstats,metadata=print:file=-", "-f", "null", "-")
    assert set(re.findall(r"YAVG=(\d+)", seen)) == {"93"}  # 16 + 90 * 219 / 255
    ffmpeg("-i", path, "-c", "copy", tmp_path / "other.mkv")  # its header says the range
    assert "yuv420p(tv, bt709, progressive)" in facts.packets(tmp_path / "other.mkv").log


def test_frames_beside_a_cut_are_as_good_as_others(tmp_path):
    """The preset of conversions does not look for cuts."""
    rng = np.random.default_rng(0)
    pictures = [
        np.kron(rng.integers(0, 255, (11, 20, 3)), np.ones((16, 16, 1))).astype(np.uint8)
        for _ in range(2)
    ]
    frames = np.stack([np.roll(pictures[i >= 17], i, axis=1) for i in range(34)])
    path = tmp_path / "cut.mp4"
    size = (320, 176)
    with writer.FrameWriter(
        path,
        rate=Fraction(25),
        size=size,
        output_size=size,
        quality=writer.Quality(preset="superfast"),
    ) as film:
        film.write(frames)
    back, _ = read_all(probing.probe(path))
    found = metrics.psnr(tiles.to_float(frames), tiles.to_float(np.stack(back)))
    assert found.shape == (34,)
    assert found[15:19].min() > np.median(found) - 2


def test_variable_times_are_kept(tmp_path):
    times = np.array([0.0, 0.04, 0.2, 0.25, 0.9, 3.0])
    path = tmp_path / "variable.mp4"
    frames = np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3)).astype(np.uint8)
    with writer.FrameWriter(
        path, rate=Fraction(25), size=(64, 64), output_size=(64, 64), times=times
    ) as film:
        film.write(frames)
    source = probing.probe(path)
    assert source.variable_rate and source.seconds == pytest.approx(3.0, abs=1e-4)
    _, found = read_all(source)
    np.testing.assert_allclose(found, times[:-1], atol=1e-4)


def test_variable_times_are_kept_over_long_segments(tmp_path):
    times = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.06, 251)) - 0.02
    times -= times[0]
    segments, durations = [], []
    for number, (first, last) in enumerate(((0, 130), (130, 250))):
        segments.append(tmp_path / f"segment-{number:05d}.mp4")
        durations.append(float(times[last] - times[first]))
        with writer.FrameWriter(
            segments[-1], rate=Fraction(25), size=(64, 64), output_size=(64, 64),
            times=times[first : last + 1] - times[first],
        ) as film:  # fmt: skip
            film.write(np.full((last - first, 64, 64, 3), 90, np.uint8))
    joined = tmp_path / "joined.mp4"
    silent = probing.probe(segments[0])
    writer.join_segments(segments, joined, durations=durations, source=silent)
    source = probing.probe(joined)
    _, found = read_all(source)
    np.testing.assert_allclose(found, times[:-1], atol=1e-4)
    assert source.seconds == pytest.approx(times[-1], abs=1e-4)


def test_joined_segments_have_every_frame_and_the_sound_bit_for_bit(tmp_path, clip, ffmpeg, media):
    tmp_path = tmp_path / "a #1 [x]? é\n%41"
    tmp_path.mkdir()
    frames, _ = read_all(clip)
    segments = []
    for number, start in enumerate(range(0, FRAMES, 25)):
        segments.append(tmp_path / f"segment-{number:05d}.mp4")
        with writer.FrameWriter(
            segments[-1], rate=RATE, size=(320, 176), output_size=(320, 176)
        ) as film:
            film.write(frames[start : start + 25])
    durations = [float(n / RATE) for n in (25, 25, FRAMES - 50)]
    joined = tmp_path / "it's joined.mp4"
    kept = writer.join_segments(segments, joined, durations=durations, source=clip)
    assert (kept.sound, kept.left_out) == ("aac copied", [])
    found = probing.probe(joined)
    assert found.rate == RATE and len(found.times) == FRAMES and not found.variable_rate

    def sound(path):
        return ffmpeg("-i", f"file:{path}", "-map", "0:a", "-c", "copy", "-f", "md5", "-")

    assert sound(joined) == sound(media.clip)


@pytest.fixture(scope="module")
def variants(tmp_path_factory, ffmpeg):
    """Equivalents of awkward files, made by ffmpeg itself."""
    folder = tmp_path_factory.mktemp("variants")
    base = folder / "base.mp4"
    make_clip(base, ffmpeg, frames=24, bars=0, cut=99)
    made = {
        "rotated.mp4": ["-display_rotation", "90", "-i", base, "-c", "copy"],
        "silent.mp4": ["-i", base, "-an", "-c", "copy"],
        "wide-pixels.mp4": ["-i", base, "-vf", "setsar=2/1", "-c:a", "copy"],
        "pcm.mkv": ["-i", base, "-c:v", "copy", "-c:a", "pcm_s16le"],
        "two-tracks.mkv": ["-i", base, "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy"],
        "ten-bit.mkv": ["-i", base, "-an", "-c:v", "libx265", "-pix_fmt", "yuv420p10le",
                        "-x265-params", "log-level=error"],
        "yuv444.mkv": ["-i", base, "-an", "-c:v", "libx264", "-pix_fmt", "yuv444p"],
        "odd.mkv": ["-i", base, "-an", "-vf", "format=yuv444p,crop=161:121", "-c:v", "ffv1"],
        "interlaced.mkv": ["-i", base, "-an", "-vf", "setfield=tff", "-c:v", "libx264",
                           "-flags", "+ildct", "-x264opts", "tff=1"],
        "sound-only.mp4": ["-i", base, "-vn", "-c", "copy"],
        "b-frames.avi": ["-i", base, "-an", "-c:v", "mpeg4", "-bf", "2", "-r", "25"],
        "cinepak.avi": ["-i", base, "-an", "-s", "80x44", "-c:v", "cinepak"],
        "moving.gif": ["-r", "25", "-i", base, "-an"],
        "ten-bit.webm": ["-i", base, "-an", "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p10le",
                         "-deadline", "realtime", "-cpu-used", "8"],
        "-dash-.mkv": ["-i", base, "-an", "-c", "copy"],
        "late-sound.ts": ["-i", base, "-itsoffset", "0.4", "-i", base, "-map", "0:v", "-map",
                          "1:a", "-c", "copy"],
    }  # fmt: skip
    for name, arguments in made.items():
        ffmpeg(*arguments, folder / name)
    (folder / "cut.mp4").write_bytes(base.read_bytes()[:2000])
    (folder / "empty.webm").write_bytes(b"")
    (folder / "playlist.m3u8.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n"
    )
    return folder


def test_a_rotated_video_is_read_upright(variants):
    source = probing.probe(variants / "rotated.mp4")
    assert (source.width, source.height) == (176, 320)
    assert read_all(source)[0].shape == (24, 320, 176, 3)


def test_wide_pixels_are_shown_wide(variants):
    source = probing.probe(variants / "wide-pixels.mp4")
    assert source.pixel_aspect == 2 and source.display_size(Crop()) == (640, 176)
    left, rows = source.cover_crop(Crop()).size(320, 176)
    assert abs(2 * left / rows - 16 / 9) < 0.02


@pytest.mark.parametrize(
    ("transfer", "grey", "low", "high"),
    # 100 cd/m2, white of usual screens, is lit but leaves room; 1000 is white; less than 1 is dark.
    [
        ("smpte2084", "0x828282", 140, 200),
        ("smpte2084", "0xc0c0c0", 240, 255.1),
        ("smpte2084", "0x202020", 4, 26),
        ("arib-std-b67", "0x828282", 100, 150),
    ],
)
def test_hdr_is_brought_to_a_plausible_brightness(tmp_path, ffmpeg, transfer, grey, low, high):
    path = tmp_path / "hdr.mp4"
    ffmpeg(
        "-f", "lavfi", "-i", f"color={grey}:s=320x180:r=24:d=0.2", "-c:v", "libx264", "-pix_fmt",
        "yuv420p10le", "-x264-params",
        f"transfer={transfer}:colorprim=bt2020:colormatrix=bt2020nc", path,
    )  # fmt: skip
    source = probing.probe(path)
    frame = next(reader.read_frames(source, crop=Crop(), size=(64, 36)))
    assert any("tonemap" in part for part in source.filters)
    assert low < frame.mean() < high and np.ptp(frame.mean((0, 1))) < 4  # grey stays grey


@pytest.mark.parametrize(
    "name",
    ["silent.mp4", "ten-bit.mkv", "ten-bit.webm", "yuv444.mkv", "interlaced.mkv", "cinepak.avi",
     "moving.gif", "-dash-.mkv"],
)  # fmt: skip
def test_awkward_videos_give_all_their_frames(variants, name):
    source = probing.probe(variants / name)
    frames, _ = read_all(source, size=(tiles.WIDTH, tiles.HEIGHT))
    assert len(frames) == 24 and frames.std() > 20 and source.audio_codecs == ()


def test_frames_without_presentation_times_are_timed(variants):
    source = probing.probe(variants / "b-frames.avi")
    frames, times = read_all(source)
    assert source.rate == 25 and not source.variable_rate
    assert len(source.times) == len(frames) == len(times)
    np.testing.assert_allclose(np.diff(times), 0.04, atol=1e-3)


def first_times(ffmpeg, path):
    """Returns when picture and sound of a file begin."""
    found = {}
    for track in ("v", "a"):
        lines = ffmpeg("-copyts", "-i", f"file:{path}", "-map", "0", "-c", "copy", "-f",
                       "framehash", "-hash", "adler32", "-").splitlines()  # fmt: skip
        number = {"v": "0", "a": "1"}[track]
        tick = Fraction(next(x for x in lines if x.startswith(f"#tb {number}")).split(": ")[1])
        stamps = [int(x.split(",")[2]) for x in lines if x.startswith(f"{number},")]
        found[track] = float(min(s for s in stamps if s >= -10) * tick)
    return found


def test_sound_keeps_its_distance_to_the_picture(variants, tmp_path, ffmpeg):
    source = probing.probe(variants / "late-sound.ts")
    segment = tmp_path / "segment-00000.mp4"
    with writer.FrameWriter(
        segment, rate=source.rate, size=(320, 176), output_size=(320, 176)
    ) as film:
        film.write(read_all(source)[0])
    target = tmp_path / "out.mp4"
    writer.join_segments(
        [segment], target, durations=[24 / float(RATE)], source=source,
        delay_seconds=max(0.0, float(source.times[0])),
    )  # fmt: skip
    before, after = (first_times(ffmpeg, path) for path in (source.path, target))
    assert after["a"] - after["v"] == pytest.approx(before["a"] - before["v"], abs=0.03)


def test_odd_sizes_become_even(variants):
    source = probing.probe(variants / "odd.mkv")
    assert (source.width, source.height) == (161, 121)
    assert source.display_size(Crop()) == (160, 120)


def test_all_tracks_are_counted(variants):
    assert probing.probe(variants / "two-tracks.mkv").audio_codecs == ("aac", "aac")


def test_sound_that_mp4_cannot_hold_is_encoded_again(variants, tmp_path):
    source = probing.probe(variants / "pcm.mkv")
    segment = tmp_path / "segment-00000.mp4"
    with writer.FrameWriter(
        segment, rate=source.rate, size=(320, 176), output_size=(320, 176)
    ) as film:
        film.write(read_all(source)[0])
    target = tmp_path / "out.mp4"
    kept = writer.join_segments([segment], target, durations=[24 / float(RATE)], source=source)
    assert kept.sound == "pcm_s16le re-encoded to AAC"
    assert probing.probe(target).audio_codecs == ("aac",)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("sound-only.mp4", "no video track"),
        ("cut.mp4", "it breaks off, or is no video"),
        ("empty.webm", "it is damaged, or of no kind that ffmpeg knows"),
        ("playlist.m3u8.mp4", "playlist.m3u8.mp4"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(variants, name, reason):
    with pytest.raises(UserError, match=reason) as error:
        probing.probe(variants / name)
    assert "\n" not in str(error.value) and name in str(error.value)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("mp4", "breaks off after 1"),
        ("mkv", "breaks off after 1"),
        ("flv", "by its header it lasts 20.0 s"),
    ],
)
def test_a_file_that_was_half_downloaded_is_told_of(tmp_path, ffmpeg, capsys, kind, said):
    """Even a short one, where its format tells how much should follow."""
    whole, half = tmp_path / f"whole.{kind}", tmp_path / f"half.{kind}"
    seconds = 20 if kind == "flv" else 2
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=320x180:r=25:d={seconds}", "-movflags", "+faststart",
           whole)  # fmt: skip
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert probing.probe(whole).seconds == pytest.approx(seconds)
    assert not capsys.readouterr().err
    assert probing.probe(half).seconds < 0.75 * seconds
    error = capsys.readouterr().err
    assert said in error and error.endswith("is it whole?\n")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.mp4"):
        probing.probe(tmp_path / "gone.mp4")


def test_prefetch_keeps_order_and_passes_errors_on():
    def numbers():
        yield from range(5)
        raise ValueError("the fifth")

    seen = []
    with pytest.raises(ValueError, match="the fifth"):
        for number in reader.prefetch(numbers(), 2):
            seen.append(number)
    assert seen == [0, 1, 2, 3, 4]


def test_prefetch_closes_its_source():
    closed = []

    def numbers():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    stream = reader.prefetch(numbers(), 2)
    assert next(stream) == 0
    stream.close()
    assert closed == [True]


def test_no_ffmpeg_is_left_running(clip):
    stream = reader.read_frames(clip, crop=Crop(), size=(64, 36))
    next(stream)
    process = stream.gi_frame.f_locals["process"]
    stream.close()
    assert process.returncode is not None


@pytest.mark.parametrize("kind", ["webp", "png"])
def test_of_an_animated_picture_only_the_first_is_painted_and_that_is_said(tmp_path, capsys, kind):
    pictures = [Image.new("RGB", (64, 48), (own, 80, 40)) for own in (10, 200, 90)]
    path = tmp_path / f"moving.{kind}"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    assert probing.probe(path).is_picture
    assert "only the first of its 3 pictures is painted" in capsys.readouterr().err
    pictures[0].save(path)
    assert probing.probe(path).is_picture and not capsys.readouterr().err
