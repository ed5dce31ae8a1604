"""What changes slowly is worked out for some frames only, and filled in between."""

from collections.abc import Sequence

import numpy as np


def choose(shots: Sequence[int] | np.ndarray, every: int) -> np.ndarray:
    """Returns the first frame of each shot, and every nth of all: int [n], growing.

    Args:
        shots: int [N], number of each frame's shot.
        every: n, the number of frames from one to the next.
    """
    begins = np.flatnonzero(np.diff(shots)) + 1
    return np.union1d(np.arange(0, len(shots), every), begins).astype(int)


def fill_in(
    chosen: np.ndarray, values: np.ndarray, shots: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Returns values of all frames: the others lie linearly between neighbours in the same shot.

    Args:
        chosen: by `choose`.
        values: float32 [n, ...], of the chosen frames.
        shots: int [N].

    Returns:
        float32 [N, ...].
    """
    shots, frames = np.asarray(shots), np.arange(len(shots))
    before = np.searchsorted(chosen, frames, "right") - 1
    after = np.minimum(before + 1, len(chosen) - 1)
    after = np.where(shots[chosen[after]] == shots, after, before)
    share = (frames - chosen[before]) / np.maximum(1, chosen[after] - chosen[before])
    share = share.astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
    return (1 - share) * values[before] + share * values[after]
