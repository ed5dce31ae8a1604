import dataclasses
import json
import math
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

from cadl import files
from cadl.dataset import shards, tile_sets
from cadl.errors import UserError
from cadl.images import tiles
from cadl.networks import vae
from cadl.training import adversarial, checkpoints, optimizer
from cadl.training.run import MAX_FALLBACKS, Run
from cadl.training.run_record import make_record

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import checkpoint_of
from processes import Script


def open_run(folder, script="train_vae.py", codes=512, **more):
    folder.mkdir(exist_ok=True)
    weight = tf.Variable(0.0)
    settings = SimpleNamespace(run=folder, **{"steps": 3, **more})
    run = Run(settings, make_record(script, settings, {"codes": codes}), {"weight": weight})
    run.begin()
    return run, weight


def save(run, weight, step):
    weight.assign(float(step))
    run.step.assign(step)
    run.save()


def test_a_run_goes_on_from_its_newest_checkpoint(tmp_path):
    run, weight = open_run(tmp_path)
    assert run.resumed is None
    for step in (1, 2):
        save(run, weight, step)
    run, weight = open_run(tmp_path)
    assert int(run.step) == 2 and float(weight) == 2 and run.resumed.endswith("ckpt-2")


@pytest.mark.parametrize("name", ["a #1 [x]? é", "*", "b\\n", "two\nlines", "\udcff"])
def test_checkpoints_are_kept_and_removed_in_a_folder_of_any_name(tmp_path, name, capsys):
    run, weight = open_run(tmp_path / name)
    for step in range(1, 6):
        save(run, weight, step)
    kept = sorted(path.name for path in (tmp_path / name / "checkpoints").glob("*.index"))
    assert kept == ["ckpt-3.index", "ckpt-4.index", "ckpt-5.index"]
    averaged = keras.Sequential([keras.layers.Dense(1)])
    for measure in (2.0, 1.0):
        checkpoints.keep_best(tmp_path / name, averaged, run.step, measure, "tiles")
    best = tf.train.latest_checkpoint(files.plain_path(tmp_path / name) / checkpoints.BEST)
    assert tf.train.load_checkpoint(best).get_tensor("measure/.ATTRIBUTES/VARIABLE_VALUE") == 2.0
    (tmp_path / name).rename(tmp_path / "moved [x]")
    run, weight = open_run(tmp_path / "moved [x]")
    assert float(weight) == 5 and run.resumed == str(tmp_path / "moved [x]/checkpoints/ckpt-5")
    assert not capsys.readouterr().err


def damage(path):
    data = bytearray(path.read_bytes())
    data[: len(data) // 2] = bytes(len(data) // 2)
    path.write_bytes(bytes(data[: len(data) * 2 // 3]))


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, capsys):
    run, weight = open_run(tmp_path)
    for step in (1, 2):
        save(run, weight, step)
    damage(tmp_path / "checkpoints" / "ckpt-2.data-00000-of-00001")
    run, weight = open_run(tmp_path)
    assert int(run.step) == 1 and float(weight) == 1
    assert "ckpt-2 is damaged" in capsys.readouterr().err


def test_a_run_that_cannot_be_read_is_never_started_over(tmp_path):
    run, weight = open_run(tmp_path)
    save(run, weight, 1)
    damage(tmp_path / "checkpoints" / "ckpt-1.index")
    with pytest.raises(UserError, match="none of the checkpoints in"):
        open_run(tmp_path)


def test_a_run_killed_while_it_wrote_its_first_checkpoint_begins_again(tmp_path, capsys):
    run, weight = open_run(tmp_path)
    save(run, weight, 1)
    damage(tmp_path / "checkpoints" / "ckpt-1.index")
    (tmp_path / "checkpoints" / "checkpoint").unlink()  # it is written last
    run, weight = open_run(tmp_path)
    assert int(run.step) == 0 and run.resumed is None
    assert "ckpt-1 is damaged" in capsys.readouterr().err
    save(run, weight, 2)
    run, _ = open_run(tmp_path)
    assert int(run.step) == 2


def test_another_architecture_or_script_is_refused(tmp_path):
    open_run(tmp_path)
    with pytest.raises(UserError, match="has codes 512, not 64"):
        open_run(tmp_path, codes=64)
    with pytest.raises(UserError, match=r"is a run of train_vae.py: give --run"):
        open_run(tmp_path, script="train_refiner.py")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="is not empty and not a run"):
        open_run(tmp_path)


def bad(norm=1e9, **terms):
    return {"gradient_norm": norm, "skipped": 1.0, **terms}


def test_a_skipped_step_is_counted_and_printed(tmp_path, capsys):
    run, _ = open_run(tmp_path)
    assert run.accept(3, {"loss": 1.0, "skipped": 0.0})
    assert not run.accept(4, bad(loss=float("nan")))
    assert not run.accept(5, bad(norm=1e9, loss=2.0))
    shown = capsys.readouterr().err
    assert "step 4 skipped: loss nan; 1 skipped so far" in shown
    assert "step 5 skipped: gradient norm 1e+09 far out of line; 2 skipped so far" in shown


def test_several_bad_steps_in_a_row_go_back_at_half_the_rate(tmp_path, capsys):
    run, weight = open_run(tmp_path)
    save(run, weight, 7)
    weight.assign(99.0)
    run.step.assign(12)
    for step in range(8, 13):
        run.accept(step, bad())
    assert float(weight) == 7 and int(run.step) == 12 and float(run.rate_factor) == 0.5
    assert "ckpt-7, at 0.5 of the rate" in capsys.readouterr().err
    run.save()
    assert float(open_run(tmp_path)[0].rate_factor) == 0.5


def test_going_back_that_does_not_help_ends_with_one_line(tmp_path):
    run, weight = open_run(tmp_path)
    save(run, weight, 7)
    with pytest.raises(UserError, match="start afresh with half the --learning-rate"):
        for step in range(8, 100):
            run.accept(step, bad())
    assert step == 7 + 5 * (MAX_FALLBACKS + 1)


def test_bad_steps_without_a_checkpoint_end_with_one_line(tmp_path):
    run, _ = open_run(tmp_path)
    with pytest.raises(UserError, match="no checkpoint in"):
        for step in range(1, 6):
            run.accept(step, bad())


def test_the_best_weights_are_kept_beside_the_latest(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    kept = []
    for measure in (20.0, 22.0, 21.0, 22.0):
        run, _ = open_run(tmp_path)  # as after a kill: the best so far is read from the disk
        model.set_weights([np.full((1, 1), measure + len(kept))])
        run.step.assign(len(kept))
        checkpoints.keep_best(tmp_path, model, run.step, measure, "tiles")
        kept.append(float(tf.train.load_variable(
            tf.train.latest_checkpoint(tmp_path / "best"), "measure/.ATTRIBUTES/VARIABLE_VALUE"
        )))  # fmt: skip
    assert kept == [20, 22, 22, 22]
    restored = checkpoints.restore_newest(
        lambda _: tf.train.Checkpoint(averaged=model), tmp_path, "best"
    )
    assert restored.endswith("ckpt-1") and model.get_weights()[0][0, 0] == 23


@pytest.mark.parametrize("damaged", [False, True])
def test_what_was_best_on_other_tiles_or_is_damaged_is_not_compared_with(tmp_path, damaged):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    for step, (measure, measured_on) in enumerate(
        [(22.0, "few"), (20.0, "few" if damaged else "more")]
    ):
        run, _ = open_run(tmp_path)
        run.step.assign(step)
        checkpoints.keep_best(tmp_path, model, run.step, measure, measured_on)
        if damaged:
            damage(tmp_path / "best" / f"ckpt-{step}.index")
    assert tf.train.latest_checkpoint(tmp_path / "best").endswith("ckpt-1")


def test_previews_come_at_powers_of_two_then_regularly_and_at_the_end(tmp_path):
    run, _ = open_run(tmp_path, steps=33, preview_every=10)
    steps = [step for step in range(1, 34) if run.is_time_to_show(step)]
    assert steps == [1, 2, 4, 8, 10, 20, 30, 33]


def train(trained, run, steps, *more):
    return [
        "--tiles", str(trained.tiles), "--run", str(run), "--steps", str(steps), "--batch-size",
        "2", "--checkpoint-every", "2", "--preview-every", "100", "--validation-fraction", "0.3",
        *more,
    ]  # fmt: skip


def weights_of(run):
    model, step, _ = checkpoints.load_vae(run)
    return step, model.get_weights()


@pytest.mark.apart
def test_steps_then_kill_then_more_steps_equal_all_steps_in_one(trained, scripts, tmp_path):
    whole, killed = trained.vae_run, tmp_path / "killed"
    script = Script("train_vae", train(trained, killed, 5000), tmp_path / "log")
    script.wait_for(killed / "checkpoints" / "ckpt-2.index")
    script.send(signal.SIGKILL)
    assert script.wait() == -signal.SIGKILL
    assert scripts.train_vae.main(train(trained, killed, 6)) == 0
    (step, ours), (step2, theirs) = weights_of(whole), weights_of(killed)
    assert step == step2 == 6
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


def train_refiner(project, run, steps, *more):
    return [
        "--tiles", str(project.tiles), "--vae-run", str(project.vae_run), "--run", str(run),
        "--steps", str(steps), "--batch-size", "2", "--checkpoint-every", "2", "--preview-every",
        "100", "--hand-steps", "0", *more,
    ]  # fmt: skip


def test_a_refiner_goes_on_to_the_bit(project, scripts, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(project.refiner_run, run)
    for path in (run / "checkpoints").glob("ckpt-4*"):
        path.unlink()
    assert scripts.train_refiner.main(train_refiner(project, run, 4)) == 0
    assert "going on from step 2 of 4" in capsys.readouterr().out
    whole, resumed = checkpoint_of(project.refiner_run, 4), checkpoint_of(run, 4)
    assert sum(name.startswith("optimizer/_trainable_variables") for name in whole) > 20
    for name in whole:
        if name not in ("save_counter/.ATTRIBUTES/VARIABLE_VALUE", "_CHECKPOINTABLE_OBJECT_GRAPH"):
            np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


def test_a_refiner_of_another_architecture_is_refused(project, tmp_path):
    shutil.copytree(project.refiner_run, tmp_path / "run")
    path = tmp_path / "run" / "settings.json"
    record = files.read_sealed(path)
    record["architecture"]["detail_channels"] = 8
    files.write_sealed(path, record)
    with pytest.raises(UserError, match="'detail_channels': 8.*: train again"):
        checkpoints.load_refiner(tmp_path / "run")


def test_an_adversary_joins_a_trained_vae_and_is_resumed_to_the_bit(
    trained, scripts, tmp_path, monkeypatch, capsys
):
    """From step 6 on; it counts from its third step on, step 9."""
    monkeypatch.setattr(adversarial, "WARM_UP", 2)
    before = checkpoint_of(trained.vae_run, 6)
    run, finals = tmp_path / "run", []
    shutil.copytree(trained.vae_run, run)
    for start in (6, 8):  # the second time from a checkpoint on the way
        for path in (run / "checkpoints").glob("ckpt-10*"):
            path.unlink()
        more = ("--adversarial-weight", "0.5", "--log-every", "1")
        assert scripts.train_vae.main(train(trained, run, 10, *more)) == 0
        assert f"going on from step {start} of 10" in capsys.readouterr().out
        finals.append(checkpoint_of(run, 10))
        assert sorted(curve(run, "discriminator_right")) == list(range(7, 11))
    whole, resumed = finals
    assert sum(name.startswith("adversary/optimizer/_trainable_variables") for name in whole) > 3
    assert not any(name.startswith("adversary") for name in before)
    for name in whole:
        if name not in ("save_counter/.ATTRIBUTES/VARIABLE_VALUE", "_CHECKPOINTABLE_OBJECT_GRAPH"):
            np.testing.assert_array_equal(whole[name], resumed[name], err_msg=name)


def test_a_discriminator_changes_the_decoder_alone(scripts):
    """Within one step: what the encoder learns is the same with and without it."""
    model, opponent, adam = vae.build_vae(), adversarial.Rival(1e-3), optimizer.Adam(1e-3)
    adam.build(model.trainable_variables)
    step = scripts.train_vae.make_step(
        tf.distribute.get_strategy(),
        SimpleNamespace(model=model, optimizer=adam),
        opponent,
        SimpleNamespace(step=tf.Variable(0, dtype=tf.int64)),
        SimpleNamespace(beta=0.05, batch_size=2, xla=False),
    )  # fmt: skip
    held = [*model.variables, *opponent.discriminator.variables]
    for own in (adam, opponent.optimizer):
        held += [*own.variables, own.norm_average]
    before = [variable.numpy() for variable in held]
    batch = np.random.default_rng(0).integers(0, 255, (2, *tiles.SHAPE)).astype(np.uint8)
    after = {}
    for weight in (0.0, 1.0):
        for variable, value in zip(held, before, strict=True):
            variable.assign(value)
        terms = step(tf.constant(batch), tf.zeros((2, vae.CODES)), tf.constant(weight))
        assert not float(terms["skipped"]) and np.isfinite(float(terms["discriminator_loss"]))
        after[weight] = [part.get_weights() for part in (model.encoder, model.decoder)]

    def change(part):
        pairs = zip(after[0.0][part], after[1.0][part], strict=True)
        return max(np.abs(a - b).max() for a, b in pairs)

    assert change(1) > 1e-4 > 1e-6 > change(0)


def test_a_finished_run_says_so(trained, scripts, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained.vae_run, run)
    arguments = train(trained, run, 6)
    before = json.loads((run / "settings.json").read_text())
    projector = run / "projector_config.pbtxt"
    projector.unlink()  # as if it had been killed before it was written
    assert scripts.train_vae.main(arguments) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "is done at step 6" in shown[-1] and "Next: python train_refiner.py" in shown[-1]
    assert projector.exists()
    assert json.loads((run / "settings.json").read_text()) == before


def test_ctrl_c_saves_and_says_how_to_go_on(trained, tmp_path):
    script = Script("train_vae", train(trained, tmp_path / "run", 5000), tmp_path / "log")
    script.wait_for(tmp_path / "run" / "checkpoints" / "ckpt-2.index")
    script.send(signal.SIGTERM)
    assert script.wait() == 130
    assert "stopped: saved step" in script.said and "Traceback" not in script.said
    assert (tmp_path / "run" / "projector" / "tiles.png").exists()
    assert not list((tmp_path / "run").glob(".part*"))


@pytest.mark.parametrize(("flag", "value"), [("seed", "2"), ("validation-fraction", "0.2")])
def test_other_held_out_tiles_are_another_run(trained, scripts, flag, value, capsys):
    arguments = train(trained, trained.vae_run, 9, f"--{flag}", value)
    assert scripts.train_vae.main(arguments) == 1
    name = flag.replace("-", "_")
    assert f"has {name} " in capsys.readouterr().err


def test_an_hourly_checkpoint_is_gone_back_to_when_all_newer_ones_are_damaged(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained.vae_run, run)
    kept = run / "checkpoints"
    newest = max(kept.glob("ckpt-*.index"), key=lambda path: int(path.stem.split("-")[1])).stem
    for path in list(kept.glob(f"{newest}.*")):
        shutil.copy(path, kept / path.name.replace(newest, "ckpt-1"))  # in no list of TensorFlow's
    for path in kept.glob("ckpt-*.data*"):
        if not path.name.startswith("ckpt-1."):
            path.write_bytes(b"")
    assert checkpoints.load_vae(run)[1] == int(newest.split("-")[1])


def test_a_second_run_on_the_same_folder_is_refused(trained, scripts, capsys):
    with files.only_one(trained.vae_run):
        assert scripts.train_vae.main(train(trained, trained.vae_run, 9)) == 1
    assert "another run is writing" in capsys.readouterr().err


@pytest.fixture
def tensorboard(trained):
    """Serves the runs from a process of its own; gives the address."""
    command = [sys.executable, "-m", "tensorboard.main", "--port", "0", "--logdir",
               str(trained.vae_run.parent)]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        yield next(word for line in process.stderr for word in line.split() if "http://" in word)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_tensorboard_serves_the_curves_and_pictures(trained, tensorboard):
    url = tensorboard
    deadline = time.monotonic() + 60

    def fetch(path):
        with urllib.request.urlopen(url + path) as answer:
            return json.load(answer)

    while not (tags := fetch("data/plugin/scalars/tags")) and time.monotonic() < deadline:
        time.sleep(0.2)
    wanted = {"loss", "reconstruction_loss", "kl_loss", "gradient_norm", "learning_rate"}
    assert wanted | {"tiles_per_second", "psnr/train", "psnr/validation"} <= set(tags["vae"])
    points = fetch("data/plugin/scalars/scalars?run=vae&tag=loss")
    assert [point[1] for point in points] == [2, 4, 6]
    assert "preview" in fetch("data/plugin/images/tags")["vae"]
    assert "vae" in fetch("data/plugin/projector/runs")
    about = fetch("data/plugin/projector/info?run=vae")["embeddings"][0]
    with urllib.request.urlopen(
        f"{url}data/plugin/projector/tensor?run=vae&name={about['tensorName']}"
    ) as answer:
        codes = np.frombuffer(answer.read(), np.float32)
    tiles_there = len(tile_sets.load_tiles(trained.tiles))
    assert codes.size == 512 * tiles_there and np.isfinite(codes).all()
    with urllib.request.urlopen(
        f"{url}data/plugin/projector/sprite_image?run=vae&name={about['tensorName']}"
    ) as answer:
        assert answer.read().startswith(b"\x89PNG")


class Faults:
    """Makes the loss of chosen steps not a number, or a million times as large."""

    def __init__(self, monkeypatch, *, nan=(), spike=()):
        self._count = tf.Variable(0, trainable=False)
        self._nan, self._spike = (tf.constant([-1, *steps]) for steps in (nan, spike))
        self._loss = vae.vae_loss
        monkeypatch.setattr(vae, "vae_loss", self)

    def __call__(self, *arguments, **weights):
        losses, terms = self._loss(*arguments, **weights)
        step = self._count.assign_add(1)
        losses = tf.where(tf.reduce_any(step == self._nan), math.nan, losses)
        return tf.where(tf.reduce_any(step == self._spike), 1e6 * losses, losses), terms


def curve(run, tag):
    points = {}
    for path in sorted(run.glob("events.out.tfevents.*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.tag == tag:
                    points[event.step] = float(tf.make_ndarray(value.tensor))
    return points


def test_nan_and_spikes_are_skipped_and_several_go_back_at_half_the_rate(
    trained, scripts, tmp_path, monkeypatch, capsys
):
    run = tmp_path / "run"
    Faults(monkeypatch, nan=[4, *range(7, 12)], spike=[6])
    arguments = [*train(trained, run, 13), "--log-every", "1"]
    assert scripts.train_vae.main(arguments) == 0
    shown = capsys.readouterr().err
    assert "step 4 skipped: loss nan; 1 skipped so far" in shown
    assert "step 6 skipped: gradient norm" in shown and "2 skipped so far" in shown
    assert "back to the weights of" in shown and "ckpt-2, at 0.5 of the rate" in shown
    assert curve(run, "events/skipped_steps") == {4: 1, **{n: n - 4 for n in range(6, 12)}}
    assert curve(run, "events/fallbacks") == {10: 1}
    assert curve(run, "learning_rate")[13] == pytest.approx(0.5 * 1e-3 * 13 / 100, rel=1e-4)
    assert all(np.isfinite(weight).all() for weight in weights_of(run)[1])


@pytest.mark.apart
@pytest.mark.parametrize(("option", "bound"), [("--xla", 1e-3), ("--mixed-precision", 0.02)])
def test_faster_arithmetic_gives_the_same_losses(trained, scripts, tmp_path, option, bound):
    arguments = [*train(trained, tmp_path / "run", 2), "--log-every", "2", option, "yes"]
    assert scripts.train_vae.main(arguments) == 0
    other = False  # rounding tells that something else did run
    for tag in ("loss", "gradient_norm"):
        plain, faster = (curve(run, tag) for run in (trained.vae_run, tmp_path / "run"))
        assert list(faster) == [2]
        for step, value in faster.items():
            assert value == pytest.approx(plain[step], rel=bound)
            other |= value != plain[step]
    assert other


def test_a_source_can_be_added_later(trained, scripts, tmp_path, capsys):
    folder, run = tmp_path / "tiles", tmp_path / "run"
    shutil.copytree(trained.tiles, folder)
    shutil.copytree(trained.vae_run, run)
    own = next(folder.glob("painting-bright-dabs*"))
    with shards.ShardWriter(folder, "painting", "later") as writer:
        for tile in shards.read_shard(own):
            writer.write(dataclasses.replace(tile, source="later"))
    arguments = train(trained, run, 8)
    arguments[1] = str(folder)
    assert scripts.train_vae.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "going on from step 6 of 8" in shown
    assert "later" in json.loads((run / "settings.json").read_text())["notes"]["sources"]
    assert curve(run, "psnr_train/later").keys() == {8}
    assert curve(run, "psnr_train/bright-dabs").keys() == {1, 2, 4, 6, 8}
