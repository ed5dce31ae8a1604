"""Claim: a video is encoded faster than by x264's preset as it is, about as well and as small.

    python -m benchmarks.bench_encoding --video out/clip-van-gogh.mp4

Frames of a video, painted or not, are written as mogrify_video.py writes them, and with x264's
presets as they are. Likeness is that to the same frames written without loss.
"""

import itertools
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.claims import claim
from cadl import console
from cadl.conversion.clip import Clip, Geometry
from cadl.images import tiles
from cadl.settings import Count, read_settings
from cadl.video import ffmpeg, probing, writer
from mogrify_video import CRF, PRESET

import numpy as np

VIDEO: Path = Path("out/lake-dabs.mp4")  # one that mogrify_video.py wrote
FRAMES: Count = 240  # how many of its frames
REPEATS: Count = 3  # the least CPU time of so many is taken

PRESETS = ("ultrafast", "superfast", "veryfast")


@console.script
def main(argv: list[str] | None = None) -> int:
    """Prints a row for each preset, and how the leaner one compares with its own."""
    settings = read_settings(argv)
    source = probing.probe(settings.video)
    geometry = Geometry.of(source, tiles.Crop(), "source", "none")
    read = Clip(source, tiles.Crop(), 0.0, 0.0).read(geometry.picture_size)
    frames = np.stack(list(itertools.islice(read, settings.frames)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = folder / "whole.mp4"
        write(whole, frames, geometry, source.rate, crf=0, preset="ultrafast", lean=False)

        def measure(preset: str, *, lean: bool) -> list[float]:
            path = folder / "coded.mp4"
            seconds = min(
                write(path, frames, geometry, source.rate, crf=CRF, preset=preset, lean=lean)
                for _ in range(settings.repeats)
            )
            return [seconds, path.stat().st_size / 1e6, ssim(whole, path)]

        leaner = measure(PRESET, lean=True)
        plain = {preset: measure(preset, lean=False) for preset in PRESETS}
    rows = [
        [name, *found[:2], f"{found[2]:.4f}"]
        for name, found in {f"{PRESET}, leaner": leaner, **plain}.items()
    ]
    console.say(console.table(["preset", "CPU seconds", "MB", "SSIM"], rows))
    usual = plain[PRESET]
    claim("CPU time of encoding over that of x264's own preset", leaner[0] / usual[0], most=0.9)
    claim("size of the video over that of x264's own preset", leaner[1] / usual[1], most=1.02)
    claim("SSIM that is lost by it", usual[2] - leaner[2], most=0.002)
    return 0


def write(path: Path, frames: np.ndarray, geometry, rate, **quality) -> float:
    """Writes frames in a `writer.Quality`; returns the CPU seconds of ffmpeg."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with writer.FrameWriter(
        path,
        rate=rate,
        size=geometry.picture_size,
        output_size=geometry.output_size,
        quality=writer.Quality(**quality),
    ) as sink:
        sink.write(frames)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def ssim(whole: Path, coded: Path) -> float:
    """Returns ffmpeg's SSIM of one video to another."""
    command = [*ffmpeg.command("-nostdin", "-loglevel", "info")]
    command += ["-i", ffmpeg.url(coded), "-i", ffmpeg.url(whole), "-lavfi", "ssim", "-f", "null"]
    finished = subprocess.run([*command, "-"], check=True, capture_output=True, text=True)
    return float(re.findall(r"SSIM .*All:([\d.]+)", finished.stderr)[-1])


if __name__ == "__main__":
    sys.exit(main())
