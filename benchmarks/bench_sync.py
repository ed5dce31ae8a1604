"""Claim: after an hour of video picture and sound are still together, and no frame is lost.

    python -m benchmarks.bench_sync --minutes 60

Makes a clip of 24000/1001 frames a second that flashes and clicks every ten seconds, takes it
through both passes of a conversion with networks that change nothing, and measures in the result
when it flashes and when it clicks.
"""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

from benchmarks.claims import claim
from cadl import console
from cadl.conversion import encode_pass, render_pass, segments
from cadl.conversion.brushwork import Brushwork
from cadl.conversion.clip import Clip, Encoding, Geometry
from cadl.conversion.codes import MovedCodes
from cadl.conversion.frame_painter import FramePainter
from cadl.conversion.output import Output
from cadl.conversion.rendering import Rendering
from cadl.conversion.sharing import Sharing
from cadl.errors import UserError
from cadl.images import tiles
from cadl.networks.vae import CODES
from cadl.settings import Count, read_settings
from cadl.strokes.hand import Hand
from cadl.video import probing, reader
from cadl.workers import WorkerPool

import imageio_ffmpeg
import numpy as np

MINUTES: Count = 60  # length of the clip
FOLDER: Path = Path("out/bench/sync")  # where clip and result go; what is there is used again

RATE = Fraction(24000, 1001)
EVERY = 240  # frames between flashes
SAMPLE_RATE = 48000
HAND = Hand(width=60, under=0, finest=60)  # few strokes, as none is drawn at strength 0
QUARTER = tiles.HEIGHT // 4, tiles.WIDTH // 4


@console.script
def main(argv: list[str] | None = None) -> int:
    """Makes, converts and measures; returns 0 if all is within a frame, else 1."""
    settings = read_settings(argv)
    settings.folder.mkdir(parents=True, exist_ok=True)
    path = settings.folder / f"clip-{settings.minutes}.mp4"
    if not path.exists():
        make_clip(path, settings.minutes)
    source = probing.probe(path)
    target = settings.folder / f"converted-{settings.minutes}.mp4"
    convert(source, target, settings.folder)
    made = probing.probe(target)
    flashes, clicks = find_flashes(made), find_clicks(target)
    if len(flashes) != len(clicks) or len(flashes) < 2:
        raise UserError(f"{len(flashes)} flashes and {len(clicks)} clicks in {target}")
    gaps = 1000 * (clicks - flashes)
    frame = 1000 / float(RATE)
    longer = 1000 * abs(made.seconds - source.seconds)
    console.say(
        f"{made.seconds:.3f} s at {made.rate}: {len(source.times)} frames in, {len(made.times)} "
        f"out; sound after picture by {gaps[0]:.1f} ms at the first of {len(gaps)} flashes, "
        f"{gaps[-1]:.1f} ms at the last, at most {np.abs(gaps).max():.1f} ms; "
        f"duration off by {longer:.1f} ms"
    )
    claim(
        f"frames lost in {settings.minutes} minutes",
        abs(len(made.times) - len(source.times)),
        most=0,
    )
    claim("ms between sound and picture, at most", np.abs(gaps).max(), most=frame)
    good = len(made.times) == len(source.times) and made.rate == source.rate == RATE
    return 0 if good and max(np.abs(gaps).max(), longer) <= frame else 1


def make_clip(path: Path, minutes: int) -> None:
    """Writes the clip: white in every 240th frame, a click of a hundredth of a second with it."""
    seconds = 60 * minutes
    period = float(EVERY / RATE)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y"]
    command += ["-f", "lavfi", "-i", f"color=gray:s=320x180:r={RATE}:d={seconds}"]
    command += ["-f", "lavfi", "-i",
                f"aevalsrc='0.8*lt(mod(t,{period}),0.01)':s={SAMPLE_RATE}:d={seconds}"]  # fmt: skip
    command += ["-vf", f"drawbox=color=white:t=fill:enable='not(mod(n,{EVERY}))'"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "-shortest", str(path)]
    subprocess.run(command, check=True)


def convert(source: probing.Video, target: Path, folder: Path) -> None:
    """Takes a video through both passes, without networks."""

    def encode(batch: np.ndarray) -> np.ndarray:
        return np.zeros((len(batch), CODES), np.float32)

    def shift(codes: np.ndarray, own: np.ndarray) -> np.ndarray:
        return np.zeros((len(codes), *QUARTER, 3), np.float32)

    crop = tiles.Crop()
    geometry = Geometry.of(source, crop, "source", "none")
    clip = Clip(source, crop, 0.0, 0.0)
    encoded, tracks = encode_pass.analyse_video(clip, geometry, [HAND], encode, "none", folder)
    codes = MovedCodes(encoded, 0.0, lambda codes: codes, 0.0)
    brushwork = Brushwork(geometry, ((HAND, 1.0),))
    painter = FramePainter(brushwork, shift, codes, 0.0, encoded.painted_shares)
    encoding = Encoding(geometry, "none", crf=20, preset="ultrafast")
    with WorkerPool() as workers:
        rendering = Rendering(clip, encoded, tracks, painter, encoding, 1, workers)
        output = Output(target, folder / "segments", folder, {"clip": str(source.path)})
        with Sharing(output) as share:
            render_pass.write_video(rendering, share)
    segments.clean_up(output.segments)


def find_flashes(made: probing.Video) -> np.ndarray:
    """Returns when a video turns white: seconds."""
    times: list[float] = []
    frames = reader.read_frames(made, crop=tiles.Crop(), size=(16, 16), times=times)
    white = np.array([frame.mean() > 200 for frame in frames])
    return np.array(times)[: len(white)][white]


def find_clicks(path: Path) -> np.ndarray:
    """Returns when a video's sound begins to be loud: seconds."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-ac", "1"]
    command += ["-ar", str(SAMPLE_RATE), "-f", "s16le", "-"]
    sound = subprocess.run(command, check=True, capture_output=True).stdout
    loud = np.flatnonzero(np.abs(np.frombuffer(sound, np.int16).astype(np.int32)) > 10000)
    starts = loud[np.diff(loud, prepend=-2 * SAMPLE_RATE) > SAMPLE_RATE]
    return starts / SAMPLE_RATE


if __name__ == "__main__":
    sys.exit(main())
