"""A tiny real project, made once: paintings, a letterboxed video with sound, all seven scripts."""

import contextlib
import fcntl
import importlib
import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

from cadl import _startup, files  # noqa: F401
from cadl.style import latents
from cadl.video import writer
from data import sample_painters

import imageio_ffmpeg
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
RATE = Fraction(24000, 1001)
FRAMES = 60
LONGEST = (
    "test_pipeline.py",
    "test_training.py",
    "test_devices.py",
    "test_mogrify.py",
    "test_extraction.py",
)
SLOW = (
    "test_ancestor.py",
    "test_companions.py",
    "test_conversion.py",
    "test_facts.py",
    "test_gpu.py",
    "test_hand_judges.py",
    "test_hands.py",
    "test_networks.py",
    "test_optimizer.py",
)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items) -> None:
    """One process makes the project first, while others run what does without it.

    Then come the files that take longest, those first that need only its first scripts. What needs
    the project, and files that train, film or search much, are marked as slow. A file's tests run
    in one process, but those that are marked to run `apart` as they take long.
    """
    for item in items:
        apart = item.get_closest_marker("apart")
        item.add_marker(pytest.mark.xdist_group(item.nodeid if apart else item.path.name))
        if item.path.name in (*LONGEST, *SLOW) or {"trained", "media"} & set(item.fixturenames):
            item.add_marker("slow")
    needing = {item.path.name for item in items if "trained" in item.fixturenames}

    def order(item) -> tuple:
        name = item.path.name
        place = LONGEST.index(name) if name in LONGEST else len(LONGEST)
        return name != LONGEST[0], name in needing, not item.get_closest_marker("apart"), place

    items.sort(key=order)


def frechet_distance(a: latents.Statistics, b: latents.Statistics) -> float:
    """Returns the squared 2-Wasserstein distance between two Gaussians (Dowson & Landau 1982).

    What the optimal map from one to the other has to move: their means' squared distance plus that
    of their covariances.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ b.covariance @ root)
    spreads = np.trace(a.covariance) + np.trace(b.covariance)
    gap = a.mean - b.mean
    return float(gap @ gap + spreads - 2.0 * np.sqrt(np.maximum(shared, 0.0)).sum())


def map_latents(
    codes: np.ndarray, video: latents.Statistics, painter: latents.Statistics, *,
    style_map: str, strength: float,
) -> np.ndarray:  # fmt: skip
    """Moves latents from a video's distribution toward a painter's, in a straight line."""
    moved = latents.style_move(video, painter, style_map)(codes)
    return (codes + strength * (moved - codes)).astype(np.float32)


def checkpoint_of(run: Path, step: int) -> dict[str, np.ndarray]:
    """Reads all that a run saved at a step."""
    path = files.plain_path(run) / "checkpoints" / f"ckpt-{step}"
    reader = tf.train.load_checkpoint(str(path))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.fixture(scope="session")
def scripts() -> SimpleNamespace:
    names = "extract_tiles preview_tiles train_vae train_refiner export_graphs"
    names += " evaluate_embeddings mogrify_video"
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names.split()})


@pytest.fixture(scope="session")
def ffmpeg():
    """Runs ffmpeg and returns what it printed."""

    def run(*arguments: object) -> str:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y"]
        command += map(str, arguments)
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    return run


def make_clip(path: Path, ffmpeg, *, frames: int = FRAMES, bars: int = 16, cut: int = 36) -> None:
    """Films 320x176 frames of moving blocks between black bars, one cut, with two beeps."""
    silent = path.with_suffix(".silent.mp4")
    size = (320, 176)
    rng = np.random.default_rng(5)
    worlds = rng.integers(60, 255, (2, 15, 60, 3)).astype(np.uint8)
    with writer.FrameWriter(
        silent, rate=RATE, size=size, output_size=size, quality=writer.Quality(crf=12)
    ) as film:
        for number in range(frames):
            world = worlds[int(number >= cut)].repeat(12, 0).repeat(12, 1)
            frame = np.zeros((176, 320, 3), np.uint8)
            frame[bars : 176 - bars] = world[: 176 - 2 * bars, 2 * number : 2 * number + 320]
            film.write(frame)
    beep = "aevalsrc='0.5*sin(880*2*PI*t)*lt(mod(t,1),0.1)|0.2*sin(440*2*PI*t)':s=48000"
    ffmpeg(
        "-i", silent, "-f", "lavfi", "-t", frames / float(RATE), "-i", beep, "-c:v", "copy",
        "-c:a", "aac", path,
    )  # fmt: skip
    silent.unlink()


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all processes of one test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextlib.contextmanager
def made_once(folder: Path):
    """Yields True to the first process that comes here, False to others when it is done."""
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new = not folder.exists()
        folder.mkdir(exist_ok=True)
        yield new


@pytest.fixture(scope="session")
def media(shared, ffmpeg) -> SimpleNamespace:
    """Two painters and a video, under names that are hard to handle."""
    folder = shared / "médiä %41 [x]*"
    clip = folder / "videos" / "-My Clip é.mp4"
    with made_once(folder) as new:
        if new:
            make_media(folder, clip, ffmpeg)
    return SimpleNamespace(paintings=folder / "paintings", videos=folder / "videos", clip=clip)


def make_media(folder: Path, clip: Path, ffmpeg) -> None:
    for painter, hand, numbers in (("Bright Dabs", "dabs", (0, 1, 4)), ("Übung-2", "ink", (0, 2))):
        own = folder / "paintings" / painter / "deep"
        own.mkdir(parents=True)
        for number in numbers:
            picture = sample_painters.painting(hand, number)[60:340, 140:500]
            Image.fromarray(picture).save(own / f"no\n'{number}' 🎨.png")
    clip.parent.mkdir()
    make_clip(clip, ffmpeg)


HOSTILE = """
import os, runpy, sys, warnings
os.umask(0o077)
warnings.filterwarnings("error", module="cadl|__main__")
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="session")
def trained(shared, media) -> SimpleNamespace:
    """The first three of the scripts run in a row; `outputs` holds what each printed.

    In a hostile place: paths begin with a dash and have spaces and accents in them, the input is
    read-only, there is no home, no screen and no locale, nobody else may read what is written, and
    a warning from the project's own code is an error.
    """
    folder = shared / "a #1 [x]? é"
    paths = SimpleNamespace(
        root=folder,
        tiles=folder / "-tïles [1] *?",
        previews=folder / "-öut #1" / "tiles",
        vae_run=folder / "-lög [1]?" / "vae",
        media=media,
    )
    paths.outputs = run_once(folder, lambda run: train_vae(run, paths), media)
    return paths


@pytest.fixture(scope="session")
def project(trained, media) -> SimpleNamespace:
    """All seven scripts, as `trained`."""
    folder = trained.root
    more = SimpleNamespace(
        refiner_run=folder / "-lög [1]?" / "refiner",
        exported=folder / "-ëxported %41 [x]",
        report=folder / "-öut #1" / "embeddings",
        out=folder / "-öut #1",
    )
    paths = SimpleNamespace(**vars(trained) | vars(more))
    outputs = run_once(folder / "-rest", lambda run: use_vae(run, paths), media)
    paths.outputs = trained.outputs | outputs
    return paths


def run_once(folder: Path, call, media) -> dict[str, str]:
    """Runs scripts in one of the processes; returns what each printed."""
    record = folder / "outputs.json"
    with made_once(folder) as new:
        if new:
            runner = Runner(media.paintings.parent.parent / "a #1 [x]? é")
            given = [path for path in media.paintings.parent.rglob("*") if path.is_file()]
            for path in given:
                path.chmod(0o444)
            call(runner)
            record.write_text(json.dumps(runner.outputs))
    assert record.exists(), "it was not made: see the first test that failed"
    return json.loads(record.read_text())


class Runner:
    """Runs scripts in a folder; `outputs` holds what each printed."""

    def __init__(self, folder: Path):
        self._folder = folder
        self.outputs: dict[str, str] = {}

    def __call__(self, script: str, **options: object) -> None:
        inside = self._folder
        words = [
            f"--{name.replace('_', '-')}="
            f"{value.relative_to(inside) if inside in getattr(value, 'parents', ()) else value}"
            for name, value in options.items()
        ]
        finished = subprocess.run(
            [sys.executable, "-c", HOSTILE, ROOT / f"{script}.py", *words],
            cwd=inside, env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, text=True,
            encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        self.outputs[script] = finished.stdout
        assert finished.returncode == 0, finished.stdout


LEARNING = {"batch_size": 2, "log_every": 2, "preview_every": 4}


def train_vae(run: Runner, paths: SimpleNamespace) -> None:
    media = paths.media
    run("extract_tiles", paintings=media.paintings, videos=media.videos, tiles=paths.tiles,
        frame_step=3)  # fmt: skip
    run("preview_tiles", tiles=paths.tiles, previews=paths.previews)
    run("train_vae", tiles=paths.tiles, run=paths.vae_run, steps=6, checkpoint_every=2,
        validation_fraction=0.3, **LEARNING)  # fmt: skip


def use_vae(run: Runner, paths: SimpleNamespace) -> None:
    run("train_refiner", tiles=paths.tiles, vae_run=paths.vae_run, run=paths.refiner_run, steps=4,
        checkpoint_every=2, hand_steps=2, **LEARNING)  # fmt: skip
    run("export_graphs", tiles=paths.tiles, vae_run=paths.vae_run, refiner_run=paths.refiner_run,
        exported=paths.exported)  # fmt: skip
    run("evaluate_embeddings", tiles=paths.tiles, exported=paths.exported, report=paths.report)
    run("mogrify_video", videos=paths.media.clip, style="bright-dabs", exported=paths.exported,
        out=paths.out, stroke_size=2)  # fmt: skip
