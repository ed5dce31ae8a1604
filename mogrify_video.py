"""Step 7 of 7: paints videos in a painter's style, frame by frame, with their sound.

    python mogrify_video.py --videos data/videos/clip.mp4 --style van-gogh --strength 0.75

Writes out/<video>-<style>.mp4 and, beside it, a picture of several strengths and a JSON of all
that is known of the conversion. A first pass encodes every frame; another strength or style uses
it again. Stopped at any moment, the same command goes on where it was.
"""

import dataclasses
import errno
import functools
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

from cadl import (
    clips,
    console,
    embeddings,
    files,
    first_pass,
    gallery,
    graphs,
    latents,
    second_pass,
    shards,
    video,
)
from cadl.settings import Amount, Range, Share, read_settings, to_json
from cadl.tiles import Crop, shape_at
from cadl.vae import CODES

import numpy as np

VIDEOS: list[Path] = [Path("data/videos")]  # a video, several, or a folder of them
STYLE: str = ""  # painting source, picture file, or a blend a:0.6,b:0.4; empty: the first painter
STRENGTH: Share = 0.75  # 0 reconstructs the video, 1 gives it all to the painter
STYLE_MAP: Literal["mean", "ancestor", "diagonal", "gaussian"] = "gaussian"  # how codes are moved

STROKES: Literal["fast", "normal", "fine"] = "normal"  # edges: soft, usual, or at 640x360, slow

FOLLOW_CAMERA: bool = True  # strokes move as the whole picture does; if not, they keep their places

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

STYLIZERS = {"fast": "stylizer-fast", "normal": "stylizer", "fine": "stylizer-fine"}
FAR = 3.5  # distance from what was trained on that is worth a warning; unseen films have 2 to 3
LADDER_STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


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
    vae_graph, vae_about = graphs.load_graph(settings.exported, "vae")
    stylizer, about = graphs.load_graph(
        settings.exported, STYLIZERS[settings.strokes], vae_fingerprint=vae_about["vae"]
    )
    sources = embeddings.load_embeddings(settings.exported / "embeddings.npz", about["vae"])
    model = SimpleNamespace(
        vae=vae_graph,
        stylize=stylizer.stylize,
        about=about,
        trained=[source for name, source in sources.items() if name in about["sources"]],
    )
    style = find_style(settings.style, sources, vae_graph)

    rows: list[list[Any]] = []
    failed = 0
    for path in paths:
        started = time.monotonic()
        try:
            row = convert(path, style, looks[path], size, model, settings)
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
    """

    name: str
    painter: latents.Statistics
    key: str


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
    parts = []
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
            console.say(f"{path} is taken as a style of its own, {name}")
        parts.append(name + colon + weight)
    name = ",".join(parts)
    weights = latents.parse_style(name, list(painters))
    made_of = [keys[name] for name in weights]
    return Style(name, latents.blend(painters, weights), files.hash_of([*made_of, name]))


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
            found += video.find_videos(path)
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
    look: Callable[[], tuple[video.Video, Crop]],
    size: str | tuple[int, int],
    model: SimpleNamespace,
    settings: SimpleNamespace,
) -> tuple[str, int, str]:
    """Converts one video; returns the file written, its frames, and a remark."""
    name = f"{shards.source_name(path.stem)}-{shards.source_name(style.name)}"
    target = settings.out / f"{name}.mp4"
    request = request_of(path, style, model.about, settings)
    work = settings.out / "work"
    unrecorded = not target.with_suffix(".json").exists()
    # If it was killed after its video was joined, before its record, joining again costs little.
    if not (unrecorded and second_pass.was_begun(work / name, request)):
        frames = frames_made_before(target, request, settings.replace)
        if frames:
            return str(target), frames, "was finished before"
    with files.only_one(work / name):
        source, own_crop = look()
        clip, geometry = plan(source, own_crop, size, model.about["scale"], settings)
        passes = work / "passes" / shards.source_name(path.stem)
        with ThreadPoolExecutor(1) as pool:
            prepared = pool.submit(draw_nothing, model)
            encoded = first_pass.encode_video(clip, model.vae, model.about["vae"], passes)
            prepared.result()
        if not settings.follow_camera:
            encoded = dataclasses.replace(encoded, drift=np.zeros_like(encoded.drift))
        distance = tell_distance(path, encoded, model)
        move = encoded.style_move(style.painter, settings.style_map)
        smoothing = settings.smoothing_seconds * float(clip.source.rate)

        def restyle(strength: float) -> first_pass.Recipe:
            return encoded.restyle(move, strength, smoothing)

        draw_ladder(target, encoded, restyle, model.stylize, geometry, settings.style_map)
        target.with_suffix(".json").unlink(missing_ok=True)  # it tells of what is replaced
        encoding = clips.Encoding(geometry, settings.compare, settings.crf, settings.preset)
        try:
            report = second_pass.write_video(
                clip, encoded, restyle(settings.strength), model.stylize, encoding, target,
                work / name, request,
            )  # fmt: skip
        except RuntimeError:  # the passes saw different frames: neither may be gone on with
            first_pass.forget(passes)
            second_pass.clean_up(work / name)
            raise
        report |= {
            "request": request,
            "crop": str(clip.crop),
            "shots": int(encoded.shots[-1]) + 1,
            "distance_from_training": distance,
        }
        files.write_json(target.with_suffix(".json"), report)
        second_pass.clean_up(work / name)
    console.say(
        f"{target}: {report['frames']} frames of {geometry.output_size[0]}x"
        f"{geometry.output_size[1]} at {clip.source.rate} frames/s; sound: {report['sound']}; "
        f"flicker {report['flicker_output']:.2f}, of the input {report['flicker_input']:.2f}"
    )
    return str(target), report["frames"], report["sound"]


def draw_nothing(model: SimpleNamespace) -> None:
    """Draws an empty tile: TensorFlow prepares the graph at its first call, for two seconds."""
    codes, still = np.zeros((1, CODES), np.float32), np.zeros((1, 2), np.float32)
    tile = np.zeros((1, *shape_at(model.about["scale"])), np.uint8)
    model.stylize(codes, tile, np.ones(1, np.float32), still)


def request_of(path: Path, style: Style, about: dict, settings: SimpleNamespace) -> dict:
    """Returns everything that a conversion depends on."""
    request = {
        key: value
        for key, value in to_json(settings).items()
        if key not in ("videos", "exported", "out", "replace")
    }
    return request | {
        "style": style.name,
        "input": files.identity(path),
        "vae": about["vae"],
        "refiner": about["refiner"],
        "painter": style.key,
        "segment_frames": second_pass.SEGMENT_FRAMES,
        "format": second_pass.FORMAT,
    }


def look_at(path: Path, crop: Crop | None) -> tuple[video.Video, Crop]:
    """Finds out what a video is, and its black borders if no crop is given."""
    source = video.probe(path)
    return source, crop or video.find_crop(source)


def plan(
    source: video.Video,
    crop: Crop,
    size: str | tuple[int, int],
    scale: int,
    settings: SimpleNamespace,
) -> tuple[clips.Clip, clips.Geometry]:
    """Works out, and says, what will be read, at the scale of the refiner, and written.

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
    geometry = clips.Geometry.of(
        source, crop, size, settings.compare, scale=2 if settings.strokes == "fine" else scale
    )
    console.say(
        f"{source.path.name}: {source.width}x{source.height}, {len(source.times)} frames at "
        f"{source.rate} frames/s{' (variable)' if source.variable_rate else ''}, crop {crop}, "
        f"sound {'+'.join(source.audio_codecs) or 'none'}; output {geometry.output_size[0]}x"
        f"{geometry.output_size[1]}"
    )
    clip = clips.Clip(
        source, crop, geometry.tile_size, scale, settings.start_seconds, settings.length_seconds
    )
    return clip, geometry


def tell_distance(path: Path, encoded: first_pass.Encoded, model: SimpleNamespace) -> float | None:
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


def draw_ladder(target, encoded, restyle, stylize, geometry, style_map) -> None:
    """Writes a picture of a few frames at several strengths, before the long part begins.

    Args:
        target: the video that is made; the picture is named after it.
        encoded: by the first pass.
        restyle: returns the recipe for a strength.
        stylize: draws tiles.
        geometry: sizes.
        style_map: as STYLE_MAP.
    """
    rows = [list(geometry.cut(encoded.samples))]
    for strength in LADDER_STRENGTHS:
        recipe = restyle(strength).of(encoded.sample_indices)
        rows.append(list(geometry.cut(recipe.draw(stylize, encoded.samples))))
    sheet = gallery.contact_sheet(
        rows,
        title=f"{target.stem}, map {style_map}",
        row_labels=["original", *(f"strength {strength}" for strength in LADDER_STRENGTHS)],
    )
    path = target.with_name(f"{target.stem}-ladder.png")
    gallery.save_picture(path, sheet)
    console.say(f"wrote {path}: have a look while the video is made")


if __name__ == "__main__":
    sys.exit(main())
