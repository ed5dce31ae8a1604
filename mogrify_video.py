"""Step 7 of 7: paints videos, or pictures, in a painter's style, with their sound.

    python mogrify_video.py --videos data/videos/clip.mp4 --style van-gogh --strength 0.75

Writes out/<video>-<style>.mp4 and, beside it, a picture of several strengths and a JSON of all
that is known of the conversion. A first pass encodes every frame; another strength or style uses
it again. Stopped at any moment, the same command goes on where it was.
"""

import errno
import functools
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

from cadl import console, files
from cadl.conversion import encode_pass, segments
from cadl.conversion.job import Job, Options, paint
from cadl.conversion.output import Output, tell_distance
from cadl.conversion.planning import find_videos, look_at, parse_size, plan
from cadl.conversion.sharing import Sharing
from cadl.errors import UserError
from cadl.images.tiles import Crop
from cadl.networks import saved_models
from cadl.settings import Amount, Count, Range, Share, read_settings, to_json
from cadl.strokes import hands
from cadl.strokes.hand import Hand
from cadl.style import embeddings, latents
from cadl.style.styles import Style, find_style
from cadl.video import probing
from cadl.workers import WorkerPool

VIDEOS: list[Path] = [Path("data/videos")]  # a video or picture, several, or a folder of videos
STYLE: str = ""  # painting source, picture file, or a blend a:0.6,b:0.4; empty: the first painter
STYLES: list[str] = []  # several painters or pictures, a video in each; empty: the one of STYLE
STRENGTH: Share = 0.75  # 0 reconstructs the video, 1 gives it all to the painter
STYLE_MAP: Literal["mean", "ancestor", "diagonal", "gaussian"] = "gaussian"  # how codes are moved

HAND: str = ""  # another painter's strokes, or a hand's file; empty: those of STYLE
HAND_STEPS: Count = 50  # recipes that are tried for a single picture as a style
STROKE_SIZE: Annotated[float, Range(0.25, 4)] = 1.0  # how many times larger strokes are
QUALITY: Literal["draft", "full"] = "full"  # draft: at half the size, enlarged: a quick look
HOLD_FRAMES: Annotated[int, Range(1, 24)] = 1  # frames a painted state is held; 2: "on twos"

CROP: str = "auto"  # black borders: auto, or top:left:bottom:right in pixels
START_SECONDS: Amount = 0.0  # where to begin, from the file's start
LENGTH_SECONDS: Amount = 0.0  # how much to convert; 0 is all
SMOOTHING_SECONDS: Annotated[float, Range(0, 10)] = 0.08  # of codes, within a shot; 0: none

OUTPUT_SIZE: str = "source"  # source (cropped), tile (320x180), or width x height, cut to fit
COMPARE: Literal["none", "inset", "side"] = "none"  # also show the original
CRF: Annotated[int, Range(0, 51)] = 20  # quality of the H.264 file: less is better and larger
PRESET: Literal["ultrafast", "superfast", "veryfast", "medium", "slow"] = "superfast"  # of x264
REPLACE: bool = False  # replace a finished output that was made with other settings

EXPORTED: Path = Path("exported")  # SavedModels and embeddings
OUT: Path = Path("out")  # where the videos go


@console.script
def main(argv: list[str] | None = None) -> int:
    """Converts all videos and returns the exit status."""
    settings = read_settings(argv)
    crop = None if settings.crop == "auto" else Crop.parse(settings.crop)
    size = parse_size(settings.output_size)
    if settings.style and settings.styles:
        raise UserError(
            f"STYLE {settings.style!r} and STYLES {','.join(settings.styles)!r}: give one of them"
        )
    paths = find_videos(settings.videos)
    pool = ThreadPoolExecutor(1)  # ffmpeg looks at the first video while TensorFlow loads
    probes: dict[Path, Callable] = {path: functools.partial(look_at, path, crop) for path in paths}
    probes[paths[0]] = pool.submit(look_at, paths[0], crop).result
    pool.shutdown(wait=False)
    vae_graph, vae_about = saved_models.load_graph(settings.exported, "vae")
    stylizer, about = saved_models.load_graph(
        settings.exported, "stylizer", vae_fingerprint=vae_about["vae"]
    )
    sources = embeddings.load_embeddings(settings.exported / "embeddings.npz", about["vae"])
    model = Model(
        networks=saved_models.Networks(vae_graph, stylizer),
        about=about,
        trained=[source for name, source in sources.items() if name in about["sources"]],
    )

    styles = [find_style(own, sources, vae_graph) for own in settings.styles or [settings.style]]
    jobs = [(path, style) for path in paths for style in styles]

    rows: list[list[Any]] = []
    failed = 0
    for path, style in jobs:
        started = time.monotonic()
        try:
            with WorkerPool() as workers:
                row = convert(path, probes[path], size, model, style, workers, settings)
        except (UserError, OSError) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            if len(jobs) == 1:
                raise
            console.warn(f"skipped {error}")
            row, failed = (path.name, 0, "failed"), failed + 1
        target, frames, note = row
        rows.append([target, frames, time.monotonic() - started, note])
    if len(rows) > 1:
        console.say(console.table(["video", "frames", "seconds", "note"], rows))
    if failed == len(jobs):
        raise UserError("no video could be converted: see the warnings above")
    console.finish(
        f"{'Found' if all(row[3].startswith('was finished') for row in rows) else 'Wrote'} "
        f"{', '.join(row[0] for row in rows if row[1])}"
    )
    return 1 if failed else 0


@dataclass(frozen=True)
class Model:
    """Networks and statistics, loaded once for all videos."""

    networks: saved_models.Networks
    about: dict  # record of the stylizer's export
    trained: list[latents.Statistics]  # moments of the sources that it was trained on


def convert(
    path: Path,
    look: Callable[[], tuple[probing.Video, Crop]],
    size: str | tuple[int, int],
    model: Model,
    style: Style,
    workers: WorkerPool,
    settings: SimpleNamespace,
) -> tuple[str, int, str]:
    """Converts one video into one style; returns the file written, its frames, and a remark."""
    painting = choose_hands(style, workers, settings)
    request = request_of(path, style, painting, model.about, settings)
    output = Output.of(settings.out, path, style.name, request)
    if frames := output.frames_made_before(settings.replace):
        return str(output.target), frames, "was finished before"
    options = Options(*(getattr(settings, name) for name in Options._fields))
    clip, geometry = plan(*look(), size, options)
    with Sharing(output) as share:
        # Pass 1: encode all frames and follow the strokes; beside it TensorFlow prepares pass 2.
        with ThreadPoolExecutor(1) as pool:
            prepared = pool.submit(model.networks.warm_up)
            analysis = encode_pass.analyse_video(
                clip, geometry, [hand for hand, _ in painting],
                model.networks.encode, model.about["vae"], output.passes,
            )  # fmt: skip
            prepared.result()

        # Pass 2: paint all frames, write them in segments, and join these with the sound.
        job = Job(clip, geometry, painting, analysis, style, model.networks.shift, options, workers)
        report = paint(job, share)
        encoded = analysis.encoded
        if report is None:
            note = "was finished by another run"
            console.say(f"{output.target} {note}")
            return str(output.target), len(encoded.shots), note

        # Record what was made of what.
        report |= {
            "request": request,
            "crop": str(clip.crop),
            "shots": int(encoded.shots[-1]) + 1,
            "distance_from_training": tell_distance(path, encoded, model.trained),
        }
        output.record(report)
    console.say(output.describe(report, clip.source))
    return str(output.target), report["frames"], report["sound"]


def choose_hands(
    style: Style, workers: WorkerPool, settings: SimpleNamespace
) -> tuple[tuple[Hand, float], ...]:
    """Returns the hands that paint, each with its share: those of HAND, else the style's.

    Raises:
        UserError: HAND is no painter with a hand, or a file that can't be read.
    """
    folder = settings.exported / "hands"

    def load(name: str) -> Hand | None:
        if name in style.pictures:  # its own hand is fitted to it now
            kept = settings.out / "work" / "hands"
            return hands.fit_to_picture(style.pictures[name], settings.hand_steps, kept, workers)
        path = folder / f"{name}.json"
        return hands.load_hand(path) if path.exists() else None

    if settings.hand and files.exists(settings.hand, as_file=True):
        found = [(hands.load_hand(Path(settings.hand)), 1.0)]
    else:
        known = sorted(path.stem for path in folder.glob("*.json"))
        wanted = settings.hand
        weights = latents.parse_style(wanted, known, "HAND") if wanted else style.weights
        found, missing = hands.of_style(weights, load)
        if missing:
            console.warn(
                f"no hand of {', '.join(missing)} in {folder}: a fixed brush paints; run "
                "train_refiner.py and export_graphs.py, or give --hand"
            )
    return tuple((hand.scaled(settings.stroke_size), share) for hand, share in found)


def request_of(
    path: Path, style: Style, painting: tuple, about: dict, settings: SimpleNamespace
) -> dict:
    """Returns everything that a conversion depends on."""
    request = {
        key: value
        for key, value in to_json(settings).items()
        if key not in ("videos", "styles", "hand", "exported", "out", "replace", "hand_steps")
    }
    return request | {
        "style": style.name,
        "input": files.identity(path),
        "vae": about["vae"],
        "painter": style.key,
        "recipes": json.loads(json.dumps([[hand.to_json(), share] for hand, share in painting])),
        "segment_frames": segments.SEGMENT_FRAMES,
        "format": segments.FORMAT,
    }


if __name__ == "__main__":
    sys.exit(main())
