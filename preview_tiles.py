"""Step 2 of 7: checks every tile and draws contact sheets of them.

    python preview_tiles.py --tiles data/tiles

Writes out/tiles/<source>.png; of painters also <source>.closeups.png, of videos <source>.crop.png
with the borders that were cut off; and prints a table: colours or sizes that look odd here would
spoil everything that follows.
"""

import sys
from pathlib import Path

from cadl import console, files
from cadl.dataset import shards
from cadl.errors import UserError
from cadl.images import closeups, gallery
from cadl.images.tiles import Crop
from cadl.settings import Count, read_settings
from cadl.video import probing, reader

import numpy as np
from PIL import Image, ImageDraw

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
PREVIEWS: Path = Path("out/tiles")  # where the contact sheets go

TILES_PER_SHEET: Count = 40  # tiles on a contact sheet, spread evenly over the source
COLUMNS: Count = 5  # tiles in a row

CLOSE_UPS = 24  # on a sheet
SHOWN_WIDTH = 240  # pixels of a tile on a contact sheet


@console.script
def main(argv: list[str] | None = None) -> int:
    """Checks all shards, draws a sheet a source and returns the exit status."""
    settings = read_settings(argv)
    by_source: dict[tuple[str, str], list[Path]] = {}
    for path, source_of in shards.list_shards(settings.tiles).items():
        by_source.setdefault(source_of, []).append(path)

    rows, faults = [], []
    with console.progress(total=sum(map(len, by_source.values())), unit="shard") as bar:
        for (kind, source), paths in by_source.items():
            read, colour_sum, pick = 0, np.zeros(3), Pick(settings.tiles_per_sheet)
            for path in paths:
                try:
                    for tile in shards.read_shard(path):
                        read += 1
                        colour_sum += tile.pixels.mean(axis=(0, 1))
                        pick.add(tile)
                except UserError as error:
                    faults.append(str(error))
                    console.warn(str(error))
                bar.update()
            colour = colour_sum / max(read, 1)
            rows.append([source, kind, len(paths), read, *map(float, [colour.mean(), *colour])])
            if pick.kept:
                draw_sheet(settings.previews / f"{source}.png", source, pick.kept, settings.columns)
            if kind == "painting" and pick.kept:
                draw_close_ups(settings.previews / f"{source}.closeups.png", settings.tiles, source)
            if kind == "video" and pick.kept:
                draw_crop(settings.previews / f"{source}.crop.png", settings.tiles, pick.kept)

    header = ["source", "kind", "shards", "tiles", "brightness", "red", "green", "blue"]
    console.say(console.table(header, rows))
    if faults:
        raise UserError(f"{len(faults)} damaged shards, the first: {faults[0]}")
    console.finish(f"Wrote {len(rows)} contact sheets to {settings.previews}", "train_vae.py")
    return 0


class Pick:
    """Keeps some tiles of a stream, evenly spaced whatever its length."""

    def __init__(self, at_most: int):
        self.kept: list[shards.Tile] = []
        self._at_most = at_most
        self._every = 1
        self._seen = 0

    def add(self, tile: shards.Tile) -> None:
        """Takes every n-th tile; each time too many are kept, n doubles."""
        if self._seen % self._every == 0:
            self.kept.append(tile)
            if len(self.kept) > self._at_most:
                self.kept = self.kept[::2]
                self._every *= 2
        self._seen += 1


def draw_sheet(path: Path, source: str, chosen: list[shards.Tile], columns: int) -> None:
    """Draws a source's contact sheet."""
    chunks = [chosen[i : i + columns] for i in range(0, len(chosen), columns)]
    sheet = gallery.contact_sheet(
        [[tile.pixels for tile in chunk] for chunk in chunks],
        title=source,
        labels=[[label(tile) for tile in chunk] for chunk in chunks],
        scale=SHOWN_WIDTH / chosen[0].pixels.shape[1],
    )
    gallery.save_picture(path, sheet)


def draw_close_ups(path: Path, folder: Path, painter: str) -> None:
    """Draws a sheet of close-ups: those that a hand is fitted to, then those it is judged on."""
    try:
        own = closeups.load(folder, painter)
    except UserError as error:
        console.warn(str(error))
        return
    rows, labels = [], []
    for held_out, label in ((False, "fitted to"), (True, "held out")):
        crops = list(own.spread(CLOSE_UPS // 2, held_out=held_out))
        for start in range(0, len(crops), CLOSE_UPS // 4):
            rows.append(crops[start : start + CLOSE_UPS // 4])
            labels.append(label)
    gallery.save_picture(path, gallery.contact_sheet(rows, title=painter, row_labels=labels))


def draw_crop(path: Path, folder: Path, chosen: list[shards.Tile]) -> None:
    """Draws the borders that were cut off a video over its brightest frame of those chosen."""
    tile = max(chosen, key=lambda tile: tile.pixels.mean())
    try:
        record = files.read_json(folder / f"video-{tile.source}.json")
        crop = Crop.parse(record["result"]["crop"])
        source = probing.probe(Path(tile.path))
        crop.size(source.width, source.height)
        size = source.display_size(Crop())
        frames = reader.read_frames(
            source,
            crop=Crop(),
            size=size,
            start_seconds=max(0.0, tile.seconds - 0.005),
            num_frames=1,
        )
        picture = Image.fromarray(next(frames))
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        console.say(f"{tile.source}: the crop is not drawn: {error or type(error).__name__}")
        return
    stretch = size[0] / source.width
    box = (
        stretch * crop.left,
        crop.top,
        size[0] - 1 - stretch * crop.right,
        size[1] - 1 - crop.bottom,
    )
    ImageDraw.Draw(picture).rectangle(box, outline=(255, 0, 90), width=3)
    gallery.save_picture(path, picture)


def label(tile: shards.Tile) -> str:
    """Says where a tile is from."""
    if tile.kind == "painting":
        return f"{Path(tile.path).stem} {tile.index}"
    return f"frame {tile.index}, {tile.seconds:.2f} s, shot {tile.shot}"


if __name__ == "__main__":
    sys.exit(main())
