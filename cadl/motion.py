"""How the camera moves: the way that most of a picture goes from one frame to the next."""

from cadl import latents

import numpy as np

DRIFT_SMOOTHING = 1.5  # frames, standard deviation
MIN_SIDE = 12  # pixels of the smallest picture that is compared
ROUNDS = 3  # of refinement at each size
DULL = 6.0  # standard deviation of green, of 255, below which noise would be made strong
USUAL_SPREAD = 0.2  # that all frames are brought to
NOISE = 0.01  # difference in light that is not worth weighing down
STIFFNESS = 1e-6  # mean squared gradient of a picture in which nothing can be told
BLOCKS = (5, 8)  # down and across, in which the motion must be right
AGREEING = 0.6  # share of the blocks that change, that must agree
MAX_LEFT = 0.85  # of the squared error of the opposite motion
MAX_SHARE = 0.25  # of the picture's sides, a frame
STILL = 0.02  # pixels a frame that count as none


class CameraMotion:
    """Follows a camera while its frames go by.

    Attributes:
        drift: float64 [2], how far down and right the picture has moved in all, in pixels.
    """

    def __init__(self) -> None:
        self.drift = np.zeros(2)
        self._last: list[np.ndarray] = []

    def add(self, frame: np.ndarray, *, cut: bool = False) -> np.ndarray:
        """Returns the drift at a frame, uint8 [h, w, 3]; a cut leaves it as it is."""
        green = _halve(frame[..., 1].astype(np.float32))
        spread = max(float(green.std()), DULL)  # fades are no motion
        pyramid = [USUAL_SPREAD / spread * (green - green.mean())]
        while min(pyramid[-1].shape) >= 2 * MIN_SIDE:
            pyramid.append(_halve(pyramid[-1]))
        if self._last and not cut and min(green.shape) >= MIN_SIDE:
            self.drift = self.drift + 2 * find_motion(self._last, pyramid)
        self._last = pyramid
        return self.drift


def smooth_drift(drift: np.ndarray, shots: np.ndarray) -> np.ndarray:
    """Smooths a camera's steps from frame to frame within each shot, over DRIFT_SMOOTHING.

    Steps, not places: a steady pan stays as it is, to both ends of a shot.

    Args:
        drift: float [N, 2], by `CameraMotion`.
        shots: int [N], number of each frame's shot.

    Returns:
        float32 [N, 2].
    """
    begins = np.diff(shots, prepend=shots[0] - 1) != 0
    steps = np.diff(drift, axis=0, prepend=drift[:1])
    follows = np.flatnonzero(begins[:-1] & ~begins[1:])  # shots of more than a frame
    steps[follows] = steps[follows + 1]  # there is no step to the first frame
    steps = latents.smooth(steps, shots, frames=DRIFT_SMOOTHING)
    steps[begins] = 0.0
    return np.cumsum(steps, axis=0).astype(np.float32)


def find_motion(before: list[np.ndarray], after: list[np.ndarray]) -> np.ndarray:
    """Finds how a picture moved as a whole, if it did.

    Least squares from coarse to fine (Lucas & Kanade 1981), with less weight on what does not
    follow (iteratively reweighted: Odobez & Bouthemy 1995, doi 10.1006/jvci.1995.1029). It counts
    only if it makes most of the blocks that change more alike.

    Args:
        before: float32 [h, w] and its halvings, of mean 0 and USUAL_SPREAD.
        after: the same, a frame later.

    Returns:
        float64 [2], pixels down and right; zeros where nothing moves, or not as a whole.
    """
    motion = np.zeros(2)
    for a, b in zip(reversed(before), reversed(after), strict=True):
        motion = 2 * motion
        for _ in range(ROUNDS):
            step = _improve(a, b, motion)
            motion = motion + step
            if np.abs(step).max() < 0.03:
                break
        if np.any(np.abs(motion) > MAX_SHARE * np.array(a.shape)):
            return np.zeros(2)
    if np.abs(motion).max() < STILL or not _agree(before[0], after[0], motion):
        return np.zeros(2)
    return motion


def _improve(a: np.ndarray, b: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Returns what to add to a motion."""
    moved, theirs = _overlap(a, b, motion)
    gap = (theirs - moved)[1:-1, 1:-1]
    gap = gap - _median(gap[::2, ::2])
    down = 0.5 * (moved[2:, 1:-1] - moved[:-2, 1:-1])
    right = 0.5 * (moved[1:-1, 2:] - moved[1:-1, :-2])
    scale = 1.5 * _median(np.abs(gap[::2, ::2])) + NOISE
    weight = 1.0 / np.square(1.0 + np.square(gap / scale))
    parts = np.stack([down, right, gap]).reshape(3, -1)
    means = (weight.reshape(-1) * parts) @ parts.T / gap.size  # of all products of two
    matrix = means[:2, :2] + STIFFNESS * np.eye(2)
    return np.clip(np.linalg.solve(matrix, -means[:2, 2]), -1.5, 1.5)


def _median(values: np.ndarray) -> float:
    """Returns the upper median. NumPy's own takes a mean of two and looks for what is no number."""
    middle = values.size // 2
    return float(np.partition(values, middle, axis=None)[middle])


def _overlap(a: np.ndarray, b: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves `a` by a motion, and cuts both down to what is known of both."""
    whole = np.floor(motion).astype(int)
    height, width = a.shape
    (top, bottom), (left, right) = (
        (max(0, step + 1), min(size, size + step))
        for step, size in zip(whole, (height, width), strict=True)
    )
    rows, columns = slice(top, bottom), slice(left, right)
    down, across = map(float, motion - whole)
    moved = np.zeros((bottom - top, right - left), np.float32)
    for y, share_y in ((0, 1 - down), (1, down)):
        for x, share_x in ((0, 1 - across), (1, across)):
            from_rows = slice(top - whole[0] - y, bottom - whole[0] - y)
            from_columns = slice(left - whole[1] - x, right - whole[1] - x)
            moved = moved + share_y * share_x * a[from_rows, from_columns]
    return moved, b[rows, columns]


def _agree(a: np.ndarray, b: np.ndarray, motion: np.ndarray) -> bool:
    """Returns True if most blocks that change are more alike when moved.

    All together must also be more alike than moved the other way: interpolation alone already
    smooths noise away.
    """
    after, opposite = (_block_errors(*_overlap(a, b, way)) for way in (motion, -motion))
    before = _block_errors(*_overlap(a, b, 0 * motion))
    changing = np.abs(before - after) > 0.1 * np.maximum(before, after) + 1e-6
    if not changing.any() or after.sum() > MAX_LEFT * opposite.sum():
        return False
    return bool((after < before)[changing].mean() >= AGREEING)


def _block_errors(moved: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    gap = moved - theirs
    rows, columns = (
        np.linspace(0, size, count, endpoint=False).astype(int)
        for size, count in zip(gap.shape, BLOCKS, strict=True)
    )
    squares = np.add.reduceat(np.add.reduceat(np.square(gap - gap.mean()), rows, 0), columns, 1)
    return squares * (np.prod(BLOCKS) / gap.size)


def _halve(picture: np.ndarray) -> np.ndarray:
    height, width = (side // 2 * 2 for side in picture.shape)
    p = picture[:height, :width]
    return 0.25 * (p[::2, ::2] + p[1::2, ::2] + p[::2, 1::2] + p[1::2, 1::2])
