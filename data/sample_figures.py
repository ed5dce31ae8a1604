"""People, animals and things for the scenes of the samples, which can move."""

from data.sample_drawing import Canvas, Pen, mix

import numpy as np

# fmt: off
DARK, WHITE, CREAM, PINK = (44, 34, 40), (255, 255, 255), (255, 250, 240), (226, 150, 140)


def person(canvas: Canvas, place, size: float, coat, step: float, bright: float = 1) -> None:
    """Draws a person who walks to the right; `step` is the phase of the walk in radians."""
    pen, coat = Pen(canvas, place, size, bright), np.array(coat)
    skin, straw = (236, 186, 152), (238, 196, 104)
    pen.shadow(0.12, 0.3)
    swing, bob = 0.17 * np.sin(step), 0.02 * abs(np.sin(step))
    for foot, lift, tone in ((-swing, -np.cos(step), 0.7), (swing, np.cos(step), 1.0)):
        up = 0.03 + 0.05 * max(0.0, lift)
        pen.limb(np.array((70, 78, 112)) * tone, (0, 0.46 + bob), (foot, up), 0.062, 0.04)
        pen.oval(DARK, foot + 0.03, up, 0.06, 0.03)
    for far, tone in ((swing, 0.75), (-swing, 1.0)):
        pen.limb(coat * tone, (0.02, 0.72 + bob), (far, 0.5 + bob), 0.045, 0.03)
        pen.oval(skin, far, 0.49 + bob, 0.033, 0.033)
        if far == swing:
            pen.body(coat, (-0.07, 0.78 + bob), (0.1, 0.78 + bob), (0.16, 0.36), (-0.15, 0.36),
                soft=0.06, light=0.5)
    pen.oval(skin, 0.04, 0.88 + bob, 0.085, 0.1)
    pen.oval(DARK, 0.09, 0.87 + bob, 0.013, 0.018, light=0)
    pen.oval(straw, 0.03, 0.98 + bob, 0.08, 0.06)
    pen.oval(straw, 0.03, 0.94 + bob, 0.15, 0.035, -0.1)


def dog(canvas: Canvas, place, size: float, coat, step: float, bright: float = 1) -> None:
    """Draws a dog that trots to the right."""
    pen, coat, up = Pen(canvas, place, size, bright), np.array(coat), 0.05 * abs(np.sin(step))
    pen.shadow(0, 0.7)
    pen.limb(coat, (-0.45, 0.58 + up), (-0.78 + 0.16 * np.sin(2.1 * step), 0.95 + up), 0.08, 0.04)
    for right, phase in ((-0.38, 0.0), (0.34, 2.6), (-0.3, 3.1), (0.42, 5.7)):
        pen.limb(coat * 0.85, (right, 0.4 + up), (right + 0.2 * np.sin(step + phase), 0.04), 0.1,
            0.055)
    pen.oval(coat, 0, 0.5 + up, 0.56, 0.24, -0.06, soft=0.12)
    pen.limb(coat, (0.42, 0.56 + up), (0.62, 0.84 + up), 0.18, 0.14)
    pen.oval(coat, 0.62, 0.84 + up, 0.2, 0.18, soft=0.08)
    pen.oval(mix(coat, WHITE, 0.45), 0.8, 0.78 + up, 0.16, 0.09)
    pen.oval(DARK, 0.93, 0.81 + up, 0.05, 0.05)
    pen.oval(DARK, 0.69, 0.88 + up, 0.035, 0.035)
    pen.oval(coat * 0.6, 0.52, 0.79 + up, 0.08, 0.17, 0.3)


def sheep(canvas: Canvas, place, size: float, bright: float = 1) -> None:
    """Draws a sheep that stands on a meadow."""
    pen = Pen(canvas, place, size, bright)
    pen.shadow(0.1, 0.7)
    for right in (-0.32, -0.2, 0.24, 0.34):
        pen.line(DARK, 0.09, (right, 0), (right, 0.4))
    for angle in np.linspace(0, 6.0, 11):
        pen.oval((244, 238, 226), 0.36 * np.cos(angle), 0.56 - 0.14 * np.sin(angle), 0.22, 0.2,
            soft=0.12, light=0.3)
    pen.oval((66, 56, 58), 0.6, 0.64, 0.13, 0.2, -0.3)
    pen.oval((86, 72, 72), 0.47, 0.74, 0.13, 0.05, -0.3)


def cat(canvas: Canvas, place, size: float, coat, mood, bright: float = 1) -> None:
    """Draws a cat that sits and looks at us.

    Args:
        canvas: to draw on.
        place: x and y of the ground below it.
        size: height of the body without the head, in pixels.
        coat: colour of the fur.
        mood: turn of the head from -1, left, to 1, right; 0 for open eyes to 1 for closed ones;
            how far the right ear turns away, 0 to 1; phase of the tail in radians.
        bright: 1 by day.
    """
    pen, coat, pale = Pen(canvas, place, size, bright), np.array(coat), mix(coat, CREAM, 0.72)
    turn, _, _, tail = mood
    pen.shadow(0.12, 0.75)
    for share in np.linspace(1, 0, 40):
        up = 0.1 + 0.42 * share**2 - 0.1 * share**2 * np.sin(tail + 1.6 * share)
        band = coat * (0.72 if int(share * 14) % 3 == 0 else 1.0)
        pen.oval(band, 0.3 + 0.62 * np.sin(2.0 * share), up, 0.075, 0.075, light=0.1)
    pen.body(coat, (-0.3, 1), (0.3, 1), (0.5, 0.36), (0.52, 0), (-0.52, 0), (-0.48, 0.36),
        soft=0.2, light=0.55)
    for side in (-1, 1):
        for up in (0.34, 0.48, 0.62):
            pen.line(coat * 0.68, 0.03, (side * 0.43, up), (side * 0.33, up - 0.02), (side * 0.25,
                up - 0.06))
    pen.body(pale, (-0.2, 0.95), (0.2, 0.95), (0.14, 0.3), (-0.14, 0.3), soft=0.1, light=0.2)
    for side in (-1, 1):
        pen.limb(coat, (side * 0.14, 0.5), (side * 0.15, 0.07), 0.1, 0.09, soft=0.07, light=0.45)
        pen.oval(pale, side * 0.16, 0.05, 0.13, 0.08)
    head = pen.place + size * np.array((0.04 * turn, -1.22))
    _cat_head(Pen(canvas, head, 0.44 * size, bright), coat, mood)


def _cat_head(pen: Pen, coat, mood) -> None:
    turn, blink, ear, _ = mood
    pale = mix(coat, CREAM, 0.75)

    def at(right: float, up: float) -> tuple[float, float]:
        """Places a feature on the round of the head, which turns."""
        return np.sin(np.clip(right, -1, 1) * 1.2 + 0.45 * turn) / np.sin(1.2), up

    for side in (-1, 1):
        away = ear * 0.16 if side > 0 else 0.0
        tip = at(side * (0.74 + away), 1.12 - 1.6 * away)
        pen.body(coat, at(side * 0.16, 0.6), tip, tip, at(side * 0.98, 0.3), soft=0.1)
        inner = at(side * (0.73 + away), 0.99 - 1.6 * away)
        pen.body(PINK, at(side * 0.4, 0.6), inner, at(side * 0.84, 0.44))
    pen.oval(coat, 0, 0, 1.06, 0.86, soft=0.3, light=0.5)
    for right in (-0.2, 0.0, 0.2):
        pen.line(coat * 0.62, 0.08, at(right, 0.8), at(0.7 * right, 0.46))
    for side in (-1, 1):
        for up in (-0.02, -0.2):
            pen.line(coat * 0.66, 0.06, at(side * 1.0, up + 0.06), at(side * 0.68, up))
    pen.body(pale, at(-0.12, 0.5), at(0.12, 0.5), at(0.3, -0.3), at(-0.3, -0.3), light=0)
    for side in (-1, 1):
        pen.oval(pale, *at(side * 0.2, -0.36), 0.3, 0.24, soft=0.1)
        x, y = at(side * 0.42, 0.12)
        pen.oval(DARK, x, y, 0.25, 0.24, light=0)
        pen.oval((150, 188, 74), x, y, 0.21, 0.2, soft=0.1, light=-0.5)
        pen.oval((22, 20, 26), x + 0.07 * turn, y, 0.1, 0.17, light=0)
        pen.oval(WHITE, x + 0.07 * turn - 0.05, y + 0.08, 0.05, 0.05, light=0)
        if blink > 0.02:
            low = y + 0.25 - 0.44 * blink
            angle = np.linspace(0, np.pi, 16)
            lid = np.stack([x + 0.26 * np.cos(angle), low + (y + 0.26 - low) * np.sin(angle)], 1)
            pen.sharp(coat * 0.96, *lid, light=0.2)
            pen.line(DARK, 0.05, (x - 0.22, low), (x, low - 0.06 * blink), (x + 0.22, low))
    x, y = at(0.0, -0.2)
    pen.body((214, 116, 112), (x - 0.15, y + 0.08), (x + 0.15, y + 0.08), (x, y - 0.12))
    for side in (-1, 1):
        mouth = ((0, -0.08), (0, -0.17), (0.08, -0.25), (0.18, -0.25), (0.26, -0.17))
        pen.line(DARK, 0.035, *((x + side * right, y + up) for right, up in mouth))
        for fall in (-0.1, 0.06, 0.22):
            pen.line(CREAM, 0.008, (x + side * 0.34, y - 0.14 - 0.4 * fall), (x + side * 1.16, y -
                0.06 - fall))


def face(canvas: Canvas, place, size: float, colours, bright: float = 1) -> None:
    """Draws the head and shoulders of a person, in the colours of skin, hair and dress."""
    pen, (skin, hair, dress) = Pen(canvas, place, size, bright), map(np.array, colours)
    pen.body(hair * 0.8, (-0.8, 0.9), (0.8, 0.9), (1.15, -1.3), (-1.15, -1.3), soft=0.3)
    pen.body(dress, (-0.5, -1), (0.5, -1), (1.75, -1.6), (2.1, -3.6), (-2.1, -3.6), (-1.75, -1.6),
        soft=0.4, light=0.5)
    pen.limb(skin * 0.84, (0, -0.5), (0, -1.3), 0.32, 0.38, soft=0.1)
    pen.body(skin, (-0.76, 0.75), (0.76, 0.75), (0.82, -0.3), (0.3, -1.12), (-0.3, -1.12), (-0.82,
        -0.3), soft=0.3)
    for side in (-1, 1):
        x = side * 0.3
        pen.oval((232, 128, 110), side * 0.42, -0.36, 0.17, 0.13, light=0, opacity=0.35)
        pen.oval((250, 246, 240), x, 0, 0.17, 0.1, light=0)
        pen.oval((70, 74, 86), x + 0.03, 0, 0.085, 0.085, light=0)
        pen.oval(WHITE, x, 0.035, 0.03, 0.03, light=0)
        pen.line(DARK, 0.04, (x - 0.18, 0.05), (x, 0.12), (x + 0.18, 0.05))
        pen.line(hair * 0.7, 0.07, (side * 0.14, 0.27), (side * 0.34, 0.32), (side * 0.52, 0.22))
    pen.body(skin * 0.94, (-0.06, 0.1), (0.05, 0.1), (0.14, -0.36), (-0.14, -0.36), soft=0.07,
        light=0.6)
    pen.body((196, 74, 78), (-0.27, -0.62), (0, -0.56), (0.27, -0.62), (0, -0.8))
    pen.body(hair, (-0.9, -0.5), (-0.98, 0.6), (-0.4, 1.22), (0.5, 1.2), (0.98, 0.6), (0.92,
        -0.5), (0.74, 0.5), (0.1, 0.72), (-0.66, 0.4), soft=0.16, light=0.5)


def vase(canvas: Canvas, rng, place, size: float, glaze, petals, bright: float = 1) -> None:
    """Draws a bunch of flowers in a vase."""
    pen = Pen(canvas, place, size, bright)
    pen.shadow(0.25, 0.6)
    for _ in range(16):
        angle, far, wide = rng.uniform((0.25, 0.45, 0.1), (2.9, 1.0, 0.17))
        x, y = 0.9 * far * np.cos(angle), 0.85 + far * np.sin(angle)
        pen.line((70, 116, 62), 0.03, (0, 0.7), (x, y))
        pen.oval((92, 146, 74), x - 0.1, y - 0.2, 0.17, 0.06, -angle)
        petal = petals[int(rng.integers(len(petals)))]
        for turn in np.arange(0, 6.2, 0.9):
            pen.oval(petal, x + wide * np.cos(turn), y - wide * np.sin(turn), 0.8 * wide, 0.55 *
                wide, turn, soft=0.06)
        pen.oval((246, 206, 90), x, y, 0.45 * wide, 0.45 * wide, light=0)
    pen.body(glaze, (-0.16, 0.9), (0.16, 0.9), (0.12, 0.74), (0.42, 0.4), (0.26, 0), (-0.26, 0),
        (-0.42, 0.4), (-0.12, 0.74), soft=0.16, light=0.6)


def fruit(canvas: Canvas, place, size: float, colour, bright: float = 1) -> None:
    """Draws a round fruit with a stalk and a spot of light."""
    Pen(canvas, (place[0], place[1] + 0.9 * size), size, bright).shadow(0.5, 1.2)
    pen = Pen(canvas, place, size, bright)
    pen.oval(colour, 0, 0, 1, 0.94, soft=0.5, light=0.75)
    pen.line((84, 62, 42), 0.1, (0, 0.85), (0.15, 1.25))
    pen.oval((255, 255, 250), -0.4, 0.45, 0.22, 0.13, -0.6, light=0, opacity=0.55)


def butterfly(canvas: Canvas, place, wing: float) -> None:
    """Draws a butterfly whose wings are open by a share."""
    pen = Pen(canvas, place, 10)
    for side in (-1, 1):
        for up, size in ((0.4, 0.9), (-0.5, 0.6)):
            pen.oval((250, 176, 60), side * wing * 0.7, up, wing * size, size, 0.4 * side, soft=0.3)
    pen.line(DARK, 0.2, (0, 0.7), (0, -0.8))
