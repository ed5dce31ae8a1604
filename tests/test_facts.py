"""What a file is: facts of each stream by itself, times of frames, what is refused."""

import re
from fractions import Fraction

from cadl.conversion.clip import Clip
from cadl.errors import UserError
from cadl.images.tiles import Crop
from cadl.video import facts, filters, probing, reader

import numpy as np
import pytest

PQ = ["-pix_fmt", "yuv420p10le", "-x264-params",
      "transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc"]  # fmt: skip
FIELDS = ["-vf", "setfield=tff", "-flags", "+ildct", "-x264opts", "tff=1"]


def film(ffmpeg, path, *options, source="testsrc2=s=320x180:r=25:d=1"):
    ffmpeg("-f", "lavfi", "-i", source, "-preset", "ultrafast", *options, path)
    return path


def read(path, **options):
    source = path if isinstance(path, probing.Video) else probing.probe(path)
    times = []
    options = {"crop": Crop(), "size": (64, 36), **options}
    return np.stack(list(reader.read_frames(source, times=times, **options))), np.array(times)


@pytest.mark.parametrize("options", [PQ, FIELDS])
def test_words_of_a_title_change_no_fact(tmp_path, ffmpeg, options):
    title = "Official Music Video: h264, yuv420p(tv, bt709, top first)\n  Stream #0:0: Video: vp8"
    plain = film(ffmpeg, tmp_path / "plain.mkv", *options)
    titled = tmp_path / "titled.mkv"
    ffmpeg("-i", plain, "-c", "copy", "-metadata", f"title={title}", "-metadata:s:v",
           f"title={title}", titled)  # fmt: skip
    first, second = probing.probe(plain), probing.probe(titled)
    wanted = filters.TONE_MAP if options is PQ else filters.DEINTERLACE
    assert wanted in first.filters and first.filters == second.filters
    assert first.tracks == tuple(own._replace(name="") for own in second.tracks)


def test_a_track_of_time_codes_hides_no_track(tmp_path, ffmpeg):
    """ffmpeg lists the tracks that belong together first."""
    plain, timed = tmp_path / "plain.mov", tmp_path / "timed.mov"
    named = ["-metadata:s:v", "title=Camera"]
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=1",
           "-map", 0, "-map", 1, "-map", 0, "-c:a:0", "pcm_s16le", "-c:a:1", "aac", *named,
           plain)  # fmt: skip
    ffmpeg("-i", plain, "-map", 0, "-c", "copy", "-timecode", "01:00:00:00", *named, timed)
    first, second = probing.probe(plain), probing.probe(timed)
    assert second.tracks[:3] == first.tracks and second.tracks[3].codec == "tmcd"
    assert [track.kind for track in first.tracks] == ["Audio", "Video", "Audio"]
    assert second.filters == first.filters


def test_covers_and_second_tracks_change_no_fact(tmp_path, ffmpeg):
    hdr = film(ffmpeg, tmp_path / "hdr.mp4", *PQ)
    usual = film(ffmpeg, tmp_path / "usual.mp4", *FIELDS, source="testsrc2=s=160x96:r=25:d=1")
    cover = tmp_path / "cover.png"
    ffmpeg("-i", usual, "-frames:v", 1, cover)
    made = tmp_path / "made.mp4"
    ffmpeg("-i", cover, "-i", hdr, "-i", usual, "-map", 0, "-map", 1, "-map", 2, "-c", "copy",
           "-disposition:v:0", "attached_pic", made)  # fmt: skip
    source = probing.probe(made)
    assert sorted((track.codec, track.is_cover) for track in source.tracks) == [
        ("h264", False), ("h264", False), ("png", True),
    ]  # fmt: skip
    assert (source.width, source.height) == (320, 180)
    assert source.filters == probing.probe(hdr).filters


def test_the_last_picture_lasts_as_long_as_the_file_says(tmp_path, ffmpeg, capsys):
    for name, source, seconds, last in (
        ("slides.mp4", "testsrc2=s=320x180:r=1:d=8,select='eq(n,0)+eq(n,2)+eq(n,3)'", 8, 5),
        ("timelapse.mp4", "testsrc2=s=320x180:r=1/600:d=3000", 3000, 600),
    ):
        path = film(ffmpeg, tmp_path / name, "-fps_mode", "vfr", "-bf", 0, source=source)
        if name == "slides.mp4":  # the muxer is told, as the program that shows slides would
            longer = tmp_path / "longer.mp4"
            ffmpeg("-i", path, "-c", "copy", "-bsf:v",
                   "setts=duration='if(eq(N,2),5/TB,DURATION)'", longer)  # fmt: skip
            path = longer
        found = probing.probe(path)
        assert found.seconds == pytest.approx(seconds) and found.last_seconds == pytest.approx(last)
    still, moving = tmp_path / "still.mp4", tmp_path / "moving.gif"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x180:r=1/8:d=8", "-f", "lavfi", "-i", "sine=d=8",
           "-c:a", "aac", still)  # fmt: skip
    film(ffmpeg, moving, "-final_delay", 300, source="testsrc2=s=64x36:r=10:d=1")
    for path, frames, seconds in ((still, 1, 8.0), (moving, 10, 3.9)):
        found = probing.probe(path)
        assert len(found.times) == frames and found.seconds == pytest.approx(seconds, abs=0.05)
    assert not capsys.readouterr().err


def test_two_fields_are_a_frame():
    stamps = np.arange(2, 152) * 24_000
    packets = facts.Packets("mov", (), 0.0, Fraction(1, 1_200_000), stamps, stamps[:1],
                            152 * 24_000, 0.04, 3.04, *5 * [False], "")  # fmt: skip
    frames = facts.FirstFrames((352, 288), Fraction(1), "yuv420p", True, "", "", "", 0.04, 0.0)
    times = probing._frame_times(packets, frames)
    np.testing.assert_allclose(times, 0.04 + 0.04 * np.arange(75))
    progressive = frames._replace(step=0.02)  # fifty whole frames a second stay what they are
    assert len(probing._frame_times(packets, progressive)) == 150


@pytest.mark.parametrize("suffix", ["ts", "mpg", "ogv"])
@pytest.mark.parametrize(("start", "length"), [(2.5, 1.0), (5.9, 0.5), (0.01, 0.4)])
def test_streams_without_an_index_give_exactly_the_seconds_asked_for(
    tmp_path, ffmpeg, suffix, start, length
):
    """A key frame every five seconds; the sound begins before the picture."""
    codecs = ["-c:v", "libvpx", "-c:a", "libvorbis"] if suffix == "ogv" else []
    path = tmp_path / f"stream.{suffix}"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=7", "-f", "lavfi", "-i",
           "sine=d=7", *codecs, "-g", 125, "-b:v", "1M", path)  # fmt: skip
    source = probing.probe(path)
    assert not source.searchable and 2 <= len(source.key_times) <= 3
    whole, times = read(source)
    assert len(whole) == 175 and times == pytest.approx(source.times, abs=1e-3)
    part = Clip(source, Crop(), start, length)
    found = []
    frames = np.stack(list(part.read((64, 36), found)))
    wanted = (source.times >= start - 1e-6) & (source.times < start + length - 1e-6)
    assert len(frames) == wanted.sum() == round(25 * length)
    np.testing.assert_allclose(np.array(found) + start, source.times[wanted], atol=1e-3)
    apart = np.abs(frames[:, None].astype(int) - whole[None]).mean((2, 3, 4))
    assert (apart.argmin(axis=1) == np.flatnonzero(wanted)).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.avi", ["-c:v", "mpeg4", "-bf", 0]),
        ("a.gif", []),
        ("bare.mp4", ["-f", "h264"]),
        ("bare.m4v", ["-c:v", "mpeg4", "-f", "m4v"]),
        ("bare.mpg", ["-f", "mpeg2video", "-r", 25]),
    ],
)
def test_a_part_begins_with_its_own_frame(tmp_path, ffmpeg, name, options):
    """Of formats whose clock ticks once a frame, and of those that have none."""
    path = film(ffmpeg, tmp_path / name, *options, source="testsrc2=s=64x36:r=25:d=3")
    whole, _ = read(path)
    frames, times = read(path, start_seconds=2.0)
    assert len(frames) == 25 and (frames == whole[-25:]).all()
    assert times == pytest.approx(0.04 * np.arange(25), abs=2e-3)


@pytest.fixture
def recording(tmp_path, ffmpeg):
    """A broadcast that is recorded from the middle of a group of pictures on; 64x36, a beep."""
    whole, path = tmp_path / "whole.ts", tmp_path / "recording.ts"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=5", "-f", "lavfi", "-i",
           "aevalsrc='0.5*sin(880*2*PI*t)*gte(t,3)':d=5:s=48000", "-c:v", "mpeg2video", "-bf", 2,
           "-g", 24, "-c:a", "mp2", whole)  # fmt: skip
    data = whole.read_bytes()
    path.write_bytes(data[len(data) // 5 // 188 * 188 :])
    return path


@pytest.mark.parametrize("start", [0.0, 0.6, 1.5])
def test_a_recording_that_begins_between_key_frames_keeps_its_clock(recording, ffmpeg, start):
    """Neither the packets before the first key frame nor frames that need them are shown."""
    shown = ffmpeg("-i", recording, "-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base",
                   "filter", "-f", "framecrc", "-", "-map", "0:a", "-c", "copy", "-f", "null",
                   "-")  # fmt: skip
    tick = float(Fraction(re.search(r"#tb 0: (\S+)", shown)[1]))
    wanted = tick * np.array([int(pts) for pts in re.findall(r"^0, *\d+, *(\d+),", shown, re.M)])
    source = probing.probe(recording)
    assert len(wanted) < len(source.times) < 105 and 0.2 < wanted[0] < 1
    frames, times = read(source, start_seconds=start)
    np.testing.assert_allclose(times + start, wanted[wanted >= start], atol=1e-3)
    assert (frames == read(source)[0][-len(frames) :]).all()


def test_a_picture_is_shown_on_while_packets_are_empty(tmp_path, ffmpeg, capsys):
    """So Theora, and codecs in AVI, say that nothing changes."""
    path = film(ffmpeg, tmp_path / "still.ogv", "-c:v", "libtheora", "-g", 99,
                source="color=black:s=64x64:r=10:d=3,drawbox=0:0:64:64:white:fill:"
                "enable=gte(t\\,1)")  # fmt: skip
    source = probing.probe(path)
    frames, times = read(source)
    assert len(frames) == 2 and times == pytest.approx([0, 1]) == source.times
    assert source.seconds == pytest.approx(3)
    assert Clip(source, Crop(), 0.0, 0.0).edges(times) == pytest.approx([0, 1, 3])


def test_a_film_whose_clock_begins_late_is_whole(tmp_path, ffmpeg, capsys):
    path = film(ffmpeg, tmp_path / "cut-out.mkv", "-output_ts_offset", 100)
    assert probing.probe(path).times[[0, -1]] == pytest.approx([0, 0.96])
    assert not capsys.readouterr().err


def test_a_stream_whose_clock_jumps_is_read_on(tmp_path, ffmpeg, capsys):
    parts = []
    for number, offset in enumerate((0, 5000)):
        part = tmp_path / f"{number}.ts"
        film(ffmpeg, part, "-output_ts_offset", offset, "-g", 10,
             source=f"testsrc2=s=160x90:r=25:d=2,hue=s={1 - number}")  # fmt: skip
        parts.append(part.read_bytes())
    path = tmp_path / "spliced.ts"
    path.write_bytes(b"".join(parts))
    source = probing.probe(path)
    assert len(source.times) == 100 and source.seconds == pytest.approx(4, abs=0.1)
    whole, _ = read(source)
    frames, times = read(source, start_seconds=3.0, num_frames=5)
    assert (frames == whole[source.times >= 3][:5]).all() and times.max() < 0.3
    assert np.ptp(frames[0], axis=2).max() == 0  # grey: of the second part
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    "sizes", [("320x180", "160x90"), ("160x90", "320x180"), ("90x90", "98x52")]
)
def test_a_picture_whose_size_changes_is_fitted_into_the_first(tmp_path, ffmpeg, capsys, sizes):
    path = tmp_path / "changes.ts"
    data = b""
    for number, size in enumerate(sizes):
        part = tmp_path / f"{number}.ts"
        film(
            ffmpeg,
            part,
            "-c:v",
            "libx264",
            "-output_ts_offset",
            number,
            source=f"color=white:s={size}:r=25:d=1",
        )
        data += part.read_bytes()
    path.write_bytes(data)
    source = probing.probe(path)
    assert f"{source.width}x{source.height}" == sizes[0] and len(source.times) == 50
    for _ in range(2):
        frames, _ = read(source, size=(source.width, source.height))
        assert len(frames) == 50
    lit = frames[-1].mean(2) > 128
    shape = (1.0 if sizes[0] != "90x90" else 52 / 98) * source.height
    assert lit[:, 45].sum() == pytest.approx(shape, abs=2) and lit[source.height // 2].all()
    said = capsys.readouterr().out
    assert said.count(f"changes from {sizes[0]} to {sizes[1]}: all is fitted into the first") == 1


def test_frames_before_the_beginning_are_left_out(tmp_path, ffmpeg):
    """An edit list begins in the middle of a group of pictures."""
    whole = film(ffmpeg, tmp_path / "whole.mp4", "-g", 50, source="testsrc2=s=160x90:r=25:d=3")
    cut = tmp_path / "cut.mp4"
    ffmpeg("-ss", 1.0, "-i", whole, "-c", "copy", cut)
    frames, times = read(cut)
    source = probing.probe(cut)
    assert len(frames) == len(source.times) == 50 and times[0] == source.times[0] == 0
    assert (frames[0] == read(whole)[0][25]).all()


def test_an_encrypted_file_is_called_so(tmp_path, ffmpeg):
    path = film(ffmpeg, tmp_path / "secret.mp4", "-encryption_scheme", "cenc-aes-ctr",
                "-encryption_key", 32 * "7", "-encryption_kid", 32 * "a")  # fmt: skip
    with pytest.raises(UserError, match=r"secret.mp4: it is encrypted: give a copy"):
        probing.probe(path)
