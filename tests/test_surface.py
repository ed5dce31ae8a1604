from cadl.strokes.surface import Wet, run_together, show_canvas

import cv2
import numpy as np
import pytest

HEIGHT, WIDTH = 60, 120


def test_wet_colours_run_together_and_the_marks_of_the_brush_stay():
    rng = np.random.default_rng(0)
    share = np.zeros((HEIGHT // 2, WIDTH // 2), np.float32)  # of the tracked frame
    share[:, : WIDTH // 4] = 1.0
    for radius in (0.7, 4.0):  # at the board's size, and at a smaller one
        board = rng.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
        before = board.copy()
        run_together(board, Wet(share, share, radius), 2.0)
        assert (board[..., 3] == before[..., 3]).all()
        dry, wet = np.s_[:, WIDTH // 2 + 2 :, :3], np.s_[:, : WIDTH // 2 - 2, :3]
        assert (board[dry] == before[dry]).all()
        assert board[wet].std() < 0.3 * before[wet].std()
        assert abs(board[wet].mean() - before[wet].mean()) < 4


def test_wet_colours_don_t_run_over_from_dry_ones():
    board = np.full((HEIGHT, WIDTH, 4), 200, np.uint8)
    board[:, WIDTH // 2 :] = 20
    share = np.zeros((HEIGHT, WIDTH), np.float32)
    share[:, : WIDTH // 2] = 1.0
    run_together(board, Wet(share, share, 8.0), 1.0)
    assert board[:, : WIDTH // 2 - 8].min() > 190 and (board[:, WIDTH // 2 + 8 :] == 20).all()


def grey_picture(level, width=640):
    return np.full((width * 9 // 16, width, 3), level, np.uint8)


@pytest.mark.parametrize(("width", "share"), [(640, 1.0), (1280, 1.0), (320, 0.5)])
def test_a_canvas_has_the_spread_that_was_asked_for_and_no_colour(width, share):
    picture = grey_picture(128, width)
    found = show_canvas(picture, 0.03).astype(float)
    assert found.std() == pytest.approx(share * 0.03 * 255, rel=0.05)
    assert abs(found.mean() - 128) < 0.5
    assert (found == found[..., :1]).all()
    np.testing.assert_array_equal(show_canvas(picture, 0.03), found)  # it lies still
    np.testing.assert_array_equal(show_canvas(picture, 0.0), picture)
    large = cv2.resize(found, (20, 11), interpolation=cv2.INTER_AREA)
    assert large.std() < 0.1 * found.std()


@pytest.mark.parametrize("width", [2, 16, 40])
def test_a_tiny_picture_keeps_its_light(width):
    picture = np.full((width, width, 3), 128, np.uint8)
    assert abs(show_canvas(picture, 0.03).astype(int) - 128).max() < 8


def test_a_canvas_is_seen_best_in_middle_tones_not_in_black_and_where_all_rests():
    found = [show_canvas(grey_picture(level), 0.03).std() for level in (0, 10, 128, 250)]
    assert found[0] == 0 and found[1] < 0.3 * found[2] and found[3] < 0.7 * found[2]
    rest = np.ones((18, 32), np.float32)
    rest[:, 16:] = 0
    moving = show_canvas(grey_picture(128), 0.03, rest)
    assert moving[:, :300].std() > 6 and (moving[:, 340:] == 128).all()


def test_a_canvas_is_woven_threads_go_across_and_down_and_not_aslant():
    found = show_canvas(grey_picture(128, 1280), 0.06)[..., 0].astype(float) - 128
    across, down, aslant = (
        (found[4:-4, 4:-4] * found[4 + y : found.shape[0] - 4 + y, 4 + x : 1280 - 4 + x]).mean()
        for x, y in ((2, 0), (0, 2), (2, 2))
    )
    assert across > 3 * max(aslant, 1) and down > 3 * max(aslant, 1)
