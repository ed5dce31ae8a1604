from cadl.strokes.surface import Wet, run_together

import numpy as np

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
