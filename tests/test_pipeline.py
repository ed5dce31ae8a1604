"""The seven scripts in a row on real media, and what each says when something is wrong."""

import itertools
import re
import shutil
from html.parser import HTMLParser

from cadl import files, inputs
from cadl.conversion import planning
from cadl.dataset import tile_sets
from cadl.errors import UserError
from cadl.images import tiles
from cadl.networks import blocks, colour_transfer, saved_models
from cadl.style import embeddings, latents
from cadl.training import checkpoints, refiner_batches, refiner_inputs

import imageio.v2 as imageio
import numpy as np
import pytest
from conftest import frechet_distance, map_latents
from PIL import Image


def test_every_script_says_what_to_run_next(project):
    order = list(project.outputs)
    for script, following in itertools.pairwise(order):
        assert project.outputs[script].strip().endswith(f"Next: python {following}.py")
    assert ".mp4" in project.outputs["mogrify_video"].strip().splitlines()[-1]


def test_a_project_that_was_moved_goes_on(project, scripts, tmp_path, capsys):
    root = tmp_path / "moved [x]"
    media = root / "media"
    shutil.copytree(project.root, root, copy_function=shutil.copyfile)
    shutil.copytree(project.media.paintings.parent, media, copy_function=shutil.copyfile)
    there = {name: root / path.relative_to(project.root) for name, path in vars(project).items()
             if name in ("tiles", "vae_run", "refiner_run", "exported", "out")}  # fmt: skip
    calls = {
        "extract_tiles": {"paintings": media / "paintings", "videos": media / "videos",
                          "tiles": there["tiles"], "frame-step": 3},
        "train_vae": {"tiles": there["tiles"], "run": there["vae_run"], "steps": 6,
                      "validation-fraction": 0.3},
        "train_refiner": {"tiles": there["tiles"], "vae-run": there["vae_run"],
                          "run": there["refiner_run"], "steps": 4, "hand-steps": 2},
        "mogrify_video": {"videos": media / "videos", "style": "bright-dabs",
                          "exported": there["exported"], "out": there["out"],
                          "stroke-size": 2},
    }  # fmt: skip
    for script, options in calls.items():
        flags = [f"--{name}={value}" for name, value in options.items()]
        assert getattr(scripts, script).main(flags) == 0
    assert planning.find_videos([root]) == list((media / "videos").iterdir())
    pictures = inputs.find(root, tiles.PICTURE_SUFFIXES)
    assert pictures == sorted((media / "paintings").rglob("*.png"))
    said = capsys.readouterr().out
    assert said.count("unchanged") == 3 and "is done at step 6" in said
    assert "is done at step 4" in said and "was finished before" in said


def test_no_script_shows_the_log_of_a_library(project):
    for script, output in project.outputs.items():
        assert not re.findall(r"[IWEF]\d{4} \d\d:\d\d:.*", output), script


def test_previews_open_as_pictures(project):
    assert {path.stem for path in project.previews.iterdir()} == {
        "bright-dabs", "übung-2", "my-clip-é", "my-clip-é.crop", "bright-dabs.closeups",
        "übung-2.closeups",
    }  # fmt: skip
    for path in project.previews.iterdir():
        assert np.asarray(Image.open(path)).std() > 10


def test_each_tile_has_a_row_in_the_projector_whatever_its_file_is_named(project):
    rows = (project.vae_run / "projector" / "labels.tsv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + len(tile_sets.load_tiles(project.tiles))


@pytest.mark.parametrize("name", ["vae_run", "refiner_run"])
def test_a_run_leaves_previews_and_a_movie(project, name):
    run = getattr(project, name)
    previews = sorted(path.name for path in (run / "preview").iterdir())
    assert previews[:3] == [f"step-{step:08d}.png" for step in (1, 2, 4)]
    movie = imageio.mimread(run / "progress.mp4", memtest=False)
    assert len(movie) == len(previews)


def test_saved_models_have_the_endpoints_that_other_programs_rely_on(project):
    pixels = np.random.default_rng(0).integers(0, 120, (3, *tiles.SHAPE)).astype(np.uint8)
    vae_graph, about = saved_models.load_graph(project.exported, "vae")
    refiner_graph, stylizer = (
        saved_models.load_graph(project.exported, name, vae_fingerprint=about["vae"])[0]
        for name in ("refiner", "stylizer")
    )
    encoded = vae_graph.encode(pixels)
    assert encoded["z_mean"].shape == encoded["z_log_var"].shape == (3, 512)
    pictures = vae_graph.decode(encoded["z_mean"])
    strength = np.array([0.0, 0.5, 1.0], np.float32)
    refined = np.asarray(refiner_graph.refine(pictures, pixels, strength))
    assert refined.dtype == np.float32 and refined.shape == pixels.shape
    assert refined.min() >= 0 and refined.max() <= 1
    own = encoded["z_mean"]
    moved = np.concatenate([own[:1], own[::-1][1:]])
    shift = np.asarray(stylizer.shift(moved, own))
    assert shift.dtype == np.float32 and shift.shape == (3, 45, 80, 3)
    np.testing.assert_allclose(shift[0], 0, atol=1e-6)
    wanted = colour_transfer.frame_shift(vae_graph.decode(moved), pictures)
    np.testing.assert_allclose(shift, wanted, atol=1e-4)
    assert "largest difference from the checkpoints" in project.outputs["export_graphs"]


def test_an_export_of_other_numbers_or_of_none_is_refused(project, scripts):
    refining, *_ = checkpoints.load_refiner(project.refiner_run)
    model, *_ = checkpoints.load_vae(project.vae_run)
    tile_set = tile_sets.load_tiles(project.tiles).select(np.arange(1))
    saved = {
        name: saved_models.load_graph(project.exported, name)[0] for name in saved_models.NAMES
    }
    for value in (np.nan, 3.0):
        for variable in model.decoder.variables[-1:]:
            variable.assign(np.full(variable.shape, value, np.float32))
        with pytest.raises(UserError, match="decode of .* differs from its checkpoint by"):
            scripts.export_graphs.compare(saved, model, refining, tile_set)


def test_an_export_of_another_version_is_refused(project, tmp_path):
    shutil.copytree(project.exported / "vae", tmp_path / "vae")
    about = tmp_path / "vae" / "about.json"
    files.write_sealed(about, {**files.read_sealed(about), "format": 2})
    with pytest.raises(UserError, match=r"another version: run export_graphs.py again"):
        saved_models.load_graph(tmp_path, "vae")


def test_embeddings_are_exact(project):
    vae_graph, about = saved_models.load_graph(project.exported, "vae")
    sources = embeddings.load_embeddings(project.exported / "embeddings.npz", about["vae"])
    tile_set = tile_sets.load_tiles(project.tiles)
    own = tile_set.source_indices()["bright-dabs"]
    codes = np.asarray(vae_graph.encode(tile_set.pixels[own])["z_mean"], np.float64)
    found = sources["bright-dabs"]
    assert (found.kind, found.count) == ("painting", len(own))
    np.testing.assert_allclose(found.mean, codes.mean(0), atol=1e-4)
    np.testing.assert_allclose(found.covariance, np.cov(codes.T, bias=True), atol=1e-3)


def test_maps_match_moments_of_real_latents(project):
    vae_graph, about = saved_models.load_graph(project.exported, "vae")
    sources = embeddings.load_embeddings(project.exported / "embeddings.npz", about["vae"])
    tile_set = tile_sets.load_tiles(project.tiles)
    own = tile_set.source_indices()["my-clip-é"]
    codes = np.asarray(vae_graph.encode(tile_set.pixels[own])["z_mean"])
    video, painter = sources["my-clip-é"], sources["bright-dabs"]
    for style_map in ("mean", "diagonal", "gaussian"):
        distances = []
        for strength in (0.0, 0.5, 1.0):
            moved = map_latents(codes, video, painter, style_map=style_map, strength=strength)
            found = latents.statistics_of(moved, "video")
            distances.append(frechet_distance(found, painter))
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
    assert {"map.png", "codes-bright-dabs.png", "my-clip-é-to-bright-dabs.png"} <= set(shown)
    assert sorted(shown) == sorted(path.name for path in project.report.glob("*.png"))
    for name in shown:
        with Image.open(project.report / name) as picture:
            assert np.asarray(picture).std() > 5
    assert "<script" not in page and "http" not in page
    assert re.search(r"<td>bright-dabs</td><td>trained</td><td>\d+</td><td>\d+\.\d\d</td>", page)


class OpenTags(HTMLParser):
    """Keeps the tags that are open; complains of one that is closed out of turn."""

    def __init__(self, page):
        super().__init__()
        self.open = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag not in ("img", "meta", "link", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"{tag} ends at {self.getpos()}"
        self.open.pop()


def test_every_tag_of_the_page_is_closed_in_turn(project):
    page = (project.report / "index.html").read_text(encoding="utf-8")
    assert page.count("<") > 100 and OpenTags(page).open == []


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


def test_the_refiner_sees_grain_that_it_is_not_to_restore(project):
    tile_set = tile_sets.load_tiles(project.tiles)
    batches = refiner_batches.make_batches(
        tile_set, np.arange(len(tile_set)), batch_size=4, seed=1, first_step=0, last_step=1
    )
    (batch,) = batches
    given = refiner_inputs.prepare(batch)
    grain = np.asarray(given.grained - given.targets)
    deviations = grain.std(axis=(1, 2, 3))
    assert len(set(deviations)) == 4 and 0 < deviations.max() <= 1.05 * refiner_inputs.MAX_GRAIN
    np.testing.assert_allclose(grain[..., 0], grain[..., 2], atol=1e-6)  # of light alone
    whole, corner = tiles.to_float(batch["tiles"].numpy()), np.asarray(batch["corner"])
    np.testing.assert_array_equal(given.targets, refiner_inputs.cut(whole, corner))
    again = refiner_inputs.cut(blocks.shift(whole[-1:], given.shift), corner)
    np.testing.assert_allclose(given.shifted, again, atol=1e-6)
    np.testing.assert_allclose(given.thumbnails[-1:], blocks.shrink(again, 4), atol=1e-6)
