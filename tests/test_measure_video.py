"""Figures of videos whose answers are known."""

from fractions import Fraction

from benchmarks import measure_video
from benchmarks.measure_video import measure, read_paintings, squared_warping_errors
from cadl.errors import UserError
from cadl.video.writer import FrameWriter

import cv2
import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(3)
HEIGHT, WIDTH, FRAMES = 96, 160, 12


def blobs(height, width, scale=3.0):
    noise = cv2.GaussianBlur(RNG.standard_normal((height, width, 3)), (0, 0), scale)
    return np.clip(128 + 45 * noise / noise.std(), 0, 255).astype(np.uint8)


def pan(world, step):
    """A camera that moves by whole pixels to the right."""
    return np.stack([world[:, step * i : step * i + WIDTH] for i in range(FRAMES)])


WORLD, OTHER = (blobs(HEIGHT, WIDTH + 3 * FRAMES) for _ in range(2))
PAN, STILL = pan(WORLD, 3), pan(WORLD, 0)


def test_a_still_film_has_no_error_at_any_distance():
    (found,) = measure(STILL, [STILL])
    assert found["warping error"] == found["E_warp x1000"] == found["E_warp 10 x1000"] == 0
    assert found["SSIM light"] == pytest.approx(1)


@pytest.mark.parametrize(("distance", "step"), [(1, 3), (10, 1)])
def test_a_film_that_moves_by_whole_pixels_has_next_to_no_error_and_fixed_strokes_have_much(
    distance, step
):
    films = [pan(OTHER, step), pan(OTHER, 0)]
    moved, stuck = squared_warping_errors(pan(WORLD, step), films, distance)
    assert moved < 2e-5 < 1e-3 < stuck


def test_e_warp_is_the_mean_square_of_a_change_that_is_known():
    blinking = np.full_like(STILL, 100)
    blinking[::2, ..., 0] += 51  # a fifth, in red, in every second frame
    near, far = (squared_warping_errors(STILL, [blinking], n)[0] for n in (1, 10))
    assert near == pytest.approx(0.2**2 / 3, rel=1e-5)
    assert far == 0


def test_pairs_across_a_cut_do_not_count():
    cut = np.concatenate([STILL, 255 - STILL])
    assert squared_warping_errors(cut, [cut], 1) == squared_warping_errors(cut, [cut], 10) == 0
    assert np.isnan(squared_warping_errors(cut[:2], [cut[:2]], 10)).all()


def test_places_that_are_covered_in_the_other_frame_do_not_count():
    here, there = STILL[:2].copy()
    here[30:70, 20:60] = there[30:70, 26:66] = OTHER[30:70, 20:60]
    greys = [cv2.cvtColor(x, cv2.COLOR_RGB2GRAY) for x in (there, here)]
    seen = measure_video.match(measure_video.make_search(), *greys).seen
    assert seen[40:60, 62:65].mean() < 0.2
    assert seen[40:60, 35:45].mean() > 0.9 and seen[:15].mean() > 0.9


def save(folder, pictures):
    folder.mkdir(exist_ok=True)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return read_paintings(folder, WIDTH)


def test_patches_of_the_same_pictures_are_at_no_distance_and_mirrored_ones_near(tmp_path):
    paintings = save(tmp_path / "own", STILL[:1])
    films = [STILL[:1], STILL[:1, :, ::-1], blobs(HEIGHT, WIDTH, 1.0)[None]]
    same, mirrored, fine = (own["patches"] for own in measure(STILL[:1], films, paintings))
    assert same == 0 < mirrored < 0.5 * fine


def test_patches_of_flat_pictures_are_at_the_distance_that_a_closed_form_says(tmp_path):
    paintings = save(tmp_path / "flat", [np.full((HEIGHT, WIDTH, 3), 51, np.uint8)])
    black = np.zeros((2, HEIGHT, WIDTH, 3), np.uint8)
    (found,) = measure(black, [black], paintings)
    # 0.2 times the mean absolute sum of a direction's 147 numbers, which is nearly normal
    assert found["patches"] == pytest.approx(0.2 * np.sqrt(2 / np.pi), rel=0.15)


def test_one_run_prints_one_table_with_all_figures(tmp_path, capsys):
    save(tmp_path / "paintings", STILL[:1])
    for name, frames in (("a", PAN), ("b", STILL)):
        sink = FrameWriter(
            tmp_path / f"{name}.mp4", rate=Fraction(24), size=(WIDTH, HEIGHT),
            output_size=(WIDTH, HEIGHT),
        )  # fmt: skip
        with sink:
            sink.write(frames)
    words = [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"), "--width", str(WIDTH)]
    words += ["--paintings", str(tmp_path / "paintings"), "--crop", "0:0:0:0"]
    assert measure_video.main(words) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    for name in ("E_warp x1000", "E_warp 10 x1000", "SSIM light", "patches", "what moves"):
        assert name in header
    assert [row.split()[0] for row in rows] == ["a.mp4", "b.mp4"]
    assert "nan" not in rows[0]


def test_one_video_alone_and_a_folder_without_pictures_are_named(tmp_path, capsys):
    assert measure_video.main(["a.mp4"]) > 0
    assert "name two videos" in capsys.readouterr().err
    with pytest.raises(UserError, match="no pictures in it"):
        read_paintings(tmp_path, WIDTH)
