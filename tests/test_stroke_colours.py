import dataclasses

from cadl.strokes.hand import Hand
from cadl.strokes.stroke import Looks, Strokes
from cadl.strokes.stroke_colours import differing_colours, share_hues

import numpy as np
import pytest

SIZE = (160, 90)
RNG = np.random.default_rng(0)


def level_strokes(growth=1.0):
    """Strokes from left to right, all over a frame: places, and what they look like."""
    y, x = np.mgrid[1:90:2, 1:160:2]
    places = np.column_stack([x.ravel(), y.ravel()]).astype(np.float32)
    count = len(places)
    one, none = np.ones(count, np.float32), np.zeros((count, 2), np.float32)
    looks = Looks(
        np.float32([[1, 0]]) + none, none, one, none, one, np.zeros((count, 3), np.float32), one
    )
    return Strokes(places, np.arange(count), growth * one, looks)


def correlation(hues, places, right, down):
    """How alike the hues of strokes are that lie so many columns and rows apart."""
    grid = hues[:, 0].reshape(45, 80)
    there = grid[down:, right:], grid[: 45 - down, : 80 - right]
    return np.corrcoef(*(own.ravel() for own in there))[0, 1]


def test_shared_hues_keep_their_spread_and_reach_farther_along_strokes_than_across():
    own = level_strokes()
    many = (RNG.random((12, len(own.places), 2)) - 0.5).astype(np.float32)
    found = [share_hues(hues, own, 3.0, SIZE) for hues in many]
    assert np.std(found) == pytest.approx(many.std(), rel=0.08) and abs(np.mean(found)) < 0.03
    hues, shared = many[0], found[0]
    assert abs(correlation(hues, own.places, 2, 0)) < 0.05
    assert correlation(shared, own.places, 1, 0) > 0.8
    across, along = (correlation(shared, own.places, *by) for by in ((0, 3), (3, 0)))
    assert along > across + 0.2


def test_strokes_that_are_hardly_there_lend_no_hue():
    own = level_strokes()
    hues = (RNG.random((len(own.places), 2)) - 0.5).astype(np.float32)
    other = hues.copy()
    other[::2] += 5
    changes = []
    for growth in (0.01, 1.0):
        some = np.where(np.arange(len(hues)) % 2, 1, growth).astype(np.float32)
        lent = dataclasses.replace(own, growth=some)
        changes.append(share_hues(other, lent, 3.0, SIZE) - share_hues(hues, lent, 3.0, SIZE))
    young, grown = (np.abs(own).mean() for own in changes)
    assert young < 0.02 * grown


def test_shared_hues_follow_strokes_that_move_without_a_jump():
    own = level_strokes()
    hues = (RNG.random((len(own.places), 2)) - 0.5).astype(np.float32)
    inside = (np.abs(own.places - (80, 45)) < (60, 30)).all(axis=1)
    before = share_hues(hues, own, 3.0, SIZE)
    for shift in (0.25, 0.5, 1.0):
        moved = dataclasses.replace(own, places=own.places + np.float32(shift))
        assert np.abs(share_hues(hues, moved, 3.0, SIZE) - before)[inside].max() < 0.06


@pytest.mark.parametrize("loaded", [0.0, 0.7])
def test_accents_differ_in_hue_unless_brushes_are_loaded_and_none_stand_out_where_alike(loaded):
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
