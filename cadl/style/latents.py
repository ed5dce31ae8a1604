"""Statistics of posterior means, maps from a video's distribution to a painter's, smoothing."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cadl.errors import UserError
from cadl.images.colours import Colours, mix

import numpy as np

STYLE_MAPS = ("mean", "ancestor", "diagonal", "gaussian")
DEFAULT_STYLE_MAP = "gaussian"  # of mogrify_video.py; chosen by `benchmarks/bench_maps.py`
ANCESTOR_VIDEO = 0.25
ANCESTOR_PAINTING = 0.5
MAX_GAIN = 3.0
ACTIVE_VARIANCE = 0.01
BARYCENTRE_STEPS = 12
BLOCK = 4096  # latents at a time, where there may be many


@dataclass(frozen=True)
class Statistics:
    """Exact moments of a source's latents."""

    kind: str  # "painting" or "video"
    count: int  # number of tiles
    mean: np.ndarray  # float64 [codes]
    covariance: np.ndarray  # float64 [codes, codes], of the population (divided by count)
    colours: Colours | None = None  # colours of the source's tiles; None if they don't matter

    @property
    def active_codes(self) -> np.ndarray:
        """Boolean [codes]: those whose mean varies (Burda et al. 2016, arXiv 1509.00519)."""
        return np.diag(self.covariance) > ACTIVE_VARIANCE


def statistics_of(codes: np.ndarray, kind: str, colours: Colours | None = None) -> Statistics:
    """Returns the exact moments of codes of a source of some kind, added up in float64.

    Args:
        codes: float32 [N, codes].
        kind: "painting" or "video".
        colours: of the source's tiles.

    Raises:
        ValueError: there are no codes.
    """
    count, size = codes.shape
    if not count:
        raise ValueError("no latents to take statistics of")
    total, products = np.zeros(size), np.zeros((size, size))
    for start in range(0, count, BLOCK):
        values = codes[start : start + BLOCK].astype(np.float64)
        total += values.sum(axis=0)
        products += values.T @ values
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    return Statistics(kind, count, mean, (covariance + covariance.T) / 2, colours)


def parse_style(style: str, painters: Sequence[str], constant: str = "STYLE") -> dict[str, float]:
    """Reads `a` or `a:0.6,b:0.4` into weights that sum to 1; errors name the constant.

    Raises:
        UserError: a name is no painter's, or the weights are no weights.
    """
    weights: dict[str, float] = {}
    for part in style.split(","):
        name, _, weight = part.strip().rpartition(":") if ":" in part else (part.strip(), "", 1)
        name = unicodedata.normalize("NFC", name)  # as the names of sources are
        if name in weights:
            raise UserError(f"{constant} {style}: {name} stands there twice")
        try:
            weights[name] = float(weight)
        except ValueError:
            raise UserError(f"{constant} {style}: {weight!r} is not a weight") from None
        if name not in painters:
            raise UserError(f"{constant} {name!r} is no painter: there are {', '.join(painters)}")
        if not 0 < weights[name] < np.inf:
            raise UserError(f"{constant} {style}: weights must be above 0 and finite")
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def blend(painters: dict[str, Statistics], weights: dict[str, float]) -> Statistics:
    """Blends painters: the Wasserstein barycentre of their Gaussians (Agueh & Carlier 2011).

    Its covariance is the fixed point of Alvarez-Esteban et al. 2016 (arXiv 1511.05355), of shrunk
    covariances: those of fewer tiles than codes have directions without spread, which do not agree.
    """
    chosen = [(painters[name], weight) for name, weight in weights.items()]
    if len(chosen) == 1:
        return chosen[0][0]
    covariances = [(_shrunk(painter), weight) for painter, weight in chosen]
    found = np.sum([weight * covariance for covariance, weight in covariances], axis=0)
    for _ in range(BARYCENTRE_STEPS):
        root, inverse_root = _powers(found, 0.5, -0.5)
        parts = [w * _powers(root @ covariance @ root, 0.5)[0] for covariance, w in covariances]
        total = np.sum(parts, axis=0)
        found = inverse_root @ total @ total @ inverse_root
    return Statistics(
        "painting",
        min(painter.count for painter, _ in chosen),
        np.sum([weight * painter.mean for painter, weight in chosen], axis=0),
        (found + found.T) / 2 - ACTIVE_VARIANCE * np.eye(len(found)),
        mix([painter.colours for painter, _ in chosen if painter.colours], list(weights.values()))
        if all(painter.colours for painter, _ in chosen)
        else None,
    )


def style_move(video: Statistics, painter: Statistics, style_map: str) -> Callable:
    """Returns the function that moves latents all the way from the video's to the painter's.

    `mean` moves the mean alone; `diagonal` also matches each code's spread; `gaussian` is the
    optimal map between the two Gaussians (Takatsu 2011; shrunk covariances, gains capped);
    `ancestor` is what the program of 2017 did.

    Args:
        video: moments of the whole video.
        painter: moments of the painter or blend.
        style_map: one of STYLE_MAPS.

    Returns:
        A function from latents, [N, codes], to moved ones, float64.
    """
    if style_map == "ancestor":
        offset = ANCESTOR_PAINTING * painter.mean - ANCESTOR_VIDEO * video.mean
        return lambda latents: latents + offset
    if style_map == "mean":
        return lambda latents: latents + (painter.mean - video.mean)
    if style_map == "diagonal":
        gains = diagonal_gains(video, painter)
        return lambda latents: painter.mean + (latents - video.mean) * gains
    if style_map == "gaussian":
        matrix = monge_matrix(video, painter)
        return lambda latents: painter.mean + (latents - video.mean) @ matrix
    raise ValueError(f"style_map {style_map!r} is not one of {', '.join(STYLE_MAPS)}")


def diagonal_gains(video: Statistics, painter: Statistics) -> np.ndarray:
    """Returns the painter's spread of each code over the video's, at most MAX_GAIN.

    A code that the video does not use keeps its spread. float64 [codes].
    """
    spread, own = (np.sqrt(np.maximum(np.diag(x.covariance), 0)) for x in (painter, video))
    gains = np.where(own > ACTIVE_VARIANCE**0.5, spread / np.maximum(own, 1e-6), 1.0)
    return np.minimum(gains, MAX_GAIN)


def monge_matrix(video: Statistics, painter: Statistics) -> np.ndarray:
    """Returns the linear part of the optimal map between two Gaussians: float64 [codes, codes].

    A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2 of shrunk covariances A and B (Takatsu 2011), gains between
    1 / MAX_GAIN and MAX_GAIN.
    """
    a, b = _shrunk(video), _shrunk(painter)
    root, inverse_root = _powers(a, 0.5, -0.5)
    (middle,) = _powers(root @ b @ root, 0.5)
    matrix = inverse_root @ middle @ inverse_root
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * np.clip(values, 1 / MAX_GAIN, MAX_GAIN)) @ vectors.T


def _shrunk(statistics: Statistics) -> np.ndarray:
    """Shrinks a covariance toward its diagonal, more the fewer tiles there were."""
    codes = len(statistics.mean)
    weight = codes / (codes + statistics.count)
    diagonal = np.diag(np.diag(statistics.covariance))
    floor = ACTIVE_VARIANCE * np.eye(codes)
    return (1 - weight) * statistics.covariance + weight * diagonal + floor


def _powers(matrix: np.ndarray, *exponents: float) -> list[np.ndarray]:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    values = np.maximum(values, 1e-9)
    return [(vectors * values**exponent) @ vectors.T for exponent in exponents]


def distance_from(video: Statistics, sources: Sequence[Statistics]) -> float:
    """Returns how far a video's latents lie from all that a model was trained on.

    The mean squared Mahalanobis distance to the Gaussian of all sources' moments together, over
    that of the sources' own latents: 1 for themselves.

    Args:
        video: moments of the latents in question.
        sources: moments of what was trained on, at least one.
    """
    count = sum(source.count for source in sources)
    shares = [source.count / count for source in sources]
    mean = np.average([source.mean for source in sources], axis=0, weights=shares)
    gaps = [source.mean - mean for source in sources]
    covariance = np.sum(
        [
            share * (source.covariance + np.outer(gap, gap))
            for share, source, gap in zip(shares, sources, gaps, strict=True)
        ],
        axis=0,
    )
    shrunk = _shrunk(Statistics("", count, mean, covariance))
    gap = video.mean - mean
    squares = [
        np.trace(np.linalg.solve(shrunk, moment))
        for moment in (video.covariance + np.outer(gap, gap), covariance)
    ]
    return float(squares[0] / squares[1])


def smooth(latents: np.ndarray, shots: np.ndarray, *, frames: float) -> np.ndarray:
    """Smooths latents over time within each shot, without delay.

    A Gaussian window centred on each frame, cut off and renormalised at the ends of a shot.

    Args:
        latents: float32 [N, codes], frames in order.
        shots: int [N], number of each frame's shot.
        frames: standard deviation of the window in frames; 0 leaves the latents as they are.

    Returns:
        float32 [N, codes].
    """
    if frames <= 0 or len(latents) < 2:
        return latents
    reach = smoothing_reach(frames)
    smoothed = np.empty_like(latents)
    starts = np.flatnonzero(np.diff(shots, prepend=shots[0] - 1))
    for start, end in zip(starts, [*starts[1:], len(latents)], strict=True):
        part = latents[start:end]
        radius = min(reach, len(part) - 1)
        window = np.exp(-0.5 * (np.arange(-radius, radius + 1) / frames) ** 2)
        total = np.zeros(part.shape, np.float64)
        weight = np.zeros((len(part), 1))
        for offset, value in zip(range(-radius, radius + 1), window, strict=True):
            first, last = max(0, -offset), min(len(part), len(part) - offset)
            if first < last:
                total[first:last] += value * part[first + offset : last + offset]
                weight[first:last] += value
        smoothed[start:end] = total / weight
    return smoothed


def smoothing_reach(frames: float) -> int:
    """Returns over how many frames before and after it a frame is smoothed at most."""
    return int(np.ceil(3 * frames))
