"""A picture of a few frames at several strengths, drawn before the long part begins."""

from collections.abc import Callable
from pathlib import Path

from cadl import console
from cadl.conversion.clip import resize
from cadl.conversion.rendering import Rendering, paint_alone, read_frames_at
from cadl.images import gallery
from cadl.strokes.track_files import read_tracks

import numpy as np

LADDER_STRENGTHS = (0.25, 0.5, 0.75, 1.0)
LADDER_FRAMES = 4  # at most
FRAMES_EACH = 100  # a film is shown by one frame, and one more for each so many of its own
LADDER_WIDTH = 854  # pixels of a frame on it, at most


def draw_ladder(target: Path, render: Callable[[float], Rendering], style_map: str) -> None:
    """Writes a picture of a few frames at several strengths, before the long part begins.

    Args:
        target: the video that is made; the picture is named after it.
        render: returns what frames of a strength are painted from.
        style_map: as STYLE_MAP.
    """
    rendering = render(LADDER_STRENGTHS[-1])  # any strength has the same sizes, frames and tracks
    geometry = rendering.encoding.geometry
    count = min(LADDER_FRAMES, 1 + rendering.total // FRAMES_EACH)
    shown = np.linspace(0, len(rendering.encoded.samples) - 1, count + 2).astype(int)
    shown = np.unique(shown[1:-1])
    numbers, frames, tracked = rendering.encoded.sample_indices[shown].tolist(), [], []
    for number, sample in zip(numbers, rendering.encoded.samples[shown], strict=True):
        found = read_frames_at(rendering, number, 1)
        frames.append(found[0] if found else resize(sample, geometry.picture_size))
        tracked.append(next(read_tracks(rendering.tracks, number, number + 1)))
    painted = [
        paint_alone(render(strength), numbers, frames, tracked) for strength in LADDER_STRENGTHS
    ]
    rows = [frames, *([future.result() for future in row] for row in painted)]
    sheet = gallery.contact_sheet(
        rows,
        title=f"{target.stem}, map {style_map}",
        row_labels=[
            "strength 0: the film",
            *(f"strength {strength}" for strength in LADDER_STRENGTHS),
        ],
        scale=min(1.0, LADDER_WIDTH / geometry.picture_size[0]),
    )
    path = target.with_name(f"{target.stem}-ladder.png")
    gallery.save_picture(path, sheet)
    console.say(f"wrote {path}: have a look while the video is made")
