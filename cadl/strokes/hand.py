"""The hand: a recipe of how a painter paints, with strokes, with hatching or with flat areas.

All lengths are in pixels of a canvas whose longer side is 640, whatever the size that is painted.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cadl.errors import UserError
from cadl.images.closeups import CANVAS

TRACKED = 320  # pixels of the longer side of frames that strokes are followed on
AREA = 0.8  # of a stroke's rectangle that the stroke fills
PACKING = 0.9  # squared spacings that one stroke has on a canvas filled with them
MAX_LAYERS = 5  # without contours
MAX_DIRECTIONS = 4
NARROW = 8.0  # width in pixels below which a brush is narrow
ROUND = 1.5  # aspect up to which strokes that swell are dots, and grow to all sides
JOINED = 0.7  # share of their width by which pieces of lines that swell are longer, so they meet
THINNEST = 0.15  # width of strokes that swell where their tone begins, over the full one
LINES = 6.0  # aspect from which on hatching has short lines, too, and is called lines
CONTOUR_ASPECT, CONTOUR_COVER = 7.0, 1.5  # `aspect` and `cover` of the strokes of contours
SHORTER, SMALL_TONES = 0.4, (0.35, 0.6)  # length and tones of those that draw what is small
KINDS = ("brush", "hatching", "flat")
Colour = tuple[float, float, float]


class Layer(NamedTuple):
    """Strokes of one size; lengths in pixels of a frame whose longer side is TRACKED."""

    spacing: float  # distance between strokes
    length: float  # half the length of a stroke of mean size
    width: float  # half the width of a stroke
    # half the width of the coarser strokes that these refine; 0 if these lie everywhere
    coarser: float
    kept: float = 0.15  # least share of a stroke's length, where edges shorten it
    # direction of all strokes in radians, clockwise from the right; None: along the forms
    angle: float | None = None
    # darkness at which the first strokes appear, and at which all strokes are there
    tones: tuple[float, float] | None = None
    stretch: float = 1.0  # spacing along the strokes over that across them
    contour: bool = False  # whether these are strokes of ink along the dark sides of edges
    rows: float = 0.0  # how evenly strokes lie in rows along `angle`, from 0, anywhere, to 1
    swell: float = 0.0  # of strokes with tones, share of the tone that is made by their width

    @property
    def thinnest(self) -> float:
        """Half the width of the thinnest lines; dots are at least as wide."""
        return self.width * (1 - self.swell * (1 - THINNEST))

    @property
    def printed(self) -> bool:
        """Whether these are dots or lines of a print, which keep their places on the sheet."""
        return bool(self.rows and self.swell)


def _field(default: Any, low: float, high: float, logarithmic: bool = False) -> Any:
    """A number of a recipe: its default, its range, and whether it is searched in logarithms."""
    return dataclasses.field(default=default, metadata={"range": (low, high, logarithmic)})


@dataclass(frozen=True)
class Hand:
    """How a painter paints. Pixels are those of the canvas."""

    kind: str = "brush"  # brush, hatching or flat
    width: float = _field(15.0, 0.6, 60.0, True)  # width of the broadest strokes, in pixels
    aspect: float = _field(3.6, 1.0, 60.0, True)  # length of a stroke over its width
    # width of the underpainting's strokes over `width`; 0 for no underpainting
    under: float = _field(1.6, 0.0, 3.0)
    # width of the finest strokes, which lie where broader ones can't show what is there; two
    # thirds of `width` or wider: there are no finer ones
    finest: float = _field(3.6, 1.0, 60.0, True)
    # total area of a layer's strokes over the area that they lie on
    cover: float = _field(2.2, 0.1, 5.0, True)
    sizes: float = _field(0.25, 0.0, 0.4)  # spread of the strokes' sizes; 0: all alike
    tilt: float = _field(0.08, 0.0, 1.0)  # random turn away from the forms; 1: any direction
    # 0 for strokes along the forms, 1 for strokes along the first of `directions`
    fixed: float = _field(0.0, 0.0, 1.0)
    # how evenly strokes lie in rows, as bricks do, along the first of `directions`, those of
    # hatching along each; 0: anywhere
    rows: float = _field(0.0, 0.0, 1.0)
    bend: float = _field(0.35, 0.0, 1.0)  # random bend of strokes
    taper: float = _field(0.35, 0.0, 1.0)  # 0 for blunt ends, 1 for pointed ones
    ragged: float = _field(0.12, 0.0, 0.5)  # unevenness of the outline
    bristles: float = _field(0.08, 0.0, 1.0)  # depth of the furrows of bristles
    relief: float = _field(0.3, 0.0, 1.0)  # strength of the light from the top left on the paint
    soft: float = _field(0.0, 0.0, 12.0)  # blur of the paint, in pixels: washes
    light: float = _field(0.032, 0.0, 0.3)  # spread of the strokes' light, of white
    hue: float = _field(0.022, 0.0, 0.3)  # spread of the strokes' hue
    # power of the strokes' differences in light and hue, with `loaded` in light alone: 1, all
    # differ alike; above, few differ much, and most of these lie on top
    accents: float = _field(1.0, 1.0, 8.0, True)
    # how far strokes share a hue with those near them, in distances between strokes: a loaded brush
    # makes several strokes of one hue; less than 0.5: each stroke has its own
    loaded: float = _field(0.0, 0.0, 1.5)
    # spread of light that the weave of the canvas adds, of white
    grain: float = _field(0.0, 0.0, 0.1)
    # share of the strokes' differences in light, hue and height that is left out in even places,
    # where those of a film also turn to the first of `directions` and run into each other
    quiet: float = _field(0.0, 0.0, 1.0)
    # contrast over local light from which on finer strokes are needed
    detail: float = _field(0.055, 0.02, 0.4, True)
    # share of the ground that is seen between strokes, in place of the moved picture
    bare: float = _field(0.0, 0.0, 1.0)
    ground: Colour = (0.95, 0.92, 0.85)  # colour of paper or canvas, RGB in [0, 1]
    # colour of hatching and of contours; of chalk on dark paper it is the lighter one
    ink: Colour = (0.1, 0.1, 0.12)
    # share of the picture's colour in the ink of hatching: coloured pencils
    tint: float = _field(0.0, 0.0, 1.0)
    # share of a tone of hatching that is made by the width of its strokes, as in engravings; the
    # rest is made by their number
    swell: float = _field(0.0, 0.0, 1.0)
    # directions of hatching, in radians: the first where there is little ink, all where there is
    # much; and of strokes that are `fixed`
    directions: tuple[float, ...] = (0.7, 2.2, 1.5)
    # tone at which the first direction begins, from 0, paper, to 1, ink
    first_tone: float = _field(0.08, 0.0, 0.6)
    last_tone: float = _field(0.75, 0.2, 1.0)  # tone at which the last direction begins
    # opacity of contours round flat areas; for a brush, the share of ink in strokes along the dark
    # sides of edges; 0 for no contours
    contour: float = _field(0.0, 0.0, 1.0)
    contour_width: float = _field(2.5, 0.8, 8.0, True)  # width of contours, in pixels
    # how much darker the rims of flat areas have dried; above 0 these are washes of watercolour,
    # and `light` is how unevenly their pigment has settled
    rim: float = _field(0.0, 0.0, 1.5)
    colours: int = _field(10, 3, 24)  # number of colours of flat areas
    # smoothness of the outlines of flat areas, in pixels
    smooth: float = _field(3.0, 0.5, 12.0, True)

    @property
    def washes(self) -> bool:
        """Whether flat areas are washes of watercolour."""
        return self.kind == "flat" and self.rim > 0

    def layers(self) -> tuple[Layer, ...]:
        """Returns the layers: underpainting, strokes, ever finer ones, and contours.

        Of hatching one for each direction, and shorter lines in the first two for what is small;
        of flat areas one of points that carry their colours.
        """
        if self.kind == "hatching":
            return self._hatching()
        if self.kind == "flat":
            return (Layer(0.5 * TRACKED / CANVAS * 8.0, 2.0, 2.0, 0.0),)
        layers = [self._layer(self.under * self.width, 0.0, kept=0.3)] if self.under else []
        layers.append(self._layer(self.width, 0.0))
        width = self.width / 2
        while len(layers) < MAX_LAYERS and width > 0.75 * self.finest:
            width = max(width, self.finest)
            layers.append(self._layer(width, layers[-1].width))
            width /= 2
        if self.contour:
            liner = dataclasses.replace(self, aspect=CONTOUR_ASPECT, cover=CONTOUR_COVER)
            line = liner._layer(self.contour_width, layers[-1].width)
            layers.append(line._replace(contour=True))
        return tuple(layers)

    def _layer(self, width: float, coarser: float, kept: float = 0.15) -> Layer:
        scale = TRACKED / CANVAS
        length = width * self.aspect
        spacing = scale * math.sqrt(AREA * width * length / (PACKING * self.cover))
        layer = Layer(spacing, 0.5 * scale * length, 0.5 * scale * width, coarser, kept)
        if not self.rows or coarser or self.kind == "flat":
            return layer
        # As much room is left beside strokes as before and behind them.
        own_area = AREA * width * length / self.cover
        room = 0.5 * (math.sqrt((length - width) ** 2 + 4 * own_area) - length - width)
        stretch = (length + room) / (width + room)
        return layer._replace(angle=self.directions[0], stretch=stretch, rows=self.rows)

    def _hatching(self) -> tuple[Layer, ...]:
        layers = []
        count = len(self.directions)
        for number, angle in enumerate(self.directions):
            share = number / max(1, count - 1)
            begin = self.first_tone + share * (self.last_tone - self.first_tone)
            whole = begin + max(0.25, self.swell * (1.0 - begin))
            plain = self._layer(self.width, 0.0, kept=0.25)
            stretch, longer = max(1.0, 0.35 * self.aspect), 0.0
            if self.rows and self.swell and self.aspect <= ROUND:
                # Bricks twice as long as high: dots lie in squares, turned by 45 degrees.
                stretch = 2.0
            elif self.rows:
                stretch, longer = plain.stretch, JOINED * self.swell * plain.width
            layers.append(plain._replace(
                angle=angle, tones=(begin, whole), stretch=stretch, swell=self.swell,
                length=plain.length + longer,
            ))  # fmt: skip
        if self.aspect >= LINES and not self.rows:
            layers += [  # shorter strokes, for what is too small for those of the first two
                own._replace(
                    spacing=0.85 * own.spacing, length=SHORTER * own.length,
                    coarser=0.3 * own.length, tones=SMALL_TONES,
                    stretch=max(1.0, SHORTER * own.stretch), swell=0.0,
                )
                for own in layers[:2]
            ]  # fmt: skip
        return tuple(layers)

    def layout(self) -> list[Any]:
        """Returns what places of strokes depend on: tracks of other layouts don't fit."""
        return [self.detail, *(value for layer in self.layers() for value in layer)]

    def scaled(self, size: float) -> "Hand":
        """Returns the hand with strokes of another size, within the ranges."""
        names = ("width", "finest", "contour_width", "smooth", "soft")
        changed = {}
        for name in names:
            low, high, _ = RANGES[name]
            changed[name] = min(high, max(low, size * getattr(self, name)))
        return dataclasses.replace(self, **changed)

    def to_json(self) -> dict[str, Any]:
        """Returns what `from_json` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any], where: str) -> "Hand":
        """Reads a hand that an artist may have edited.

        Args:
            values: by the names of the attributes; those left out have their defaults.
            where: the file, for the error.

        Raises:
            UserError: a name is unknown, or a value is out of its range; both are named.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise UserError(f"{where}: {name} is no attribute of a hand")
        given = dict(values)
        for name, value in values.items():
            if name == "kind":
                if value not in KINDS:
                    raise UserError(f"{where}: kind {value!r} is not one of {', '.join(KINDS)}")
            elif name in ("ground", "ink", "directions"):
                given[name] = _numbers(value, name, where)
            else:
                low, high, _ = RANGES[name]
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise UserError(f"{where}: {name} {value!r} is not a number")
                if not low <= value <= high:
                    raise UserError(f"{where}: {name} {value:g} is not from {low:g} to {high:g}")
                whole = isinstance(known[name].default, int)
                if whole and value != int(value):
                    raise UserError(f"{where}: {name} {value:g} is not a whole number")
                given[name] = int(value) if whole else float(value)
        return cls(**given)


RANGES = {
    field.name: field.metadata["range"]
    for field in dataclasses.fields(Hand)
    if "range" in field.metadata
}


def _numbers(value: Any, name: str, where: str) -> tuple[float, ...]:
    """Checks a colour, or a list of directions."""
    counts = range(1, MAX_DIRECTIONS + 1) if name == "directions" else (3,)
    most = math.pi if name == "directions" else 1.0
    if (
        not isinstance(value, (list, tuple))
        or len(value) not in counts
        or not all(isinstance(x, (int, float)) and 0 <= x <= most for x in value)
    ):
        count = "one to four angles" if name == "directions" else "three numbers"
        raise UserError(f"{where}: {name} {value!r} is not {count} from 0 to {most:g}")
    return tuple(float(x) for x in value)
