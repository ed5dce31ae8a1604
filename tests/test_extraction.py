"""extract_tiles.py on real media: exact, killed and gone on with, and what it refuses."""

import functools
import itertools
import os
import shutil
import signal
import threading
import time

from cadl.dataset import manifests, shards, tile_sets
from cadl.errors import UserError
from cadl.video import reader

import numpy as np
import pytest
from conftest import FRAMES
from PIL import Image
from processes import Script


def test_extraction_takes_every_third_frame_of_the_cropped_clip(trained):
    tile_set = tile_sets.load_tiles(trained.tiles)
    assert list(tile_set.source_indices()) == ["bright-dabs", "übung-2", "my-clip-é"]
    assert (tile_set.sources == "my-clip-é").sum() == FRAMES // 3
    assert "16:0:16:0" in trained.outputs["extract_tiles"]
    clip = tile_set.pixels[tile_set.sources == "my-clip-é"]
    assert clip[:, 0].mean() > 50  # no bar is left


def test_unchanged_sources_are_not_extracted_again(trained, scripts, capsys):
    arguments = ["--paintings", trained.media.paintings, "--videos", trained.media.videos]
    arguments += ["--tiles", trained.tiles, "--frame-step", 3]
    before = {path: path.stat().st_mtime_ns for path in trained.tiles.glob("*.gz")}
    assert scripts.extract_tiles.main(list(map(str, arguments))) == 0
    assert capsys.readouterr().out.count("unchanged") == 3
    assert {path: path.stat().st_mtime_ns for path in trained.tiles.glob("*.gz")} == before


def test_tiles_of_what_is_gone_are_removed_only_when_told(trained, tmp_path, capsys):
    for path in trained.tiles.glob("painting-*"):
        shutil.copy(path, tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    known = {("painting", "bright-dabs")}
    manifests.remove_gone(tmp_path, known, remove=False)
    assert "painting übung-2 is gone, its tiles stay" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == before
    manifests.remove_gone(tmp_path, known, remove=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {name for name in before if "bright-dabs" in name} and left < before


def kill_after(seconds):
    def kill():
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()


def test_an_extraction_killed_ten_times_ends_in_the_same_shards(trained, media, tmp_path):
    folder, log = tmp_path / "tiles", tmp_path / "log"
    arguments = ["--paintings", media.paintings, "--videos", media.videos, "--tiles", folder,
                 "--frame-step", "3"]  # fmt: skip
    killed = 0
    for moment in np.random.default_rng(4).uniform(0.02, 0.8, 40):
        script = Script("extract_tiles", arguments, log, before=kill_after, given=(moment,))
        status = script.wait()
        assert status in (0, -signal.SIGKILL), script.said
        killed += status != 0
        for shard in folder.glob("*.tfrecord.gz"):
            assert shard.read_bytes() == (trained.tiles / shard.name).read_bytes()
        if killed == 10:
            break
        if status == 0:  # it was through before: again from the beginning
            shutil.rmtree(folder)
    assert killed == 10
    assert Script("extract_tiles", arguments, log).wait() == 0
    names = {path.name for path in folder.glob("*.gz")}
    assert names == {path.name for path in trained.tiles.glob("*.gz")}
    assert all((folder / n).read_bytes() == (trained.tiles / n).read_bytes() for n in names)


def test_an_unreadable_picture_is_skipped_and_counted(scripts, media, tmp_path, capsys):
    folder = tmp_path / "paintings" / "mixed"
    folder.mkdir(parents=True)
    shutil.copy(next(media.paintings.rglob("*.png")), folder)
    (folder / "bad.jpg").write_bytes(b"no picture")
    (tmp_path / "videos").mkdir()
    arguments = ["--paintings", tmp_path / "paintings", "--videos", tmp_path / "videos",
                 "--tiles", tmp_path / "tiles"]  # fmt: skip
    assert scripts.extract_tiles.main(list(map(str, arguments))) == 0
    captured = capsys.readouterr()
    assert "bad.jpg" in captured.err and "mixed" in captured.out


@pytest.mark.parametrize(
    ("make", "message"),
    [
        ([], "PAINTINGS"),
        (["paintings", "videos"], "no pictures in"),
        (["paintings/bad/x.jpg", "videos"], "no tiles from bad"),
    ],
)
def test_nothing_to_extract_is_an_error(scripts, tmp_path, capsys, make, message):
    for name in make:
        path = tmp_path / name
        if path.suffix:
            path.parent.mkdir(parents=True)
            path.write_bytes(b"")
        else:
            path.mkdir(parents=True)
    arguments = ["--paintings", tmp_path / "paintings", "--videos", tmp_path / "videos",
                 "--tiles", tmp_path / "tiles"]  # fmt: skip
    assert scripts.extract_tiles.main(list(map(str, arguments))) == 1
    assert message in capsys.readouterr().err


def test_a_video_whose_ffmpeg_was_killed_is_extracted_again(
    media, scripts, tmp_path, monkeypatch, capsys
):
    paintings = tmp_path / "paintings"
    paintings.mkdir()
    arguments = ["--paintings", paintings, "--videos", media.videos, "--tiles", tmp_path / "tiles"]
    arguments = list(map(str, arguments))
    assert scripts.extract_tiles.main(arguments) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "tiles").glob("*.gz")}
    capsys.readouterr()
    read_frames = reader.read_frames

    def killed(*given, **options):
        yield from itertools.islice(read_frames(*given, **options), 30)
        raise UserError("ffmpeg was killed after 30 frames: run the same command again")

    monkeypatch.setattr(reader, "read_frames", killed)
    assert scripts.extract_tiles.main([*arguments, "--frame-step", "5"]) == 1
    assert "ffmpeg was killed" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "tiles").glob("*.gz")} == before
    monkeypatch.undo()
    assert scripts.extract_tiles.main(arguments) == 0
    assert "unchanged" not in capsys.readouterr().out


def test_a_project_that_was_moved_is_not_extracted_again(scripts, tmp_path, capsys):
    root = tmp_path / "old"
    for place in ("paintings/मोने", "paintings/माने", f"paintings/{'x' * 250}", "videos"):
        (root / place).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for folder in (root / "paintings").iterdir():
        picture = Image.fromarray(rng.integers(0, 255, (180, 320, 3)).astype(np.uint8))
        picture.save(folder / f"{'y' * 230}.png")

    def extract(root):
        given = [f"--{name}={root / name}" for name in ("paintings", "videos", "tiles")]
        assert scripts.extract_tiles.main(given) == 0
        return capsys.readouterr()

    first = extract(root)
    assert "warning: no videos in" in first.err and "unchanged" not in first.out
    assert "मोने " in first.out and "माने " in first.out and "xxx-" in first.out
    shutil.copytree(root, tmp_path / "new", copy_function=shutil.copyfile)
    assert extract(tmp_path / "new").out.count("unchanged") == 3


def test_paintings_that_are_missing_are_told_of_at_once(scripts, tmp_path, capsys):
    for name in ("paintings", "videos/film.mp4"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "videos" / "film.mp4" / "a.mp4").write_bytes(b"")
    scripts.extract_tiles.find_sources(tmp_path / "paintings", tmp_path / "videos")
    assert "warning: no paintings in" in capsys.readouterr().err


def test_what_lies_in_hidden_folders_is_no_source(media, scripts, tmp_path):
    for folder, name in (("paintings/.Trash/files", "a.png"), ("paintings/monet/.thumbs", "b.png"),
                         ("paintings/monet", "c.png"), ("videos/.trash", "d.mp4"),
                         ("videos", ".e.mp4"), ("videos/own", "f.mp4")):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / name).write_bytes(b"")
    found = scripts.extract_tiles.find_sources(tmp_path / "paintings", tmp_path / "videos")
    assert [(name, [path.name for path in paths]) for _, name, paths in found] == [
        ("monet", ["c.png"]), ("f", ["f.mp4"]),
    ]  # fmt: skip


def test_shards_that_are_damaged_or_gone_are_made_again(trained, scripts, tmp_path, capsys):
    arguments = ["--paintings", trained.media.paintings, "--videos", trained.media.videos,
                 "--tiles", tmp_path / "tiles"]  # fmt: skip
    extract = functools.partial(scripts.extract_tiles.main, list(map(str, arguments)))
    assert extract() == 0
    first, second, *_ = paths = shards.list_shards(tmp_path / "tiles")
    before = [path.read_bytes() for path in paths]
    first.write_bytes(before[0][:-1000])
    second.unlink()
    capsys.readouterr()
    assert extract() == 0
    assert capsys.readouterr().out.count("unchanged") == len(paths) - 2
    assert [path.read_bytes() for path in paths] == before
    assert extract() == 0
    assert capsys.readouterr().out.count("unchanged") == len(paths)
