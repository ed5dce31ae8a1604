"""Claim: a conversion keeps up with the video.

    python -m benchmarks.bench_conversion --videos clip.mp4 --exported exported

Converts a video with mogrify_video.py, start-up included, and drives the same networks as in 2017
on some of its frames: one frame at a time, two calls a frame, resized in Python, no overlap.
"""

import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

from cadl import graphs, tiles, video
from cadl.settings import Count, read_settings

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent

VIDEOS: Path = ROOT / "demo/data/videos/night-walk.mp4"  # the video to convert
EXPORTED: Path = ROOT / "demo/exported"  # SavedModels and embeddings
BASELINE_FRAMES: Count = 60  # frames of the baseline


def main(argv: list[str] | None = None) -> int:
    """Times both and prints one line."""
    settings = read_settings(argv)
    source = video.probe(settings.videos)
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        command = [sys.executable, ROOT / "mogrify_video.py", "--videos", settings.videos]
        command += ["--exported", settings.exported, "--out", out]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        seconds = time.perf_counter() - started
        baseline = convert_as_in_2017(source, settings.exported, settings.baseline_frames, out)
    rate = len(source.times) / seconds
    print(
        f"{settings.videos.name}: {source.seconds:.1f} s of video in {seconds:.1f} s, "
        f"{rate:.1f} frames/s, {seconds / source.seconds:.2f} of real time (target 1.00); driven "
        f"as in 2017 {baseline:.1f} frames/s, {rate / baseline:.2f} times as fast"
    )
    return 0


def convert_as_in_2017(source: video.Video, exported: Path, frames: int, out: str) -> float:
    """Returns frames per second of the same networks, one frame and one thing at a time."""
    vae_graph, _ = graphs.load_graph(exported, "vae")
    stylizer, _ = graphs.load_graph(exported, "stylizer")
    size = source.display_size(tiles.Crop())
    one, still = np.ones(1, np.float32), np.zeros((1, 2), np.float32)
    writer = video.FrameWriter(
        Path(out, "baseline.mp4"), rate=Fraction(source.rate), size=size, output_size=size
    )
    full = video.read_frames(source, crop=tiles.Crop(), size=(source.width, source.height))
    started = 0.0
    with writer:
        for number, frame in enumerate(full):
            if number == 1:  # the first call compiles
                started = time.perf_counter()
            tile = np.asarray(Image.fromarray(frame).resize((tiles.WIDTH, tiles.HEIGHT)))[None]
            codes = vae_graph.encode(tile)["z_mean"]
            drawn = stylizer.stylize(codes, tile, one, still).numpy()[0]
            enlarged = Image.fromarray(drawn).resize(size, Image.Resampling.LANCZOS)
            writer.write(np.asarray(enlarged))
            if number == frames:
                break
    return number / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
