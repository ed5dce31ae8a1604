"""What strokes do to light and chroma, made up for; find_correction runs in test_conversion."""

from cadl.conversion.colour_match import Correction
from cadl.conversion.frame_painter import FramePainter
from cadl.images.metrics import LUMINANCE

import numpy as np

MAP = np.diag([0.5, 0.8, 0.6]).astype(np.float32), np.float32([0.1, 0.0, 0.05])
COLOURS = np.random.default_rng(0).random((50, 3))


def corrected(correction, palette_map):
    # Only its map is looked at.
    painter = FramePainter(None, None, None, 1.0, np.ones(1), palette_map=palette_map)
    matrix, shift = correction.apply(painter).palette_map
    return COLOURS @ matrix + shift


def test_no_correction_changes_nothing_with_a_map_or_without():
    np.testing.assert_allclose(corrected(Correction(), MAP), COLOURS @ MAP[0] + MAP[1], atol=1e-6)
    np.testing.assert_allclose(corrected(Correction(), None), COLOURS, atol=1e-6)


def test_chroma_is_multiplied_about_the_luminance_and_light_is_added():
    moved = COLOURS @ MAP[0] + MAP[1]
    found = corrected(Correction(chroma=1.5, light=0.07), MAP)
    grey = (moved @ LUMINANCE)[:, None]
    np.testing.assert_allclose(found, grey + 1.5 * (moved - grey) + 0.07, atol=1e-5)
    np.testing.assert_allclose(np.ptp(found, axis=1), 1.5 * np.ptp(moved, axis=1), atol=1e-5)
