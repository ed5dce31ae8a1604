"""Which room of cadl/ may import which, who may import TensorFlow, Keras and ffmpeg; and sizes."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CADL = ROOT / "cadl"
PRODUCT = [*sorted(ROOT.glob("*.py")), *sorted(CADL.rglob("*.py"))]
MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_ARGUMENTS = 300, 60, 7
ROOMS = {
    "": "",  # settings, console, errors, files, workers, _startup
    "images": "",
    "dataset": "images",
    "style": "images",
    "video": "images",
    "networks": "images",
    "strokes": "images",
    "training": "images dataset style networks strokes",
    "conversion": "images style video strokes",
    "report": "images dataset style strokes",
}
# Rooms and modules that alone may import a package.
PACKAGES = {
    "tensorflow": {"dataset", "training", "networks/saved_models", "_startup"},
    "keras": {"networks", "training"},
    "_startup": {"dataset", "networks", "training"},  # it imports TensorFlow
    "imageio_ffmpeg": {"video"},
    "imageio": {"training/progress"},  # has ffmpeg write the movie of previews, a few lines
}


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", sorted(CADL.rglob("*.py")), ids=lambda p: str(p.relative_to(CADL)))
def test_a_room_imports_only_what_it_may(path):
    module = path.relative_to(CADL).with_suffix("").as_posix()
    room = module.rpartition("/")[0]
    for package, *names in (name.split(".") for name in imports_of(path)):
        if package == "cadl":
            there = names[0] if (CADL / names[0]).is_dir() else ""
            assert there in {"", room, *ROOMS[room].split()}, f"{module} imports {there}"
            package = names[0]
        assert {room, module} & PACKAGES.get(package, {room}), f"{module} imports {package}"


def test_a_room_is_opened_by_one_line_that_imports_nothing():
    for room in ROOMS.keys() - {""}:
        lines = (CADL / room / "__init__.py").read_text(encoding="utf-8").splitlines()
        assert len(lines) == 1 and lines[0].startswith('"""') and lines[0].endswith('."""')


@pytest.mark.parametrize("path", PRODUCT, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_and_no_function_is_long(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MOST_LINES_OF_A_FUNCTION, f"{node.name} has {lines} lines"
            own = node.args
            given = [*own.posonlyargs, *own.args, own.vararg, *own.kwonlyargs, own.kwarg]
            count = len(given) - given.count(None)
            assert count <= MOST_ARGUMENTS, f"{node.name} has {count} arguments"
