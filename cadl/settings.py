"""Turns a script's annotated UPPER_CASE constants into checked command-line flags.

A constant looks like this; its annotation says what is allowed, its comment is its help::

    BATCH_SIZE: Count = 16  # tiles a step

and becomes `--batch-size 16`. The value in the file passes the same check as the flag.
"""

import argparse
import difflib
import functools
import inspect
import re
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any, Literal, get_args, get_origin

from cadl import files


@dataclass(frozen=True)
class Range:
    """Closed interval of allowed numbers; None means unbounded."""

    low: float | None = None
    high: float | None = None

    def check(self, value: float) -> None:
        """Raises ValueError if `value` is outside the interval or not a number."""
        if value != value:
            raise ValueError("is not a number")
        if self.low is not None and value < self.low:
            raise ValueError(f"must be at least {self.low:g}")
        if self.high is not None and value > self.high:
            raise ValueError(f"must be at most {self.high:g}")


Count = Annotated[int, Range(1)]
Seed = Annotated[int, Range(0, 2**32 - 1)]
Share = Annotated[float, Range(0, 1)]
Amount = Annotated[float, Range(0, 1e12)]
Rate = Annotated[float, Range(1e-8, 10)]


def read_settings(argv: list[str] | None, script: ModuleType | None = None) -> SimpleNamespace:
    """Parses a script's flags over its constants.

    Args:
        argv: arguments without the program's name; None takes those of this process.
        script: the module with the constants; None takes the caller's.

    Returns:
        Namespace with one lower-case attribute a constant, checked and converted.

    Raises:
        SystemExit: status 0 after `--help`, 2 after a bad flag or a bad constant, which is named.
    """
    if script is None:
        script = inspect.getmodule(inspect.stack()[1].frame)
    if script is None or script.__file__ is None:
        raise ValueError("settings are read from a script's file, and this is none")
    path = Path(script.__file__)
    constants = [name for name in script.__annotations__ if name.isupper()]
    text = path.read_text(encoding="utf-8")
    comments = dict(re.findall(r"^([A-Z][A-Z0-9_]*): .*?(?:  # (.*))?$", text, re.M))
    parser = argparse.ArgumentParser(
        prog=path.name,
        usage="%(prog)s [--flag value]...   all flags: %(prog)s --help",
        description=(script.__doc__ or "").strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for name in constants:
        about = f"{comments.get(name, '')} (default: {_show(getattr(script, name))})"
        metavar = _metavar(script.__annotations__[name])
        parser.add_argument(
            _flag(name), dest=name.lower(), metavar=metavar, help=about.replace("%", "%%")
        )
    known, unknown = parser.parse_known_args(_protect_negative_values(argv))
    if unknown:
        parser.error(_unknown_flag(unknown[0], [_flag(name) for name in constants]))
    given = vars(known)
    settings = SimpleNamespace()
    for name in constants:
        text = given[name.lower()]
        value = getattr(script, name) if text is None else text
        try:
            setattr(settings, name.lower(), _convert(script.__annotations__[name], value))
        except ValueError as error:
            origin = name if text is None else _flag(name)
            parser.error(f"{origin} {_show(value)!r} {error}")
    return settings


def show_settings(settings: SimpleNamespace) -> str:
    """Returns the settings as one readable line."""
    return "  ".join(f"{name}={_show(value)}" for name, value in vars(settings).items())


def to_json(settings: SimpleNamespace) -> dict[str, Any]:
    """Returns the settings as a dictionary that json can write."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(settings).items()
    }


def _flag(name: str) -> str:
    return "--" + name.lower().replace("_", "-")


def _unknown_flag(given: str, flags: list[str]) -> str:
    """Says that a word is no flag, and which one was perhaps meant."""
    word = given.partition("=")[0]
    if not word.startswith("-"):
        return f"{word!r} belongs to no flag: several values are joined by commas"
    nearest = difflib.get_close_matches(word, flags, 1)
    return f"there is no flag {word}" + (f": did you mean {nearest[0]}?" if nearest else "")


def _protect_negative_values(argv: list[str] | None) -> list[str]:
    """Joins `--flag -value` to `--flag=-value`, so that values may begin with a dash."""
    joined: list[str] = []
    for word in sys.argv[1:] if argv is None else argv:
        if joined and re.fullmatch("--(?!help$)[^=]*", joined[-1]) and re.match("-(?!-)", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _metavar(annotation: Any) -> str:
    base, _ = _split(annotation)
    if get_origin(base) is Literal:
        return "{" + ",".join(map(str, get_args(base))) + "}"
    return {int: "N", float: "X", Path: "PATH", bool: "{yes,no}"}.get(base, "TEXT")


def _split(annotation: Any) -> tuple[Any, Range | None]:
    if get_origin(annotation) is Annotated:
        base, limits = get_args(annotation)
        return base, limits
    return annotation, None


def _show(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return str(value)


_SWITCH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_PLAIN: dict[Any, tuple] = {  # conversion from text, and its name in errors
    int: (int, "a whole number"),
    float: (float, "a number"),
    bool: (lambda text: _SWITCH[text.lower()], "yes or no"),
}


def _convert(annotation: Any, value: Any) -> Any:
    """Converts a flag's text, or checks a constant's value, by its annotation."""
    base, limits = _split(annotation)
    kind, arguments = get_origin(base) or base, get_args(base)
    if kind in _PLAIN:
        convert, words = _PLAIN[kind]
        try:
            value = convert(str(value))
        except (ValueError, KeyError):
            raise ValueError(f"must be {words}") from None
    elif kind is Literal and value not in arguments:
        raise ValueError(f"must be one of {', '.join(map(str, arguments))}")
    elif kind is str and not isinstance(value, str):
        raise ValueError("must be a text")
    elif kind in (Path, list, dict):
        value = {Path: _to_path, list: _to_list, dict: _to_dict}[kind](value, arguments)
    if limits is not None:
        limits.check(value)
    return value


def _to_path(value: Any, _: tuple) -> Path:
    if not str(value) or "\0" in str(value):
        raise ValueError("must be a path")
    # In --flag=~/folder no shell puts the home folder in place of ~.
    return Path(value).expanduser() if str(value).startswith("~/") else Path(value)


def _to_list(value: Any, arguments: tuple) -> list:
    items = value.split(",") if isinstance(value, str) else value
    if isinstance(value, str) and arguments[0] is Path and files.exists(value):
        items = [value]  # a comma in the name of a file that is there
    if isinstance(items, Path):
        items = [items]
    return [_convert(arguments[0], item) for item in items if str(item)]


def _to_dict(value: Any, arguments: tuple) -> dict:
    if isinstance(value, dict):
        pairs = list(value.items())
    else:
        pairs = [tuple(pair.split("=", 1)) for pair in value.split(",") if pair]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("must be name=value, several separated by commas")
    normal = functools.partial(unicodedata.normalize, "NFC")  # as the names of sources are
    return {normal(str(key)): _convert(arguments[1], item) for key, item in pairs}
