"""Makes the README's looping clip: a film on the left, on the right the same painted in hands.

    python -m docs.make_loop --original bunny.mp4 --at-seconds 16 --painted out/a.mp4,out/b.mp4

Each painted video has its turn, and all begin where the clip does: made with --start-seconds.
"""

import sys
from pathlib import Path

from cadl import console, files
from cadl.errors import UserError
from cadl.images.tiles import Crop
from cadl.settings import Amount, Count, read_settings
from cadl.video import probing, reader

import numpy as np
from PIL import Image

ORIGINAL: Path = Path("data/videos/bunny.mp4")  # the film
AT_SECONDS: Amount = 0.0  # where the clip begins in it
PAINTED: list[Path] = []  # the same seconds, painted
SECONDS: Amount = 3.2  # of the clip
SHOWN: Count = 12  # frames a second that are shown
WIDTH: Count = 540  # pixels of each side
QUALITY: Count = 80  # of WebP
TARGET: Path = Path("docs/loop.webp")


@console.script
def main(argv: list[str] | None = None) -> int:
    """Writes the clip and returns the exit status."""
    settings = read_settings(argv)
    if not settings.painted:
        raise UserError("PAINTED: give at least one painted video")
    count = round(settings.seconds * settings.shown)
    film = frames_of(settings.original, settings.at_seconds, count, settings)
    painted = [frames_of(path, 0.0, count, settings) for path in settings.painted]
    turns = np.arange(count) * len(painted) // count
    pictures = [
        Image.fromarray(np.hstack([film[i], painted[turn][i]])) for i, turn in enumerate(turns)
    ]
    with files.whole_file(settings.target) as temporary:
        pictures[0].save(
            temporary, "WEBP", save_all=True, append_images=pictures[1:], loop=0, method=6,
            duration=round(1000 / settings.shown), quality=settings.quality,
        )  # fmt: skip
    megabytes = settings.target.stat().st_size / 1e6
    console.finish(f"Wrote {settings.target}: {count} frames, {megabytes:.2f} MB")
    return 0


def frames_of(path: Path, start: float, count: int, settings) -> list[np.ndarray]:
    """Reads so many frames of a video, as many a second as are shown: uint8 [h, w, 3] each."""
    video = probing.probe(path)
    width, height = video.display_size(Crop())
    size = settings.width, round(settings.width * height / width)
    step = float(video.rate) / settings.shown
    every = list(
        reader.read_frames(
            video, crop=Crop(), size=size, start_seconds=start, num_frames=round(count * step) + 1
        )
    )
    return [every[min(int(number * step), len(every) - 1)] for number in range(count)]


if __name__ == "__main__":
    sys.exit(main())
