"""A tiny real project, made once: paintings, a letterboxed video with sound, all seven scripts."""

import importlib
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

from cadl import video
from data import make_samples

import imageio_ffmpeg
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
RATE = Fraction(24000, 1001)
FRAMES = 60


@pytest.fixture(scope="session")
def scripts() -> SimpleNamespace:
    names = "extract_tiles preview_tiles train_vae train_refiner export_graphs"
    names += " evaluate_embeddings mogrify_video"
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names.split()})


@pytest.fixture(scope="session")
def ffmpeg():
    """Runs ffmpeg and returns what it printed."""
    import subprocess

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
    with video.FrameWriter(silent, rate=RATE, size=size, output_size=size, crf=12) as writer:
        for number in range(frames):
            world = worlds[int(number >= cut)].repeat(12, 0).repeat(12, 1)
            frame = np.zeros((176, 320, 3), np.uint8)
            frame[bars : 176 - bars] = world[: 176 - 2 * bars, 2 * number : 2 * number + 320]
            writer.write(frame)
    beep = "aevalsrc='0.5*sin(880*2*PI*t)*lt(mod(t,1),0.1)|0.2*sin(440*2*PI*t)':s=48000"
    ffmpeg(
        "-i", silent, "-f", "lavfi", "-t", frames / float(RATE), "-i", beep, "-c:v", "copy",
        "-c:a", "aac", path,
    )  # fmt: skip
    silent.unlink()


@pytest.fixture(scope="session")
def media(tmp_path_factory, ffmpeg) -> SimpleNamespace:
    """Two painters and a video, under names that are hard to handle."""
    folder = tmp_path_factory.mktemp("médiä with space")
    for painter, seeds in (("Night Streets", (0, 1, 2)), ("Übung-2", (30, 31))):
        own = folder / "paintings" / painter / "deep"
        own.mkdir(parents=True)
        for seed in seeds:
            scene = make_samples.Scene(seed).draw(360, 280, 0.2)
            make_samples.paint(scene, seed).save(own / f"no {seed}.png")
    (folder / "videos").mkdir()
    clip = folder / "videos" / "-My Clip é.mp4"
    make_clip(clip, ffmpeg)
    return SimpleNamespace(paintings=folder / "paintings", videos=folder / "videos", clip=clip)


@pytest.fixture(scope="session")
def project(tmp_path_factory, scripts, media) -> SimpleNamespace:
    """The seven scripts run in a row; `outputs` holds what each printed."""
    folder = tmp_path_factory.mktemp("project")
    paths = SimpleNamespace(
        root=folder,
        tiles=folder / "tiles",
        previews=folder / "out" / "tiles",
        vae_run=folder / "log" / "vae",
        refiner_run=folder / "log" / "refiner",
        exported=folder / "exported",
        report=folder / "out" / "embeddings",
        out=folder / "out",
        media=media,
    )
    paths.outputs = {}

    def run(script: str, *arguments: object) -> None:
        with CapturedOutput() as captured:
            status = getattr(scripts, script).main(list(map(str, arguments)))
        paths.outputs[script] = captured.text
        assert status == 0, captured.text

    run("extract_tiles", "--paintings", media.paintings, "--videos", media.videos,
        "--tiles", paths.tiles, "--frame-step", 3)  # fmt: skip
    run("preview_tiles", "--tiles", paths.tiles, "--previews", paths.previews)
    run("train_vae", "--tiles", paths.tiles, "--run", paths.vae_run, "--steps", 6,
        "--batch-size", 2, "--checkpoint-every", 3, "--preview-every", 4, "--log-every", 2,
        "--validation-fraction", 0.3)  # fmt: skip
    run("train_refiner", "--tiles", paths.tiles, "--vae-run", paths.vae_run, "--run",
        paths.refiner_run, "--steps", 4, "--batch-size", 2, "--checkpoint-every", 2,
        "--preview-every", 4, "--log-every", 2)  # fmt: skip
    run("export_graphs", "--tiles", paths.tiles, "--vae-run", paths.vae_run, "--refiner-run",
        paths.refiner_run, "--exported", paths.exported)  # fmt: skip
    run("evaluate_embeddings", "--tiles", paths.tiles, "--exported", paths.exported, "--report",
        paths.report)  # fmt: skip
    run("mogrify_video", "--videos", media.clip, "--style", "night-streets", "--exported",
        paths.exported, "--out", paths.out)  # fmt: skip
    return paths


class CapturedOutput:
    """Collects what is printed; works in fixtures of the whole session."""

    def __enter__(self):
        import io

        self._streams = sys.stdout, sys.stderr
        self._text = io.StringIO()
        sys.stdout = sys.stderr = self._text
        return self

    def __exit__(self, *_):
        sys.stdout, sys.stderr = self._streams

    @property
    def text(self) -> str:
        return self._text.getvalue()
