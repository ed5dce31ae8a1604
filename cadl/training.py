"""A training run: its directory, devices, checkpoints, TensorBoard, previews and stopping.

Both trainers keep their loop in sight and take the parts from here.
"""

import contextlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cadl import console, files, gallery, refiner, tiles, vae
from cadl.settings import to_json

import imageio.v2 as imageio
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

CLIP_RATIO = 2.0
NORM_MOMENTUM = 0.98
AVERAGE_EVERY = 4
ENCODE_BATCH = 32
CHECKPOINTS_KEPT = 3
PREVIEW_FRAMES_PER_SECOND = 12


def make_strategy() -> tf.distribute.Strategy:
    """Returns TensorFlow's strategy for the devices that are there.

    Several machines if TF_CONFIG names them, else all GPUs of this one, else the one device.
    """
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    gpus = tf.config.list_logical_devices("GPU")
    return tf.distribute.MirroredStrategy() if len(gpus) > 1 else tf.distribute.get_strategy()


def describe_devices(strategy: tf.distribute.Strategy) -> str:
    """Says in words what the training runs on."""
    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "") for gpu in gpus]
    where = ", ".join(names) if gpus else f"CPU ({os.cpu_count()} cores); no GPU was found"
    count = strategy.num_replicas_in_sync
    return f"training on {where}" + (f", {count} replicas" if count > 1 else "")


def make_deterministic(seed: int) -> None:
    """Same seed, same machine, same weights."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def learning_rate_at(
    step: int, base: float, *, warm_up: int = 100, decay_from: int = 2000
) -> float:
    """Returns the rate of a step: linear warm-up, level, then falling with the square root.

    It does not depend on how many steps are planned, so that a run can be prolonged as if it had
    been meant to be longer from the start.
    """
    return base * min(1.0, (step + 1) / warm_up) * min(1.0, math.sqrt(decay_from / (step + 1)))


def apply_gradients(
    optimizer: keras.Optimizer,
    variables: list,
    gradients: list[tf.Tensor],
    norm_average: tf.Variable,
) -> tf.Tensor:
    """Adds up the replicas' gradients, clips them by their usual norm and applies them.

    Clipping at twice the running mean of the norm follows its fall over training, which no fixed
    bound can (compare Brock et al. 2021, arXiv 2102.06171, who clip unit-wise).

    Args:
        optimizer: built on `variables`.
        variables: trainable.
        gradients: of the sum over this replica's tiles of loss / global batch size.
        norm_average: running mean of the norm, saved with the run; 0 at the start.

    Returns:
        The norm before clipping, float32 [].
    """
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    if replicas > 1:
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    norm = tf.linalg.global_norm(gradients)
    usual = tf.where(norm_average > 0, tf.convert_to_tensor(norm_average), norm)
    clipped = tf.minimum(norm, CLIP_RATIO * usual)
    norm_average.assign(NORM_MOMENTUM * usual + (1 - NORM_MOMENTUM) * clipped)
    scale = clipped / tf.maximum(norm, 1e-12) / replicas  # the optimizer adds replicas up again
    optimizer.apply([gradient * scale for gradient in gradients], variables)
    return norm


def make_averager(
    strategy: tf.distribute.Strategy, averaged: keras.Model, model: keras.Model
) -> Callable[[tf.Tensor], None]:
    """Returns a function that moves `averaged` toward `model`, to be called every few steps.

    The average spans about a tenth of all steps so far, at most 1000. It stands in for the decay
    of the learning rate that a run of unknown length cannot plan.
    """

    @tf.function
    def update(step: tf.Tensor) -> None:
        span = tf.minimum(1000.0, 1.0 + 0.1 * tf.cast(step, tf.float32))
        rate = tf.minimum(1.0, AVERAGE_EVERY / span)
        for average, variable in zip(averaged.variables, model.variables, strict=True):
            strategy.extended.update(
                average.value, lambda a, v: a.assign_add((v - a) * rate), args=(variable.value,)
            )

    return update


class Run:
    """A run directory with one writer.

    Attributes:
        step: int64 variable, number of finished steps, saved with the rest.
        stopping: the loop should end after this step.
        norm_average: for `apply_gradients`, likewise.
    """

    def __init__(
        self,
        folder: Path,
        *,
        script: str,
        settings: SimpleNamespace,
        architecture: dict[str, Any],
        tracked: dict[str, Any],
        notes: dict[str, Any] | None = None,
    ):
        """Opens or begins a run and goes on from its newest readable checkpoint.

        Args:
            folder: the run directory.
            script: who may write it.
            settings: saved beside the checkpoints.
            architecture: what must be the same for checkpoints to fit.
            tracked: models and optimizers that a checkpoint holds, by name.
            notes: what else settings.json should say; what it said is kept in `notes_before`.

        Raises:
            ValueError: the folder holds another architecture, another script's run or something
                else; or checkpoints of which none can be read.
        """
        self.folder = folder
        self.stopping = False
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.norm_average = tf.Variable(
            0.0, trainable=False, aggregation=tf.VariableAggregation.MEAN, name="norm_average"
        )
        self._record = {
            "script": script,
            "architecture": architecture,
            "notes": notes or {},
            "settings": to_json(settings),
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        }
        self.notes_before = self._check_folder(script, architecture)
        self._checkpoint = tf.train.Checkpoint(
            step=self.step, norm_average=self.norm_average, **tracked
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            str(folder / "checkpoints"),
            max_to_keep=CHECKPOINTS_KEPT,
            keep_checkpoint_every_n_hours=1,
            step_counter=self.step,
        )
        self.resumed = restore_newest(self._checkpoint, folder)
        self._writer = tf.summary.create_noop_writer()

    def save(self) -> None:
        """Writes a checkpoint whole, and the progress movie up to now."""
        with files_on_full_disk(self.folder):
            self._manager.save(checkpoint_number=self.step)
        self._write_settings()  # after the checkpoint that it describes
        self._writer.flush()
        self.write_movie()

    def log(self, values: dict[str, float], step: int) -> None:
        """Shows scalars in TensorBoard."""
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def log_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        """Shows a distribution in TensorBoard."""
        with self._writer.as_default(step=step):
            tf.summary.histogram(name, values)

    def preview(self, sheet: Image.Image, step: int) -> None:
        """Keeps a picture of how far the model is, for TensorBoard and the progress movie."""
        gallery.save_picture(self.folder / "preview" / f"step-{step:08d}.png", sheet)
        with self._writer.as_default(step=step):
            tf.summary.image("preview", np.asarray(sheet)[None])
        self._writer.flush()

    def write_movie(self) -> None:
        """Assembles progress.mp4 from all previews."""
        previews = sorted((self.folder / "preview").glob("step-*.png"))
        if not previews:
            return
        with (
            files.whole_file(self.folder / "progress.mp4") as temporary,
            imageio.get_writer(
                temporary, fps=PREVIEW_FRAMES_PER_SECOND, macro_block_size=2, quality=8
            ) as movie,
        ):
            for path in previews:
                movie.append_data(np.asarray(Image.open(path).convert("RGB")))

    @contextlib.contextmanager
    def stoppable(self) -> Iterator[None]:
        """Lets Ctrl-C and SIGTERM end the block's loop between two steps, by `stopping`.

        A step cut in half could not be gone on with to the bit. A second Ctrl-C stops at once,
        unsaved.

        Raises:
            KeyboardInterrupt: at the end of a stopped block, which is saved; it says how to go on.
        """

        def stop(*_: Any) -> None:
            if self.stopping:
                raise KeyboardInterrupt("not saved; the same command goes on from a checkpoint")
            self.stopping = True

        before = {}
        with contextlib.suppress(ValueError):  # signals are the main thread's
            before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
            self._writer.flush()
        if self.stopping:
            self.save()
            raise KeyboardInterrupt(
                f"saved step {int(self.step)}; the same command goes on from there"
            )

    def begin(self) -> None:
        """Makes the folder a run, if it is none yet, and opens TensorBoard's file."""
        if not (self.folder / "settings.json").exists():
            self._write_settings()
        self._writer = tf.summary.create_file_writer(str(self.folder))

    def _write_settings(self) -> None:
        files.write_json(self.folder / "settings.json", self._record)

    def _check_folder(self, script: str, architecture: dict[str, Any]) -> dict[str, Any]:
        path = self.folder / "settings.json"
        if not path.exists():
            if any(not entry.name.startswith(".") for entry in self.folder.iterdir()):
                raise ValueError(
                    f"{self.folder} is not empty and not a run of {script}: give --run"
                )
            return {}
        previous = files.read_json(path)
        if previous.get("script") != script:
            raise ValueError(f"{self.folder} is a run of {previous.get('script')}: give --run")
        for name, value in architecture.items():
            if previous["architecture"].get(name) != value:
                raise ValueError(
                    f"{self.folder} has {name} {previous['architecture'].get(name)}, not "
                    f"{value}: give another --run, or set it back"
                )
        return previous.get("notes", {})


def restore_newest(checkpoint: tf.train.Checkpoint, folder: Path) -> str | None:
    """Restores the newest checkpoint of a run that can be read.

    Returns:
        Its path, None if the run has none yet.

    Raises:
        ValueError: there are checkpoints, but none is readable.
    """
    state = tf.train.get_checkpoint_state(str(folder / "checkpoints"))
    paths = list(state.all_model_checkpoint_paths) if state else []
    stray = [str(path)[: -len(".index")] for path in (folder / "checkpoints").glob("*.index")]
    stray.sort(key=lambda path: int(path.rpartition("-")[2]))
    for path in reversed(paths or stray):
        try:
            reader = tf.train.load_checkpoint(path)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)  # reads and compares every checksum
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            console.warn(f"{path} is damaged ({str(error).splitlines()[0][:80]}): going back one")
            continue
        checkpoint.restore(path).assert_existing_objects_matched().expect_partial()
        return path
    if paths or stray:
        raise ValueError(
            f"none of the checkpoints in {folder}/checkpoints can be read: move the folder away "
            "to start over"
        )
    return None


def load_averaged(folder: Path, script: str, build: Callable[[dict], keras.Model]) -> tuple:
    """Loads the averaged model of a run's newest readable checkpoint.

    Args:
        folder: the run directory.
        script: which script's run it must be.
        build: makes the model from the architecture in settings.json.

    Returns:
        The model, its step, and the run's settings.json.

    Raises:
        FileNotFoundError: there is no such run, or no checkpoint yet; the script is named.
        ValueError: the run is another script's, or damaged.
    """
    path = folder / "settings.json"
    if not path.exists():
        raise FileNotFoundError(f"no trained model in {folder}: run {script} first")
    record = files.read_json(path)
    if record.get("script") != script:
        raise ValueError(f"{folder} is a run of {record.get('script')}, not of {script}")
    model = build(record["architecture"])
    step = tf.Variable(0, dtype=tf.int64)
    checkpoint = tf.train.Checkpoint(averaged=model, step=step)
    if restore_newest(checkpoint, folder) is None:
        raise FileNotFoundError(f"no checkpoint in {folder} yet: run {script} first")
    return model, int(step), record


def load_vae(folder: Path) -> tuple[keras.Model, int, dict]:
    """Loads a trained VAE: the model, its step, its settings.json. Raises as load_averaged."""

    def build(architecture: dict) -> keras.Model:
        if architecture != vae.ARCHITECTURE:
            raise ValueError(
                f"{folder} has architecture {architecture}, not {vae.ARCHITECTURE}: train again"
            )
        return vae.build_vae()

    model, step, record = load_averaged(folder, "train_vae.py", build)
    model.trainable = False
    return model, step, record


def load_refiner(folder: Path) -> tuple[refiner.Refining, int, dict]:
    """Loads a trained refiner: the model, its step, its settings.json. Raises as load_averaged."""

    def build(architecture: dict) -> refiner.Refining:
        detail_channels = architecture.get("detail_channels", 0)
        if architecture != {**refiner.ARCHITECTURE, "detail_channels": detail_channels}:
            raise ValueError(
                f"{folder} has architecture {architecture}, not {refiner.ARCHITECTURE}: train again"
            )
        return refiner.Refining(detail_channels, (tiles.HEIGHT, tiles.WIDTH))

    return load_averaged(folder, "train_refiner.py", build)


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


def files_on_full_disk(folder: Path) -> contextlib.AbstractContextManager:
    """Turns TensorFlow's error for a full disk into the system's."""

    @contextlib.contextmanager
    def translate() -> Iterator[None]:
        try:
            yield
        except tf.errors.ResourceExhaustedError as error:
            raise OSError(28, "No space left on device", str(folder)) from error

    return translate()


class Meter:
    """Means of the terms since they were last read, and tiles per second."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0
        self._started = time.monotonic()

    def add(self, terms: dict[str, float]) -> None:
        """Adds a step's terms."""
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def read(self, batch_size: int) -> dict[str, float]:
        """Returns the means and the rate, and starts anew."""
        means = {name: value / self._count for name, value in self._sums.items()}
        seconds = time.monotonic() - self._started
        means["tiles_per_second"] = self._count * batch_size / seconds
        self.__init__()
        return means


def is_preview_step(step: int, preview_every: int) -> bool:
    """Says yes at 1, 2, 4, 8 ... and then every `preview_every` steps."""
    return step % preview_every == 0 or (step < preview_every and step & (step - 1) == 0)


def check_finite(terms: dict[str, float], step: int, folder: Path) -> None:
    """Raises RuntimeError at the first loss term that is not a number, and names it."""
    for name, value in terms.items():
        if not math.isfinite(value):
            raise RuntimeError(
                f"{name} is {value} at step {step}: the last checkpoint in {folder} is from before "
                "it; go on from there with half the --learning-rate"
            )


def in_batches(
    function: Callable[[np.ndarray], np.ndarray], values: np.ndarray, batch_size: int = 16
) -> np.ndarray:
    """Runs a function over batches and joins what it returns."""
    parts = [
        np.asarray(function(values[start : start + batch_size]))
        for start in range(0, len(values), batch_size)
    ]
    return np.concatenate(parts)
