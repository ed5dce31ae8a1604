import dataclasses

from cadl.strokes.hand import Hand
from cadl.strokes.stroke import Looks, Strokes
from cadl.strokes.stroke_colours import differing_colours, share_hues

import numpy as np
import pytest

SIZE = (160, 90)
RNG = np.random.default_rng(0)


def level_strokes(spacing=2.0, growth=1.0):
    """Strokes from left to right, all over a frame."""
    y, x = np.mgrid[spacing / 2 : SIZE[1] : spacing, spacing / 2 : SIZE[0] : spacing]
    places = np.column_stack([x.ravel(), y.ravel()]).astype(np.float32)
    count = len(places)
    one, none = np.ones(count, np.float32), np.zeros((count, 2), np.float32)
    looks = Looks(
        np.float32([[1, 0]]) + none, none, one, none, one, np.zeros((count, 3), np.float32), one
    )
    return Strokes(places, np.arange(count), growth * one, looks)


def correlation(hues, right, down):
    """How alike the hues of strokes are that lie so many columns and rows apart."""
    grid = hues[:, 0].reshape(45, 80)
    there = grid[down:, right:], grid[: 45 - down, : 80 - right]
    return np.corrcoef(*(own.ravel() for own in there))[0, 1]


def test_shared_hues_keep_their_spread_and_reach_farther_along_strokes_than_across():
    own = level_strokes()
    many = (RNG.random((12, len(own.places), 2)) - 0.5).astype(np.float32)
    found = [share_hues(hues, own, 2.0, 1.5, SIZE) for hues in many]
    assert np.std(found) == pytest.approx(many.std(), rel=0.08) and abs(np.mean(found)) < 0.03
    hues, shared = many[0], found[0]
    assert abs(correlation(hues, 2, 0)) < 0.05
    assert correlation(shared, 1, 0) > 0.8
    across, along = (correlation(shared, *by) for by in ((0, 3), (3, 0)))
    assert along > across + 0.2


@pytest.mark.parametrize("spacing", [1.3, 6.0, 20.0])
@pytest.mark.parametrize("loaded", [0.5, 0.7, 1.5])
def test_hues_keep_their_spread_at_any_size_of_strokes_and_at_the_edges_of_a_frame(spacing, loaded):
    own = level_strokes(spacing)
    many = (RNG.random((-(-30_000 // len(own.places)), len(own.places), 2)) - 0.5).astype("f4")
    found = np.array([share_hues(hues, own, spacing, loaded, SIZE) for hues in many])
    assert found.std() == pytest.approx(many.std(), rel=0.12)
    edge = (own.places < spacing).any(axis=1)
    assert found[:, edge].std() == pytest.approx(many.std(), rel=0.2)


def test_strokes_that_are_hardly_there_lend_no_hue():
    own = level_strokes()
    hues = (RNG.random((len(own.places), 2)) - 0.5).astype(np.float32)
    other = hues.copy()
    other[::2] += 5
    changes = []
    for growth in (0.01, 1.0):
        some = np.where(np.arange(len(hues)) % 2, 1, growth).astype(np.float32)
        lent = dataclasses.replace(own, growth=some)
        found = [share_hues(every, lent, 2.0, 1.5, SIZE) for every in (other, hues)]
        changes.append(found[0] - found[1])
    young, grown = (np.abs(own).mean() for own in changes)
    assert young < 0.02 * grown


def test_shared_hues_follow_strokes_that_move_without_a_jump():
    own = level_strokes()
    hues = (RNG.random((len(own.places), 2)) - 0.5).astype(np.float32)
    inside = (np.abs(own.places - (80, 45)) < (60, 30)).all(axis=1)
    before = share_hues(hues, own, 2.0, 1.5, SIZE)
    for shift in (0.25, 0.5, 1.0):
        moved = dataclasses.replace(own, places=own.places + np.float32(shift))
        assert np.abs(share_hues(hues, moved, 2.0, 1.5, SIZE) - before)[inside].max() < 0.06


@pytest.mark.parametrize("loaded", [0.0, 0.7])
def test_accents_differ_in_hue_unless_brushes_are_loaded_and_may_be_made_like_others(loaded):
    count = 4000
    chance = RNG.random((count, 20)).astype(np.float32)
    hues, grey = chance[:, (7, 10)] - 0.5, np.full((count, 3), 0.5, np.float32)
    hand = Hand(light=0.03, hue=0.02, accents=4.0, loaded=loaded)
    ones = np.ones((count, 1), np.float32)

    def kurtosis(alike, channel):
        found = differing_colours(grey, hand, chance, hues, ones, alike) - 127.5
        light = found.mean(axis=1)
        value = light if channel == "light" else found[:, 0] - found[:, 2]
        value = value - value.mean()
        return (value**4).mean() / (value**2).mean() ** 2

    assert kurtosis(0.0, "light") > 3.2 > 2.2 > kurtosis(ones, "light")
    assert (kurtosis(0.0, "hue") > 4) == (not loaded)
    assert kurtosis(ones, "hue") < 3
