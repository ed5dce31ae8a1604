"""Claim: a painted video is encoded faster than by x264's preset as it is, and no larger.

    python -m benchmarks.bench_encoding --painted out/clip-van-gogh.mp4

Frames of a painted video, made small again, are written as mogrify_video.py writes them, with the
preset made leaner and with x264's presets as they are. Likeness is that to the same frames written
without loss.
"""

import itertools
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

from benchmarks.claims import claim
from cadl import clips, console, ffmpeg, movie, tiles, video
from cadl.settings import Count, read_settings
from mogrify_video import CRF, PRESET

import numpy as np

PAINTED: Path = Path("out/night-walk-night-streets.mp4")  # a video that mogrify_video.py wrote
FRAMES: Count = 480  # how many of its frames
REPEATS: Count = 3  # the least CPU time of so many is taken

PRESETS = ("ultrafast", "superfast", "veryfast")


@console.script
def main(argv: list[str] | None = None) -> int:
    """Prints a row for each preset, and how the leaner one compares with its own."""
    settings = read_settings(argv)
    source = video.probe(settings.painted)
    geometry = clips.Geometry.of(source, tiles.Crop(), "source", "none", scale=1)
    clip = clips.Clip(source, tiles.Crop(), geometry.tile_size, 1, 0.0, 0.0)
    frames = np.stack(list(itertools.islice(clip.read(), settings.frames)))
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = folder / "whole.mp4"
        write(whole, frames, geometry, source.rate, crf=0, preset="ultrafast")

        def measure(preset: str) -> list[float]:
            path = folder / "coded.mp4"
            seconds = min(
                write(path, frames, geometry, source.rate, crf=CRF, preset=preset)
                for _ in range(settings.repeats)
            )
            return [seconds, path.stat().st_size / 1e6, ssim(whole, path)]

        leaner = measure(PRESET)
        rows.append([f"{PRESET}, leaner", *leaner[:2], f"{leaner[2]:.4f}"])
        with mock.patch.dict(movie.LEANER, clear=True):
            plain = {preset: measure(preset) for preset in PRESETS}
    rows += [[name, *found[:2], f"{found[2]:.4f}"] for name, found in plain.items()]
    console.say(console.table(["preset", "CPU seconds", "MB", "SSIM"], rows))
    usual = plain[PRESET]
    claim("CPU time of encoding over that of x264's own preset", leaner[0] / usual[0], most=0.85)
    claim("size of the video over that of x264's own preset", leaner[1] / usual[1], most=1.02)
    claim("SSIM of the video encoded so to one without loss", leaner[2], least=0.98)
    return 0


def write(path: Path, frames: np.ndarray, geometry, rate, *, crf: int, preset: str) -> float:
    """Writes frames; returns the CPU seconds of ffmpeg."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with clips.Encoding(geometry, "none", crf, preset).writer(path, rate) as writer:
        writer.write(frames)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def ssim(whole: Path, coded: Path) -> float:
    """Returns ffmpeg's SSIM of one video to another."""
    command = [*ffmpeg.command("-nostdin", "-loglevel", "info")]
    command += ["-i", ffmpeg.url(coded), "-i", ffmpeg.url(whole), "-lavfi", "ssim", "-f", "null"]
    finished = subprocess.run([*command, "-"], check=True, capture_output=True, text=True)
    return float(re.findall(r"SSIM .*All:([\d.]+)", finished.stderr)[-1])


if __name__ == "__main__":
    sys.exit(main())
