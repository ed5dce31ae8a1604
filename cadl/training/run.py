"""A training run: its directory, checkpoints, bad steps and stopping.

Both trainers keep their loop in sight and take the parts from here.
"""

import contextlib
import math
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cadl import _startup, console, files  # noqa: F401
from cadl.dataset import shards
from cadl.errors import UserError
from cadl.training import devices, optimizer
from cadl.training.checkpoints import restore_newest
from cadl.training.progress import Meter, Progress
from cadl.training.run_record import check_folder

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
        self, settings: SimpleNamespace, record: dict, tracked: dict, added: dict | None = None
    ):
        """Opens or begins a run and goes on from its newest readable checkpoint.

        Args:
            settings: of the script; the run directory and the number of steps are among them.
            record: by `run_record.make_record`, saved beside the checkpoints.
            tracked: models and optimizers that a checkpoint holds, by name.
            added: those that a run may get later: a checkpoint without them leaves them new.

        Raises:
            UserError: the folder holds another architecture, another script's run or something
                else; or checkpoints of which none can be read.
        """
        self.folder = folder = settings.run
        self.stopping = False
        self.step, self._bad_steps, self._bad_in_a_row, self._fallbacks = (
            tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(4)
        )
        self.rate_factor = tf.Variable(1.0, trainable=False)
        self._fallbacks_in_a_row = 0
        self._settings, self._record = settings, record
        self.notes_before = check_folder(folder, record)
        self._added = added or {}
        self._held = {
            "step": self.step,
            "rate_factor": self.rate_factor,
            "bad_steps": self._bad_steps,
            "bad_in_a_row": self._bad_in_a_row,
            "fallbacks": self._fallbacks,
            **tracked,
        }
        self._manager = tf.train.CheckpointManager(
            tf.train.Checkpoint(**self._held, **self._added),
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

    def is_done(self) -> bool:
        """Returns True if a run has all its steps, or says where it goes on."""
        done = int(self.step) >= self._settings.steps
        if self.resumed and not done:
            console.say(f"going on from step {int(self.step)} of {self._settings.steps}")
        return done

    def say_done(self, next_script: str) -> None:
        """Says, as the last line, that a run has all its steps and which script is next."""
        done = f"{self.folder} is done at step {int(self.step)}; a larger --steps goes on"
        console.finish(done, next_script)

    def steps(self, batches: Iterable, label: str) -> Iterator[tuple[int, Any]]:
        """Yields number and batch of each step that is left, on a progress bar, until `stopping`.

        Args:
            batches: one for each step.
            label: of the progress bar.
        """
        first = int(self.step)
        self._bar = console.progress(
            batches, total=self._settings.steps, initial=first, unit="step", label=label
        )
        self._meter = Meter()
        for step, batch in enumerate(self._bar, start=first + 1):
            yield step, batch
            if self.stopping:
                return

    def update(self, step: int, function: Callable[..., dict], *inputs: Any) -> dict[str, float]:
        """Makes one step at its learning rate. Raises as `accept`, or without memory.

        Args:
            step: its number, from 1 on.
            function: changes the weights, and returns terms, float32 [] each.
            inputs: of the function.

        Returns:
            The terms; none of a step that was skipped.
        """
        rate = optimizer.learning_rate_at(step - 1, self._settings.learning_rate)
        self._rate = float(self.rate_factor) * rate
        for adam in self._optimizers():
            adam.learning_rate.assign(self._rate)
        with devices.enough_memory(self._settings.batch_size):
            terms = {name: float(term) for name, term in function(*inputs).items()}
        if not self.accept(step, terms):
            return {}
        self._meter.add(terms)
        return terms

    def log(self, step: int, more: dict[str, float] | None = None) -> None:
        """Logs the means of the terms since they were last logged, and more values as they are."""
        means = self._meter.read(self._settings.batch_size)
        self.progress.log({**means, **(more or {}), "learning_rate": self._rate}, step)
        self._bar.set_postfix_str(f"loss {means.get('loss', math.nan):.0f}", refresh=False)

    def is_time_to_log(self, step: int) -> bool:
        """Says whether the means are to be logged."""
        return step % self._settings.log_every == 0 or step == self._settings.steps

    def is_time_to_show(self, step: int) -> bool:
        """Says yes at 1, 2, 4, 8 ..., then every few steps, and at the last."""
        every = self._settings.preview_every
        power_of_two = step < every and step & (step - 1) == 0
        return power_of_two or step % every == 0 or step == self._settings.steps

    def is_time_to_save(self, step: int) -> bool:
        """Says whether a checkpoint is due; none is while steps are being skipped."""
        due = step % self._settings.checkpoint_every == 0 and not self._bad_in_a_row
        return bool(due) or step == self._settings.steps

    def save(self) -> None:
        """Writes a checkpoint whole, and the progress movie up to now; the chief alone does."""
        if not devices.is_chief():
            return
        with shards.full_disk_as_os_error(self.folder):
            self._manager.save(checkpoint_number=self.step)
        self._write_settings()  # after the checkpoint that it describes
        self.progress.flush()
        self.progress.write_movie()

    def accept(self, step: int, terms: dict[str, float]) -> bool:
        """Takes note of whether a step was skipped, in `terms["skipped"]`, which it removes.

        After several in a row the weights go back to the newest checkpoint, at half the learning
        rate; the step number goes on.

        Returns:
            Whether the terms may be counted.

        Raises:
            UserError: going back did not help, or there is no checkpoint to go back to.
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
            raise UserError(
                f"{why} at step {step}, {BAD_STEPS_IN_A_ROW} steps in a row, and no checkpoint in "
                f"{self.folder} helps: start afresh with half the --learning-rate"
            )
        for number, value in zip(numbers, kept, strict=True):
            number.assign(value)
        self._bad_in_a_row.assign(0)
        self._fallbacks.assign_add(1)
        self.rate_factor.assign(self.rate_factor / 2)
        for adam in self._optimizers():
            adam.norm_average.assign(0.0)  # the next gradient gives the usual one
        console.warn(f"back to the weights of {found}, at {float(self.rate_factor):g} of the rate")
        self.progress.log({"events/fallbacks": int(self._fallbacks)}, step)

    def _optimizers(self) -> list[optimizer.Adam]:
        parts = [*self._held.values(), *self._added.values()]
        owned = (getattr(part, "optimizer", part) for part in parts)
        return [own for own in owned if isinstance(own, optimizer.Adam)]

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

        before, both = {}, (signal.SIGINT, signal.SIGTERM)
        if devices.num_workers() == 1:  # several would stop at different steps
            with contextlib.suppress(ValueError):  # signals are the main thread's
                before = {name: signal.signal(name, stop) for name in both}
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
