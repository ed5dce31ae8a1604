"""Claim: strokes move with what they lie on, and keep their looks from frame to frame.

    python -m benchmarks.bench_flicker --videos a.mp4,b.mp4 --pictures painting.jpg

Paints films at their own size and full strength, in the films' own colours, so that no trained
networks are needed. Films are parts of videos, and pictures filmed with a known motion. Each is
painted twice: with strokes that the optical flow carries, and with the same strokes fixed to the
screen. The warping error is the mean change between neighbouring frames once the film's motion is
undone, of 255, at a width of 640 pixels (`benchmarks/measure_video.py`). Where the motion is known,
the known one is undone.

Where the motion is measured, another figure says what would change if the strokes of each frame did
nothing but follow it.

Films that stand still are compressed as cameras do; a codec copies what it can, so their own change
is a small part of a level.
"""

import functools
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from benchmarks.claims import claim
from benchmarks.measure_video import (
    LEAST_MOVING,
    WIDTH,
    Motion,
    find_motion,
    laplacian,
    warping_error,
)
from cadl import console
from cadl.conversion.brushwork import Brushwork, lay_strokes
from cadl.conversion.clip import Geometry, resize
from cadl.images import tiles
from cadl.images.tiles import Crop
from cadl.settings import Seed, read_settings
from cadl.strokes.averaging import MEASURED_EVERY, TrackAverager
from cadl.strokes.flat import palette_of
from cadl.strokes.hand import TRACKED, Hand
from cadl.strokes.hands import load_hand
from cadl.strokes.looks import measure_looks
from cadl.strokes.points import sample
from cadl.strokes.stroke import Looks
from cadl.strokes.track_files import CHUNK_FRAMES, Tracked, TrackWriter, read_tracks
from cadl.strokes.tracks import LIVES, StrokeTracker
from cadl.video import probing, reader
from cadl.video.flow import Flow, OpticalFlow
from cadl.video.shots import ShotFinder
from cadl.video.writer import FrameWriter, Quality
from data import sample_painters

import cv2
import numpy as np

VIDEOS: list[Path] = []  # films; the part in PARTS of those that are known, else their beginning
PICTURES: list[Path] = []  # what is filmed: ground and disc; sample paintings if empty
FILMS: list[str] = []  # only films whose names contain one of these; all if empty
HAND: str = ""  # file of a hand, of strokes or hatching; the fixed brush if empty
SEED: Seed = 1  # of the grain

RATE = Fraction(24)
HEIGHT = 360
CRF = 23  # of films that are compressed
DISC_RADIUS, DISC_START, DISC_SPEED = 75, (150.0, 240.0), (6.6, -3.3)
DISC_INSIDE = 27  # pixels from its edge that are left out: half a broad stroke reaches so far
PAN, SLOW_PAN, ZOOM = 6.0, 0.7, 1.01  # pixels a frame, and growth a frame
GRAIN = 2.0  # deviation, of 255
MOVED = np.array((2.4, 1.3), np.float32)  # pixels, of a painting that moves as a whole
MARGIN = 8  # pixels of a known motion's frame that are left out at its edges


class Part(NamedTuple):
    """Which part of a video is a film, and how much of what moves may change over its own."""

    name: str
    start_seconds: float
    frames: int
    crop: str
    most: float


PARTS = {
    "big-buck-bunny": Part("bird", 15.67, 72, "0:0:0:0", 1.3),
    "sintel-trailer": Part("dragons", 24.6, 72, "88:0:88:0", 1.9),
    "mdn-flower": Part("flower", 0.0, 90, "0:0:0:0", 1.3),
}


@dataclass(frozen=True)
class Film:
    """What is painted.

    Attributes:
        name: of it.
        frames: uint8 [h, w, 3] each, at their own size.
        rate: frames a second.
        most: how much of what moves may change, over the film's own; None where that says little.
        known: motion into each frame but the first, at a width of 640 pixels; None if unknown.
    """

    name: str
    frames: list[np.ndarray]
    rate: Fraction
    most: float | None = None
    known: list[Motion] | None = None


@dataclass
class Painted:
    """What was painted of a film, and what it took.

    Attributes:
        frames: uint8 [h, w, 3] each, at a width of 640 pixels.
        milliseconds: CPU time of each stage in all.
        births: strokes born a frame, in frames that don't begin a shot.
        deaths: strokes gone a frame, in the same ones.
        lengths: frames that each stroke of the longest shot lived.
        bytes: of the tracks on disk, a frame of a long film.
        floor: change of what moves, of 255, if strokes only moved by the motion that is measured.
    """

    frames: list[np.ndarray] = field(default_factory=list)
    milliseconds: dict[str, float] = field(default_factory=dict)
    births: float = 0.0
    deaths: float = 0.0
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0))
    bytes: float = 0.0
    floor: float = float("nan")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the CPU time of a block to a stage."""
        started = time.process_time()
        yield
        spent = 1000 * (time.process_time() - started)
        self.milliseconds[name] = self.milliseconds.get(name, 0.0) + spent


@console.script
def main(argv: list[str] | None = None) -> int:
    """Films, paints, measures, and prints claims and two tables."""
    settings = read_settings(argv)
    hand = load_hand(Path(settings.hand)) if settings.hand else Hand()
    changes, costs = [], []
    for name, make in films(settings):
        if settings.films and not any(part in name for part in settings.films):
            continue
        film = make()
        size = WIDTH, max(2, round(WIDTH * film.frames[0].shape[0] / film.frames[0].shape[1]))
        own = [resize(frame, size) for frame in film.frames]
        motions = find_motion(own)
        measured = motions if film.most and film.known is None else []
        carried = paint(film.frames, hand, follow=True, motions=measured)
        fixed = paint(film.frames, hand, follow=False)
        errors = [warping_error(frames, motions) for frames in (own, carried.frames, fixed.frames)]
        known = [float("nan")] * 3
        if film.known:
            ways = own, carried.frames, fixed.frames
            known = [warping_error(frames, film.known, 0.0)[0] for frames in ways]
        sharp = [laplacian(frames) for frames in (own, carried.frames, fixed.frames)]
        changes.append([name, *(f"{x:.2f}" for x in (*zip(*errors), *[known]) for x in x),
                        *map("{:.1f}".format, sharp)])  # fmt: skip
        megabytes = carried.bytes / 1e6 * 60 * float(film.rate)
        costs.append([
            name, "{}x{}".format(*film.frames[0].shape[1::-1]), f"{carried.births:.0f}",
            f"{carried.deaths:.0f}", f"{np.median(carried.lengths):.0f}",
                f"{median_seen(carried.lengths):.0f} of {len(own)}",
            f"{megabytes:.1f}",
            *(f"{value / len(own):.1f}" for value in carried.milliseconds.values()),
        ])  # fmt: skip
        make_claims(film, errors, known, sharp, megabytes)
        if measured:
            least, change = least_change(film.frames[len(own) // 2], hand), errors[1][1]
            console.say(
                f"{name}: what moves changes by {change:.2f} of 255; by {carried.floor:.2f} if "
                f"strokes only followed the measured motion; by {least:.2f} if one painting moved "
                "as a whole"
            )
            if hand.kind == "hatching":
                claim(f"{name}: change over that painting's", change / least, most=1.3)
    header = ["film", *(f"{what}: {way}" for what in ("all", "moving", "known")
                        for way in ("film", "carried", "fixed")),
              *(f"Laplacian: {way}" for way in ("film", "carried", "fixed"))]  # fmt: skip
    console.say(console.table(header, changes))
    header = ["film", "size", "births a frame", "deaths a frame", "median life", "of those seen",
              "MB a minute"]  # fmt: skip
    stages = ("flow", "list", "looks", "averaging", "drawing")
    console.say(console.table([*header, *(f"ms {stage}" for stage in stages)], costs))
    return 0


def make_claims(film: Film, errors: list, known: list, sharp: list, megabytes: float) -> None:
    """Says what is claimed of a film."""
    own, carried, _ = (moving for _, moving in errors)
    if film.most and not film.known:
        claim(f"{film.name}: change of what moves over the film's", carried / own, most=film.most)
    elif film.most:
        claim(f"{film.name}: change inside, its motion undone, over the film's",
              known[1] / known[0], most=film.most)  # fmt: skip
    elif film.name.startswith("pan by 6"):
        claim(f"{film.name}: change, the motion undone, of 255", known[1], most=1.0)
    elif film.name == "still, grain":
        claim(f"{film.name}: change over the film's", known[1] / known[0], most=1.1)
    elif film.name == "still":
        claim(f"{film.name}: change, of 255", known[1], most=0.2)
    claim(f"{film.name}: mean absolute Laplacian, of 255", sharp[1], least=6)
    claim(f"{film.name}: Laplacian over that of strokes fixed to the screen",
          sharp[1] / sharp[2], least=0.95)  # fmt: skip
    claim(f"{film.name}: MB of tracks a minute", megabytes, most=25)


def films(settings) -> Iterator[tuple[str, Callable[[], Film]]]:
    """Yields names of films and the functions that make them."""
    for path in settings.videos:
        usual = Part(path.stem, 0.0, 72, "0:0:0:0", 1.9)
        part = next((own for stem, own in PARTS.items() if path.stem.startswith(stem)), usual)
        yield part.name, functools.partial(read_film, path, part)
    yield "disc", lambda: film_disc(settings)
    yield "pan by 6 pixels", lambda: film_move(settings, "pan by 6 pixels", 36, pan=PAN)
    yield "pan by 0.7 pixels", lambda: film_move(settings, "pan by 0.7 pixels", 24, pan=SLOW_PAN)
    yield "zoom", lambda: film_move(settings, "zoom", 24, zoom=ZOOM)
    yield "still", lambda: compressed(film_move(settings, "still", 24))
    yield "still, grain", lambda: compressed(film_move(settings, "still, grain", 24, grain=GRAIN))


def read_film(path: Path, part: Part) -> Film:
    """Reads a part of a video."""
    source, crop = probing.probe(path), Crop.parse(part.crop)
    frames = reader.read_frames(
        source, crop=crop, size=source.display_size(crop), start_seconds=part.start_seconds,
        num_frames=part.frames,
    )  # fmt: skip
    return Film(part.name, list(frames), source.rate, part.most)


def picture(settings, number: int, width: int, height: int) -> np.ndarray:
    """Returns what is filmed, so large that it covers a size: uint8 [height, width, 3]."""
    if settings.pictures:
        path = settings.pictures[number % len(settings.pictures)]
        found = np.asarray(tiles.load_picture(path))
    else:
        found = sample_painters.painting("dabs", number)
    scale = max(width / found.shape[1], height / found.shape[0])
    size = int(np.ceil(scale * found.shape[1])), int(np.ceil(scale * found.shape[0]))
    return resize(found, size)[:height, :width]


def film_disc(settings) -> Film:
    """Films a textured disc that moves over still ground; what is known is the motion inside."""
    ground = picture(settings, 0, WIDTH, HEIGHT)
    texture = picture(settings, 1, 320, 320).astype(np.float32)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    frames, known = [], []
    for number in range(40):
        left, top = (
            start + number * speed for start, speed in zip(DISC_START, DISC_SPEED, strict=True)
        )
        far = np.hypot(x - left, y - top)
        inside = np.clip(DISC_RADIUS + 0.5 - far, 0, 1)[..., None]
        way = x - np.float32(left - 160), y - np.float32(top - 160)
        disc = cv2.remap(texture, way[0], way[1], cv2.INTER_LINEAR)
        frames.append(np.clip(ground * (1 - inside) + disc * inside + 0.5, 0, 255).astype(np.uint8))
        back = np.tile(np.array([-speed for speed in DISC_SPEED], np.float32), (HEIGHT, WIDTH, 1))
        known.append(Motion(back, far < DISC_RADIUS - DISC_INSIDE))
    return Film("disc", frames, RATE, 1.3, known[1:])


def film_move(
    settings, name: str, count: int, *, pan: float = 0.0, zoom: float = 1.0, grain: float = 0.0
) -> Film:
    """Films a picture that the camera pans over or zooms into, with a known motion."""
    whole = picture(settings, 0, WIDTH + int(np.ceil(pan * count)), HEIGHT).astype(np.float32)
    rng = np.random.default_rng(settings.seed)
    middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2], np.float32)
    grid = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).astype(np.float32)
    frames = []
    for number in range(count):
        place = (grid - middle) / zoom**number + middle + np.array([pan * number, 0], np.float32)
        place = place.astype(np.float32)
        shown = cv2.remap(
            whole, place[..., 0], place[..., 1], cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )  # fmt: skip
        shown = shown + grain * rng.standard_normal((HEIGHT, WIDTH, 1))
        frames.append(np.clip(shown + 0.5, 0, 255).astype(np.uint8))
    back = (grid - middle) / zoom + middle + np.array([pan, 0], np.float32) - grid
    there = grid + back
    inside = (there >= MARGIN) & (there <= np.array([WIDTH, HEIGHT], np.float32) - MARGIN)
    motion = Motion(back.astype(np.float32), inside[..., 0] & inside[..., 1])
    return Film(name, frames, RATE, None, [motion] * (count - 1))


def compressed(film: Film) -> Film:
    """Returns a film as a camera writes it."""
    height, width = film.frames[0].shape[:2]
    size = width, height
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "film.mp4")
        with FrameWriter(
            path, rate=film.rate, size=size, output_size=size, quality=Quality(CRF, "medium")
        ) as writer:
            writer.write(np.stack(film.frames))
        frames = list(reader.read_frames(probing.probe(path), crop=Crop(), size=size))
    return Film(film.name, frames, film.rate, film.most, film.known)


def paint(
    frames: Sequence[np.ndarray],
    hand: Hand,
    *,
    follow: bool,
    motions: Sequence[Motion | None] = (),
) -> Painted:
    """Paints a film at its own size, strength 1, in its own colours.

    Args:
        frames: uint8 [h, w, 3] each.
        hand: the recipe.
        follow: carry the strokes; else they are fixed to the screen.
        motions: between frames, of WIDTH pixels, to find the floor by; none if empty.
    """
    painted = Painted()
    height, width = frames[0].shape[:2]
    scale = TRACKED / max(width, height)
    small = [resize(frame, (round(scale * width), round(scale * height))) for frame in frames]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        track(small, hand, folder, painted, follow)
        tracked = list(read_tracks(folder, 0, len(frames)))
    count_lives(tracked, painted)
    size = WIDTH, max(2, round(WIDTH * height / width))
    averaged = average_looks(small, small, tracked, hand, painted)
    brushwork, palette = brushwork_of(hand, small[0]), palette_of(small[0], hand)
    floors: list[float] = []
    following = [*itertools.zip_longest(frames[1:], motions), (None, None)]
    for frame, layers, looks, (after, motion) in zip(
        frames, tracked, averaged, following, strict=True
    ):
        with painted.stage("drawing"):
            drawn = lay_strokes(frame, frame, brushwork, layers, looks, palette=palette)
            painted.frames.append(resize(drawn, size))
        if after is not None and motion is not None and motion.moving.mean() >= LEAST_MOVING:
            places = [move_by(motion, own.places) for own in layers]
            carried = [own._replace(places=at) for own, at in zip(layers, places, strict=True)]
            drawn = lay_strokes(after, after, brushwork, carried, looks, palette=palette)
            there = resize(drawn, size)
            change = np.abs(motion.undo(painted.frames[-1]) - there).mean(-1)
            floors.append(float(change[motion.moving].mean()))
    if floors:
        painted.floor = float(np.mean(floors))
    return painted


def brushwork_of(hand: Hand, small: np.ndarray) -> Brushwork:
    """Returns how one hand paints, at full size, films whose tracked frames are like this one."""
    size = small.shape[1::-1]
    return Brushwork(Geometry(size, size, size, size), ((hand, 1.0),), rate=float(RATE))


def move_by(motion: Motion, places: np.ndarray) -> np.ndarray:
    """Moves places of a tracked frame, float32 [n, 2], on by a motion that leads back."""
    begin = there = places * np.float32(WIDTH / TRACKED)
    for _ in range(3):
        there = begin - sample(motion.back, there)
    return there * np.float32(TRACKED / WIDTH)


def least_change(frame: np.ndarray, hand: Hand) -> float:
    """Returns the change that is measured of one painting that moves as a whole, of 255.

    A frame, uint8 [h, w, 3], is painted, and again with all strokes moved by a part of a pixel.
    To undo this blurs what is fine: no painting that moves shows less.
    """
    height, width = frame.shape[:2]
    scale = TRACKED / max(width, height)
    small = resize(frame, (round(scale * width), round(scale * height)))
    carried = StrokeTracker([hand], small.shape[1::-1]).add(0, small, None)
    speed = float(np.hypot(*MOVED)) * TRACKED / WIDTH
    speeds = [np.full(len(own.places), speed, np.float32) for own in carried]
    looks = measure_looks(small, small, hand, [own.places for own in carried], speeds=speeds)
    size = WIDTH, max(2, round(WIDTH * height / width))
    brushwork, palette = brushwork_of(hand, small), palette_of(small, hand)
    pictures = []
    for shift in (np.zeros(2, np.float32), MOVED):
        moved = [
            Tracked(own.places + shift * TRACKED / WIDTH, own.identities, own.fates,
                    np.ones(len(own.places), np.float32), moving)
            for own, moving in zip(carried, speeds, strict=True)
        ]  # fmt: skip
        way = np.column_stack([np.eye(2), shift * width / WIDTH])
        canvas = cv2.warpAffine(frame, way, (width, height), borderMode=cv2.BORDER_REFLECT)
        drawn = lay_strokes(canvas, canvas, brushwork, moved, looks, palette=palette)
        pictures.append(resize(drawn, size))
    back = Motion(np.full((*size[::-1], 2), -MOVED, np.float32), np.ones(size[::-1], bool))
    change = np.abs(back.undo(pictures[0]) - pictures[1])
    return float(change[MARGIN:-MARGIN, MARGIN:-MARGIN].mean())


def track(
    small: Sequence[np.ndarray], hand: Hand, folder: Path, painted: Painted, follow: bool
) -> None:
    """Follows the strokes through all frames and writes their tracks."""
    height, width = small[0].shape[:2]
    tracker = StrokeTracker([hand], (width, height))
    writer, optical_flow, shots, last = TrackWriter(folder, tracker), OpticalFlow(), ShotFinder(), 0
    still = Flow(*(np.zeros((height, width, 2), np.float32) for _ in range(2)))
    for number, frame in enumerate(small):
        shot = shots.add(frame)
        with painted.stage("flow"):
            flow = optical_flow.add(frame, cut=shot != last) if follow else still
        if not number or shot != last:
            flow = None
        with painted.stage("list"):
            carried = tracker.add(number, frame, flow)
            writer.add(carried)
        last = shot
        if not number:
            first = TrackWriter(folder / "first", tracker)
            first.add(carried)
            first.write()
    writer.write()
    begin, whole = (
        sum(path.stat().st_size for path in where.glob("tracks-*"))
        for where in (folder / "first", folder)
    )
    # Long films begin a chunk of tracks only now and then.
    painted.bytes = (whole - begin) / (len(small) - 1) + begin / CHUNK_FRAMES


def count_lives(tracked: list[list[Tracked]], painted: Painted) -> None:
    """Counts births and deaths a frame, and how long strokes of the longest shot live.

    Frames that begin a shot are left out.
    """
    births, deaths, frames = 0, 0, 0
    shots: list[list[Counter]] = []  # of each frame of a shot
    for layers in tracked:
        kept = sum(int((own.fates == LIVES).sum()) for own in layers)
        if kept:
            frames += 1
            births += sum(len(own.places) for own in layers) - kept
            deaths += sum(len(own.fates) for own in layers) - kept
        else:
            shots.append([])
        shots[-1].append(
            Counter((i, name) for i, own in enumerate(layers) for name in own.identities.tolist())
        )
    longest: Counter = Counter()
    for seen in max(shots, key=len):
        longest.update(seen)
    painted.lengths = np.array(list(longest.values()))
    painted.births, painted.deaths = births / max(1, frames), deaths / max(1, frames)


def median_seen(lengths: np.ndarray) -> float:
    """Returns the median life of strokes that are seen in a frame: long ones are in more frames."""
    lengths = np.sort(lengths)
    sums = np.cumsum(lengths)
    return float(lengths[np.searchsorted(sums, sums[-1] / 2)])


def average_looks(
    small: Sequence[np.ndarray],
    colours: Sequence[np.ndarray],
    tracked: list[list[Tracked]],
    hand: Hand,
    painted: Painted,
) -> Iterator[list[Looks]]:
    """Yields the looks of each frame's strokes, measured as in a conversion.

    Args:
        small: frames as strokes were followed on, uint8 [h, w, 3] each.
        colours: the same in the painter's colours.
        tracked: strokes of each frame, a layer each.
        hand: the recipe.
        painted: what the CPU time is added to.
    """
    layers = hand.layers()
    averagers = [TrackAverager(layer.printed) for layer in layers]
    for number, (frame, moved, strokes) in enumerate(zip(small, colours, tracked, strict=True)):
        rows: list = [None] * len(layers)
        if number % MEASURED_EVERY:
            rows = [np.arange((own.fates == LIVES).sum(), len(own.places)) for own in strokes]
        some = [slice(None) if own is None else own for own in rows]
        places = [own.places[which] for own, which in zip(strokes, some, strict=True)]
        speeds = [own.speed[which] for own, which in zip(strokes, some, strict=True)]
        with painted.stage("looks"):
            looks = measure_looks(frame, moved, hand, places, speeds=speeds)
        with painted.stage("averaging"):
            tables = [
                averager.add(own.table(), some, layer.fates, len(layer.places))
                for averager, own, some, layer in zip(averagers, looks, rows, strokes, strict=True)
            ]
        if tables[0] is not None:
            yield [Looks.of_table(table) for table in tables if table is not None]
    rest = zip(*(averager.finish() for averager in averagers), strict=True)
    while True:
        with painted.stage("averaging"):
            last = next(rest, None)
        if last is None:
            return
        yield [Looks.of_table(table) for table in last]


if __name__ == "__main__":
    sys.exit(main())
