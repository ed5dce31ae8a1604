"""The hands that paint a style."""

from collections.abc import Callable
from pathlib import Path

from cadl import console, files
from cadl.strokes import hands
from cadl.strokes.hand import Hand
from cadl.style import latents
from cadl.style.styles import Style


def find_hands(
    style: Style, wanted: str, folder: Path, stroke_size: float, fit: Callable[[Path], Hand]
) -> tuple[tuple[Hand, float], ...]:
    """Returns the hands that paint, each with its share: those wanted, else the style's.

    A picture as a style has its own hand, which is fitted to it now.

    Args:
        style: whose hands paint if none are wanted.
        wanted: as HAND; empty: those of the style.
        folder: where the hands of painters lie.
        stroke_size: as STROKE_SIZE.
        fit: returns the hand of a picture file.

    Raises:
        UserError: HAND is no painter with a hand, or a file that can't be read.
    """

    def load(name: str) -> Hand | None:
        if name in style.pictures:
            return fit(style.pictures[name])
        path = folder / f"{name}.json"
        return hands.load_hand(path) if path.exists() else None

    if wanted and files.exists(wanted, as_file=True):
        found = [(hands.load_hand(Path(wanted)), 1.0)]
    else:
        weights = style.weights
        if wanted:
            known = sorted(path.stem for path in folder.glob("*.json"))
            weights = latents.parse_style(wanted, known)
        found, missing = hands.of_style(weights, load)
        if missing:
            console.warn(
                f"no hand of {', '.join(missing)} in {folder}: a fixed brush paints; run "
                "train_refiner.py and export_graphs.py, or give --hand"
            )
    return tuple((hand.scaled(stroke_size), share) for hand, share in found)
