"""ffmpeg as a process: its options, what it logs, and what that means."""

import contextlib
import errno
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg

PLAIN_REASONS = {
    "0:V:0": "it has no video track",
    "moov atom not found": "it breaks off, or is no video",
    "no decoder": "ffmpeg has no decoder for it",
    "Invalid data found when processing input": "it is damaged, or of no kind that ffmpeg knows",
}
ROUNDING = "accurate_rnd+full_chroma_int"  # without the second all gets darker by two levels of 255


def command(*options: str) -> list[str]:
    """Returns the words that ffmpeg is started with, quiet but for errors."""
    return [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "error", *options]


def url(path: Path) -> str:
    """Names a local file so that ffmpeg takes it for nothing else, whatever it begins with."""
    return f"file:{path.absolute()}"


def input_of(path: Path) -> list[str]:
    """Options that open a file, and only files: no network, no playlist that leads there."""
    return ["-protocol_whitelist", "file,pipe", "-i", url(path)]


@contextlib.contextmanager
def running(command: list[str], **pipes: Any) -> Iterator[tuple[Any, Callable[[], str]]]:
    """Runs ffmpeg for the block; yields it with a function that returns what it logged."""
    with tempfile.TemporaryFile() as errors:

        def log() -> str:
            errors.seek(0)
            return errors.read().decode("utf-8", "replace")

        process = subprocess.Popen(
            command, stderr=errors, start_new_session=True, bufsize=1 << 20, **pipes
        )
        try:
            yield process, log
        finally:
            if process.poll() is None:
                process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe:
                    with contextlib.suppress(OSError):
                        pipe.close()
            process.wait()


def run(command: list[str], output: Path) -> str:
    """Runs ffmpeg to its end; returns what it logged.

    Raises:
        OSError: it failed to write `output`.
    """
    finished = subprocess.run(command, capture_output=True, check=False)
    log = finished.stderr.decode("utf-8", "replace")
    if finished.returncode:
        raise write_error(output, log)
    return log


def write_error(path: Path, log: str) -> OSError:
    """Returns what to raise when ffmpeg failed to write a file and logged why."""
    if "No space left" in log:
        return OSError(errno.ENOSPC, "No space left on device", str(path))
    return OSError(f"{path}: {reason(log)}")


def reason(log: str) -> str:
    """Picks the line of ffmpeg's log that says most, in plain words where there are some."""
    faults = [line for line in log.splitlines() if re.match(r"(\[.*?\] )?\[(error|fatal)\]", line)]
    lines = [re.sub(r"^(\[.*?\] )+", "", line).strip() for line in faults or log.splitlines()]
    lines = [line for line in lines if line and "framehash" not in line]
    for sign, plain in PLAIN_REASONS.items():
        if any(sign in line for line in lines):
            return plain
    telling = [line for line in lines if re.search(r"invalid|no space|error|not", line, re.I)]
    return (telling or lines or ["ffmpeg gave no reason"])[0]
