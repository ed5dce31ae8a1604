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

from cadl import _startup  # noqa: F401

import tensorflow as tf

ROOT = Path(__file__).resolve().parent.parent
# A forked process can use neither CUDA nor, on macOS, the system's frameworks.
FORKS = sys.platform == "linux" and not tf.config.list_physical_devices("GPU")
CONTEXT = multiprocessing.get_context("forkserver" if FORKS else "spawn")
if FORKS:  # the server finds the scripts by the path of its environment
    known = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), known]))
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
        log.write_bytes(b"")
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
            self.stop()
            raise TimeoutError(self.said)
        return status

    def stop(self) -> None:
        """Kills it if it still runs."""
        self._process.kill()
        self._process.join()

    def wait_for(self, path: Path, timeout: float = 240.0) -> None:
        """Returns when the script has made a file."""
        deadline = time.monotonic() + timeout
        while not path.exists():
            if self._process.exitcode is not None or time.monotonic() > deadline:
                self.stop()
                raise TimeoutError(self.said)
            time.sleep(0.02)


def _run(name, arguments, log, before, given, environment) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.update(environment)
    script = __import__(name)  # before any timer of `before`: it may take seconds
    if before:
        before(*given)
    sys.exit(script.main(arguments))
