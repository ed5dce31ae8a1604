"""Several runs of one command share one conversion: locks on files say who does what.

A lock ends with the process that holds it, and counts on all machines that see the disk.
"""

import contextlib
import fcntl
from collections.abc import Iterable, Iterator
from typing import IO, Any

from cadl import console, files
from cadl.conversion import passes, segments
from cadl.conversion.output import Output
from cadl.conversion.rendering import DifferentFrames


class Sharing:
    """One run's part in a conversion; use as a context manager.

    Within the block no other run removes passes, or makes the same output with other settings.

    Attributes:
        output: what is made.
        joined: whether another run was there first.
    """

    def __init__(self, output: Output):
        self.output = output
        self.joined = False
        self._folder = output.segments
        self._locks = contextlib.ExitStack()
        self._claimed: dict[int, IO] = {}
        self._painted: list[int] = []

    def __enter__(self) -> "Sharing":
        """Joins the runs that are there.

        Raises:
            UserError: another run makes the same output with other settings.
        """
        with self._locks:
            own = self._locks.enter_context(self._lock_output())
            own.seek(0)
            if own.read() != self.output.key:
                raise files.in_use(self._folder)
            self._locks.enter_context(files.lock(self.output.passes / files.LOCK, fcntl.LOCK_SH))
            # Shared by runs that paint; the one that joins their segments has it alone.
            self._work = self._locks.enter_context(self._lock(segments.WORK_LOCK, fcntl.LOCK_SH))
            fcntl.flock(self._work, fcntl.LOCK_UN)
            self._locks = self._locks.pop_all()
        if self.joined:
            console.say(f"another run is making {self.output.target} too: both share the work")
        return self

    def _lock(self, name: str, mode: int) -> IO[str]:
        return files.lock(self._folder / name, mode)

    def _lock_output(self) -> IO[str]:
        """Locks the file that names the settings of all runs that share it."""
        try:
            file = self._lock(files.LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.joined = True
            return self._lock(files.LOCK, fcntl.LOCK_SH)
        file.truncate(0)
        file.write(self.output.key)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_SH)
        return file

    def __exit__(self, kind: Any, *_: Any) -> None:
        differs = kind is not None and issubclass(kind, DifferentFrames)
        if differs:  # neither pass may be gone on with
            for number in self._painted:
                segments.remove(self._folder, number)
        for file in self._claimed.values():
            file.close()
        self._locks.close()
        if differs:
            segments.remove_unused(self._folder)
        passes.remove_unused(self.output.passes, 0 if differs else passes.KEPT_PASSES)

    def begin(self) -> bool:
        """Begins to paint; returns False if another run has finished the conversion."""
        if not self._hold(fcntl.LOCK_SH):
            return False
        with self._lock("request.lock", fcntl.LOCK_EX):
            segments.begin(self._folder, self.output.request)
        return True

    def finish(self) -> bool:
        """Waits until no other run paints; the rest of the block is then this run's alone.

        Returns:
            False if another run has finished the conversion.
        """
        if not self._hold(fcntl.LOCK_EX):
            return False
        self.output.record_path.unlink(missing_ok=True)  # it tells of what is replaced
        return True

    def _hold(self, mode: int) -> bool:
        fcntl.flock(self._work, fcntl.LOCK_UN)  # else two that finish would wait for each other
        try:
            fcntl.flock(self._work, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            console.say(f"another run is finishing {self.output.target}: waiting for it")
            fcntl.flock(self._work, mode)
        is_there = files.is_at(self._folder / segments.WORK_LOCK, self._work)
        return is_there and not self.output.is_finished()

    def claims(self, numbers: Iterable[int]) -> Iterator[int]:
        """Claims segments one by one, each when it is asked for; skips those of other runs."""
        return filter(self._claim, numbers)

    def _claim(self, number: int) -> bool:
        name = segments.segment_path(self._folder, number).with_suffix(".lock").name
        try:
            self._claimed[number] = self._lock(name, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if segments.is_done(self._folder, number):  # by another run
            self._release(number)
            return False
        return True

    def done(self, number: int) -> None:
        """Lets a claimed segment go, which is now on disk."""
        self._painted.append(number)
        self._release(number)

    def _release(self, number: int) -> None:
        segments.segment_path(self._folder, number).with_suffix(".lock").unlink(missing_ok=True)
        self._claimed.pop(number).close()
