"""settings.json of a run: whose it is, its settings, and what must be the same to go on with it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cadl import _startup, files  # noqa: F401
from cadl.errors import UserError
from cadl.settings import to_json
from cadl.training import devices

import keras
import tensorflow as tf

FIXED = ("seed", "validation_fraction")  # settings that say which tiles are held out


def make_record(
    script: str,
    settings: SimpleNamespace,
    architecture: dict[str, Any],
    notes: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns what settings.json says of a run.

    Args:
        script: who may write it.
        settings: of the script.
        architecture: what must be the same for checkpoints to fit.
        notes: what else it should say; what it said before is in `Run.notes_before`.
    """
    return {
        "script": script,
        "architecture": architecture,
        "notes": notes or {},
        "settings": to_json(settings),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def check_folder(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Returns the notes of the run that a folder holds; none of an empty one.

    Args:
        folder: the run directory.
        record: of the run that is to go on there.

    Raises:
        UserError: it holds another architecture, another script's run or something else.
    """
    script, architecture = record["script"], record["architecture"]
    path = folder / "settings.json"
    if not path.exists():
        entries = folder.iterdir() if devices.is_chief() else ()
        if any(not entry.name.startswith(".") for entry in entries):
            raise UserError(f"{folder} is not empty and not a run of {script}: give --run")
        return {}
    previous = files.read_sealed(path)
    if previous.get("script") != script:
        raise UserError(f"{folder} is a run of {previous.get('script')}: give --run")
    own = record["settings"]
    wanted = {**architecture, **{name: own[name] for name in FIXED if name in own}}
    there = {**previous["settings"], **previous["architecture"]}
    for name, value in wanted.items():
        if there.get(name) != value:
            fix = "give another --run" + (", or set it back" if name in own else "")
            raise UserError(f"{folder} has {name} {there.get(name)}, not {value}: {fix}")
    return previous.get("notes", {})
