"""A training run: its directory, devices, checkpoints, bad steps, TensorBoard and stopping.

Both trainers keep their loop in sight and take the parts from here.
"""

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cadl import _startup, console, files  # noqa: F401
from cadl.dataset import shards
from cadl.images import gallery
from cadl.settings import to_json
from cadl.training import devices, optimizer

import imageio.v2 as imageio
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

BAD_STEPS_IN_A_ROW = 5  # then the run goes back to its newest checkpoint
MAX_FALLBACKS = 4  # without a good step between; then the run gives up
CHECKPOINTS_KEPT = 3
BEST = "best"
FIXED = ("seed", "validation_fraction")  # settings that say which tiles are held out
PREVIEW_FRAMES_PER_SECOND = 12


class Run:
    """A run directory with one writer.

    Attributes:
        step: int64 variable, number of finished steps, saved with the rest.
        rate_factor: float32 variable, what the learning rate is to be multiplied by.
        resumed: path of the checkpoint gone on from, None for a new run.
        stopping: the loop should end after this step.
    """

    def __init__(
        self,
        folder: Path,
        *,
        script: str,
        settings: SimpleNamespace,
        architecture: dict[str, Any],
        tracked: dict[str, Any],
        added: dict[str, Any] | None = None,
        notes: dict[str, Any] | None = None,
    ):
        """Opens or begins a run and goes on from its newest readable checkpoint.

        Args:
            folder: the run directory.
            script: who may write it.
            settings: saved beside the checkpoints.
            architecture: what must be the same for checkpoints to fit.
            tracked: models and optimizers that a checkpoint holds, by name.
            added: those that a run may get later: a checkpoint without them leaves them new.
            notes: what else settings.json should say; what it said is kept in `notes_before`.

        Raises:
            ValueError: the folder holds another architecture, another script's run or something
                else; or checkpoints of which none can be read.
        """
        self.folder = folder
        self.stopping = False
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.rate_factor = tf.Variable(1.0, trainable=False, name="rate_factor")
        self._bad_steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="bad_steps")
        self._bad_in_a_row = tf.Variable(0, dtype=tf.int64, trainable=False, name="bad_in_a_row")
        self._fallbacks = tf.Variable(0, dtype=tf.int64, trainable=False, name="fallbacks")
        self._fallbacks_in_a_row = 0
        self._best = -math.inf
        self._record: dict[str, Any] = {
            "script": script,
            "architecture": architecture,
            "notes": notes or {},
            "settings": to_json(settings),
            "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        }
        self.notes_before = self._check_folder(script, architecture)
        self._tracked, self._added = tracked, added or {}
        self._held = {
            "step": self.step,
            "rate_factor": self.rate_factor,
            "bad_steps": self._bad_steps,
            "bad_in_a_row": self._bad_in_a_row,
            "fallbacks": self._fallbacks,
            **tracked,
        }
        self._checkpoint = tf.train.Checkpoint(**self._held, **self._added)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            str(folder / "checkpoints"),
            max_to_keep=CHECKPOINTS_KEPT,
            keep_checkpoint_every_n_hours=1,
            step_counter=self.step,
        )
        self.resumed = self._restore()
        self._writer = tf.summary.create_noop_writer()

    def _restore(self) -> str | None:
        def holder(path: str) -> tf.train.Checkpoint:
            names = {name.split("/")[0] for name, _ in tf.train.list_variables(path)}
            there = {name: part for name, part in self._added.items() if name in names}
            return tf.train.Checkpoint(**self._held, **there)

        return restore_newest(holder, self.folder)

    def is_done(self, steps: int) -> bool:
        """Returns True if a run has all its steps, or says where it goes on."""
        done = int(self.step) >= steps
        if self.resumed and not done:
            console.say(f"going on from step {int(self.step)} of {steps}")
        return done

    def say_done(self, next_script: str) -> None:
        """Says, as the last line, that a run has all its steps and which script is next."""
        console.finish(
            f"{self.folder} is done at step {int(self.step)}; a larger --steps goes on",
            next_script,
        )

    def save(self) -> None:
        """Writes a checkpoint whole, and the progress movie up to now; the chief alone does."""
        if not devices.is_chief():
            return
        with shards.full_disk_as_os_error(self.folder):
            self._manager.save(checkpoint_number=self.step)
        self._write_settings()  # after the checkpoint that it describes
        self._writer.flush()
        self.write_movie()

    def is_time_to_save(self, step: int, settings: SimpleNamespace) -> bool:
        """Says whether a checkpoint is due; none is while steps are being skipped."""
        due = step % settings.checkpoint_every == 0 and not self._bad_in_a_row
        return bool(due) or step == settings.steps

    def keep_best(self, measure: float, averaged: keras.Model, measured_on: str) -> None:
        """Keeps the averaged weights in `best/` if they measure better than all before.

        Args:
            measure: more is better.
            averaged: the weights.
            measured_on: stands for the tiles; other tiles' measures are not compared with.
        """
        checkpoint = tf.train.Checkpoint(
            averaged=averaged,
            step=self.step,
            measure=tf.Variable(measure, dtype=tf.float64),
            measured_on=tf.Variable(measured_on),
        )
        if self._best == -math.inf:
            self._best = self._best_before(measured_on)
        if measure <= self._best or not devices.is_chief():
            return
        self._best = measure
        manager = tf.train.CheckpointManager(checkpoint, str(self.folder / BEST), max_to_keep=1)
        with shards.full_disk_as_os_error(self.folder):
            manager.save(checkpoint_number=self.step)

    def _best_before(self, measured_on: str) -> float:
        kept = tf.train.latest_checkpoint(self.folder / BEST)
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

    def accept(self, step: int, terms: dict[str, float]) -> bool:
        """Takes note of whether a step was skipped, in `terms["skipped"]`, which it removes.

        After several in a row the weights go back to the newest checkpoint, at half the learning
        rate; the step number goes on.

        Returns:
            Whether the terms may be counted.

        Raises:
            RuntimeError: going back did not help, or there is no checkpoint to go back to.
        """
        if not terms.pop("skipped"):
            self._bad_in_a_row.assign(0)
            self._fallbacks_in_a_row = 0
            return True
        self._bad_steps.assign_add(1)
        self._bad_in_a_row.assign_add(1)
        bad = [f"{name} {value:.3g}" for name, value in terms.items() if not math.isfinite(value)]
        why = bad[0] if bad else f"gradient norm {terms['gradient_norm']:.3g} far out of line"
        console.warn(f"step {step} skipped: {why}; {int(self._bad_steps)} skipped so far")
        self.log({"events/skipped_steps": int(self._bad_steps)}, step)
        if self._bad_in_a_row >= BAD_STEPS_IN_A_ROW:
            self._fall_back(step, why)
        return False

    def _fall_back(self, step: int, why: str) -> None:
        self._fallbacks_in_a_row += 1
        numbers = [self.step, self._bad_steps, self._fallbacks, self.rate_factor]
        kept = [number.numpy() for number in numbers]
        found = self._restore()
        if not found or self._fallbacks_in_a_row > MAX_FALLBACKS:
            raise RuntimeError(
                f"{why} at step {step}, {BAD_STEPS_IN_A_ROW} steps in a row, and no checkpoint in "
                f"{self.folder} helps: start afresh with half the --learning-rate"
            )
        for number, value in zip(numbers, kept, strict=True):
            number.assign(value)
        self._bad_in_a_row.assign(0)
        self._fallbacks.assign_add(1)
        self.rate_factor.assign(self.rate_factor / 2)
        parts = [*self._tracked.values(), *self._added.values()]
        for part in (getattr(part, "optimizer", part) for part in parts):
            if isinstance(part, optimizer.Adam):
                part.forget_norm()
        console.warn(f"back to the weights of {found}, at {float(self.rate_factor):g} of the rate")
        self.log({"events/fallbacks": int(self._fallbacks)}, step)

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
        if not devices.is_chief():
            return
        gallery.save_picture(self.folder / "preview" / f"step-{step:08d}.png", sheet)
        with self._writer.as_default(step=step):
            tf.summary.image("preview", np.asarray(sheet)[None])
        self._writer.flush()

    def show_picture(self, name: str, picture: Image.Image) -> None:
        """Shows a picture in TensorBoard, at the step that was reached."""
        with self._writer.as_default(step=int(self.step)):
            tf.summary.image(name, np.asarray(picture)[None])
        self._writer.flush()

    def write_movie(self) -> None:
        """Assembles progress.mp4 from all previews."""
        previews = sorted((self.folder / "preview").glob("step-*.png"))
        if not previews:
            return
        with Image.open(previews[-1]) as newest:
            size = newest.size
        with (
            files.whole_file(self.folder / "progress.mp4") as temporary,
            imageio.get_writer(
                temporary, fps=PREVIEW_FRAMES_PER_SECOND, macro_block_size=2, quality=8
            ) as movie,
        ):
            for path in previews:
                with Image.open(path) as sheet:
                    if sheet.size == size:  # it was not when other tiles were shown
                        movie.append_data(  # type: ignore[attr-defined]
                            np.asarray(sheet.convert("RGB"))
                        )

    @contextlib.contextmanager
    def stoppable(self, at_end: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Lets Ctrl-C and SIGTERM end the block's loop between two steps, by `stopping`.

        A step cut in half could not be gone on with to the bit. A second Ctrl-C stops at once,
        unsaved.

        Args:
            at_end: called when the block has ended or was stopped and saved, by the chief.

        Raises:
            KeyboardInterrupt: at the end of a stopped block, which is saved; it says how to go on.
        """

        def stop(*_: Any) -> None:
            if self.stopping:
                raise KeyboardInterrupt("not saved; the same command goes on from a checkpoint")
            self.stopping = True

        before = {}
        if devices.num_workers() == 1:  # several would stop at different steps
            with contextlib.suppress(ValueError):  # signals are the main thread's
                before = {
                    name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)
                }
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
            self._writer.flush()
        if self.stopping:
            self.save()
        if devices.is_chief():
            at_end()
        if self.stopping:
            raise KeyboardInterrupt(
                f"saved step {int(self.step)}; the same command goes on from there"
            )

    def begin(self) -> None:
        """Makes the folder a run, if it is none yet, and opens TensorBoard's file."""
        if not devices.is_chief():
            return
        if not (self.folder / "settings.json").exists():
            self._write_settings()
        self._writer = tf.summary.create_file_writer(str(self.folder))

    def _write_settings(self) -> None:
        files.write_sealed(self.folder / "settings.json", self._record)

    def _check_folder(self, script: str, architecture: dict[str, Any]) -> dict[str, Any]:
        path = self.folder / "settings.json"
        if not path.exists():
            entries = self.folder.iterdir() if devices.is_chief() else ()
            if any(not entry.name.startswith(".") for entry in entries):
                raise ValueError(
                    f"{self.folder} is not empty and not a run of {script}: give --run"
                )
            return {}
        previous = files.read_sealed(path)
        if previous.get("script") != script:
            raise ValueError(f"{self.folder} is a run of {previous.get('script')}: give --run")
        own = self._record["settings"]
        wanted = {**architecture, **{name: own[name] for name in FIXED if name in own}}
        there = {**previous["settings"], **previous["architecture"]}
        for name, value in wanted.items():
            if there.get(name) != value:
                fix = "give another --run" + (", or set it back" if name in own else "")
                raise ValueError(f"{self.folder} has {name} {there.get(name)}, not {value}: {fix}")
        return previous.get("notes", {})


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
    state = tf.train.get_checkpoint_state(str(folder / kept))
    names = {Path(path).name for path in state.all_model_checkpoint_paths} if state else set()
    names |= {path.stem for path in (folder / kept).glob("*.index")}  # hourly ones too
    for name in sorted(names, key=lambda name: int(name.rpartition("-")[2]), reverse=True):
        path = str(folder / kept / name)
        try:
            reader = tf.train.load_checkpoint(path)
            for variable in reader.get_variable_to_shape_map():
                reader.get_tensor(variable)  # reads and compares every checksum
        except (tf.errors.OpError, IndexError, ValueError, RuntimeError) as error:
            console.warn(f"{path} is damaged ({str(error).splitlines()[0][:80]}): going back one")
            continue
        holder(path).restore(path).assert_existing_objects_matched().expect_partial()
        return path
    if names:
        raise ValueError(
            f"none of the checkpoints in {folder}/{kept} can be read: move the folder away "
            "to start over"
        )
    return None


class Meter:
    """Means of the terms since they were last read, and tiles per second."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
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
        means = {name: value / max(self._count, 1) for name, value in self._sums.items()}
        seconds = time.monotonic() - self._started
        means["tiles_per_second"] = self._count * batch_size / seconds
        self._begin()
        return means


def one_writer(folder: Path) -> contextlib.AbstractContextManager:
    """Holds the lock of a run's folder, which several workers of one training share."""
    return files.only_one(folder) if devices.is_chief() else contextlib.nullcontext()


def is_preview_step(step: int, preview_every: int) -> bool:
    """Says yes at 1, 2, 4, 8 ... and then every `preview_every` steps."""
    return step % preview_every == 0 or (step < preview_every and step & (step - 1) == 0)
