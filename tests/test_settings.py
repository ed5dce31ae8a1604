import types

from cadl import settings

import pytest

SOURCE = '''"""Makes nothing.

    python made.py
"""
from pathlib import Path
from typing import Annotated, Literal
from cadl.settings import Amount, Count, Range, Share

STEPS: Count = 20_000  # how many steps, 100 % of them
RATE: Annotated[float, Range(0.5, 2)] = 1.0  # how fast
WHERE: Path = Path("here")  # a folder
MANY: list[Path] = [Path("a"), Path("b")]  # several
PAIRS: dict[str, int] = {}  # name=value
WORD: Literal["mean", "gaussian"] = "mean"  # a choice
FLAG: bool = False  # a switch
TEXT: str = "auto"  # any text
'''


@pytest.fixture
def script(tmp_path):
    def make(source=SOURCE):
        path = tmp_path / "made.py"
        path.write_text(source)
        module = types.ModuleType("made")
        module.__file__ = str(path)
        exec(compile(source, str(path), "exec"), module.__dict__)
        return module

    return make


def test_constants_are_the_defaults(script):
    values = settings.read_settings([], script())
    assert (values.steps, values.rate, str(values.where)) == (20000, 1.0, "here")
    assert [str(path) for path in values.many] == ["a", "b"]


def test_flags_override_and_convert(script):
    arguments = "--steps 5 --many x,y --pairs a=1,b=2 --word gaussian --flag yes --text -dash"
    values = settings.read_settings(arguments.split(), script())
    assert values.steps == 5 and values.flag is True and values.text == "-dash"
    assert values.pairs == {"a": 1, "b": 2} and values.word == "gaussian"
    assert settings.read_settings(["--pairs", "e\u0301=1"], script()).pairs == {"\u00e9": 1}


def test_a_path_in_the_home_folder_is_one_as_a_shell_would_take_it(script, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    values = settings.read_settings(["--where=~/x", "--many", "~/a,~b"], script())
    assert [*map(str, [values.where, *values.many])] == ["/home/me/x", "/home/me/a", "~b"]


def test_a_list_may_be_longer_than_a_name_can_be(script):
    names = [f"clip-{number:05d}.mp4" for number in range(400)]
    found = settings.read_settings(["--many", ",".join(names)], script()).many
    assert [path.name for path in found] == names


def test_a_file_with_a_comma_in_its_name_is_one_file(script, tmp_path):
    path = tmp_path / "Hello, World.mp4"
    path.touch()
    assert settings.read_settings(["--many", str(path)], script()).many == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--steps 0", "--steps '0' must be at least 1"),
        ("--steps many", "--steps 'many' must be a whole number"),
        ("--steps 1.5", "must be a whole number"),
        ("--rate 3", "--rate '3' must be at most 2"),
        ("--rate nan", "--rate 'nan' is not a number"),
        ("--word median", "must be one of mean, gaussian"),
        ("--flag maybe", "must be yes or no"),
        ("--pairs a", "must be name=value"),
        ("--where=", "must be a path"),
        ("--step 5", "there is no flag --step: did you mean --steps?"),
        ("--unknown 1", "there is no flag --unknown"),
        ("--many a b", "'b' belongs to no flag"),
    ],
)
def test_bad_flags_are_refused_by_name(script, capsys, arguments, message):
    with pytest.raises(SystemExit) as stop:
        settings.read_settings(arguments.split(), script())
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_an_edited_constant_is_checked_as_a_flag_is(script, capsys):
    with pytest.raises(SystemExit) as stop:
        settings.read_settings([], script(SOURCE.replace("20_000", "-3")))
    assert stop.value.code == 2
    assert "STEPS '-3' must be at least 1" in capsys.readouterr().err


def test_help_is_made_of_the_trailing_comments(script, capsys):
    with pytest.raises(SystemExit) as stop:
        settings.read_settings(["--help"], script())
    shown = capsys.readouterr().out
    assert stop.value.code == 0
    assert "how many steps, 100 % of them (default: 20000)" in " ".join(shown.split())
    assert "Makes nothing." in shown
