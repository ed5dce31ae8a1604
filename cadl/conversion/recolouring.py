"""A frame in a painter's colours: shifted as the VAE's pictures differ, along its own forms.

A shift that depended on the place alone would lie over the edges of forms like haze, and would make
dark and light alike. So round each place a line is fitted that gives the shift for any light of the
frame, as in a guided filter (He et al. 2013, doi 10.1109/TPAMI.2012.213). These lines are enlarged,
not the shift (He & Sun 2015, arXiv 1505.00996).
"""

from typing import NamedTuple

from cadl.conversion.clip import Geometry
from cadl.images.colours import ColourMap, soften, softening
from cadl.images.metrics import LUMINANCE

import cv2
import numpy as np

PLACES = 80, 45  # of a tile, across and down, that have a shift each
AROUND = 39  # side of the square of places that a line is fitted to
FLAT = 0.05**2  # variance of light below which there are hardly forms to follow
CONTRAST = -0.2, 0.3  # share of a frame's contrast in light that it loses and gains, at most
STRIP = 32  # rows that are recoloured at a time


class Recolouring(NamedTuple):
    """How a frame is recoloured: `frame @ matrix + offset + slope * light`, and softened."""

    matrix: np.ndarray  # float32 [3, 3], that its RGB is multiplied by from the right
    # float32 [45, 80, 3] each, for places of the frame's tile: what is added to RGB, in [-1, 1],
    # and what is added for each unit of the frame's own light
    offset: np.ndarray
    slope: np.ndarray
    # the painter's gamut, as in `Colours`, and how far colours are brought into it; None: they stay
    gamut: tuple[np.ndarray, float] | None = None

    @classmethod
    def of(cls, geometry: Geometry, frame: np.ndarray, shift: np.ndarray) -> "Recolouring":
        """Returns the one by which a frame follows a shift.

        Args:
            geometry: its sizes.
            frame: uint8 [h, w, 3], of any size.
            shift: float32 [45, 80, 3], what is to be added to the places of its tile.
        """
        tile = cv2.resize(geometry.tile(frame), PLACES, interpolation=cv2.INTER_AREA)
        return cls(np.eye(3, dtype=np.float32), *follow_forms(shift, tile / np.float32(255)))

    def then(self, colour_map: ColourMap) -> "Recolouring":
        """Returns the one that is followed by a map of colours."""
        matrix = colour_map.matrix
        offset = self.offset @ matrix + colour_map.added
        return self._replace(matrix=self.matrix @ matrix, offset=offset, slope=self.slope @ matrix)

    def dimmed(self, light: float) -> "Recolouring":
        """Returns the one for a frame that is faded to a share of its light, 0 to 1.

        What is added fades, too; else black would become a colour.
        """
        return self._replace(offset=np.float32(light) * self.offset)


def follow_forms(shift: np.ndarray, tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fits lines that give a shift for any light of a tile; contrast in light is hardly lost.

    Args:
        shift: float32 [h, w, 3], of places.
        tile: float32 [h, w, 3], RGB in [0, 1], of the same places.

    Returns:
        Offset and slope, float32 [h, w, 3] each: the shift is `offset + slope * light`.
    """
    weights = LUMINANCE.astype(np.float32)
    light = (tile @ weights)[..., None]
    mean_light, mean_shift = _mean(light), _mean(shift)
    spread = _mean(light * light) - mean_light * mean_light
    slope = (_mean(shift * light) - mean_shift * mean_light) / (spread + np.float32(FLAT))
    contrast = (slope @ weights)[..., None]
    slope += np.clip(contrast, *CONTRAST) - contrast
    return _mean(mean_shift - slope * mean_light), _mean(slope)


def _mean(maps: np.ndarray) -> np.ndarray:
    """Averages over squares, [h, w, c] -> [h, w, c]."""
    mean = cv2.blur(maps, (AROUND, AROUND), borderType=cv2.BORDER_REFLECT)
    return mean.reshape(maps.shape)


def recolour(
    geometry: Geometry, recolouring: Recolouring, picture: np.ndarray, tracked: np.ndarray
) -> np.ndarray:
    """Recolours a picture of a frame: uint8 [h, w, 3] -> [h, w, 3].

    Args:
        geometry: the frame's sizes.
        recolouring: how.
        picture: the frame, of any size.
        tracked: the frame, at the size that strokes are followed on.
    """
    size = picture.shape[1::-1]
    offset, slope = (
        geometry.enlarge_from_tile(own, size)
        for own in (255 * recolouring.offset, recolouring.slope)
    )
    to_light = np.repeat(LUMINANCE[None], 3, axis=0).astype(np.float32)
    recoloured = np.empty_like(picture)
    for top in range(0, len(picture), STRIP):  # a strip fits in the processor's cache
        rows = slice(top, top + STRIP)
        own, added = picture[rows].astype(np.float32), offset[rows]
        cv2.accumulateProduct(cv2.transform(own, to_light), slope[rows], added)
        moved = cv2.transform(own, recolouring.matrix.T)
        cv2.add(moved, added, dst=recoloured[rows], dtype=cv2.CV_8U)
    if not recolouring.gamut:
        return recoloured
    small = recoloured
    if size != geometry.tracked_size:  # a small frame tells where colours are too pure
        small = recolour(geometry, recolouring._replace(gamut=None), tracked, tracked)
    scale = softening(small, *recolouring.gamut)
    if scale is None:
        return recoloured
    return soften(recoloured, cv2.resize(scale, size))
