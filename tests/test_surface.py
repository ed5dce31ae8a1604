from cadl.strokes.surface import Wet, run_together

import numpy as np

HEIGHT, WIDTH = 60, 120


def test_wet_colours_run_together_and_the_marks_of_the_brush_stay():
    rng = np.random.default_rng(0)
    board = rng.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8)
    share = np.zeros((HEIGHT // 2, WIDTH // 2), np.float32)  # of the tracked frame
    share[:, : WIDTH // 4] = 1.0
    before = board.copy()
    run_together(board, Wet(share, share, 1.5), 2.0)
    assert (board[..., 3] == before[..., 3]).all()
    dry, wet = np.s_[:, WIDTH // 2 + 2 :, :3], np.s_[:, : WIDTH // 2 - 2, :3]
    assert (board[dry] == before[dry]).all()
    assert board[wet].std() < 0.25 * before[wet].std()
    assert abs(board[wet].mean() - before[wet].mean()) < 2
