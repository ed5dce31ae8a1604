"""Draws sample paintings and a sample video, so that the program can be tried without any media.

    python data/make_samples.py

Writes data/paintings/night-streets/*.jpg, some 40 street scenes at night laid down in layers of
brush strokes from coarse to fine along the shapes of a procedural scene (after Hertzmann 1998,
doi 10.1145/280814.280951), and data/videos/night-walk.mp4, 12 s of 640x360 at 24 frames/s between
black bars, with a moving camera, one hard cut and stereo sound. Same files at every run.
"""

import sys
import tempfile
import wave
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cadl import console, files
from cadl.settings import Count, read_settings

import imageio_ffmpeg
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SAMPLES: Path = Path(__file__).resolve().parent  # folder that gets paintings/ and videos/
PAINTINGS: Count = 40  # how many paintings

WIDTH, HEIGHT = 640, 400
VIDEO_WIDTH, VIDEO_HEIGHT, BAR = 640, 360, 36
RATE, SECONDS, CUT = 24, 12, 7.5
SOUND_RATE = 48_000
SKIES = [
    ((18, 24, 66), (96, 62, 110)),
    ((10, 34, 74), (40, 104, 128)),
    ((34, 20, 58), (168, 86, 70)),
    ((14, 40, 60), (120, 120, 96)),
]
LEAVES = [(214, 120, 26), (232, 170, 40), (178, 62, 30), (240, 200, 90), (120, 88, 36)]
VIVID = 1.3  # how much purer paintings are in colour than scenes
LAMPS = [(255, 214, 120), (255, 182, 84), (255, 236, 170)]


@console.script
def main(argv: list[str] | None = None) -> int:
    """Draws everything that is not there yet and returns the exit status."""
    settings = read_settings(argv)
    folder = settings.samples / "paintings" / "night-streets"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [
        number for number in range(settings.paintings) if not painting_path(folder, number).exists()
    ]
    for number in console.progress(missing, unit="painting", label="paint"):
        painting = paint(Scene(number).draw(WIDTH, HEIGHT, 0.4 * (number % 3)), number)
        with files.whole_file(painting_path(folder, number)) as temporary:
            painting.save(temporary, quality=92)
    film = settings.samples / "videos" / "night-walk.mp4"
    if not film.exists():
        make_film(film)
    console.finish(f"Wrote {settings.paintings} paintings to {folder} and {film}",
                   "extract_tiles.py")  # fmt: skip
    return 0


def painting_path(folder: Path, number: int) -> Path:
    """Names a painting."""
    return folder / f"street-{number:02d}.jpg"


class Scene:
    """A street at night: sky, houses on both sides, lamps, autumn trees, wet pavement."""

    def __init__(self, seed: int):
        """Draws lots for everything in the scene."""
        rng = np.random.default_rng([7, seed])
        self.rng_seed = seed
        self.sky = SKIES[rng.integers(len(SKIES))]
        self.vanishing = rng.uniform(0.35, 0.65)
        self.horizon = rng.uniform(0.46, 0.58)
        self.houses = [
            (side, depth, rng.uniform(0.5, 1.0), rng.integers(0, 255, 3) * 0.35 + (34, 26, 44),
             rng.random((6, 4)))
            for depth in np.linspace(0.9, 0.12, 6)
            for side in (-1, 1)
        ]  # fmt: skip
        self.lamps = [
            (side, depth, LAMPS[rng.integers(len(LAMPS))])
            for depth in (0.2, 0.34, 0.52, 0.78)
            for side in ((-1, 1) if rng.random() < 0.6 else (rng.choice([-1, 1]),))
        ]
        self.trees = [
            (rng.choice([-1, 1]), rng.uniform(0.25, 0.8), rng.integers(len(LEAVES)))
            for _ in range(rng.integers(1, 5))
        ]
        self.moon = (rng.uniform(0.1, 0.9), rng.uniform(0.08, 0.28)) if rng.random() < 0.5 else None
        self.walkers = rng.uniform([-0.5, 0.2], [0.5, 0.75], (rng.integers(0, 5), 2))

    def draw(self, width: int, height: int, walked: float) -> Image.Image:
        """Draws the scene after walking some way into it, 0 to 1."""
        horizon = self.horizon * height
        vanishing = (self.vanishing + 0.08 * np.sin(3 * walked)) * width
        top, low = (np.array(colour, float) for colour in self.sky)
        blend = np.linspace(0, 1, height)[:, None] ** 1.4
        sky = np.repeat((top + (low - top) * blend)[:, None], width, 1)
        picture = Image.fromarray(sky.astype(np.uint8))
        pen = ImageDraw.Draw(picture)
        if self.moon:
            x, y = self.moon[0] * width, self.moon[1] * height
            pen.ellipse((x - 16, y - 16, x + 16, y + 16), fill=(250, 240, 200))
        self._draw_ground(pen, width, height, horizon, vanishing, low)
        things = (
            [(depth, self._draw_house, (side, *rest)) for side, depth, *rest in self.houses]
            + [(depth, self._draw_lamp, rest) for side, depth, *rest in
               [(s, d, s, c) for s, d, c in self.lamps]]
            + [(depth, self._draw_tree, (side, kind)) for side, depth, kind in self.trees]
            + [(depth, self._draw_walker, (side,)) for side, depth in self.walkers]
        )  # fmt: skip
        nearness = [(max(0.06, depth * (1 + 0.8 * walked)), draw, rest)
                    for depth, draw, rest in things]  # fmt: skip
        for near, draw, rest in sorted(nearness, key=lambda thing: thing[0]):
            if near < 1.6:
                draw(pen, near, vanishing, horizon, width, height, *rest)
        return self._shine(picture, horizon)

    def _place(self, near, vanishing, horizon, width, height, side):
        """Returns where on the picture the kerb is at some nearness: x, y of the foot, scale."""
        return vanishing + side * near * 0.62 * width, horizon + near * 0.42 * height, near

    def _draw_ground(self, pen, width, height, horizon, vanishing, low):
        rows = np.linspace(0, 1, 40)
        for a in rows:
            y = horizon + a * (height - horizon)
            colour = tuple((np.array((38, 36, 52)) * (1 - a) + low * 0.42 * a).astype(int))
            pen.rectangle((0, y, width, y + height / 40 + 1), fill=colour)
        for side in (-1, 1):
            foot = vanishing + side * 0.9 * width
            pen.line((vanishing, horizon, foot, height), fill=(150, 130, 120), width=3)

    def _draw_house(self, pen, near, vanishing, horizon, width, height, side, tall, colour, lit):
        x, y, scale = self._place(near, vanishing, horizon, width, height, side)
        wide, high = 0.55 * width * scale, 1.15 * tall * height * scale
        left, right = (x - wide, x) if side < 0 else (x, x + wide)
        colour = tuple(np.array(colour, int))
        pen.rectangle((left, y - high, right, y), fill=colour)
        roof = tuple(int(c * 0.6) for c in colour)
        pen.polygon(
            [(left, y - high), (right, y - high), ((left + right) / 2, y - high * 1.22)], fill=roof
        )
        for i in range(lit.shape[0]):
            for j in range(lit.shape[1]):
                cx = left + wide * (j + 0.5) / lit.shape[1]
                cy = y - high * (i + 0.7) / (lit.shape[0] + 0.4)
                w, h = wide * 0.07, high * 0.05
                glow = (255, 206, 110) if lit[i, j] > 0.62 else (24, 26, 44)
                pen.rectangle((cx - w, cy - h, cx + w, cy + h), fill=glow)

    def _draw_lamp(self, pen, near, vanishing, horizon, width, height, side, colour):
        x, y, scale = self._place(near, vanishing, horizon, width, height, 0.82 * side)
        high = 0.62 * height * scale
        pen.line((x, y, x, y - high), fill=(16, 14, 22), width=max(1, int(7 * scale)))
        r = 16 * scale + 2
        pen.ellipse((x - r, y - high - r, x + r, y - high + r), fill=colour)

    def _draw_tree(self, pen, near, vanishing, horizon, width, height, side, kind):
        x, y, scale = self._place(near, vanishing, horizon, width, height, 0.95 * side)
        pen.line((x, y, x - side * 8 * scale, y - 0.5 * height * scale), fill=(40, 26, 22),
                 width=max(2, int(16 * scale)))  # fmt: skip
        rng = np.random.default_rng([11, self.rng_seed, kind])
        for dx, dy, r in rng.normal(0, 1, (60, 3)):
            cx, cy = x + dx * 70 * scale, y - 0.68 * height * scale + dy * 46 * scale
            r = (6 + 5 * abs(r)) * scale
            colour = LEAVES[(kind + rng.integers(3)) % len(LEAVES)]
            pen.ellipse((cx - r, cy - r, cx + r, cy + r), fill=colour)

    def _draw_walker(self, pen, near, vanishing, horizon, width, height, side):
        x, y, scale = self._place(near, vanishing, horizon, width, height, side)
        high = 0.28 * height * scale
        coat = (120, 30, 34) if side > 0 else (26, 30, 58)
        pen.ellipse(
            (x - high * 0.12, y - high, x + high * 0.12, y - high * 0.78), fill=(70, 48, 40)
        )
        pen.polygon([(x, y - high * 0.82), (x - high * 0.2, y), (x + high * 0.2, y)], fill=coat)

    def _shine(self, picture, horizon):
        """Adds the glow of lights and their reflection on the wet ground."""
        pixels = np.asarray(picture, np.float32)
        lights = pixels * (pixels.max(axis=2) >= 250)[..., None]
        glow = Image.fromarray(lights.astype(np.uint8)).filter(ImageFilter.GaussianBlur(14))
        pixels = pixels + 0.9 * np.asarray(glow, np.float32)
        edge = int(horizon)
        below = pixels.shape[0] - edge
        mirror = pixels[max(0, edge - below) : edge][::-1]
        streaks = Image.fromarray(np.clip(mirror, 0, 255).astype(np.uint8))
        streaks = streaks.resize((picture.width, max(1, len(mirror) // 10))).resize(
            (picture.width, len(mirror))
        )
        fade = np.linspace(0.75, 0.15, len(mirror))[:, None, None]
        pixels[edge : edge + len(mirror)] += fade * np.asarray(streaks, np.float32) * 0.8
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def paint(scene: Image.Image, seed: int) -> Image.Image:
    """Paints a scene in palette-knife strokes, from broad to narrow, where the canvas is off."""
    rng = np.random.default_rng([13, seed])
    canvas = Image.new("RGB", scene.size, (52, 40, 48))
    for width in (22, 12, 6, 3):
        target = _blurred(scene, width * 0.6)
        grey = Image.fromarray(target.mean(axis=2).astype(np.uint8))
        slope_y, slope_x = np.gradient(_blurred(grey, width))
        off = np.abs(target - np.asarray(canvas, np.float32)).sum(axis=2)

        # Choose places on a loose grid; finer strokes only where the canvas is still wrong.
        spacing = max(3, int(width * 0.8))
        grid = np.mgrid[0 : scene.height : spacing, 0 : scene.width : spacing].reshape(2, -1)
        y, x = grid + rng.integers(0, spacing, grid.shape)
        y, x = np.minimum(y, scene.height - 1), np.minimum(x, scene.width - 1)
        wrong = (off[y, x] >= 130) | (width > 20)
        order = rng.permutation(np.flatnonzero(wrong))
        y, x = y[order], x[order]

        # Lay strokes along the shapes, or along one slant where there are none.
        slope_y, slope_x = slope_y[y, x], slope_x[y, x]
        along = np.where(
            np.hypot(slope_x, slope_y) > 0.3, np.arctan2(slope_x, -slope_y), 0.35
        ) + rng.normal(0, 0.18, len(x))
        reach = width * rng.uniform(1.8, 3.3, len(x))
        # Pure paint, strokes clearly apart from one another: this is what makes it a painting.
        grey = target[y, x].mean(axis=1, keepdims=True)
        colours = 14 + grey + VIVID * (target[y, x] - grey)
        colours *= rng.uniform(0.7, 1.4, (len(x), 1))
        colours = np.clip(colours + rng.normal(0, 12, (len(x), 3)), 0, 255)
        skew = rng.uniform(0.7, 1.0, len(x))
        _lay_strokes(ImageDraw.Draw(canvas), x, y, along, reach, width, skew, colours)
    return canvas


def _blurred(picture: Image.Image, radius: float) -> np.ndarray:
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32)


def _lay_strokes(pen, x, y, along, reach, width, skew, colours) -> None:
    """Lays down strokes of the knife, each with a light and a dark edge of thick paint."""
    dx, dy = np.cos(along) * reach, np.sin(along) * reach
    nx, ny = -np.sin(along) * width / 2, np.cos(along) * width / 2
    corners = np.stack([
        x - dx + nx, y - dy + ny, x + dx + nx * skew, y + dy + ny * skew,
        x + dx - nx * skew, y + dy - ny * skew, x - dx - nx, y - dy - ny,
    ], 1).tolist()  # fmt: skip
    plain = colours.astype(int).tolist()
    light = np.minimum(colours * 1.25 + 14, 255).astype(int).tolist()
    dark = (colours * 0.72).astype(int).tolist()
    for i, stroke in enumerate(corners):
        pen.polygon(stroke, fill=tuple(plain[i]))
        if width >= 6:
            pen.line(stroke[:4], fill=tuple(light[i]), width=1)
            pen.line(stroke[6:] + stroke[4:6], fill=tuple(dark[i]), width=1)


def make_film(path: Path) -> None:
    """Films a walk through two scenes, with bars above and below, and its sound."""
    scenes = [Scene(101), Scene(202)]
    with tempfile.TemporaryDirectory() as folder, files.whole_file(path) as temporary:
        sound = Path(folder, "sound.wav")
        write_sound(sound)
        writer = imageio_ffmpeg.write_frames(
            temporary,
            (VIDEO_WIDTH, VIDEO_HEIGHT),
            fps=RATE,
            macro_block_size=2,
            audio_path=str(sound),
            audio_codec="aac",
            output_params=["-crf", "18", "-bitexact", "-map_metadata", "-1"],
            ffmpeg_log_level="error",
        )
        writer.send(None)
        for number in console.progress(range(RATE * SECONDS), unit="frame", label="film"):
            seconds = number / RATE
            scene = scenes[seconds >= CUT]
            walked = (seconds if seconds < CUT else seconds - CUT) / 9
            view = scene.draw(VIDEO_WIDTH, VIDEO_HEIGHT - 2 * BAR, walked)
            frame = np.zeros((VIDEO_HEIGHT, VIDEO_WIDTH, 3), np.uint8)
            frame[BAR:-BAR] = np.asarray(view)
            writer.send(frame)
        writer.close()


def write_sound(path: Path) -> None:
    """Writes steps on pavement, left and right in turn, over a low hum of chords."""
    t = np.arange(SECONDS * SOUND_RATE) / SOUND_RATE
    rng = np.random.default_rng(17)
    chords = np.where(t < CUT, 1.0, 1.1892)
    hum = sum(np.sin(2 * np.pi * np.cumsum(f * chords) / SOUND_RATE) for f in (110, 165, 220, 277))
    stereo = np.stack([hum, hum], 1) * 0.05 * (0.7 + 0.3 * np.sin(2 * np.pi * t / 4))[:, None]
    for step, start in enumerate(np.arange(0.25, SECONDS - 0.3, 0.5)):
        first = int(start * SOUND_RATE)
        length = int(0.12 * SOUND_RATE)
        knock = rng.standard_normal(length) * np.exp(-np.arange(length) / (0.02 * SOUND_RATE))
        stereo[first : first + length, step % 2] += 0.3 * knock
    samples = (np.clip(stereo, -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes(samples.tobytes())


if __name__ == "__main__":
    sys.exit(main())
