"""The scenes that the sample painters paint, and the two shots of the sample film."""

import functools

from data import sample_figures as figures
from data.sample_drawing import (
    HEIGHT,
    SCALE,
    TIMES,
    WIDTH,
    Canvas,
    Pen,
    boat,
    clouds,
    foliage,
    glints,
    grass,
    hill,
    house,
    mix,
    noise,
    reflect,
    sky,
    tree,
)  # fmt: skip

import cv2
import numpy as np

FILM_HEIGHT, RATE = 360, 24
CUT, FRAMES = 108, 192  # frames of the first shot, and of all
SCENES = tuple(line.split() for line in """
    noon meadow house tree person dog
    morning lake tree boat
    noon garden cat
    noon table vase fruit
    evening meadow house house tree sheep
    noon garden face
    evening lake boat boat person
    morning meadow sheep tree person
    noon table fruit fruit
    night meadow moon house house tree
    noon lake tree person dog
    evening garden face
    evening table vase
    night garden moon cat
""".strip().splitlines())  # fmt: skip
BEHIND = "boat house tree sheep person dog cat face vase fruit".split()  # what lies before what
COATS = ((214, 66, 58), (60, 104, 176), (238, 178, 60), (120, 76, 140))
FURS = ((218, 146, 74), (122, 116, 116), (72, 62, 66), (236, 214, 180))
SKINS = ((240, 196, 164), (206, 150, 112), (150, 100, 72))
HAIRS = ((110, 64, 40), (52, 40, 40), (214, 160, 84), (150, 60, 40))
PETALS = ((232, 76, 74), (250, 204, 92), (246, 240, 232), (226, 120, 168))
LEAVES = ((96, 150, 58), (74, 132, 74), (196, 150, 52), (140, 160, 60))
WALLS = ((206, 216, 206), (232, 200, 160), (150, 176, 200))


def scene(number: int) -> np.ndarray:
    """Draws a scene, always the same for a number: uint8 [400, 640, 3], RGB."""
    rng = np.random.default_rng([7, number])
    time, place, *things = SCENES[number % len(SCENES)]
    canvas = Canvas(WIDTH, HEIGHT)
    if place == "table":
        _draw_table(canvas, rng, time)
    else:
        shines = "moon" in things or time == "evening"
        sky(canvas, time, (rng.uniform(90, 550), 62) if shines else None)
        _draw_land(canvas, rng, time, place)
    for thing in sorted(set(things) - {"moon"}, key=BEHIND.index):
        for _ in range(things.count(thing)):
            _add(thing, canvas, rng, TIMES[time][4])
    return canvas.picture()


def _draw_hills(canvas: Canvas, rng, time: str, low: float) -> None:
    """Draws mountains, hills and woods, which end at a height."""
    _, _, haze, green, bright = TIMES[time]
    hill(canvas, rng, low, 92, 190, mix(haze, green, 0.3), mix(haze, (70, 96, 140), 0.35))
    ridge = hill(canvas, rng, low + 11, 46, 130, mix(haze, green, 0.75), mix(haze, green, 0.5))
    wood = mix(haze, np.array((74, 118, 66)) * bright, 0.72)
    for x in np.sort(rng.uniform(0, canvas.width, canvas.width // 15)):
        y, size = ridge[int(x)] + rng.uniform(3, 34), rng.uniform(6, 13)
        foliage(canvas, rng, (x, y), (1.3 * size, size), wood, 2.4)


def _draw_land(canvas: Canvas, rng, time: str, place: str) -> None:
    """Draws clouds, hills, and a lake or a meadow before them."""
    _, low, haze, green, bright = TIMES[time]
    clouds(canvas, rng, time, 210)
    _draw_hills(canvas, rng, time, 225)
    shore = 242
    if place == "lake":
        shore = 328
        reflect(canvas, 226, shore, mix(haze, (40, 96, 130), 0.4), rng.uniform(0, 9))
        glints(canvas, 1, 228, 322, 0.0, mix(low, figures.WHITE, 0.6))
    hill(canvas, rng, shore + 2, 14, 300, np.array(green) * 0.92, np.array(green) * 1.08)
    grass(canvas, rng, shore, green, np.array(PETALS) * bright)


def _draw_table(canvas: Canvas, rng, time: str) -> None:
    """Draws a wall in soft light and a table with a striped cloth."""
    y, x = np.mgrid[0 : SCALE * HEIGHT, 0 : SCALE * WIDTH].astype(np.float32) / SCALE
    light = 1.15 - 0.5 * np.hypot(x - 120, y - 60) / 500 + 0.1 * noise(rng, len(x), x.shape[1], 90)
    wall = np.array(WALLS[int(rng.integers(3))]) * TIMES[time][4]
    canvas.fill(wall * light[..., None], np.ones_like(x))
    cloth = COATS[int(rng.integers(4))]
    table = ((-20, 282), (660, 270), (660, 420), (-20, 420))
    canvas.shape(table, mix(cloth, figures.CREAM, 0.35), soft=14)
    for left in range(-60, 700, 76):
        stripe = ((left, 278), (left + 34, 278), (left - 16, 420), (left - 66, 420))
        canvas.shape(stripe, cloth, light=0, opacity=0.5)


def _add(thing: str, canvas: Canvas, rng, bright: float) -> None:
    """Adds a thing to a scene, somewhere in its place."""
    x, size, phase = rng.uniform((120, 0, 0), (520, 1, 6))

    def one(colours) -> np.ndarray:
        return np.array(colours[int(rng.integers(len(colours)))], float)

    if thing == "boat":
        boat(canvas, (x, 250 + 46 * size), 34 + 28 * size, one(PETALS), one(COATS), 0.0, bright)
    elif thing == "house":
        house(canvas, (x, 262 + 38 * size), 36 + 22 * size, one(COATS), bright)
    elif thing == "tree":
        left = x - 60 if x < 260 else x + 50
        tree(canvas, rng, (left, 352), 190 + 60 * size, one(LEAVES), bright)
    elif thing == "sheep":
        for right, y in ((0, 318), (74, 344), (-90, 352)):
            figures.sheep(canvas, (x + right, y), 0.35 * y - 75, bright)
    elif thing == "person":
        figures.person(canvas, (x, 366), 116, one(COATS), phase, bright)
    elif thing == "dog":
        figures.dog(canvas, (x + 40, 376), 44, one(FURS), phase, bright)
    elif thing == "cat":
        mood = size - 0.5, 0.0, 0.0, phase
        figures.cat(canvas, (0.5 * x + 160, 382), 170, one(FURS), mood, bright)
    elif thing == "face":
        colours = one(SKINS), one(HAIRS), one(COATS)
        figures.face(canvas, (0.4 * x + 190, 196), 92, colours, bright)
    elif thing == "vase":
        petals = one(PETALS), one(PETALS), one(PETALS)
        figures.vase(canvas, rng, (0.5 * x + 120, 352), 160, one(COATS), petals, bright)
    else:
        for right, y in ((0, 318), (58, 324), (-52, 334), (24, 356)):
            colour = one((COATS[0], COATS[2], LEAVES[0]))
            figures.fruit(canvas, (x + right, y), 28 + 8 * size, colour, bright)


def film_frame(number: int) -> np.ndarray:
    """Draws a frame of the sample film: uint8 [360, 640, 3], RGB."""
    return _walk(number) if number < CUT else _sill(number - CUT)


def _cover(view: Canvas, layer: np.ndarray, left: int = 0) -> None:
    """Lays a part of a wide layer, as `Canvas.pixels`, over a view."""
    part = layer[:, left : left + view.pixels.shape[1]]
    clear = cv2.merge([255 - part[..., 3]] * 4)
    view.pixels[:] = cv2.add(cv2.multiply(view.pixels, clear, scale=1 / 255), part)


@functools.cache
def _walk_layers() -> list[np.ndarray]:
    """Draws what the first shot pans over: sky, clouds, hills, meadow, grass in front."""
    rng, green = np.random.default_rng(5), np.array(TIMES["noon"][3])
    layers = [Canvas(WIDTH + own, FILM_HEIGHT) for own in (0, 70, 70, 140, 210)]
    far, drifting, hills, meadow, front = layers
    sky(far, "noon", (96, 52))
    clouds(drifting, rng, "noon", 178)
    _draw_hills(hills, rng, "noon", 178)
    for x, size, roof in ((450, 20, COATS[0]), (500, 26, COATS[0]), (560, 18, COATS[2])):
        house(hills, (x, 186), size, roof)
    hill(meadow, rng, 282, 26, 260, green * 0.94, green * 1.1)
    grass(meadow, rng, 272, green, PETALS, 2400)
    tree(meadow, rng, (156, 322), 214, LEAVES[0])
    tree(meadow, rng, (700, 306), 150, LEAVES[3])
    grass(front, rng, 344, green * 0.8, PETALS, 700)
    return [own.pixels for own in layers]


def _walk(number: int) -> np.ndarray:
    """Draws a frame of the first shot: somebody walks by a lake with a dog."""
    far, drifting, hills, meadow, front = _walk_layers()
    time, view = number / RATE, Canvas(WIDTH, FILM_HEIGHT)
    _cover(view, far)
    _cover(view, drifting, CUT - number)
    _cover(view, hills, number)
    reflect(view, 188, 290, (74, 132, 168), time)
    glints(view, 3, 190, 284, time, figures.WHITE)
    boat(view, (300 - 5 * time, 226), 34, (250, 240, 220), COATS[0], 0.05 * np.sin(1.8 * time))
    for bird in range(5):
        place = 120 + 46 * time + 24 * bird, 70 + 9 * abs(bird - 2) + 4 * np.sin(time + bird)
        flap = 0.6 * np.sin(9 * time + bird)
        wings = (-1, flap), (-0.4, 0.2), (0, 0), (0.4, 0.2), (1, flap)
        Pen(view, place, 8).line((58, 62, 84), 0.18, *wings)
    _cover(view, meadow, 2 * number)
    figures.person(view, (250 + 14 * time, 330), 104, COATS[0], 5.2 * time)
    figures.dog(view, (338 + 15 * time, 336 + 2 * np.sin(2 * time)), 40, FURS[0], 8.5 * time)
    _cover(view, front, 3 * number)
    return view.picture()


@functools.cache
def _sill_layers() -> list[np.ndarray]:
    """Draws what does not move in the second shot: view, clouds, window with its sill."""
    rng = np.random.default_rng(11)
    outside, drifting, room = (Canvas(WIDTH + own, FILM_HEIGHT) for own in (0, 60, 0))
    sky(outside, "morning", (470, 60))
    hill(outside, rng, 190, 70, 150, (128, 168, 138), (140, 166, 196))
    reflect(outside, 194, FILM_HEIGHT, (96, 158, 184), 0.0)
    clouds(drifting, np.random.default_rng(2), "morning", 120)
    y, x = np.mgrid[0 : SCALE * FILM_HEIGHT, 0 : SCALE * WIDTH].astype(np.float32) / SCALE
    light = 0.92 + 0.2 * noise(rng, len(x), x.shape[1], 60) - 0.0006 * x
    opening = (x > 110) & (x < 590) & (y < 290)
    room.fill(np.array((224, 164, 130)) * light[..., None], 1 - opening)
    for left, top, right, low, colour in (
        (98, -20, 120, 296, (246, 238, 224)), (580, -20, 602, 296, (246, 238, 224)),
        (341, -20, 357, 296, (246, 238, 224)), (98, 92, 602, 104, (246, 238, 224)),
        (50, 288, 650, 330, (238, 222, 200)), (44, 328, 656, 346, (196, 170, 146)),
    ):  # fmt: skip
        room.shape(((left, top), (right, top), (right, low), (left, low)), colour, soft=5)
    petals = PETALS[0], PETALS[1], PETALS[3]
    figures.vase(room, rng, (170, 316), 104, (74, 122, 160), petals)
    return [cv2.GaussianBlur(outside.pixels, (0, 0), 1.5), drifting.pixels, room.pixels]


def _sill(number: int) -> np.ndarray:
    """Draws a frame of the second shot: a cat on a sill watches a butterfly."""
    outside, drifting, room = _sill_layers()
    time, view = number / RATE, Canvas(WIDTH, FILM_HEIGHT)
    _cover(view, outside)
    _cover(view, drifting, 110 - number)
    glints(view, 4, 200, 286, time, (255, 244, 220))
    boat(view, (530 - 26 * time, 222), 40, (250, 246, 236), COATS[1], 0.05 * np.sin(2 * time))
    _cover(view, room)

    def at(moment: float) -> float:
        return max(0.0, 1 - abs(time - moment) / 0.15)

    x, y = 380 + 170 * np.sin(1.25 * time + 0.4), 64 + 26 * np.sin(3.1 * time)
    blink = min(1.0, 1.3 * (at(1.3) + at(3.3)))
    mood = (x - 380) / 200, blink, at(2.1) + at(2.5), 2.6 * time
    figures.cat(view, (396, 326), 154, FURS[0], mood)
    figures.butterfly(view, (x, y), 0.35 + 0.65 * abs(np.sin(11 * time)))
    for fold in range(6):
        left, sway = 18 * fold - 14, 5 * np.sin(1.4 * time + 0.7 * fold)
        curtain = ((0, 40), (30, 40), (26 + sway / 2, -150), (32 + sway, -336), (sway - 2, -336))
        Pen(view, (left, 0), 1).body((244, 226, 190), *curtain, soft=9, light=0.3)
    return view.picture()
