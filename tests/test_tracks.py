"""Strokes followed over made-up motion whose flow is known exactly."""

import itertools

from cadl.strokes.hand import Hand
from cadl.strokes.points import close_pairs
from cadl.strokes.tracks import CROWD_OUT, LIVES, StrokeTracker

import cv2
import numpy as np
import pytest

SIZE = WIDTH, HEIGHT = 320, 180
HAND = Hand()


def texture(height=HEIGHT, width=WIDTH, seed=0, centre=128):
    rng = np.random.default_rng(seed)
    noise = rng.random((height, width, 3)).astype(np.float32)
    rough = cv2.GaussianBlur(noise, (0, 0), 2) + 3 * cv2.GaussianBlur(noise, (0, 0), 9)
    rough = (rough - rough.mean()) / rough.std()
    return np.clip(centre + 40 * rough, 0, 255).astype(np.uint8)


def even_flow(x, y):
    field = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    return field + np.float32([x, y]), field - np.float32([x, y])


def inside(places, border=0.0):
    x, y = places.T
    return (x >= border) & (y >= border) & (x < WIDTH - border) & (y < HEIGHT - border)


def same_strokes(before, after, chosen):
    """Returns places of some strokes of one frame, bool [n], that are in another, in both."""
    _, ours, theirs = np.intersect1d(
        before.identities[chosen], after.identities, assume_unique=True, return_indices=True
    )
    return before.places[chosen][ours], after.places[theirs]


def check(before, after):
    """Every frame's list is what its fates say of the one before."""
    lives = after.fates == LIVES
    assert len(after.fates) == len(before.places)
    np.testing.assert_array_equal(after.identities[: lives.sum()], before.identities[lives])
    assert (np.diff(after.identities) > 0).all()  # older before younger, none twice
    assert len(after.growing) == len(after.places) and not after.growing[: lives.sum()].any()


@pytest.fixture(scope="module")
def panned():
    """A picture panned by 3 pixels to the left and one up, 40 frames."""
    world = texture(HEIGHT + 40, WIDTH + 130)
    tracker = StrokeTracker([HAND], SIZE)
    frames = []
    for number in range(40):
        frame = np.ascontiguousarray(world[number:][:HEIGHT, 3 * number :][:, :WIDTH])
        frames.append(tracker.add(number, frame, even_flow(-3, -1) if number else None))
    return frames


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_strokes_that_stay_inside_keep_their_identity_and_move_by_exactly_the_pan(panned, layer):
    kept = total = 0
    for before, after in itertools.pairwise(panned):
        check(before[layer], after[layer])
        staying = inside(before[layer].places, 12)
        old, new = same_strokes(before[layer], after[layer], staying)
        np.testing.assert_allclose(new, np.add(old, (-3, -1)), atol=1e-3)
        kept, total = kept + len(old), total + staying.sum()
    if layer < 2:  # they lie everywhere
        assert kept == total > 1000
    else:  # they go where detail ends at the edges of what is seen
        assert kept > 0.99 * total > 1000


@pytest.mark.parametrize("layer", [0, 1])
def test_strokes_are_born_where_the_picture_enters_and_elsewhere_only_to_fill_gaps(panned, layer):
    """Darts leave some gaps, which are filled one by one when the raster moves over them."""
    entering = middle = there = 0
    for after in panned[1:]:
        own = after[layer]
        born = own.places[(own.fates == LIVES).sum() :]
        x, y = born.T
        near = (x > WIDTH - 3) | (y > HEIGHT - 1)
        entering += near.sum()
        middle += (~near).sum()
        there += len(own.places) - len(born)
    assert entering > 1.5 * middle
    assert middle < 0.02 * there


@pytest.mark.parametrize("layer", [0, 1])
def test_density_stays_even(panned, layer):
    spacing = HAND.layers()[layer].spacing
    counts = [inside(frame[layer].places).sum() for frame in panned]
    assert max(counts) < 1.3 * counts[0] and min(counts) >= 0.95 * counts[0]
    assert max(counts[20:]) < 1.08 * min(counts[20:])
    places = panned[-1][layer].places
    left, _ = close_pairs(places, 0.5 * spacing)
    assert not len(left)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    every = np.stack([x.ravel(), y.ravel()], axis=1)[::7]
    nearest = np.sqrt(np.square(every[:, None] - places[None]).sum(axis=2).min(axis=1))
    assert nearest.max() < 2.0 * spacing and np.quantile(nearest, 0.99) < spacing


@pytest.fixture(scope="module")
def disc():
    """A disc that moves by 6 pixels a frame over still ground; frames, and where it was."""
    ground, own = texture(seed=1, centre=90), texture(seed=2, centre=190)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    tracker = StrokeTracker([HAND], SIZE)
    frames, masks = [], []
    for number in range(21):
        masks.append((x - 90 - 6 * number) ** 2 + (y - 90) ** 2 < 45**2)
        moved = np.roll(own, 6 * number, axis=1)
        frame = np.where(masks[-1][..., None], moved, ground)
        flow = None
        if number:
            speed = np.float32([6, 0])
            flow = speed * masks[-2][..., None], -speed * masks[-1][..., None]
        frames.append(tracker.add(number, frame, flow))
    return frames, masks


def within(places, mask):
    x, y = np.round(places).astype(int).T
    there = inside(places, 1)
    return there & mask[np.clip(y, 0, HEIGHT - 1), np.clip(x, 0, WIDTH - 1)]


def eroded(mask, by):
    return cv2.erode(mask.astype(np.uint8), np.ones((2 * by + 1,) * 2)).astype(bool)


@pytest.mark.parametrize("layer", [0, 1])
def test_strokes_on_a_moving_disc_go_with_it_and_those_far_from_it_stay(disc, layer):
    frames, masks = disc
    first, last = frames[0][layer], frames[-1][layer]
    on_disc = within(first.places, eroded(masks[0], 8))
    old, new = same_strokes(first, last, on_disc)
    assert len(old) == on_disc.sum() > 10
    np.testing.assert_allclose(new, np.add(old, (120, 0)), atol=1e-2)
    touched = ~eroded(~np.any(masks, axis=0), 8)
    still = inside(first.places) & ~within(first.places, touched)
    old, new = same_strokes(first, last, still)
    assert len(old) == still.sum() > 50
    np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize("layer", [0, 1])
def test_strokes_on_ground_that_is_covered_die(disc, layer):
    frames, masks = disc
    places = frames[0][layer].places
    covered = eroded(masks[-1], 8) & eroded(~masks[0], 8)
    hidden = frames[0][layer].identities[within(places, covered)].tolist()
    assert len(hidden) > 10
    assert not set(hidden) & set(frames[-1][layer].identities.tolist())


@pytest.mark.parametrize("layer", [0, 1])
def test_strokes_on_ground_that_is_uncovered_are_new(disc, layer):
    frames, masks = disc
    uncovered = eroded(masks[0], 8) & eroded(~masks[-1], 8)
    there = within(frames[-1][layer].places, uncovered)
    assert there.sum() > 10
    assert frames[-1][layer].identities[there].min() > frames[0][layer].identities.max()
    # As densely as everywhere.
    spacing = HAND.layers()[layer].spacing
    per_stroke = uncovered.sum() / there.sum() / spacing**2
    everywhere = WIDTH * HEIGHT / inside(frames[0][layer].places).sum() / spacing**2
    assert per_stroke == pytest.approx(everywhere, rel=0.4)


def test_what_a_moving_disc_uncovers_is_painted_at_once(disc):
    """Strokes that only grew there would show a hand's ground as a hole behind all that moves."""
    frames, masks = disc
    born = small = 0
    for number in range(1, 21):
        own = frames[number][1]
        new = np.arange(len(own.places)) >= (own.fates == LIVES).sum()
        there = new & within(own.places, masks[number - 1] & ~masks[number])
        born, small = born + there.sum(), small + (there & own.growing).sum()
    assert born > 50 and small < 0.1 * born


def test_a_cut_renews_all():
    tracker = StrokeTracker([HAND], SIZE)
    before = tracker.add(0, texture(seed=0), None)
    after = tracker.add(1, texture(seed=5), None)
    for old, new in zip(before, after, strict=True):
        check(old, new)
        assert len(old.places) and len(new.places)
        assert not (new.fates == LIVES).any() and not (new.fates == CROWD_OUT).any()
        assert new.identities.min() > old.identities.max()
        assert not new.growing.any()  # all are there at once


HIGH = 9.66  # pixels from one of these rows to the next


@pytest.fixture(scope="module")
def bricks():
    """The first and the last of 60 frames of stones in slanting rows, panned to the left."""

    def pan(speed):
        hand = Hand(
            width=16.0, aspect=2.0, under=0.0, finest=60.0, cover=0.6, rows=1.0, directions=(0.3,)
        )  # fmt: skip
        tracker, picture = StrokeTracker([hand], SIZE), texture()
        found = [
            tracker.add(number, picture, even_flow(-speed, 0) if number else None)[0]
            for number in range(60)
        ]
        return hand.layers()[0], found[0], found[-1]

    return pan


def test_strokes_in_rows_lie_as_bricks_do(bricks):
    layer, first, _ = bricks(0)
    # As much room before as beside them; all together they have their share of the canvas.
    high, wide = (layer.spacing * 0.9**0.5 * layer.stretch**own for own in (-0.5, 0.5))
    assert wide - 2 * layer.length == pytest.approx(high - 2 * layer.width)
    assert 4 * layer.length * layer.width * 0.8 / (wide * high) == pytest.approx(0.6)
    assert high == pytest.approx(HIGH, abs=0.01)
    cos, sin = np.cos(0.3), np.sin(0.3)
    along, across = (first.places @ np.array([[cos, -sin], [sin, cos]])).T
    row = np.round(across / high)
    np.testing.assert_allclose(across, row * high, atol=1e-3)
    column = along / wide - 0.5 * (row % 2)
    np.testing.assert_allclose(column, np.round(column), atol=1e-3)
    assert len(set(zip(row, np.round(column), strict=True))) == len(along)
    assert inside(first.places).sum() == pytest.approx(WIDTH * HEIGHT / wide / high, rel=0.05)


@pytest.mark.parametrize("speed", [3, 2 * HIGH])
def test_rows_go_on_where_the_picture_enters(bricks, speed):
    layer, first, last = bricks(speed)
    new = last.identities > first.identities.max()
    assert new[inside(last.places)].mean() > 0.4
    across = np.add(last.places, (speed * 59, 0)) @ np.array([-np.sin(0.3), np.cos(0.3)])
    high = layer.spacing * (0.9 / layer.stretch) ** 0.5
    off = np.abs(across / high - np.round(across / high))[new]
    assert np.quantile(off, 0.95) < 0.05
    assert inside(last.places).sum() == pytest.approx(inside(first.places).sum(), rel=0.05)


@pytest.mark.parametrize("rows", [0.3, 0.6, 1.0])
def test_rows_of_a_still_picture_settle(rows):
    hand = Hand(width=12.0, aspect=1.5, under=0.0, finest=60.0, cover=0.6, rows=rows)
    tracker, picture = StrokeTracker([hand], SIZE), texture()
    frames = [
        tracker.add(number, picture, even_flow(0, 0) if number else None)[0] for number in range(30)
    ]
    for before, after in itertools.pairwise(frames[10:]):
        np.testing.assert_array_equal(after.places, before.places)
    assert inside(frames[-1].places).sum() == pytest.approx(inside(frames[0].places).sum(), rel=0.1)


@pytest.mark.parametrize(("zoom", "least", "most"), [(0.01, 0.6, 1.3), (-0.01, 0.9, 1.9)])
def test_rows_stay_about_as_dense_in_a_zoom(zoom, least, most):
    hand = Hand(width=12.0, aspect=1.5, under=0.0, finest=60.0, cover=0.6, rows=1.0)
    tracker, picture = StrokeTracker([hand], SIZE), texture()
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    away = np.dstack([x - WIDTH / 2, y - HEIGHT / 2])
    flow = zoom * away, -zoom / (1 + zoom) * away
    counts = [
        inside(tracker.add(number, picture, flow if number else None)[0].places).sum()
        for number in range(80)
    ]
    assert min(counts) > least * counts[0] and max(counts) < most * counts[0]


def test_a_print_keeps_its_places_on_a_sheet_that_moves_as_most_of_the_picture_does():
    hand = Hand(kind="hatching", width=9.0, aspect=1.0, cover=1.6, rows=1.0, swell=1.0)
    tracker, picture = StrokeTracker([hand], SIZE), texture()
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    flow = np.dstack([2 + 0.01 * (x - WIDTH / 2), 0.01 * (y - HEIGHT / 2)])
    flow[60:120, 100:160] = (9, -7)  # what moves by itself
    first = tracker.add(0, picture, None)[0]
    for number in range(1, 20):
        last = tracker.add(number, picture, (flow, -flow))[0]
    before, after = same_strokes(first, last, np.ones(len(first.places), bool))
    assert len(before) > 0.8 * len(first.places)
    moved = after - before
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-3)
    np.testing.assert_allclose(moved[0], (38, 0), atol=4)
    assert inside(last.places).sum() == pytest.approx(inside(first.places).sum(), rel=0.05)


@pytest.mark.parametrize("speed", [(0, 10), (16, 12)])
def test_rows_of_a_print_go_on_in_fast_pans(speed):
    hand = Hand(kind="hatching", width=7.0, aspect=1.0, cover=1.6, rows=1.0, swell=1.0,
                directions=(0.0,))  # fmt: skip
    tracker, picture = StrokeTracker([hand], SIZE), texture()
    layer = tracker.trackers[0]
    for number in range(20):
        last = tracker.add(number, picture, even_flow(*speed) if number else None)[0]
    rows = (last.places @ layer.metric)[:, 1] / (layer.layer.spacing * 0.9**0.5)
    assert abs(np.exp(2j * np.pi * rows).mean()) > 0.99


def test_the_same_picture_always_has_the_same_strokes_and_another_frame_others():
    once, again, later = (
        StrokeTracker([HAND], SIZE).add(number, texture(), None) for number in (3, 3, 4)
    )
    for a, b, c in zip(once, again, later, strict=True):
        np.testing.assert_array_equal(a.places, b.places)
        assert len(a.places) != len(c.places) or (a.places != c.places).any()


def test_a_still_picture_changes_nothing():
    tracker = StrokeTracker([HAND], SIZE)
    picture = texture()
    begun = tracker.add(0, picture, None)
    settled = begun
    for number in range(1, 40):
        now = tracker.add(number, picture, even_flow(0, 0))
        for before, after in zip(settled, now, strict=True):
            assert (after.fates == LIVES).all()
            count = len(before.places)
            np.testing.assert_array_equal(after.places[:count], before.places)
            np.testing.assert_array_equal(after.identities[:count], before.identities)
        settled = now
    for before, after in zip(begun[:2], settled[:2], strict=True):
        assert len(after.places) <= 1.03 * len(before.places)  # gaps that no dart had hit


def test_strokes_that_crowd_go_one_by_one():
    """A picture that shrinks to a third in 24 frames: there is room for one in a small cell."""
    tracker = StrokeTracker([HAND], SIZE)
    picture = texture(540, 960)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    out = np.stack([x, y], axis=-1) - np.float32([WIDTH / 2, HEIGHT / 2])
    factor = np.float32((1 / 3) ** (1 / 24))
    crowded = 0
    for number in range(25):
        zoom = 3 * float(factor**number)
        way = np.array([[zoom, 0, 160 - zoom * 480], [0, zoom, 90 - zoom * 270]], np.float32)
        frame = cv2.warpAffine(picture, way, SIZE, borderMode=cv2.BORDER_REFLECT)
        flow = ((factor - 1) * out, (1 / factor - 1) * out) if number else None
        now = tracker.add(number, frame, flow)
        for layer, own in zip(HAND.layers()[:2], now):
            crowded += (own.fates == CROWD_OUT).sum()
            cells = own.places[: (own.fates == LIVES).sum()] // (0.55 * layer.spacing)
            assert number == 0 or len(np.unique(cells, axis=0)) == len(cells)
    assert crowded > 200


@pytest.mark.parametrize("layer", [2, 3])
def test_finer_strokes_lie_only_where_there_is_detail(layer):
    picture = texture()
    picture[:, : WIDTH // 2] = 120
    own = StrokeTracker([HAND], SIZE).add(0, picture, None)
    x = own[layer].places[inside(own[layer].places)][:, 0]
    assert (x > WIDTH // 2 + 20).sum() > 100
    assert not (x < WIDTH // 2 - 20).any()
    for broad in own[:2]:
        x = broad.places[inside(broad.places)][:, 0]
        assert (x < WIDTH // 2).sum() == pytest.approx((x >= WIDTH // 2).sum(), rel=0.25)


def test_of_an_even_picture_there_are_no_finer_strokes_at_all():
    own = StrokeTracker([HAND], SIZE).add(0, np.full((HEIGHT, WIDTH, 3), 99, np.uint8), None)
    assert [bool(len(layer.places)) for layer in own] == [True, True, False, False]


@pytest.mark.parametrize("dark", [slice(WIDTH // 2, None), slice(None, WIDTH // 2)])
def test_contours_lie_on_the_dark_sides_of_edges_and_nowhere_else(dark):
    hand = Hand(contour=0.8)
    edge = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    edge[:, dark] = 60
    contours = StrokeTracker([hand], SIZE).add(0, edge, None)[-1].places
    assert len(contours) > HEIGHT / (2 * hand.layers()[-1].spacing)
    into = (contours[:, 0] + 0.5 - WIDTH / 2) * (1 if dark.start else -1)
    assert (into > -0.6).all() and (into < 5).all()
    edge[:, dark] = 200
    edge[90:92, 160:162] = 160  # a lonely spot
    assert not len(StrokeTracker([hand], SIZE).add(0, edge, None)[-1].places)
    assert not any(layer.contour for layer in HAND.layers())
