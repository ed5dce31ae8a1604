"""A training run: its directory, checkpoints, bad steps and stopping.

Both trainers keep their loop in sight and take the parts from here.
"""

import contextlib
import math
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cadl import _startup, console, files  # noqa: F401
from cadl.dataset import shards
from cadl.training import devices, optimizer
from cadl.training.checkpoints import BEST, best_measure, restore_newest
from cadl.training.progress import Progress
from cadl.training.run_record import check_folder

import keras
import tensorflow as tf

BAD_STEPS_IN_A_ROW = 5  # then the run goes back to its newest checkpoint
MAX_FALLBACKS = 4  # without a good step between; then the run gives up
CHECKPOINTS_KEPT = 3


class Run:
    """A run directory with one writer.

    Attributes:
        step: int64 variable, number of finished steps, saved with the rest.
        progress: what it shows of itself.
        rate_factor: float32 variable, what the learning rate is to be multiplied by.
        resumed: path of the checkpoint gone on from, None for a new run.
        notes_before: what settings.json said beside the settings.
        stopping: the loop should end after this step.
    """

    def __init__(
        self,
        folder: Path,
        record: dict[str, Any],
        *,
        tracked: dict[str, Any],
        added: dict[str, Any] | None = None,
    ):
        """Opens or begins a run and goes on from its newest readable checkpoint.

        Args:
            folder: the run directory.
            record: by `run_record.make_record`, saved beside the checkpoints.
            tracked: models and optimizers that a checkpoint holds, by name.
            added: those that a run may get later: a checkpoint without them leaves them new.

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
        self._record = record
        self.notes_before = check_folder(folder, record)
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
            str(files.plain_path(folder) / "checkpoints"),
            max_to_keep=CHECKPOINTS_KEPT,
            keep_checkpoint_every_n_hours=1,
            step_counter=self.step,
        )
        self.resumed = self._restore()
        self.progress = Progress(folder)

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
        self.progress.flush()
        self.progress.write_movie()

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
            self._best = best_measure(self.folder, measured_on)
        if measure <= self._best or not devices.is_chief():
            return
        self._best = measure
        best = files.plain_path(self.folder) / BEST
        manager = tf.train.CheckpointManager(checkpoint, str(best), max_to_keep=1)
        with shards.full_disk_as_os_error(self.folder):
            manager.save(checkpoint_number=self.step)

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
        self.progress.log({"events/skipped_steps": int(self._bad_steps)}, step)
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
        self.progress.log({"events/fallbacks": int(self._fallbacks)}, step)

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
            self.progress.flush()
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
        self.progress.open()

    def _write_settings(self) -> None:
        files.write_sealed(self.folder / "settings.json", self._record)


def one_writer(folder: Path) -> contextlib.AbstractContextManager:
    """Holds the lock of a run's folder, which several workers of one training share."""
    return files.only_one(folder) if devices.is_chief() else contextlib.nullcontext()
