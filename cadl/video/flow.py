"""Dense optical flow between the frames of a shot."""

from typing import NamedTuple

import cv2
import numpy as np

REST = 0.04  # pixels; slower flow is noise of the sensor, and lets a still picture creep


class Flow(NamedTuple):
    """Motion between two neighbouring frames.

    Attributes:
        forward: float32 [h, w, 2], by how many pixels (x, y) each place of the earlier frame moves.
        backward: the same from each place of the later frame back.
    """

    forward: np.ndarray
    backward: np.ndarray


class OpticalFlow:
    """Follows a video frame by frame (dense inverse search: Kroeger et al. 2016, arXiv 1603.03590).

    The preset is MEDIUM: FAST takes half the time and lets strokes lag behind what moves.
    """

    def __init__(self) -> None:
        cv2.setNumThreads(1)  # passes run beside each other; more threads only wait
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: np.ndarray | None = None

    def add(self, frame: np.ndarray, *, cut: bool = False) -> Flow | None:
        """Returns the flow from the frame added before.

        Args:
            frame: uint8 [h, w, 3], RGB, the next frame.
            cut: the frame begins a new shot.

        Returns:
            None for a frame that begins a shot.
        """
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        before, self._before = self._before, grey
        if before is None or cut:
            return None
        return Flow(self._between(before, grey), self._between(grey, before))

    def _between(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        flow = self._search.calc(start, end, None)  # type: ignore[call-overload]
        speed = np.sqrt(np.einsum("hwc,hwc->hw", flow, flow))[..., None]
        return flow * np.clip(speed / REST - 1.0, 0.0, 1.0)
