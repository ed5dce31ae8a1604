"""Turns a script's annotated UPPER_CASE constants into checked command-line flags.

A constant looks like this; its annotation says what is allowed, its comment is its help::

    BATCH_SIZE: Count = 16  # tiles a step

and becomes `--batch-size 16`. The value in the file passes the same check as the flag.
"""

import argparse
import ast
import difflib
import functools
import inspect
import sys
import tokenize
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
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
    source = path.read_text(encoding="utf-8")
    comments = _trailing_comments(source)
    lines = (script.__doc__ or "").strip()
    parser = argparse.ArgumentParser(
        prog=path.name,
        usage="%(prog)s [--flag value]...   all flags: %(prog)s --help",
        description=lines,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    constants = _annotated_constants(source)
    for name, line in constants.items():
        parser.add_argument(
            _flag(name),
            dest=name.lower(),
            metavar=_metavar(script.__annotations__[name]),
            help=f"{comments.get(line, '')} (default: {_show(getattr(script, name))})".replace(
                "%", "%%"
            ),
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
    arguments = list(sys.argv[1:] if argv is None else argv)
    joined: list[str] = []
    while arguments:
        argument = arguments.pop(0)
        takes_value = argument.startswith("--") and "=" not in argument and argument != "--help"
        if takes_value and arguments and arguments[0][:1] == "-" and arguments[0][:2] != "--":
            argument += "=" + arguments.pop(0)
        joined.append(argument)
    return joined


def _annotated_constants(source: str) -> dict[str, int]:
    """Maps each annotated UPPER_CASE name of a module to the last line of its assignment."""
    try:
        module = ast.parse(source)
    except SystemError:  # Python 3.11 counts depth for all threads at once, cpython issue 106905
        module = ast.parse(source)
    return {
        node.target.id: node.end_lineno or node.lineno
        for node in module.body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and node.target.id.isupper()
    }


def _trailing_comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ")
        for token in tokens
        if token.type == tokenize.COMMENT
    }


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


def _convert(annotation: Any, value: Any) -> Any:
    """Converts a flag's text, or checks a constant's value, by its annotation."""
    base, limits = _split(annotation)
    if get_origin(base) is Literal:
        if value not in get_args(base):
            raise ValueError(f"must be one of {', '.join(map(str, get_args(base)))}")
        return value
    origin = get_origin(base) or base
    converter = _CONVERTERS[origin]
    value = converter(value, get_args(base))
    if limits is not None:
        limits.check(value)
    return value


def _to_int(value: Any, _: tuple) -> int:
    try:
        if isinstance(value, (bool, float)):
            raise ValueError
        return int(str(value).replace("_", ""))
    except ValueError:
        raise ValueError("must be a whole number") from None


def _to_float(value: Any, _: tuple) -> float:
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise ValueError("must be a number") from None


def _to_bool(value: Any, _: tuple) -> bool:
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    try:
        return words[str(value).lower()]
    except KeyError:
        raise ValueError("must be yes or no") from None


def _to_text(value: Any, _: tuple) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
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


_CONVERTERS: dict[Any, Callable[[Any, tuple], Any]] = {
    int: _to_int,
    float: _to_float,
    bool: _to_bool,
    str: _to_text,
    Path: _to_path,
    list: _to_list,
    dict: _to_dict,
}
