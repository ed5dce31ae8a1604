"""Claim: extraction runs at the decoder's speed, in memory that does not grow with the video.

    python -m benchmarks.bench_extraction --video clip.mp4 --minutes 10

Repeats a video to some minutes, and in pairs extracts its tiles and has ffmpeg alone decode, crop
and scale all of its frames to nothing. Then reads the tiles back, from gzip and from memory.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.claims import claim
from cadl import console
from cadl.dataset import tile_sets
from cadl.images import tiles
from cadl.settings import Count, read_settings
from cadl.video import ffmpeg, probing

import imageio_ffmpeg
import numpy as np

ROOT = Path(__file__).resolve().parent.parent

VIDEO: Path = ROOT / "demo/data/videos/lake.mp4"  # what is repeated
MINUTES: Count = 10  # length of the long one
REPEATS: Count = 3  # pairs
FOLDER: Path = Path("out/bench/extraction")  # where everything goes; emptied first


@console.script
def main(argv: list[str] | None = None) -> int:
    """Measures and prints three lines."""
    settings = read_settings(argv)
    shutil.rmtree(settings.folder, ignore_errors=True)
    long, short, none = (
        repeat(settings, name, seconds)
        for name, seconds in (("long", 60 * settings.minutes), ("short", 60), ("none", 1))
    )
    start_up = extract(none)[0]
    ratios, rates = [], []
    for _ in range(settings.repeats):
        seconds, memory = extract(long)
        alone = decode(long)
        ratios.append((seconds - start_up) / alone)
        rates.append(len(probing.probe(next(long.iterdir())).times) / alone)
    _, short_memory = extract(short)
    console.say(
        f"{settings.minutes} minutes of video: extraction takes {min(ratios):.2f} to "
        f"{max(ratios):.2f} times as long as ffmpeg alone, which makes {np.median(rates):.0f} "
        f"frames/s; start-up of {start_up:.1f} s not counted; peak memory {memory:.0f} MiB"
    )
    claim("time to extract a video over ffmpeg's own", np.median(ratios), most=1.25)
    claim(
        f"memory to extract {settings.minutes} minutes over one", memory / short_memory, most=1.05
    )
    started = time.perf_counter()
    tile_set = tile_sets.load_tiles(long.parent / "tiles")
    from_gzip = len(tile_set) / (time.perf_counter() - started)
    order = np.random.default_rng(1).permutation(len(tile_set))
    started = time.perf_counter()
    for start in range(0, len(order), 8):
        np.ascontiguousarray(tile_set.pixels[order[start : start + 8]])
    from_memory = len(tile_set) / (time.perf_counter() - started)
    claim("tiles read a second, from gzip", from_gzip, least=1000)
    claim("tiles read a second, from memory", from_memory, least=1000)
    return 0


def repeat(settings, name: str, seconds: int) -> Path:
    """Makes a folder with the video repeated to a length."""
    folder = settings.folder / name
    (folder / "paintings").mkdir(parents=True)
    videos = folder / "videos"
    videos.mkdir()
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-stream_loop", "-1",
               "-i", settings.video, "-t", str(seconds), "-map", "0:v", "-c", "copy",
               videos / "clip.mp4"]  # fmt: skip
    subprocess.run(list(map(str, command)), check=True)
    return videos


def extract(videos: Path) -> tuple[float, float]:
    """Extracts afresh; returns seconds and the peak memory in MiB."""
    out = videos.parent / "tiles"
    shutil.rmtree(out, ignore_errors=True)
    program = (
        "import sys; import extract_tiles; from cadl import console\n"
        "status = extract_tiles.main(sys.argv[1:]); print(console.peak_memory()); sys.exit(status)"
    )
    command = [sys.executable, "-c", program, "--paintings", videos.parent / "paintings",
               "--videos", videos.resolve(), "--tiles", out, "--drop-black", 0]  # fmt: skip
    started = time.perf_counter()
    finished = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started, 1024 * float(finished.stdout.split()[-1])


def decode(videos: Path) -> float:
    """Returns the seconds that ffmpeg alone takes to decode, crop and scale every frame."""
    source = probing.probe(videos / "clip.mp4")
    crop = source.cover_crop(probing.find_crop(source))
    width, height = crop.size(source.width, source.height)
    window = f"crop={width}:{height}:{crop.left}:{crop.top}:exact=1"
    scale = f"scale={tiles.WIDTH}:{tiles.HEIGHT}:flags=area+{ffmpeg.ROUNDING}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", str(source.path),
               "-vf", f"{window},{scale}", "-pix_fmt", "rgb24", "-f", "null", "-"]  # fmt: skip
    started = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
