"""A video between its two passes: what is painted, how, and its files."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from cadl.conversion import passes, render_pass
from cadl.conversion.brushwork import Brushwork
from cadl.conversion.clip import Clip, Encoding, Geometry
from cadl.conversion.codes import MovedCodes
from cadl.conversion.colour_match import Correction, find_correction
from cadl.conversion.encode_pass import Analysis
from cadl.conversion.frame_painter import FramePainter
from cadl.conversion.ladder import draw_ladder
from cadl.conversion.rendering import Rendering
from cadl.conversion.sharing import Sharing
from cadl.images.colours import Colours
from cadl.strokes.hand import Hand
from cadl.strokes.track_files import DamagedTracks
from cadl.style import latents
from cadl.style.styles import Style
from cadl.workers import WorkerPool

import numpy as np


class Options(NamedTuple):
    """How a video is converted: each as the constant of this name in mogrify_video.py."""

    strength: float
    style_map: str
    quality: str
    hold_frames: int
    start_seconds: float
    length_seconds: float
    smoothing_seconds: float
    compare: str
    crf: int
    preset: str


@dataclass(frozen=True)
class Job:
    """A video that is being converted."""

    clip: Clip
    geometry: Geometry
    hands: tuple[tuple[Hand, float], ...]  # recipes, with the share of each
    analysis: Analysis  # results of pass 1
    style: Style  # where codes and colours are moved to
    shift: Callable  # see `FramePainter.shift`
    options: Options
    workers: WorkerPool
    _painters: dict[float, FramePainter] = field(default_factory=dict, init=False)

    @functools.cached_property
    def correction(self) -> Correction:
        """What makes up for what strokes do to light and chroma."""
        if not self.style.painter.colours:
            return Correction()
        return find_correction(functools.partial(self._render, 1.0), self._goal)

    def _goal(self, chosen: np.ndarray) -> Colours:
        """Returns which colours some samples, int [n], are to have when they are painted.

        If the whole film has the painter's colours, a part of it has others.
        """
        encoded, whole = self.analysis.encoded, self.style.painter.colours
        if whole and not len(encoded.film_frames):
            return whole
        numbers = encoded.sample_indices[chosen]
        codes = np.asarray(encoded.latents[numbers])
        return Colours.of(self._painter(1.0).recoloured(encoded.samples[chosen], codes, numbers))

    @functools.cached_property
    def _move(self) -> Callable:
        own = self.analysis.encoded.statistics
        return latents.style_move(own, self.style.painter, self.options.style_map)

    def render(self, strength: float) -> Rendering:
        """Returns what the video is painted from at a strength."""
        return self._render(strength, self.correction)

    def _render(self, strength: float, correction: Correction) -> Rendering:
        options, painter = self.options, self._painter(strength)
        if self.style.painter.colours:
            painter = correction.apply(painter)
        if any(hand.kind == "flat" for hand, _ in self.hands):
            painter = painter.with_palettes(self.analysis.encoded.by_shot)
        preset = "ultrafast" if options.quality == "draft" else options.preset
        encoding = Encoding(self.geometry, options.compare, options.crf, preset)
        return Rendering(
            self.clip, self.analysis.encoded, self.analysis.tracks, painter, encoding,
            options.hold_frames, self.workers,
        )  # fmt: skip

    def _painter(self, strength: float) -> FramePainter:
        """Returns what paints at a strength, with no correction."""
        if strength in self._painters:
            return self._painters[strength]
        encoded = self.analysis.encoded
        rate = float(self.clip.source.rate)
        codes = MovedCodes(encoded, rate * self.options.smoothing_seconds, self._move, strength)
        brushwork = Brushwork(self.geometry, self.hands, self.options.quality == "draft", rate)
        painter = FramePainter(brushwork, self.shift, codes, strength, encoded.painted_shares)
        goal = self.style.painter.colours
        if goal:
            painter = painter.with_colours(*encoded.typical_frames, encoded.by_shot, goal)
        return self._painters.setdefault(strength, painter)


def paint(job: Job, share: Sharing) -> dict | None:
    """Draws the ladder, paints the video or picture, and returns what is known of it.

    Args:
        job: what is painted.
        share: this run's part in it.

    Returns:
        None if another run has finished it.
    """
    target = share.output.target
    try:
        draw_ladder(target, job.render, job.options.style_map)
        rendering = job.render(job.options.strength)
        if not job.clip.source.is_picture:
            return render_pass.write_video(rendering, share)
        return render_pass.write_picture(rendering, target) if share.finish() else None
    except DamagedTracks:
        passes.distrust(job.analysis.tracks)
        raise
