"""The codes of a video's frames: as pass 1 found them, and smoothed and moved to a painter's."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from cadl.style import latents
from cadl.style.latents import Statistics

import cv2
import numpy as np

SMOOTHED_FRAMES = 256  # at a time: what lies around them is smoothed too, and thrown away
# The light of a frame is its mean luminance, and pixels brighter than GLARE count as GLARE: a title
# on black is dark.
GLARE = 0.05
DARK, LIT = 0.01, 0.02  # light below which a frame is not painted, and from which it is wholly
# A frame is in a fade if it has less than FADED of its shot's light, which is this quantile.
FADED, USUAL = 0.6, 0.75


class Shots(NamedTuple):
    """The shots of a film, and a few small pictures of each."""

    of_frames: np.ndarray  # int [N], number of each frame's shot
    numbers: np.ndarray  # int [pictures], which frames these are, in order
    pictures: np.ndarray  # uint8 [pictures, h, w, 3]

    def lit(self, shot: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns a shot's pictures without those in a fade: numbers, int [n], and pictures."""
        own, light = self._light(shot)
        own = own[light >= FADED * np.quantile(light, USUAL)]
        return self.numbers[own], self.pictures[own]

    def light_left(self, shot: int, frame: np.ndarray) -> float:
        """Returns which share of its light a shot's frame, uint8 [h, w, 3], has in a fade: 0 to 1.

        It is 1 outside fades.
        """
        usual = np.quantile(self._light(shot)[1], USUAL)
        return min(1.0, float(frame.mean() / max(FADED * usual, 1.0)))

    def _light(self, shot: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns which pictures are a shot's, and the mean of each, of 255."""
        own = np.flatnonzero(self.of_frames[self.numbers] == shot)
        return own, self.pictures[own].mean(axis=(1, 2, 3))


@dataclass(frozen=True)
class Encoded:
    """What pass 1 found."""

    # float32 [N, codes], posterior means of all frames; a file that is read when needed
    latents: np.ndarray
    shots: np.ndarray  # int [N], number of each frame's shot
    times: np.ndarray  # float64 [N], seconds of each frame
    light: np.ndarray  # float32 [N], light of each frame, from 0 to GLARE
    samples: np.ndarray  # uint8 [n, h, w, 3], a few frames as they were tracked, for pictures
    sample_indices: np.ndarray  # int [n], which frames they are
    shot_pictures: np.ndarray  # uint8 [m, h, w, 3], small, a few of each shot
    shot_frames: np.ndarray  # int [m], which frames they are, in order
    # of the whole film, where a part of it is converted, by `survey`; else none
    film_frames: np.ndarray  # uint8 [m, h, w, 3]
    film_latents: np.ndarray  # float32 [m, codes]

    @functools.cached_property
    def statistics(self) -> Statistics:
        """The moments of the whole film's latents, of few of them where a part is converted.

        The fewer there are, the nearer a Gaussian map comes to a diagonal one.
        """
        found = self.film_latents if len(self.film_latents) else self.latents
        return latents.statistics_of(found, "video")

    @property
    def by_shot(self) -> Shots:
        """The shots and their pictures."""
        return Shots(self.shots, self.shot_frames, self.shot_pictures)

    @property
    def lit_samples(self) -> tuple[np.ndarray, np.ndarray]:
        """The samples that are painted, uint8 [n, h, w, 3], and their latents, [n, codes]."""
        lit = self.painted_shares[self.sample_indices] > 0.5
        return self.samples[lit], np.asarray(self.latents[self.sample_indices[lit]])

    @property
    def typical_frames(self) -> tuple[np.ndarray, np.ndarray]:
        """Frames with the colours of the whole film, none of them dark, as `lit_samples`."""
        lit = [light_of(frame) > 0.5 * (DARK + LIT) for frame in self.film_frames]
        if not any(lit):
            return self.lit_samples
        return self.film_frames[lit], self.film_latents[lit]

    @functools.cached_property
    def painted_shares(self) -> np.ndarray:
        """Share of the painting in each frame, float32 [N]; the rest is the film's own frame.

        It is 0 where all is black, less than 1 in a fade, and 1 in a dark scene.
        """
        shares = np.clip((self.light - DARK) / (LIT - DARK), 0.0, 1.0)
        for shot in np.split(np.arange(len(self.light)), np.flatnonzero(np.diff(self.shots)) + 1):
            usual = np.quantile(self.light[shot], USUAL)
            shares[shot] = np.minimum(shares[shot], self.light[shot] / max(FADED * usual, DARK))
        return shares.astype(np.float32)


def light_of(frame: np.ndarray) -> float:
    """Returns the light of a frame, uint8 [h, w, 3]: from 0 to GLARE."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) / np.float32(255)
    return float(np.minimum(grey, GLARE).mean())


class MovedCodes:
    """Codes of a video's frames, smoothed and moved when they are asked for.

    So a long video takes no more memory than a short one.
    """

    def __init__(self, encoded: Encoded, smoothing: float, move: Callable, strength: float):
        """Takes a window's deviation in frames, a `style_move`, and how far codes are moved."""
        self._encoded, self._smoothing = encoded, smoothing
        self._move, self._strength = move, strength
        self._reach = latents.smoothing_reach(smoothing)
        self._newest: dict[int, np.ndarray] = {}  # the block that was smoothed last

    def __len__(self) -> int:
        return len(self._encoded.shots)

    @property
    def shots(self) -> np.ndarray:
        """Number of each frame's shot, int [N]."""
        return self._encoded.shots

    def __getitem__(self, part: slice) -> np.ndarray:
        """Returns the codes of consecutive frames, moved: float32 [n, codes]."""
        return self.moved(self.own(part))

    def moved(self, codes: np.ndarray) -> np.ndarray:
        """Moves codes, float32 [n, codes] -> [n, codes]."""
        return (codes + self._strength * (self._move(codes) - codes)).astype(np.float32)

    def own(self, part: slice) -> np.ndarray:
        """Returns the codes of consecutive frames, smoothed, not moved: float32 [n, codes]."""
        start, stop, _ = part.indices(len(self))
        first = start // SMOOTHED_FRAMES
        last = max(first, (stop - 1) // SMOOTHED_FRAMES)
        blocks = [self._smoothed(number) for number in range(first, last + 1)]
        start_there = start - first * SMOOTHED_FRAMES
        return np.concatenate(blocks)[start_there : start_there + max(0, stop - start)]

    def _smoothed(self, number: int) -> np.ndarray:
        if number in self._newest:
            return self._newest[number]
        start = number * SMOOTHED_FRAMES
        first = max(0, start - self._reach)
        around = slice(first, start + SMOOTHED_FRAMES + self._reach)
        smoothed = latents.smooth(
            np.asarray(self._encoded.latents[around]), self._encoded.shots[around],
            frames=self._smoothing,
        )  # fmt: skip
        block = smoothed[start - first : start - first + SMOOTHED_FRAMES]
        self._newest = {number: block}
        return block
