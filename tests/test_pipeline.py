"""The seven scripts in a row on real media, and what each says when something is wrong."""

import functools
import itertools
import re
import shutil
import subprocess
import sys

from cadl import (
    embeddings,
    files,
    graphs,
    latents,
    shards,
    tiles,
    training,
    video,
)

import imageio.v2 as imageio
import numpy as np
import pytest
from conftest import FRAMES, ROOT
from PIL import Image


def test_every_script_says_what_to_run_next(project):
    order = list(project.outputs)
    for script, following in itertools.pairwise(order):
        assert project.outputs[script].strip().endswith(f"Next: python {following}.py")
    assert ".mp4" in project.outputs["mogrify_video"].strip().splitlines()[-1]


def test_no_script_shows_the_log_of_a_library(project):
    for script, output in project.outputs.items():
        assert not re.findall(r"[IWEF]\d{4} \d\d:\d\d:.*", output), script


def test_extraction_takes_every_third_frame_of_the_cropped_clip(project):
    tile_set = shards.load_tiles(project.tiles)
    assert list(tile_set.source_indices()) == ["night-streets", "übung-2", "my-clip-é"]
    assert (tile_set.sources == "my-clip-é").sum() == FRAMES // 3
    assert "16:0:16:0" in project.outputs["extract_tiles"]
    clip = tile_set.pixels[tile_set.sources == "my-clip-é"]
    assert clip[:, 0].mean() > 50  # no bar is left


def test_unchanged_sources_are_not_extracted_again(project, scripts, capsys):
    arguments = ["--paintings", project.media.paintings, "--videos", project.media.videos]
    arguments += ["--tiles", project.tiles, "--frame-step", 3]
    before = {path: path.stat().st_mtime_ns for path in project.tiles.glob("*.gz")}
    assert scripts.extract_tiles.main(list(map(str, arguments))) == 0
    assert capsys.readouterr().out.count("unchanged") == 3
    assert {path: path.stat().st_mtime_ns for path in project.tiles.glob("*.gz")} == before


def test_tiles_of_what_is_gone_are_removed_only_when_told(project, scripts, tmp_path, capsys):
    for path in project.tiles.glob("painting-*"):
        shutil.copy(path, tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    known = {("painting", "night-streets")}
    scripts.extract_tiles.remove_gone(tmp_path, known, remove=False)
    assert "painting übung-2 is gone, its tiles stay" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == before
    scripts.extract_tiles.remove_gone(tmp_path, known, remove=True)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {name for name in before if "night-streets" in name} and left < before


def test_an_extraction_killed_ten_times_ends_in_the_same_shards(project, media, tmp_path):
    folder = tmp_path / "tiles"
    command = [sys.executable, str(ROOT / "extract_tiles.py"), "--paintings", media.paintings,
               "--videos", media.videos, "--tiles", folder, "--frame-step", "3"]  # fmt: skip
    program = (
        "import os, sys, threading, time; sys.path.insert(0, sys.argv[1])\n"
        "import extract_tiles\n"
        "wait = float(sys.argv[2])\n"
        "def kill(): time.sleep(wait); os.kill(os.getpid(), 9)\n"
        "threading.Thread(target=kill, daemon=True).start()\n"
        "sys.exit(extract_tiles.main(sys.argv[3:]))\n"
    )
    killed = 0
    for moment in np.random.default_rng(4).uniform(0.02, 0.8, 40):
        words = [sys.executable, "-c", program, ROOT, moment, *command[2:]]
        finished = subprocess.run(list(map(str, words)), capture_output=True, check=False)
        killed += finished.returncode == -9
        for shard in folder.glob("*.tfrecord.gz"):
            assert shard.read_bytes() == (project.tiles / shard.name).read_bytes()
        if killed == 10:
            break
        if finished.returncode == 0:  # it was through before: again from the beginning
            shutil.rmtree(folder)
    assert killed == 10
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    names = {path.name for path in folder.glob("*.gz")}
    assert names == {path.name for path in project.tiles.glob("*.gz")}
    assert all((folder / n).read_bytes() == (project.tiles / n).read_bytes() for n in names)


def test_previews_open_as_pictures(project):
    assert {path.stem for path in project.previews.iterdir()} == {
        "night-streets", "übung-2", "my-clip-é", "my-clip-é.crop",
    }  # fmt: skip
    for path in project.previews.iterdir():
        assert np.asarray(Image.open(path)).std() > 10


@pytest.mark.parametrize("name", ["vae_run", "refiner_run"])
def test_a_run_leaves_previews_and_a_movie(project, name):
    run = getattr(project, name)
    previews = sorted(path.name for path in (run / "preview").iterdir())
    assert previews[:3] == [f"step-{step:08d}.png" for step in (1, 2, 4)]
    movie = imageio.mimread(run / "progress.mp4", memtest=False)
    assert len(movie) == len(previews)


def test_saved_models_have_the_endpoints_that_other_programs_rely_on(project):
    pixels = np.random.default_rng(0).integers(0, 255, (3, *tiles.SHAPE)).astype(np.uint8)
    vae_graph, about = graphs.load_graph(project.exported, "vae")
    refiner_graph, _ = graphs.load_graph(project.exported, "refiner")
    stylizer, fast_stylizer, fine_stylizer = (
        graphs.load_graph(project.exported, name, vae_fingerprint=about["vae"])[0]
        for name in graphs.STYLIZERS
    )
    encoded = vae_graph.encode(pixels)
    assert encoded["z_mean"].shape == encoded["z_log_var"].shape == (3, 512)
    pictures = vae_graph.decode(encoded["z_mean"])
    strength = np.array([0.0, 0.5, 1.0], np.float32)
    refined = np.asarray(refiner_graph.refine(pictures, pixels, strength))
    still = np.zeros((3, 2), np.float32)
    drawn = np.asarray(stylizer.stylize(encoded["z_mean"], pixels, strength, still))
    assert drawn.dtype == np.uint8 and drawn.shape == pixels.shape
    np.testing.assert_allclose(drawn, refined * 255, atol=0.51)
    fast = np.asarray(fast_stylizer.stylize(encoded["z_mean"], pixels, strength, still))
    np.testing.assert_array_equal(fast[0], drawn[0])  # no strokes at strength 0
    assert 0.5 < np.abs(np.float32(fast[2]) - drawn[2]).mean() < 20
    fine = np.asarray(fine_stylizer.stylize(encoded["z_mean"], pixels, strength, still))
    assert fine.shape == (3, 360, 640, 3)
    moved = np.asarray(stylizer.stylize(encoded["z_mean"], pixels, strength, still + 8))
    np.testing.assert_allclose(moved[0].astype(int), drawn[0].astype(int), atol=1)
    assert np.abs(np.float32(moved[2]) - drawn[2]).mean() > 0.5
    halved, drawn = fine.reshape(3, 180, 2, 320, 2, 3).mean((2, 4)), np.float32(drawn)
    assert np.abs(halved[0] - drawn[0]).mean() < 2
    ours, theirs = halved[2] - halved[0], drawn[2] - drawn[0]  # the strokes alone
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.7
    assert "largest difference from the checkpoints" in project.outputs["export_graphs"]


def test_an_export_of_other_numbers_or_of_none_is_refused(project, scripts):
    refining, *_ = training.load_refiner(project.refiner_run)
    model, *_ = training.load_vae(project.vae_run)
    tile_set = shards.load_tiles(project.tiles).select(np.arange(1))
    saved = {name: graphs.load_graph(project.exported, name)[0] for name in graphs.NAMES}
    for value in (np.nan, 3.0):
        for variable in model.decoder.variables[-1:]:
            variable.assign(np.full(variable.shape, value, np.float32))
        with pytest.raises(RuntimeError, match="decode of .* differs from its checkpoint by"):
            scripts.export_graphs.compare(saved, model, refining, tile_set)


def test_an_export_of_another_version_is_refused(project, tmp_path):
    shutil.copytree(project.exported / "vae", tmp_path / "vae")
    about = tmp_path / "vae" / "about.json"
    files.write_sealed(about, {**files.read_sealed(about), "format": 2})
    with pytest.raises(ValueError, match=r"another version: run export_graphs.py again"):
        graphs.load_graph(tmp_path, "vae")


def test_embeddings_are_exact(project):
    vae_graph, about = graphs.load_graph(project.exported, "vae")
    sources = embeddings.load_embeddings(project.exported / "embeddings.npz", about["vae"])
    tile_set = shards.load_tiles(project.tiles)
    own = tile_set.source_indices()["night-streets"]
    codes = np.asarray(vae_graph.encode(tile_set.pixels[own])["z_mean"], np.float64)
    found = sources["night-streets"]
    assert (found.kind, found.count) == ("painting", len(own))
    np.testing.assert_allclose(found.mean, codes.mean(0), atol=1e-4)
    np.testing.assert_allclose(found.covariance, np.cov(codes.T, bias=True), atol=1e-3)


def test_maps_match_moments_of_real_latents(project):
    vae_graph, about = graphs.load_graph(project.exported, "vae")
    sources = embeddings.load_embeddings(project.exported / "embeddings.npz", about["vae"])
    tile_set = shards.load_tiles(project.tiles)
    own = tile_set.source_indices()["my-clip-é"]
    codes = np.asarray(vae_graph.encode(tile_set.pixels[own])["z_mean"])
    video, painter = sources["my-clip-é"], sources["night-streets"]
    for style_map in ("mean", "diagonal", "gaussian"):
        distances = []
        for strength in (0.0, 0.5, 1.0):
            moved = latents.map_latents(
                codes, video, painter, style_map=style_map, strength=strength
            )
            found = latents.statistics_of(moved, "video")
            distances.append(latents.frechet_distance(found, painter))
        assert distances[0] > distances[1] > distances[2]
        np.testing.assert_allclose(found.mean, painter.mean, atol=1e-3)
        if style_map == "diagonal":
            gains = np.sqrt(np.diag(painter.covariance) / np.diag(video.covariance))
            free = (gains < latents.MAX_GAIN) & video.active_codes
            assert free.sum() > 50
            spreads = [np.sqrt(np.diag(x.covariance))[free] for x in (found, painter)]
            np.testing.assert_allclose(*spreads, rtol=1e-2)


def test_the_page_shows_all_its_pictures_and_reaches_for_nothing_else(project):
    page = (project.report / "index.html").read_text(encoding="utf-8")
    shown = re.findall(r'<img src="([^"]+)"', page)
    assert {"map.png", "codes-night-streets.png", "my-clip-é-to-night-streets.png"} <= set(shown)
    assert sorted(shown) == sorted(path.name for path in project.report.glob("*.png"))
    for name in shown:
        with Image.open(project.report / name) as picture:
            assert np.asarray(picture).std() > 5
    assert "<script" not in page and "http" not in page
    assert re.search(r"<td>night-streets</td><td>trained</td><td>\d+</td><td>\d+\.\d\d</td>", page)


def test_a_browser_opens_the_page(project, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no chromium here")
    picture = tmp_path / "page.png"
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               "--window-size=1400,9000", f"--user-data-dir={tmp_path}/profile",
               f"--screenshot={picture}", (project.report / "index.html").as_uri()]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(picture) as shot, Image.open(project.report / "map.png") as own:
        seen, row = np.asarray(shot.convert("RGB"))[:3000], np.asarray(own.convert("RGB"))[360]
    lefts = range(seen.shape[1] - len(row))
    assert any((seen[:, left : left + len(row)] == row).all(axis=(1, 2)).any() for left in lefts)


ORDER = [
    ("preview_tiles", ["--tiles"], "run extract_tiles.py first"),
    ("train_vae", ["--tiles", "--run"], "run extract_tiles.py first"),
    ("evaluate_embeddings", ["--exported"], "run export_graphs.py first"),
    ("mogrify_video", ["--exported"], "run export_graphs.py first"),
]


@pytest.mark.parametrize(("script", "flags", "message"), ORDER)
def test_a_script_out_of_order_names_the_one_to_run(
    project, scripts, tmp_path, capsys, script, flags, message
):
    arguments = [item for flag in flags for item in (flag, str(tmp_path / "no"))]
    if script == "mogrify_video":
        arguments += ["--videos", str(project.media.clip)]
    assert getattr(scripts, script).main(arguments) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in errors if "error:" in line]) == 1 and message in errors[-1]


def test_training_the_refiner_first_needs_a_vae(project, scripts, tmp_path, capsys):
    arguments = ["--tiles", project.tiles, "--vae-run", tmp_path / "no", "--run", tmp_path / "r"]
    assert scripts.train_refiner.main(list(map(str, arguments))) == 1
    assert "run train_vae.py first" in capsys.readouterr().err


def test_export_needs_a_refiner(project, scripts, tmp_path, capsys):
    arguments = ["--vae-run", project.vae_run, "--refiner-run", tmp_path / "no", "--tiles",
                 project.tiles, "--exported", tmp_path / "e"]  # fmt: skip
    assert scripts.export_graphs.main(list(map(str, arguments))) == 1
    assert "run train_refiner.py first" in capsys.readouterr().err


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


def test_preview_names_a_damaged_shard(project, scripts, tmp_path, capsys):
    folder = tmp_path / "tiles"
    shutil.copytree(project.tiles, folder)
    path = sorted(folder.glob("*.gz"))[0]
    path.write_bytes(path.read_bytes()[:1000])
    arguments = ["--tiles", str(folder), "--previews", str(tmp_path / "previews")]
    assert scripts.preview_tiles.main(arguments) == 1
    assert f"{path}, record 0: damaged" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["train_vae", "mogrify_video"])
def test_bad_flags_end_with_status_2(scripts, script, capsys):
    with pytest.raises(SystemExit) as stop:
        getattr(scripts, script).main(["--no-such-flag", "1"])
    assert stop.value.code == 2 and "--no-such-flag" in capsys.readouterr().err


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
    read_frames = video.read_frames

    def killed(*given, **options):
        yield from itertools.islice(read_frames(*given, **options), 30)
        raise ValueError("ffmpeg was killed after 30 frames: run the same command again")

    monkeypatch.setattr(video, "read_frames", killed)
    assert scripts.extract_tiles.main([*arguments, "--frame-step", "5"]) == 1
    assert "ffmpeg was killed" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "tiles").glob("*.gz")} == before
    monkeypatch.undo()
    assert scripts.extract_tiles.main(arguments) == 0
    assert "unchanged" not in capsys.readouterr().out


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


def test_shards_that_are_damaged_or_gone_are_made_again(project, scripts, tmp_path, capsys):
    arguments = ["--paintings", project.media.paintings, "--videos", project.media.videos,
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


def test_a_painter_who_comes_later_leaves_the_others_their_numbers(project, scripts, tmp_path):
    tile_set = shards.load_tiles(project.tiles)
    list_painters = scripts.train_refiner.list_painters
    assert list_painters(tile_set, tmp_path / "new") == ["night-streets", "übung-2"]
    files.write_sealed(tmp_path / "settings.json", {"notes": {"painters": ["zorn", "übung-2"]}})
    assert list_painters(tile_set, tmp_path) == ["zorn", "übung-2", "night-streets"]
    many = {"notes": {"painters": [f"painter {i}" for i in range(63)]}}
    files.write_sealed(tmp_path / "settings.json", many)
    with pytest.raises(ValueError, match="65 painters are more than 64"):
        list_painters(tile_set, tmp_path)
