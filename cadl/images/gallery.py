"""Contact sheets: labelled grids of tiles on a fixed 0-1 range, never stretched."""

from collections.abc import Sequence
from pathlib import Path

from cadl import files, inputs
from cadl.images import tiles

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

MARGIN = 6
LABEL_HEIGHT = 18
SCATTER, THUMBNAIL = (1280, 720), (64, 36)  # width and height of the map, and of a tile on it
BACKGROUND = (24, 24, 24)
INK = (224, 224, 224)
ACCENT = (237, 174, 73)
PNG_LEVEL = 1  # of zlib: higher ones take several times as long and save little
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    title: str = "",
    row_labels: Sequence[str] = (),
    labels: Sequence[Sequence[str]] = (),
    scale: float = 1.0,
) -> Image.Image:
    """Draws tiles in rows.

    Args:
        rows: tiles, uint8 or float in [0, 1], [h, w, 3], all of one size.
        title: line above all.
        row_labels: a line above each row; empty for none.
        labels: a line under each tile; empty for none.
        scale: size of a tile on the sheet over its own.

    Returns:
        RGB picture.
    """
    height, width = (round(side * scale) for side in rows[0][0].shape[:2])
    columns = max(len(row) for row in rows)
    above = LABEL_HEIGHT if row_labels else 0
    below = LABEL_HEIGHT if labels else 0
    cell_height = above + height + below + MARGIN
    top = MARGIN + (LABEL_HEIGHT + MARGIN if title else 0)
    sheet = Image.new(
        "RGB", (MARGIN + columns * (width + MARGIN), top + len(rows) * cell_height), BACKGROUND
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)
    draw.text((MARGIN, MARGIN), title, INK, font)
    for i, row in enumerate(rows):
        y = top + i * cell_height
        if row_labels:
            draw.text((MARGIN, y), row_labels[i], INK, font)
        for j, tile in enumerate(row):
            x = MARGIN + j * (width + MARGIN)
            pixels = tile if tile.dtype == np.uint8 else tiles.to_uint8(tile)
            picture = Image.fromarray(pixels)
            if picture.size != (width, height):
                picture = picture.resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(picture, (x, y + above))
            if labels:
                text = _fitting(draw, labels[i][j], font, width)
                draw.text((x, y + above + height + 2), text, INK, font)
    return sheet


def scatter(
    places: np.ndarray,
    thumbnails: Sequence[np.ndarray],
    marks: dict[str, np.ndarray],
    arrows: Sequence[tuple[str, str]],
) -> Image.Image:
    """Draws tiles at their places in a plane, and named marks with arrows between them.

    Args:
        places: float [N, 2] of the tiles.
        thumbnails: N tiles, uint8 [h, w, 3].
        marks: name -> float [2].
        arrows: pairs of names.

    Returns:
        RGB picture of 1280x720.
    """
    every = np.concatenate([places, *(place[None] for place in marks.values())])
    low, high = every.min(axis=0), every.max(axis=0)
    room = np.array(SCATTER) - THUMBNAIL - 2 * MARGIN

    def scale(values: np.ndarray) -> np.ndarray:
        return MARGIN + (values - low) / np.maximum(high - low, 1e-9) * room

    sheet = Image.new("RGB", SCATTER, BACKGROUND)
    for (x, y), tile in zip(scale(places), thumbnails, strict=True):
        small = Image.fromarray(tile).resize(THUMBNAIL, Image.Resampling.LANCZOS)
        sheet.paste(small, (round(x), round(y)))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(16)
    ends = {name: scale(place) + np.array(THUMBNAIL) / 2 for name, place in marks.items()}
    for start, end in arrows:
        draw.line([*ends[start], *ends[end]], fill=ACCENT, width=3)
        direction = ends[end] - ends[start]
        direction = direction / (np.linalg.norm(direction) + 1e-9)
        side = np.array([-direction[1], direction[0]])
        barbs = [ends[end] - 22 * direction + 7 * turn * side for turn in (-1, 1)]
        draw.polygon([tuple(p) for p in (ends[end], *barbs)], fill=ACCENT)
    for name, (x, y) in ends.items():
        draw.ellipse([x - 6, y - 6, x + 6, y + 6], fill=ACCENT, outline=BACKGROUND)
        draw.text((x + 9, y - 9), name, INK, font, stroke_width=3, stroke_fill=BACKGROUND)
    return sheet


def save_picture(path: Path, picture: Image.Image) -> None:
    """Saves a picture whole or not at all, in the format of its suffix; a PNG has our mark."""
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Software", inputs.MARK)
    with files.whole_file(path) as temporary:
        picture.save(temporary, quality=90, pnginfo=mark, compress_level=PNG_LEVEL)


def _fitting(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())  # of a file's name
    while text and draw.textlength(text, font) > width:
        text = text[:-1]
    return text
