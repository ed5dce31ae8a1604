"""Which room of cadl/ may import which, and who may import TensorFlow, Keras and ffmpeg."""

import ast
from pathlib import Path

import pytest

CADL = Path(__file__).resolve().parent.parent / "cadl"
ROOMS = {
    "": "",  # settings, console, files, workers, _startup
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
