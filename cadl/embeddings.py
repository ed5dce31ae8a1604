"""embeddings.npz: the statistics of every source, bound to the VAE that they were made with."""

import zipfile
import zlib
from pathlib import Path

from cadl import files
from cadl.latents import Statistics

import numpy as np


def save_embeddings(path: Path, sources: dict[str, Statistics], vae_fingerprint: str) -> None:
    """Writes all statistics, whole or not at all."""
    with files.whole_file(path) as temporary:
        np.savez_compressed(
            temporary,
            vae=vae_fingerprint,
            names=list(sources),
            kinds=[source.kind for source in sources.values()],
            counts=[source.count for source in sources.values()],
            means=[source.mean for source in sources.values()],
            covariances=[source.covariance for source in sources.values()],
        )


def load_embeddings(path: Path, vae_fingerprint: str) -> dict[str, Statistics]:
    """Reads all statistics.

    Raises:
        FileNotFoundError: there is no such file; the script that makes it is named.
        ValueError: it is damaged or belongs to another VAE.
    """
    if not path.exists():
        raise FileNotFoundError(f"no {path}: run evaluate_embeddings.py first")
    try:
        with np.load(path, allow_pickle=False) as data:
            found = str(data["vae"])
            sources = {
                str(name): Statistics(str(kind), int(count), mean, covariance)
                for name, kind, count, mean, covariance in zip(
                    data["names"], data["kinds"], data["counts"], data["means"],
                    data["covariances"], strict=True,
                )
            }  # fmt: skip
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged ({error}): run evaluate_embeddings.py again") from None
    if found != vae_fingerprint:
        raise ValueError(
            f"{path} belongs to VAE {found}, not {vae_fingerprint}: run evaluate_embeddings.py"
        )
    return sources
