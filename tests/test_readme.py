import re
import subprocess
import sys

from conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SPANS = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", README, flags=re.M | re.S))
STEPS = re.findall(r"^\| (\d) \| `python (\w+\.py)", README, re.M)


def test_the_seven_steps_are_there_in_order():
    assert [number for number, _ in STEPS] == list("1234567")
    for number, script in STEPS:
        assert (ROOT / script).read_text().startswith(f'"""Step {number} of 7: ')


def constants_of(*paths):
    return set(re.findall(r"^([A-Z_]+): ", "".join(path.read_text() for path in paths), re.M))


def test_flags_and_constants_that_the_readme_names_exist():
    constants = constants_of(*ROOT.glob("*.py"))
    flags = [flag for span in SPANS for flag in re.findall(r"--[a-z][a-z-]*", span)]
    assert len(flags) > 20
    for flag in flags:
        assert flag == "--help" or flag[2:].replace("-", "_").upper() in constants | {"LOGDIR"}
    for name in ("BETA", "STRENGTH"):
        assert f"`{name}`" in README and name in constants


def test_a_flag_that_is_named_with_its_script_is_one_of_that_script():
    command = re.compile(r"(?:python (?:-m )?)?(\w+\.py|benchmarks\.\w+)( .*)?$")
    named = filter(None, map(command.match, [*SPANS, *README.splitlines()]))
    seen = 0
    for script, words in (match.groups(default="") for match in named):
        path = ROOT / (script if script.endswith(".py") else script.replace(".", "/") + ".py")
        assert path.is_file(), script
        for flag in re.findall(r"--([a-z][a-z-]*)", words):
            seen += 1
            assert flag.replace("-", "_").upper() in constants_of(path), (script, flag)
    assert seen >= 4


def test_pictures_that_the_readme_shows_are_there():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).is_file()


def test_no_figure_is_left_open():
    assert not re.findall(r"@[A-Z_]+@", README)


def test_help_is_quick_to_read_and_free_of_chatter():
    command = [sys.executable, str(ROOT / "extract_tiles.py"), "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stderr == "" and "--frame-step" in finished.stdout
