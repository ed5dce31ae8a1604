"""Hands on disk: fitted to each painter's close-ups, exported, loaded, blended.

A search asks for scores of recipes. Each score is kept as soon as it is known, so that a search
that was killed goes through the same recipes again in no time, and ends in the same hand.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cadl import console, files
from cadl.errors import UserError
from cadl.images import closeups
from cadl.strokes import fitting, repainting, texture
from cadl.strokes.hand import LINES, NARROW, ROUND, Hand
from cadl.workers import WorkerPool

FORMAT = 25  # of the search; raise when the same close-ups would give another hand
# Bounds that are set after the search: close-ups hardly tell which value is best, and tracks may
# take 25 MB a minute. FAINTEST is the least `detail`: tracks of a Monet took 30 MB at 0.04, and 24
# at 0.07. SHORTEST is the least `aspect` of narrow strokes that lie everywhere: 28 MB at 1.6.
# ROOMY is the least room of a stroke in rows, in square pixels: 18 MB at 62.
FAINTEST, SHORTEST, ROOMY = 0.07, 1.9, 45.0
JUDGED = 12  # close-ups that a hand is judged on, at most
ABOUT = "about"  # in a hand's file: what it was fitted to; not a part of the recipe
SURVEYED = 24  # close-ups that are looked at for two kinds of hand, at most
JUDGE_SEED = 7  # of other projections than the search's


def fit_hand(
    close_ups: closeups.CloseUps, steps: int, folder: Path, painter: str, workers: WorkerPool
) -> Iterator[fitting.Fit]:
    """Fits a painter's hand, and writes it to `folder/<painter>.json`.

    Args:
        close_ups: the painter's.
        steps: evaluations of recipes, at most.
        folder: where hands and scores are kept.
        painter: name.
        workers: processes that paint and compare.

    Yields:
        The best hand so far, after every few evaluations.
    """
    fitted_to = list(close_ups.spread(fitting.READ, held_out=False))
    held_out = list(close_ups.spread(JUDGED, held_out=True)) or fitted_to
    key = _key(close_ups)
    scores = _Scores(folder / f"{painter}.scores", key, workers)
    best = None
    for best in fitting.search(fitted_to, steps, scores.score_all):
        yield best
    assert best is not None
    found, fixed = _affordable(best.hand), Hand()
    judged = scores.score_all([(held_out, found), (held_out, fixed)], JUDGE_SEED)
    chosen = found if judged[0] <= judged[1] else fixed
    about = {
        "painter": painter, "close_ups": key, "steps": steps, "evaluations": best.evaluations,
        "score": best.score, "held_out": judged[0], "held_out_of_the_fixed_brush": judged[1],
        "fixed_brush": judged[0] > judged[1],
    }  # fmt: skip
    files.write_json(folder / f"{painter}.json", chosen.to_json() | {ABOUT: about})
    scores.path.unlink(missing_ok=True)


def _affordable(hand: Hand) -> Hand:
    """Returns a hand with so few strokes that their tracks are not too large."""
    crowded = hand.kind == "brush" and hand.under > 0 and hand.width < NARROW
    aspect = max(SHORTEST, hand.aspect) if crowded else hand.aspect
    layers = len(hand.directions) if hand.kind == "hatching" else 1
    least = math.sqrt(layers * ROOMY * hand.cover / aspect) if hand.rows else 0.0
    return dataclasses.replace(
        hand, detail=max(FAINTEST, hand.detail), aspect=aspect, width=max(least, hand.width)
    )


def fit_with_progress(
    close_ups: closeups.CloseUps, steps: int, folder: Path, painter: str, workers: WorkerPool
) -> Hand:
    """Fits a painter's hand as `fit_hand`, with progress; warns if it is not to be trusted."""
    with console.progress(total=steps, unit="recipe", label=f"hand of {painter}") as bar:
        for best in fit_hand(close_ups, steps, folder, painter, workers):
            bar.set_postfix_str(f"score {best.score:.3f}", refresh=False)
            bar.update(min(best.evaluations, steps) - bar.n)
    if remark := remarks(close_ups):
        console.warn(f"{painter}: {remark}: do not trust its hand too far")
    return load_hand(folder / f"{painter}.json")


def is_fitted(close_ups: closeups.CloseUps, steps: int, folder: Path, painter: str) -> bool:
    """Says whether a hand was fitted to these close-ups, with as many evaluations."""
    try:
        about = files.read_json(folder / f"{painter}.json")[ABOUT]
        return about["close_ups"] == _key(close_ups) and about["steps"] == steps
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False


def _key(close_ups: closeups.CloseUps) -> str:
    return files.hash_of([close_ups.pixels.tobytes(), str(FORMAT)])


class _Scores:
    """Scores of recipes, worked out once and kept."""

    def __init__(self, path: Path, key: str, workers: WorkerPool):
        self.path, self._key, self._workers = path, key, workers
        self._known: dict[str, float] = {}
        if not path.exists():
            return
        try:
            text = path.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]  # a kill may leave half a line
            if whole != text:
                path.write_text(whole, encoding="utf-8")
            scores = dict(line.split() for line in whole.splitlines())
            self._known = {name: float.fromhex(value) for name, value in scores.items()}
        except ValueError:  # damaged: all is scored again
            path.unlink()

    def score_all(self, tasks: Sequence[fitting.Task], seed: int = 1) -> list[float]:
        """Scores hands on some close-ups, as `fitting.search` asks."""
        sets = {id(pictures): pictures for pictures, _ in tasks}
        seen = {key: files.hash_of([own.tobytes() for own in some]) for key, some in sets.items()}
        names = [
            files.hash_of([self._key, seen[id(pictures)], str(seed), json.dumps(hand.to_json())])
            for pictures, hand in tasks
        ]
        futures = {
            name: self._workers.submit(repainting.score_hand, list(pictures), hand, seed)
            for name, (pictures, hand) in zip(names, tasks, strict=True)
            if name not in self._known
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", buffering=1, encoding="utf-8") as file:
            for name, future in futures.items():
                self._known[name] = future.result()
                file.write(f"{name} {self._known[name].hex()}\n")
        return [self._known[name] for name in names]


def load_hand(path: Path) -> Hand:
    """Reads a hand, which an artist may have edited.

    Raises:
        FileNotFoundError: there is none.
        UserError: it is damaged, or a value in it is out of range; file and value are named.
    """
    values = files.read_json(path)
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a hand")
    return Hand.from_json({k: v for k, v in values.items() if k != ABOUT}, str(path))


def fit_to_picture(path: Path, steps: int, folder: Path, workers: WorkerPool) -> Hand:
    """Returns the hand of a single picture, fitted by so many evaluations; it is kept."""
    close_ups = closeups.of_picture(path)
    name = files.source_name(path.stem)
    kept = folder / f"{name}.json"
    with files.only_one(folder / name, f"the hand of {name}"):
        if is_fitted(close_ups, steps, folder, name):
            hand = load_hand(kept)
        else:
            hand = fit_with_progress(close_ups, steps, folder, name, workers)
    console.say(f"hand of {name}: {in_words(hand)} ({kept})")
    return hand


def remarks(close_ups: closeups.CloseUps) -> str:
    """Returns how far a hand that is fitted to close-ups can be trusted; empty if it can be."""
    found = [closeups.remarks(close_ups)]
    if texture.are_two_kinds(list(close_ups.spread(SURVEYED, held_out=False))):
        found.append("they look like pictures of two hands")
    return "; ".join(filter(None, found))


def in_words(hand: Hand) -> str:
    """Describes a hand in a sentence."""
    if hand.kind == "flat":
        return _areas_in_words(hand)
    if hand.kind == "hatching":
        return _hatching_in_words(hand)
    shape = _pick(
        hand.aspect, ((1.5, "dabs"), (4.0, "short strokes"), (9.0, "strokes"), (99, "long strokes"))
    )
    width = _pick(
        hand.width, ((3.5, "fine"), (NARROW, "narrow"), (18.0, "wide"), (99, "very wide"))
    )
    along = "along one direction" if hand.fixed > 0.5 else "along the forms"
    way = _pick(hand.tilt, ((0.2, along), (0.6, f"roughly {along}"), (9, "in any direction")))
    words = [f"{width} {shape} {way}{', in rows' if hand.rows > 0.3 else ''}"]
    if hand.soft > 1.0:
        words.append("wet, with soft edges")
    elif hand.bristles > 0.5 or hand.relief > 0.4:
        words.append("thick paint")
    if hand.bare > 0.3:
        words.append("ground between them")
    if hand.contour > 0.2:
        words.append("dark contours")
    if hand.light + hand.hue > 0.12:
        words.append("of very different colours")
    if hand.accents > 2:
        words.append("accents on top")
    if hand.grain > 0.01:
        words.append("the weave of the canvas in the paint")
    if hand.quiet > 0.3:
        words.append("quiet where the picture is even")
    return ", ".join(words)


def _areas_in_words(hand: Hand) -> str:
    """Describes flat areas or washes."""
    lines = ((2.0, "thin contours"), (4.0, "contours"), (99, "heavy contours"))
    found = [_pick(hand.contour_width, lines)] if hand.contour >= 0.3 else []
    if hand.washes:
        return f"washes of {hand.colours} colours with {' and '.join(['dark rims', *found])}"
    return f"flat areas of {hand.colours} colours with {''.join(found) or 'no contours'}"


def _hatching_in_words(hand: Hand) -> str:
    """Describes lines or dots that make the tone."""
    light = sum(hand.ink) > sum(hand.ground)
    what = "coloured pencil" if hand.tint > 0.5 else "chalk" if light else "pencil or ink"
    paper = "dark paper" if light else "paper"
    if hand.rows and hand.swell > 0.5:
        marks, more = ("lines", "broader") if hand.aspect > ROUND else ("dots", "larger")
        where = "light" if light else "dark"
        colour = "coloured " if hand.tint > 0.5 else ""
        return f"{colour}{marks} in rows on {paper}, {more} where it is {where}"
    if hand.aspect < LINES:
        return f"dots of {what} on {paper}, closer where it is {'light' if light else 'dark'}"
    length = _pick(hand.width * hand.aspect, ((16, "short"), (40, "long"), (9999, "very long")))
    count = len(hand.directions)
    return f"hatching in {what}: {length} lines in {count} direction{'s' * (count > 1)} on {paper}"


def _pick(value: float, words: Sequence[tuple[float, str]]) -> str:
    return next(word for limit, word in words if value <= limit)


def of_style(
    weights: dict[str, float], load: Callable[[str], Hand | None]
) -> tuple[list[tuple[Hand, float]], list[str]]:
    """Returns the hands of a style, each with the share of strokes that it has.

    The strokes of the painter of most weight lie below; of each further painter so many lie on
    them that all are seen by their weights.

    Args:
        weights: of painters.
        load: returns a painter's hand, None if there is none.

    Returns:
        Hands and shares, and the names of painters that have none: a fixed brush paints for them.
    """
    found, missing, total = [], [], 0.0
    for name, weight in sorted(weights.items(), key=lambda item: -item[1]):
        hand = load(name)
        if hand is None:
            missing.append(name)
        total += weight
        if weight:
            found.append((hand or Hand(), weight / total))
    return found, missing
