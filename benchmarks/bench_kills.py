"""Claim: what is killed ten times ends as if it had not been.

    python -m benchmarks.bench_kills --tiles demo/tiles --exported demo/exported --video clip.mp4

Runs train_vae.py to its end without a disturbance, then again with `kill -9` at random moments soon
after it has written something, until it is through, and compares all weights bit by bit. Then the
same with mogrify_video.py, killed in both passes and while joining, comparing all frames.
"""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.claims import claim
from cadl import console
from cadl.errors import UserError
from cadl.settings import Count, Seed, read_settings
from cadl.training import checkpoints

import imageio_ffmpeg

ROOT = Path(__file__).resolve().parent.parent

TILES: Path = ROOT / "demo/tiles"  # tiles by extract_tiles.py
EXPORTED: Path = ROOT / "demo/exported"  # SavedModels and embeddings
VIDEO: Path = ROOT / "demo/data/videos/night-walk.mp4"  # what is converted, repeated
FOLDER: Path = Path("out/bench/kills")  # where all runs go; emptied first
STEPS: Count = 150  # of each training
KILLS: Count = 10  # of each, at least
MOST_SECONDS: Count = 12  # a run is killed within so many seconds of something new
SEED: Seed = 1  # of the moments


@console.script
def main(argv: list[str] | None = None) -> int:
    """Runs all and returns 0 if they end alike, else 1."""
    settings = read_settings(argv)
    shutil.rmtree(settings.folder, ignore_errors=True)
    settings.folder.mkdir(parents=True)
    moments = random.Random(settings.seed)
    repeat(settings)
    good = True
    for what, command, end in (
        ("training", train, weights_of),
        ("conversion", convert, frames_of),
    ):
        whole, killed = (settings.folder / what / name for name in ("whole", "killed"))
        if start(command(settings, whole)).wait():
            raise UserError(f"the undisturbed {what} failed")
        kills = kill_often(command(settings, killed), killed, moments, settings)
        same = end(whole) == end(killed)
        console.say(f"{what}: {kills} kills; {'equal bit for bit' if same else 'DIFFERENT'}")
        claim(f"kills after which a {what} ends alike", same * kills, least=settings.kills)
        good = good and same and kills >= settings.kills
    return 0 if good else 1


def kill_often(command: list, folder: Path, moments: random.Random, settings) -> int:
    """Runs a command again and again, killing it, until it is through; returns how often."""
    kills = 0
    while True:
        process = start(command)
        before = written(folder)
        while process.poll() is None and not written(folder) - before and kills < settings.kills:
            time.sleep(0.02)
        # Most moments fall into or near the next thing that is written.
        patience = settings.most_seconds * moments.random() ** 2
        try:
            if process.wait(None if kills >= settings.kills else patience):
                raise UserError("a run failed after a kill")
            return kills
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
            console.say(f"kill {kills}, {len(written(folder))} files")


def start(command: list) -> subprocess.Popen:
    """Starts a script."""
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def written(folder: Path) -> set[Path]:
    """Returns all that a run has written: whole checkpoints, chunks, segments."""
    ends = ("*.index", "*.npy", "*.npz", "segment-*.json", "*-ladder.png")
    return {
        path for end in ends for path in folder.rglob(end) if not path.name.startswith(".part-")
    }


def train(settings, folder: Path) -> list:
    """Returns the command of a training that saves every second step."""
    return [sys.executable, ROOT / "train_vae.py", "--tiles", settings.tiles, "--run", folder,
            "--steps", settings.steps, "--batch-size", 2, "--checkpoint-every", 2,
            "--preview-every", 50]  # fmt: skip


def weights_of(folder: Path) -> str:
    """Returns a fingerprint of trained weights."""
    return checkpoints.fingerprint(checkpoints.load_vae(folder)[0])


def convert(settings, folder: Path) -> list:
    """Returns the command of a conversion."""
    return [sys.executable, ROOT / "mogrify_video.py", "--videos", settings.folder / "clip.mp4",
            "--exported", settings.exported, "--out", folder]  # fmt: skip


def frames_of(folder: Path) -> str:
    """Returns the checksums of all frames of the video in a folder."""
    (path,) = folder.glob("clip-*.mp4")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, "-f", "framemd5", "-"]
    return subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True
    ).stdout


def repeat(settings) -> None:
    """Makes the clip that is converted, half a segment for each kill."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-stream_loop", -1,
               "-i", settings.video, "-frames:v", 120 * settings.kills, "-t", 5 * settings.kills,
               "-c", "copy", settings.folder / "clip.mp4"]  # fmt: skip
    subprocess.run(list(map(str, command)), check=True)


if __name__ == "__main__":
    sys.exit(main())
