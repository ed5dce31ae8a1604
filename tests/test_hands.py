import dataclasses
import json

from cadl import files
from cadl.errors import UserError
from cadl.images import closeups
from cadl.strokes import fitting, hands, repainting, texture
from cadl.strokes.hand import Hand
from cadl.strokes.reading import Reading, read_pictures
from cadl.strokes.recipes import library
from cadl.strokes.surface import show_canvas
from cadl.workers import WorkerPool

import cv2
import numpy as np
import pytest

DOTS = Hand(
    width=9.0, aspect=1.0, under=0.0, finest=60.0, cover=0.9, tilt=1.0, bend=0.0, ragged=0.0,
    bristles=0.0, relief=0.0, light=0.09, hue=0.06, bare=1.0, ground=(0.9, 0.85, 0.7),
)  # fmt: skip
PENCIL = Hand(
    kind="hatching", width=1.5, aspect=20.0, cover=0.4, relief=0.0, ground=(0.96, 0.96, 0.96),
    ink=(0.2, 0.2, 0.2), directions=(0.7, 2.2), light=0.03,
)  # fmt: skip


def scene(seed):
    """Draws soft forms of a few colours."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:192, 0:224]
    picture = np.full((192, 224, 3), rng.uniform(120, 220, 3))
    for _ in range(6):
        inside = np.hypot(y - rng.uniform(0, 192), x - rng.uniform(0, 224)) < rng.uniform(25, 70)
        picture[inside] = rng.uniform(30, 230, 3)
    return picture.astype(np.uint8)


def painted_by(hand, count=4, first=0):
    return [
        repainting.paint_close_up(repainting.CloseUp.of(scene(first + i)), hand)
        for i in range(count)
    ]


def test_ground_ink_and_directions_are_read_from_the_pictures():
    found = read_pictures(painted_by(PENCIL))
    np.testing.assert_allclose(found.ground, 0.96, atol=0.03)
    for angle in PENCIL.directions:
        assert min(abs(angle - own) for own in found.directions) < 0.1


WASHES = Hand(kind="flat", rim=0.8, light=0.15)


STROKES = Hand(width=5.0, finest=2.0, light=0.06, bristles=0.65, relief=0.7)


@pytest.mark.parametrize("hand", [DOTS, PENCIL, WASHES, STROKES])
def test_a_hand_is_nearer_to_its_own_pictures_than_others(hand):
    judge = repainting.Judge.of(painted_by(hand, 2))
    own = judge.score(hand)
    for other in (Hand(), Hand(kind="flat", contour=1.0), DOTS, PENCIL, WASHES):
        assert other is hand or own < 0.8 * judge.score(other)


def test_the_same_surface_has_no_distance():
    found = texture.describe(painted_by(DOTS, 2), None)
    assert max(texture.distances(found, found).values()) == 0


def test_worms_are_told_from_dots():
    """Patches alone could not: the reach of colours along and across tells."""
    dots, worms = (painted_by(own, 2) for own in (DOTS, dataclasses.replace(DOTS, aspect=5.0)))
    again = painted_by(DOTS, 2, first=9)
    true = texture.describe(dots, None)
    near, far = (
        texture.distances(texture.describe(x, None), true)["reach"] for x in (again, worms)
    )
    assert far > 1.5 * near


def test_round_strokes_are_told_from_straight_ones_where_paint_is_even():
    straight = dataclasses.replace(DOTS, under=1.6, bare=0.0, cover=1.7, taper=0.0, aspect=3.0)
    round_ones = dataclasses.replace(straight, aspect=1.0, taper=0.75, width=12.0)
    for own, other in ((round_ones, straight), (straight, round_ones)):
        judge = repainting.Judge.of(painted_by(own, 3))
        found = texture.describe(painted_by(other, 3), judge.fields)
        far = texture.distances(found, judge.true)
        more = dict(far, turns=2 * far["turns"])
        assert texture.score(more, judge.bare, judge.true) > texture.score(
            far, judge.bare, judge.true
        )
        again = texture.distances(texture.describe(painted_by(own, 3, first=9), None), judge.true)
        assert far["turns"] > 3 * again["turns"]


def test_how_edges_turn_does_not_count_under_grain():
    judge = repainting.Judge.of(painted_by(dataclasses.replace(DOTS, relief=0.9, ragged=0.3), 2))
    rng = np.random.default_rng(0)
    grainy = [np.clip(own.forms + rng.normal(0, 6, own.forms.shape), 0, 255).astype(np.uint8)
              for own in judge.close_ups]  # fmt: skip
    true = texture.describe(grainy, None)
    far = texture.distances(texture.describe(painted_by(PENCIL, 2), None), true)
    more = dict(far, turns=9 * far["turns"])
    assert texture.score(more, judge.bare, true) == texture.score(far, judge.bare, true)


def score_all(tasks):
    return [repainting.score_hand(pictures, hand) for pictures, hand in tasks]


@pytest.fixture
def small_library(monkeypatch):
    """A few recipes in place of all: the same search in a tenth of the time."""
    monkeypatch.setattr(fitting, "library", lambda reading: library(reading)[::7])


def test_a_search_never_gets_worse_and_ends(small_library):
    scores = [fit.score for fit in fitting.search(painted_by(DOTS, 1), 24, score_all)]
    assert scores == sorted(scores, reverse=True) and len(scores) > 1


@pytest.mark.parametrize("steps", [18, 40])
def test_a_recipe_that_is_best_only_when_refined_wins(monkeypatch, steps):
    recipes = [Hand(relief=relief) for relief in (0.0, 0.5, 1.0)]
    monkeypatch.setattr(fitting, "library", lambda reading: recipes)

    def score_all(tasks):
        return [
            0.5 + 0.01 * hand.relief
            - 0.4 * (hand.relief > 0.9 and abs(hand.tilt - Hand().tilt) > 0.1)
            for _, hand in tasks
        ]  # fmt: skip

    *_, found = fitting.search(painted_by(DOTS, 1), steps, score_all)
    assert found.hand.relief > 0.9 and found.score < 0.2
    assert found.evaluations <= steps + 1


@pytest.mark.parametrize("suits", [(1, 0), (1, 1)])
def test_what_suits_one_half_of_the_pictures_alone_is_not_taken(monkeypatch, suits):
    monkeypatch.setattr(fitting, "library", lambda reading: [Hand(), Hand(relief=0.0)])
    dark, light = (np.full((60, 80, 3), value, np.uint8) for value in (50, 200))

    def score_all(tasks):
        suited = [suits[int(pictures[0].mean() > 100)] for pictures, _ in tasks]
        return [
            0.5 + 0.1 * hand.relief + (-0.4 if own else 0.1) * hand.tilt
            for own, (_, hand) in zip(suited, tasks, strict=True)
        ]

    *_, found = fitting.search([dark, light], 20, score_all)
    assert (found.hand.tilt > Hand().tilt) == all(suits)


@pytest.fixture
def someone(tmp_path):
    crops = [(f"{i}.png", 640, crop) for i, crop in enumerate(painted_by(DOTS, 4))]
    closeups.save(closeups.path_of(tmp_path, "someone"), crops)
    return closeups.load(tmp_path, "someone")


def test_a_search_that_was_stopped_ends_in_the_same_hand(someone, tmp_path, small_library):
    with WorkerPool() as workers:
        list(hands.fit_hand(someone, 12, tmp_path / "whole", "someone", workers))
        started = hands.fit_hand(someone, 12, tmp_path / "stopped", "someone", workers)
        next(started)
        started.close()
        assert not (tmp_path / "stopped" / "someone.json").exists()
        list(hands.fit_hand(someone, 12, tmp_path / "stopped", "someone", workers))
    a, b = (files.read_json(tmp_path / name / "someone.json") for name in ("whole", "stopped"))
    assert a["detail"] >= hands.FAINTEST or a[hands.ABOUT]["fixed_brush"]
    assert a == b and hands.is_fitted(someone, 12, tmp_path / "whole", "someone")
    assert not hands.is_fitted(someone, 13, tmp_path / "whole", "someone")
    assert (
        a[hands.ABOUT]["held_out"] <= a[hands.ABOUT]["held_out_of_the_fixed_brush"]
        or a[hands.ABOUT]["fixed_brush"]
    )


def test_a_hand_can_be_edited_and_what_is_wrong_is_named(tmp_path):
    path = tmp_path / "someone.json"
    path.write_text(json.dumps({**PENCIL.to_json(), "about": {"painter": "someone"}}))
    assert hands.load_hand(path) == PENCIL
    for change, message in (
        ({"width": 0.2}, r"someone\.json: width 0\.2 is not from 0\.6 to 60"),
        ({"kind": "spray"}, r"kind 'spray' is not one of brush, hatching, flat"),
        ({"ground": [1, 2, 3]}, r"ground \[1, 2, 3\] is not three numbers from 0 to 1"),
        ({"colour": 3}, r"colour is no attribute of a hand"),
        ({"colours": 9.5}, r"colours 9\.5 is not a whole number"),
        ({"tilt": "much"}, r"tilt 'much' is not a number"),
    ):
        path.write_text(json.dumps({**PENCIL.to_json(), **change}))
        with pytest.raises(UserError, match=message):
            hands.load_hand(path)
    path.write_text("{")
    with pytest.raises(UserError, match=r"someone\.json is damaged"):
        hands.load_hand(path)


def test_a_blend_lays_the_strokes_of_each_painter_so_that_all_are_seen_by_their_weights():
    known = {"wide": Hand(width=16.0), "pencil": PENCIL}
    weights = {"pencil": 0.3, "wide": 0.5, "nobody": 0.2}
    found, missing = hands.of_style(weights, known.get)
    assert [hand for hand, _ in found] == [known["wide"], PENCIL, Hand()] and missing == ["nobody"]
    # What lies above hides what lies below: these shares leave each painter its weight.
    shares = [share for _, share in found]
    seen = [share * np.prod([1 - x for x in shares[i + 1 :]]) for i, share in enumerate(shares)]
    np.testing.assert_allclose(seen, [0.5, 0.3, 0.2])
    assert hands.of_style({"wide": 1.0}, known.get) == ([(known["wide"], 1.0)], [])


def test_directions_are_read_from_light_to_dark():
    """Two directions of lines everywhere dark, one where it is light, two more in the darkest."""
    angles = (0.7, 2.2, 0.1, 1.5)
    rng = np.random.default_rng(1)
    pictures = []
    for lines in (1, 1, 1, 2, 2, 4):
        sheet = np.full((192, 224, 3), 245, np.uint8)
        for angle in angles[:lines]:
            way = np.array((np.cos(angle), np.sin(angle)))
            for start in rng.uniform(0, 220, (150, 2)):
                ends = (start + side * 12 * way for side in (-1, 1))
                cv2.line(
                    sheet, *(tuple(map(int, end)) for end in ends), (60, 60, 60), 1, cv2.LINE_AA
                )
        pictures.append(sheet)
    found = read_pictures(pictures).directions
    assert len(found) == 4
    for own, wanted in zip((found[0], found[1]), angles, strict=False):
        assert abs(own - wanted) < 0.1
    for wanted in angles[2:]:
        assert min(abs((own - wanted + 1.57) % 3.14 - 1.57) for own in found[2:]) < 0.12


def test_contours_are_read_where_dark_lines_go_round_forms_and_not_at_plain_edges():
    rng = np.random.default_rng(0)
    for line, least, most in ((0, 0.0, 0.0), (3, 0.8, 1.0)):
        pictures = []
        for _ in range(6):
            sheet = np.full((192, 224, 3), 210, np.uint8)
            for middle in rng.uniform((50, 50), (170, 140), (3, 2)).astype(int).tolist():
                cv2.circle(sheet, middle, 36, (130, 120, 110), -1, cv2.LINE_AA)
                if line:
                    cv2.circle(sheet, middle, 36, (30, 30, 60), line, cv2.LINE_AA)
            pictures.append(sheet)
        assert least <= read_pictures(pictures).contour <= most
    assert read_pictures([np.full((192, 224, 3), 210, np.uint8)]).contour == 0.0


@pytest.mark.parametrize(("contour", "least", "most"), [(0.0, 0.0, 0.0), (0.8, 0.3, 1.0)])
def test_contours_of_a_painted_close_up_are_read_again(contour, least, most):
    hand = Hand(width=5.0, aspect=3.0, light=0.05, contour=contour, ink=(0.05, 0.05, 0.1))
    assert least <= read_pictures(painted_by(hand, 8)).contour <= most


@pytest.mark.parametrize("grain", [0, 10])
def test_parallel_strokes_are_told_from_scattered_ones_through_grain(grain):
    """The true pictures may have grain, as scans have; the painted ones have none."""
    parallel, scattered = (
        Hand(width=6.0, aspect=5.0, light=0.09, tilt=tilt) for tilt in (0.05, 0.8)
    )
    rng = np.random.default_rng(0)
    true = [
        np.clip(own + grain * rng.standard_normal(own.shape), 0, 255).astype(np.uint8)
        for own in painted_by(parallel, 3)
    ]
    near, far = (
        texture.distances(texture.describe(painted_by(own, 3), None), texture.describe(true, None))
        for own in (parallel, scattered)
    )
    for name in ("tensor1", "tensor2"):
        assert 2 * near[name] < far[name]


def test_words_tell_dots_of_ink_chalk_and_fixed_strokes_from_each_other():
    dark, light = (0.1, 0.1, 0.1), (0.9, 0.9, 0.9)
    stipple = Hand(kind="hatching", aspect=1.2, ground=light, ink=dark)
    chalk = Hand(kind="hatching", aspect=20.0, ground=dark, ink=light, directions=(0.5,))
    assert hands.in_words(stipple) == "dots of pencil or ink on paper, closer where it is dark"
    assert (
        hands.in_words(chalk) == "hatching in chalk: very long lines in 1 direction on dark paper"
    )
    rows = dataclasses.replace(stipple, rows=1.0, swell=1.0)
    assert hands.in_words(rows) == "dots in rows on paper, larger where it is dark"
    cut = dataclasses.replace(chalk, rows=1.0, swell=1.0)
    assert hands.in_words(cut) == "lines in rows on dark paper, broader where it is light"
    areas = Hand(kind="flat", colours=9)
    assert hands.in_words(areas) == "flat areas of 9 colours with no contours"
    inked = dataclasses.replace(areas, contour=1.0)
    assert hands.in_words(inked) == "flat areas of 9 colours with contours"
    washes = dataclasses.replace(areas, rim=0.5)
    assert hands.in_words(washes) == "washes of 9 colours with dark rims"
    assert "along one direction" in hands.in_words(Hand(fixed=1.0))
    assert "along the forms" in hands.in_words(Hand())
    assert "accents on top" in hands.in_words(Hand(accents=2.5))
    assert "accents" not in hands.in_words(Hand())


def test_every_recipe_of_the_library_is_in_its_ranges_and_has_words():
    reading = Reading((0.9, 0.9, 0.9), (0.1, 0.1, 0.1), (0.5, 2.0))
    for hand in library(reading):
        assert Hand.from_json(hand.to_json(), "library") == hand
        assert len(hands.in_words(hand)) > 10 and len(hand.layers()) >= 1


def test_strokes_of_a_narrow_brush_stay_short_straight_and_lightly_furrowed_in_a_search():
    reading = Reading((0.9, 0.9, 0.9), (0.1, 0.1, 0.1), (0.5, 2.0))
    narrow = [own for own in library(reading)
              if own.kind == "brush" and own.width < 8 and own.bristles]  # fmt: skip
    assert len(narrow) >= 8
    for hand in narrow:
        for name, most in {"aspect": 4.5, "bend": 0.2, "taper": 0.45, "accents": 2.5}.items():
            assert getattr(hand, name) <= most  # the library has what is drawn
            for by in (1.0, -1.0):
                moved = fitting._moved(hand, name, by)
                assert getattr(moved, name) <= most
        assert 0 < fitting._moved(hand, "bristles", -1.0).bristles < 0.1
        assert fitting._moved(hand, "bristles", 1.0).bristles == 0.65


def test_pictures_of_two_hands_are_remarked_on():
    def paint(lines, number):
        rng = np.random.default_rng(number)
        light = rng.random((24, 28)).repeat(8, 0).repeat(8, 1)
        if lines:
            light[rng.integers(0, 192, 60)] = 0
        return np.repeat((255 * light)[..., None], 3, axis=2).astype(np.uint8)

    for lines, wanted in (([0] * 12, False), ([0] * 11 + [1], False), ([0, 1] * 6, True)):
        pictures = np.stack([paint(own, number) for number, own in enumerate(lines)])
        names = np.array([f"{number}.png" for number in range(12)])
        own = closeups.CloseUps(pictures, names, np.zeros(12, bool), np.full(12, 800))
        assert ("two hands" in hands.remarks(own)) == wanted
    same = closeups.CloseUps(pictures[:1].repeat(12, 0), names, own.held_out, own.sides)
    assert hands.remarks(same) == ""


@pytest.mark.parametrize(
    ("calm", "least", "most"), [(0.15, 0.5, 0.5), (0.37, 0.2, 0.35), (1, 0, 0)]
)
def test_quiet_hands_are_known_by_calm_places_between_lively_ones(calm, least, most):
    """Noise of the size of strokes, a third of it `calm` times as strong."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(4):
        noise = cv2.GaussianBlur(rng.standard_normal((192, 224)).astype(np.float32), (0, 0), 2.0)
        noise[:64] *= calm
        pictures.append(
            np.repeat((128 + 90 * noise).clip(0, 255).astype(np.uint8)[..., None], 3, 2)
        )
    assert least <= read_pictures(pictures).quiet <= most


@pytest.mark.parametrize("grain", [0.0, 0.01, 0.02])
def test_the_grain_of_a_canvas_is_read_between_strokes(grain):
    """Flat tiles of many colours stand for strokes: their edges are no grain."""
    rng = np.random.default_rng(0)
    tiles = (60 + 120 * rng.random((12, 14, 3))).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    picture = show_canvas(np.ascontiguousarray(tiles), grain, scale=1.0)
    assert read_pictures([picture]).grain == pytest.approx(grain, rel=0.3, abs=5e-4)


def test_quarters_are_of_as_many_pictures_as_can_be_and_no_part_comes_twice():
    pictures = [np.full((6, 8, 3), i, np.uint8) for i in range(3)]
    for own in pictures:
        own[:3, 4:] += 10
        own[3:, :4] += 20
        own[3:, 4:] += 30
    found = fitting._quarters(pictures, 7)
    assert [int(own[0, 0, 0]) % 10 for own in found] == [0, 1, 2, 0, 1, 2, 0]
    assert all(own.shape == (3, 4, 3) and np.ptp(own) == 0 for own in found)
    every = [int(own[0, 0, 0]) for own in fitting._quarters(pictures, 99)]
    assert sorted(every) == [i + part for part in (0, 10, 20, 30) for i in range(3)]


def test_scores_are_kept_for_the_pictures_they_were_worked_out_on(tmp_path):
    """As many other pictures have scores of their own."""
    with WorkerPool() as workers:
        kept = hands._Scores(tmp_path / "someone.scores", "key", workers)
        (first,), (other,) = (kept.score_all([(painted_by(DOTS, 1, i), Hand())]) for i in (0, 5))
        again = hands._Scores(tmp_path / "someone.scores", "key", workers)
        assert again.score_all([(painted_by(DOTS, 1), Hand())]) == [first] != [other]
        with again.path.open("a") as file:
            file.write("half a li")  # as a kill, or a full disk, leaves it
        whole = hands._Scores(tmp_path / "someone.scores", "key", workers)
        whole.score_all([(painted_by(DOTS, 1), Hand(tilt=1.0))])
        lines = whole.path.read_text().splitlines()
        assert len(lines) == 3 and all(float.fromhex(line.split()[1]) for line in lines)
        whole.path.write_text("nonsense\n")
        anew = hands._Scores(tmp_path / "someone.scores", "key", workers)
        assert anew.score_all([(painted_by(DOTS, 1), Hand())]) == [first]


def test_narrow_strokes_that_lie_everywhere_are_not_too_many():
    short = Hand(width=4.0, finest=2.0, aspect=1.2, detail=0.04)
    assert hands._affordable(short) == dataclasses.replace(short, aspect=1.9, detail=0.07)
    for other in (dataclasses.replace(short, under=0.0), dataclasses.replace(short, width=9.0)):
        assert hands._affordable(other).aspect == 1.2
    assert hands._affordable(Hand(detail=0.1)) == Hand(detail=0.1)
