from cadl.conversion.brushwork import Brushwork, lay_strokes
from cadl.conversion.clip import Geometry
from cadl.strokes.hand import Hand
from cadl.strokes.looks import measure_looks
from cadl.strokes.track_files import Tracked
from cadl.strokes.tracks import StrokeTracker

import numpy as np
import pytest

GREY = np.full((180, 320, 3), 128, np.uint8)
EVEN = {"light": 0.0, "hue": 0.0, "bristles": 0.0, "relief": 0.0}  # strokes that can't be seen
PLAIN, WOVEN = Hand(**EVEN), Hand(**EVEN, grain=0.08)


def painted(hands, strength=1.0, speed=0.0, rate=25.0):
    geometry = Geometry(*[(320, 180)] * 4)
    own = StrokeTracker([hand for hand, _ in hands], (320, 180)).add(0, GREY, None)
    ones = [np.ones(len(one.places), np.float32) for one in own]
    tracked = [
        Tracked(x.places, x.identities, x.fates, one, speed * one)
        for x, one in zip(own, ones, strict=True)
    ]
    brushwork = Brushwork(geometry, hands, rate=rate)
    looks = [
        look
        for hand, _, part in brushwork.parts()
        for look in measure_looks(
            GREY, GREY, hand, [one.places for one in tracked[part]],
            speeds=[one.speed for one in tracked[part]],
        )
    ]  # fmt: skip
    return lay_strokes(GREY, GREY, brushwork, tracked, looks, strength).astype(float).std()


def test_the_canvas_comes_with_the_strength_and_with_the_share_of_its_hand():
    whole = painted(((WOVEN, 1.0),))
    assert whole == pytest.approx(0.5 * 0.08 * 255, rel=0.1)  # half as wide as the canvas
    assert painted(((WOVEN, 1.0),), strength=0.5) == pytest.approx(0.5 * whole, rel=0.1)
    assert painted(((PLAIN, 1.0), (WOVEN, 0.3))) == pytest.approx(0.3 * whole, rel=0.1)
    assert painted(((WOVEN, 1.0), (PLAIN, 0.3))) == pytest.approx(0.7 * whole, rel=0.1)
    assert painted(((PLAIN, 1.0),)) == 0


def test_the_canvas_fades_on_what_moves_fast_whatever_the_rate_of_the_film():
    rest, fast, slow, same = (
        painted(((WOVEN, 1.0),), speed=speed, rate=rate)
        for speed, rate in ((0, 25), (2, 25), (0.1, 25), (1, 50))
    )
    assert fast < 0.3 * rest and slow > 0.95 * rest
    assert fast == pytest.approx(same, rel=0.01)
