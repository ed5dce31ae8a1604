"""Trained networks: loaded from their runs, told apart, and applied to many tiles."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cadl import _startup, console, files  # noqa: F401
from cadl.networks import refiner, vae
from cadl.training import run

import keras
import numpy as np
import tensorflow as tf

ENCODE_BATCH = 32


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
    kept = run.BEST if weights == "best" else "checkpoints"
    if run.restore_newest(lambda _: checkpoint, folder, kept) is None:
        if kept == run.BEST and (folder / "checkpoints").is_dir():
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
