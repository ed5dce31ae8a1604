"""Strokes laid over a frame: those of one hand, or of several over each other."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cadl.conversion.clip import Geometry
from cadl.strokes.drawing import draw_strokes
from cadl.strokes.flat import draw_areas
from cadl.strokes.hand import Hand
from cadl.strokes.on_film import build_strokes, calmed, draw_forms, find_rest, find_wet
from cadl.strokes.stroke import Looks, Manner
from cadl.strokes.surface import show_canvas
from cadl.strokes.track_files import Tracked

import numpy as np


@dataclass(frozen=True)
class Brushwork:
    """All that painting a frame needs, except the frame; another process can be given it."""

    geometry: Geometry
    # recipes, and for each the share of its strokes that are drawn over the recipes before it
    hands: tuple[tuple[Hand, float], ...]
    draft: bool = False  # draw without furrows of bristles
    rate: float = 25.0  # frames a second

    def parts(self) -> Iterator[tuple[Hand, float, slice]]:
        """Yields each hand, its share, and which layers are its own."""
        first = 0
        for hand, share in self.hands:
            count = len(hand.layers())
            yield hand, share, slice(first, first + count)
            first += count


def lay_strokes(
    canvas: np.ndarray,
    film: np.ndarray,
    brushwork: Brushwork,
    tracked: Sequence[Tracked],
    looks: Sequence[Looks],
    strength: float = 1.0,
    palette: np.ndarray | None = None,
) -> np.ndarray:
    """Draws strokes, flat areas and small forms over a frame, and shows the canvas under them.

    Args:
        canvas: uint8 [h, w, 3], the frame in the painter's colours.
        film: uint8 [h, w, 3], in its own.
        brushwork: recipes and sizes.
        tracked: where strokes lie, for each layer of all hands.
        looks: how they look.
        strength: of the strokes, above 0 to 1.
        palette: colours of flat areas, float32 [n, 3]; None: no hand has any.

    Returns:
        uint8 [h, w, 3].
    """
    size, picture = brushwork.geometry.tracked_size, canvas
    for hand, share, part in brushwork.parts():
        if hand.kind == "flat":
            assert palette is not None
            (points,) = build_strokes(tracked[part], looks[part], hand)
            canvas = draw_areas(canvas, picture, points, palette, hand, share * strength)
            continue
        own = tracked[part], looks[part], hand
        # The colours of a hand that lies on another's strokes don't run, or those would run, too.
        wet = find_wet(*own, size, strength) if share == 1 else None
        strokes = build_strokes(*own, wet)
        manner = Manner(strength, share, not brushwork.draft, wet)
        canvas = draw_strokes(canvas, strokes, calmed(hand), manner)
    left, grain = strength, 0.0
    for hand, share, _ in reversed(list(brushwork.parts())):  # the last one lies on top
        canvas = draw_forms(canvas, film, hand, left * share)
        grain += left * share * hand.grain
        left *= 1.0 - share
    hand, _, part = next(brushwork.parts())
    if not grain:
        return canvas
    rest = find_rest(tracked[part], looks[part], hand, size, brushwork.rate)
    return show_canvas(canvas, grain, rest)
