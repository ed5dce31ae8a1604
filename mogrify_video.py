"""Step 7 of 7: paints videos, or pictures, in a painter's style, with their sound.

    python mogrify_video.py --videos data/videos/clip.mp4 --style van-gogh --strength 0.75

Writes out/<video>-<style>.mp4 and, beside it, a picture of several strengths and a JSON of all
that is known of the conversion. A first pass encodes every frame; another strength or style uses
it again. Stopped at any moment, the same command goes on where it was.
"""

import dataclasses
import errno
import functools
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

from cadl import console, files
from cadl.conversion import encode_pass, passes, render_pass, segments
from cadl.conversion.clip import Clip, Encoding, Geometry, resize
from cadl.conversion.codes import Encoded, MovedCodes
from cadl.conversion.frame_painter import Brushwork, FramePainter
from cadl.conversion.rendering import Rendering, paint_alone, read_frames_at
from cadl.dataset import shards
from cadl.images import closeups, gallery
from cadl.images.tiles import PICTURE_SUFFIXES, Crop
from cadl.networks import saved_models
from cadl.networks.vae import CODES
from cadl.settings import Amount, Count, Range, Share, read_settings, to_json
from cadl.strokes import hands
from cadl.strokes.hand import Hand
from cadl.strokes.track_files import DamagedTracks, read_tracks
from cadl.style import embeddings, latents
from cadl.video import probing
from cadl.workers import WorkerKilled, WorkerPool

import numpy as np

VIDEOS: list[Path] = [Path("data/videos")]  # a video or picture, several, or a folder of videos
STYLE: str = ""  # painting source, picture file, or a blend a:0.6,b:0.4; empty: the first painter
STRENGTH: Share = 0.75  # 0 reconstructs the video, 1 gives it all to the painter
STYLE_MAP: Literal["mean", "ancestor", "diagonal", "gaussian"] = "gaussian"  # how codes are moved

HAND: str = ""  # another painter's strokes, or a hand's file; empty: those of STYLE
HAND_STEPS: Count = 40  # recipes that are tried for a single picture as a style
STROKE_SIZE: Annotated[float, Range(0.25, 4)] = 1.0  # how many times larger strokes are
QUALITY: Literal["draft", "full"] = "full"  # draft: at half the size, enlarged: a quick look
HOLD_FRAMES: Annotated[int, Range(1, 24)] = 1  # frames a painted state is held; 2: "on twos"

CROP: str = "auto"  # black borders: auto, or top:left:bottom:right in pixels
START_SECONDS: Amount = 0.0  # where to begin, from the file's start
LENGTH_SECONDS: Amount = 0.0  # how much to convert; 0 is all
SMOOTHING_SECONDS: Annotated[float, Range(0, 10)] = 0.08  # of codes, within a shot; 0: none

OUTPUT_SIZE: str = "source"  # source (cropped), tile (320x180), or width x height, cut to fit
COMPARE: Literal["none", "inset", "side"] = "none"  # also show the original
CRF: Annotated[int, Range(0, 51)] = 20  # quality of the H.264 file: less is better and larger
PRESET: Literal["ultrafast", "superfast", "veryfast", "medium", "slow"] = "superfast"  # of x264
REPLACE: bool = False  # replace a finished output that was made with other settings

EXPORTED: Path = Path("exported")  # SavedModels and embeddings
OUT: Path = Path("out")  # where the videos go

FAR = 3.5  # distance from what was trained on that is worth a warning; unseen films have 2 to 3
LADDER_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
LADDER_FRAMES = 4
LADDER_WIDTH = 854  # pixels of a frame on it, at most


@console.script
def main(argv: list[str] | None = None) -> int:
    """Converts all videos and returns the exit status."""
    settings = read_settings(argv)
    crop = None if settings.crop == "auto" else Crop.parse(settings.crop)
    size = parse_size(settings.output_size)
    paths = find_videos(settings.videos)
    pool = ThreadPoolExecutor(1)  # ffmpeg looks at the first video while TensorFlow loads
    looks: dict[Path, Callable] = {path: functools.partial(look_at, path, crop) for path in paths}
    looks[paths[0]] = pool.submit(look_at, paths[0], crop).result
    pool.shutdown(wait=False)
    vae_graph, vae_about = saved_models.load_graph(settings.exported, "vae")
    stylizer, about = saved_models.load_graph(
        settings.exported, "stylizer", vae_fingerprint=vae_about["vae"]
    )
    sources = embeddings.load_embeddings(settings.exported / "embeddings.npz", about["vae"])
    model = SimpleNamespace(
        vae=vae_graph,
        stylizer=stylizer,
        about=about,
        trained=[source for name, source in sources.items() if name in about["sources"]],
    )
    style = find_style(settings.style, sources, vae_graph)

    rows: list[list[Any]] = []
    failed = 0
    for path in paths:
        started = time.monotonic()
        try:
            with WorkerPool() as workers:
                row = convert(path, style, looks[path], size, model, workers, settings)
        except (ValueError, OSError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            if len(paths) == 1:
                raise
            console.warn(f"skipped {error}")
            row, failed = (path.name, 0, "failed"), failed + 1
        target, frames, note = row
        rows.append([target, frames, time.monotonic() - started, note])
    if len(rows) > 1:
        console.say(console.table(["video", "frames", "seconds", "note"], rows))
    if failed == len(paths):
        raise ValueError("no video could be converted: see the warnings above")
    console.finish(
        f"{'Found' if all(row[3].startswith('was finished') for row in rows) else 'Wrote'} "
        f"{', '.join(row[0] for row in rows if row[1])}"
    )
    return 1 if failed else 0


@dataclasses.dataclass(frozen=True)
class Style:
    """Where codes are moved to.

    Attributes:
        name: as STYLE, pictures by their names.
        painter: moments of the painter, picture or blend.
        key: of what these were made from.
        weights: of the painters that it blends, by name.
        pictures: files of those that are single pictures, by name.
    """

    name: str
    painter: latents.Statistics
    key: str
    weights: dict[str, float]
    pictures: dict[str, Path]


def find_style(wanted: str, sources: dict, vae_graph) -> Style:
    """Reads STYLE: a painter, a picture file, or a blend of them.

    Args:
        wanted: as STYLE.
        sources: statistics of each source, by `embeddings.load_embeddings`.
        vae_graph: SavedModel with `encode`, for pictures.

    Raises:
        ValueError: something in it is neither, or there is no painter at all.
    """
    painters = {name: source for name, source in sources.items() if source.kind == "painting"}
    keys = {
        name: source.mean.tobytes() + source.covariance.tobytes()
        for name, source in painters.items()
    }
    if not wanted:
        if not painters:
            raise ValueError("no painter in embeddings.npz: run evaluate_embeddings.py on tiles")
        wanted, *others = painters
        if others:
            console.say(f"style {wanted}; --style also knows {', '.join(others)}")
    parts, pictures = [], {}
    for part in [wanted] if files.exists(wanted, as_file=True) else wanted.split(","):
        name, colon, weight = part.strip(), "", ""
        if ":" in name and not files.exists(name, as_file=True):
            name, colon, weight = name.rpartition(":")
        if name not in painters and files.exists(name, as_file=True):
            path, name = Path(name), shards.source_name(Path(name).stem)
            if name in painters:
                raise ValueError(f"STYLE {path} has the name of another style: rename it")
            painters[name] = embeddings.embed_picture(path, vae_graph)
            keys[name] = str(files.identity(path))
            pictures[name] = path
            console.say(f"{path} is taken as a style of its own, {name}")
        parts.append(name + colon + weight)
    name = ",".join(parts)
    weights = latents.parse_style(name, list(painters))
    made_of = [keys[name] for name in weights]
    key = files.hash_of([*made_of, name])
    return Style(name, latents.blend(painters, weights), key, weights, pictures)


def find_hands(
    style: "Style", settings: SimpleNamespace, workers: WorkerPool
) -> tuple[tuple[Hand, float], ...]:
    """Returns the hands that paint, each with its share: HAND's, else the style's.

    A picture as a style has its own hand, which is fitted to it now.

    Raises:
        ValueError: HAND is no painter with a hand, or a file that can't be read.
    """
    folder = settings.exported / "hands"

    def load(name: str) -> Hand | None:
        if name in style.pictures:
            folder_of_pictures = settings.out / "work" / "hands"
            return fit_to_picture(
                style.pictures[name], settings.hand_steps, folder_of_pictures, workers
            )
        path = folder / f"{name}.json"
        return hands.load_hand(path) if path.exists() else None

    if settings.hand and files.exists(settings.hand, as_file=True):
        found = [(hands.load_hand(Path(settings.hand)), 1.0)]
    else:
        weights = style.weights
        if settings.hand:
            known = sorted(path.stem for path in folder.glob("*.json"))
            weights = latents.parse_style(settings.hand, known)
        found, missing = hands.of_style(weights, load)
        if missing:
            console.warn(
                f"no hand of {', '.join(missing)} in {folder}: a fixed brush paints; run "
                "train_refiner.py and export_graphs.py, or give --hand"
            )
    return tuple((hand.scaled(settings.stroke_size), share) for hand, share in found)


def fit_to_picture(path: Path, steps: int, folder: Path, workers: WorkerPool) -> Hand:
    """Returns the hand of a single picture, fitted by so many evaluations; it is kept."""
    own = closeups.of_picture(path)
    name = shards.source_name(path.stem)
    kept = folder / f"{name}.json"
    with files.only_one(folder / name):
        if not hands.is_fitted(own, steps, folder, name):
            with console.progress(total=steps, unit="recipe", label=f"hand of {name}") as bar:
                for best in hands.fit_hand(own, steps, folder, name, workers):
                    bar.update(min(best.evaluations, steps) - bar.n)
            if remark := closeups.remarks(own):
                console.warn(f"{path}: {remark}: do not trust its hand too far")
        hand = hands.load_hand(kept)
    console.say(f"hand of {name}: {hands.in_words(hand)} ({kept})")
    return hand


def parse_size(text: str) -> str | tuple[int, int]:
    """Reads OUTPUT_SIZE: a word, or width x height in even numbers.

    Raises:
        ValueError: it is neither.
    """
    if text in ("source", "tile"):
        return text
    width, _, height = text.replace(" ", "").partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"OUTPUT_SIZE {text!r} is not source, tile or width x height")
    if int(width) % 2 or int(height) % 2 or not 2 <= int(width) <= 8192 >= int(height) >= 2:
        raise ValueError(f"OUTPUT_SIZE {text}: both must be even, from 2 to 8192")
    return int(width), int(height)


def find_videos(given: list[Path]) -> list[Path]:
    """Lists the videos given, and those in folders given.

    Raises:
        FileNotFoundError: something is not there, or there is no video in it.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += probing.find_videos(path)
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(f"VIDEOS {path}: no such file or folder")
    if not found:
        raise FileNotFoundError(f"no videos in {', '.join(map(str, given))}")
    names: dict[str, Path] = {}
    for path in found:
        other = names.setdefault(shards.source_name(path.stem), path)
        if other != path:
            raise ValueError(f"{other} and {path} would be written under one name: rename one")
    return found


def convert(
    path: Path,
    style: Style,
    look: Callable[[], tuple[probing.Video, Crop]],
    size: str | tuple[int, int],
    model: SimpleNamespace,
    workers: WorkerPool,
    settings: SimpleNamespace,
) -> tuple[str, int, str]:
    """Converts one video; returns the file written, its frames, and a remark."""
    name = f"{shards.source_name(path.stem)}-{shards.source_name(style.name)}"
    is_picture = path.suffix.lower() in PICTURE_SUFFIXES - probing.SUFFIXES
    target = settings.out / f"{name}{'.png' if is_picture else '.mp4'}"
    painting = find_hands(style, settings, workers)
    request = request_of(path, style, painting, model.about, settings)
    work = settings.out / "work"
    unrecorded = not target.with_suffix(".json").exists()
    # If it was killed after its video was joined, before its record, joining again costs little.
    if not (unrecorded and segments.was_begun(work / name, request)):
        frames = frames_made_before(target, request, settings.replace)
        if frames:
            return str(target), frames, "was finished before"
    with files.only_one(work / name):
        source, own_crop = look()
        clip, geometry = plan(source, own_crop, size, settings)
        passes_folder = work / "passes" / shards.source_name(path.stem)
        with ThreadPoolExecutor(1) as pool:
            prepared = pool.submit(warm_up, model)
            analysis = encode_pass.analyse_video(
                clip,
                geometry,
                [hand for hand, _ in painting],
                encode_with(model),
                model.about["vae"],
                passes_folder,
            )
            prepared.result()
        job = Job(clip, geometry, painting, analysis, style, model, workers, settings)
        report = paint(job, target, passes_folder, work / name, request)
        report |= {
            "request": request,
            "crop": str(clip.crop),
            "shots": int(analysis.encoded.shots[-1]) + 1,
            "distance_from_training": tell_distance(path, analysis.encoded, model),
        }
        files.write_json(target.with_suffix(".json"), report)
        segments.clean_up(work / name)
    size_shown = "{}x{}".format(*report["output_size"])
    words = f"{target}: {size_shown}"
    if not is_picture:
        words = (
            f"{target}: {report['frames']} frames of {size_shown} at {clip.source.rate} frames/s; "
            f"sound: {report['sound']}; flicker {report['flicker_output']:.2f}, of the input "
            f"{report['flicker_input']:.2f}"
        )
    console.say(words)
    return str(target), report["frames"], report["sound"]


@dataclasses.dataclass(frozen=True)
class Job:
    """A video that is being converted.

    Attributes:
        clip: the part of the video.
        geometry: its sizes.
        hands: recipes that paint it, with the share of each.
        analysis: what pass 1 found.
        style: where codes and colours are moved to.
        model: the networks.
        workers: processes that draw.
        settings: of the script.
    """

    clip: Clip
    geometry: Geometry
    hands: tuple[tuple[Hand, float], ...]
    analysis: encode_pass.Analysis
    style: Style
    model: SimpleNamespace
    workers: WorkerPool
    settings: SimpleNamespace

    def render(self, strength: float) -> Rendering:
        """Returns what the video is painted from at a strength."""
        encoded, settings = self.analysis.encoded, self.settings
        draft = settings.quality == "draft"
        move = encoded.style_move(self.style.painter, settings.style_map)
        smoothing = settings.smoothing_seconds * float(self.clip.source.rate)
        strengths = encoded.strengths(strength)
        codes = MovedCodes(encoded, smoothing, move, strengths)
        brushwork = Brushwork(self.geometry, self.hands, draft=draft)
        painter = FramePainter(brushwork, change_with(self.model), codes, strengths)
        samples = encoded.sample_indices, encoded.samples
        if self.style.painter.colours:
            painter = painter.with_colours(*samples, self.style.painter.colours)
        if any(hand.kind == "flat" for hand, _ in self.hands):
            painter = painter.with_palettes(
                encoded.shots, encoded.shot_frames, encoded.shot_pictures
            )
        preset = "ultrafast" if draft else settings.preset
        encoding = Encoding(self.geometry, settings.compare, settings.crf, preset)
        return Rendering(
            self.clip, encoded, self.analysis.tracks, painter, encoding, settings.hold_frames,
            self.workers,
        )  # fmt: skip


def paint(
    job: Job, target: Path, passes_folder: Path, segments_folder: Path, request: dict
) -> dict:
    """Draws the ladder, paints the video or picture, and returns what is known of it.

    Args:
        job: what is painted.
        target: the file to write.
        passes_folder: where what pass 1 found is kept; removed if it does not fit.
        segments_folder: where segments go.
        request: everything that the result depends on.
    """
    try:
        draw_ladder(target, job.render, job.settings.style_map)
        target.with_suffix(".json").unlink(missing_ok=True)  # it tells of what is replaced
        rendering = job.render(job.settings.strength)
        if job.clip.source.is_picture:
            return render_pass.write_picture(rendering, target)
        return render_pass.write_video(rendering, target, segments_folder, request)
    except DamagedTracks:
        passes.forget(job.analysis.tracks)
        raise
    except WorkerKilled:
        raise
    except RuntimeError:  # the passes saw different frames: neither may be gone on with
        passes.forget(passes_folder)
        segments.clean_up(segments_folder)
        raise


def encode_with(model: SimpleNamespace) -> Callable[[np.ndarray], np.ndarray]:
    """Returns the function from tiles to latents."""
    return lambda tiles: np.asarray(model.vae.encode(tiles)["z_mean"])


def change_with(model: SimpleNamespace) -> Callable:
    """Returns the function that says how frames are moved, as `FramePainter.change`."""

    def change(codes: np.ndarray, own: np.ndarray) -> tuple:
        changed = model.stylizer.change(codes, own)
        return np.asarray(changed["offset"]), np.asarray(changed["matrix"])

    return change


def warm_up(model: SimpleNamespace) -> None:
    """Moves an empty frame: TensorFlow prepares the graph at its first call, for two seconds."""
    codes = np.zeros((1, CODES), np.float32)
    model.stylizer.change(codes, codes)


def request_of(
    path: Path, style: Style, painting: tuple, about: dict, settings: SimpleNamespace
) -> dict:
    """Returns everything that a conversion depends on."""
    request = {
        key: value
        for key, value in to_json(settings).items()
        if key not in ("videos", "exported", "out", "replace", "hand_steps")
    }
    return request | {
        "style": style.name,
        "input": files.identity(path),
        "vae": about["vae"],
        "refiner": about["refiner"],
        "painter": style.key,
        "recipes": json.loads(json.dumps([[hand.to_json(), share] for hand, share in painting])),
        "segment_frames": segments.SEGMENT_FRAMES,
        "format": segments.FORMAT,
    }


def look_at(path: Path, crop: Crop | None) -> tuple[probing.Video, Crop]:
    """Finds out what a video is, and its black borders if no crop is given."""
    source = probing.probe(path)
    return source, crop or probing.find_crop(source)


def plan(
    source: probing.Video, crop: Crop, size: str | tuple[int, int], settings: SimpleNamespace
) -> tuple[Clip, Geometry]:
    """Works out, and says, what will be read and written.

    Raises:
        ValueError: it begins after the video's end.
    """
    if settings.start_seconds > max(0.0, source.times[-1]):
        raise ValueError(
            f"START_SECONDS {settings.start_seconds:g} is past the end of {source.path}, whose "
            f"last frame is at {source.times[-1]:.2f} s"
        )
    if size != "source":
        crop = source.cover_crop(crop, *([] if isinstance(size, str) else [size]))
    draft = settings.quality == "draft"
    geometry = Geometry.of(source, crop, size, settings.compare, draft)
    console.say(
        f"{source.path.name}: {source.width}x{source.height}, {len(source.times)} frames at "
        f"{source.rate} frames/s{' (variable)' if source.variable_rate else ''}, crop {crop}, "
        f"sound {'+'.join(source.audio_codecs) or 'none'}; output {geometry.output_size[0]}x"
        f"{geometry.output_size[1]}"
    )
    return Clip(source, crop, settings.start_seconds, settings.length_seconds), geometry


def tell_distance(path: Path, encoded: Encoded, model: SimpleNamespace) -> float | None:
    """Returns how far a video is from what was trained on, None if unknown; warns if it is far."""
    if not model.trained:
        return None
    distance = latents.distance_from(encoded.statistics, model.trained)
    if distance > FAR:
        console.warn(
            f"{path} is unlike what the model was trained on (distance {distance:.1f}, of that "
            "itself 1.0): add it to the videos of extract_tiles.py and train further"
        )
    return distance


def frames_made_before(target: Path, request: dict, replace: bool) -> int:
    """Returns the frames of an output that is finished, 0 if it is to be made.

    Raises:
        ValueError: it was made with other settings, another input or another model.
    """
    if not target.exists():
        return 0
    try:
        record = files.read_json(target.with_suffix(".json"))
        before, frames = record["request"], record["frames"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        before, frames = None, 0
    if before == request:
        console.say(f"{target} was finished before with the same settings")
        return frames
    if replace:
        return 0
    if before is None:
        raise ValueError(
            f"{target} exists, and there is no record of how it was made: give --replace yes or "
            "another --out"
        )
    changed = sorted(key for key in request if before.get(key) != request[key])
    raise ValueError(
        f"{target} exists and was made with other {', '.join(changed)}: "
        "give --replace yes or another --out"
    )


def draw_ladder(target: Path, render: Callable[[float], Rendering], style_map: str) -> None:
    """Writes a picture of a few frames at several strengths, before the long part begins.

    Args:
        target: the video that is made; the picture is named after it.
        render: returns what frames of a strength are painted from.
        style_map: as STYLE_MAP.
    """
    first = render(0.0)
    geometry = first.encoding.geometry
    shown = np.linspace(0, len(first.encoded.samples) - 1, LADDER_FRAMES + 2).astype(int)
    shown = np.unique(shown[1:-1])
    numbers, frames, tracked = first.encoded.sample_indices[shown].tolist(), [], []
    for number, sample in zip(numbers, first.encoded.samples[shown], strict=True):
        found = read_frames_at(first, number, 1)
        frames.append(found[0] if found else resize(sample, geometry.picture_size))
        tracked.append(next(read_tracks(first.tracks, number, number + 1)))
    painted = [
        paint_alone(render(strength), numbers, frames, tracked) for strength in LADDER_STRENGTHS
    ]
    rows = [frames, *([future.result() for future in row] for row in painted)]
    sheet = gallery.contact_sheet(
        rows,
        title=f"{target.stem}, map {style_map}",
        row_labels=["original", *(f"strength {strength}" for strength in LADDER_STRENGTHS)],
        scale=min(1.0, LADDER_WIDTH / geometry.picture_size[0]),
    )
    path = target.with_name(f"{target.stem}-ladder.png")
    gallery.save_picture(path, sheet)
    console.say(f"wrote {path}: have a look while the video is made")


if __name__ == "__main__":
    sys.exit(main())
