"""cadl/console.py, files.py, images/gallery.py, the geometry of a clip, and the samples."""

import errno
import os
import shutil
import socket
import subprocess
import sys
import threading
import wave
from fractions import Fraction
from pathlib import Path

from cadl import console, files
from cadl.conversion import clip, planning
from cadl.conversion.job import Options
from cadl.conversion.planning import parse_size, plan
from cadl.errors import UserError
from cadl.images import gallery
from cadl.images.tiles import Crop
from cadl.video import probing, writer
from cadl.workers import WorkerPool
from data import make_samples, make_sheet, sample_painters, sample_scenes

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image


def test_linear_algebra_has_one_thread():
    program = (
        "import os, cadl, numpy as np; np.linalg.eigh(np.eye(512));"
        "print(len(os.listdir('/proc/self/task')))"
    )
    own = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    finished = subprocess.run(
        [sys.executable, "-c", program], env={**own, "KERAS_BACKEND": "jax"}, cwd=ROOT,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert finished.stdout == "1\n"


def test_an_expected_fault_is_one_line_and_status_1(capsys):
    @console.script
    def main(argv):
        raise UserError("colour 'x' is\nno colour")

    assert main([]) == 1
    assert capsys.readouterr().err == "test_small_parts.py: error: colour 'x' is no colour\n"


def test_a_warning_is_one_line_whatever_a_file_is_named(capsys):
    console.warn("skipped two\nlines.png")
    assert capsys.readouterr().err == "warning: skipped two lines.png\n"


def test_a_full_disk_says_what_to_do(capsys):
    @console.script
    def main(argv):
        raise OSError(errno.ENOSPC, "No space left on device", "tiles")

    assert main([]) == 1
    assert (
        "no space left on the disk while writing tiles: make room and run the"
        in capsys.readouterr().err
    )


def wrong():
    raise ValueError("nothing that a user could mend")


@pytest.mark.parametrize(
    ("bug", "error"),
    [(lambda: {}["missing"], KeyError), (lambda: int("many"), ValueError), (wrong, ValueError)],
)
def test_a_bug_keeps_its_traceback_after_a_line_that_asks_to_report_it(bug, error, capsys):
    @console.script
    def main(argv):
        return bug()

    with pytest.raises(error):
        main([])
    expected = "test_small_parts.py: this is a bug: please report what follows\n"
    assert capsys.readouterr().err == expected


def test_memory_that_ran_out_is_one_line(capsys):
    @console.script
    def main(argv):
        np.empty(1 << 60, np.uint8)

    assert main([]) == 1
    assert "error: out of memory: close other programs" in capsys.readouterr().err


def test_a_fault_found_in_another_process_is_one_line_too(capsys):
    @console.script
    def main(argv):
        with WorkerPool(1) as workers:
            workers.submit(planning.parse_size, "5x5").result()

    assert main([]) == 1
    expected = "test_small_parts.py: error: OUTPUT_SIZE 5x5: both must be even, from 2 to 8192\n"
    assert capsys.readouterr().err == expected


def test_ctrl_c_ends_with_status_130(capsys):
    @console.script
    def main(argv):
        raise KeyboardInterrupt("saved step 3")

    assert main([]) == 130
    assert "stopped: saved step 3" in capsys.readouterr().err


def test_tables_are_aligned():
    text = console.table(["name", "n"], [["a", 1], ["long", 20]])
    assert text.splitlines() == ["name   n", "----  --", "a      1", "long  20"]


def test_durations():
    assert [console.duration(s) for s in (0, 61, 3600)] == ["0:00:00", "0:01:01", "1:00:00"]


def test_a_file_is_whole_or_as_before(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.whole_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with (
        pytest.raises(OSError, match=f"No space left.*{path.name}"),
        files.whole_file(path),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"no room")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with files.whole_file(path) as temporary:
        left = temporary.with_name(temporary.name.replace(str(os.getpid()), str(dead.pid)))
        elsewhere = left.with_name(left.name.replace(left.name.split("-")[1], "another"))
        temporary.write_text("new")
    for stale in (left, elsewhere):  # that of another machine may be in use
        stale.touch()
    with files.whole_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and sorted(tmp_path.iterdir()) == [elsewhere, path]


def test_a_second_run_is_refused_or_waits_for_the_first(tmp_path, capsys):
    done, folder = [], tmp_path / "a"

    def second():
        with files.only_one(folder, "the first pass"):
            done.append("second")

    with files.only_one(folder):
        with pytest.raises(UserError, match="another run is writing"), files.only_one(folder):
            pass
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        done.append("first")
        shutil.rmtree(folder)  # with the lock
    waiting.join()
    assert done == ["first", "second"] and folder.exists()
    assert "another run makes the first pass: waiting for it" in capsys.readouterr().out


@pytest.mark.parametrize("size", [0, 10, files.PIECE + 1, files.PIECES * files.PIECE + 5])
def test_a_file_is_known_by_its_contents_wherever_it_lies(tmp_path, size):
    path, other = tmp_path / "a", tmp_path / "b" / "c"
    path.write_bytes(bytes(size))
    before = files.identity(path)
    other.parent.mkdir()
    path.rename(other)
    os.utime(other, (1, 1))
    assert files.identity(other) == before
    for place in {0, size // 2, size - 1} if size else ():
        with other.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        assert files.identity(other) != before
        other.write_bytes(bytes(size))
    other.write_bytes(bytes(size + 1))
    assert files.identity(other) != before


def test_a_file_that_cannot_be_read_stops_nobody_who_asks_for_its_identity(tmp_path):
    with socket.socket(socket.AF_UNIX) as unreadable:
        unreadable.bind(str(tmp_path / "s"))
        assert files.identity(tmp_path / "s")[0] == 0


def test_damaged_json_is_named(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"é": [1]})
    assert files.read_json(path) == {"é": [1]}
    path.write_text("{")
    with pytest.raises(UserError, match="a.json is damaged"):
        files.read_json(path)


def test_hashes_tell_parts_apart():
    assert files.hash_of(["ab", "c"]) == files.hash_of([b"ab", b"c"]) != files.hash_of(["a", "bc"])


def test_a_contact_sheet_shows_tiles_as_they_are():
    tiles_in = [np.full((18, 32, 3), level, np.uint8) for level in (0, 100, 255)]
    sheet = np.asarray(gallery.contact_sheet([tiles_in, tiles_in[:1]], title="t"))
    assert sheet[40, 20].tolist() == [0, 0, 0] and sheet[40, 96].tolist() == [255] * 3
    assert sheet[40, 58].tolist() == [100] * 3


def test_a_label_is_one_line_whatever_a_file_is_named():
    tile = np.zeros((18, 320, 3), np.uint8)
    sheets = [
        gallery.contact_sheet([[tile]], labels=[[text]]) for text in ("a ? b", "a\n\udcff\tb")
    ]
    assert sheets[0].tobytes() == sheets[1].tobytes()


def source_video(width, height, aspect=1):
    return probing.Video(
        Path("x"), width, height, aspect, 24, False, np.arange(4) / 24, 1 / 24
    )  # fmt: skip


@pytest.mark.parametrize(
    ("size", "compare", "draft", "picture", "output"),
    [
        ("source", "none", False, (1280, 544), (1280, 544)),
        ("source", "side", False, (1280, 544), (2560, 544)),
        ("source", "side", True, (640, 272), (2560, 544)),
        ((640, 480), "none", False, (640, 480), (640, 480)),
        ((640, 480), "none", True, (320, 240), (640, 480)),
    ],
)
def test_sizes_on_the_way(size, compare, draft, picture, output):
    crop = Crop(88, 0, 88, 0)
    found = clip.Geometry.of(source_video(1280, 720), crop, size, compare, draft)
    assert found.tile_size == (320, 136) and found.tracked_size == (320, 136)
    assert (found.picture_size, found.output_size) == (picture, output)


@pytest.mark.parametrize(("width", "height"), [(320, 180), (1280, 544), (200, 356), (100, 100)])
def test_what_a_tile_was_cut_to_is_enlarged_back_to_its_place(width, height):
    """A slope over the frame comes back as that slope, whatever the tile mirrors round it."""
    geometry = clip.Geometry.of(source_video(width, height), Crop(), "source", "none")
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + np.float32(0.5)
    slope = np.stack([200 * x / width, 200 * y / height, 0 * x], axis=-1)
    tile = geometry.tile(np.round(slope).astype(np.uint8)).astype(np.float32)
    small = tile.reshape(45, 4, 80, 4, 3).mean((1, 3))
    back = geometry.enlarge_from_tile(small, (width, height))
    inner = np.s_[height // 10 : -height // 10, width // 10 : -width // 10]
    np.testing.assert_allclose(back[inner], slope[inner], atol=1.5)


def test_an_inset_is_a_small_original_in_the_corner():
    original, drawn = (np.full((40, 80, 3), level, np.uint8) for level in (200, 10))
    both = clip.Encoding(None, "inset", 20, "superfast").compose(original, drawn)
    assert both[0, 0, 0] == 200 and both[9, 19, 0] == 200
    assert both[10, 0, 0] == 10 and both[0, 20, 0] == 10
    assert (drawn == 10).all()


def test_batches_never_reach_over_a_boundary():
    frames = [np.zeros((2, 2, 3), np.uint8)] * 45
    sizes = [len(batch) for batch in clip.batches(iter(frames), 20)]
    assert sizes == [8, 8, 4, 8, 8, 4, 5]


def test_a_sample_painting_is_the_same_every_time_and_each_painter_has_a_hand_of_his_own():
    dabs, again, ink, poster = (
        sample_painters.painting(painter, 1).astype(float)
        for painter in ("dabs", "dabs", "ink", "poster")
    )
    assert (dabs == again).all() and dabs.shape == (400, 640, 3)
    purity = [np.ptp(own, axis=2).mean() for own in (dabs, ink, poster)]
    assert purity[0] > 60 and purity[1] < 50 and purity[2] > 60
    still = [(np.abs(np.diff(own, axis=1)).max(axis=2) < 1).mean() for own in (dabs, ink, poster)]
    assert still[2] > 0.8 > still[0]  # flat areas, and dabs that differ


def test_a_sample_film_has_a_cut_and_moves(tmp_path):
    numbers = (0, 1, sample_scenes.CUT - 1, sample_scenes.CUT)
    first, second, last, after = (sample_scenes.film_frame(own).astype(float) for own in numbers)
    assert (first == sample_scenes.film_frame(0)).all() and first.shape == (360, 640, 3)
    moved, cut = np.abs(second - first).mean(), np.abs(after - last).mean()
    assert 1 < moved < 20 and cut > 3 * moved
    make_samples.write_sound(tmp_path / "sound.wav")
    with wave.open(str(tmp_path / "sound.wav")) as sound:
        assert sound.getnchannels() == 2
        assert sound.getnframes() / sound.getframerate() == sample_scenes.FRAMES / 24
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    assert 3_000 < np.abs(samples.astype(int)).max() < 32_767
    assert (samples[::2] != samples[1::2]).any()


def test_the_sheet_has_a_column_for_the_film_and_for_each_style(tmp_path, capsys):
    levels = {"a": 40, "a-x": 120, "a-y": 200}
    for name, level in levels.items():
        with writer.FrameWriter(
            tmp_path / f"{name}.mp4", rate=Fraction(8), size=(64, 36), output_size=(64, 36),
            quality=writer.Quality(crf=12),
        ) as film:  # fmt: skip
            for number in range(8):
                film.write(np.full((36, 64, 3), level + 30 * (number >= 4), np.uint8))
    options = ["--film", tmp_path / "a.mp4", "--styles", "x,y", "--moments", "0,0.75", "--out"]
    assert make_sheet.main(list(map(str, [*options, tmp_path]))) == 0
    assert f"Look at {tmp_path / 'a-sheet.png'}" in capsys.readouterr().out.splitlines()[-1]
    with Image.open(tmp_path / "a-sheet.png") as sheet:
        columns, rows = sheet.width / 3, sheet.height / 2
        middles = [
            [sheet.getpixel((int(columns * (i + 0.5)), int(rows * (j + 0.4))))[0] for i in range(3)]
            for j in range(2)
        ]
    wanted = [[40, 120, 200], [70, 150, 230]]
    np.testing.assert_allclose(middles, wanted, atol=4)
    for place, value, message in (
        (3, "z", "a-z.mp4"),
        (5, "9", "MOMENTS 9 is past the last frame"),
    ):
        wrong = list(map(str, [*options, tmp_path]))
        wrong[place] = value
        assert make_sheet.main(wrong) == 1
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("width", "height", "compare", "wanted"),
    [(16400, 64, "none", "8192x30"), (9000, 4500, "side", "8192x4096")],
)
def test_a_size_that_cannot_be_written_is_refused_before_the_passes(width, height, compare, wanted):
    options = Options(1.0, "mean", "full", 1, 0.0, 0.0, 0.0, compare, 20, "superfast")
    with pytest.raises(UserError, match=f"H.264 has at most .*: give --output-size {wanted}$"):
        plan(source_video(width, height), Crop(), "source", options)
    size = parse_size(wanted)
    assert plan(source_video(width, height), Crop(), size, options)[1].picture_size == size
