"""Puts weights that `bench_gpu` trained into a new run, for export_graphs.py or more training.

    python -m benchmarks.gpu_weights --weights vae-10000.npz --into log/vae
    python -m benchmarks.gpu_weights --weights refiner.npz --step 2000 --into log/refiner

A refiner's run names the VAE that it belongs to: import the VAE first, and say where it is.
"""

import json
import lzma
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Annotated, Any

from cadl import console, files
from cadl.errors import UserError
from cadl.settings import Range, read_settings

import numpy as np

WEIGHTS: Path = Path("vae.npz")  # a file that bench_gpu wrote
STEP: Annotated[int, Range(0)] = 0  # which of the file's steps; 0 is the last
INTO: Path = Path("log/vae")  # the run to make
VAE_RUN: Path = Path("log/vae")  # the VAE that a refiner belongs to

PARTS = ("encoder", "decoder", "refiner", "detail_encoder")  # networks of a model
ABOUT = "about"
DAMAGE = (zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, KeyError, ValueError)


@console.script
def main(argv: list[str] | None = None) -> int:
    """Makes the run and returns the exit status."""
    settings = read_settings(argv)
    about, step, arrays = read_weights(settings.weights, settings.step)
    if (settings.into / "settings.json").exists():
        raise UserError(f"INTO {settings.into} is a run already: give a new folder")
    import train_refiner
    import train_vae
    from cadl.networks import refiner, vae
    from cadl.training import checkpoints
    from cadl.training.run import Run, one_writer
    from cadl.training.run_record import make_record

    script: Any = train_vae if about["network"] == "vae" else train_refiner
    own = {"run": settings.into, "steps": step, **about["settings"]}
    if script is train_refiner:
        own["vae_run"] = settings.vae_run
    values = read_settings([f"--{k.replace('_', '-')}={v}" for k, v in own.items()], script)
    if script is train_vae:
        architecture, notes = vae.ARCHITECTURE, {"sources": about["sources"]}
    else:
        architecture = refiner.ARCHITECTURE
        notes = {"vae": checkpoints.fingerprint(checkpoints.load_vae(settings.vae_run)[0])}
    parts = script.build_parts(values)
    for model in (parts.model, parts.averaged):
        assign(model, arrays)
    with one_writer(settings.into):
        record = make_record(f"{script.__name__}.py", values, architecture, notes)
        run = Run(values, record, vars(parts))
        run.step.assign(step)
        run.begin()
        run.save()
    console.say(f"wrote {about['network']} of step {step} to {settings.into}")
    return 0


def named_variables(model) -> dict[str, Any]:
    """Returns a VAE's or a refiner's variables by network and path, as `decoder/up0/kernel`."""
    found = {
        f"{part}/{variable.path}": variable
        for part in PARTS
        if getattr(model, part, None)
        for variable in getattr(model, part).variables
    }
    if len(found) != len(model.variables):
        raise RuntimeError(f"{model.name}: variables of one network share a name")
    return found


def assign(model, arrays: dict[str, np.ndarray]) -> None:
    """Gives a model the weights of a file.

    Raises:
        UserError: they are of another network, or one is not finite.
    """
    variables = named_variables(model)
    if different := sorted(variables.keys() ^ arrays.keys()):
        raise UserError(f"WEIGHTS fit another {model.name}: {different[0]} is only in one of them")
    for name, variable in variables.items():
        if tuple(variable.shape) != arrays[name].shape:
            raise UserError(
                f"WEIGHTS has {name} of shape {arrays[name].shape}, not {tuple(variable.shape)}: "
                "train it with this version"
            )
        if not np.isfinite(arrays[name]).all():
            raise UserError(f"WEIGHTS has {name} that is not finite: take an earlier --step")
        variable.assign(arrays[name].astype(np.float32))


def write_weights(
    path: Path, saves: dict[int, dict[str, np.ndarray]], about: dict[str, Any], half: bool
) -> None:
    """Writes weights of one or several steps, whole.

    Args:
        path: ends in .npz.
        saves: arrays by step, and by the names of `named_variables`.
        about: `network`, `sources` and `settings` of its training script.
        half: in 16 bits, half the size; they differ by a two-thousandth at most.
    """
    arrays = {ABOUT: np.array(json.dumps(about))}
    for step, own in saves.items():
        arrays |= {f"{step}/{name}": a.astype("f2" if half else "f4") for name, a in own.items()}
    # Half weights of a VAE stay below 16 MiB by LZMA, not by what NumPy writes.
    packing = zipfile.ZIP_LZMA if half else zipfile.ZIP_STORED
    with files.whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", packing) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array)


def read_weights(path: Path, step: int = 0) -> tuple[dict[str, Any], int, dict[str, np.ndarray]]:
    """Returns what a file says of itself, the step, and its weights by name.

    Args:
        path: of the file.
        step: which of its steps; 0 is the last.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it is damaged, or has no such step.
    """
    try:
        with np.load(path) as found:
            about = json.loads(str(found[ABOUT]))
            steps = sorted({int(name.partition("/")[0]) for name in found.files if "/" in name})
            chosen = step or steps[-1]
            prefix = f"{chosen}/"
            arrays = {
                name.removeprefix(prefix): found[name]
                for name in found.files
                if name.startswith(prefix)
            }
    except DAMAGE as error:
        raise UserError(f"WEIGHTS {path} is damaged or not by bench_gpu ({error})") from None
    if not arrays:
        raise UserError(f"STEP {chosen} is not in {path}: it has {', '.join(map(str, steps))}")
    return about, chosen, arrays


if __name__ == "__main__":
    sys.exit(main())
