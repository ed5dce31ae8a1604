"""mogrify_video.py on a real clip: exact, killed and gone on with, and what it refuses."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import time
from types import SimpleNamespace

from cadl import files
from cadl.conversion import (
    colour_match,
    encode_pass,
    ladder,
    passes,
    render_pass,
    segments,
    sharing,
)
from cadl.images import metrics
from cadl.images.tiles import Crop
from cadl.networks import saved_models
from cadl.strokes import hands, track_files
from cadl.style import embeddings
from cadl.video import probing, reader

import numpy as np
import pytest
from conftest import FRAMES, RATE
from PIL import Image
from processes import Script

NAME = "my-clip-é-bright-dabs.mp4"


@pytest.fixture(autouse=True)
def short_preparations(monkeypatch):
    """Fewer frames are painted before a video is; `project` was made with as many as always."""
    prepare_shortly(monkeypatch)


def prepare_shortly(monkeypatch):
    monkeypatch.setattr(ladder, "LADDER_FRAMES", 1)
    monkeypatch.setattr(colour_match, "FRAMES", 2)


def test_the_video_has_every_frame_its_rate_its_sound_and_no_bars(project, ffmpeg):
    path = project.out / "my-clip-é-bright-dabs.mp4"
    made = probing.probe(path)
    assert made.rate == RATE and len(made.times) == FRAMES and not made.variable_rate
    assert (made.width, made.height) == (320, 144)

    def sound(of):
        return ffmpeg("-i", f"file:{of}", "-map", "0:a", "-c", "copy", "-f", "md5", "-")

    assert sound(path) == sound(project.media.clip)
    frames = np.stack(list(reader.read_frames(made, crop=Crop(), size=(320, 144))))
    assert frames[:, 0].mean() > 20
    record = json.loads(path.with_suffix(".json").read_text())
    assert record["frames"] == FRAMES
    assert record["sound"] == "aac copied" and record["left_out"] == []
    assert record["flicker_input"] > 0 and record["flicker_output"] > 0
    assert (project.out / "my-clip-é-bright-dabs-ladder.png").exists()


def mogrify(project, *arguments, out=None):
    out = out or project.out
    return [
        *map(str, ["--videos", project.media.clip, "--style", "bright-dabs", "--exported",
                   project.exported, "--out", out, "--stroke-size", 2, *arguments])
    ]  # fmt: skip


def test_a_part_of_a_film_has_the_colours_that_it_has_in_the_whole(
    project, scripts, ffmpeg, tmp_path
):
    """A blue shot and a red one: the blue one alone is not given all colours of the painter."""
    path, made = tmp_path / "two.mp4", []
    noise = "noise=alls=40:allf=t:all_seed=1,gblur=3"
    shots = [f"color={own}:320x180:d=1:r=10,{noise}" for own in ("0x3060c0", "0xc06040")]
    ffmpeg("-f", "lavfi", "-i", shots[0], "-f", "lavfi", "-i", shots[1],
           "-filter_complex", "[0][1]concat=n=2,format=yuv444p", "-crf", 1, path)  # fmt: skip
    for part in ((), ("--length-seconds", 0.9)):
        out = tmp_path / f"out{len(part)}"
        arguments = mogrify(project, "--strength", 1, *part, out=out)
        arguments[1] = str(path)
        assert scripts.mogrify_video.main(arguments) == 0
        video = probing.probe(out / "two-bright-dabs.mp4")
        frames = list(reader.read_frames(video, crop=Crop(), size=(320, 180), num_frames=9))
        made.append(np.mean(frames, axis=(0, 1, 2)))
    assert np.abs(made[0] - made[1]).max() < 12


def test_a_finished_conversion_is_not_made_again_nor_silently_replaced(project, scripts, capsys):
    path = project.out / "my-clip-é-bright-dabs.mp4"
    before = path.stat().st_mtime_ns
    assert scripts.mogrify_video.main(mogrify(project)) == 0
    assert "was finished before" in capsys.readouterr().out
    assert scripts.mogrify_video.main(mogrify(project, "--strength", 0.5)) == 1
    assert "made with other strength" in capsys.readouterr().err
    assert path.stat().st_mtime_ns == before


def frame_hashes(ffmpeg, path):
    return ffmpeg("-i", f"file:{path}", "-map", "0:v", "-f", "framemd5", "-")


@pytest.fixture(scope="module")
def undisturbed(project, scripts, tmp_path_factory):
    """A conversion in small parts by one run that nothing stops, and what it said."""
    out, said = tmp_path_factory.mktemp("whole"), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, contextlib.redirect_stdout(said):
        prepare_shortly(patched)
        in_small_parts(patched)
        assert scripts.mogrify_video.main(mogrify(project, "--output-size", "tile", out=out)) == 0
    return SimpleNamespace(out=out, said=said.getvalue())


def in_small_parts(monkeypatch):
    """Makes segments and chunks of 24 frames."""
    monkeypatch.setattr(segments, "SEGMENT_FRAMES", 24)
    for module in (encode_pass, track_files):
        monkeypatch.setattr(module, "CHUNK_FRAMES", 24)


def in_small_parts_until(moment):
    """Kills the process when a file with these words in its name is about to be whole."""
    patched = pytest.MonkeyPatch()
    prepare_shortly(patched)
    in_small_parts(patched)
    rename = files.Path.replace

    def kill(self, target):
        if moment in target.name:
            os.kill(os.getpid(), signal.SIGKILL)
        return rename(self, target)

    files.Path.replace = kill


def meet_others(moment):
    """Makes each of three processes wait until all have claimed a segment."""
    in_small_parts_until(moment)
    claim = sharing.Sharing._claim

    def claim_beside_others(self, number):
        if not claim(self, number):
            return False
        meeting = self.output.passes.parent / "meeting"
        files.write_json(meeting / str(os.getpid()), number)
        while len(list(meeting.glob("[0-9]*"))) < 3:
            time.sleep(0.02)
        return True

    sharing.Sharing._claim = claim_beside_others


@pytest.mark.apart
@pytest.mark.parametrize(
    "moments",
    [
        ("tracks-00001.npz", "chunk-00001.npy"),
        ("segment-00002.json",),
        (NAME, f"{NAME[:-4]}.json"),
    ],
    ids=[
        "in the first pass",
        "in the second",
        "while the joined video gets its name, and after it",
    ],
)
def test_a_killed_conversion_ends_in_the_same_frames(
    moments, project, scripts, undisturbed, tmp_path, ffmpeg, monkeypatch, capsys
):
    in_small_parts(monkeypatch)
    made = tmp_path / NAME
    for moment in moments:
        script = Script(
            "mogrify_video", mogrify(project, "--output-size", "tile", out=tmp_path),
            tmp_path / "log", before=in_small_parts_until, given=(moment,),
        )  # fmt: skip
        assert script.wait() == -signal.SIGKILL, script.said
        assert made.exists() == moment.endswith("dabs.json")
    capsys.readouterr()
    assert scripts.mogrify_video.main(mogrify(project, "--output-size", "tile", out=tmp_path)) == 0
    said = capsys.readouterr().out
    assert ("first pass was done before" in said) == ("chunk-00001.npy" not in moments)
    assert (f"going on after {FRAMES} of {FRAMES} frames" in said) == (NAME in moments)
    assert ("going on after" in said) == ("chunk-00001.npy" not in moments)
    assert frame_hashes(ffmpeg, made) == frame_hashes(ffmpeg, undisturbed.out / NAME)
    assert probing.probe(made).width == 320 and probing.probe(made).height == 180


def test_an_estimate_says_how_long_and_how_large_and_leaves_nothing(undisturbed):
    estimate = re.search(
        r"about 0:\d\d:\d\d for (\d+) frames; video of some (\d+) MB", undisturbed.said
    )
    assert int(estimate[1]) == FRAMES and not list(undisturbed.out.rglob("estimate.mp4"))


@pytest.mark.apart
def test_three_runs_share_a_conversion_and_two_end_it_when_one_is_killed(
    project, undisturbed, tmp_path
):
    """Each has claimed one of the three segments when they begin to paint; one never writes its."""
    given = mogrify(project, "--output-size", "tile", out=tmp_path)
    runs = [
        Script(
            "mogrify_video", given, tmp_path / f"log-{number}", before=meet_others, given=(moment,)
        )
        for number, moment in enumerate(("segment-", "never", "never"))
    ]
    try:
        statuses = [run.wait() for run in runs]
    finally:
        for run in runs:
            run.stop()
    said = [run.said for run in runs]
    assert statuses == [-signal.SIGKILL, 0, 0], said
    assert sum("both share the work" in own for own in said) == 2
    assert sum("was finished by another run" in own for own in said[1:]) == 1
    assert (tmp_path / NAME).read_bytes() == (undisturbed.out / NAME).read_bytes()
    assert not (tmp_path / "work" / NAME[:-4]).exists() and not list(tmp_path.rglob(".part-*"))


def test_a_full_disk_is_one_line_and_the_conversion_goes_on_when_there_is_room(
    project, scripts, tmp_path, capsys
):
    small = tmp_path / "small disk"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("no small disk can be made here")
    try:
        assert scripts.mogrify_video.main(mogrify(project, out=small)) == 1
        captured = capsys.readouterr()
        assert "no space left on the disk" in captured.err.strip().splitlines()[-1]
        assert not list(small.glob("*.mp4")) and not list(small.rglob(".part-*"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        assert scripts.mogrify_video.main(mogrify(project, out=small)) == 0
        assert len(probing.probe(next(small.glob("*.mp4"))).times) == FRAMES
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_part_and_a_comparison_can_be_asked_for(project, scripts, tmp_path, monkeypatch):
    arguments = ("--start-seconds", 0.5, "--length-seconds", 1, "--compare", "side")
    assert scripts.mogrify_video.main(mogrify(project, *arguments, out=tmp_path)) == 0
    made = probing.probe(tmp_path / "my-clip-é-bright-dabs.mp4")
    assert len(made.times) == 24 and (made.width, made.height) == (640, 144)
    assert made.audio_codecs == ("aac",)
    monkeypatch.setattr(passes, "KEPT_PASSES", 1)
    again = [*arguments, "--start-seconds", 0, "--replace", "yes"]
    assert scripts.mogrify_video.main(mogrify(project, *again, out=tmp_path)) == 0
    for kind in ("latents", "tracks"):  # those of another part: removed
        assert len(list((tmp_path / "work").glob(f"passes/*/{kind}-*[0-9a-f]"))) == 1


def frames_of(path, **options):
    options = {"crop": Crop(), "size": (320, 144), **options}
    return np.stack(list(reader.read_frames(probing.probe(path), **options)))


def test_strength_0_gives_the_video_back_and_more_strength_more_of_the_painter(
    project, scripts, tmp_path, capsys
):
    original = frames_of(project.media.clip, crop=Crop(16, 0, 16, 0))
    likeness = []
    for strength in (0, 0.4, 1):
        arguments = ("--strength", strength, "--crf", 8, "--replace", "yes")
        assert scripts.mogrify_video.main(mogrify(project, *arguments, out=tmp_path)) == 0
        said = capsys.readouterr().out
        # What the first pass found is the same at every strength, and so are the strokes.
        assert ("first pass was done before and is used again" in said) == bool(strength)
        assert "followed anew" not in said
        light = [x @ metrics.LUMINANCE for x in (original, frames_of(tmp_path / NAME))]
        likeness.append(10 * np.log10(255**2 / np.square(light[0] - light[1]).mean()))
    assert likeness[0] >= 38
    assert likeness[0] - 10 > likeness[1] > likeness[2] + 1


def test_a_draft_has_the_usual_size_and_every_frame(project, scripts, tmp_path):
    arguments = ("--quality", "draft")
    assert scripts.mogrify_video.main(mogrify(project, *arguments, out=tmp_path)) == 0
    made = probing.probe(tmp_path / NAME)
    assert (made.width, made.height, len(made.times)) == (320, 144, FRAMES)
    draft, full = (frames_of(folder / NAME).astype(float) for folder in (tmp_path, project.out))
    fine = [np.abs(np.diff(x, axis=2)).mean() for x in (draft, full)]
    assert np.abs(draft - full).mean() < 16 and fine[0] < fine[1]


def test_frames_held_in_twos_come_in_equal_pairs(project, scripts, tmp_path):
    arguments = ("--hold-frames", 2, "--crf", 8)
    assert scripts.mogrify_video.main(mogrify(project, *arguments, out=tmp_path)) == 0
    frames = frames_of(tmp_path / NAME).astype(float)
    assert len(frames) == FRAMES
    steps = np.abs(np.diff(frames, axis=0)).mean((1, 2, 3))
    assert steps[::2].max() < 1 and steps[1::2].min() > 3  # the shot of 36 frames ends a pair


def test_a_picture_becomes_a_picture_of_its_size(project, scripts, tmp_path, capsys):
    photo = tmp_path / "My Photo.jpg"
    with Image.open(next(project.media.paintings.rglob("*.png"))) as painting:
        painting.convert("RGB").resize((350, 420)).save(photo, quality=95)
    arguments = ["--videos", photo, "--style", "übung-2", "--exported", project.exported, "--out",
                 tmp_path / "out"]  # fmt: skip
    arguments = list(map(str, arguments))
    assert scripts.mogrify_video.main(arguments) == 0
    target = tmp_path / "out" / "my-photo-übung-2.png"
    with Image.open(target) as picture, Image.open(photo) as original:
        assert picture.format == "PNG" and picture.mode == "RGB" and picture.size == (350, 420)
        ours, theirs = (np.asarray(x).astype(float) for x in (picture, original))
    assert 3 < np.abs(ours - theirs).mean() < 90
    assert target.with_name("my-photo-übung-2-ladder.png").exists()
    assert not list((tmp_path / "out").rglob("*.mp4"))
    before = target.read_bytes()
    capsys.readouterr()
    assert scripts.mogrify_video.main(arguments) == 0
    assert "was finished before" in capsys.readouterr().out
    arguments += ["--replace", "yes"]
    assert scripts.mogrify_video.main([*arguments, "--quality", "draft"]) == 0
    assert (
        "My Photo.jpg: 350x420, a picture, crop 0:0:0:0; output 350x420" in capsys.readouterr().out
    )
    with Image.open(target) as picture:
        assert picture.size == (350, 420)
    assert scripts.mogrify_video.main([*arguments, "--strength", "0"]) == 0
    assert target.read_bytes() != before
    with Image.open(target) as picture:
        np.testing.assert_allclose(np.asarray(picture), theirs, atol=1)


def test_a_killed_process_costs_no_frame_that_was_made(
    project, scripts, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(segments, "SEGMENT_FRAMES", 16)
    paint_frames = render_pass.paint_frames

    def disturbed(rendering, segments):
        for number, original, painted in paint_frames(rendering, segments):
            if number == 40:
                rendering.workers._processes[0].kill()
            yield number, original, painted

    with monkeypatch.context() as patched:
        patched.setattr(render_pass, "paint_frames", disturbed)
        assert scripts.mogrify_video.main(mogrify(project, out=tmp_path)) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert "was killed: run the same command again" in errors[-1]
    assert scripts.mogrify_video.main(mogrify(project, out=tmp_path)) == 0
    said = capsys.readouterr().out
    assert "first pass was done before" in said and f"going on after 32 of {FRAMES}" in said


@pytest.mark.parametrize("fault", ["cut", "blank"])
def test_damaged_tracks_are_named_and_made_anew(project, scripts, tmp_path, capsys, fault):
    arguments = mogrify(project, "--length-seconds", 0.5, out=tmp_path)
    assert scripts.mogrify_video.main(arguments) == 0
    made = tmp_path / NAME
    whole = made.read_bytes()
    (chunk,) = tmp_path.rglob("tracks-00000.npz")
    data = chunk.read_bytes()
    chunk.write_bytes(data[:-100] if fault == "cut" else data[:-9000] + bytes(9000))
    made.unlink()
    capsys.readouterr()
    assert scripts.mogrify_video.main(arguments) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert f"{chunk} is damaged" in errors[-1] and "run the same command again" in errors[-1]
    assert not made.exists()
    assert scripts.mogrify_video.main(arguments) == 0
    assert chunk.read_bytes() == data and made.read_bytes() == whole
    assert "strokes of another layout were followed anew" in capsys.readouterr().out


def test_a_blend_and_a_silent_video(project, scripts, tmp_path, ffmpeg):
    silent = tmp_path / "silent one.mp4"
    ffmpeg("-i", f"file:{project.media.clip}", "-an", "-c", "copy", silent)
    arguments = ["--videos", silent, "--style", "bright-dabs:0.6,übung-2:0.4", "--exported",
                 project.exported, "--out", tmp_path / "out", "--style-map", "diagonal",
                 "--strength", 0.5]  # fmt: skip
    assert scripts.mogrify_video.main(list(map(str, arguments))) == 0
    made = next((tmp_path / "out").glob("*.mp4"))
    assert probing.probe(made).audio_codecs == () and len(probing.probe(made).times) == FRAMES


def test_one_picture_is_a_style(project, scripts, tmp_path, capsys):
    picture = tmp_path / "One Picture.png"
    own = project.media.paintings / "Bright Dabs"
    shutil.copy(min(own.rglob("*.png")), picture)
    options = ("--length-seconds", 0.2, "--output-size", "tile", "--hand-steps", 2, "--stroke-size",
               1, "--style")  # fmt: skip
    assert scripts.mogrify_video.main(mogrify(project, *options, picture, out=tmp_path)) == 0
    said = capsys.readouterr().out
    assert "is taken as a style of its own, one-picture" in said and "hand of one-picture: " in said
    hand = hands.load_hand(tmp_path / "work" / "hands" / "one-picture.json")
    record = files.read_json(tmp_path / "my-clip-é-one-picture.json")
    assert record["request"]["recipes"] == json.loads(json.dumps([[hand.to_json(), 1.0]]))
    assert (tmp_path / "my-clip-é-one-picture.mp4").exists()
    vae_graph, about = saved_models.load_graph(project.exported, "vae")
    alone = embeddings.embed_picture(picture, vae_graph)
    painters = embeddings.load_embeddings(project.exported / "embeddings.npz", about["vae"])
    own, other = (painters[name].mean for name in ("bright-dabs", "übung-2"))
    assert np.linalg.norm(alone.mean - own) < np.linalg.norm(alone.mean - other)
    (tmp_path / "text.png").write_text("no picture")
    options = (*options, f"{tmp_path / 'text.png'}:0.5,bright-dabs:0.5")
    assert scripts.mogrify_video.main(mogrify(project, *options, out=tmp_path)) == 1
    assert "text.png: it is no picture" in capsys.readouterr().err


def test_several_styles_each_give_a_video_of_the_same_first_pass(
    project, scripts, tmp_path, capsys
):
    arguments = ["--videos", project.media.clip, "--exported", project.exported, "--out", tmp_path,
                 "--length-seconds", 0.5, "--styles", "übung-2,bright-dabs"]  # fmt: skip
    arguments = list(map(str, arguments))
    assert scripts.mogrify_video.main(arguments) == 0
    said = capsys.readouterr().out
    assert said.count("the first pass was done before") == 1
    records = [
        files.read_json(tmp_path / f"my-clip-é-{style}.json")
        for style in ("übung-2", "bright-dabs")
    ]
    assert [own["request"]["style"] for own in records] == ["übung-2", "bright-dabs"]
    both = [frames_of(tmp_path / f"my-clip-é-{own['request']['style']}.mp4") for own in records]
    assert len(both[0]) == len(both[1]) == 12
    assert np.abs(both[0].astype(float) - both[1]).mean() > 5
    # One of them, asked for by itself, is the same conversion.
    assert scripts.mogrify_video.main([*arguments[:-2], "--style", "bright-dabs"]) == 0
    assert "was finished before" in capsys.readouterr().out
    assert scripts.mogrify_video.main([*arguments, "--style", "bright-dabs"]) == 1
    assert "give one of them" in capsys.readouterr().err


def test_one_bad_video_does_not_stop_the_rest(project, scripts, tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"nothing")
    shutil.copy(project.media.clip, tmp_path / "videos" / "b.mp4")
    arguments = ["--videos", tmp_path / "videos", "--style", "bright-dabs", "--exported",
                 project.exported, "--out", tmp_path / "out", "--length-seconds", 0.5]  # fmt: skip
    assert scripts.mogrify_video.main(list(map(str, arguments))) == 1
    assert "skipped" in capsys.readouterr().err
    assert (tmp_path / "out" / "b-bright-dabs.mp4").exists()


def test_mogrify_needs_embeddings_of_the_same_vae(project, scripts, tmp_path, capsys):
    exported = tmp_path / "exported"
    shutil.copytree(project.exported, exported)
    (exported / "embeddings.npz").unlink()
    arguments = ["--videos", str(project.media.clip), "--exported", str(exported)]
    assert scripts.mogrify_video.main(arguments) == 1
    assert "run evaluate_embeddings.py first" in capsys.readouterr().err
    sources = embeddings.load_embeddings(
        project.exported / "embeddings.npz", saved_models.read_about(exported, "vae")["vae"]
    )
    embeddings.save_embeddings(exported / "embeddings.npz", sources, "another")
    assert scripts.mogrify_video.main(arguments) == 1
    assert "belongs to VAE another" in capsys.readouterr().err
    (exported / "embeddings.npz").write_bytes(b"PK nonsense")
    assert scripts.mogrify_video.main(arguments) == 1
    assert "embeddings.npz is damaged or of another version" in capsys.readouterr().err


def test_graphs_of_different_vaes_are_not_mixed(project, scripts, tmp_path, capsys):
    exported = tmp_path / "exported"
    shutil.copytree(project.exported, exported)
    about = exported / "stylizer" / "about.json"
    files.write_sealed(about, {**files.read_sealed(about), "vae": "another"})
    arguments = ["--videos", str(project.media.clip), "--exported", str(exported)]
    assert scripts.mogrify_video.main(arguments) == 1
    assert "belongs to VAE another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--style", "picasso"], "STYLE 'picasso' is no painter"),
        (["--hand", "picasso"], "HAND 'picasso' is no painter"),
        (["--output-size", "13x7"], "both must be even"),
        (["--output-size", "big"], "is not source, tile or width x height"),
        (["--crop", "1:2"], "is not top:left:bottom:right"),
        (["--crop", "100:0:100:0"], "leaves 0 of 176 rows"),
        (["--start-seconds", "900"], "is past the end of"),
        (["--start-seconds", "2.49"], "whose last frame is at 2.46 s"),
    ],
)
def test_wrong_values_of_mogrify_are_named(project, scripts, capsys, tmp_path, arguments, message):
    assert scripts.mogrify_video.main(mogrify(project, *arguments, out=tmp_path)) == 1
    assert message in capsys.readouterr().err
