"""Scripts in processes of their own, which tests kill. They begin with TensorFlow imported.

A server imports it once and forks a process for each script.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["extract_tiles", "train_vae", "mogrify_video"])


class Script:
    """A script that runs; `said` is what it has printed on both streams."""

    def __init__(
        self,
        name: str,
        arguments: list,
        log: Path,
        *,
        before: Callable | None = None,
        given: tuple = (),
        **environment: str,
    ):
        """Starts it.

        Args:
            name: of the script.
            arguments: of its command line.
            log: file for what it prints.
            before: a test module's function that is called in the process before the script.
            given: what that function is given.
            environment: variables that are added.
        """
        self._log = log
        words = list(map(str, arguments))
        self._process = CONTEXT.Process(
            target=_run, args=(name, words, str(log), before, given, environment), daemon=True
        )
        self._process.start()

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def wait(self, timeout: float = 300.0) -> int:
        """Returns the exit status when it has ended; the number of a signal is negative."""
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            self._process.kill()
            raise TimeoutError(self.said)
        return status

    def wait_for(self, path: Path, timeout: float = 240.0) -> None:
        """Returns when the script has made a file."""
        deadline = time.monotonic() + timeout
        while not path.exists():
            assert self._process.exitcode is None and time.monotonic() < deadline, self.said
            time.sleep(0.02)


def _run(name, arguments, log, before, given, environment) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.update(environment)
    if before:
        before(*given)
    script = __import__(name)
    sys.exit(script.main(arguments))
