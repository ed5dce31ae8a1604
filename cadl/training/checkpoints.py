"""Checkpoints: trained networks loaded from their runs, told apart, and applied to many tiles."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cadl import _startup, console, files  # noqa: F401
from cadl.networks import refiner, vae

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
        ValueError: there are checkpoints, but none is readable.
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
    if names:
        raise ValueError(
            f"none of the checkpoints in {folder}/{kept} can be read: move the folder away "
            "to start over"
        )
    return None


def best_measure(folder: Path, measured_on: str) -> float:
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
    folder: Path, script: str, build: Callable[[dict], keras.Model], weights: str = "latest"
) -> tuple:
    """Loads the averaged model of a run's newest readable checkpoint, or of its best.

    Args:
        folder: the run directory.
        script: which script's run it must be.
        build: makes the model from the architecture in settings.json.
        weights: "latest", or "best" on the held-out tiles.

    Returns:
        The model, its step, and the run's settings.json.

    Raises:
        FileNotFoundError: there is no such run, or no checkpoint yet; the script is named.
        ValueError: the run is another script's, or damaged.
    """
    path = folder / "settings.json"
    if not path.exists():
        raise FileNotFoundError(f"no trained model in {folder}: run {script} first")
    record = files.read_sealed(path)
    if record.get("script") != script:
        raise ValueError(f"{folder} is a run of {record.get('script')}, not of {script}")
    model = build(record["architecture"])
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(averaged=model, step=step)
    kept = BEST if weights == "best" else "checkpoints"
    if restore_newest(lambda _: checkpoint, folder, kept) is None:
        if kept == BEST and (folder / "checkpoints").is_dir():
            raise ValueError(
                f"{folder} has no best weights, as no tiles were held out: take latest"
            )
        raise FileNotFoundError(f"no checkpoint in {folder / kept} yet: run {script} first")
    return model, int(step), record


def load_vae(folder: Path, weights: str = "latest") -> tuple[keras.Model, int, dict]:
    """Loads a trained VAE: the model, its step, its settings.json. Raises as load_averaged."""

    def build(architecture: dict) -> keras.Model:
        if architecture != vae.ARCHITECTURE:
            raise ValueError(
                f"{folder} has architecture {architecture}, not {vae.ARCHITECTURE}: train again"
            )
        return vae.build_vae()

    model, step, record = load_averaged(folder, "train_vae.py", build, weights)
    model.trainable = False
    return model, step, record


def load_refiner(folder: Path) -> tuple[refiner.Refining, int, dict]:
    """Loads a trained refiner: the model, its step, its settings.json. Raises as load_averaged."""

    def build(architecture: dict) -> refiner.Refining:
        detail_channels = architecture.get("detail_channels", 0)
        wanted = refiner.architecture(detail_channels)
        if architecture != wanted:
            raise ValueError(f"{folder} has architecture {architecture}, not {wanted}: train again")
        return refiner.Refining(detail_channels)

    return load_averaged(folder, "train_refiner.py", build)


def check_vae(refiner_run: Path, record: dict, vae_run: Path, vae_fingerprint: str) -> None:
    """Raises ValueError unless a refiner of that settings.json was trained on that VAE."""
    if record["notes"]["vae"] != vae_fingerprint:
        raise ValueError(
            f"{refiner_run} was trained on another VAE than {vae_run}: "
            "run train_refiner.py with more --steps"
        )


def fingerprint(model: keras.Model) -> str:
    """Returns 16 digits that change with any weight of a model."""
    return files.hash_of(np.ascontiguousarray(weight).tobytes() for weight in model.get_weights())


def encode_tiles(model: keras.Model, pixels: np.ndarray, label: str) -> np.ndarray:
    """Returns the latents (posterior means) of uint8 tiles: float32 [N, codes]."""
    encode = tf.function(
        lambda batch: model.encoder(tf.cast(batch, tf.float32) / 255)[0], reduce_retracing=True
    )
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
