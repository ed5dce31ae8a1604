"""Draws one sheet of a film and the same film painted in several styles.

    python data/make_sheet.py --film demo/data/videos/lake.mp4 --styles dabs,ink,poster

Columns are the film and out/<film>-<style>.mp4 of each style, rows are moments.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cadl import console
from cadl.errors import UserError
from cadl.images import gallery
from cadl.images.tiles import Crop
from cadl.settings import read_settings
from cadl.video import probing, reader

import numpy as np

FILM: Path = Path("data/videos/lake.mp4")  # the film that was painted
STYLES: list[str] = ["dabs", "ink", "poster"]  # the styles that it was painted in
MOMENTS: list[float] = [1.0, 4.0, 5.3, 7.5]  # seconds from the start, a row each
OUT: Path = Path("out")  # folder of the painted films, which gets the sheet
TILE = (480, 270)  # pixels of a frame on the sheet


@console.script
def main(argv: list[str] | None = None) -> int:
    """Draws the sheet and returns the exit status."""
    settings = read_settings(argv)
    name = settings.film.stem
    painted = [settings.out / f"{name}-{style}.mp4" for style in settings.styles]
    columns = [frames_at(path, settings.moments) for path in [settings.film, *painted]]
    titles = [name, *settings.styles]
    sheet = gallery.contact_sheet(list(zip(*columns)), labels=[titles for _ in settings.moments])
    target = settings.out / f"{name}-sheet.png"
    gallery.save_picture(target, sheet)
    console.say(f"Look at {target}, and at {', '.join(map(str, painted))}")
    return 0


def frames_at(path: Path, moments: list[float]) -> list[np.ndarray]:
    """Reads the frame at each of some moments, in seconds: uint8 [270, 480, 3] each.

    Raises:
        UserError: the video can't be read, or a moment is past its end.
    """
    video = probing.probe(path)
    if max(moments) > video.times[-1]:
        raise UserError(
            f"MOMENTS {max(moments):g} is past the last frame of {path}, at {video.times[-1]:.2f} s"
        )
    return [
        next(
            iter(reader.read_frames(video, crop=Crop(), size=TILE, start_seconds=own, num_frames=1))
        )
        for own in moments
    ]


if __name__ == "__main__":
    sys.exit(main())
