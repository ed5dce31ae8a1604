"""Claim: a conversion keeps up with the video, in memory that does not grow with it.

    python -m benchmarks.bench_conversion --video clip.mp4 --exported exported

Converts a video with mogrify_video.py, start-up included, and drives on some of its frames the same
networks, and the VAE of 2017, as in 2017: one frame at a time, two calls a frame, resized in
Python, no overlap. Then times each pass beside its stages alone: the slowest of them, and the least
that all allow, which is that or their CPU time on all cores, whichever is more. And converts some
seconds of the video, and the same ten times over.
"""

import dataclasses
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
from typing import Any

from benchmarks import ancestor
from benchmarks.claims import claim
from cadl import clips, console, first_pass, graphs, movie, second_pass, tiles, video
from cadl.replenishment import Replenisher
from cadl.settings import Amount, Count, read_settings
from mogrify_video import CRF, PRESET, STRENGTH, draw_nothing, look_at

import imageio_ffmpeg
import keras
import numpy as np
import tensorflow as tf
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent

VIDEO: Path = ROOT / "demo/data/videos/night-walk.mp4"  # the video to convert
EXPORTED: Path = ROOT / "demo/exported"  # SavedModels and embeddings
BASELINE_FRAMES: Count = 60  # frames of each baseline
MEMORY_SECONDS: Amount = 10.0  # of the short part; 0 leaves the comparison of memory out


@console.script
def main(argv: list[str] | None = None) -> int:
    """Times all and prints what came of it."""
    settings = read_settings(argv)
    source = video.probe(settings.video)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, _ = convert(settings.video, settings.exported, folder / "whole")
        rate = len(source.times) / seconds
        rates = {
            way: drive_as_in_2017(source, networks, settings.baseline_frames, folder)
            for way, networks in (
                ("the same networks", load_ours(settings.exported)),
                ("the VAE of 2017", load_theirs()),
            )
        }
        console.say(
            f"{source.path.name}: {source.seconds:.1f} s of video in {seconds:.1f} s, {rate:.1f} "
            "frames/s; driven as in 2017 "
            + ", ".join(f"{way} {theirs:.1f} frames/s" for way, theirs in rates.items())
        )
        claim("time to convert a video over its length", seconds / source.seconds, most=1)
        for way, theirs in rates.items():
            claim(f"frames/s over {way} driven as in 2017", rate / theirs, least=1)
        time_passes(settings, folder)
        if settings.memory_seconds:
            short, long = (
                convert(repeat(settings, folder, times), settings.exported, folder / str(times))[1]
                for times in (1, 10)
            )
            claim("memory to convert a video ten times as long", long / short, most=1.05)
    return 0


class Timed:
    """Measures a block: `seconds`, and those of CPU by this process and its ffmpegs: `busy`."""

    def __enter__(self) -> "Timed":
        self._started = time.perf_counter(), sum(os.times()[:4])
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started[0]
        self.busy = sum(os.times()[:4]) - self._started[1]


def time_passes(settings, folder: Path) -> None:
    """Times both passes over a video, and each of their stages with nothing beside it."""
    job = open_job(settings)
    draw_nothing(job.model)  # as mogrify_video.py does beside the first pass
    with Timed() as first:
        encoded = first_pass.encode_video(job.clip, job.vae_graph, "none", folder / "stages")
    recipe = first_pass.Recipe(
        encoded.latents, np.full(len(encoded.latents), STRENGTH, np.float32), encoded.drift
    )
    with Timed() as second:
        second_pass.write_video(
            job.clip, encoded, recipe, job.model.stylize, job.encoding, folder / "stages.mp4",
            folder / "segments", {},
        )  # fmt: skip
    alone = time_stages(job, recipe, folder)
    cores = os.cpu_count() or 1
    for name, whole, stages in (
        ("first", first, ("decode", "observe", "encode")),
        ("second", second, ("decode", "stylize", "write")),
    ):
        seconds, busy = zip(*(alone[stage] for stage in stages), strict=True)
        words = ", ".join(f"{stage} {alone[stage][0]:.1f} s" for stage in stages)
        console.say(
            f"{name} pass {whole.seconds:.1f} s with {whole.busy / whole.seconds:.2f} of {cores} "
            f"cores busy; stages alone: {words}, {sum(busy):.1f} s of CPU in all"
        )
        claim(f"{name} pass over its slowest stage alone", whole.seconds / max(seconds), most=1.15)
        least = max(*seconds, sum(busy) / cores)  # all cores busy from start to end
        claim(f"{name} pass over the least that its stages allow", whole.seconds / least, most=1.15)


def open_job(settings) -> SimpleNamespace:
    """Opens what a conversion with default constants needs."""
    source, crop = look_at(settings.video, None)
    vae_graph, about = graphs.load_graph(settings.exported, "vae")
    stylizer, _ = graphs.load_graph(settings.exported, "stylizer")
    geometry = clips.Geometry.of(source, crop, "source", "none", about["scale"])
    return SimpleNamespace(
        clip=clips.Clip(source, crop, geometry.tile_size, about["scale"], 0.0, 0.0),
        encoding=clips.Encoding(geometry, "none", CRF, PRESET),
        vae_graph=vae_graph,
        stylizer=stylizer,  # whose variables live as long as it does
        model=SimpleNamespace(stylize=stylizer.stylize, about=about),
    )


def time_stages(
    job: SimpleNamespace, recipe: first_pass.Recipe, folder: Path
) -> dict[str, tuple[float, float]]:
    """Times each stage with nothing beside it, all but decoding on frames of the video's middle.

    Returns:
        Seconds and seconds of CPU that a stage would take for the whole video, by name.
    """
    clip, geometry, scale = job.clip, job.encoding.geometry, job.clip.scale
    half_segment = second_pass.SEGMENT_FRAMES / 2 / float(clip.source.rate)
    middle = max(0.0, clip.source.seconds / 2 - half_segment)
    part = dataclasses.replace(clip, start_seconds=middle)
    frames = np.stack(list(itertools.islice(part.read(), second_pass.SEGMENT_FRAMES)))
    large = tiles.mirror_to_tile(frames, scale)
    batches = [slice(i, i + clips.BATCH) for i in range(0, len(large), clips.BATCH)]
    drawn = []

    def observe() -> None:
        memory: Any = SimpleNamespace(read=lambda _: iter(frames), expected_frames=len(frames))
        memory.scale = scale
        for _ in first_pass.Observed(memory).go_by():
            pass

    def encode() -> None:
        for part in batches:
            job.vae_graph.encode(tiles.reduce(large[part], scale))

    def stylize() -> None:
        replenisher = Replenisher(scale)
        for part in batches:
            shown = replenisher.add(large[part])
            drawn.append(recipe.draw(job.model.stylize, shown, part.start))

    def write() -> None:
        flicker = second_pass.Flicker()
        with job.encoding.writer(folder / "alone.mp4", clip.source.rate) as writer:
            for part, after in zip(batches, drawn, strict=True):
                flicker.add(geometry.cut(large[part]), geometry.cut(after))
                writer.write(geometry.cut(after))

    with Timed() as timed:
        for _ in clip.read():
            pass
    alone = {"decode": (timed.seconds, timed.busy)}
    share = len(frames) / len(recipe.codes)
    for stage in (observe, encode, stylize, write):
        with Timed() as timed:
            stage()
        alone[stage.__name__] = timed.seconds / share, timed.busy / share
    return alone


def convert(path: Path, exported: Path, out: Path) -> tuple[float, float]:
    """Converts a video; returns seconds and the peak memory of the process in GiB."""
    program = (
        "import sys; import mogrify_video; from cadl import console\n"
        "status = mogrify_video.main(sys.argv[1:]); print(console.peak_memory()); sys.exit(status)"
    )
    command = [sys.executable, "-c", program, "--videos", path.resolve(), "--exported",
               exported.resolve(), "--out", out]  # fmt: skip
    started = time.perf_counter()
    finished = subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - started, float(finished.stdout.split()[-1])


def repeat(settings, folder: Path, times: int) -> Path:
    """Makes a video of the first seconds of another one, so many times over."""
    path, first = folder / f"times-{times}.mp4", folder / "first.mp4"
    ffmpeg = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y"]
    cut = ["-i", settings.video.resolve(), "-t", settings.memory_seconds, "-an", first]
    loop = ["-stream_loop", times - 1, "-i", first, "-c", "copy", path]
    for words in (cut, loop):
        subprocess.run(list(map(str, ffmpeg + words)), check=True)
    return path


def load_ours(exported: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the exported networks as a function from uint8 tiles to uint8 tiles."""
    vae_graph, _ = graphs.load_graph(exported, "vae")
    stylizer, _ = graphs.load_graph(exported, "stylizer")
    one, still = np.ones(1, np.float32), np.zeros((1, 2), np.float32)
    return lambda tile: stylizer.stylize(vae_graph.encode(tile)["z_mean"], tile, one, still).numpy()


def load_theirs() -> Callable[[np.ndarray], np.ndarray]:
    """Returns the untrained VAE of 2017 as such a function: encoder and decoder, a call each."""
    model = ancestor.build_ancestor()
    pixels, _ = model.inputs
    drawn, z_mean, _ = model.outputs
    z = next(layer for layer in model.layers if layer.name == ancestor.SAMPLE).output
    encode, decode = (
        tf.function(keras.Model(start, end), reduce_retracing=True)
        for start, end in ((pixels, z_mean), (z, drawn))
    )
    return lambda tile: tiles.to_uint8(decode(encode(tiles.to_float(tile))).numpy())


def drive_as_in_2017(source: video.Video, networks, count: int, folder: Path) -> float:
    """Returns frames per second, one frame and one thing at a time."""
    size = source.display_size(tiles.Crop())
    writer = movie.FrameWriter(
        folder / "baseline.mp4", rate=Fraction(source.rate), size=size, output_size=size
    )
    full = video.read_frames(source, crop=tiles.Crop(), size=(source.width, source.height))
    started = 0.0
    with writer:
        for number, frame in enumerate(itertools.islice(full, count + 1)):
            if number == 1:  # the first call compiles
                started = time.perf_counter()
            tile = np.asarray(Image.fromarray(frame).resize((tiles.WIDTH, tiles.HEIGHT)))[None]
            enlarged = Image.fromarray(networks(tile)[0]).resize(size, Image.Resampling.LANCZOS)
            writer.write(np.asarray(enlarged))
    return number / (time.perf_counter() - started)


if __name__ == "__main__":
    sys.exit(main())
