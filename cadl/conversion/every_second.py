"""What changes slowly is worked out for every second frame, and filled in between."""

from collections.abc import Sequence

import numpy as np


def choose(shots: Sequence[int] | np.ndarray) -> np.ndarray:
    """Returns every second frame, and the first of each shot: int [n], growing.

    Args:
        shots: int [N], number of each frame's shot.
    """
    begins = np.flatnonzero(np.diff(shots)) + 1
    return np.union1d(np.arange(0, len(shots), 2), begins).astype(int)


def fill_in(
    chosen: np.ndarray, values: np.ndarray, shots: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Returns values of all frames: the others have the mean of their neighbours in the same shot.

    Args:
        chosen: by `choose`.
        values: float32 [n, ...], of the chosen frames.
        shots: int [N].

    Returns:
        float32 [N, ...].
    """
    shots = np.asarray(shots)
    before = np.searchsorted(chosen, np.arange(len(shots)), "right") - 1
    after = np.minimum(before + 1, len(chosen) - 1)
    alone = (chosen[before] == np.arange(len(shots))) | (shots[chosen[after]] != shots)
    after = np.where(alone, before, after)
    return np.float32(0.5) * (values[before] + values[after])
