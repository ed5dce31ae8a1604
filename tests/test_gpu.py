"""Weights from a card come back, and the steps there are those of the product; without JAX."""

from types import SimpleNamespace

import train_refiner
import train_vae
from benchmarks import gpu_steps, gpu_tiles, gpu_weights
from cadl.dataset import shards, tile_sets
from cadl.errors import UserError
from cadl.images import tiles
from cadl.networks import refiner, vae
from cadl.settings import read_settings
from cadl.training import checkpoints, optimizer
from cadl.training.run import Run
from cadl.training.run_record import make_record

import keras
import numpy as np
import pytest
import tensorflow as tf

ABOUT = {
    "vae": {
        "network": "vae",
        "sources": ["monet", "film"],
        "settings": {"batch_size": 4, "seed": 3, "validation_fraction": 0.1},
    },
    "refiner": {"network": "refiner", "sources": [], "settings": {"batch_size": 4, "seed": 3}},
}


def weights_of(model, seed):
    rng = np.random.default_rng(seed)
    named = gpu_weights.named_variables(model)
    return {name: rng.normal(size=v.shape).astype(np.float32) for name, v in named.items()}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of both networks, as bench_gpu writes them; the refiner's has two steps."""
    folder = tmp_path_factory.mktemp("weights")
    networks = vae.build_vae(), refiner.Refining()
    arrays = [weights_of(network, seed) for seed, network in enumerate(networks)]
    old = weights_of(networks[1], 2)
    saves = [{7: arrays[0]}, {3: old, 5: arrays[1]}]
    for name, own in zip(ABOUT, saves, strict=True):
        gpu_weights.write_weights(folder / f"{name}.npz", own, ABOUT[name], half=False)
    return SimpleNamespace(folder=folder, vae=arrays[0], refiner=arrays[1], old=old)


def import_into(run, file, *more):
    return gpu_weights.main([f"--weights={file}", f"--into={run}", *more])


def test_weights_come_back_by_name_into_runs_that_belong_together(files, tmp_path):
    vae_run, refiner_run = tmp_path / "vae", tmp_path / "refiner"
    assert import_into(vae_run, files.folder / "vae.npz") == 0
    more = f"--vae-run={vae_run}"
    assert import_into(refiner_run, files.folder / "refiner.npz", more) == 0
    model, step, record = checkpoints.load_vae(vae_run)
    assert step == 7 and record["notes"]["sources"] == ["monet", "film"]
    assert record["settings"]["validation_fraction"] == 0.1 and record["settings"]["seed"] == 3
    assert record["settings"]["steps"] == 7 and record["settings"]["beta"] == gpu_steps.BETA
    for part, network in (("encoder", model.encoder), ("decoder", model.decoder)):
        for variable in network.variables:
            np.testing.assert_array_equal(variable, files.vae[f"{part}/{variable.path}"])
    refining, step, record = checkpoints.load_refiner(refiner_run)
    checkpoints.check_vae(refiner_run, record, vae_run, checkpoints.fingerprint(model))
    assert step == 5
    for name, variable in gpu_weights.named_variables(refining).items():
        np.testing.assert_array_equal(variable, files.refiner[name])


def test_an_imported_run_can_be_trained_further(files, tmp_path):
    assert import_into(tmp_path, files.folder / "vae.npz") == 0
    flags = [f"--run={tmp_path}", "--seed=3", "--validation-fraction=0.1", "--steps=9"]
    settings = read_settings(flags, train_vae)
    parts = train_vae.build_parts(settings)
    run = Run(settings, make_record("train_vae.py", settings, vae.ARCHITECTURE), vars(parts))
    assert run.resumed and int(run.step) == 7 and not run.is_done()
    for name, variable in gpu_weights.named_variables(parts.model).items():
        np.testing.assert_array_equal(variable, files.vae[name])


def test_files_that_do_not_fit_end_with_one_line(files, tmp_path, capsys):
    run, file = tmp_path / "run", tmp_path / "damaged.npz"
    assert import_into(run, tmp_path / "none.npz") == 1
    assert import_into(run, files.folder / "refiner.npz", "--step=4") == 1
    assert "STEP 4 is not in" in capsys.readouterr().err
    data = bytearray((files.folder / "refiner.npz").read_bytes())
    middle = len(data) * 3 // 4  # of the last step's weights
    data[middle : middle + 1000] = bytes(1000)
    file.write_bytes(data)
    assert import_into(run, file) == 1
    assert "is damaged" in capsys.readouterr().err
    run.mkdir()
    (run / "settings.json").write_text("{}")
    assert import_into(run, files.folder / "vae.npz") == 1
    assert "is a run already" in capsys.readouterr().err


def test_weights_of_another_network_or_not_finite_are_refused(files):
    small = refiner.Refining(8)
    with pytest.raises(UserError, match="shape"):
        gpu_weights.assign(small, files.refiner)
    with pytest.raises(UserError, match="only in one"):
        gpu_weights.assign(small, files.vae)
    name = next(iter(files.old))
    with pytest.raises(UserError, match="not finite"):
        gpu_weights.assign(refiner.Refining(), {**files.old, name: files.old[name] * np.nan})


def test_half_weights_differ_by_a_two_thousandth_at_most(files, tmp_path):
    gpu_weights.write_weights(tmp_path / "h.npz", {3: files.old}, ABOUT["refiner"], half=True)
    _, step, found = gpu_weights.read_weights(tmp_path / "h.npz")
    assert step == 3 and found.keys() == files.old.keys()
    for name, array in files.old.items():
        np.testing.assert_allclose(found[name], array, rtol=2**-11, atol=1e-7)


def test_the_settings_are_those_of_the_training_scripts():
    assert train_vae.BETA == gpu_steps.BETA
    assert train_refiner.SHIFT_WEIGHT == gpu_steps.SHIFT_WEIGHT
    assert train_refiner.DETAIL_BETA == gpu_steps.DETAIL_BETA
    for name, script in (("vae", train_vae), ("refiner", train_refiner)):
        recipe = gpu_steps.RECIPES[name]
        adam = script.build_parts(read_settings([], script)).optimizer
        assert float(adam.learning_rate) == pytest.approx(recipe.learning_rate)
        for value in ("beta_1", "beta_2", "epsilon", "bounds_updates"):
            assert getattr(adam, value) == getattr(recipe, value), value


@pytest.mark.parametrize("name", ["vae", "refiner"])
def test_a_step_learns_as_the_product_does(name):
    """Gradients of usual length, three times as long, a spike, and one that is not a number."""
    recipe = gpu_steps.RECIPES[name]
    weight = keras.Variable(np.array([0.5, -1.0, 2.0], np.float32))
    model, averaged = (SimpleNamespace(variables=[v]) for v in (weight, keras.Variable(weight)))
    adam = optimizer.Adam(1.0, recipe.beta_1, recipe.beta_2, recipe.epsilon)
    adam.bounds_updates = recipe.bounds_updates
    adam.build([weight])
    average = optimizer.make_averager(tf.distribute.get_strategy(), averaged, model)
    state = gpu_steps.start([tf.identity(weight.value)])
    rng = np.random.default_rng(0)
    for step in range(16):
        scale = {9: 3.0, 11: 1e3, 13: np.nan}.get(step, 1.0)
        gradient = tf.constant(scale * rng.normal(size=3), tf.float32)
        adam.learning_rate.assign(optimizer.learning_rate_at(step, recipe.learning_rate))
        adam.learn([weight], [gradient], tf.constant(1.0))
        if (step + 1) % optimizer.AVERAGE_EVERY == 0:
            average(tf.constant(step + 1, tf.int64))
        state = gpu_steps.learn(recipe, state, [gradient], tf.constant(1.0))
        np.testing.assert_allclose(state["weights"][0], weight, rtol=1e-5)
        np.testing.assert_allclose(state["usual_norm"], adam.norm_average, rtol=1e-5)
    np.testing.assert_allclose(state["averaged"][0], averaged.variables[0], rtol=1e-5)
    assert np.abs(state["weights"][0] - [0.5, -1.0, 2.0]).max() > 1e-4
    for step in (0, 50, 99, 1999, 8000):
        expected = optimizer.learning_rate_at(step, 1.0)
        assert float(gpu_steps.learning_rate_at(float(step), 1.0)) == pytest.approx(expected)


def test_the_losses_are_finite_and_their_gradients_reach_all_weights():
    rng = np.random.default_rng(0)
    crop = gpu_steps.CROP
    batch = {
        "tiles": tf.constant(rng.integers(0, 256, (4, 180, 320, 3)), tf.uint8),
        "corner": tf.constant([[20, 40]] * 4),
        "shift": tf.constant([[0.5, 1.25]] * 4),
        "grain": tf.zeros((4, *crop, 1)),
    }
    noises = {
        "vae": (4, vae.CODES),
        "refiner": (4, crop[0] // 4, crop[1] // 4, refiner.DETAIL_CHANNELS),
    }
    for name, shape in noises.items():
        recipe = gpu_steps.RECIPES[name]
        model = recipe.build()
        for variable in model.trainable_variables:
            if "norm" not in variable.path:
                variable.assign_add(0.02 * rng.normal(size=variable.shape))
        with tf.GradientTape() as tape:
            noise = tf.constant(rng.normal(size=shape), tf.float32)
            loss = recipe.loss(model, {**batch, "noise": noise})
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        assert np.isfinite(loss) and loss > 0
        for gradient, variable in zip(gradients, model.trainable_variables, strict=True):
            assert gradient is not None and np.abs(gradient).max() > 0, variable.path


def test_a_pack_takes_all_held_out_tiles_and_as_many_of_each_source_as_fit(tmp_path):
    sources = {"a": np.arange(10), "b": np.arange(10, 13), "c": np.arange(13, 20)}
    held_out = np.array([0, 1, 14])
    chosen = gpu_tiles.choose([100] * 20, sources, held_out, room=1_000)
    counts = [len(np.setdiff1d(np.intersect1d(own, chosen), held_out)) for own in sources.values()]
    assert counts == [2, 2, 2] and np.isin(held_out, chosen).all()
    assert len(gpu_tiles.choose([100] * 20, sources, held_out, room=2_000)) == 20
    with pytest.raises(UserError, match="MEGABYTES"):
        gpu_tiles.choose([100] * 20, sources, held_out, room=500)


def test_packed_tiles_are_the_same_to_the_bit(tmp_path):
    rng = np.random.default_rng(0)
    for kind, source in (("video", "film"), ("painting", "monet")):
        with shards.ShardWriter(tmp_path, kind, source) as writer:
            for i in range(4):
                pixels = rng.integers(0, 256, tiles.SHAPE, np.uint8)
                writer.write(shards.Tile(pixels, kind, source, 0, 0.0, i, f"{i}.png"))
    path = tmp_path / "tiles.npz"
    flags = [f"--tiles={tmp_path}", f"--pack={path}", "--validation-fraction=0.3"]
    assert gpu_tiles.main(flags) == 0
    tile_set, pack = tile_sets.load_tiles(tmp_path), gpu_tiles.read_pack(path)
    order = np.concatenate(list(tile_set.source_indices().values()))
    np.testing.assert_array_equal(pack.pixels, tile_set.pixels[order])
    np.testing.assert_array_equal(pack.sources, tile_set.sources[order])
    np.testing.assert_array_equal(pack.kinds, tile_set.kinds[order])
    _, held_out = tile_set.split(*pack.split)
    np.testing.assert_array_equal(pack.held_out, np.isin(order, held_out))
    assert pack.split == (0.3, 1) and pack.held_out.sum() == 2
