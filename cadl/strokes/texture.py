"""How the surface of pictures looks, in numbers, and how far two surfaces are apart.

Patch statistics alone can be met by coloured worms in place of dots: how far colours stay alike
along and across the local direction tells a stroke's length and width as well.
"""

from collections.abc import Sequence

from cadl.images.metrics import LUMINANCE

import cv2
import numpy as np

BANDS = 4
PATCHES = 700  # of a picture and band
PROJECTIONS = 40
LAGS = (1, 2, 3, 5, 8, 13, 21)  # pixels along and across the local direction
GRAIN = 1.5  # standard deviation of the blur that removes grain of canvas and scan, in pixels
AROUND = (4.0, 10.0)  # standard deviations of the windows that tell how parallel strokes lie
QUANTILES = np.linspace(0.005, 0.995, 100)
# Columns: light, warm less cold, green less magenta.
OPPONENT = np.array([LUMINANCE, (0.5, 0.0, -0.5), (-0.25, 0.5, -0.25)], np.float32).T
WEIGHTS = {
    "patches0": 1.5, "patches1": 2.0, "patches2": 1.5, "patches3": 1.0, "reach": 3.0,
    "tensor1": 2.0, "tensor2": 2.0, "directions": 0.7, "forms": 0.7, "gradient": 0.7, "light": 0.7,
    "local": 2.0, "chroma": 0.7, "tone": 0.7, "turns": 2.0,
}  # fmt: skip
# Pixels: how far from a place its edge is followed to both sides, and the window there.
ALONG_EDGE, EDGE_WINDOW = 3.0, 1.2
# How edges turn is seen where paint is even beside them. Share of neighbouring pixels that are
# alike in true pictures, and the share of the weight of "turns" that counts there.
EVEN_PAINT = (0.5, 0.6), (0.0, 1.0)
ALIKE = 7  # bins of "gradient", up to a step of 1.6 of 255, in which two pixels are alike
TWO_KINDS, FEW_ODD = 0.47, 0.27  # mean silhouette; share of pictures of the rarer kind


def projections(seed: int = 1, count: int = PROJECTIONS) -> np.ndarray:
    """Returns what 7x7 patches of three channels are projected on, float32 [147, count].

    Half are waves of random direction, half differences of a few random pixels; light leads.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-3:4, -3:4]
    columns = []
    for number in range(count):
        if number % 2:
            pattern = np.zeros((7, 7))
            pattern.ravel()[rng.choice(49, 4, replace=False)] = rng.standard_normal(4)
        else:
            angle, frequency, phase = rng.uniform((0, 0.08, 0), (np.pi, 0.3, 2 * np.pi))
            along, across = (
                x * np.cos(angle) + y * np.sin(angle),
                y * np.cos(angle) - x * np.sin(angle),
            )
            pattern = np.exp(-0.5 * ((across / 2) ** 2 + (along / 3) ** 2))
            pattern = pattern * np.cos(2 * np.pi * frequency * across + phase)
            pattern -= pattern.mean()
        colour = (1, 0, 0) if number % 4 < 2 else rng.standard_normal(3) * (0.5, 1, 1)
        column = (pattern[..., None] * np.array(colour)).ravel()
        columns.append(column / (np.linalg.norm(column) + 1e-9))
    return np.array(columns, np.float32).T


def describe(
    pictures: Sequence[np.ndarray], fields: Sequence[np.ndarray] | None, seed: int = 1
) -> dict[str, np.ndarray]:
    """Describes the surface of a set of pictures.

    Args:
        pictures: uint8 [h, w, 3] each, RGB, at one scale.
        fields: directions along the forms of each, as doubled angles, float32 [h, w, 2]; None if
            they are not known.
        seed: of the projections.

    Returns:
        By name arrays that `distances` compares; all are means or quantiles over the set.
    """
    filters, rng = projections(seed), np.random.default_rng(11)
    samples: list[list[np.ndarray]] = [[] for _ in range(BANDS)]
    sums: dict[str, np.ndarray] = {}
    tones = []
    for number, picture in enumerate(pictures):
        colours = (picture.astype(np.float32) / 255) @ OPPONENT
        for band, detail in enumerate(bands(colours)):
            samples[band].append(draw_patches(detail, PATCHES, rng) @ filters)
        field = None if fields is None else fields[number]
        for name, value in _measure(colours, field).items():
            sums[name] = sums.get(name, 0) + value / len(pictures)
        tones.append(cv2.resize(cv2.GaussianBlur(colours, (0, 0), 6), (12, 9)))
    for band, own in enumerate(samples):
        sums[f"patches{band}"] = np.quantile(np.concatenate(own), QUANTILES, axis=0)
    return sums | {"tone": np.stack(tones)}


def bands(colours: np.ndarray) -> list[np.ndarray]:
    """Splits a picture into octaves, from fine to coarse: float32 [h, w, 3] -> [h, w, 3] each."""
    found = []
    for _ in range(BANDS):
        height, width = colours.shape[:2]
        small = cv2.resize(colours, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        found.append(colours - cv2.resize(small, (width, height)))
        colours = small
    return found


def draw_patches(band: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws patches of 7x7 anywhere: float32 [h, w, c] -> [n, 49 c], n at most `count`."""
    height, width = band.shape[:2]
    count = min(count, (height - 6) * (width - 6))
    y, x = rng.integers(0, height - 6, count), rng.integers(0, width - 6, count)
    windows = np.lib.stride_tricks.sliding_window_view(band, (7, 7), (0, 1))
    return windows[y, x].transpose(0, 2, 3, 1).reshape(count, -1)


def _measure(colours: np.ndarray, field: np.ndarray | None) -> dict[str, np.ndarray]:
    """Measures one picture: float32 [h, w, 3], opponent colours."""
    light = np.ascontiguousarray(colours[..., 0])
    found: dict[str, np.ndarray] = {}
    smooth = cv2.GaussianBlur(light, (0, 0), GRAIN)
    for number, radius in enumerate(AROUND):
        name = f"tensor{number + 1}"
        cos, sin, energy = structure(smooth, radius)
        strength = np.hypot(cos, sin)
        coherence = strength / (energy + 1e-7)
        found[name] = _histogram(coherence, np.linspace(0, 1.0001, 11), np.sqrt(energy))
        if not number:
            axis = np.dstack([cos, sin]) / (strength[..., None] + 1e-9)
            angles = (0.5 * np.arctan2(sin, cos)) % np.pi
            found["directions"] = _histogram(angles, np.linspace(0, np.pi + 1e-6, 25), strength)
            if field is not None:
                alike = (axis * field).sum(axis=2)
                found["forms"] = _histogram(alike, np.linspace(-1.0001, 1.0001, 9), strength)
    found["turns"] = _turns(cv2.GaussianBlur(light, (0, 0), 1.0))
    found["reach"] = _reach(colours, axis.astype(np.float32))
    steps = np.log10(np.abs(np.diff(light, axis=1)) + 1e-4)
    found["gradient"] = _histogram(steps, np.linspace(-4, 0.1, 17))
    found["light"] = _histogram(light, np.linspace(0, 1.0001, 21))
    around = cv2.GaussianBlur(light, (0, 0), 6)
    edges = [[-1, 0.2, 0.4, 0.6, 0.8, 2], np.r_[-2, np.linspace(-0.3, 0.3, 14), 2]]
    found["local"] = np.histogram2d(around.ravel(), (light - around).ravel(), edges)[0] / light.size
    chroma = colours[..., 1:] - cv2.GaussianBlur(colours[..., 1:], (0, 0), 6)
    found["chroma"] = _histogram(np.hypot(*np.moveaxis(chroma, 2, 0)), np.linspace(0, 0.6, 16))
    return found


def are_two_kinds(pictures: Sequence[np.ndarray]) -> bool:
    """Says whether the surfaces of pictures, uint8 [h, w, 3], fall apart into two kinds.

    Two means are found, and each picture's silhouette tells how much better it fits its own kind
    (Rousseeuw 1987, doi 10.1016/0377-0427(87)90125-7). A few odd ones are no kind.
    """
    if len(pictures) < 8:
        return False
    rows = []
    for picture in pictures:
        found = _measure((picture.astype(np.float32) / 255) @ OPPONENT, None)
        reach, flat = found["reach"][:, 0], found["reach"][:, 2]
        rows.append([
            *reach / (reach.mean() + 1e-3), *flat, np.log(reach.mean() + 0.01),
            *np.sqrt(found["gradient"]), *np.sqrt(found["tensor1"]),
        ])  # fmt: skip
    points = np.array(rows)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    means = points[list(np.unravel_index(apart.argmax(), apart.shape))]
    for _ in range(20):
        kind = np.linalg.norm(points[:, None] - means[None], axis=2).argmin(axis=1)
        if not 0 < kind.sum() < len(kind):
            return False
        means = np.stack([points[kind == k].mean(axis=0) for k in (0, 1)])
    alike = kind[:, None] == kind[None]
    own = (apart * alike).sum(axis=1) / np.maximum(1, alike.sum(axis=1) - 1)
    other = (apart * ~alike).sum(axis=1) / (~alike).sum(axis=1)
    fits = ((other - own) / np.maximum(np.maximum(own, other), 1e-9)).mean()
    return bool(fits > TWO_KINDS and min(kind.mean(), 1 - kind.mean()) > FEW_ODD)


def structure(light: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the structure tensor of luminance, float32 [h, w].

    Returns:
        Cosine and sine of the doubled angle along the forms, times their energy, and the energy.
    """
    across, down = (cv2.Sobel(light, cv2.CV_32F, x, 1 - x, scale=0.125) for x in (1, 0))
    maps = down * down - across * across, -2.0 * across * down, across * across + down * down
    cos, sin, energy = (cv2.GaussianBlur(own, (0, 0), radius) for own in maps)
    return cos, sin, energy


def _turns(light: np.ndarray) -> np.ndarray:
    """Returns how far edges turn within a few pixels, from straight ones to corners: float [8].

    Round strokes and straight ones of the same size differ in it.
    """
    cos, sin, _ = structure(light, EDGE_WINDOW)
    strength = np.hypot(cos, sin)
    axis = np.dstack([cos, sin]) / (strength[..., None] + 1e-9)
    angle = 0.5 * np.arctan2(sin, cos)
    y, x = np.mgrid[0 : light.shape[0], 0 : light.shape[1]].astype(np.float32)
    across, down = ALONG_EDGE * np.cos(angle), ALONG_EDGE * np.sin(angle)
    ahead, behind = (
        cv2.remap(
            axis, x + side * across, y + side * down, cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        for side in (1, -1)
    )  # fmt: skip
    odd = ahead[..., 0] * behind[..., 1] - ahead[..., 1] * behind[..., 0]
    turn = 0.5 * np.abs(np.arctan2(odd, (ahead * behind).sum(axis=2)))
    return _histogram(turn, np.linspace(0, np.pi / 2 + 1e-6, 9), strength)


def _reach(colours: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Returns how unlike colours are, at growing distances along and across the local direction."""
    height, width = colours.shape[:2]
    y, x = np.mgrid[0:height:2, 0:width:2].astype(np.float32)  # every second place will do
    axis, own = axis[::2, ::2], colours[::2, ::2]
    angle = 0.5 * np.arctan2(axis[..., 1], axis[..., 0])
    cos, sin = np.cos(angle), np.sin(angle)
    found = []
    for ux, uy in ((cos, sin), (-sin, cos)):
        for lag in LAGS:
            there = cv2.remap(
                colours, x + lag * ux, y + lag * uy, cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REFLECT_101,
            )  # fmt: skip
            change = np.abs(there - own)
            found.append(
                [change[..., 0].mean(), change[..., 1:].mean(), (change[..., 0] < 0.04).mean()]
            )
    return np.array(found)


def _histogram(values: np.ndarray, edges: np.ndarray, weights=None) -> np.ndarray:
    counts = np.histogram(values, edges, weights=weights)[0].astype(float)
    return counts / (counts.sum() + 1e-9)


def distances(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, float]:
    """Compares two descriptions, name by name; histograms by their roots (Hellinger)."""
    found = {}
    for name in (name for name in a if name in b):  # in order, not as a set: sums
        plain = name.startswith("patches") or name in ("reach", "tone")
        ours, theirs = (a[name], b[name]) if plain else (np.sqrt(a[name]), np.sqrt(b[name]))
        found[name] = float(np.abs(ours - theirs).mean())
    return found


def score(found: dict[str, float], bare: dict[str, float], true: dict[str, np.ndarray]) -> float:
    """Sums up distances: 1 is as far as the content without strokes, 0 the same surface.

    Args:
        found: distances of painted pictures to true ones.
        bare: distances of the content, without strokes, to true ones.
        true: description of the true ones.
    """
    even = float(np.interp(true["gradient"][:ALIKE].sum(), *EVEN_PAINT))
    weights = WEIGHTS | {"turns": even * WEIGHTS["turns"]}
    total = 0.0
    for name, own in found.items():
        ratio = own / (bare[name] + FLOORS.get(name, 0.004))
        total += weights[name] * min(MOST, ratio)
    return total / sum(weights[name] for name in found)


MOST = 8.0  # times the content's distance that count at most
FLOORS = {
    "tensor1": 0.03, "tensor2": 0.03, "tone": 0.02, "light": 0.02, "directions": 0.06,
    "forms": 0.02,
}  # fmt: skip
