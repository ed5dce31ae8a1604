"""What a script says to its user: progress, tables, one-line errors, what to run next."""

import contextlib
import errno
import functools
import io
import resource
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cadl.errors import UserError

from tqdm import tqdm


def script(main: Callable[..., int | None]) -> Callable[..., int]:
    """Wraps a script's `main`: what a user can mend becomes one line on stderr and status 1.

    That is a `UserError`, what the operating system refused (OSError), or memory that ran out.
    Anything else is a bug: it keeps its traceback, after a line that asks to report it. Names that
    a screen can't show are shown with question marks. SIGTERM is treated as Ctrl-C, so that both
    leave through the same `finally` clauses.
    """

    @functools.wraps(main)
    def run(argv: list[str] | None = None) -> int:
        name = Path(main.__code__.co_filename).name
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        with _sigterm_as_interrupt():
            try:
                return main(argv) or 0
            except KeyboardInterrupt as interrupt:
                hint = str(interrupt) or "nothing finished was lost; run the same command to go on"
                print(f"\n{name}: stopped: {hint}", file=sys.stderr)
                return 130
            except Exception as error:
                line = _one_line(error)
                if line is None:
                    print(f"{name}: this is a bug: please report what follows", file=sys.stderr)
                    raise
                print(f"{name}: error: {line}", file=sys.stderr)
                return 1

    return run


def progress(
    items: Iterable[Any] | None = None,
    *,
    total: float | None = None,
    initial: int = 0,
    unit: str = "",
    label: str = "",
) -> tqdm:
    """Returns a progress bar with rate and time left, at most one line a 30 s if not a screen."""
    to_screen = sys.stderr.isatty()
    return tqdm(
        items,
        total=total,
        initial=initial,
        unit=unit,
        desc=label,
        mininterval=0.5 if to_screen else 30,
        maxinterval=1 if to_screen else 60,
        dynamic_ncols=to_screen,
        ncols=None if to_screen else 100,
        leave=to_screen,
        smoothing=0.05,
        file=sys.stderr,
    )


def peak_memory() -> float:
    """Returns the most memory that this process has had, in GiB."""
    status = Path("/proc/self/status")
    if status.exists():  # what is below counts a parent's memory too
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2 ** (30 if sys.platform == "darwin" else 20)  # there bytes, here KiB


def say(text: str) -> None:
    """Prints a line without tearing a progress bar."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


def warn(text: str) -> None:
    """Prints one line to stderr without tearing a progress bar."""
    tqdm.write(f"warning: {' '.join(text.splitlines())}", file=sys.stderr)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Formats rows under a header; numbers are set flush right."""
    texts = [list(map(str, header))] + [[_cell(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in texts) for i in range(len(header))]
    right = [any(isinstance(row[i], (int, float)) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(
            text.rjust(width) if flush else text.ljust(width)
            for text, width, flush in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in texts
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def finish(written: str, next_script: str | None = None) -> None:
    """Prints a script's last line: what was written, where, and what to run next."""
    then = f" Next: python {next_script}" if next_script else ""
    say(f"{written}.{then}")


def duration(seconds: float) -> str:
    """Formats seconds as 0:00:00."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def _one_line(error: Exception) -> str | None:
    """Returns the line for an error that a user can mend, None for a bug."""
    exhausted = isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
    if not exhausted and not isinstance(error, (UserError, OSError)):
        return None
    if getattr(error, "errno", 0) == errno.ENOSPC or "No space left on device" in str(error):
        return (
            f"no space left on the disk while writing {getattr(error, 'filename', 0) or 'output'}: "
            "make room and run the same command again"
        )
    if exhausted:
        return "out of memory: close other programs, or halve --batch-size if there is one"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    try:
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
