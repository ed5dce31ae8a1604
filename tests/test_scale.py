"""SCALE 2: tiles of 640x360, seen by the VAE at half that, restored and drawn at full size."""

import shutil

from cadl import blocks, graphs, metrics, networks, refiner, shards, tiles, vae, video

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

RNG = np.random.default_rng(0)
LARGE = RNG.random((2, *tiles.shape_at(2))).astype(np.float32)


def test_reducing_is_the_mean_of_squares_and_rounds_bytes():
    found = tiles.reduce(LARGE, 2)
    np.testing.assert_allclose(found, LARGE.reshape(2, 180, 2, 320, 2, 3).mean((2, 4)), atol=1e-6)
    assert found.dtype == np.float32 and tiles.reduce(LARGE, 1) is LARGE
    bytes_in = tiles.to_uint8(LARGE)
    exact = bytes_in.reshape(2, 180, 2, 320, 2, 3).mean((2, 4))
    made = tiles.reduce(bytes_in, 2)
    assert made.dtype == np.uint8 and np.abs(made - exact).max() <= 0.5


def test_frames_are_mirrored_into_large_tiles_as_into_small_ones():
    frames = RNG.integers(0, 255, (1, 272, 640, 3)).astype(np.uint8)
    whole = tiles.mirror_to_tile(frames, 2)
    assert whole.shape == (1, *tiles.shape_at(2))
    assert (tiles.crop_from_tile(whole, 640, 272) == frames).all()
    small = tiles.mirror_to_tile(tiles.reduce(frames, 2))
    np.testing.assert_array_equal(tiles.reduce(whole, 2), small)


def test_a_picture_gives_the_same_tiles_at_both_scales():
    coarse = Image.fromarray(RNG.integers(0, 255, (9, 14, 3)).astype(np.uint8))
    picture = coarse.resize((1000, 650), Image.Resampling.BICUBIC)
    small, large = (np.stack(tiles.picture_tiles(picture, 4, scale)) for scale in (1, 2))
    assert large.shape == (len(small), *tiles.shape_at(2))
    assert np.abs(tiles.reduce(large, 2).astype(int) - small).mean() < 1


def write_tile(folder, scale):
    pixels = RNG.integers(0, 255, tiles.shape_at(scale)).astype(np.uint8)
    with shards.ShardWriter(folder, "video", "clip") as writer:
        writer.write(shards.Tile(pixels, "video", "clip", 0, 0.0, 0, "clip.mp4"))
    return pixels


def test_large_tiles_are_read_at_both_scales(tmp_path):
    pixels = write_tile(tmp_path, 2)
    one, two = (shards.load_tiles(tmp_path, scale) for scale in (1, 2))
    assert one.large is one.pixels and one.pixels.shape == (1, *tiles.SHAPE)
    np.testing.assert_array_equal(two.large[0], pixels)
    np.testing.assert_array_equal(two.pixels, one.pixels)
    np.testing.assert_array_equal(two.pixels, tiles.reduce(pixels[None], 2))
    some = two.select(np.arange(1))
    np.testing.assert_array_equal(some.large, two.large)
    batch = next(iter(shards.training_batches(
        two, np.arange(1), batch_size=1, seed=1, first_step=0, last_step=1
    )))[1]  # fmt: skip
    assert batch.shape == (1, *tiles.shape_at(2))


def test_small_tiles_are_too_small_for_scale_2(tmp_path):
    write_tile(tmp_path, 1)
    with pytest.raises(ValueError, match=r"of 320x180, too small for SCALE 2: run extract_tiles"):
        shards.load_tiles(tmp_path, 2)


@pytest.fixture(scope="module")
def refining():
    keras.utils.set_random_seed(1)
    return refiner.Refining(4, scale=2)


@pytest.mark.parametrize("spacing", [2, 1, 0.5])
def test_a_new_refiner_enlarges_thumbnails_and_lays_the_strokes_of_scale_1(refining, spacing):
    large = np.asarray(ops.image.resize(RNG.random((2, 9, 16, 3)), tiles.shape_at(2)[:2]), "f4")
    pictures = tiles.reduce(large, 2)
    drift = np.float32([[0, 0], [3.4, -7.7]])
    small = refiner.Refining(4)
    small.painter.set_weights(refining.painter.get_weights())
    strokes = {}
    for model, seen in ((refining, large), (small, pictures)):
        calm, painted = (
            np.asarray(model(pictures, seen, np.full(2, s, "f4"), spacing=spacing, drift=drift))
            for s in (0.0, 1.0)
        )
        assert calm.shape == painted.shape
        assert painted.shape[1] == 180 * max(model.scale, 1 / spacing)
        strokes[model.scale] = tiles.reduce(painted - calm, painted.shape[1] // 180)
        if model is refining:
            ahead = refiner.ahead(blocks.shrink(large[:1], 8))
            enlarged = ops.image.resize(ahead, tiles.shape_at(2)[:2])
            inner = np.s_[:1, :-8, :-8]
            np.testing.assert_allclose(calm[inner], enlarged[inner], atol=1e-4)
    assert strokes[2].std() > 0.02
    assert np.corrcoef(*(own.ravel() for own in strokes.values()))[0, 1] > 0.95


def test_a_plain_refiner_enlarges_what_the_vae_drew():
    small = np.asarray(ops.image.resize(RNG.random((1, 6, 10, 3)).astype("f4"), (180, 320)))
    plain = refiner.Refining(0, scale=2)
    drawn = np.asarray(plain(small, LARGE[:1], np.ones(1, "f4")))
    assert drawn.shape == (1, *tiles.shape_at(2))
    assert np.abs(tiles.reduce(drawn, 2) - small).max() < 0.05


def test_all_networks_together_stay_within_3_gflop(scripts):
    sized = refiner.Refining(scripts.train_refiner.DETAIL_CHANNELS, tiles.SHAPE[:2], 2)
    model = vae.build_vae()
    parts = [model.encoder, model.decoder, sized.detail_encoder, sized.refiner, sized.painter]
    assert 1e9 < sum(map(blocks.count_operations, parts)) < 3.0e9
    small = refiner.Refining(scripts.train_refiner.DETAIL_CHANNELS, tiles.SHAPE[:2])
    whole, quarter = (x.detail_encoder.output.shape[1:3] for x in (sized, small))
    assert whole == tuple(2 * side for side in quarter)  # as dense at either scale


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_refined_picture_moves_with_a_pan_by_whole_pixels(strength):
    """As at scale 1, by pixels of 640x360 too."""
    rng = np.random.default_rng(0)
    model = refiner.Refining(4, scale=2)
    for network in (model.refiner, model.painter):
        network.set_weights(
            [w + 0.03 * rng.standard_normal(w.shape).astype("f4") for w in network.get_weights()]
        )
    wide = np.repeat(rng.uniform(0.2, 0.8, (360, 110, 3)), 6, 1)
    wide = (wide + rng.uniform(-0.1, 0.1, (360, 660, 3))).astype(np.float32)
    shifts = (0, 1, 2, 5, 9)  # of large pixels
    films = np.stack([wide[:, 12 - shift :][:, :640] for shift in shifts])
    drift = np.float32([[0, shift / 2] for shift in shifts])
    even = np.full((len(shifts), *tiles.SHAPE), 0.5, np.float32)
    given = np.full(len(shifts), strength, np.float32)
    still, moved = (np.asarray(model(even, films, given, drift=way)) for way in (0 * drift, drift))

    def jump(drawn):
        return max(
            np.abs(frame[:, 120 + shift : 520 + shift] - drawn[0][:, 120:520]).mean()
            for shift, frame in zip(shifts, drawn, strict=True)
        )

    assert jump(moved) < 0.15 * jump(still)


def test_all_scripts_at_scale_2(project, scripts, tmp_path, capsys):
    vae_run, run, exported = project.vae_run, tmp_path / "refiner", tmp_path / "exported"
    folder = tmp_path / "tiles"

    def call(script, *arguments):
        assert getattr(scripts, script).main(list(map(str, arguments))) == 0

    sources = "--paintings", project.media.paintings, "--videos", project.media.videos
    call("extract_tiles", *sources, "--tiles", folder, "--frame-step", 3, "--scale", 2)
    assert "only 320x144, enlarged to 640x360" in capsys.readouterr().err
    tile_set = shards.load_tiles(folder, 2)
    small = shards.load_tiles(project.tiles)
    assert list(tile_set.labels) == list(small.labels)
    assert np.abs(tile_set.pixels.astype(int) - small.pixels).mean() < 3
    call("preview_tiles", "--tiles", folder, "--previews", tmp_path / "previews")
    with Image.open(tmp_path / "previews" / "night-streets.png") as sheet:
        assert sheet.width < 1400
    refine = ("--tiles", folder, "--vae-run", vae_run, "--run", run, "--batch-size", 2,
              "--scale", 2)  # fmt: skip
    call("train_refiner", *refine, "--steps", 2)
    assert networks.load_refiner(run)[0].scale == 2
    call("export_graphs", "--tiles", folder, "--vae-run", vae_run, "--refiner-run", run,
         "--exported", exported, "--compared-tiles", 1)  # fmt: skip
    call("evaluate_embeddings", "--tiles", folder, "--exported", exported, "--report",
         tmp_path / "report")  # fmt: skip
    with pytest.raises(ValueError, match="is of SCALE 2, not 1"):
        graphs.load_graph(exported, "stylizer", scale=1)
    call("mogrify_video", "--videos", project.media.clip, "--exported", exported, "--out",
         tmp_path / "out", "--strength", 0, "--output-size", "640x288")  # fmt: skip
    made = video.probe(next((tmp_path / "out").glob("*.mp4")))
    assert (made.width, made.height, len(made.times)) == (640, 288, 60)
    frames, wanted = (
        np.stack(list(video.read_frames(of, crop=crop, size=(320, 144))))
        for of, crop in (
            (made, tiles.Crop()), (video.probe(project.media.clip), tiles.Crop(16, 0, 16, 0))
        )
    )  # fmt: skip
    light = [metrics.luminance(x / 255.0) for x in (frames, wanted)]
    assert np.corrcoef(*(x.ravel() for x in light))[0, 1] > 0.9
    shutil.copytree(exported, tmp_path / "mixed")
    arguments = ["--tiles", project.tiles, "--exported", tmp_path / "mixed"]
    assert scripts.evaluate_embeddings.main(list(map(str, arguments))) == 1
    assert "too small for SCALE 2" in capsys.readouterr().err


def test_the_loss_of_2017_has_one_scale(project, scripts, tmp_path, capsys):
    arguments = ["--tiles", project.tiles, "--vae-run", project.vae_run, "--run", tmp_path / "run",
                 "--loss", "ancestor", "--scale", 2]  # fmt: skip
    assert scripts.train_refiner.main(list(map(str, arguments))) == 1
    assert "SCALE 2 is not for LOSS ancestor" in capsys.readouterr().err
