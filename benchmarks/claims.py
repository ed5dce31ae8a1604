"""Claims: what a benchmark measured beside what was wanted, in lines that `make bench` collects."""

from cadl import console

PREFIX = "claim"
SEPARATOR = " | "
HEADER = ["claim", "measured", "wanted", ""]


def claim(
    text: str, measured: float, *, least: float | None = None, most: float | None = None
) -> None:
    """Prints one claim, and whether it is met.

    Args:
        text: what was measured, with its unit.
        measured: the number.
        least: it should be at least so much.
        most: or at most so much.
    """
    if least is not None:
        wanted, met = f"at least {least:g}", measured >= least
    else:
        wanted, met = f"at most {most:g}", measured <= (most or 0.0)
    cells = [PREFIX, text, f"{measured:.3g}", wanted, "met" if met else "FALLS SHORT"]
    console.say(SEPARATOR.join(cells))


def read_claim(line: str) -> list[str] | None:
    """Returns the cells of a line printed by `claim`, as HEADER; None for another line."""
    cells = line.strip().split(SEPARATOR)
    return cells[1:] if len(cells) == 5 and cells[0] == PREFIX else None
