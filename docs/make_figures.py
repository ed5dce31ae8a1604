"""Draws the README's pictures from finished conversions.

    python -m docs.make_figures --originals sintel.mp4,bunny.mp4 --painted out/a.mp4,out/b.mp4

Writes docs/teaser.jpg (frames of each original above the same frames painted), docs/strip.jpg
(frames of the first one that follow each other), docs/frame.jpg (one whole frame of it);
docs/ladder.jpg from the ladder picture that mogrify_video.py left beside the last painted video;
docs/map.jpg and docs/codes.jpg (of the first one) from the page of evaluate_embeddings.py;
and docs/curve.png from the run of train_vae.py.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

from benchmarks.bench_learning import draw_curves
from cadl import console, files
from cadl.errors import UserError
from cadl.images import gallery
from cadl.images.tiles import Crop
from cadl.settings import Count, read_settings
from cadl.video import probing, reader

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ORIGINALS: list[Path] = []  # videos as they were
PAINTED: list[Path] = []  # the same videos as mogrify_video.py made them, in the same order
REPORT: Path = Path("out/embeddings")  # the page of evaluate_embeddings.py
RUN: Path = Path("log/vae")  # of train_vae.py
DOCS: Path = Path("docs")  # where the pictures go
FRAMES: list[float] = [0.15, 0.45, 0.65]  # which frames of each video, as parts of its length
STRIP_AT: Count = 300  # first frame of the strip
FRAME_AT: Count = 760  # the whole frame

STRIP_FRAMES = 4
WIDTH = 427
LONGEST_GAP = 3  # times the usual one between two measurements; what is longer was a break


@console.script
def main(argv: list[str] | None = None) -> int:
    """Draws all pictures and returns the exit status."""
    settings = read_settings(argv)
    if not settings.painted or len(settings.originals) != len(settings.painted):
        raise UserError("give as many --originals as --painted, at least one of each")
    above, below = [], []
    for number, paths in enumerate(zip(settings.originals, settings.painted, strict=True)):
        sources = [probing.probe(path) for path in paths]
        total = min(len(source.times) for source in sources)
        wanted = (np.array(settings.frames) * total).astype(int)
        above += frames_at(sources[0], probing.find_crop(sources[0]), wanted)
        below += frames_at(sources[1], Crop(), wanted)
        if number == 0:
            first = min(settings.strip_at, total - STRIP_FRAMES)
            following = frames_at(sources[1], Crop(), first + np.arange(STRIP_FRAMES))
            gallery.save_picture(settings.docs / "strip.jpg", gallery.contact_sheet([following]))
            save_frame(settings.docs / "frame.jpg", sources[1], min(settings.frame_at, total - 1))
    last = settings.painted[-1]
    codes = f"codes-{files.source_name(settings.originals[0].stem)}.png"
    for name, path in (
        ("ladder", last.with_name(f"{last.stem}-ladder.png")),
        ("map", settings.report / "map.png"),
        ("codes", settings.report / codes),
    ):
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((960, 1280), Image.Resampling.LANCZOS)
        gallery.save_picture(settings.docs / f"{name}.jpg", picture)
    gallery.save_picture(settings.docs / "curve.png", curve_of(settings.run))
    gallery.save_picture(settings.docs / "teaser.jpg", teaser(above, below, len(settings.frames)))
    console.finish(f"Wrote the README's pictures to {settings.docs}")
    return 0


def curve_of(run: Path) -> Image.Image:
    """Draws PSNR against the time that a run took, breaks cut to LONGEST_GAP intervals."""
    events = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
    trained, held_out = (events.Tensors(f"psnr/{name}") for name in ("train", "validation"))
    gaps = np.diff([events.FirstEventTimestamp(), *(one.wall_time for one in trained)])
    seconds = np.cumsum(np.minimum(gaps, LONGEST_GAP * np.median(gaps)))
    points = [
        (second, *(float(tf.make_ndarray(x.tensor_proto)) for x in (one, other)))
        for second, one, other in zip(seconds, trained, held_out, strict=True)
    ]
    learner = SimpleNamespace(name=f"{trained[-1].step} steps", curve=points)
    return draw_curves([learner], points[-1][0])


def save_frame(path: Path, source: probing.Video, number: int) -> None:
    """Saves one frame of a video as it is."""
    frames = reader.read_frames(
        source,
        crop=Crop(),
        size=source.display_size(Crop()),
        start_seconds=number / float(source.rate),
        num_frames=1,
    )
    gallery.save_picture(path, Image.fromarray(next(frames)))


def teaser(above: list[np.ndarray], below: list[np.ndarray], frames: int) -> Image.Image:
    """Sets pairs of rows below each other."""
    rows = []
    for start in range(0, len(above), frames):
        rows += [above[start : start + frames], below[start : start + frames]]
    return gallery.contact_sheet(rows)


def frames_at(source: probing.Video, crop: Crop, wanted: np.ndarray) -> list[np.ndarray]:
    """Reads some frames at the width of the pictures, cut to 16:9."""
    frames = reader.read_frames(source, crop=source.cover_crop(crop), size=(WIDTH, WIDTH * 9 // 16))
    places = set(map(int, wanted))
    return [frame for number, frame in enumerate(frames) if number in places]


if __name__ == "__main__":
    sys.exit(main())
