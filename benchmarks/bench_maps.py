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
from dataclasses import dataclass
from pathlib import Path

from benchmarks.claims import claim
from cadl import (
    clips,
    console,
    embeddings,
    first_pass,
    gallery,
    graphs,
    latents,
    metrics,
    shards,
    tiles,
)
from cadl.settings import Count, Seed, read_settings
from mogrify_video import find_style, find_videos, look_at

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

USUAL_MAP, USUAL_STRENGTH, USUAL_SMOOTHING = (
    latents.DEFAULT_STYLE_MAP,
    0.75,
    0.08,
)  # of mogrify_video.py
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SMOOTHINGS = (0.0, 0.08, 0.25)  # seconds
MEASURES = ("style", "SSIM light", "edges", "flicker")


@dataclass(frozen=True)
class Film:
    """A video that was encoded, and clips of it."""

    name: str
    encoded: first_pass.Encoded
    rate: float
    pixels: np.ndarray  # uint8 [clips * frames, 180, 320, 3], mirrored to whole tiles
    chosen: np.ndarray  # which frames they are
    size: tuple[int, int]  # of a frame in its tile


@console.script
def main(argv: list[str] | None = None) -> int:
    """Measures everything, prints tables and draws a picture."""
    settings = read_settings(argv)
    vae_graph, about = graphs.load_graph(settings.exported, "vae")
    stylizer, _ = graphs.load_graph(
        settings.exported, "stylizer", vae_fingerprint=about["vae"], scale=1
    )
    sources = embeddings.load_embeddings(settings.exported / "embeddings.npz", about["vae"])
    wanted = settings.styles or [name for name, s in sources.items() if s.kind == "painting"]
    styles = [find_style(text, sources, vae_graph) for text in wanted]
    theirs = [style_tiles(text, settings) for text in wanted]
    with tempfile.TemporaryDirectory() as folder:
        films = [
            take(path, vae_graph, about["vae"], Path(folder), settings)
            for path in find_videos(settings.videos)
        ]
    pairs = list(itertools.product(films, zip(styles, theirs, strict=True)))

    def measure_all(**changed) -> tuple[list[list[float]], list[np.ndarray]]:
        found = [
            measure(film, style.painter, own, stylizer.stylize, settings.seed, **changed)
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
    claim(f"style distance of {USUAL_MAP} over the best map's", means[USUAL_MAP][0] / best, most=1)
    rows = [
        [strength, *np.mean(measure_all(strength=strength)[0], axis=0)] for strength in STRENGTHS
    ]
    console.say(console.table([f"strength, {USUAL_MAP}", *MEASURES], plain(rows)))
    rows = [
        [seconds, *np.mean(measure_all(smoothing=seconds)[0], axis=0)] for seconds in SMOOTHINGS
    ]
    console.say(console.table([f"smoothing, at {USUAL_STRENGTH}", *MEASURES], plain(rows)))
    originals = [film.pixels[len(film.pixels) // 2] for film, _ in pairs]
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
    tile_set = shards.load_tiles(settings.tiles)
    indices = tile_set.source_indices()
    own = np.concatenate([indices[part.partition(":")[0].strip()] for part in text.split(",")])
    return tiles.to_float(tile_set.pixels[shards.spread(own, settings.style_tiles)])


def take(path: Path, vae_graph, fingerprint: str, folder: Path, settings) -> Film:
    """Encodes a video and picks clips that no cut goes through."""
    source, crop = look_at(path, None)
    size = tiles.fit_size(*source.display_size(crop))
    clip = clips.Clip(source, crop, size, 1, 0.0, 0.0)
    encoded = first_pass.encode_video(clip, vae_graph, fingerprint, folder / path.stem)
    length = settings.clip_frames
    whole = np.flatnonzero(encoded.shots[: 1 - length] == encoded.shots[length - 1 :])
    lit = whole[encoded.light[whole] > first_pass.LIT]
    starts = lit[np.linspace(0, len(lit) - 1, settings.clips + 2).astype(int)[1:-1]]
    chosen = (starts[:, None] + np.arange(length)).ravel()
    kept = {i: frame for i, frame in enumerate(clip.read()) if i in set(chosen)}
    pixels = tiles.mirror_to_tile(np.stack([kept[i] for i in chosen]))
    return Film(path.stem, encoded, float(source.rate), pixels, chosen, size)


def measure(
    film: Film,
    painter: latents.Statistics,
    theirs: np.ndarray,
    stylize,
    seed: int,
    *,
    style_map: str = USUAL_MAP,
    strength: float = USUAL_STRENGTH,
    smoothing: float = USUAL_SMOOTHING,
) -> tuple[list[float], np.ndarray]:
    """Converts a film's clips; returns MEASURES and a tile to look at."""
    move = film.encoded.style_move(painter, style_map)
    recipe = film.encoded.restyle(move, strength, smoothing * film.rate)
    recipe = recipe.of(film.chosen)
    parts = range(0, len(film.pixels), clips.BATCH)
    drawn = np.concatenate(
        [recipe.draw(stylize, film.pixels[i : i + clips.BATCH], i) for i in parts]
    )
    before, after = (
        tiles.to_float(tiles.crop_from_tile(whole, *film.size)) for whole in (film.pixels, drawn)
    )
    distances = [metrics.patch_distance(x, theirs, seed=seed) for x in (after, before)]
    light = [metrics.luminance(x) for x in (before, after)]
    length = int(np.argmax(np.diff(film.chosen) != 1)) + 1
    flickers = [
        np.mean([metrics.flicker(x[i : i + length]) for i in range(0, len(x), length)])
        for x in (after, before)
    ]
    return [
        distances[0] / distances[1],
        float(metrics.ssim(*light).mean()),
        metrics.edge_correlation(*light),
        float(flickers[0] / flickers[1]),
    ], drawn[len(drawn) // 2]


def plain(rows: list[list]) -> list[list]:
    """Turns numpy's numbers into Python's."""
    return [[float(x) if isinstance(x, np.floating) else x for x in row] for row in rows]


if __name__ == "__main__":
    sys.exit(main())
