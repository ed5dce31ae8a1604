"""Sound and subtitles track by track, chapters and tags: kept where mp4 can hold them, or said."""

import re
from fractions import Fraction

from cadl.video import facts, probing, writer
from cadl.video.companions import Part

import numpy as np
import pytest

PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=64x36:r=25:d=4"]
BEEP = ["-f", "lavfi", "-i", "aevalsrc='0.5*sin(880*2*PI*t)*gte(t,2)':d=4:s=48000"]
SUBTITLES = (
    "1\n00:00:00,500 --> 00:00:01,500\nFirst\n\n2\n00:00:01,800 --> 00:00:03,900\nSecond\n\n"
    "3\n00:00:03,950 --> 00:00:03,990\nThird\n"
)
TAGS = (
    ";FFMETADATA1\ntitle=My trip\\\nto \\= there\nartist=Me\ndate=2024-05-06\ncomment=hi\n"
    "location=+52.5000+013.4000/\nmood=good\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1200\ntitle=One\n"
    "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1200\nEND=4000\ntitle=Two\n"
)


def join(folder, path, part=writer.WHOLE, delay=0.0):
    """Puts a white picture in the place of a source's; returns what was kept, and the file."""
    source = probing.probe(path)
    seconds = part.seconds or source.seconds
    frames = round(25 * seconds)
    segment, target = folder / "segment-00000.mp4", folder / "joined.mp4"
    size = (64, 36)
    with writer.FrameWriter(segment, rate=Fraction(25), size=size, output_size=size) as film:
        film.write(np.full((frames, 36, 64, 3), 255, np.uint8))
    kept = writer.join_segments(
        [segment], target, durations=[frames / 25], source=source, part=part, delay_seconds=delay
    )
    return kept, target


def beep_starts(ffmpeg, path):
    """Returns when the beep of the first track of sound is heard, on the file's clock."""
    listening = "[0:a:0]silencedetect=noise=0.05:d=0.01,ametadata=print:file=-[a]"
    samples = ffmpeg("-i", path, "-filter_complex", listening, "-map", "[a]", "-f", "null", "-")
    return float(re.search(r"silence_end=([\d.]+)", samples)[1])


def test_a_bad_track_costs_no_good_one(tmp_path, ffmpeg):
    """One that mp4 holds, one that it does not, and one that nothing can decode."""
    whole, path = tmp_path / "whole.mkv", tmp_path / "sound.mkv"
    ffmpeg(*PICTURE, *BEEP, "-map", "0:v", "-map", "1:a", "-map", "1:a", "-map", "1:a", "-c:a:0",
           "aac", "-c:a:1", "pcm_s16le", "-c:a:2", "wmav2", whole)  # fmt: skip
    data = whole.read_bytes()
    assert data.count(b"A_MS/ACM") == 1  # then a format that does not exist
    place = data.index(b"\x61\x01\x01\x00\x80\xbb")
    path.write_bytes(data[:place] + b"\xf3\xf3" + data[place + 2 :])
    kept, made = join(tmp_path, path)
    assert kept.sound.startswith("aac copied, pcm_s16le re-encoded to AAC, left out: ")
    assert "can't be read (" in kept.sound and str(tmp_path) not in kept.sound
    assert probing.probe(made).audio_codecs == ("aac", "aac")

    def sound(of):
        return ffmpeg("-i", of, "-map", "0:a:0", "-c", "copy", "-f", "md5", "-")

    assert sound(made) == sound(path)


@pytest.mark.parametrize(
    ("channels", "layout", "made", "words"),
    [
        (10, "c=5.1.4:", "5.1", "mixed and re-encoded to AAC"),
        (9, "", "stereo", "re-encoded to AAC (first two channels)"),
        (6, "c=5.1:", "5.1", "re-encoded to AAC"),
    ],
)
def test_sound_of_more_channels_than_aac_holds_is_kept(
    tmp_path, ffmpeg, channels, layout, made, words
):
    path = tmp_path / "sound.mov"
    tones = "|".join(channels * ["0.1*sin(880*2*PI*t)*gte(t,2)"])
    ffmpeg(*PICTURE, "-f", "lavfi", "-i", f"aevalsrc='{tones}':{layout}d=4", "-c:a",
           "pcm_s16le", path)  # fmt: skip
    kept, joined = join(tmp_path, path)
    assert kept.sound == f"pcm_s16le {words}"
    assert f", {made}, " in facts.packets(joined).log
    assert beep_starts(ffmpeg, joined) == pytest.approx(2, abs=1.5e-3)


@pytest.fixture(scope="module")
def film(tmp_path_factory, ffmpeg):
    folder = tmp_path_factory.mktemp("film")
    (folder / "s.srt").write_text(SUBTITLES)
    (folder / "tags").write_text(TAGS)
    path = folder / "film.mkv"
    ffmpeg(*PICTURE, *BEEP, "-i", folder / "s.srt", "-i", folder / "tags", "-map", 0, "-map", 1,
           "-map", 1, "-map", 2, "-map_metadata", 3, "-map_chapters", 3, "-c:a", "aac", "-c:s",
           "srt", "-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=eng",
           "-metadata:s:a:1", "title=Video: what he says", "-metadata:s:s:0", "title=Für alle",
           "-disposition:a:0", 0, "-disposition:a:1", "default", "-attach", folder / "s.srt",
           "-metadata:s:t", "mimetype=text/plain", path)  # fmt: skip
    return path


def tags_of(ffmpeg, path):
    return ffmpeg("-i", path, "-map_metadata", "0", "-f", "ffmetadata", "-")


def test_subtitles_chapters_and_tags_come_along(film, tmp_path, ffmpeg):
    kept, made = join(tmp_path, film)
    assert kept.sound == "aac+aac copied"
    assert kept.left_out == ["attachment", "tag MOOD"]
    text = tags_of(ffmpeg, made)
    for line in TAGS.splitlines()[1:7]:
        assert line in text
    starts = re.findall(r"START=(\d+)\nEND=(\d+)\ntitle=(\w+)", text)
    tick = Fraction(re.search(r"TIMEBASE=(\S+)", text)[1])
    found = [(float(int(a) * tick), float(int(b) * tick), title) for a, b, title in starts]
    assert found == [(0, 1.2, "One"), (1.2, 4.0, "Two")]
    shown = ffmpeg("-i", made, "-map", "0:s:0", "-f", "srt", "-")
    assert shown.strip() == SUBTITLES.strip()
    log = facts.packets(made).log
    assert re.search(r"Stream #0:1\S*\(deu\): Audio(?!.*default)", log)
    assert re.search(r"Stream #0:2\S*\(eng\): Audio.*default", log)
    (tmp_path / "again").mkdir()
    _, again = join(tmp_path / "again", made)  # an mp4 calls a name otherwise than Matroska
    for path in (made, again):
        names = [track.name for track in facts.packets(path).tracks if track.kind != "Data"]
        assert names == ["", "", "Video: what he says", "Für alle"]


@pytest.mark.parametrize("shown", [None, 0, 1])
def test_subtitles_are_shown_only_if_they_were(film, tmp_path, ffmpeg, shown):
    marks = [
        mark for i in (0, 1) for mark in (f"-disposition:s:{i}", "default" * (i == shown) or 0)
    ]
    path = tmp_path / "film.mkv"
    ffmpeg("-i", film, "-map", "0:v", "-map", "0:a", "-map", "0:s", "-map", "0:s", "-c", "copy",
           "-default_mode", "infer_no_subs", *marks, path)  # fmt: skip
    _, made = join(tmp_path, path)
    tracks = [track for track in facts.packets(made).tracks if track.kind == "Subtitle"]
    assert ["default" in track.marks for track in tracks] == [i == shown for i in (0, 1)]
    assert ffmpeg("-i", made, "-map", "0:s:0", "-f", "srt", "-").strip() == SUBTITLES.strip()


def test_subtitles_that_overlap_are_all_shown(tmp_path, ffmpeg):
    told = (("0,100", "1,900", "Sign"), ("0,200", "0,900", "One\nmore"), ("0,200", "0,900", "Two"),
            ("0,900", "1,500", "Three"), ("0,900", "1,500", "Three"))  # fmt: skip
    lines = [f"1\n00:00:0{a} --> 00:00:0{b}\n{text}\n\n" for a, b, text in told]
    (tmp_path / "s.srt").write_text("".join(lines))
    path = tmp_path / "film.mkv"
    ffmpeg(*PICTURE, "-i", tmp_path / "s.srt", "-map", 0, "-map", 1, "-disposition:s:0",
           "forced", "-metadata:s:s:0", "language=fra", path)  # fmt: skip
    _, made = join(tmp_path, path)
    shown = ffmpeg("-i", made, "-map", "0:s:0", "-f", "srt", "-")
    found = re.findall(r"00:0(\S+) --> 00:00:0(\S+)\n(.*?)\n\n", shown, re.S)
    assert found == [
        ("0:00,100", "0,200", "Sign"), ("0:00,200", "0,900", "Sign\nOne\nmore\nTwo"),
        ("0:00,900", "1,500", "Sign\nThree"), ("0:01,500", "1,900", "Sign"),
    ]  # fmt: skip
    track = next(own for own in facts.packets(made).tracks if own.kind == "Subtitle")
    assert track.marks == ("forced",)
    assert "(fra): Subtitle" in facts.packets(made).log


def test_a_part_lasts_as_long_as_it_is(film, tmp_path, ffmpeg):
    kept, made = join(tmp_path, film, Part(1.0, 2.0))
    found = facts.packets(made)
    assert found.told_seconds == pytest.approx(2.0, abs=0.03) and kept.sound == "aac+aac copied"
    text = tags_of(ffmpeg, made)
    tick = Fraction(re.search(r"TIMEBASE=(\S+)", text)[1])
    spans = [float(int(stamp) * tick) for stamp in re.findall(r"(?:START|END)=(\d+)", text)]
    assert spans == pytest.approx([0, 0.2, 0.2, 2.0])
    shown = ffmpeg("-i", made, "-map", "0:s:0", "-f", "srt", "-")
    assert re.findall(r"(\S+) --> (\S+)", shown) == [
        ("00:00:00,000", "00:00:00,500"), ("00:00:00,800", "00:00:02,000"),
    ]  # fmt: skip
    _, made = join(tmp_path, film, Part(1.6, 0.1))
    assert not [track for track in probing.probe(made).tracks if track.kind == "Subtitle"]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("ts", "aac"), ("ts", "mp2"), ("mkv", "aac"), ("mkv", "flac"), ("mp4", "aac")],
)
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_sound_stays_in_sync_to_a_millisecond(tmp_path, ffmpeg, suffix, start, codec):
    path = tmp_path / f"sound.{suffix}"
    ffmpeg(*PICTURE, *BEEP, "-g", 100, "-c:v", "libx264", "-c:a", codec, path)
    part = Part(start, 2.0 if start else None)
    kept, made = join(tmp_path, path, part, 0 if start else float(probing.probe(path).times[0]))
    assert kept.sound == ("aac copied" if codec == "aac" else f"{codec} re-encoded to AAC")
    original = beep_starts(ffmpeg, path)
    assert beep_starts(ffmpeg, made) + start == pytest.approx(original, abs=1.5e-3)
