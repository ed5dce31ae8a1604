from cadl.errors import UserError
from cadl.images import closeups

import numpy as np
import pytest
from PIL import Image, ImageFilter

RNG = np.random.default_rng(0)


def picture(width=800, height=500):
    return Image.fromarray(RNG.integers(0, 255, (height, width, 3)).astype(np.uint8))


def some(folder, pictures=8, each=3):
    crops = [
        (f"{name}.png", 800, crop)
        for name in range(pictures)
        for crop in closeups.cut(picture(), f"{name}.png", each)
    ]
    closeups.save(closeups.path_of(folder, "someone"), crops)
    return closeups.load(folder, "someone")


def test_close_ups_are_of_one_size_whatever_the_pictures():
    for size in ((800, 500), (300, 900), (90, 60)):
        for crop in closeups.cut(picture(*size), "a", 2):
            assert crop.shape == (closeups.HEIGHT, closeups.WIDTH, 3) and crop.dtype == np.uint8


def test_the_same_picture_gives_the_same_close_ups():
    own = picture()
    for a, b in zip(closeups.cut(own, "a", 3), closeups.cut(own, "a", 3)):
        np.testing.assert_array_equal(a, b)


def test_close_ups_of_one_picture_are_all_to_be_fitted_to(tmp_path):
    path = tmp_path / "one.png"
    picture().save(path)
    own = closeups.of_picture(path)
    assert own.pixels.shape == (closeups.MOST, closeups.HEIGHT, closeups.WIDTH, 3)
    assert not own.held_out.any() and set(own.sides) == {800}
    assert closeups.remarks(own) == "only 1 picture"


def test_held_out_close_ups_are_of_other_pictures(tmp_path):
    own = some(tmp_path)
    held, fitted = (set(own.pictures[own.held_out == value]) for value in (True, False))
    assert len(held) == 2 and len(fitted) == 6 and not held & fitted


def test_a_few_close_ups_are_of_as_many_pictures_as_there_are(tmp_path):
    own = some(tmp_path)
    chosen = own.spread(6, held_out=False)
    places = [
        next(i for i, pixels in enumerate(own.pixels) if np.array_equal(pixels, crop))
        for crop in chosen
    ]
    assert len(set(own.pictures[places])) == 6


def test_few_or_small_pictures_are_remarked(tmp_path):
    assert closeups.remarks(some(tmp_path)) == ""
    assert "only 2 pictures" in closeups.remarks(some(tmp_path, pictures=2))


def test_what_is_damaged_or_missing_is_named_with_the_script(tmp_path):
    with pytest.raises(UserError, match=r"no close-ups of nobody.*run extract_tiles\.py"):
        closeups.load(tmp_path, "nobody")
    some(tmp_path, pictures=1, each=1)
    path = closeups.path_of(tmp_path, "someone")
    for contents in (path.read_bytes()[:-40], b"no archive at all"):
        path.write_bytes(contents)
        with pytest.raises(UserError, match=r"closeups-someone\.npz is damaged"):
            closeups.load(tmp_path, "someone")


def test_soft_pictures_are_remarked_on_and_sharp_ones_are_not(tmp_path):
    names = [f"{number}.png" for number in range(8)]
    for radius, remark in ((6, "they are soft"), (0, "")):
        own = [picture().filter(ImageFilter.GaussianBlur(radius)) for _ in names]
        crops = [(name, 800, closeups.cut(x, name, 1)[0]) for name, x in zip(names, own)]
        closeups.save(closeups.path_of(tmp_path, "someone"), crops)
        assert closeups.remarks(closeups.load(tmp_path, "someone")).startswith(remark)
        assert bool(closeups.remarks(closeups.load(tmp_path, "someone"))) == bool(remark)
