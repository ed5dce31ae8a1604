import dataclasses
import math

from cadl.strokes.hand import CANVAS, MAX_LAYERS, TRACKED, Hand

import pytest

SMALLER = TRACKED / CANVAS


def test_layers_are_half_as_broad_one_by_one_down_to_the_finest():
    hand = Hand(width=16.0, under=1.5, finest=4.0)
    widths = [2 * layer.width / SMALLER for layer in hand.layers()]
    assert widths == pytest.approx([24, 16, 8, 4])
    lengths = [2 * layer.length / SMALLER for layer in hand.layers()]
    assert lengths == pytest.approx([hand.aspect * width for width in widths])


def test_the_finest_layer_is_never_finer_than_asked_for():
    widths = [2 * layer.width / SMALLER for layer in Hand(width=15.0, finest=4.8).layers()]
    assert widths == pytest.approx([24, 15, 7.5, 4.8])


def test_finer_layers_know_what_they_refine():
    under, broad, *finer = Hand().layers()
    assert under.coarser == broad.coarser == 0 and len(finer) == 2
    assert [layer.coarser for layer in finer] == [broad.width, finer[0].width]


def test_without_underpainting_the_first_layer_is_the_broad_one():
    hand = Hand(under=0.0, width=12.0, finest=12.0)
    (layer,) = hand.layers()
    assert 2 * layer.width / SMALLER == pytest.approx(12)


def test_there_are_never_more_layers_than_can_be_drawn():
    assert len(Hand(width=60.0, finest=1.0).layers()) == MAX_LAYERS


def test_twice_the_cover_has_half_the_canvas_for_each_stroke():
    thin, thick = (Hand(cover=cover).layers()[1] for cover in (1.1, 2.2))
    assert thin.spacing**2 / thick.spacing**2 == pytest.approx(2)
    assert (thin.width, thin.length) == (thick.width, thick.length)


def test_strokes_cover_the_canvas_as_often_as_asked_for():
    hand = Hand(width=20.0, aspect=4.0, cover=3.0)
    layer = hand.layers()[1]
    area = 0.8 * (2 * layer.width) * (2 * layer.length)  # of a stroke, by its rectangle
    assert area / (0.9 * layer.spacing**2) == pytest.approx(3)


@pytest.mark.parametrize("name", ["width", "aspect", "under", "finest", "cover", "detail", "rows"])
def test_the_layout_tells_hands_apart_whose_strokes_lie_elsewhere(name):
    other = dataclasses.replace(Hand(), **{name: 1.21 * getattr(Hand(), name) or 0.5})
    assert other.layout() != Hand().layout()
    numbers = [number for number in other.layout() if isinstance(number, float)]
    assert numbers and all(math.isfinite(number) for number in numbers)


def test_of_a_brush_only_the_broad_strokes_lie_in_rows():
    layers = Hand(rows=0.5, contour=0.5, directions=(0.7,)).layers()
    assert [layer.rows for layer in layers] == [0.5, 0.5] + [0.0] * (len(layers) - 2)
    assert [layer.angle for layer in layers[:2]] == [0.7, 0.7] and len(layers) > 3
    assert Hand(kind="flat", rows=0.5).layers() == Hand(kind="flat").layers()


def test_hatching_in_rows_has_a_layer_for_each_direction_and_pieces_that_swell_meet():
    plain = Hand(kind="hatching", aspect=8.0, directions=(0.3, 1.2), rows=1.0)
    layers, swelling = plain.layers(), dataclasses.replace(plain, swell=1.0).layers()
    assert [(own.angle, own.rows, own.swell) for own in layers] == [(0.3, 1.0, 0), (1.2, 1.0, 0)]
    assert [own.swell for own in swelling] == [1.0, 1.0]
    assert all(more.length > own.length for more, own in zip(swelling, layers, strict=True))
    assert swelling[0].tones[1] == 1.0 and layers[0].tones[1] < 0.5
    dots = dataclasses.replace(plain, aspect=1.0)
    assert dots.layers()[0].length == dataclasses.replace(dots, swell=1.0).layers()[0].length


@pytest.mark.parametrize(
    "name", "sizes tilt bend taper ragged bristles relief light hue accents".split()
)
def test_the_layout_leaves_out_what_strokes_look_like(name):
    other = dataclasses.replace(Hand(), **{name: 1.5 * getattr(Hand(), name)})
    assert other != Hand() and other.layout() == Hand().layout()


def test_the_thinnest_lines_are_those_whose_tone_begins():
    for swell, least in ((0.0, 1.0), (1.0, 0.15)):
        (layer,) = Hand(
            kind="hatching", aspect=3.0, rows=1.0, swell=swell, directions=(0.5,)
        ).layers()
        assert layer.thinnest == pytest.approx(least * layer.width)
        assert layer.printed == (swell > 0)
