from cadl.strokes.averaging import DEVIATION, MEASURED_EVERY, WINDOW, TrackAverager
from cadl.strokes.tracks import LIVES, SUDDEN

import numpy as np
import pytest


class Population:
    """Strokes that come and go at random, with a table each frame; some frames tell less."""

    def __init__(self, frames=60, seed=1):
        rng = np.random.default_rng(seed)
        count, self.frames = 30, []
        for number in range(frames):
            fates = np.full(count if number else 0, LIVES, np.uint8)
            if number:
                fates[rng.random(count) < 0.06] = SUDDEN
                count = int((fates == LIVES).sum()) + int(rng.integers(0, 4))
            rows = None
            if number % MEASURED_EVERY:
                rows = np.arange((fates == LIVES).sum(), count)
            known = count if rows is None else len(rows)
            self.frames.append((rng.random((known, 3)).astype(np.float32), rows, fates, count))

    def averaged(self, first=0, last=None, tables=None):
        averager, found = TrackAverager(), []
        for number, (table, rows, fates, count) in enumerate(self.frames[first:last], first):
            own = table if tables is None else tables(number, table, rows)
            found.append(averager.add(own, rows, fates, count))
        return [own for own in [*found, *averager.finish()] if own is not None]


def test_what_never_changes_stays_as_it_is():
    people = Population()
    found = people.averaged(tables=lambda number, table, rows: 0 * table + np.float32([1, 2, 3]))
    assert [len(own) for own in found] == [count for *_, count in people.frames]
    for own in found:
        np.testing.assert_allclose(own, np.tile([1, 2, 3], (len(own), 1)), atol=1e-5)


def test_the_average_looks_as_far_ahead_as_back():
    """One frame that stands out is seen alike before and after it, and no further than WINDOW."""
    averager, found = TrackAverager(), []
    alive = np.full(1, LIVES, np.uint8)
    for number in range(81):
        table = np.full((1, 1), float(number == 40), np.float32)
        found.append(averager.add(table, None, alive, 1))
    found = [own for own in [*found, *averager.finish()] if own is not None]
    curve = np.array([own[0, 0] for own in found])
    assert len(curve) == 81
    np.testing.assert_allclose(curve, curve[::-1], atol=1e-6)
    assert (curve > 0).sum() == 2 * WINDOW + 1 and curve.argmax() == 40
    wanted = np.exp(-0.5 * (np.arange(-WINDOW, WINDOW + 1) / DEVIATION) ** 2)
    np.testing.assert_allclose(curve[40 - WINDOW : 41 + WINDOW], wanted / wanted.sum(), atol=1e-5)


def test_a_print_shows_at_once_what_goes_by_under_its_strokes():
    averager, found = TrackAverager(printed=True), []
    alive = np.full(1, LIVES, np.uint8)
    for number in range(60):
        rows = np.zeros(0, int) if number % MEASURED_EVERY else None
        table = np.full((1 if rows is None else 0, 1), float(number >= 30), np.float32)
        found.append(averager.add(table, rows, alive, 1))
    found = [own for own in [*found, *averager.finish()] if own is not None]
    curve = np.array([own[0, 0] for own in found])
    assert len(curve) == 60 and curve[:28].max() < 0.05 and curve[31:].min() > 0.95


def test_frames_further_than_the_window_change_nothing():
    people = Population()
    plain = people.averaged()
    other = people.averaged(tables=lambda number, table, rows: table + 5 * (number == 30))
    for number, (a, b) in enumerate(zip(plain, other, strict=True)):
        if abs(number - 30) > WINDOW:
            np.testing.assert_array_equal(a, b)
    assert np.abs(plain[30] - other[30]).mean() > 0.1


@pytest.mark.parametrize("start", [4, 16, 20])
def test_an_average_that_begins_later_is_the_same_to_the_bit(start):
    people = Population()
    whole, later = people.averaged(), people.averaged(first=start)
    assert len(later) == 60 - start
    for number in range(start + WINDOW, 60):
        np.testing.assert_array_equal(later[number - start], whole[number])
    early = people.averaged(last=45)
    for number in range(45 - WINDOW):
        np.testing.assert_array_equal(early[number], whole[number])


def test_strokes_are_averaged_with_themselves_alone():
    """One that is born takes nothing from those before it, nor from its neighbours."""
    averager, found = TrackAverager(), []
    for number in range(40):
        born, fates = number == 20, np.full(1 + (number > 20), LIVES, np.uint8)
        count = 1 + (number >= 20)
        table = np.array([[0.0], [7.0]], np.float32)[:count]
        found.append(averager.add(table, None, fates[: count - born], count))
    found = [own for own in [*found, *averager.finish()] if own is not None]
    for number, own in enumerate(found):
        np.testing.assert_allclose(own[:, 0], [0, 7][: 1 + (number >= 20)], atol=1e-5)
