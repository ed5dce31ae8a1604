"""cadl/inputs.py: what is found in folders, and what is left out, counted and said."""

import json
import os

from cadl import files, inputs
from cadl.images import gallery, tiles
from cadl.video import probing

import pytest
from PIL import Image


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def names_of(root, suffixes=tiles.PICTURE_SUFFIXES):
    return [path.relative_to(root).as_posix() for path in inputs.find(root, suffixes)]


def test_what_is_left_out_is_counted_by_reason_in_one_line(tmp_path, capsys):
    make(tmp_path, "monet/a.JPG", "monet/b.jfif", "monet/c.heic", "monet/d.heic", "monet/e.jp2",
         "monet/scan", "monet/notes.txt", "monet/._a.jpg", "monet/@eaDir/a.jpg/thumb.jpg",
         "monet/.thumbnails/x.png", "__MACOSX/y.png", "monet/.DS_Store")  # fmt: skip
    (tmp_path / "monet" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "monet" / "waits-for-ever.png")
    assert names_of(tmp_path) == ["monet/a.JPG", "monet/b.jfif"]
    assert capsys.readouterr().out == (
        f"{tmp_path}: left out 10: .heic 2, .jp2 1, broken links, devices or pipes 2, hidden 1, "
        "in hidden or system folders 3, without a suffix 1\n"
    )


def test_nothing_is_said_of_a_folder_of_which_all_is_taken(tmp_path, capsys):
    make(tmp_path, "a.png", "letter.txt")
    assert names_of(tmp_path) == ["a.png"] and not capsys.readouterr().out


def test_links_to_folders_are_followed_once_and_never_round_in_a_circle(tmp_path):
    root, other = tmp_path / "in", tmp_path / "other"
    make(root, "z/a.png")
    make(other, "b.png", ".store/c.png")
    for link, target in {
        "all": root, "z/up": tmp_path, "a-link": root / "z", "self": root / "self",
        "other": other, "z/again": other, "store": other / ".store",
    }.items():  # fmt: skip
        (root / link).symlink_to(target)
    (other / "back").symlink_to(root)
    assert names_of(root) == ["other/b.png", "store/c.png", "z/a.png"]


def test_what_these_scripts_made_is_no_input(tmp_path, capsys):
    make(tmp_path, "clip.mp4", "clip-monet.mp4", "killed-monet.mp4", "work/x/segment-00000.mp4",
         "log/vae/progress.mp4", "noted.mp4")  # fmt: skip
    (tmp_path / "clip-monet.json").write_text(json.dumps({"request": {"segment_frames": 240}}))
    (tmp_path / "noted.json").write_text(json.dumps({"request": "by another program"}))
    files.write_json(tmp_path / "work" / "killed-monet" / "request.json", {})
    for folder in ("work/x", "log/vae"):
        with files.only_one(tmp_path / folder):
            pass
    assert names_of(tmp_path, probing.SUFFIXES) == ["clip.mp4", "noted.mp4"]
    assert "in folders of these scripts 2, made by these scripts 2" in capsys.readouterr().out
    Image.new("RGB", (8, 8)).save(tmp_path / "own.png")
    gallery.save_picture(tmp_path / "sheet.png", Image.new("RGB", (8, 8)))
    assert names_of(tmp_path) == ["own.png"]


@pytest.mark.parametrize("name", ["a #1 [x]? é", "%41", "'\"", "two\nlines", "🎨", "-dash"])
def test_folders_of_any_name_are_looked_into(tmp_path, name):
    make(tmp_path, f"{name}/{name}.png")
    assert names_of(tmp_path) == [f"{name}/{name}.png"]
