import dataclasses

from cadl.strokes import looks
from cadl.strokes.hand import Hand
from cadl.strokes.looks import measure_looks, unit_vectors
from cadl.strokes.on_film import SHARPER
from cadl.strokes.stroke import Looks

import numpy as np
import pytest

HEIGHT, WIDTH = 180, 320
HAND = Hand()
LAYERS = HAND.layers()
Y, X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
RNG = np.random.default_rng(0)


def measured(light, places, colours=None):
    """Measures strokes of all layers at the same places in a grey picture of light in [0, 1]."""
    frame = np.repeat(np.round(255 * light)[..., None], 3, axis=2).astype(np.uint8)
    colours = frame if colours is None else colours
    return measure_looks(frame, colours, HAND, [places] * len(LAYERS))


def some_places(count=200, border=40):
    room = np.array([WIDTH - 2 * border, HEIGHT - 2 * border])
    return (border + RNG.random((count, 2)) * room).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90, 135, 160])
def test_strokes_lie_along_stripes(degrees):
    """Of a known angle, clockwise from the right."""
    angle = np.radians(degrees)
    across = Y * np.cos(angle) - X * np.sin(angle)
    for own in measured(0.5 + 0.4 * np.sin(across / 2.5), some_places()):
        wanted = np.array([np.cos(2 * angle), np.sin(2 * angle)])
        errors = 0.5 * np.arccos(np.clip(own.axis @ wanted, -1, 1))
        assert np.degrees(errors).max() < 3
        np.testing.assert_allclose(np.linalg.norm(own.axis, axis=1), 1, atol=1e-4)
        along = unit_vectors(own.axis)
        assert np.abs(along @ [np.cos(angle), np.sin(angle)]).min() > 0.998
        assert np.abs(own.bend).max() < 0.004  # they are straight


def test_strokes_on_rings_bend_with_them():
    centre = np.array([WIDTH / 2, HEIGHT / 2])
    radius = np.hypot(X - centre[0], Y - centre[1])
    turn = RNG.random(200) * 2 * np.pi
    distance = 45 + 25 * RNG.random(200)
    places = centre + distance[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for own in measured(0.5 + 0.4 * np.sin(radius / 2.5), places.astype(np.float32)):
        along = unit_vectors(own.axis)
        rate = (own.bend * along).sum(axis=1)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1)  # where a positive bend goes
        inward = (centre - places) / distance[:, None]
        bent = rate * (across * inward).sum(axis=1) * distance
        assert np.quantile(bent, 0.05) > 0.7 and np.quantile(bent, 0.95) < 1.3  # 1 / radius
        assert np.median(bent) == pytest.approx(1, abs=0.1)


def test_strokes_of_a_film_follow_its_large_forms_and_those_of_a_painting_its_own_strokes():
    dabs = [np.sin((X if (x + y) % 2 else Y) * 1.2) * (x == X // 12) * (y == Y // 12)
            for x in range(27) for y in range(15)]  # fmt: skip
    light = 0.5 + 0.2 * np.sin((X + Y) / 12) + 0.1 * sum(dabs)
    frame = np.repeat(np.round(255 * light)[..., None], 3, axis=2).astype(np.uint8)
    places = np.array([(12 * x + 5.5, 12 * y + 5.5) for x in range(4, 22) for y in range(4, 11)])
    along_dabs = [1.0 if (x + y) % 2 == 0 else -1.0 for x in range(4, 22) for y in range(4, 11)]
    waves, own_strokes = [], []
    for forms in (None, frame):
        own = measure_looks(frame, frame, HAND, [np.float32(places)] * len(LAYERS), forms)[0]
        waves.append((own.axis @ [0.0, -1.0]).mean())  # along the large waves, which rise
        own_strokes.append((own.axis[:, 0] * along_dabs).mean())
    assert waves[0] > 0.8 > 0.6 > waves[1]
    assert own_strokes[1] > own_strokes[0] + 0.2


def test_the_reach_of_a_stroke_ends_at_an_edge():
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:, 160:] = 255
    places = np.array([[100, 90], [155, 90], [151, 90], [165, 90]], np.float32)
    way = np.tile(np.float32([10, 0]), (4, 1))
    forward, back = looks._reach(frame, places, way)
    least, step = 0.15, 0.85 / 3  # a stroke keeps the least, and what is open of three steps
    np.testing.assert_allclose(forward, [1, least + step, least + 2 * step, 1], atol=1e-5)
    np.testing.assert_allclose(back, [1, 1, 1, least + step], atol=1e-5)


def test_behind_an_edge_a_stroke_does_not_come_out_again():
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[:, 105:108] = 255  # a line, between two places of the same colour
    forward, back = looks._reach(
        frame, np.array([[100, 90]], np.float32), np.array([[20, 0]], np.float32)
    )
    assert forward[0] == pytest.approx(0.15) and back[0] == pytest.approx(1)


def test_on_an_even_picture_strokes_are_whole_and_finer_ones_are_not_needed():
    places = some_places()
    broad, same, fine, finer = measured(np.full((HEIGHT, WIDTH), 0.5), places)
    for own in (broad, same, fine, finer):
        np.testing.assert_allclose(own.reach, 1, atol=1e-5)
        np.testing.assert_allclose(own.lean, 0, atol=1e-5)
        np.testing.assert_allclose(own.colours, 128 / 255, atol=1e-6)
    assert not any(own.need.any() for own in (broad, same, fine, finer))


def test_broad_strokes_know_how_even_a_picture_is_and_a_painting_counts_as_more_even():
    frame = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    frame[60:120:2, 100:200] = 90
    places = np.array([(20, 20), (150, 90), (300, 160)], np.float32)
    film, painting = (
        measure_looks(frame, frame, HAND, [places] * len(LAYERS), forms)[0].need
        for forms in (None, frame)
    )
    assert film[1] > 0.05 and not film[[0, 2]].any()
    np.testing.assert_allclose(painting, film / 2)


def test_colours_are_those_of_the_painter_and_not_the_frames():
    painters = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    painters[..., 0], painters[..., 2] = np.uint8(X * 255 / WIDTH), 77
    places = some_places()
    for own in measured(0.5 + 0.4 * np.sin(X), places, painters):
        np.testing.assert_allclose(own.colours[:, 0], places[:, 0] / WIDTH, atol=0.01)
        np.testing.assert_allclose(own.colours[:, 1:] * 255, [[0, 77]] * len(places), atol=1e-4)


def test_on_a_film_light_differs_more_beside_an_edge_and_colours_keep_their_hue():
    frame = np.full((HEIGHT, WIDTH, 3), (120, 90, 60), np.uint8)
    frame[:, WIDTH // 2 :] = (160, 130, 100)
    places = np.array([(156, 90), (163, 90), (60, 90), (260, 90)], np.float32)

    def colours(hand, forms=None):
        return measure_looks(frame, frame, hand, [places] * len(LAYERS), forms)[-1].colours * 255

    lively = dataclasses.replace(HAND, light=0.06)
    np.testing.assert_array_equal(colours(HAND), colours(HAND, frame))  # a calm hand needs none
    more = colours(lively) - colours(lively, frame)
    assert (more[0] < -3.3 * SHARPER).all() and (
        more[1] > 0
    ).all()  # darker, and only a little lighter
    assert more[1].max() < -0.5 * more[0].max()
    assert np.abs(more[2:]).max() < 0.5 and np.ptp(more, axis=1).max() < 1.5


def test_a_table_holds_all_looks():
    for own in measured(0.5 + 0.4 * np.sin(X + Y), some_places(20)):
        again = Looks.of_table(own.table())
        assert own.table().shape == (20, 12)
        for name, value in vars(own).items():
            np.testing.assert_array_equal(getattr(again, name), value)


def test_fixed_strokes_lie_along_the_hands_own_direction_whatever_the_forms():
    frame = np.repeat((127 + 100 * np.sin(Y / 3))[..., None], 3, axis=2).astype(np.uint8)
    for share, wanted in ((0.0, 0.0), (1.0, 0.9)):
        hand = dataclasses.replace(HAND, fixed=share, directions=(0.9,))
        for own in measure_looks(frame, frame, hand, [some_places()] * len(LAYERS)):
            angle = 0.5 * np.arctan2(own.axis[:, 1], own.axis[:, 0])
            np.testing.assert_allclose(angle, wanted, atol=0.06)
            if share:
                assert np.abs(own.bend).max() == 0


def test_a_quiet_hand_lays_even_places_of_a_film_in_its_own_direction():
    """Steep faint waves on the left, steep strong ones on the right; the hand's own is level."""
    light = 0.5 + np.where(X < 160, 0.02 * np.sin(X / 4), 0.3 * np.sin(X / 1.5))
    frame = np.repeat(np.round(255 * light)[..., None], 3, axis=2).astype(np.uint8)
    places = some_places()
    places = places[np.abs(places[:, 0] - 160) > 30]
    left, level = places[:, 0] < 160, []
    for quiet, forms in ((0.0, None), (0.5, None), (0.5, frame)):
        hand = dataclasses.replace(HAND, quiet=quiet, directions=(0.0,))
        found = measure_looks(frame, frame, hand, [places] * len(LAYERS), forms)
        level.append([own.axis[:, 0] for own in found])
    plain, quiet, painting = level
    assert max(own.max() for own in (*plain, *painting)) < -0.9
    for number, layer in enumerate(LAYERS):
        assert quiet[number][~left].max() < -0.9
        assert np.all(quiet[number][left] > 0.9) if not layer.coarser else max(quiet[number]) < -0.9


@pytest.mark.parametrize("chalk", [False, True])
def test_ink_lies_in_the_dark_and_chalk_in_the_light(chalk):
    paper, ink = (0.1, 0.1, 0.1), (0.9, 0.9, 0.9)
    if not chalk:
        paper, ink = ink, paper
    hand = Hand(kind="hatching", ground=paper, ink=ink, width=2.0, aspect=10.0)
    ramp = np.repeat((255 * X / WIDTH)[..., None], 3, axis=2).astype(np.uint8)
    places = np.stack([np.arange(30, 290), np.full(260, 90)], axis=1).astype(np.float32)
    measured = measure_looks(ramp, ramp, hand, [places] * len(hand.layers()), ramp)
    for own in measured[: len(hand.directions)]:
        steps = np.diff(own.need)
        assert (steps >= -1e-4).all() if chalk else (steps <= 1e-4).all()
        assert np.ptp(own.need) > 0.5


PENCIL = Hand(kind="hatching", width=2.0, aspect=20.0, cover=0.3, directions=(0.0,))


def drawn(frame, places, light=0.8):
    """Measures lines of a pencil in a film's frame that is moved to an even grey."""
    grey = np.full_like(frame, round(255 * light))
    return measure_looks(frame, grey, PENCIL, [places] * len(PENCIL.layers()))[0]


def test_lines_of_a_pencil_end_where_the_light_changes():
    frame = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    frame[:, WIDTH // 2 :] = 40
    length = PENCIL.layers()[0].length
    far, near = (WIDTH / 2 - 3.0 * length, 90.0), (WIDTH / 2 - 0.45 * length, 90.0)
    own = drawn(frame, np.array([far, near], np.float32))
    assert own.reach[0] == 1.0 and own.lean[0, 0] == 0.0
    forward, back = own.reach[1] + own.lean[1, 0], own.reach[1] - own.lean[1, 0]
    assert forward < 0.6 and back == 1.0


def test_lines_of_a_pencil_go_over_what_is_small_and_those_of_a_print_over_all(monkeypatch):
    length = PENCIL.layers()[0].length
    place = np.array([(WIDTH / 2 - 0.45 * length, 90.0)], np.float32)
    leaf, edge = (np.full((HEIGHT, WIDTH, 3), 200, np.uint8) for _ in range(2))
    leaf[89:92, WIDTH // 2 - 1 : WIDTH // 2 + 1] = 120
    edge[:, WIDTH // 2 :] = 40
    over, ended = (drawn(own, place).reach[0] for own in (leaf, edge))
    with monkeypatch.context() as unblurred:
        unblurred.setattr(looks, "OVER_SMALL", 0.0)
        assert drawn(leaf, place).reach[0] < over - 0.05
    assert ended < over - 0.05
    reaches = []
    for swell in (0.0, 0.5, 1.0):
        hand = dataclasses.replace(PENCIL, rows=1.0, swell=swell)
        own = measure_looks(edge, edge, hand, [place] * len(hand.layers()))[0]
        reaches.append(float(own.reach[0]))
    assert reaches[0] < reaches[1] < reaches[2] == 1.0 and own.lean[0, 0] == 0.0


def test_broad_strokes_of_even_places_end_at_soft_edges_that_they_would_reach():
    """They are drawn longer than others there, and must not run over."""
    hand = Hand(width=6.0, finest=2.0, fixed=1.0, directions=(0.0,))
    length, soft = hand.layers()[1].length, 12.0
    light = 0.5 + 0.3 * np.tanh((X - WIDTH / 2) / soft)
    frame = np.repeat(np.round(255 * light)[..., None], 3, axis=2).astype(np.uint8)
    place = np.array([(WIDTH / 2 - soft - 1.2 * length, 90.0)], np.float32)
    hands = hand, dataclasses.replace(hand, finest=60.0)  # of one size only
    longer, usual = (measure_looks(frame, frame, x, [place] * len(x.layers()))[1] for x in hands)
    assert longer.need[0] == usual.need[0] < 0.003
    assert longer.reach[0] < usual.reach[0]


def test_a_figure_of_the_ground_s_own_light_is_told_by_its_colour():
    frame = np.full((HEIGHT, WIDTH, 3), (60, 120, 60), np.uint8)
    frame[60:120, 140:180] = (215, 45, 40)  # of the same luminance
    inside, outside = drawn(frame, np.array([(160, 90), (40, 30)], np.float32)).need
    assert inside > outside + 0.1


def test_a_painter_s_own_picture_has_plain_lines_of_the_light_that_is_there():
    frame = np.full((HEIGHT, WIDTH, 3), (60, 120, 60), np.uint8)
    frame[60:120, 140:180] = 0
    places = np.array([(138, 90), (40, 30)], np.float32)
    own = measure_looks(frame, frame, PENCIL, [places] * 2, frame)
    assert (own[0].reach == 1.0).all() and not own[1].need.any()


def test_points_of_flat_areas_know_how_clear_the_edges_near_them_are():
    light = np.where(X < 160, 0.2, 0.2 + 0.6 * (X - 160) / 160)  # an edge at 40, a slow change
    light = np.where(X < 40, 0.8, light)
    frame = np.repeat(np.uint8(255 * light)[..., None], 3, axis=2)
    places = np.float32([[40, 90], [100, 90], [240, 90]])
    (own,) = measure_looks(frame, frame, Hand(kind="flat"), [places])
    np.testing.assert_allclose(own.need, (1, 0.5, 0.5), atol=0.05)
    (moving,) = measure_looks(frame, frame, Hand(kind="flat"), [places], speeds=[places[:, 0]])
    np.testing.assert_array_equal(moving.speed, places[:, 0])
    assert (own.speed == 0).all()
