"""embeddings.npz: the statistics of every source, bound to the VAE that they were made with."""

from pathlib import Path

from cadl import files
from cadl.errors import UserError
from cadl.images import tiles
from cadl.images.colours import HUES, Colours
from cadl.style.latents import Statistics, statistics_of

import numpy as np

WINDOWS = 24  # cut out of one picture, beside the tiles that cover it
WINDOW_SIDES = (0.5, 0.9)  # of the largest window of 16:9 in it
BATCH = 8


def save_embeddings(path: Path, sources: dict[str, Statistics], vae_fingerprint: str) -> None:
    """Writes all statistics, whole or not at all."""
    unknown = Colours(
        np.full(3, np.nan),
        np.full((3, 3), np.nan),
        np.full((3, 3), np.nan),
        np.nan,
        np.full(HUES, np.nan, np.float32),
    )
    colours = [source.colours or unknown for source in sources.values()]
    with files.whole_file(path) as temporary:
        np.savez_compressed(
            temporary,
            vae=vae_fingerprint,
            names=list(sources),
            kinds=[source.kind for source in sources.values()],
            counts=[source.count for source in sources.values()],
            means=[source.mean for source in sources.values()],
            covariances=[source.covariance for source in sources.values()],
            colour_means=[own.mean for own in colours],
            colour_covariances=[own.covariance for own in colours],
            colours_within=[own.within for own in colours],
            chromas=[own.chroma for own in colours],
            gamuts=[own.gamut for own in colours],
        )


def load_embeddings(path: Path, vae_fingerprint: str) -> dict[str, Statistics]:
    """Reads all statistics.

    Raises:
        UserError: it is not there, damaged, or belongs to another VAE; the script that makes it is
            named.
    """
    if not path.exists():
        raise UserError(f"no {path}: run evaluate_embeddings.py first")
    try:
        with np.load(path, allow_pickle=False) as data:
            found = str(data["vae"])
            sources = {
                str(name): Statistics(
                    str(kind), int(count), mean, covariance,
                    None if np.isnan(colours[0]).any() else Colours(*colours),
                )
                for name, kind, count, mean, covariance, *colours in zip(
                    data["names"], data["kinds"], data["counts"], data["means"],
                    data["covariances"], data["colour_means"], data["colour_covariances"],
                    data["colours_within"], data["chromas"], data["gamuts"], strict=True,
                )
            }  # fmt: skip
    except files.UNREADABLE as error:
        raise UserError(
            f"{path} is damaged or of another version ({error}): run evaluate_embeddings.py again"
        ) from None
    if found != vae_fingerprint:
        raise UserError(
            f"{path} belongs to VAE {found}, not {vae_fingerprint}: run evaluate_embeddings.py"
        )
    return sources


def embed_picture(path: Path, vae_graph) -> Statistics:
    """Returns the moments of one picture, as if it were all that a painter had painted.

    The tiles that cover it and windows of several sizes in it, and all of them mirrored.

    Args:
        path: the picture.
        vae_graph: SavedModel with `encode`.

    Raises:
        UserError: it can't be read; it is named.
    """
    picture = tiles.load_picture(path)
    rng = np.random.default_rng(0)
    cut = tiles.picture_tiles(picture, WINDOWS)
    crop = tiles.cover_crop(picture.width, picture.height)
    largest = np.array(crop.size(picture.width, picture.height))
    for side in rng.uniform(*WINDOW_SIDES, WINDOWS):
        size = np.maximum(1, side * largest)
        left, top = rng.uniform(0, 1, 2) * (np.array(picture.size) - size)
        window = picture.crop((round(left), round(top), round(left + size[0]),
                               round(top + size[1])))  # fmt: skip
        cut += tiles.picture_tiles(window, 1)
    pixels = np.stack([*cut, *(tile[:, ::-1] for tile in cut)])
    parts = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
    return statistics_of(
        np.concatenate([vae_graph.encode(part)["z_mean"] for part in parts]),
        "painting",
        Colours.of(pixels),
    )
