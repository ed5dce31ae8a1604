"""Where a video cuts from one shot to the next."""

import cv2
import numpy as np

CUT_THRESHOLD = 0.09
CUT_RATIO = 3.0


class ShotFinder:
    """Numbers the shots of a video while its frames go by.

    A cut is a frame whose 9x16 thumbnail differs from the last one's by more than a threshold and
    by several times what the frames before it differed.
    """

    def __init__(self) -> None:
        self.shot = 0
        self._thumbnail: np.ndarray | None = None
        self._usual = 0.0

    def add(self, frame: np.ndarray) -> int:
        """Returns the number of the shot that a frame (uint8 [h, w, 3]) belongs to."""
        thumbnail = cv2.resize(frame, (16, 9), interpolation=cv2.INTER_AREA) / np.float32(255)
        if self._thumbnail is not None:
            change = float(np.abs(thumbnail - self._thumbnail).mean())
            if change > CUT_THRESHOLD and change > CUT_RATIO * self._usual:
                self.shot += 1
                self._usual = 0.0
            else:
                self._usual += 0.3 * (change - self._usual)
        self._thumbnail = thumbnail
        return self.shot
