"""Processes that work beside this one: Python's threads would wait for each other."""

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cadl.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


class WorkerKilled(UserError):
    """Something killed a process that worked beside this one."""


class WorkerPool:
    """Calls functions in processes of their own; use as a context manager.

    They import neither this process's script nor TensorFlow, and end with it, however it ends.
    """

    def __init__(self, count: int | None = None):
        """Takes how many processes there are to be: one for each core unless told."""
        self.count = count or os.cpu_count() or 1
        self._threads = ThreadPoolExecutor(self.count)
        self._idle: queue.SimpleQueue[subprocess.Popen] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> "WorkerPool":
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            # Else glibc gives large arrays back and asks for them anew: a tenth of the time.
            "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
            "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
        }
        for _ in range(self.count):
            process = subprocess.Popen(
                [sys.executable, "-m", "cadl.workers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment,
            )
            self._processes.append(process)
            self._idle.put(process)
        return self

    def submit(self, function: Callable, *arguments: Any) -> Future:
        """Calls a module's function with arguments that can be pickled.

        The future raises what the function raises; WorkerKilled if something killed its process.
        """
        return self._threads.submit(self._call, function, arguments)

    def _call(self, function: Callable, arguments: tuple) -> Any:
        process = self._idle.get()
        assert process.stdin and process.stdout
        try:
            pickle.dump((function, arguments), process.stdin, protocol=5)
            process.stdin.flush()
            result, error = pickle.load(process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            raise WorkerKilled(
                "a process that draws was killed: run the same command again"
            ) from None
        finally:
            self._idle.put(process)
        if error is not None:
            raise error
        return result

    def __exit__(self, *_: Any) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        for process in self._processes:
            assert process.stdin and process.stdout
            with contextlib.suppress(BrokenPipeError):  # it was killed before it read all
                process.stdin.close()
            process.stdout.close()
            process.wait()


def serve() -> None:
    """Calls what comes in on standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed must not go between the results
    while True:
        try:
            function, arguments = pickle.load(source)
        except (EOFError, pickle.UnpicklingError):  # the latter if it was killed while it wrote
            return
        answer: tuple[Any, Exception | None]
        try:
            answer = function(*arguments), None
        except Exception as error:
            answer = None, error
        try:
            pickle.dump(answer, sink, protocol=5)
            sink.flush()
        except BrokenPipeError:
            os._exit(1)


if __name__ == "__main__":
    serve()
