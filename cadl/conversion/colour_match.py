"""What strokes do to colours is found out on a few painted frames, and made up for.

Ground that is seen between strokes, contours and few colours make a film paler or darker than the
painter's pictures, however well the frame under them was moved; strokes that differ in light add
contrast.
"""

import dataclasses
from collections.abc import Callable

from cadl.conversion.clip import resize
from cadl.conversion.frame_painter import FramePainter
from cadl.conversion.rendering import Rendering, paint_alone
from cadl.images.colours import ColourMap, Colours
from cadl.images.metrics import LUMINANCE
from cadl.strokes.track_files import read_tracks

import numpy as np

FRAMES, ROUNDS = 6, 3  # that are painted to find out, and how often
EAGER = 1.4  # exponent of the ratio of chromas; above 1, as colours saturate
MOST_CHROMA, MOST_LIGHT = 2.5, 0.1  # times that chroma may change, and by how much light may
LEAST_CONTRAST = 0.7  # least factor of the contrast


@dataclasses.dataclass(frozen=True)
class Correction:
    """What is done to moved colours before they are painted."""

    chroma: float = 1.0  # factor of the chroma
    light: float = 0.0  # added to R, G and B, each in [0, 1]
    contrast: float = 1.0  # factor of the contrast in light that a shot gets

    def apply(self, painter: FramePainter) -> FramePainter:
        """Adds it to the maps of shots."""
        grey = np.repeat(LUMINANCE[:, None], 3, axis=1)
        matrix = self.chroma * np.eye(3) + (1 - self.chroma) * grey
        more = ColourMap(matrix.astype(np.float32), np.full(3, self.light, np.float32))
        return dataclasses.replace(painter, correction=more, contrast=self.contrast)


def find_correction(
    render: Callable[[Correction], Rendering], goal_of: Callable[[np.ndarray], Colours]
) -> Correction:
    """Paints a few frames, compares them with a painter's pictures, and does so again.

    Args:
        render: returns what frames are painted from at full strength with a correction.
        goal_of: takes numbers of samples, int [n], and returns the colours that they are to have.
    """
    found = Correction()
    rendering = render(found)
    encoded, geometry = rendering.encoded, rendering.encoding.geometry
    lit = np.flatnonzero(rendering.painter.shares[encoded.sample_indices] > 0.9)
    if not len(lit):  # no sample is painted
        return found
    chosen = lit[np.unique(np.linspace(0, len(lit) - 1, FRAMES).astype(int))]
    goal = goal_of(chosen)
    numbers = encoded.sample_indices[chosen].tolist()
    frames = [resize(own, geometry.picture_size) for own in encoded.samples[chosen]]
    tracked = [next(read_tracks(rendering.tracks, number, number + 1)) for number in numbers]
    codes = np.asarray(encoded.latents[numbers])
    unpainted = Colours.of(rendering.painter.recoloured(encoded.samples[chosen], codes, numbers))
    for _ in range(ROUNDS):
        futures = paint_alone(render(found), numbers, frames, tracked)
        small = [resize(future.result(), geometry.tracked_size) for future in futures]
        painted = Colours.of(np.stack(small))
        chroma = found.chroma * (goal.chroma / max(painted.chroma, 1e-3)) ** EAGER
        light = found.light + LUMINANCE @ (goal.mean - painted.mean)
        contrast = found.contrast * unpainted.spread_within / max(painted.spread_within, 1e-3)
        found = Correction(
            float(np.clip(chroma, 1 / MOST_CHROMA, MOST_CHROMA)),
            float(np.clip(light, -MOST_LIGHT, MOST_LIGHT)),
            float(np.clip(contrast, LEAST_CONTRAST, 1.0)),
        )
    return found
