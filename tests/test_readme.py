import ast
import re
import subprocess
import sys

from cadl.strokes.hand import RANGES, Hand

import pytest
from conftest import ROOT

README, GUIDE, RESULTS, BUILT, BENCHMARKS = (
    ROOT / name
    for name in (
        "README.md",
        "docs/guide.md",
        "docs/results.md",
        "docs/how-it-is-built.md",
        "benchmarks/README.md",
    )
)
FOR_USERS = [README, GUIDE]  # only flags of the seven scripts are named here
ALL = [*FOR_USERS, RESULTS, BUILT, BENCHMARKS]
STEPS = re.findall(r"^\| (\d) \| `python (\w+\.py)", README.read_text(encoding="utf-8"), re.M)


def spans_of(path):
    text = path.read_text(encoding="utf-8")
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def constants_of(*paths):
    return set(
        re.findall(
            r"^([A-Z_]+): ", "".join(path.read_text(encoding="utf-8") for path in paths), re.M
        )
    )


def test_the_seven_steps_are_there_in_order():
    assert [number for number, _ in STEPS] == list("1234567")
    for number, script in STEPS:
        assert (ROOT / script).read_text(encoding="utf-8").startswith(f'"""Step {number} of 7: ')


def test_the_two_commands_are_named_and_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test"):
        assert f"\nmake {target} " in README.read_text(encoding="utf-8")
        assert f"\n{target}: " in makefile


def test_flags_and_constants_that_the_documents_name_exist():
    constants = constants_of(*ROOT.glob("*.py"))
    spans = [span for path in FOR_USERS for span in spans_of(path)]
    flags = [flag for span in spans for flag in re.findall(r"--[a-z][a-z-]*", span)]
    assert len(flags) > 100
    for flag in flags:
        assert flag == "--help" or flag[2:].replace("-", "_").upper() in constants | {"LOGDIR"}
    for name in ("BETA", "STRENGTH"):
        assert name in spans and name in constants


def test_a_flag_that_is_named_with_its_script_is_one_of_that_script():
    command = re.compile(r"(?:python (?:-m )?)?(\w+\.py|benchmarks\.\w+)( .*)?$")
    lines = [line for path in ALL for line in path.read_text(encoding="utf-8").splitlines()]
    named = filter(None, map(command.match, [*(x for path in ALL for x in spans_of(path)), *lines]))
    seen = 0
    for script, words in (match.groups(default="") for match in named):
        name = script if script.endswith(".py") else script.replace(".", "/") + ".py"
        places = [place for place in (ROOT / name, ROOT / "benchmarks" / name) if place.is_file()]
        inside = [*ROOT.glob(f"cadl/**/{name}"), *ROOT.glob(f"tests/{name}")]
        assert places or (inside and not words), script
        for flag in re.findall(r"--([a-z][a-z-]*)", words):
            seen += 1
            assert flag.replace("-", "_").upper() in constants_of(places[0]), (script, flag)
    assert seen >= 20


def options_of(script):
    """Returns each flag of a script with its default, as the guide writes it."""
    found = {}
    for node in ast.parse((ROOT / script).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.AnnAssign) and node.target.id.isupper():
            value = ast.literal_eval(re.sub(r"Path\((.*?)\)", r"\1", ast.unparse(node.value)))
            if isinstance(value, bool):
                value = "yes" if value else "no"
            elif isinstance(value, list):
                value = ",".join(value) or "empty"
            elif value in ("", {}):
                value = "empty"
            found["--" + node.target.id.lower().replace("_", "-")] = str(value)
    return found


@pytest.mark.parametrize("script", [script for _, script in STEPS])
def test_the_guide_has_every_option_and_its_default(script):
    (section,) = re.findall(
        rf"^## Step \d: {re.escape(script)}\n(.*?)^## ",
        GUIDE.read_text(encoding="utf-8"),
        re.M | re.S,
    )
    rows = re.findall(r"^\| `(--[a-z-]+)` \| `?([^`|]+?)`? \|", section, re.M)
    assert dict(rows) == options_of(script)
    assert len(rows) == len(dict(rows))


def test_the_guide_has_every_number_of_a_hand_with_its_range_and_default():
    table = GUIDE.read_text(encoding="utf-8").partition("| name | range |")[2]
    rows = {
        name: (limits, default)
        for name, limits, default in re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|", table, re.M)
    }
    hand = Hand().to_json()
    assert set(rows) == set(hand)
    for name, (low, high, _) in RANGES.items():
        assert rows[name] == (f"{low:g} to {high:g}", f"{hand[name]:g}")


def test_pictures_and_pages_that_the_documents_link_are_there():
    for path in ALL:
        for link, place in re.findall(
            r"\]\(([^)#:]*)(?:#([^)]*))?\)", path.read_text(encoding="utf-8")
        ):
            target = path.parent / link if link else path
            assert target.is_file(), (path.name, link)
            if place:
                headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.M)
                assert place in [heading.lower().replace(" ", "-") for heading in headings]


def test_no_figure_is_left_open():
    for path in ALL:
        assert not re.findall(r"@[A-Z_]+@", path.read_text(encoding="utf-8"))


def test_help_is_quick_to_read_and_free_of_chatter():
    command = [sys.executable, str(ROOT / "extract_tiles.py"), "--help"]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stderr == "" and "--frame-step" in finished.stdout
