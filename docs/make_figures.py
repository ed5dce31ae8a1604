"""Draws the pictures of docs/results.md and of the README from finished conversions.

    python -m docs.make_figures --film piece.mp4 --painted out/piece-monet.mp4,out/piece-dots.mp4

Writes docs/teaser.jpg (one frame of the film, and the same in each hand); docs/ladder.jpg from the
ladder picture that mogrify_video.py left beside the first painted video; docs/map.jpg and
docs/codes.jpg from the page of evaluate_embeddings.py; and docs/curve.png from the run of
train_vae.py.
"""

import itertools
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

FILM: Path = Path("out/bench/hands/pieces/film.mp4")  # a video as it was
PAINTED: list[Path] = []  # the same video, as mogrify_video.py painted it in several hands
FRAME: Count = 22  # which frame is shown in all hands
REPORT: Path = Path("out/embeddings")  # the page of evaluate_embeddings.py
CODES_OF: str = ""  # source whose codes are shown; the film's if empty
RUN: Path = Path("log/vae")  # of train_vae.py
DOCS: Path = Path("docs")  # where the pictures go

COLUMNS, WIDTH = 5, 320  # of the teaser
LONGEST_GAP = 3  # times the usual one between two measurements; what is longer was a break


@console.script
def main(argv: list[str] | None = None) -> int:
    """Draws all pictures and returns the exit status."""
    settings = read_settings(argv)
    if not settings.painted:
        raise UserError("PAINTED: give at least one painted video")
    first = settings.painted[0]
    codes = f"codes-{settings.codes_of or files.source_name(settings.film.stem)}.png"
    for name, path in (
        ("ladder", first.with_name(f"{first.stem}-ladder.png")),
        ("map", settings.report / "map.png"),
        ("codes", settings.report / codes),
    ):
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((960, 1280), Image.Resampling.LANCZOS)
        gallery.save_picture(settings.docs / f"{name}.jpg", picture)
    gallery.save_picture(settings.docs / "curve.png", curve_of(settings.run))
    sheet = teaser([settings.film, *settings.painted], settings.frame)
    gallery.save_picture(settings.docs / "teaser.jpg", sheet)
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


def teaser(paths: list[Path], number: int) -> Image.Image:
    """Sets one frame of several videos beside each other, under their names."""
    frames = [frame_at(path, number) for path in paths]
    names = ["film", *(path.stem.removeprefix(f"{paths[0].stem}-") for path in paths[1:])]
    rows = range(0, len(paths), COLUMNS)
    return gallery.contact_sheet(
        [frames[row : row + COLUMNS] for row in rows],
        labels=[names[row : row + COLUMNS] for row in rows],
    )


def frame_at(path: Path, number: int) -> np.ndarray:
    """Reads a frame of a video, as wide as the pictures of the teaser: uint8 [h, w, 3]."""
    source = probing.probe(path)
    width, height = source.display_size(Crop())
    frames = reader.read_frames(source, crop=Crop(), size=(WIDTH, round(WIDTH * height / width)))
    return next(itertools.islice(frames, min(number, len(source.times) - 1), None))


if __name__ == "__main__":
    sys.exit(main())
