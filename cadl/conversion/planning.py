"""What will be converted, and to which size: worked out before the passes begin."""

import dataclasses
from pathlib import Path

from cadl import console, files, inputs
from cadl.conversion.clip import Clip, Geometry
from cadl.conversion.job import Options
from cadl.errors import UserError
from cadl.images.tiles import Crop
from cadl.video import probing

LONGEST_SIDE = 16384  # pixels that the encoder of H.264 takes
LONGEST_GIVEN = 8192  # by OUTPUT_SIZE: twice that, side by side, can be written


def parse_size(text: str) -> str | tuple[int, int]:
    """Reads OUTPUT_SIZE: a word, or width x height in even numbers.

    Raises:
        UserError: it is neither.
    """
    if text in ("source", "tile"):
        return text
    width, _, height = text.replace(" ", "").partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UserError(f"OUTPUT_SIZE {text!r} is not source, tile or width x height")
    sides = int(width), int(height)
    if any(side % 2 or not 2 <= side <= LONGEST_GIVEN for side in sides):
        raise UserError(f"OUTPUT_SIZE {text}: both must be even, from 2 to {LONGEST_GIVEN}")
    return sides


def find_videos(given: list[Path]) -> list[Path]:
    """Lists the videos given, and those in folders given.

    Raises:
        UserError: something is not there, or has no video in it, or two have one name.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += inputs.find(path, probing.SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"VIDEOS {path}: no such file or folder")
    if not found:
        raise UserError(f"no videos in {', '.join(map(str, given))}")
    names: dict[str, Path] = {}
    for path in found:
        other = names.setdefault(files.source_name(path.stem), path)
        if other != path:
            raise UserError(f"{other} and {path} would be written under one name: rename one")
    return found


def look_at(path: Path, crop: Crop | None) -> tuple[probing.Video, Crop]:
    """Finds out what a video is, and its black borders if no crop is given."""
    source = probing.probe(path)
    return source, crop or probing.find_crop(source)


def plan(
    source: probing.Video, crop: Crop, size: str | tuple[int, int], options: Options
) -> tuple[Clip, Geometry]:
    """Works out, and says, what will be read and written.

    Args:
        source: the video.
        crop: its black borders.
        size: by `parse_size`.
        options: how it is converted.

    Raises:
        UserError: it begins after the video's end, or its size can't be written.
    """
    clip = Clip(source, crop, options.start_seconds, options.length_seconds)
    if clip.begin_seconds > max(0.0, source.times[-1]):
        raise UserError(
            f"START_SECONDS {options.start_seconds:g} is past the end of {source.path}, whose "
            f"last frame is at {source.times[-1]:.2f} s"
        )
    if size != "source":
        crop = source.cover_crop(crop, *([] if isinstance(size, str) else [size]))
    draft = options.quality == "draft"
    geometry = Geometry.of(source, crop, size, options.compare, draft)
    if not source.is_picture and max(geometry.output_size) > LONGEST_SIDE:
        shown = source.display_size(crop)
        scale = LONGEST_GIVEN / max(shown)
        width, height = (max(2, int(scale * side) // 2 * 2) for side in shown)
        raise UserError(
            f"{source.path}: its output of {geometry.output_size[0]}x{geometry.output_size[1]} "
            f"can't be written: H.264 has at most {LONGEST_SIDE} pixels a side: give --output-size "
            f"{width}x{height}"
        )
    film = (
        f", {len(source.times)} frames at {float(source.rate):.5g} frames/s"
        f"{' (variable)' if source.variable_rate else ''}, crop {crop}, sound "
        f"{'+'.join(source.audio_codecs) or 'none'}"
    )
    console.say(
        f"{source.path.name}: {source.width}x{source.height}"
        f"{f', a picture, crop {crop}' if source.is_picture else film}; output "
        f"{geometry.output_size[0]}x{geometry.output_size[1]}"
    )
    return dataclasses.replace(clip, crop=crop), geometry
