"""Step 1 of 7: cuts paintings and videos into tiles of 320x180 for training.

Every folder under PAINTINGS is a painter, every file under VIDEOS a video:

    python extract_tiles.py --paintings data/paintings --videos data/videos

Writes data/tiles/<kind>-<source>-00000-of-0000N.tfrecord.gz. Run it again after adding or changing
pictures: only what changed is done again.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cadl import console, files, inputs
from cadl.dataset import manifests, shards
from cadl.errors import UserError
from cadl.images import closeups, tiles
from cadl.settings import Amount, Count, read_settings
from cadl.video import probing, reader
from cadl.video.shots import ShotFinder

import numpy as np

PAINTINGS: Path = Path("data/paintings")  # folder with one folder of pictures a painter
VIDEOS: Path = Path("data/videos")  # folder of videos
TILES: Path = Path("data/tiles")  # where the tiles go

FRAME_STEP: Count = 10  # take every so-manieth frame of a video
FRAME_STEPS: dict[str, int] = {}  # the same for some videos: source=step,...
CROP: str = "auto"  # black borders of videos: auto, or top:left:bottom:right in pixels
CROPS: dict[str, str] = {}  # the same for some videos: source=top:left:bottom:right,...
TILES_PER_PICTURE: Count = 4  # a picture that is not 16:9 is covered by up to this many tiles

DROP_BLACK: Amount = 6  # frames whose mean is darker than this, of 255, are dropped; 0 keeps all
DROP_SAME: Amount = 1  # frames that differ less than this from the one kept before; 0 keeps all
REMOVE_GONE: bool = False  # also remove tiles of sources that are no longer there


@console.script
def main(argv: list[str] | None = None) -> int:
    """Extracts all sources and returns the exit status."""
    settings = read_settings(argv)
    default_crop = None if settings.crop == "auto" else tiles.Crop.parse(settings.crop)
    crops = {name: tiles.Crop.parse(text) for name, text in settings.crops.items()}
    for name, step in settings.frame_steps.items():
        if step < 1:
            raise UserError(f"FRAME_STEPS {name}={step} must be at least 1")
    sources = find_sources(settings.paintings, settings.videos)
    known = {name for kind, name, _ in sources if kind == "video"}
    for option, names in (("CROPS", crops), ("FRAME_STEPS", settings.frame_steps)):
        if unknown := set(names) - known:
            raise UserError(
                f"{option} names {sorted(unknown)[0]}; the videos are {', '.join(sorted(known))}"
            )

    rows = []
    with files.only_one(settings.tiles):
        for kind, name, paths in sources:
            started = time.monotonic()
            crop = crops.get(name, default_crop)
            row = extract_source(kind, name, paths, crop, settings)
            row["seconds"] = time.monotonic() - started
            rows.append((name, kind, row))
        manifests.remove_gone(
            settings.tiles, {source[:2] for source in sources}, settings.remove_gone
        )

    header = ["source", "kind", "files", "skipped", "tiles", "dropped", "crop", "seconds", "note"]
    cells = [[name, kind, *(row[key] for key in header[2:])] for name, kind, row in rows]
    console.say(console.table(header, cells))
    total = sum(row["tiles"] for _, _, row in rows)
    if empty := [name for name, _, row in rows if not row["tiles"]]:
        raise UserError(f"no tiles from {', '.join(empty)}: see the warnings above")
    console.finish(f"Wrote {total} tiles to {settings.tiles}", "preview_tiles.py")
    return 0


def extract_source(
    kind: str, name: str, paths: list[Path], crop: tiles.Crop | None, settings: SimpleNamespace
) -> dict:
    """Writes the tiles of a source, unless they are there; returns what the table says of it.

    The manifest goes first and comes last, so that what is half done is done again.
    """
    step = settings.frame_steps.get(name, settings.frame_step)
    options = [1, settings.tiles_per_picture, closeups.FORMAT]
    if kind == "video":
        options = [1, str(crop), step, settings.drop_black, settings.drop_same]
    request = {
        "options": options,
        "files": [[path.name, *files.identity(path)] for path in paths],
    }
    done = manifests.load_manifest(settings.tiles, kind, name)
    if done is not None and done["request"] == request:
        note = done["result"]["note"]
        return {**done["result"], "note": f"unchanged, {note}" if note else "unchanged"}
    manifests.manifest_path(settings.tiles, kind, name).unlink(missing_ok=True)
    with shards.ShardWriter(settings.tiles, kind, name) as writer:
        if kind == "painting":
            row = extract_paintings(writer, name, paths, settings)
        else:
            row = extract_video(writer, name, paths[0], crop, step, settings)
        if not writer.count:
            console.warn(f"{kind} {name}: no usable tile in {paths[0].parent}")
    if row["tiles"]:
        sizes = manifests.shard_sizes(settings.tiles, kind, name)
        manifest = {"request": request, "result": row, "sizes": sizes}
        files.write_json(manifests.manifest_path(settings.tiles, kind, name), manifest)
    return row


def find_sources(paintings: Path, videos: Path) -> list[tuple[str, str, list[Path]]]:
    """Lists kind, name and files of every source, painters first.

    Raises:
        UserError: a folder is missing, or both hold nothing, or two sources have the same name.
    """
    for option, folder in (("PAINTINGS", paintings), ("VIDEOS", videos)):
        if not folder.is_dir():
            raise UserError(
                f"{option} {folder} is not a folder: make it, or give --{option.lower()}"
            )
    folders = sorted(filter(inputs.is_input_folder, paintings.iterdir()))
    by_painter: dict[Path, list[Path]] = {folder: [] for folder in [*folders, paintings]}
    for path in inputs.find(paintings, tiles.PICTURE_SUFFIXES):
        first, *deeper = path.relative_to(paintings).parts
        by_painter[paintings / first if deeper else paintings].append(path)
    sources = []
    for folder, pictures in by_painter.items():
        if pictures:
            sources.append(("painting", files.source_name(folder.name), pictures))
        elif folder != paintings:
            console.warn(f"{folder} holds no pictures")
    sources += [
        ("video", files.source_name(path.stem), [path])
        for path in inputs.find(videos, probing.SUFFIXES)
    ]
    if not sources:
        raise UserError(f"no pictures in {paintings} and no videos in {videos}")
    names: dict[str, Path] = {}
    for _, name, paths in sources:
        if name in names:
            raise UserError(f"{names[name]} and {paths[0]} both are source {name}: rename one")
        names[name] = paths[0]
    for kind, folder, then in (
        ("painting", paintings, "mogrify_video.py will need a picture file as its --style"),
        ("video", videos, "the networks will learn from paintings alone"),
    ):
        if kind not in {source[0] for source in sources}:
            console.warn(f"no {kind}s in {folder}: {then}")
    return sources


def extract_paintings(
    writer: shards.ShardWriter, source: str, paths: list[Path], settings: SimpleNamespace
) -> dict:
    """Writes the tiles of a painter's pictures; unreadable ones are skipped with a warning."""
    skipped = small = 0
    each = max(1, min(closeups.MOST, round(closeups.WANTED / len(paths))))  # close-ups
    crops: list[tuple[str, int, np.ndarray]] = []
    for path in console.progress(paths, unit="picture", label=source):
        try:
            picture = tiles.load_picture(path)
        except UserError as error:
            console.warn(f"skipped {error}")
            skipped += 1
            continue
        small += warn_if_small(path, *picture.size)
        crops += [
            (path.name, max(picture.size), crop) for crop in closeups.cut(picture, path.name, each)
        ]
        cut = tiles.picture_tiles(picture, settings.tiles_per_picture)
        for index, pixels in enumerate(cut):
            writer.write(shards.Tile(pixels, "painting", source, index, 0.0, 0, os.fspath(path)))
    note = f"{len(crops)} close-ups" + (f", {small} enlarged" if small else "")
    if crops:
        path = closeups.path_of(settings.tiles, source)
        closeups.save(path, crops)
        if remark := closeups.remarks(closeups.load(settings.tiles, source)):
            console.warn(f"{source}: {remark}: its hand is learnt with less certainty")
    return {
        "files": len(paths), "skipped": skipped, "tiles": writer.count, "dropped": 0, "crop": "",
        "note": note,
    }  # fmt: skip


def extract_video(
    writer: shards.ShardWriter,
    source: str,
    path: Path,
    crop: tiles.Crop | None,
    frame_step: int,
    settings: SimpleNamespace,
) -> dict:
    """Writes every `frame_step`-th frame of a video, less black and repeated ones.

    Raises:
        UserError: ffmpeg was killed on the way; what can't be read from the start is skipped.
    """
    row: dict[str, Any] = dict(files=1, skipped=0, tiles=0, dropped=0, crop="", note="")
    try:
        source_video = probing.probe(path)
        if crop is None:
            crop = probing.find_crop(source_video)
        row["crop"] = str(crop)
        warn_if_small(path, *crop.size(source_video.width, source_video.height))
        frames = reader.read_frames(
            source_video, crop=source_video.cover_crop(crop), size=(tiles.WIDTH, tiles.HEIGHT)
        )
        times = source_video.times
        bar = console.progress(frames, total=len(times), unit="frame", label=source)
        for index, frame, shot in sample_frames(bar, source_video, frame_step, row, settings):
            seconds = float(times[min(index, len(times) - 1)])
            writer.write(shards.Tile(frame, "video", source, index, seconds, shot, os.fspath(path)))
    except (UserError, FileNotFoundError) as error:
        if writer.count:
            raise
        named = str(error) if str(path) in str(error) else f"{path}: {error}"
        console.warn(f"skipped {named}")
        row["skipped"] = 1
    row["tiles"] = writer.count
    return row


def sample_frames(
    frames: Iterable[np.ndarray],
    video: probing.Video,
    frame_step: int,
    row: dict[str, Any],
    settings: SimpleNamespace,
) -> Iterator[tuple[int, np.ndarray, int]]:
    """Yields every `frame_step`-th frame of a video, less black and repeated ones.

    Args:
        frames: all of them, uint8 [180, 320, 3] each.
        video: that they are of.
        frame_step: as FRAME_STEP.
        row: what the table says of the video: gets how many are dropped, and a note.
        settings: of the script.

    Yields:
        Number of a frame, the frame, and number of its shot.
    """
    shot_finder = ShotFinder()
    kept: np.ndarray | None = None
    count = 0
    for index, frame in enumerate(frames):
        count += 1
        shot = shot_finder.add(frame)
        if index % frame_step:
            continue
        change = 255.0 if kept is None else np.abs(frame.astype(np.int16) - kept).mean()
        if frame.mean() < settings.drop_black or change < settings.drop_same:
            row["dropped"] += 1
            continue
        kept = frame.astype(np.int16)
        yield index, frame, shot
    row["note"] = f"{shot_finder.shot + 1} shots"
    if count < 0.95 * len(video.times):
        broken = f"breaks off after {count} of {len(video.times)} frames"
        row["note"] += f", {broken}"
        console.warn(f"{video.path}: {broken}")


def warn_if_small(path: Path, width: int, height: int) -> bool:
    """Says whether a picture is smaller than a tile, and warns if it is."""
    small = width < tiles.WIDTH or height < tiles.HEIGHT
    if small:
        console.warn(f"{path}: only {width}x{height}, enlarged to {tiles.WIDTH}x{tiles.HEIGHT}")
    return small


if __name__ == "__main__":
    sys.exit(main())
