"""What strokes do to light and chroma, made up for; find_correction runs in test_conversion."""

from cadl.conversion.colour_match import Correction
from cadl.conversion.frame_painter import FramePainter
from cadl.images.metrics import LUMINANCE

import numpy as np

COLOURS = np.random.default_rng(0).random((50, 3))


def corrected(correction):
    # Only its correction is looked at.
    painter = correction.apply(FramePainter(None, None, None, 1.0, np.ones(1)))
    return COLOURS @ painter.correction.matrix + painter.correction.added


def test_no_correction_changes_nothing():
    np.testing.assert_allclose(corrected(Correction()), COLOURS, atol=1e-6)


def test_chroma_is_multiplied_about_the_luminance_and_light_is_added():
    found = corrected(Correction(chroma=1.5, light=0.07))
    grey = (COLOURS @ LUMINANCE)[:, None]
    np.testing.assert_allclose(found, grey + 1.5 * (COLOURS - grey) + 0.07, atol=1e-5)
    np.testing.assert_allclose(np.ptp(found, axis=1), 1.5 * np.ptp(COLOURS, axis=1), atol=1e-5)


def test_contrast_is_that_of_the_maps_of_shots():
    correction = Correction(contrast=0.8)
    np.testing.assert_allclose(corrected(correction), COLOURS, atol=1e-6)
    assert correction.apply(FramePainter(None, None, None, 1.0, np.ones(1))).contrast == 0.8
