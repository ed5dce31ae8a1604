"""Claim: a conversion takes little more than the video's length, in memory that does not grow.

    python -m benchmarks.bench_conversion --video clip.mp4 --exported exported

Converts a video with mogrify_video.py, start-up included, in full and as a draft, and drives the
VAE of 2017 as in 2017: one frame at a time, two calls a frame, resized in Python, no overlap. Then
takes some frames through each stage with nothing beside it and prints the stages' CPU time. And
converts some seconds of the video as a draft, and the same ten times over.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

from benchmarks import ancestor
from benchmarks.bench_flicker import Painted, average_looks, track
from benchmarks.claims import claim
from cadl import console
from cadl.conversion.brushwork import Brushwork, lay_strokes
from cadl.conversion.clip import BATCH, Clip, Encoding, Geometry
from cadl.conversion.codes import Encoded, MovedCodes
from cadl.conversion.frame_painter import FramePainter, Moved
from cadl.conversion.planning import look_at
from cadl.images import tiles
from cadl.networks import saved_models
from cadl.settings import Amount, Count, read_settings
from cadl.strokes.hands import load_hand
from cadl.strokes.track_files import read_tracks
from cadl.style import embeddings, latents
from cadl.video import probing, reader, writer
from mogrify_video import CRF, PRESET, STYLE_MAP

import imageio_ffmpeg
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent

VIDEO: Path = ROOT / "demo/data/videos/lake.mp4"  # the video to convert
EXPORTED: Path = ROOT / "demo/exported"  # SavedModels, embeddings and hands
STYLE: str = ""  # whose hand paints, of strokes or hatching; empty: the first painter
BASELINE_FRAMES: Count = 60  # frames of the baseline
STAGE_FRAMES: Count = 64  # of the video's middle, that go through each stage
MEMORY_SECONDS: Amount = 10.0  # of the short part; 0 leaves the comparison of memory out

QUALITIES = {"full": 2.0, "draft": 1.0}  # the most times its length that a video may take
STAGES = ("decode", "flow", "list", "networks", "recolour", "looks", "averaging", "drawing",
          "encode")  # fmt: skip


@console.script
def main(argv: list[str] | None = None) -> int:
    """Times all and prints what came of it."""
    settings = read_settings(argv)
    source = probing.probe(settings.video)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs = drive_as_in_2017(source, load_theirs(), settings.baseline_frames, folder)
        console.say(f"the VAE of 2017, driven as in 2017: {theirs:.1f} frames/s")
        for quality, most in QUALITIES.items():
            seconds, spent, memory = convert(settings, settings.video, folder / quality, quality)
            rate = len(source.times) / seconds
            console.say(
                f"{source.path.name}, {quality}: {source.seconds:.1f} s of video in {seconds:.1f} "
                f"s, {rate:.1f} frames/s, {spent:.0f} s of CPU; memory of the main process "
                f"{memory:.2f} GiB"
            )
            claim(f"{quality}: time to convert a video over its length",
                  seconds / source.seconds, most=most)  # fmt: skip
        job = open_job(settings)
        costs = [time_stages(job, quality == "draft", folder) for quality in QUALITIES]
        rows = [[stage, *(f"{cost[stage]:.1f}" for cost in costs)] for stage in STAGES]
        rows.append(["all", *(f"{sum(cost.values()):.1f}" for cost in costs)])
        console.say(console.table(["ms of CPU a frame", *QUALITIES], rows))
        if settings.memory_seconds:
            short, long = (
                convert(settings, repeat(settings, folder, times), folder / str(times), "draft")[2]
                for times in (1, 10)
            )  # fmt: skip
            claim("memory to convert a video ten times as long", long / short, most=1.06)
    return 0


def open_job(settings) -> SimpleNamespace:
    """Opens what the stages need: some frames of the video's middle, and the networks."""
    source, crop = look_at(settings.video, None)
    vae_graph, about = saved_models.load_graph(settings.exported, "vae")
    stylizer, _ = saved_models.load_graph(settings.exported, "stylizer")
    networks = saved_models.Networks(vae_graph, stylizer)
    sources = embeddings.load_embeddings(settings.exported / "embeddings.npz", about["vae"])
    painters = {name: own for name, own in sources.items() if own.kind == "painting"}
    style = settings.style or next(iter(painters))
    length = (settings.stage_frames - 0.5) / float(source.rate)
    start = max(0.0, source.seconds / 2 - length / 2)
    return SimpleNamespace(
        clip=Clip(source, crop, start, length), crop=crop, networks=networks,
        painter=painters[style], hand=load_hand(settings.exported / f"hands/{style}.json"),
    )  # fmt: skip


def time_stages(job: SimpleNamespace, draft: bool, folder: Path) -> dict[str, float]:
    """Takes frames through each stage alone; returns milliseconds of CPU a frame, by stage."""
    hand, spent = job.hand, Painted()
    geometry = Geometry.of(job.clip.source, job.crop, "source", "none", draft)
    before = cpu_seconds()
    small = list(job.clip.read(geometry.tracked_size))
    frames = list(job.clip.read(geometry.picture_size))
    spent.milliseconds["decode"] = 1000 * (cpu_seconds() - before)

    tracks = folder / f"stages-{draft}"
    track(small, hand, tracks, spent, follow=True)
    tracked = list(read_tracks(tracks, 0, len(frames)))

    batches = range(0, len(frames), BATCH)
    moved: list[Moved] = []
    encode, shift = job.networks.encode, job.networks.shift
    for timed in (False, True):  # the first calls compile
        moved.clear()
        before = cpu_seconds()
        seen = [np.stack([geometry.tile(x) for x in small[i : i + BATCH]]) for i in batches]
        codes = np.concatenate([encode(part) for part in seen])
        brushwork = Brushwork(geometry, ((hand, 1.0),), draft)
        painter = FramePainter(
            brushwork, shift, move_codes(codes, job.painter), 1.0, np.ones(len(codes))
        )
        for i in batches:
            moved += painter.move(i, frames[i : i + BATCH])
        if timed:
            spent.milliseconds["networks"] = 1000 * (cpu_seconds() - before)

    with spent.stage("recolour"):
        canvases = [one.recoloured(geometry, one.frame) for one in moved]
        colours = [one.recoloured(geometry, one.tracked) for one in moved]
    looks = list(average_looks(small, colours, tracked, hand, spent))
    drawn = []
    for one, canvas, layers, own in zip(moved, canvases, tracked, looks, strict=True):
        with spent.stage("drawing"):
            drawn.append(lay_strokes(canvas, one.frame, brushwork, layers, own))

    before = cpu_seconds()
    encoding = Encoding(geometry, "none", CRF, "ultrafast" if draft else PRESET)
    with encoding.writer(folder / "stages.mp4", job.clip.source.rate) as sink:
        for frame in drawn:
            sink.write(frame)
    spent.milliseconds["encode"] = 1000 * (cpu_seconds() - before)
    return {stage: spent.milliseconds[stage] / len(frames) for stage in STAGES}


def move_codes(codes: np.ndarray, painter: latents.Statistics) -> MovedCodes:
    """Returns codes moved all the way, not smoothed."""
    nothing = np.zeros(len(codes), np.float32)
    one_shot = np.zeros(len(codes), int)
    none = np.zeros(0), one_shot[:0]
    encoded = Encoded(codes, one_shot, nothing, nothing, *none, *none, *none)
    move = latents.style_move(encoded.statistics, painter, STYLE_MAP)
    return MovedCodes(encoded, 0.0, move, 1.0)


def cpu_seconds() -> float:
    """Returns the CPU time of this process and of the ffmpegs that have ended."""
    return sum(os.times()[:4])


def convert(settings, path: Path, out: Path, quality: str) -> tuple[float, float, float]:
    """Converts a video at full strength; returns seconds, CPU seconds and peak memory in GiB."""
    program = (
        "import sys; import mogrify_video; from cadl import console\n"
        "status = mogrify_video.main(sys.argv[1:]); print(console.peak_memory()); sys.exit(status)"
    )
    command = [sys.executable, "-c", program, "--videos", path.resolve(), "--exported",
               settings.exported.resolve(), "--style", settings.style, "--strength", 1,
               "--out", out, "--quality", quality]  # fmt: skip
    before, started = sum(os.times()[2:4]), time.perf_counter()
    finished = subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
    seconds, spent = time.perf_counter() - started, sum(os.times()[2:4]) - before
    return seconds, spent, float(finished.stdout.split()[-1])


def repeat(settings, folder: Path, times: int) -> Path:
    """Makes a video of the first seconds of another one, so many times over."""
    path, first = folder / f"times-{times}.mp4", folder / "first.mp4"
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y"]
    cut = ["-i", settings.video.resolve(), "-t", settings.memory_seconds, "-an", first]
    loop = ["-stream_loop", times - 1, "-i", first, "-c", "copy", path]
    for words in (cut, loop):
        subprocess.run(list(map(str, ffmpeg + words)), check=True)
    return path


def load_theirs() -> Callable[[np.ndarray], np.ndarray]:
    """Returns the untrained VAE of 2017 as a function of uint8 tiles: two calls a tile."""
    model = ancestor.build_ancestor()
    pixels, _ = model.inputs
    drawn, z_mean, _ = model.outputs
    z = next(layer for layer in model.layers if layer.name == ancestor.SAMPLE).output
    encode, decode = (
        tf.function(keras.Model(start, end), reduce_retracing=True)
        for start, end in ((pixels, z_mean), (z, drawn))
    )
    return lambda tile: tiles.to_uint8(decode(encode(tiles.to_float(tile))).numpy())


def drive_as_in_2017(source: probing.Video, networks, count: int, folder: Path) -> float:
    """Returns frames per second, one frame and one thing at a time."""
    size = source.display_size(tiles.Crop())
    sink = writer.FrameWriter(
        folder / "baseline.mp4", rate=Fraction(source.rate), size=size, output_size=size
    )
    full = reader.read_frames(source, crop=tiles.Crop(), size=(source.width, source.height))
    started = 0.0
    with sink:
        for number, frame in enumerate(itertools.islice(full, count + 1)):
            if number == 1:  # the first call compiles
                started = time.perf_counter()
            tile = np.asarray(Image.fromarray(frame).resize((tiles.WIDTH, tiles.HEIGHT)))[None]
            enlarged = Image.fromarray(networks(tile)[0]).resize(size, Image.Resampling.LANCZOS)
            sink.write(np.asarray(enlarged))
    return number / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
