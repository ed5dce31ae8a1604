"""The same training on one device, on two devices and on two processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

from cadl.errors import UserError
from cadl.training import checkpoints, devices

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

STEPS = 6  # of the trained run, which is the one to be equalled
TWO_CPUS = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import train_vae
sys.exit(train_vae.main(sys.argv[1:]))
"""


def arguments(trained, run):
    return [
        "--tiles", str(trained.tiles), "--run", str(run), "--steps", str(STEPS), "--batch-size",
        "2", "--checkpoint-every", "3", "--preview-every", "100", "--validation-fraction", "0.3",
    ]  # fmt: skip


def start(command, **variables):
    return subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env={**os.environ, **variables},
    )  # fmt: skip


def start_workers(trained, run):
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    return [
        start(
            ["train_vae.py", *arguments(trained, run)],
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]


def assert_same_weights(run, reference):
    (ours, step, _), (theirs, reference_step, _) = map(checkpoints.load_vae, (run, reference))
    assert step == reference_step == STEPS
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_two_devices_give_the_weights_of_one(trained, tmp_path):
    process = start(["-c", TWO_CPUS, *arguments(trained, tmp_path / "run")])
    shown, _ = process.communicate(timeout=300)
    assert process.returncode == 0, shown
    assert "2 replicas" in shown
    assert_same_weights(tmp_path / "run", trained.vae_run)


def test_two_killed_and_restarted_workers_give_the_weights_of_one(trained, tmp_path):
    run = tmp_path / "run"
    workers = start_workers(trained, run)
    deadline = time.monotonic() + 200
    while not (run / "checkpoints" / "ckpt-3.index").exists():
        assert all(worker.poll() is None for worker in workers), workers[0].communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    workers = start_workers(trained, run)
    shown = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(shown)
    assert all("going on from step" in text for text in shown)
    assert_same_weights(run, trained.vae_run)
    # Only the chief writes: one file of curves for each of the two starts.
    assert len(list(run.glob("events.out.tfevents.*"))) == 2


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


def test_a_misspelt_cluster_is_told_of(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{'cluster': }")
    with pytest.raises(UserError, match="is no JSON"):
        devices.make_strategy()
