"""The style that STYLE names: a painter, a picture file, or a blend of them."""

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from cadl import console, files
from cadl.errors import UserError
from cadl.style import embeddings, latents


@dataclass(frozen=True)
class Style:
    """A painter, a picture or a blend, to which codes are moved."""

    name: str  # STYLE, with the names of pictures
    painter: latents.Statistics  # moments of the painter, picture or blend
    key: str  # hash of the sources of the moments
    weights: dict[str, float]  # weight of each blended painter
    pictures: dict[str, Path]  # file of each picture that is a style


def find_style(wanted: str, sources: dict, vae_graph) -> Style:
    """Reads STYLE: a painter, a picture file, or a blend of them.

    Args:
        wanted: as STYLE.
        sources: statistics of each source, by `embeddings.load_embeddings`.
        vae_graph: SavedModel with `encode`, for pictures.

    Raises:
        UserError: something in it is neither, or there is no painter at all.
    """
    painters = {name: source for name, source in sources.items() if source.kind == "painting"}
    keys = {
        name: source.mean.tobytes() + source.covariance.tobytes()
        for name, source in painters.items()
    }
    if not wanted:
        if not painters:
            raise UserError("no painter in embeddings.npz: run evaluate_embeddings.py on tiles")
        wanted, *others = painters
        if others:
            console.say(f"style {wanted}; --style also knows {', '.join(others)}")
    parts, pictures = [], {}
    for part in [wanted] if files.exists(wanted, as_file=True) else wanted.split(","):
        name, colon, weight = part.strip(), "", ""
        if ":" in name and not files.exists(name, as_file=True):
            name, colon, weight = name.rpartition(":")
        if not files.exists(name, as_file=True):
            name = unicodedata.normalize("NFC", name)
        if name not in painters and files.exists(name, as_file=True):
            path, name = Path(name), files.source_name(Path(name).stem)
            if name in painters:
                raise UserError(f"STYLE {path} has the name of another style: rename it")
            painters[name] = embeddings.embed_picture(path, vae_graph)
            keys[name] = str(files.identity(path))
            pictures[name] = path
            console.say(f"{path} is taken as a style of its own, {name}")
        parts.append(name + colon + weight)
    name = ",".join(parts)
    weights = latents.parse_style(name, list(painters))
    made_of = [keys[name] for name in weights]
    key = files.hash_of([*made_of, name])
    return Style(name, latents.blend(painters, weights), key, weights, pictures)
