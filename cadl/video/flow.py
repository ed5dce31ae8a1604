"""Dense optical flow between the frames of a shot."""

from typing import NamedTuple

import cv2
import numpy as np

REFINEMENTS = 2  # of both ways; the preset's five bring nothing more
FINEST = 0  # scale of the way ahead: full size; at half size, the preset's, strokes tremble
BACK_STRIDE = 4  # pixels between patches of the way back; the preset's are three
REST = 0.04  # pixels; slower flow is noise of the sensor, and lets a still picture creep


class Flow(NamedTuple):
    """Motion between two neighbouring frames."""

    # float32 [h, w, 2], motion of each place of the earlier frame, x and y in pixels
    forward: np.ndarray
    backward: np.ndarray  # the same, from each place of the later frame back


class OpticalFlow:
    """Follows a video frame by frame (dense inverse search: Kroeger et al. 2016, arXiv 1603.03590).

    The preset is MEDIUM, but the way ahead, which strokes take, is found at full size. The way
    back, which says what is covered, may be found a little less closely.
    """

    def __init__(self) -> None:
        cv2.setNumThreads(1)  # passes run beside each other; more threads only wait
        self._forward, self._backward = (
            cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM) for _ in range(2)
        )
        for search in (self._forward, self._backward):
            search.setVariationalRefinementIterations(REFINEMENTS)
        self._forward.setFinestScale(FINEST)
        self._backward.setPatchStride(BACK_STRIDE)
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
        return Flow(_search(self._forward, before, grey), _search(self._backward, grey, before))


def _search(method: cv2.DISOpticalFlow, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    flow = method.calc(start, end, None)  # type: ignore[call-overload]
    speed = np.sqrt(np.einsum("hwc,hwc->hw", flow, flow))[..., None]
    return flow * np.clip(speed / REST - 1.0, 0.0, 1.0)
