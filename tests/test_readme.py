import re
import subprocess
import sys

from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^\| (\d) \| `python (\w+\.py)", README, re.M)


def test_the_seven_steps_are_there_in_order():
    assert [number for number, _ in STEPS] == list("1234567")
    for number, script in STEPS:
        assert (ROOT / script).read_text().startswith(f'"""Step {number} of 7: ')


def test_flags_and_constants_that_the_readme_names_exist():
    sources = "".join(path.read_text() for path in ROOT.glob("*.py"))
    constants = set(re.findall(r"^([A-Z_]+): ", sources, re.M))
    for flag in re.findall(r"`[^`]*?(--[a-z][a-z-]*)", README):
        assert flag == "--help" or flag[2:].replace("-", "_").upper() in constants | {"LOGDIR"}
    for name in ("BETA", "STRENGTH"):
        assert f"`{name}`" in README and name in constants


def test_pictures_that_the_readme_shows_are_there():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).is_file()


def test_no_figure_is_left_open():
    assert not re.findall(r"@[A-Z_]+@", README)


def test_help_is_quick_to_read_and_free_of_chatter():
    command = [sys.executable, str(ROOT / "extract_tiles.py"), "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stderr == "" and "--frame-step" in finished.stdout
