"""Checkpoints: trained networks loaded from their runs, told apart, and applied to many tiles."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cadl import _startup, console, files  # noqa: F401
from cadl.dataset import shards
from cadl.errors import UserError
from cadl.networks import refiner, vae
from cadl.training import devices

import keras
import numpy as np
import tensorflow as tf

BEST = "best"  # folder in a run of the weights that measured best
ENCODE_BATCH = 32


def restore_newest(
    holder: Callable[[str], tf.train.Checkpoint], folder: Path, kept: str = "checkpoints"
) -> str | None:
    """Restores the newest checkpoint of a run that can be read.

    Args:
        holder: takes the path of a checkpoint, returns what it is to be restored into.
        folder: the run directory.
        kept: the folder in it.

    Returns:
        Its path, None if the run has none yet.

    Raises:
        UserError: there are checkpoints, but none is readable. One whose writing was stopped
            before any was whole does not count.
    """
    plain = files.plain_path(folder) / kept
    state = tf.train.get_checkpoint_state(str(plain))
    names = {Path(path).name for path in state.all_model_checkpoint_paths} if state else set()
    names |= {path.stem for path in (folder / kept).glob("*.index")}  # hourly ones too
    for name in sorted(names, key=lambda name: int(name.rpartition("-")[2]), reverse=True):
        path = str(plain / name)
        try:
            reader = tf.train.load_checkpoint(path)
            for variable in reader.get_variable_to_shape_map():
                reader.get_tensor(variable)  # reads and compares every checksum
        except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0][:80]
            console.warn(f"{folder / kept / name} is damaged ({reason}): going back one")
            continue
        holder(path).restore(path).assert_existing_objects_matched().expect_partial()
        return str(folder / kept / name)
    if state:  # written after the first whole one
        raise UserError(
            f"none of the checkpoints in {folder}/{kept} can be read: move the folder away "
            "to start over"
        )
    return None


def keep_best(
    folder: Path, averaged: keras.Model, step: tf.Variable, measure: float, measured_on: str
) -> None:
    """Keeps averaged weights in `best/` of a run if they measure better than all before.

    Args:
        folder: the run directory.
        averaged: the weights.
        step: int64 [], at which they are.
        measure: more is better.
        measured_on: stands for the tiles; other tiles' measures are not compared with.
    """
    if not devices.is_chief() or measure <= _best_measure(folder, measured_on):
        return
    checkpoint = tf.train.Checkpoint(
        averaged=averaged,
        step=step,
        measure=tf.Variable(measure, dtype=tf.float64),
        measured_on=tf.Variable(measured_on),
    )
    manager = tf.train.CheckpointManager(
        checkpoint, str(files.plain_path(folder) / BEST), max_to_keep=1
    )
    with shards.full_disk_as_os_error(folder):
        manager.save(checkpoint_number=step)


def _best_measure(folder: Path, measured_on: str) -> float:
    """Returns what a run's best weights measured on these tiles, -inf if there are none yet."""
    kept = tf.train.latest_checkpoint(files.plain_path(folder) / BEST)
    if kept is None:
        return -math.inf
    try:
        tiles_then, measure = (
            tf.train.load_variable(kept, f"{name}/.ATTRIBUTES/VARIABLE_VALUE")
            for name in ("measured_on", "measure")
        )
    except tf.errors.OpError:
        console.warn(f"{kept} can't be read: the best weights are chosen anew")
        return -math.inf
    return float(measure) if tiles_then == measured_on.encode() else -math.inf


def load_averaged(
    folder: Path,
    script: str,
    architecture: dict,
    build: Callable[[], keras.Model],
    weights: str = "latest",
) -> tuple:
    """Loads the averaged model of a run's newest readable checkpoint, or of its best.

    Args:
        folder: the run directory.
        script: which script's run it must be.
        architecture: that it must have.
        build: makes the model.
        weights: "latest", or "best" on the held-out tiles.

    Returns:
        The model, its step, and the run's settings.json.

    Raises:
        UserError: there is no such run, or no checkpoint yet, the script is named; or the run is
            another script's, of another architecture, or damaged.
    """
    path = folder / "settings.json"
    if not path.exists():
        raise UserError(f"no trained model in {folder}: run {script} first")
    record = files.read_sealed(path)
    if record.get("script") != script:
        raise UserError(f"{folder} is a run of {record.get('script')}, not of {script}")
    if record["architecture"] != architecture:
        raise UserError(
            f"{folder} has architecture {record['architecture']}, not {architecture}: train again"
        )
    model = build()
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(averaged=model, step=step)
    kept = BEST if weights == "best" else "checkpoints"
    if restore_newest(lambda _: checkpoint, folder, kept) is None:
        if kept == BEST and (folder / "checkpoints").is_dir():
            raise UserError(f"{folder} has no best weights, as no tiles were held out: take latest")
        raise UserError(f"no checkpoint in {folder / kept} yet: run {script} first")
    return model, int(step), record


def load_vae(folder: Path, weights: str = "latest") -> tuple[keras.Model, int, dict]:
    """Loads a trained VAE: the model, its step, its settings.json. Raises as load_averaged."""
    model, step, record = load_averaged(
        folder, "train_vae.py", vae.ARCHITECTURE, vae.build_vae, weights
    )
    model.trainable = False
    return model, step, record


def load_refiner(folder: Path) -> tuple[refiner.Refining, int, dict]:
    """Loads a trained refiner: the model, its step, its settings.json. Raises as load_averaged."""
    return load_averaged(folder, "train_refiner.py", refiner.ARCHITECTURE, refiner.Refining)


def check_vae(refiner_run: Path, record: dict, vae_run: Path, vae_fingerprint: str) -> None:
    """Raises UserError unless a refiner of that settings.json was trained on that VAE."""
    if record["notes"]["vae"] != vae_fingerprint:
        raise UserError(
            f"{refiner_run} was trained on another VAE than {vae_run}: "
            "run train_refiner.py with more --steps"
        )


def fingerprint(model: keras.Model) -> str:
    """Returns 16 digits that change with any weight of a model."""
    return files.hash_of(np.ascontiguousarray(weight).tobytes() for weight in model.get_weights())


def encode_tiles(model: keras.Model, pixels: np.ndarray, label: str) -> np.ndarray:
    """Returns the latents (posterior means) of uint8 tiles: float32 [N, codes]."""

    @tf.function(reduce_retracing=True, autograph=False)
    def encode(batch: tf.Tensor) -> tf.Tensor:
        return model.encoder(tf.cast(batch, tf.float32) / 255)[0]

    starts = range(0, len(pixels), ENCODE_BATCH)
    bar = console.progress(starts, unit="batch", label=label)
    return np.concatenate([encode(pixels[start : start + ENCODE_BATCH]) for start in bar])


def in_batches(function: Callable[..., Any], *values: np.ndarray, batch_size: int = 16) -> Any:
    """Runs a function over batches of arrays and joins what it returns, or each part of a tuple.

    Returns:
        An array, or a list of arrays.
    """
    starts = range(0, len(values[0]), batch_size)
    parts = [function(*(own[start : start + batch_size] for own in values)) for start in starts]
    if isinstance(parts[0], tuple):
        return [np.concatenate(part) for part in zip(*parts, strict=True)]
    return np.concatenate(parts)
