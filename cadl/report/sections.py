"""Pictures that show what codes do: the sections of the page of evaluate_embeddings.py."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cadl import files
from cadl.dataset import tile_sets
from cadl.images import closeups, gallery, tiles
from cadl.report.html_page import Page
from cadl.strokes import hands
from cadl.strokes.hand import Hand
from cadl.strokes.repainting import CloseUp, paint_close_up
from cadl.style import latents

import numpy as np
from PIL import Image

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
MAPPED_TILES = 220  # thumbnails on the map of the latent space
FITTED_TILES = 2000  # tiles that its directions are found from
NEAREST = ("nearest", "second")
TRAVERSED_CODES = 5
SHOWN_CLOSE_UPS = 6
TRAVERSAL = (-3.0, -1.5, 0.0, 1.5, 3.0)  # standard deviations


@dataclass(frozen=True)
class Scene:
    """What all sections draw from."""

    tile_set: tile_sets.TileSet
    codes: np.ndarray  # float32 [N, codes], posterior means of the tiles
    sources: dict[str, latents.Statistics]  # the moments of each source
    # takes codes, indices of the tiles whose detail is drawn, and a strength; returns the VAE's
    # tiles and the refined ones, float32 in [0, 1]
    draw: Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]
    columns: int  # tiles in a row
    seed: int  # for random codes

    def names(self, kind: str) -> list[str]:
        """Lists the sources of a kind."""
        return [name for name, source in self.sources.items() if source.kind == kind]

    def sample(self, name: str, count: int | None = None) -> np.ndarray:
        """Picks tiles of a source, evenly."""
        own = self.tile_set.source_indices()[name]
        return tile_sets.spread(own, count or self.columns)


def add_map(page: Page, scene: Scene) -> None:
    """Shows the latent space in its two main directions."""
    middle = scene.codes.mean(axis=0)
    every = np.arange(len(scene.codes))
    fitted = scene.codes[tile_sets.spread(every, FITTED_TILES)]
    axes = np.linalg.svd(fitted - middle, full_matrices=False)[2]
    chosen = tile_sets.spread(every, MAPPED_TILES)
    picture = gallery.scatter(
        (scene.codes[chosen] - middle) @ axes[:2].T,
        scene.tile_set.pixels[chosen],
        {name: (source.mean - middle) @ axes[:2].T for name, source in scene.sources.items()},
        [(video, to) for video in scene.names("video") for to in scene.names("painting")],
    )
    page.heading("The latent space")
    page.picture(
        "map.png",
        picture,
        "Tiles where their codes lie, in the two directions that vary most (PCA); the means of "
        "the sources, and the ways from videos to painters.",
    )


def add_codes(page: Page, scene: Scene) -> None:
    """Shows reconstructions of each source, and what becomes of changed codes."""
    rng = np.random.default_rng(scene.seed)
    page.heading("What codes hold")
    for name in scene.sources:
        chosen = scene.sample(name)
        pixels, z = scene.tile_set.pixels[chosen], scene.codes[chosen]
        pictures, refined = scene.draw(z, chosen, 0.0)
        noisy = z + rng.standard_normal(z.shape).astype(np.float32)
        rows = {
            "tiles": pixels,
            "reconstructed": pictures,
            "refined": refined,
            "codes with N(0, 1) noise": scene.draw(noisy, chosen, 0.0)[0],
            "codes in reverse order": scene.draw(z[:, ::-1], chosen, 0.0)[0],
            "led by the codes of the next": scene.draw(np.roll(z, -1, 0), chosen, 1.0)[1],
        }
        page.picture(
            f"codes-{name}.png",
            _rows(name, rows),
            f"{name}: tiles, what the VAE and the refiner make of them, and what becomes of "
            "changed codes.",
        )
    for name in scene.names("painting"):
        first, last = scene.sample(name, 2)[[0, -1]]
        z = [scene.codes[first] + s * (scene.codes[last] - scene.codes[first]) for s in STRENGTHS]
        ends = scene.tile_set.pixels[[first, last]]
        drawn = scene.draw(np.stack(z), np.full(len(z), first), 0.0)[0]
        row = [ends[0], *tiles.to_uint8(drawn), ends[1]]
        page.picture(
            f"between-{name}.png",
            _rows(name, {"from one tile to another": row}, scale=0.6),
            f"{name}: the way between the codes of two tiles, as the VAE draws it.",
        )


def add_styles(page: Page, scene: Scene) -> None:
    """Shows each video on its way to each painter."""
    page.heading("From video to painter")
    for video in scene.names("video"):
        for painter in scene.names("painting"):
            _add_style(page, scene, video, painter)


def _add_style(page: Page, scene: Scene, video: str, painter: str) -> None:
    chosen = scene.sample(video)
    own, goal = scene.sources[video], scene.sources[painter]

    def draw(which: np.ndarray, style_map: str) -> list[np.ndarray]:
        z = scene.codes[which]
        moved = latents.style_move(own, goal, style_map)(z).astype(np.float32)
        return [scene.draw(z + s * (moved - z), which, s)[1] for s in STRENGTHS]

    rows = {"tiles": scene.tile_set.pixels[chosen]}
    drawn = draw(chosen, latents.DEFAULT_STYLE_MAP)
    rows |= {f"strength {s}": row for s, row in zip(STRENGTHS, drawn, strict=True)}
    title = f"{video} toward {painter}"
    page.picture(
        f"{video}-to-{painter}.png",
        _rows(title, rows),
        f"{title}, with the map {latents.DEFAULT_STYLE_MAP}, which mogrify_video.py takes unless "
        "told otherwise.",
    )
    middle = chosen[len(chosen) // 2 :][:1]
    rows = {
        style_map: [tile[0] for tile in draw(middle, style_map)] for style_map in latents.STYLE_MAPS
    }
    page.picture(
        f"{video}-to-{painter}.maps.png",
        _rows(title, rows, scale=0.75),
        f"{title}: every map, at strengths {', '.join(map(str, STRENGTHS))}.",
    )


def add_nearest(page: Page, scene: Scene) -> None:
    """Shows the paintings whose codes are nearest to those of video tiles."""
    painted = np.flatnonzero(scene.tile_set.kinds == "painting")
    videos = scene.names("video")
    if not len(painted) or not videos:
        return
    page.heading("The nearest paintings")
    # Each source against its own spread: else the nearest are those that lie toward all videos.
    standard = np.empty_like(scene.codes)
    for name, own in scene.tile_set.source_indices().items():
        variances = np.diag(scene.sources[name].covariance)
        spreads = np.sqrt(np.maximum(variances, latents.ACTIVE_VARIANCE))
        standard[own] = (scene.codes[own] - scene.sources[name].mean) / spreads
    lengths = np.square(standard[painted]).sum(axis=1)
    for name in videos:
        chosen = scene.sample(name)
        order = np.argsort(lengths - 2 * standard[chosen] @ standard[painted].T, axis=1)
        rows = {"tiles": scene.tile_set.pixels[chosen]}
        for words, place in zip(NEAREST, order.T, strict=False):
            rows[words] = scene.tile_set.pixels[painted[place]]
        page.picture(
            f"nearest-{name}.png",
            _rows(name, rows),
            f"{name}: tiles, and the paintings whose codes lie likewise among their own.",
        )


def add_traversals(page: Page, scene: Scene) -> None:
    """Shows what those codes do that differ most between a video and a painter."""
    if not scene.names("video") or not scene.names("painting"):
        return
    page.heading("Codes that tell painter from video")
    video = scene.names("video")[0]
    ours = scene.sources[video]
    for painter in scene.names("painting"):
        theirs = scene.sources[painter]
        spreads = np.sqrt(np.diag(ours.covariance) + np.diag(theirs.covariance) + 1e-6)
        gap = (theirs.mean - ours.mean) / spreads
        rows = {}
        for code in np.argsort(-np.abs(gap))[:TRAVERSED_CODES]:
            z = np.repeat(theirs.mean[None].astype(np.float32), len(TRAVERSAL), axis=0)
            z[:, code] += np.array(TRAVERSAL) * spreads[code]
            label = f"code {code}: {painter} is {gap[code]:+.1f} spreads from {video}"
            rows[label] = scene.draw(z, np.zeros(len(z), int), 0.0)[0]
        page.picture(
            f"traversals-{painter}.png",
            _rows(painter, rows, scale=0.75),
            f"The mean code of {painter} with one code changed, from {TRAVERSAL[0]} to "
            f"{TRAVERSAL[-1]} standard deviations, as the VAE draws it.",
        )


SECTIONS = (add_map, add_codes, add_styles, add_nearest, add_traversals)


def add_hands(page: Page, tiles_folder: Path, exported: Path, painters: list[str]) -> None:
    """Shows each painter's close-ups above the same, painted by the hand that was learnt."""
    rows: list[list] = []
    for painter in painters:
        path = exported / "hands" / f"{painter}.json"
        if not path.exists():
            continue
        if not rows:
            page.heading("The hand")
        hand, own = hands.load_hand(path), closeups.load(tiles_folder, painter)
        about = files.read_json(path).get(hands.ABOUT, {})
        words = hands.in_words(hand)
        page.picture(
            f"hand-{painter}.png",
            hand_sheet(own, hand, painter),
            f"{painter}: {words}. Above true close-ups, held out; below the same, painted.",
        )
        scores = [about.get(name, math.nan) for name in ("held_out", "held_out_of_the_fixed_brush")]
        rows.append([painter, words, hand.width, hand.aspect, hand.cover, hand.tilt, *scores])
    if rows:
        header = ["painter", "hand", "width", "aspect", "cover", "tilt", "held out", "fixed brush"]
        page.table(header, rows)
        page.text(
            "Width in pixels of a canvas 640 pixels long; scores of held-out close-ups: 0 is the "
            "painter's own surface, 1 that of the same pictures without strokes."
        )


def hand_sheet(own: closeups.CloseUps, hand: Hand, painter: str) -> Image.Image:
    """Draws true close-ups above the same, painted by a hand."""
    true = list(own.spread(SHOWN_CLOSE_UPS, held_out=True))
    true = true or list(own.spread(SHOWN_CLOSE_UPS, held_out=False))
    painted = [paint_close_up(CloseUp.of(picture), hand) for picture in true]
    return gallery.contact_sheet([true, painted], row_labels=[painter, hands.in_words(hand)])


def _rows(title: str, rows: dict, scale: float = 1.0) -> Image.Image:
    return gallery.contact_sheet(
        [list(row) for row in rows.values()], title=title, row_labels=list(rows), scale=scale
    )
