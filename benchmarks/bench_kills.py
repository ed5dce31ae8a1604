"""Claim: a training that is killed ten times ends with the weights of one that was not.

    python -m benchmarks.bench_kills --tiles demo/tiles

Runs train_vae.py to its end without a disturbance, then again with `kill -9` at random moments,
checkpoints included, until it is through, and compares all weights bit by bit.
"""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from cadl import console, training
from cadl.settings import Count, Seed, read_settings

import numpy as np

TILES: Path = Path("demo/tiles")  # tiles by extract_tiles.py
FOLDER: Path = Path("out/bench/kills")  # where the two runs go; emptied first
STEPS: Count = 150  # of each run
KILLS: Count = 10  # at least so many
MOST_SECONDS: Count = 12  # a run is killed within so many seconds of its first new checkpoint
SEED: Seed = 1  # of the moments


@console.script
def main(argv: list[str] | None = None) -> int:
    """Runs both and returns 0 if they end alike, else 1."""
    settings = read_settings(argv)
    shutil.rmtree(settings.folder, ignore_errors=True)
    whole, killed = settings.folder / "whole", settings.folder / "killed"
    if run(settings, whole).wait():
        raise RuntimeError("the undisturbed run failed")
    moments = random.Random(settings.seed)
    kills = 0
    while True:
        process = run(settings, killed)
        before = newest(killed)
        while process.poll() is None and newest(killed) == before and kills < settings.kills:
            time.sleep(0.02)
        # From here on it saves every second step: most moments fall into or near a checkpoint.
        patience = settings.most_seconds * moments.random() ** 2
        if kills >= settings.kills:
            patience = None
        try:
            if process.wait(patience):
                raise RuntimeError("a run failed after a kill")
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            console.say(f"kill {kills} after checkpoint {newest(killed)}")
    models = [training.load_vae(folder)[0].get_weights() for folder in (whole, killed)]
    same = all(np.array_equal(a, b) for a, b in zip(*models, strict=True))
    console.say(f"{kills} kills; final weights {'equal bit for bit' if same else 'DIFFER'}")
    return 0 if same and kills >= settings.kills else 1


def run(settings, folder: Path) -> subprocess.Popen:
    """Starts a training."""
    return subprocess.Popen(
        [sys.executable, "train_vae.py", "--tiles", settings.tiles, "--run", folder, "--steps",
         str(settings.steps), "--batch-size", "2", "--checkpoint-every", "2", "--preview-every",
         "50"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def newest(folder: Path) -> int:
    """Returns the step of the newest checkpoint, 0 if there is none."""
    return max((int(p.stem.split("-")[1]) for p in folder.glob("checkpoints/*.index")), default=0)


if __name__ == "__main__":
    sys.exit(main())
