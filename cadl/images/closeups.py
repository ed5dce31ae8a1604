"""Close-ups: crops of each painter's pictures at the scale that strokes are seen at.

They lie beside the tiles, one file a painter. A hand is fitted to those of most pictures and judged
on those of the rest.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cadl import files
from cadl.errors import UserError
from cadl.images import tiles

import cv2
import numpy as np
from PIL import Image

FORMAT = 1  # raise when what is cut changes
CANVAS = 640  # pixels of the longer side that pictures are scaled to, and a hand is measured on
WIDTH, HEIGHT = 224, 192  # pixels of a close-up
WANTED = 100  # close-ups of a painter, about
MOST = 8  # of one picture
TOO_SMALL = 420  # pixels of the longer side, below which enlarging has washed the strokes away
SOFT = 5.0  # of 255, mean Laplacian of light, below which a close-up is blurred; sharp ones have 20
HELD_OUT = 4  # every fourth picture is held out


@dataclass(frozen=True)
class CloseUps:
    """A painter's close-ups."""

    pixels: np.ndarray  # uint8 [N, 192, 224, 3], RGB
    pictures: np.ndarray  # [N] names of the pictures that they are cut from
    held_out: np.ndarray  # bool [N], of pictures that a hand is judged on, and not fitted to
    sides: np.ndarray  # int [N], pixels of the longer side of each picture, before it was scaled

    def spread(self, count: int, *, held_out: bool) -> np.ndarray:
        """Returns some close-ups, of as many pictures as there are: uint8 [n, 192, 224, 3]."""
        own = np.flatnonzero(self.held_out == held_out)
        _, turns = np.unique(self.pictures[own], return_inverse=True)
        seen: dict[int, int] = {}
        order = []
        for place, picture in zip(own, turns, strict=True):
            order.append((seen.get(picture, 0), _hash(f"{self.pictures[place]} {place}"), place))
            seen[picture] = seen.get(picture, 0) + 1
        return self.pixels[[place for *_, place in sorted(order)[:count]]]


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def path_of(folder: Path, painter: str) -> Path:
    """Names the file of a painter's close-ups."""
    return folder / f"closeups-{painter}.npz"


def cut(picture: Image.Image, name: str, count: int) -> list[np.ndarray]:
    """Cuts close-ups out of a picture whose longer side is made CANVAS pixels.

    Args:
        picture: RGB.
        name: of it; the places are a function of it.
        count: of close-ups, at most MOST.

    Returns:
        uint8 arrays [192, 224, 3].
    """
    scale = CANVAS / max(picture.size)
    scale = max(scale, WIDTH / picture.width, HEIGHT / picture.height)
    size = max(WIDTH, round(scale * picture.width)), max(HEIGHT, round(scale * picture.height))
    pixels = np.asarray(picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3))
    rng = np.random.default_rng(list(_hash(name)[:8]))
    found = []
    for _ in range(min(count, MOST)):
        top = rng.integers(0, size[1] - HEIGHT + 1)
        left = rng.integers(0, size[0] - WIDTH + 1)
        found.append(pixels[top : top + HEIGHT, left : left + WIDTH])
    return found


def save(path: Path, crops: Sequence[tuple[str, int, np.ndarray]]) -> None:
    """Writes a painter's close-ups whole: picture's name, its longer side, and pixels of each."""
    names = sorted({name for name, _, _ in crops}, key=_hash)
    held = set(names[: max(len(names) // HELD_OUT, min(1, len(names) - 1))])
    pictures = [name.encode("utf-8", "replace").decode() for name, _, _ in crops]
    with files.whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            format=FORMAT,
            pixels=np.stack([pixels for _, _, pixels in crops]),
            pictures=np.array(pictures),
            held_out=np.array([name in held for name, _, _ in crops]),
            sides=np.array([side for _, side, _ in crops]),
        )


def load(folder: Path, painter: str) -> CloseUps:
    """Reads a painter's close-ups.

    Raises:
        UserError: there are none, or the file is damaged or of another version; the script that
            makes them is named.
    """
    path = path_of(folder, painter)
    if not path.exists():
        raise UserError(f"no close-ups of {painter} in {folder}: run extract_tiles.py")
    try:
        with np.load(path, allow_pickle=False) as data:
            version = int(data["format"])
            own = CloseUps(*(data[name] for name in ("pixels", "pictures", "held_out", "sides")))
    except files.UNREADABLE as error:
        raise UserError(f"{path} is damaged ({error}): run extract_tiles.py again") from None
    if version != FORMAT:
        raise UserError(f"{path} is of another version: run extract_tiles.py again")
    return own


def of_picture(path: Path) -> CloseUps:
    """Cuts close-ups out of a single picture; none is held out."""
    picture = tiles.load_picture(path)
    crops = cut(picture, path.name, MOST)
    count = len(crops)
    return CloseUps(
        np.stack(crops), np.array(count * [path.stem]), np.zeros(count, bool),
        np.full(count, max(picture.size)),
    )  # fmt: skip


def _crispness(picture: np.ndarray) -> float:
    """Returns the mean absolute Laplacian of light, of 255."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def remarks(close_ups: CloseUps) -> str:
    """Returns how far a hand that is fitted to them can be trusted; empty if nothing is odd."""
    found = []
    count = len(set(close_ups.pictures.tolist()))
    if count < 5:
        found.append(f"only {count} picture{'s' * (count > 1)}")
    small = float((close_ups.sides < TOO_SMALL).mean())
    if small > 0.5:
        found.append(f"most are smaller than {TOO_SMALL} pixels, too small to show strokes")
    elif np.median([_crispness(picture) for picture in close_ups.pixels]) < SOFT:
        found.append("they are soft, as blurred scans or wet paint are")
    return "; ".join(found)
