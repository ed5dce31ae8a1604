"""Claim: films painted in the hands of several painters look like each one's own pictures.

    python -m benchmarks.bench_hands --paintings data/paintings --videos data/videos

Short pieces of each film are painted by `mogrify_video.py` in every painter's hand, at strength 1
and the film's own size, and compared with held-out pictures of each painter, 640 pixels wide: by
patches in colour and in light alone, by a classifier of true pictures, and by a judge of two
samples. Beside them: the frames with the painter's mean and spread of colours but no strokes
(Reinhard et al. 2001, doi 10.1109/38.946629), one fixed brush in the painter's colours, and a
floor, half of the held-out pictures against the other half. Large forms alone are compared with all
of a painter's pictures, film by film, beside the whole film with their mean and spread of colours.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.claims import claim
from benchmarks.hand_judges import CROP, Classifier, Patches, tell_apart
from benchmarks.measures import band_distances, draw_patches
from benchmarks.recolouring import recolour, recolour_as_a_whole, spread_of_light
from cadl import console, files, inputs
from cadl.errors import UserError
from cadl.images import closeups, gallery, metrics, tiles
from cadl.settings import Count, read_settings
from cadl.strokes import texture
from cadl.strokes.hand import CANVAS, Hand
from cadl.video import probing, reader
from cadl.video.writer import FrameWriter, Quality

import cv2
import numpy as np

PAINTINGS: Path = Path("data/paintings")  # a folder of pictures for each painter
TILES: Path = Path("data/tiles")  # close-ups, which say what pictures are held out
EXPORTED: Path = Path("exported")  # networks and hands
VIDEOS: list[Path] = [Path("data/videos")]  # films that are painted
PAINTERS: list[str] = []  # only these; all that have close-ups if empty
PIECES: Count = 4  # of each film, each a second or less
PIECE_FRAMES: Count = 9  # of which the middle one is measured
OUT: Path = Path("out/bench/hands")  # pieces, painted pieces, the picture

MOST_PICTURES = 24  # held-out pictures of a painter
WAY = {"dots": 0.85, "hatching": 0.85, "flat": 0.75}  # wanted, from recoloured to the floor
OWN_CROPS = {"dots": 0.9, "hatching": 0.9, "flat": 0.9}  # called their own by the classifier
OTHER_WAY, OTHER_CROPS = 0.8, 0.75  # the same two shares, for all painters not named above
LEFT = 2.0  # mean change of 255, up to which a frame was left unpainted
BLACK = 12  # mean of 255, below which a frame is almost black
CHROMA = 0.15  # by which mean chroma may differ from the painter's


@dataclass(frozen=True)
class Painter:
    """Pictures of a painter, uint8 [h, w, 3] each.

    Attributes:
        name: as its source.
        known: some of those that the hand was fitted to, 640 pixels wide.
        held_out: some of the others, as wide.
        taught: all pictures that are not held out, at the scale of close-ups.
        asked: all that are, at that scale.
    """

    name: str
    known: list[np.ndarray]
    held_out: list[np.ndarray]
    taught: list[np.ndarray]
    asked: list[np.ndarray]


@console.script
def main(argv: list[str] | None = None) -> int:
    """Paints, measures, prints tables and claims, and draws a sheet."""
    settings = read_settings(argv)
    own = {name: closeups.load(settings.tiles, name) for name in find_painters(settings)}
    painters = [read_painter(settings.paintings / name, x) for name, x in own.items()]
    pieces = [
        cut_pieces(path, settings.out / "pieces", settings) for path in files_of(settings.videos)
    ]
    films = [middles(path, settings) for path in pieces]
    frames = [frame for film in films for frame in film]
    classifier = Classifier({x.name: x.taught for x in painters})
    tell_of_classifier(classifier, painters)
    fixed = settings.out / "fixed-brush.json"
    files.write_json(fixed, Hand().to_json())
    painted: dict[str, list[np.ndarray]] = {}
    plain: dict[str, list[np.ndarray]] = {}
    for painter in painters:
        for found, folder, more in (
            (painted, "painted", []), (plain, "fixed", ["--hand", fixed]),
        ):  # fmt: skip
            outputs = paint(pieces, painter.name, settings.out / folder, more, settings)
            found[painter.name] = [x for path in outputs for x in middles(path, settings)]
    compare(painters, frames, painted, plain)
    compare_large_forms(painters, films, painted)
    tell_of_contents(painters, frames, painted)
    judge(painters, classifier, frames, painted)
    draw(settings.out / "hands.png", painters, own, frames, painted)
    return 0


def find_painters(settings) -> list[str]:
    """Returns the painters that have close-ups and pictures."""
    if settings.painters:
        return settings.painters
    names = [path.stem.partition("-")[2] for path in sorted(settings.tiles.glob("closeups-*.npz"))]
    found = [name for name in names if (settings.paintings / name).is_dir()]
    if len(found) < 2:
        raise UserError(f"{settings.tiles} has close-ups of {len(found)} painters: give two")
    return found


def files_of(videos: list[Path]) -> list[Path]:
    """Lists videos, and those in folders."""
    return [
        x
        for path in videos
        for x in (inputs.find(path, probing.SUFFIXES) if path.is_dir() else [path])
    ]


def read_painter(folder: Path, own: closeups.CloseUps) -> Painter:
    """Reads a painter's pictures; those are held out whose close-ups are."""
    held = {Path(name).name for name in own.pictures[own.held_out].tolist()}
    wide: dict[bool, list[np.ndarray]] = {False: [], True: []}
    whole: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in tiles.PICTURE_SUFFIXES:
            picture = np.asarray(tiles.load_picture(path))
            sides = picture.shape[:2]
            whole[path.name in held].append(
                scaled(picture, max(CANVAS / max(sides), CROP / min(sides)))
            )
            if len(wide[path.name in held]) < MOST_PICTURES:
                wide[path.name in held].append(scaled(picture, CANVAS / picture.shape[1]))
    if len(wide[True]) < 2:
        raise UserError(f"{folder} has fewer than two held-out pictures")
    return Painter(folder.name, wide[False], wide[True], whole[False], whole[True])


def scaled(picture: np.ndarray, scale: float) -> np.ndarray:
    """Makes a picture larger or smaller."""
    height, width = (round(scale * side) for side in picture.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, (width, height), interpolation=way)


def cut_pieces(path: Path, folder: Path, settings) -> Path:
    """Joins pieces from all over a film, at its own size: between them are cuts."""
    video = probing.probe(path)
    crop = probing.find_crop(video)
    size = video.display_size(crop)
    target = folder / f"{path.stem}.mp4"
    folder.mkdir(parents=True, exist_ok=True)
    starts = (np.arange(settings.pieces) + 0.7) / (settings.pieces + 0.4) * video.seconds
    writer = FrameWriter(
        target, rate=video.rate, size=size, output_size=size, quality=Quality(crf=8)
    )
    with writer:
        for start in starts.tolist():
            for frame in reader.read_frames(
                video, crop=crop, size=size, start_seconds=start, num_frames=settings.piece_frames
            ):
                writer.write(frame)
    return target


def middles(path: Path, settings) -> list[np.ndarray]:
    """Reads the middle frame of each piece, 640 pixels wide."""
    video = probing.probe(path)
    size = CANVAS, 2 * round(CANVAS * video.height / video.width / 2)
    frames = list(reader.read_frames(video, crop=tiles.Crop(), size=size))
    return frames[settings.piece_frames // 2 :: settings.piece_frames]


def paint(pieces: list[Path], painter: str, out: Path, more: list, settings) -> list[Path]:
    """Paints films anew in a painter's colours and, unless `more` says other, hand."""
    outputs = [out / f"{path.stem}-{painter}.mp4" for path in pieces]
    for path in outputs:
        path.unlink(missing_ok=True)  # an earlier version may have painted it
    command = [
        sys.executable, "mogrify_video.py", "--videos", ",".join(map(str, pieces)), "--style",
        painter, "--strength", 1, "--crop", "0:0:0:0", "--crf", 8, "--exported", settings.exported,
        "--out", out, "--replace", "yes", *more,
    ]  # fmt: skip
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return outputs


def compare(painters: list[Painter], frames, painted: dict, plain: dict) -> None:
    """Prints tables of patch distances, and how far each hand comes of the way to the floor."""
    held = {own.name: Patches.of(own.held_out) for own in painters}
    rows = {
        f"painted as {name}": [Patches.of(own).distance_to(held[x]) for x in held]
        for name, own in painted.items()
    }
    floors, recoloured, fixed = [], [], []
    for own in painters:
        halves = [Patches.of(own.held_out[i::2]) for i in (0, 1)]
        floors.append(halves[0].distance_to(halves[1]))
        moved = Patches.of(recolour(frames, own.known))
        recoloured.append(moved.distance_to(held[own.name]))
        fixed.append(Patches.of(plain[own.name]).distance_to(held[own.name]))
    rows["the fixed brush, colours of each"] = fixed
    rows["frames, recoloured to each"] = recoloured
    rows["floor: half of its pictures"] = floors
    for number, title in enumerate(("colour", "light alone")):
        console.say(f"Patch distance to held-out pictures, {title}")
        table = [[name, *(f"{x[number]:.3f}" for x in row)] for name, row in rows.items()]
        console.say(console.table(["", *held], table))
        square = np.array([[x[number] for x in row] for row in rows.values()][: len(painters)])
        own_rows = (square.argmin(axis=1) == np.arange(len(square))).mean()
        own_columns = (square.argmin(axis=0) == np.arange(len(square))).mean()
        claim(f"hands nearest to their own pictures, {title}, by row", own_rows, least=1)
        claim(f"hands nearest to their own pictures, {title}, by column", own_columns, least=1)
    for number, own in enumerate(painters):
        ours = rows[f"painted as {own.name}"][number][0]
        bare, floor, brush = recoloured[number][0], floors[number][0], fixed[number][0]
        way = (bare - ours) / (bare - floor)
        claim(f"{own.name}: of the way from recoloured to the floor", way,
              least=WAY.get(own.name, OTHER_WAY))  # fmt: skip
        claim(f"{own.name}: distance over that of the fixed brush", ours / brush, most=0.9)


def compare_large_forms(painters: list[Painter], films: list[list], painted: dict) -> None:
    """Prints how near palette and light of large forms come to a painter's, film by film.

    The rival is each film with the painter's mean and spread of colours as a whole. Frames that are
    almost black are left out, and so are films that have no others.
    """
    first = np.cumsum([0, *map(len, films)])
    lit = {
        f"film {number + 1}": [first[number] + i for i, x in enumerate(film) if x.mean() > BLACK]
        for number, film in enumerate(films)
    }
    lit = {name: own for name, own in lit.items() if own}
    frames = [frame for film in films for frame in film]
    rows = []
    for own in painters:
        true = own.known + own.held_out
        goal = draw_patches(true)
        contrast = float(np.median([spread_of_light(x) for x in true]))
        found, spreads = [], []
        for film in lit.values():
            ours = [painted[own.name][x] for x in film]
            rival = recolour_as_a_whole([frames[x] for x in film], true)
            found.append([band_distances(draw_patches(x), goal)[-1] for x in (ours, rival)])
            spreads.append(float(np.median([spread_of_light(x) for x in ours])) / contrast)
        rows.append(
            [own.name, *(f"{a:.2f}, {b:.2f}" for a, b in found), *(f"{x:.2f}" for x in spreads)]
        )
        claim(f"{own.name}: films nearer in the coarsest octave than recoloured as a whole",
              float(np.mean([a <= b for a, b in found])), least=1)  # fmt: skip
    console.say("Coarsest octave: distance of each film painted, recoloured as a whole; and spread")
    console.say("of light within a painted frame over that within the painter's pictures")
    console.say(console.table(["hand", *lit, *(f"spread, {x}" for x in lit)], rows))


def tell_of_contents(painters: list[Painter], frames: list[np.ndarray], painted: dict) -> None:
    """Prints how much of the film is left, and how colourful it has become."""
    rows = []
    for own in painters:
        pairs = zip(frames, painted[own.name], strict=True)
        likeness = float(np.mean([_likeness(*pair) for pair in pairs]))
        goal, ours = (_chroma(x) for x in (own.known + own.held_out, painted[own.name]))
        lights = [float(np.mean([x.mean() for x in group])) / 255 for group in
                  (own.known, frames, painted[own.name])]  # fmt: skip
        numbers = (likeness, goal, _chroma(frames), ours, *lights)
        rows.append([own.name, *(f"{x:.3f}" for x in numbers)])
        claim(f"{own.name}: mean chroma, off the painter's, of 1",
              abs(ours - goal) / max(goal, 0.02), most=CHROMA)  # fmt: skip
    console.say(console.table(
        ["hand", "SSIM light", "chroma: painter", "film", "painted", "light: painter", "film",
         "painted"], rows))  # fmt: skip


def _likeness(frame: np.ndarray, painted: np.ndarray) -> float:
    pair = (tiles.to_float(own[None]) @ metrics.LUMINANCE for own in (frame, painted))
    return float(metrics.ssim(*pair).mean())


def _chroma(pictures: list[np.ndarray]) -> float:
    """Returns the mean of largest less smallest of R, G and B, of 1, at 320x180."""
    small = [cv2.resize(own, (320, 180), interpolation=cv2.INTER_AREA) for own in pictures]
    return float(np.mean([np.ptp(own.astype(np.float32), axis=2).mean() for own in small])) / 255


def tell_of_classifier(classifier: Classifier, painters: list[Painter]) -> None:
    """Prints how well the classifier knows true crops that it has not seen."""
    rows = []
    for own in painters:
        called = classifier.names_of(own.asked)
        shares = (np.mean([name == other.name for name in called]) for other in painters)
        rows.append([own.name, *(f"{share:.2f}" for share in shares)])
    console.say("Held-out true crops, by what the classifier calls them")
    console.say(console.table(["", *(own.name for own in painters)], rows))


def judge(painters: list[Painter], classifier: Classifier, frames, painted: dict) -> None:
    """Prints whose the judges call painted crops."""
    names = [own.name for own in painters]
    rows, nearest = [], []
    described = {own.name: texture.describe(own.held_out, None, seed=5) for own in painters}
    for own in painters:
        called = classifier.names_of(painted[own.name])
        shares = [float(np.mean([c == other for c in called])) for other in names]
        own_share = shares[names.index(own.name)]
        pairs = zip(frames, painted[own.name], strict=True)
        lit = [x for frame, x in pairs if cv2.absdiff(frame, x).mean() > LEFT]
        without_black = np.mean([c == own.name for c in classifier.names_of(lit)])
        true, ours = (classifier.features(x) for x in (own.asked, painted[own.name]))
        known = classifier.features(own.taught)
        told = tell_apart(true, ours), tell_apart(true, known)
        rows.append([own.name, *(f"{x:.2f}" for x in (*shares, without_black, *told))])
        claim(f"{own.name}: painted crops that the classifier calls its own",
              own_share, least=OWN_CROPS.get(own.name, OTHER_CROPS))  # fmt: skip
        found = texture.describe(painted[own.name], None, seed=5)
        del found["tone"]  # of other pictures
        apart = {x: texture.distances(found, described[x]) for x in names}
        nearest.append(
            [own.name]
            + [
                min(names, key=lambda x: apart[x][statistic])
                for statistic in ("gradient", "tensor1", "tensor2")
            ]
        )
    console.say("Painted crops, by what the classifier calls them; its own without black frames; "
                "painted or known crops told from held-out ones: 0.5 is never")  # fmt: skip
    header = ["hand", *names, "without black", "painted told", "known told"]
    console.say(console.table(header, rows))
    console.say("Painter that each hand is nearest to")
    console.say(console.table(["hand", "gradients", "structure", "at half size"], nearest))


def draw(path: Path, painters: list[Painter], own, frames: list, painted: dict) -> None:
    """Draws frames as they are and in every hand, under a true close-up each."""
    height = min(frame.shape[0] for frame in frames)
    shown = np.linspace(0, len(frames) - 1, 6).astype(int)

    def fit(picture: np.ndarray) -> np.ndarray:
        return cv2.resize(picture, (CANVAS, height), interpolation=cv2.INTER_AREA)

    true = [fit(x.held_out[0]) for x in painters]
    rows = [[np.full_like(true[0], 24), *true]]
    for number in shown:
        rows.append([fit(frames[number]), *(fit(painted[x.name][number]) for x in painters)])
    labels = [["film", *(x.name for x in painters)] for _ in rows]
    gallery.save_picture(path, gallery.contact_sheet(rows, labels=labels, scale=0.75))
    console.say(f"wrote {path}; the first row is true, crops of {CROP} pixels are judged")


if __name__ == "__main__":
    sys.exit(main())
