"""Draws pictures in kinds of hands of its own, after given pictures.

    python -m benchmarks.new_hands --paintings data/paintings/van-gogh --out new/paintings

Stippling in ink, chalk on dark paper, a mosaic, slabs of a knife, a wet wash, a watercolour, long
ribbons of paint and blunt blocks of it, upright threads, discs that lie over each other, a woodcut,
and the dots of a halftone: a folder each, to be given to the seven scripts, and to
`bench_hands.py`, as painters.
Drawn with Pillow and numpy, and none of the program's own code for strokes.
"""

import sys
from pathlib import Path

from cadl import console
from cadl.errors import UserError
from cadl.images import tiles
from cadl.settings import Count, read_settings

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

PAINTINGS: Path = Path("data/paintings/van-gogh")  # what is drawn after
OUT: Path = Path("new/paintings")  # a folder a hand
PICTURES: Count = 24  # of each hand

SIDE = 960  # pixels of the longer side
INK, CREAM, SLATE = (28, 24, 30), (244, 238, 224), (46, 50, 58)


@console.script
def main(argv: list[str] | None = None) -> int:
    """Draws all pictures."""
    settings = read_settings(argv)
    paths = [p for p in sorted(settings.paintings.rglob("*"))
             if p.suffix.lower() in tiles.PICTURE_SUFFIXES]  # fmt: skip
    if not paths:
        raise UserError(f"PAINTINGS {settings.paintings}: no pictures in it")
    for number, path in enumerate(paths[:: max(1, len(paths) // settings.pictures)]):
        picture = tiles.load_picture(path)
        picture.thumbnail((SIDE, SIDE))
        for name, draw in HANDS.items():
            rng = np.random.default_rng([number, len(name)])
            target = settings.out / name / f"{path.stem}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            draw(picture, rng).save(target)
    console.say(f"wrote {', '.join(HANDS)} in {settings.out}")
    return 0


def stipple(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Small ink dots on cream paper, more of them where it is dark."""
    grey = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(3))) / 255
    sheet = Image.new("RGB", picture.size, CREAM)
    pen = ImageDraw.Draw(sheet)
    height, width = grey.shape
    for y, x in rng.uniform((0, 0), grey.shape, (height * width // 9, 2)):
        if rng.random() < 0.75 * (1 - grey[int(y), int(x)]) ** 1.6:
            radius = rng.uniform(1.0, 1.9)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=INK)
    return sheet


def chalk(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light, slanting lines of coloured chalk on slate, more of them where it is light."""
    grey = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(4))) / 255
    colours = np.asarray(picture.filter(ImageFilter.GaussianBlur(8))).astype(float)
    sheet = Image.new("RGB", picture.size, SLATE)
    pen = ImageDraw.Draw(sheet)
    height, width = grey.shape
    for y, x in rng.uniform((0, 0), grey.shape, (height * width // 26, 2)):
        light = grey[int(y), int(x)]
        if light < rng.uniform(0.2, 0.9):
            continue
        angle = (1.0 if light < 0.6 or rng.random() < 0.5 else 2.4) + rng.normal(0, 0.06)
        reach = rng.uniform(8, 18)
        dx, dy = reach * np.cos(angle), reach * np.sin(angle)
        pale = 0.35 * colours[int(y), int(x)] + 0.65 * 245 + rng.normal(0, 8)
        fill = tuple(int(v) for v in np.clip(pale, 0, 255))
        pen.line((x - dx, y - dy, x + dx, y + dy), fill=fill, width=2)
    return sheet


def mosaic(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Rows of square stones with pale joints between them."""
    colours = np.asarray(picture.filter(ImageFilter.GaussianBlur(4))).astype(float)
    sheet = Image.new("RGB", picture.size, (196, 188, 172))
    pen = ImageDraw.Draw(sheet)
    step, half = 13, 5.2
    for row, y in enumerate(np.arange(0, picture.height + step, step)):
        for x in np.arange(-step * (row % 2) / 2, picture.width + step, step):
            own = colours[min(int(y), picture.height - 1), int(np.clip(x, 0, picture.width - 1))]
            fill = tuple(int(v) for v in np.clip(own + rng.normal(0, 14), 0, 255))
            corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
            corners = corners + rng.normal(0, 0.7, (4, 2)) + (x, y)
            pen.polygon([tuple(c) for c in corners], fill=fill)
    return sheet


def knife(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Broad straight slabs of thick paint in any direction, with light edges."""
    colours = np.asarray(picture.filter(ImageFilter.GaussianBlur(6))).astype(float)
    sheet = picture.filter(ImageFilter.GaussianBlur(12))
    pen = ImageDraw.Draw(sheet)
    for scale in (1.0, 0.6):
        count = int(picture.width * picture.height / (420 * scale**2))
        for y, x in rng.uniform((0, 0), picture.size[::-1], (count, 2)):
            angle, long, wide = rng.uniform(0, np.pi), rng.uniform(22, 46), rng.uniform(9, 16)
            along = scale * long * np.array((np.cos(angle), np.sin(angle)))
            across = scale * wide * np.array((-np.sin(angle), np.cos(angle)))
            corners = [along + across, along - across, -along - across, -along + across]
            own = colours[int(y), int(x)] + rng.normal(0, 12)
            fill = tuple(int(v) for v in np.clip(own, 0, 255))
            pen.polygon([(x + c[0], y + c[1]) for c in corners], fill=fill)
            rim = tuple(int(v) for v in np.clip(own + 45, 0, 255))
            pen.line([(x + c[0], y + c[1]) for c in (corners[2], corners[3])], fill=rim, width=2)
    return sheet


def wash(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Pale, wet patches that run into each other on white paper."""
    picture = picture.filter(ImageFilter.GaussianBlur(5))
    height, width = picture.height, picture.width
    waves = [cv2.resize(rng.normal(0, 1, (height // 40 + 2, width // 40 + 2)), (width, height),
                        interpolation=cv2.INTER_CUBIC) for _ in range(2)]  # fmt: skip
    y, x = np.mgrid[0:height, 0:width]
    left, top = ((base + 9 * own).astype(np.float32) for base, own in zip((x, y), waves))
    moved = cv2.remap(
        np.asarray(picture), left, top, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    pale = 255 - 0.62 * (255 - cv2.GaussianBlur(moved, (0, 0), 5).astype(np.float32))
    grain = cv2.resize(rng.normal(0, 1, (height // 24 + 2, width // 24 + 2)), (width, height),
                       interpolation=cv2.INTER_CUBIC)  # fmt: skip
    return Image.fromarray(tiles.to_uint8(np.clip((pale + 7 * grain[..., None]) / 255, 0, 1)))


def watercolour(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Transparent washes over each other on white paper, each dried with a dark rim."""
    colours = np.asarray(picture.filter(ImageFilter.MedianFilter(9))).astype(np.float32) / 255
    height, width = colours.shape[:2]

    def noise(size: float) -> np.ndarray:
        small = rng.normal(0, 1, (int(height / size) + 2, int(width / size) + 2))
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32)

    hue = cv2.GaussianBlur(colours, (0, 0), 9) ** np.float32(0.7)
    dark = 1 - cv2.GaussianBlur(colours, (0, 0), 3).mean(axis=2) + 0.02 * noise(12)
    dark = (dark - np.quantile(dark, 0.02)) / np.ptp(np.quantile(dark, (0.02, 0.98)))
    sheet = np.full_like(colours, (0.98, 0.97, 0.93))
    for least in (0.12, 0.42, 0.7):
        wet = cv2.GaussianBlur((dark > least).astype(np.float32), (0, 0), 0.8)
        rim = np.clip(wet - cv2.GaussianBlur(wet, (0, 0), 4), 0, 1)
        pigment = wet * (0.55 + 0.15 * noise(40) + 0.07 * noise(3)) + 1.1 * rim
        sheet *= np.clip(hue, 0.04, 1) ** np.clip(pigment, 0, 3)[..., None]
    return Image.fromarray(tiles.to_uint8(np.clip(sheet, 0, 1)))


def ribbons(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Long bands of thin paint that wind side by side round what is drawn, raw board between."""
    colours = np.asarray(picture.filter(ImageFilter.GaussianBlur(7))).astype(float)
    grey = cv2.GaussianBlur(colours.mean(axis=2).astype(np.float32), (0, 0), 14)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
    sheet = Image.new("RGB", picture.size, (176, 150, 116))
    pen = ImageDraw.Draw(sheet)
    height, width = grey.shape
    for y, x in rng.uniform((0, 0), grey.shape, (height * width // 300, 2)):
        own = colours[int(y), int(x)] + rng.normal(0, 10)
        points, way = [(x, y)], rng.choice((-1.0, 1.0))
        for _ in range(int(rng.integers(8, 18))):
            row, column = int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))
            dx, dy = -down[row, column], across[row, column] + 1e-3  # along what is equally light
            x, y = (at + 5 * way * by / np.hypot(dx, dy) for at, by in ((x, dx), (y, dy)))
            points.append((x, y))
        fill = tuple(int(v) for v in np.clip(own, 0, 255))
        pen.line(points, fill=fill, width=int(rng.integers(5, 9)), joint="curve")
    return sheet


def blocks(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Opaque strokes of a flat brush, short and blunt, most of them horizontal, in few colours."""
    small = picture.filter(ImageFilter.GaussianBlur(5)).quantize(14, dither=Image.Dither.NONE)
    colours = np.asarray(small.convert("RGB")).astype(float)
    sheet = small.convert("RGB")
    pen = ImageDraw.Draw(sheet)
    height, width = colours.shape[:2]
    for y, x in rng.uniform((0, 0), (height, width), (height * width // 150, 2)):
        angle = rng.normal(0, 0.12) + (np.pi / 2 if rng.random() < 0.2 else 0)
        along = rng.uniform(9, 17) * np.array((np.cos(angle), np.sin(angle)))
        across = rng.uniform(4, 6) * np.array((-np.sin(angle), np.cos(angle)))
        corners = [along + across, along - across, -along - across, -along + across]
        own = colours[int(y), int(x)] + 14 * rng.choice((-1, 0, 0, 1))
        fill = tuple(int(v) for v in np.clip(own, 0, 255))
        pen.polygon([(x + c[0], y + c[1]) for c in corners], fill=fill)
    return sheet


def threads(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Thin upright stitches of coloured yarn side by side, the dark cloth seen between some."""
    colours = np.asarray(picture.filter(ImageFilter.GaussianBlur(6))).astype(float)
    sheet = Image.new("RGB", picture.size, (58, 46, 44))
    pen = ImageDraw.Draw(sheet)
    for x in range(0, picture.width, 4):
        y = -rng.uniform(0, 30)
        while y < picture.height:
            long = rng.uniform(14, 34)
            row = int(np.clip(y + long / 2, 0, picture.height - 1))
            own = 1.15 * colours[row, x] + rng.normal(0, 16)
            fill = tuple(int(v) for v in np.clip(own, 0, 255))
            lean = rng.normal(0, 0.8)
            pen.line((x - lean, y, x + lean, y + long - 3), fill=fill, width=3)
            y += long
    return sheet


def discs(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Flat discs of several sizes, laid over each other like paper confetti."""
    colours = np.asarray(picture.filter(ImageFilter.GaussianBlur(6))).astype(float)
    sheet = picture.filter(ImageFilter.GaussianBlur(20))
    pen = ImageDraw.Draw(sheet)
    for radius in (20, 13, 8):
        count = int(1.6 * picture.width * picture.height / (np.pi * radius**2))
        for y, x in rng.uniform((0, 0), picture.size[::-1], (count, 2)):
            own = colours[int(y), int(x)] + rng.normal(0, 13) + rng.normal(0, 7, 3)
            fill = tuple(int(v) for v in np.clip(own, 0, 255))
            r = radius * rng.uniform(0.75, 1.2)
            pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)
    return sheet


def woodcut(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Black print on white paper: level cuts, wider where it is lighter, none where it is dark."""
    grey = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(3))) / 255
    height, width = grey.shape
    y = np.arange(height)[:, None]
    waves = cv2.resize(rng.normal(0, 1, (height // 60 + 2, width // 60 + 2)), (width, height),
                       interpolation=cv2.INTER_CUBIC)  # fmt: skip
    teeth = np.abs((y + 3 * waves) / 7 % 1 - 0.5) * 2  # 0 in the middle of a cut, 1 between two
    light = np.clip((grey - 0.25) / 0.5, 0, 1)
    white = (teeth < light) & (light > 0.05)
    printed = np.where(white[..., None], np.array((246, 243, 236)), np.array((24, 22, 24)))
    return Image.fromarray(printed.astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


def halftone(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Dots of ink in slanted rows on paper, larger where it is darker: a printed photograph."""
    grey = np.asarray(picture.convert("L").filter(ImageFilter.GaussianBlur(2))) / 255
    height, width = grey.shape
    pitch, angle = 8.0, 0.6 + rng.uniform(-0.04, 0.04)
    y, x = np.mgrid[0:height, 0:width]
    along = (x * np.cos(angle) + y * np.sin(angle)) / pitch
    across = (y * np.cos(angle) - x * np.sin(angle)) / pitch
    far = np.hypot(along % 1 - 0.5, across % 1 - 0.5)
    ink = far < np.sqrt(np.clip(1.05 - grey, 0, 1) / np.pi)
    printed = np.where(ink[..., None], np.array((38, 34, 60)), np.array((242, 236, 222)))
    return Image.fromarray(printed.astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


HANDS = {"stipple": stipple, "chalk": chalk, "mosaic": mosaic, "knife": knife, "wash": wash,
         "watercolour": watercolour, "ribbons": ribbons, "blocks": blocks, "threads": threads,
         "discs": discs, "woodcut": woodcut, "halftone": halftone}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
