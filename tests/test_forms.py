from cadl.strokes.forms import remove_strokes, sharpen_edges

import cv2
import numpy as np


def two_halves():
    picture = np.full((120, 160, 3), 60, np.uint8)
    picture[:, 80:] = (200, 180, 150)
    return picture


def test_strokes_go_and_the_edge_between_two_forms_stays():
    picture = two_halves()
    rng = np.random.default_rng(0)
    for x, y in rng.integers(0, 160, (60, 2)).tolist():
        cv2.circle(picture, (x, y), 2, (250, 120, 20), -1)
    found = remove_strokes(picture, 5.0).astype(int)
    spread = picture[:, :70].std(axis=(0, 1)).mean(), found[:, :70].std(axis=(0, 1)).mean()
    assert spread[1] < 0.3 * spread[0]
    step = np.abs(np.diff(found[10:-10, 70:90, 1], axis=1))
    assert (step.max(axis=1) > 40).mean() > 0.8


def test_the_mean_of_paper_with_thin_lines_is_kept():
    """A median alone would take the lines away, and with them the tone of hatching."""
    picture = np.full((120, 160, 3), 245, np.uint8)
    picture[::6, :] = 60
    found = remove_strokes(picture, 5.0)
    assert abs(float(found[20:-20].mean()) - float(picture[20:-20].mean())) < 4
    assert found[20:-20].std() < 6


def test_a_blurred_edge_is_made_sharp():
    blurred = cv2.GaussianBlur(two_halves(), (0, 0), 4)
    found = sharpen_edges(blurred, 1.5).astype(int)
    slopes = [np.abs(np.diff(own[60, :, 1].astype(int))).max() for own in (blurred, found)]
    assert slopes[1] > 3 * slopes[0]
    np.testing.assert_allclose(found[60, (10, 150)], [[60] * 3, [200, 180, 150]], atol=2)
