"""The same training on one device, on two devices and on two processes."""

import json
import os
import signal
import socket
import subprocess
import sys

from cadl.errors import UserError
from cadl.training import devices

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, checkpoint_of
from processes import Script

STEPS = 4  # where the trained run, which is to be equalled, has a checkpoint


def two_cpus():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def arguments(trained, run):
    return [
        "--tiles", str(trained.tiles), "--run", str(run), "--steps", str(STEPS), "--batch-size",
        "2", "--checkpoint-every", "2", "--preview-every", "100", "--validation-fraction", "0.3",
    ]  # fmt: skip


def start_workers(trained, run, number):
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    return [
        Script(
            "train_vae", arguments(trained, run), run.with_name(f"worker-{number}-{index}.log"),
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]  # fmt: skip


def assert_same_weights(run, reference):
    ours, theirs = (checkpoint_of(own, STEPS) for own in (run, reference))
    weights = [name for name in theirs if name.startswith(("averaged", "optimizer/_trainable"))]
    assert len(weights) > 100
    for name in weights:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-5, err_msg=name)


@pytest.mark.apart
def test_two_devices_give_the_weights_of_one(trained, tmp_path):
    run = tmp_path / "run"
    script = Script("train_vae", arguments(trained, run), tmp_path / "log", before=two_cpus)
    assert script.wait() == 0, script.said
    assert "2 replicas" in script.said
    assert_same_weights(run, trained.vae_run)


@pytest.fixture
def interrupted_run(trained, tmp_path):
    """A training of two workers, both killed after two steps; its run."""
    run = tmp_path / "run"
    workers = start_workers(trained, run, 1)
    for worker in workers:
        worker.wait_for(run / "checkpoints" / "ckpt-2.index")
    for worker in workers:
        worker.send(signal.SIGKILL)
    for worker in workers:
        worker.wait()
    return run


@pytest.mark.apart
def test_two_killed_and_restarted_workers_give_the_weights_of_one(trained, interrupted_run):
    workers = start_workers(trained, interrupted_run, 2)
    assert [worker.wait() for worker in workers] == [0, 0], workers[0].said + workers[1].said
    assert all("going on from step" in worker.said for worker in workers)
    assert_same_weights(interrupted_run, trained.vae_run)
    # Only the chief writes: one file of curves for each of the two starts.
    assert len(list(interrupted_run.glob("events.out.tfevents.*"))) == 2


@pytest.mark.parametrize(
    ("config", "chief", "workers"),
    [
        ({}, True, 1),
        ({"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 0}}, True, 2),
        ({"cluster": {"worker": ["a", "b"]}, "task": {"type": "worker", "index": 1}}, False, 2),
        (
            {"cluster": {"chief": ["a"], "worker": ["b"]}, "task": {"type": "worker", "index": 0}},
            False,
            2,
        ),
    ],
)
def test_the_chief_is_the_first(monkeypatch, config, chief, workers):
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert devices.is_chief() == chief and devices.num_workers() == workers


def test_exhausted_memory_names_the_batch_to_try():
    with (
        pytest.raises(UserError, match="at --batch-size 16: try --batch-size 8"),
        devices.enough_memory(16),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


@pytest.mark.parametrize(("index", "chief"), [(0, True), ("0", True), (1, False), ("1", False)])
def test_the_first_worker_is_chief_however_its_number_is_written(monkeypatch, index, chief):
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert devices.is_chief() == chief and devices.num_workers() == 2


@pytest.mark.parametrize(
    "text",
    ["[]", "3", '{"cluster": 5}', '{"cluster": {"worker": ["a:1"]}}',
     '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
     '{"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}'],
)  # fmt: skip
def test_a_cluster_that_makes_no_sense_is_named(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="TF_CONFIG ") as error:
        devices.make_strategy()
    assert "\n" not in str(error.value) and text in str(error.value)


@pytest.mark.parametrize("backend", ["jax", "nonsense"])
def test_keras_is_set_up_by_the_scripts_and_not_by_the_user(tmp_path, backend):
    own = {"floatx": "float64", "image_data_format": "channels_first", "backend": "torch"}
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps(own | {"epsilon": 0.1}))
    program = (
        "from cadl import _startup; import keras; k = keras.config\n"
        "print(keras.backend.backend(), k.floatx(), k.epsilon(), k.image_data_format())"
    )
    said = subprocess.check_output(
        [sys.executable, "-c", program], cwd=ROOT, text=True,
        env={**os.environ, "KERAS_BACKEND": backend, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert said == "tensorflow float32 1e-07 channels_last\n"


def test_a_misspelt_cluster_is_told_of(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{'cluster': }")
    with pytest.raises(UserError, match="is no JSON"):
        devices.make_strategy()
