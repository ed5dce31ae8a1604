"""What the scenes of the samples are drawn with: a canvas, sky, hills, trees, houses, water.

All lengths and places are in pixels of the finished picture. A canvas is twice as large, so that
what is drawn has smooth edges when it is shrunk.
"""

import cv2
import numpy as np

WIDTH, HEIGHT = 640, 400  # pixels of a scene
SCALE = 2  # pixels of a canvas for each one of the picture
WARM = np.array([1.0, 0.92, 0.72], np.float32)  # light takes all colours, shade leaves more blue
# Colours of a time of day: upper and lower sky, haze, meadow, and how bright things are.
TIMES = {
    "noon": ((74, 144, 214), (206, 232, 244), (168, 200, 226), (118, 172, 62), 1.0),
    "morning": ((134, 176, 220), (255, 226, 184), (220, 206, 200), (146, 176, 78), 1.0),
    "evening": ((96, 92, 158), (255, 170, 92), (214, 142, 124), (146, 134, 60), 0.86),
    "night": ((16, 26, 70), (62, 88, 142), (52, 70, 122), (40, 74, 76), 0.5),
}


class Canvas:
    """A transparent picture to draw on, with bodies that are lit from the top left."""

    def __init__(self, width: int, height: int):
        self.width, self.height = width, height
        self.pixels = np.zeros((SCALE * height, SCALE * width, 4), np.uint8)  # times opacity

    def shape(self, points, colour, *, soft: float = 4.0, light: float = 0.35, opacity: float = 1):
        """Fills an outline [n, 2] as a rounded body; `soft` is how far its shading reaches."""
        points = SCALE * np.asarray(points, np.float32)
        limits = self.pixels.shape[1::-1]
        pad = 2 + int(2 * SCALE * soft)
        low = np.clip(np.floor(points.min(axis=0)).astype(int) - pad, 0, limits)
        high = np.clip(np.ceil(points.max(axis=0)).astype(int) + pad, 0, limits)
        if (high - low < 1).any():
            return
        mask = np.zeros((high - low)[::-1], np.uint8)
        outline = np.rint(16 * (points - low)).astype(np.int32)
        cv2.fillPoly(mask, [outline], 255, cv2.LINE_AA, 4)
        share = mask[..., None] * np.float32(opacity / 255)
        paint: np.ndarray = np.array(colour, np.float32)
        if light:
            side = int(2.45 * SCALE * soft) | 1
            body = cv2.blur(cv2.blur(mask.astype(np.float32) / 255, (side, side)), (side, side))
            across, down = (cv2.Sobel(body, cv2.CV_32F, x, 1 - x) for x in (1, 0))
            slope = 0.6 * across + 0.8 * down
            paint = paint * (1 + light * 0.31 * SCALE * soft * slope[..., None] * WARM)
        part = self.pixels[low[1] : high[1], low[0] : high[0]]
        paint = np.clip(np.broadcast_to(paint, (*mask.shape, 3)), 0, 255)
        part[..., :3] = np.rint(part[..., :3] * (1 - share) + paint * share)
        part[..., 3:] = np.rint(part[..., 3:] * (1 - share) + 255 * share)

    def dot(self, x: float, y: float, radius: float, colour) -> None:
        """Fills a flat disc."""
        centre = round(16 * SCALE * x), round(16 * SCALE * y)
        cv2.circle(self.pixels, centre, max(1, round(16 * SCALE * radius)), _paint(colour), -1,
                   cv2.LINE_AA, 4)  # fmt: skip

    def line(self, points, colour, width: float = 1.0) -> None:
        """Draws a line through points [n, 2]."""
        places = np.rint(16 * SCALE * np.asarray(points)).astype(np.int32)
        cv2.polylines(self.pixels, [places], False, _paint(colour), max(1, round(SCALE * width)),
                      cv2.LINE_AA, 4)  # fmt: skip

    def fill(self, colours: np.ndarray, cover: np.ndarray) -> None:
        """Lays colours [h, w, 3] over all that is there, as opaque as `cover` [h, w] says."""
        share = np.clip(cover, 0, 1)[..., None].astype(np.float32)
        colours = np.clip(np.concatenate([colours, np.full_like(colours[..., :1], 255)], 2), 0, 255)
        self.pixels[:] = np.rint(self.pixels * (1 - share) + colours * share)

    def picture(self) -> np.ndarray:
        """Returns the finished picture: uint8 [height, width, 3]."""
        size = self.width, self.height
        return cv2.resize(self.pixels[..., :3], size, interpolation=cv2.INTER_AREA)


def _paint(colour) -> tuple[float, ...]:
    return (*(float(min(255, max(0, value))) for value in colour), 255.0)


def mix(a, b, share: float) -> np.ndarray:
    """Returns a colour between two."""
    return np.array(a, np.float32) * (1 - share) + np.array(b, np.float32) * share


class Pen:
    """Draws the parts of a thing in units of its size, to the right of and up from its place."""

    def __init__(self, canvas: Canvas, place, size: float, bright: float = 1.0):
        self.canvas, self.place, self.size, self.bright = canvas, np.array(place), size, bright

    def sharp(self, colour, *points, soft: float = 0.05, **look) -> None:
        """Fills an outline."""
        places = self.place + self.size * np.array(points, np.float32) * (1, -1)
        colour = np.array(colour) * self.bright
        self.canvas.shape(places, colour, soft=max(1.0, soft * self.size), **look)

    def body(self, colour, *points, **look) -> None:
        """Fills an outline whose corners are cut round (Chaikin 1974)."""
        outline: np.ndarray = np.array(points, np.float32)
        for _ in range(3):
            after = np.roll(outline, -1, axis=0)
            outline = np.stack([3 * outline + after, outline + 3 * after], 1).reshape(-1, 2) / 4
        self.sharp(colour, *outline, **look)

    def oval(self, colour, right, up, wide, high, turn: float = 0.0, **look) -> None:
        """Fills an ellipse with two radii, turned clockwise by radians."""
        angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        across, over = wide * np.cos(angle), high * np.sin(angle)
        cos, sin = np.cos(turn), np.sin(turn)
        points = np.stack([right + across * cos + over * sin, up - across * sin + over * cos], 1)
        self.sharp(colour, *points, **look)

    def limb(self, colour, start, end, thick: float, thin: float, **look) -> None:
        """Fills a limb that grows thinner from start to end."""
        angle = np.arctan2(end[1] - start[1], end[0] - start[0]) + np.linspace(0.5, 1.5, 10) * np.pi
        round_ = np.stack([np.cos(angle), np.sin(angle)], 1)
        self.sharp(colour, *(start + thick * round_), *(end - thin * round_), **look)

    def line(self, colour, width: float, *points) -> None:
        """Draws a line."""
        places = self.place + self.size * np.array(points) * (1, -1)
        self.canvas.line(places, np.array(colour) * self.bright, width * self.size)

    def shadow(self, right: float, wide: float) -> None:
        """Darkens the ground."""
        for share in (1.0, 0.75, 0.5):
            own = share * wide
            self.oval((28, 44, 52), right, 0, own, 0.16 * own, light=0, opacity=0.16)


def noise(rng, height: int, width: int, size: float, stretch: float = 1.0) -> np.ndarray:
    """Returns smooth noise in [0, 1], float32 [height, width], of forms of a size in pixels."""
    shape = height // 2 + 1, width // 2 + 1  # nothing finer than two pixels is needed
    total, weight = np.zeros(shape, np.float32), 0.0
    for octave in range(6):
        cells = max(1.0, 0.5 * size / 2**octave)
        grid = rng.random((int(shape[0] / cells) + 3, int(shape[1] / (cells * stretch)) + 3))
        total += (
            cv2.resize(grid.astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
            * 0.5**octave
        )
        weight += 0.5**octave
    total = np.clip((total / weight - 0.5) * 1.6 + 0.5, 0, 1)
    return cv2.resize(total, (width, height))


def sky(canvas: Canvas, time: str, sun: tuple[float, float] | None = None) -> None:
    """Fills a canvas with the sky of a time of day, and the glow of its sun or moon."""
    top, low, _, _, _ = TIMES[time]
    height, width = canvas.pixels.shape[:2]
    down = np.linspace(0, 1.6, height, dtype=np.float32)[:, None, None].clip(0, 1) ** 0.9
    colours = np.repeat(np.array(top) * (1 - down) + np.array(low) * down, width, 1)
    if sun:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32) / SCALE
        glow = np.exp(-np.hypot(x - sun[0], y - sun[1]) / 70)[..., None]
        colours += glow * np.array((120, 90, 40) if time != "night" else (70, 80, 80))
    canvas.fill(colours, np.ones((height, width)))
    if sun:
        canvas.dot(*sun, 17, (255, 250, 222))


def clouds(canvas: Canvas, rng, time: str, low: float) -> None:
    """Draws heaps of cloud down to a height, lit from the top left."""
    height, width = canvas.pixels.shape[:2]
    thick = noise(rng, height, width, 130 * SCALE, 1.8)
    thick -= 0.9 * np.square(np.linspace(-0.6, height / (SCALE * low) - 0.4, height))[:, None]
    lit = np.clip(0.66 + 4.0 * _slope(cv2.GaussianBlur(thick, (0, 0), 2.5 * SCALE), 8), 0, 1)
    _, below, haze, _, bright = TIMES[time]
    shade = mix(haze, below, 0.4) * 0.96
    white = mix((255, 253, 246), below, 0.15) * (0.3 + 0.7 * bright)
    canvas.fill(shade * (1 - lit) + white * lit, (thick - 0.46) * 7)


def _slope(heights: np.ndarray, far: int) -> np.ndarray:
    """Returns by how much a surface faces the light from the top left, [h, w, 1]."""
    padded = cv2.copyMakeBorder(heights, far * SCALE, 0, far * SCALE, 0, cv2.BORDER_REFLECT)
    return (heights - padded[: heights.shape[0], : heights.shape[1]])[..., None]


def hill(canvas: Canvas, rng, base: float, rise: float, size: float, near, far) -> np.ndarray:
    """Draws a hill with soft folds and returns the height of its ridge at each pixel of width."""
    height, width = canvas.pixels.shape[:2]
    ridge = SCALE * (base - rise * noise(rng, 3, width, SCALE * size)[1])
    ridge = cv2.GaussianBlur(ridge[None], (0, 0), 2 * SCALE)[0]
    down = np.arange(height, dtype=np.float32)[:, None] - ridge
    share = np.clip(down / (SCALE * 1.6 * rise), 0, 1)[..., None]
    folds = cv2.GaussianBlur(noise(rng, height, width, 70 * SCALE, 2.2), (0, 0), 3 * SCALE)
    light = (
        1
        + 1.5 * _slope(folds, 7)
        + 0.1 * (noise(rng, height, width, 6 * SCALE, 3)[..., None] - 0.5)
    )
    facing = np.gradient(cv2.GaussianBlur(ridge[None], (0, 0), 6 * SCALE)[0])
    light -= 0.35 * np.clip(facing, -0.6, 0.6)[None, :, None] * (1 - share)
    canvas.fill((np.float32(far) * (1 - share) + np.float32(near) * share) * light, down + 0.5)
    return ridge[::SCALE] / SCALE


def foliage(canvas: Canvas, rng, place, size, colour, leaf: float) -> None:
    """Heaps leaves into a crown, dark ones below, light ones to the top left."""
    (x, y), (wide, high) = place, size
    count = int(min(900, 5 * wide * high / leaf**2))
    angle, far = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    far *= 0.82 + 0.18 * np.sin(5 * angle + rng.uniform(0, 6))  # lobes
    right, down = far * np.cos(angle), far * np.sin(angle)
    lit = -0.5 * right - 0.8 * down + rng.normal(0, 0.25, count)
    for i in np.argsort(lit):
        tone = np.clip(0.78 + 0.42 * lit[i], 0.35, 1.35)
        tint = np.array(colour) * tone * (1 + 0.1 * lit[i] * np.array([1.0, 0.6, -0.6]))
        canvas.dot(x + wide * right[i], y + high * down[i], leaf * rng.uniform(0.6, 1.2), tint)


def tree(canvas: Canvas, rng, place, size: float, leaves, bright: float = 1) -> None:
    """Draws a tree that stands at a place."""
    pen, bark = Pen(canvas, place, size, bright), (104, 76, 58)
    pen.shadow(0.3, 0.5)
    pen.limb(bark, (0, 0), (-0.02, 0.6), 0.055, 0.03)
    for side in (-0.2, 0.2):
        pen.limb(bark, (0, 0.36), (side, 0.62), 0.03, 0.015)
    for right, up, part in ((0.16, 0.6, 0.26), (-0.2, 0.62, 0.27), (0.02, 0.8, 0.3)):
        crown = place[0] + right * size, place[1] - up * size
        wide, leaf = part * size, max(1.2, 0.03 * size)
        foliage(canvas, rng, crown, (wide, 0.8 * wide), np.array(leaves) * bright, leaf)


def grass(canvas: Canvas, rng, low: float, colour, flowers, count: int = 1900) -> None:
    """Draws blades of grass and flowers from a height downwards, larger the nearer."""
    for depth in np.sort(rng.random(count) ** 0.8):
        x, y = rng.uniform(0, canvas.width), low + depth * (canvas.height - low + 8)
        size, lean = 1.5 + 11 * depth**1.5, rng.normal(0.15, 0.35)
        tint = np.array(colour) * rng.uniform(0.66, 1.24) + rng.normal(0, 5, 3)
        tip = x + lean * size, y - size
        canvas.line([(x, y), (x + 0.4 * lean * size, y - 0.6 * size), tip], tint, 0.3 + 0.9 * depth)
        if rng.random() < 0.07:
            canvas.dot(*tip, 0.8 + 2.2 * depth, flowers[int(rng.integers(len(flowers)))])


def house(canvas: Canvas, place, size: float, roof, bright: float = 1) -> None:
    """Draws a house with two sides; its windows are lit when it is dark."""
    pen, wall = Pen(canvas, place, size, bright), np.array((246, 232, 206))
    pen.shadow(0.6, 1.1)
    pen.sharp(wall, (-1, 0), (-1, 0.62), (0.15, 0.62), (0.15, 0), light=0.12)
    pen.sharp(
        wall * (0.7, 0.72, 0.82),
        (0.15, 0),
        (0.15, 0.62),
        (0.48, 1.15),
        (0.8, 0.62),
        (0.8, 0),
        light=0.1,
    )
    pen.sharp(roof, (-0.62, 1.15), (0.48, 1.15), (0.11, 0.6), (-1.06, 0.6), light=0.2)
    pen.line(np.array(roof) * 0.7, 0.05, (0.48, 1.15), (0.85, 0.6))
    pen.sharp(np.array(roof) * 0.75, (-0.38, 1.1), (-0.38, 1.34), (-0.25, 1.34), (-0.25, 1.1))
    glass = np.array((255, 214, 120)) / bright if bright < 0.9 else (66, 86, 112)
    for left in (-0.78, -0.4, 0.36):
        for grow, tint in ((0.04, mix(wall, (255, 255, 255), 0.5)), (0, glass)):
            a, b, c, d = left - grow, 0.2 - grow, left + 0.2 + grow, 0.44 + grow
            pen.sharp(tint, (a, b), (a, d), (c, d), (c, b), light=0)


def boat(
    canvas: Canvas, place, size: float, sail, hull, tilt: float = 0.0, bright: float = 1
) -> None:
    """Draws a boat with two sails; `tilt` rocks it."""
    pen = Pen(canvas, place, size, bright)
    pen.line((92, 66, 50), 0.03, (0.1 * tilt, 0.1), (1.3 * tilt, 1.3))
    pen.sharp(
        sail,
        (0.04, 0.22),
        (0.04 + 1.3 * tilt, 1.28),
        (0.3 + 0.7 * tilt, 0.7),
        (0.56, 0.26),
        soft=0.1,
    )
    pen.sharp(
        mix(sail, (255, 255, 255), 0.4),
        (-0.04, 0.24),
        (1.1 * tilt - 0.04, 1.1),
        (-0.44, 0.26),
        soft=0.08,
    )
    pen.sharp(hull, (-0.6, 0.2), (0.66, 0.2), (0.46, -0.06), (-0.42, -0.06), soft=0.06)


def reflect(canvas: Canvas, top: int, low: int, tint, time: float) -> None:
    """Fills rows of a canvas with water that mirrors what is above it, in ripples."""
    above, rows = canvas.pixels[: SCALE * top, :, :3], SCALE * (low - top)
    y, x = np.mgrid[0:rows, 0 : above.shape[1]].astype(np.float32)
    near = y / rows + 0.06
    wave = np.sin(y / (0.5 + 5 * near) + 2.6 * time) + np.sin(
        x / (60 * near + 9) + y / 5 - 1.7 * time
    )
    source = y * min(1.0, (len(above) - 9) / rows) + 3 * near * wave + 3
    mirrored = (above[::-1], x + 5 * near * wave, source, cv2.INTER_LINEAR)
    water = cv2.remap(*mirrored, borderMode=cv2.BORDER_REFLECT)
    share = (0.34 + 0.34 * near + 0.07 * wave)[..., None]
    part = canvas.pixels[SCALE * top : SCALE * low]
    part[..., :3] = np.clip(water * (1 - share) + np.float32(tint) * share, 0, 255)
    part[..., 3] = 255


def glints(canvas: Canvas, seed: int, top: float, low: float, time: float, colour) -> None:
    """Draws lights on water that come and go."""
    rng = np.random.default_rng(seed)
    for x, depth, phase, speed in rng.uniform((0, 0, 0, 2), (canvas.width, 1, 6.3, 5), (150, 4)):
        size = (1 + 7 * depth) * (np.sin(phase + speed * time) - 0.2)
        y = top + depth**1.3 * (low - top)
        if size > 0.4:
            canvas.line([(x - size, y), (x + size, y)], colour, 0.4 + 0.6 * depth)
