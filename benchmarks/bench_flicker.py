"""Claim: what moves in the output is what moves in the video.

    python -m benchmarks.bench_flicker --exported exported --picture painting.jpg

Films a picture that stands still, pans by whole pixels and by parts of one, with a sensor's grain
and without, compresses the films as cameras do, converts them, and compares each frame with the one
before, moved as the camera moved: the warping error, of 255, beside that of the film itself. Codes
are sampled, posterior means, or smoothed means; with the last, strokes keep their places or follow
the camera, as they do in mogrify_video.py.

A film without grain that stands still, or moves by whole pixels, is copied from frame to frame by
the codec: its own error is thousandths of a level, and a ratio to it says little.
"""

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.claims import claim
from cadl import clips, console, embeddings, first_pass, graphs, latents, motion, tiles, video
from cadl.replenishment import Replenisher
from cadl.settings import Count, Seed, read_settings
from data import make_samples

import imageio_ffmpeg
import numpy as np
from PIL import Image

EXPORTED: Path = Path("exported")  # SavedModels and embeddings
PICTURE: str = ""  # what is filmed; a sample painting if empty
FRAMES: Count = 24  # of each film
GRAINS: list[float] = [0.0, 2.0]  # deviation of the films' grain, of 255; a sensor has 1 to 4
SEED: Seed = 1  # of grain and sampled codes

PANS = {"still": 0.0, "pan by 2 pixels": 2.0, "pan by 0.7 pixels": 0.7}  # a frame
SMOOTHING_FRAMES = 0.08 * 24  # the default of mogrify_video.py at 24 frames a second
STRENGTHS = (0.0, 0.75, 1.0)
MARGIN = 8  # columns at the sides that are not compared


@console.script
def main(argv: list[str] | None = None) -> int:
    """Films, converts and prints a table."""
    settings = read_settings(argv)
    vae_graph, about = graphs.load_graph(settings.exported, "vae")
    stylizer, _ = graphs.load_graph(
        settings.exported, "stylizer", vae_fingerprint=about["vae"], scale=1
    )
    sources = embeddings.load_embeddings(settings.exported / "embeddings.npz", about["vae"])
    painter, usual = (
        next(source for source in sources.values() if source.kind == kind)
        for kind in ("painting", "video")
    )
    rng = np.random.default_rng(settings.seed)
    rows = []
    for (pan, step), grain in itertools.product(PANS.items(), settings.grains):
        name = f"{pan}, grain {grain:g}"
        frames = film(settings, step, grain)
        shown = Replenisher().add(frames)  # to the networks, as mogrify_video.py does
        posterior = vae_graph.encode(shown)
        means, log_vars = (np.asarray(posterior[key]) for key in ("z_mean", "z_log_var"))
        noise = rng.standard_normal(means.shape).astype(np.float32)
        one_shot = np.zeros(len(means), int)
        smoothed = latents.smooth(means, one_shot, frames=SMOOTHING_FRAMES)
        camera = motion.CameraMotion()
        drift = np.array([camera.add(frame) for frame in frames])
        drift = motion.smooth_drift(drift, one_shot)
        ways = {
            "sampled codes": (means + np.exp(0.5 * log_vars) * noise, 0 * drift),
            "means": (means, 0 * drift),
            "smoothed means": (smoothed, 0 * drift),
            "smoothed means, strokes follow": (smoothed, drift),
        }
        before = warping_error(frames, step)
        for way, (codes, moves) in ways.items():
            cells = []
            for strength in STRENGTHS:
                moved = latents.map_latents(
                    codes, usual, painter,
                    style_map=latents.DEFAULT_STYLE_MAP, strength=strength,
                )  # fmt: skip
                drawn = draw(stylizer.stylize, moved, shown, strength, moves)
                cells.append(warping_error(drawn, step))
            rows.append([name, way, *map("{:.3f}".format, (before, *cells))])
        for strength, most in ((0.0, 1.0), (1.0, 1.3)):
            error = cells[STRENGTHS.index(strength)]
            claim(f"{name}, strength {strength:g}: warping error over the film's",
                  error / before, most=most)  # fmt: skip
    header = ["film", "codes", "of the film", *(f"strength {s}" for s in STRENGTHS)]
    console.say(console.table(header, rows))
    return 0


def film(settings, step: float, grain: float) -> np.ndarray:
    """Films the picture, moving by `step` pixels a frame: uint8 [N, 180, 320, 3]."""
    if settings.picture:
        picture = Image.open(settings.picture).convert("RGB")
    else:
        picture = make_samples.paint(make_samples.Scene(5).draw(640, 400, 0.3), 5)
    room = int(np.ceil(step * settings.frames))
    scale = max((tiles.WIDTH + room) / picture.width, tiles.HEIGHT / picture.height)
    picture = picture.resize((round(picture.width * scale) + 1, round(picture.height * scale) + 1))
    frames = [
        np.asarray(picture.transform(
            (tiles.WIDTH, tiles.HEIGHT), Image.Transform.AFFINE, (1, 0, i * step, 0, 1, 0),
            Image.Resampling.BICUBIC,
        ))
        for i in range(settings.frames)
    ]  # fmt: skip
    rng = np.random.default_rng(settings.seed)
    noise = grain * rng.standard_normal((len(frames), tiles.HEIGHT, tiles.WIDTH, 1))
    grained = np.clip(np.stack(frames) + noise, 0, 255).round().astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "rawvideo", "-pix_fmt",
                   "rgb24", "-s", f"{tiles.WIDTH}x{tiles.HEIGHT}", "-r", "24", "-i", "-",
                   "-c:v", "libx264", "-crf", "23", "-pix_fmt", "yuv420p", str(path)]  # fmt: skip
        subprocess.run(command, input=grained.tobytes(), check=True)
        size = tiles.WIDTH, tiles.HEIGHT
        return np.stack(list(video.read_frames(video.probe(path), crop=tiles.Crop(), size=size)))


def draw(stylize, codes: np.ndarray, frames: np.ndarray, strength: float, drift) -> np.ndarray:
    """Returns the drawn frames, uint8."""
    recipe = first_pass.Recipe(codes, np.full(len(frames), strength, np.float32), drift)
    starts = range(0, len(frames), clips.BATCH)
    return np.concatenate([recipe.draw(stylize, frames[i : i + clips.BATCH], i) for i in starts])


def warping_error(frames: np.ndarray, step: float) -> float:
    """Returns the mean difference between frames and those before, moved by `step` columns."""
    whole, part = int(step), step - int(step)
    differences = []
    for before, after in zip(frames[:-1].astype(np.float32), frames[1:], strict=True):
        moved = (1 - part) * np.roll(before, -whole, 1) + part * np.roll(before, -whole - 1, 1)
        gap = np.abs(moved - after)[:, MARGIN : -MARGIN - whole - 1]
        differences.append(gap.mean())
    return float(np.mean(differences))


if __name__ == "__main__":
    sys.exit(main())
