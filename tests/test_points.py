from cadl.strokes.points import close_pairs, far_from, free_places, hashed, sample, splat, spread

import numpy as np
import pytest

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("kind", "channels"), [(np.float32, 2), (np.uint8, 3), (np.float32, 1)])
def test_reading_at_the_middle_of_a_pixel_is_exact(kind, channels):
    maps = (255 * RNG.random((30, 50, channels))).astype(kind)
    y, x = np.mgrid[0:30, 0:50]
    read = sample(maps, np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32))
    assert read.dtype == kind
    np.testing.assert_array_equal(read, maps.reshape(-1, channels))


def test_reading_between_pixels_is_linear():
    y, x = np.mgrid[0:30, 0:50].astype(np.float32)
    maps = np.stack([3 * x + y, 7 - 2 * y], axis=-1)
    places = (RNG.random((500, 2)) * (49, 29)).astype(np.float32)
    wanted = np.stack([3 * places[:, 0] + places[:, 1], 7 - 2 * places[:, 1]], axis=1)
    np.testing.assert_allclose(sample(maps, places), wanted, atol=0.07)  # of 1/32 pixel


def test_beyond_the_edges_a_map_repeats_its_last_pixels():
    maps = RNG.random((4, 6, 1)).astype(np.float32)
    places = np.array([[-9, -9], [99, 2], [3, 99], [-0.6, 1]], np.float32)
    wanted = [maps[0, 0], maps[2, 5], maps[3, 3], maps[1, 0]]
    np.testing.assert_array_equal(sample(maps, places), wanted)


def test_many_places_and_none_can_be_read():
    maps = RNG.random((9, 9, 3)).astype(np.float32)
    places = np.tile(np.array([[3, 5]], np.float32), (100_000, 1))
    assert (sample(maps, places) == maps[5, 3]).all()
    assert sample(maps, places[:0]).shape == (0, 3)


def test_hashed_numbers_are_uniform_and_independent():
    numbers = hashed(np.arange(40_000), 4)
    assert numbers.shape == (40_000, 4) and numbers.dtype == np.float32
    assert numbers.min() >= 0 and numbers.max() < 1
    for column in numbers.T:
        empirical = np.abs(np.sort(column) - (np.arange(40_000) + 0.5) / 40_000).max()
        assert empirical < 1.63 / np.sqrt(40_000)  # Kolmogorov & Smirnov, 1 %
    others = np.column_stack([numbers[:-1], numbers[1:], hashed(np.arange(39_999), 2, salt=3)])
    correlations = np.corrcoef(others.T) - np.eye(10)
    assert np.abs(correlations).max() < 0.025


def test_hashed_numbers_depend_on_the_identity_alone():
    identities = RNG.permutation(5000)
    whole = hashed(np.arange(5000), 3)
    np.testing.assert_array_equal(hashed(identities, 3), whole[identities])
    np.testing.assert_array_equal(hashed(np.array([17]), 2)[0], whole[17, :2])
    assert (hashed(identities, 3, salt=1) != whole[identities]).mean() > 0.99


def brute_force(places, distance):
    apart = np.square(places[:, None] - places[None]).sum(axis=2) < distance**2
    return {frozenset(pair) for pair in np.argwhere(np.triu(apart, 1)).tolist()}


@pytest.mark.parametrize(
    ("count", "size", "distance"),
    [(0, 9, 1), (1, 9, 1), (2, 1, 9), (300, (40, 30), 1.5), (300, (400, 2), 5), (200, (3, 3), 9)],
)
def test_close_pairs_are_those_that_brute_force_finds(count, size, distance):
    places = (RNG.random((count, 2)) * size - 7).astype(np.float32)
    left, right = close_pairs(places, distance)
    found = [frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)]
    assert len(set(found)) == len(found)  # each pair once
    assert set(found) == brute_force(places, distance)


def test_points_in_the_same_place_are_a_pair_and_points_at_the_distance_are_none():
    places = np.array([[0, 0], [0, 0], [2, 0], [2, 2]], np.float32)
    left, right = close_pairs(places, 2.0)
    assert {frozenset(pair) for pair in zip(left, right, strict=True)} == {frozenset((0, 1))}


def test_free_places_keep_their_distance_and_leave_nothing_out():
    size, margin, distance = (80, 60), 6.0, 7.0
    taken = (RNG.random((40, 2)) * (92, 72) - 6).astype(np.float32)
    corners, side = free_places(taken, size, margin, distance)
    middles = corners + side / 2
    apart = np.sqrt(np.square(middles[:, None] - taken[None]).sum(axis=2).min(axis=1))
    assert len(corners) > 50 and apart.min() > 0.8 * distance
    assert (corners >= -margin).all()
    assert (corners < np.add(size, margin)).all()
    y, x = np.mgrid[0 : 72 / side, 0 : 92 / side]
    every = np.stack([x.ravel(), y.ravel()], axis=1) * side - margin
    far = np.sqrt(np.square((every + side / 2)[:, None] - taken[None]).sum(axis=2).min(axis=1))
    free = {tuple(corner) for corner in np.round(corners / side).tolist()}
    wanted = {tuple(corner) for corner in np.round(every[far > 1.6 * distance] / side).tolist()}
    assert len(wanted) > 10 and wanted <= free


def test_of_an_empty_canvas_all_is_free():
    corners, side = free_places(np.zeros((0, 2), np.float32), (20, 10), 2.0, 2.6)
    assert side == pytest.approx(1) and len(corners) == 24 * 14


def test_free_places_are_where_points_are_wanted_however_they_are_measured():
    wanted = np.zeros((90, 160), bool)
    wanted[20:50, 100:140] = True
    turn = np.array([[0.8, -0.6], [0.6, 0.8]], np.float32) * (0.5, 2.0)
    corners, side = free_places(np.zeros((0, 2), np.float32), (160, 90), 0.0, 4.0, turn, wanted)
    middles = corners + 0.5 * side * np.ones(2) @ np.linalg.inv(turn)
    x, y = np.round(middles).astype(int).T
    assert len(corners) > 100 and wanted[np.clip(y, 0, 89), np.clip(x, 0, 159)].mean() > 0.98
    area = side**2 / abs(np.linalg.det(turn))
    assert 0.9 < len(corners) * area / wanted.sum() < 1.1


def test_places_far_from_others_are_those_of_the_plain_search():
    rng = np.random.default_rng(3)
    others, places = (rng.random((count, 2)).astype(np.float32) * 60 for count in (150, 900))
    nearest = np.sqrt(np.square(places[:, None] - others[None]).sum(axis=2).min(axis=1))
    far = far_from(others, places, 3.0)
    assert 100 < far.sum() < 800
    assert not far[nearest < 0.8 * 3.0].any() and far[nearest > 1.25 * 3.0].all()
    assert len(far_from(others, places[:0], 3.0)) == 0
    assert far_from(others + 500, places, 3.0).all()


def test_a_map_has_the_mean_of_the_points_near_and_nothing_far_from_all():
    y, x = np.mgrid[0:40:2, 0:60:2]
    places = np.column_stack([x.ravel(), y.ravel()]).astype(np.float32)
    values = (places[:, 0] < 30).astype(np.float32)
    outside = np.float32([[-5, 3], [400, 3], [3, -9]])
    found = spread(np.append(values, [99, 99, 99]), np.concatenate([places, outside]), (90, 40), 2)
    assert found.shape == (40, 90)
    np.testing.assert_allclose(found[:, :20], 1, atol=0.01)
    np.testing.assert_allclose(found[:, 40:55], 0, atol=0.01)
    assert (found[:, 29] > 0.3).all() and (found[:, 29] < 0.8).all()
    assert (found[:, 75:] == 0).all()


def test_points_of_no_weight_count_for_nothing():
    places = np.float32([[5, 5], [6, 5]])
    found = spread(np.float32([1, 9]), places, (12, 10), 2.0, np.float32([1, 0]))
    np.testing.assert_allclose(found[2:8, 2:9], 1, atol=0.01)


def test_splatted_values_are_shared_out_among_the_pixels_around_and_none_is_lost():
    places = np.float32([[2.25, 1], [7, 4.5], [-9, 2], [3, 99]])
    values = np.float32([[8, 1], [4, 2], [99, 99], [99, 99]])
    first, second = splat(values, places, (10, 6))
    assert first.shape == (6, 10) and first.dtype == np.float32
    np.testing.assert_allclose(first[1, 2:4], (6, 2))
    np.testing.assert_allclose(first[4:6, 7], (2, 2))
    assert first.sum() == 12 and second.sum() == 3
