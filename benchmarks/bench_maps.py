"""Claim: the default style map, strength and smoothing are the best of those there are.

    python -m benchmarks.bench_maps --videos a.mp4,b.mp4 --styles van-gogh,monet,picture.jpg

Every style map takes every video to every style. Style is the sliced Wasserstein distance of
patches to the style's own tiles, over that of the frames as they are; content the likeness of light
and the correlation of edges with those frames; flicker the change between neighbouring frames over
theirs. Then strength and smoothing are changed, with the default map.
"""

import itertools
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measures
from benchmarks.claims import claim
from cadl import console
from cadl.conversion import encode_pass
from cadl.conversion.brushwork import Brushwork
from cadl.conversion.clip import Clip, Geometry, resize
from cadl.conversion.codes import Encoded, MovedCodes
from cadl.conversion.frame_painter import FramePainter, measure, paint
from cadl.conversion.planning import find_videos, look_at
from cadl.dataset import tile_sets
from cadl.images import gallery, metrics, tiles
from cadl.networks import saved_models
from cadl.settings import Count, Seed, read_settings
from cadl.strokes.averaging import TrackAverager
from cadl.strokes.hand import Hand
from cadl.strokes.stroke import Looks
from cadl.strokes.track_files import Tracked, read_tracks
from cadl.style import embeddings, latents
from cadl.style.styles import find_style
from mogrify_video import SMOOTHING_SECONDS, STRENGTH, STYLE_MAP

import numpy as np

VIDEOS: list[Path] = [Path("data/videos")]  # videos, or a folder of them
STYLES: list[str] = []  # each as STYLE of mogrify_video.py; all painters if empty
EXPORTED: Path = Path("exported")  # SavedModels and embeddings
TILES: Path = Path("data/tiles")  # tiles of the painters
CLIPS: Count = 5  # of each video, spread over it
CLIP_FRAMES: Count = 4  # in a row
STYLE_TILES: Count = 40  # of each style
SEED: Seed = 1  # of the patches
PICTURE: Path = Path("out/bench/maps.png")  # every map, a row each

DRAWN = 2  # times as large as its tile a frame is painted, and then reduced
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SMOOTHINGS = (0.0, 0.08, 0.25)  # seconds
MEASURES = ("style", "SSIM light", "edges", "flicker")


@dataclass(frozen=True)
class Film:
    """A video that was analysed, and clips of it."""

    name: str
    encoded: Encoded
    rate: float
    geometry: Geometry
    clips: list[list[tuple[int, np.ndarray, list[Tracked]]]]  # number, frame and strokes of each


@console.script
def main(argv: list[str] | None = None) -> int:
    """Measures everything, prints tables and draws a picture."""
    settings = read_settings(argv)
    vae_graph, about = saved_models.load_graph(settings.exported, "vae")
    stylizer, _ = saved_models.load_graph(
        settings.exported, "stylizer", vae_fingerprint=about["vae"]
    )
    model = saved_models.Networks(vae_graph, stylizer)
    sources = embeddings.load_embeddings(settings.exported / "embeddings.npz", about["vae"])
    wanted = settings.styles or [name for name, s in sources.items() if s.kind == "painting"]
    styles = [find_style(text, sources, vae_graph) for text in wanted]
    theirs = [style_tiles(text, settings) for text in wanted]
    with tempfile.TemporaryDirectory() as folder:
        films = [
            take(path, model, about["vae"], Path(folder), settings)
            for path in find_videos(settings.videos)
        ]
    pairs = list(itertools.product(films, zip(styles, theirs, strict=True)))

    def measure_all(**changed) -> tuple[list[list[float]], list[np.ndarray]]:
        found = [
            measure_film(film, style.painter, own, model.shift, settings.seed, **changed)
            for film, (style, own) in pairs
        ]
        return [numbers for numbers, _ in found], [shown for _, shown in found]

    rows, pictures, means = [], {}, {}
    for style_map in latents.STYLE_MAPS:
        numbers, shown = measure_all(style_map=style_map, strength=1.0)
        pictures[style_map] = shown
        for (film, (style, _)), own in zip(pairs, numbers, strict=True):
            rows.append([style_map, film.name, style.name, *own])
        means[style_map] = np.mean(numbers, axis=0)
        rows.append([style_map, "mean", "", *means[style_map]])
    console.say(console.table(["map, strength 1", "video", "style", *MEASURES], plain(rows)))
    best = min(mean[0] for mean in means.values())
    claim(f"style distance of {STYLE_MAP} over the best map's", means[STYLE_MAP][0] / best, most=1)
    rows = [
        [strength, *np.mean(measure_all(strength=strength)[0], axis=0)] for strength in STRENGTHS
    ]
    console.say(console.table([f"strength, {STYLE_MAP}", *MEASURES], plain(rows)))
    rows = [
        [seconds, *np.mean(measure_all(smoothing=seconds)[0], axis=0)] for seconds in SMOOTHINGS
    ]
    console.say(console.table([f"smoothing, at {STRENGTH}", *MEASURES], plain(rows)))
    originals = [shown_frame(film) for film, _ in pairs]
    sheet = [originals, *pictures.values()]
    labels = ["frames", *(f"{name}, strength 1" for name in pictures)]
    gallery.save_picture(
        settings.picture, gallery.contact_sheet(sheet, row_labels=labels, scale=0.75)
    )
    console.say(f"drew {settings.picture}")
    return 0


def style_tiles(text: str, settings) -> np.ndarray:
    """Returns tiles of a style, float32 [N, 180, 320, 3]; of a blend, of all that is blended."""
    if Path(text).is_file():
        return tiles.to_float(np.stack(tiles.picture_tiles(tiles.load_picture(Path(text)), 4)))
    tile_set = tile_sets.load_tiles(settings.tiles)
    indices = tile_set.source_indices()
    own = np.concatenate([indices[part.partition(":")[0].strip()] for part in text.split(",")])
    return tiles.to_float(tile_set.pixels[tile_sets.spread(own, settings.style_tiles)])


def take(path: Path, model, fingerprint: str, folder: Path, settings) -> Film:
    """Analyses a video and picks clips that no cut goes through."""
    source, crop = look_at(path, None)
    tile_size = tiles.fit_size(*source.display_size(crop))
    size = DRAWN * tile_size[0], DRAWN * tile_size[1]
    geometry = Geometry.of(source, crop, size, "none")
    clip = Clip(source, crop, 0.0, 0.0)
    encoded, tracks = encode_pass.analyse_video(
        clip, geometry, [Hand()], model.encode, fingerprint, folder / path.stem
    )
    length = settings.clip_frames
    whole = np.flatnonzero(encoded.shots[: 1 - length] == encoded.shots[length - 1 :])
    lit = whole[encoded.painted_shares[whole] == 1]
    starts = lit[np.linspace(0, len(lit) - 1, settings.clips + 2).astype(int)[1:-1]]
    wanted = {int(start) + step for start in starts for step in range(length)}
    kept = {i: frame for i, frame in enumerate(clip.read(size)) if i in wanted}
    clips = []
    for start in map(int, starts):
        strokes = read_tracks(tracks, start, start + length)
        clips.append([(i, kept[i], own) for i, own in enumerate(strokes, start)])
    return Film(path.stem, encoded, float(source.rate), geometry, clips)


def shown_frame(film: Film) -> np.ndarray:
    """Returns the frame that is shown in the picture, as small as its tile."""
    clip = film.clips[len(film.clips) // 2]
    return resize(clip[len(clip) // 2][1], film.geometry.tile_size)


def measure_film(
    film: Film,
    style: latents.Statistics,
    theirs: np.ndarray,
    shift: Callable,
    seed: int,
    *,
    style_map: str = STYLE_MAP,
    strength: float = STRENGTH,
    smoothing: float = SMOOTHING_SECONDS,
) -> tuple[list[float], np.ndarray]:
    """Converts a film's clips; returns MEASURES and a frame to look at."""
    move = latents.style_move(film.encoded.statistics, style, style_map)
    codes = MovedCodes(film.encoded, smoothing * film.rate, move, strength)
    brushwork = Brushwork(film.geometry, ((Hand(), 1.0),))
    painter = FramePainter(brushwork, shift, codes, strength, film.encoded.painted_shares)
    size = film.geometry.tile_size
    before, after = [], []
    for clip in film.clips:
        before.append([resize(frame, size) for _, frame, _ in clip])
        after.append([resize(frame, size) for frame in paint_clip(painter, clip)])
    clips = [tiles.to_float(np.array(x)) for x in (before, after)]  # [clips, frames, h, w, 3]
    flat = [x.reshape(-1, *x.shape[2:]) for x in clips]
    distances = [measures.patch_distance(x, theirs, seed=seed) for x in flat]
    light = [x @ metrics.LUMINANCE for x in flat]
    flickers = [np.mean([measures.flicker(clip) for clip in x]) for x in clips]
    middle = after[len(after) // 2]
    return [
        distances[1] / distances[0],
        float(metrics.ssim(*light).mean()),
        measures.edge_correlation(*light),
        float(flickers[1] / flickers[0]),
    ], middle[len(middle) // 2]


def paint_clip(painter: FramePainter, clip: list) -> list[np.ndarray]:
    """Paints consecutive frames; looks of strokes are averaged over these alone."""
    brushwork = painter.brushwork
    moved = painter.move(clip[0][0], [frame for _, frame, _ in clip])
    averagers = [TrackAverager() for hand, _ in brushwork.hands for _ in hand.layers()]
    for one, (_, _, tracked) in zip(moved, clip, strict=True):
        looks = measure(brushwork, one, tracked)
        for averager, own, layer in zip(averagers, looks, tracked, strict=True):
            averager.add(own.table(), None, layer.fates, len(layer.places))
    averaged = zip(*(averager.finish() for averager in averagers), strict=True)
    return [
        paint(
            brushwork, one, tracked, list(map(Looks.of_table, tables)),
            painter.strength,
        )
        for one, (_, _, tracked), tables in zip(moved, clip, averaged, strict=True)
    ]  # fmt: skip


def plain(rows: list[list]) -> list[list]:
    """Turns numpy's numbers into Python's."""
    return [[float(x) if isinstance(x, np.floating) else x for x in row] for row in rows]


if __name__ == "__main__":
    sys.exit(main())
