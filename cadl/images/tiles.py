"""Tile geometry: how a picture or a frame of any shape becomes tiles of 320x180 and back."""

import math
import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from cadl.errors import UserError

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

WIDTH = 320
HEIGHT = 180
CHANNELS = 3
SHAPE = (HEIGHT, WIDTH, CHANNELS)

PICTURE_SUFFIXES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .avif .tif .tiff .bmp .gif".split())
MAX_PICTURE_PIXELS = 150_000_000
# What Pillow raises at one damaged file or another.
PICTURE_ERRORS = (
    OSError, ValueError, SyntaxError, IndexError, TypeError, KeyError, EOFError, OverflowError,
    struct.error, zlib.error,
)  # fmt: skip
BLACK_LEVEL = 24
MAX_BORDER = 0.4
SAME_HEIGHT = 4  # rows by which two bars of one height may differ
FLOAT_WHITES = (1.0, 255.0, 65535.0)  # what pictures of decimal numbers have as white
# Editors and generators write how a picture was made into it, more than Pillow's 1 MB.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY


@dataclass(frozen=True)
class Crop:
    """Rows and columns cut off each side of a frame, in pixels."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    @classmethod
    def parse(cls, text: str) -> "Crop":
        """Reads `top:left:bottom:right`, as `str(crop)` writes it.

        Raises:
            UserError: it is not four whole numbers.
        """
        parts = text.split(":")
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            raise UserError(f"crop {text!r} is not top:left:bottom:right in pixels or auto")
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return f"{self.top}:{self.left}:{self.bottom}:{self.right}"

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Returns width and height that are left of a frame.

        Raises:
            UserError: nothing is left; the side is named.
        """
        left_width = width - self.left - self.right
        left_height = height - self.top - self.bottom
        if left_height <= 0:
            raise UserError(
                f"crop (top={self.top}, bottom={self.bottom}) leaves {max(left_height, 0)} of "
                f"{height} rows"
            )
        if left_width <= 0:
            raise UserError(
                f"crop (left={self.left}, right={self.right}) leaves {max(left_width, 0)} of "
                f"{width} columns"
            )
        return left_width, left_height


def find_borders(brightest: np.ndarray) -> Crop:
    """Finds black borders in the brightest value that each pixel had over a video.

    A border is a run of rows or columns from the edge that stays black, ends at an edge along
    which most of the picture is lit, and takes less than 40 % of the side. So a fade, a black
    opening or a night scene is not taken for a border.

    Args:
        brightest: uint8 [height, width], largest luminance of each pixel over some frames.
    """
    # A border's edge is smeared over a row or two: those are dark beside the picture, not black.
    lit = brightest > max(BLACK_LEVEL, 0.2 * np.median(brightest))
    if lit.mean() < 0.05:
        return Crop()
    top, bottom = _dark_ends(lit, brightest)
    rows = slice(top, len(lit) - bottom)
    left, right = _dark_ends(lit[rows].T, brightest[rows].T)
    return Crop(top, left, bottom, right)


def _dark_ends(lit: np.ndarray, brightest: np.ndarray) -> tuple[int, int]:
    """Returns how many leading and trailing rows are black, even, 0 where the edge is not sharp.

    Two bars of one height stay or go together: both stay if there is a watermark in one of them.
    """
    share, level = lit.mean(axis=1), brightest.mean(axis=1)
    bright = share > 0.5 * np.median(share[share > 0.02])
    top, marked = _dark_start(share, level, bright)
    bottom, marked_below = _dark_start(share[::-1], level[::-1], bright[::-1])
    if marked and abs(marked - bottom) <= SAME_HEIGHT:
        bottom = 0
    if marked_below and abs(marked_below - top) <= SAME_HEIGHT:
        top = 0
    return top, bottom


def _dark_start(share: np.ndarray, level: np.ndarray, bright: np.ndarray) -> tuple[int, int]:
    """Returns the rows of a border, 0 of none, and those of a border that has something in it."""
    edge = int(np.argmax(bright))
    if edge == 0 or edge > MAX_BORDER * len(share):
        return 0, 0
    if (share[: max(edge - 2, 0)] >= 0.02).any():
        return 0, edge
    step = level[min(edge + 1, len(level) - 1)] - level[max(edge - 3, 0)]
    if step < 0.3 * np.median(level):
        return 0, 0
    return edge + edge % 2, 0  # chroma is stored for pairs of rows: half a pair would bleed black


def cover_crop(width: int, height: int, shape: tuple[int, int] = (WIDTH, HEIGHT)) -> Crop:
    """Returns what to cut off a frame, centred, so that a shape is left without squashing."""
    wanted_width = min(width, max(1, round(height * shape[0] / shape[1])))
    wanted_height = min(height, max(1, round(width * shape[1] / shape[0])))
    left, top = (width - wanted_width) // 2, (height - wanted_height) // 2
    return Crop(top, left, height - wanted_height - top, width - wanted_width - left)


def fit_size(width: int, height: int) -> tuple[int, int]:
    """Returns the largest even size within a tile that keeps a frame's proportions."""
    scale = min(WIDTH / width, HEIGHT / height)
    fitted_width = min(WIDTH, max(2, 2 * round(width * scale / 2)))
    fitted_height = min(HEIGHT, max(2, 2 * round(height * scale / 2)))
    return fitted_width, fitted_height


def mirror_to_tile(pictures: np.ndarray) -> np.ndarray:
    """Fills tiles round centred pictures with their mirror image.

    A frame that is not 16:9 keeps its proportions inside the tile; the mirrored margins look like
    picture to the networks.

    Args:
        pictures: uint8 [N, h, w, 3] with h <= 180 and w <= 320, both even.

    Returns:
        uint8 [N, 180, 320, 3].
    """
    _, height, width, _ = pictures.shape
    top, left = (HEIGHT - height) // 2, (WIDTH - width) // 2
    margins = (0, 0), (top, HEIGHT - height - top), (left, WIDTH - width - left), (0, 0)
    return np.pad(pictures, margins, mode="symmetric")


def picture_tiles(picture: Image.Image, max_tiles: int) -> list[np.ndarray]:
    """Cuts a picture into overlapping tiles that cover it, never squashed.

    The picture is scaled so that its shorter side, against 16:9, fills a tile; along the other
    side as few evenly spaced tiles as cover it are cut, at most `max_tiles`, centred.

    Args:
        picture: RGB.
        max_tiles: bound on tiles of one picture.

    Returns:
        uint8 arrays [180, 320, 3].
    """
    enlarged = max(WIDTH / picture.width, HEIGHT / picture.height)
    # What is too long to be covered is cut to its middle first: enlarged it may not fit in memory.
    kept_width = min(picture.width, math.ceil(max_tiles * WIDTH / enlarged))
    kept_height = min(picture.height, math.ceil(max_tiles * HEIGHT / enlarged))
    left, top = (picture.width - kept_width) // 2, (picture.height - kept_height) // 2
    picture = picture.crop((left, top, left + kept_width, top + kept_height))
    width = max(WIDTH, round(picture.width * enlarged))
    height = max(HEIGHT, round(picture.height * enlarged))
    pixels = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3))
    offsets = [
        (top, left)
        for top in _offsets(height, HEIGHT, max_tiles)
        for left in _offsets(width, WIDTH, max_tiles)
    ]
    return [pixels[top : top + HEIGHT, left : left + WIDTH] for top, left in offsets]


def _offsets(size: int, window: int, max_windows: int) -> list[int]:
    """Places windows evenly over a side; a sliver of up to an eighth of a window is left out."""
    needed = max(1, math.ceil(size / window - 0.125))
    windows = min(needed, max_windows)
    span = size - window
    if windows == 1:
        return [span // 2]
    if windows < needed:  # too long to be covered: keep neighbours touching, centred
        first = (size - windows * window) // 2
        return [first + i * window for i in range(windows)]
    return [round(i * span / (windows - 1)) for i in range(windows)]


def load_picture(path: Path) -> Image.Image:
    """Loads a picture as a viewer shows it: turned upright, in sRGB, on white, 8 bit.

    Raises:
        UserError: the file is no picture, damaged or too large; it is named.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata that is harmless here
            with Image.open(path) as picture:
                if picture.width * picture.height > MAX_PICTURE_PIXELS:
                    raise ValueError(
                        f"{picture.width}x{picture.height} is more than "
                        f"{MAX_PICTURE_PIXELS // 1_000_000} megapixels"
                    )
                return _to_srgb(_upright(picture))
    except Image.DecompressionBombError as error:
        raise UserError(f"{path}: too large: {error}") from None
    except UnidentifiedImageError:
        raise UserError(f"{path}: it is no picture, or its beginning is damaged") from None
    except PICTURE_ERRORS as error:
        raise UserError(f"{path}: {str(error) or type(error).__name__}") from None


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture) or picture
    except (ValueError, TypeError, KeyError, SyntaxError):  # damaged EXIF: shown as stored
        picture.load()
        return picture


def _to_srgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        values = np.asarray(picture, np.float64) / 257
        picture = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    elif picture.mode == "F":
        picture = Image.fromarray(_float_to_uint8(np.asarray(picture)))
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        layers = picture.convert("RGBA")
        picture = Image.new("RGBA", layers.size, "white")
        picture.alpha_composite(layers)
        picture = picture.convert("RGB")
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
            return converted or picture.convert("RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a profile for another colour space: the plain conversion is closest
    return picture.convert("RGB")


def _float_to_uint8(values: np.ndarray) -> np.ndarray:
    """Converts decimal numbers whose white the file leaves open: float [h, w] to uint8."""
    values = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=np.inf, neginf=0.0)
    finite = values[np.isfinite(values)]
    # A few numbers beyond white are left by sharpening and by lamps.
    high = float(np.percentile(finite, 99)) if len(finite) else 1.0
    white = next((white for white in FLOAT_WHITES if high <= 1.05 * white), high)
    return (np.clip(values / white, 0, 1) * 255 + 0.5).astype(np.uint8)


def to_float(tiles: np.ndarray) -> np.ndarray:
    """Converts uint8 [0, 255] to float32 [0, 1]."""
    return tiles.astype(np.float32) / np.float32(255)


def to_uint8(tiles: np.ndarray) -> np.ndarray:
    """Converts float [0, 1] to uint8, clipped and rounded to nearest."""
    return (np.clip(tiles, 0, 1) * 255 + 0.5).astype(np.uint8)
