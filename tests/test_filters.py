"""Colours of any source come out as BT.709; transparent frames lie on white."""

from fractions import Fraction

from cadl.images.tiles import Crop
from cadl.video import facts, filters, probing, reader

import numpy as np
import pytest

USUAL = facts.FirstFrames(
    (1280, 720), Fraction(1), "yuv420p", False, "bt709", "bt709", "bt709", 0.04, 0.0
)


def middle_of_first(path):
    source = probing.probe(path)
    frame = next(reader.read_frames(source, crop=Crop(), size=(source.width, source.height)))
    return frame[source.height // 2, source.width // 2].astype(int)


def test_each_unknown_fact_is_guessed_alone():
    def guessed(**known):
        return ",".join(filters.to_bt709(USUAL._replace(**known)))

    assert guessed() == "setparams=color_trc=bt709"
    assert "colorspace=bt709:" in guessed(matrix="")
    assert "colorspace=smpte170m:" in guessed(matrix="", size=(720, 576))
    hdr = guessed(matrix="", transfer="smpte2084")
    assert "colorspace=bt2020nc" in hdr and "primaries" not in hdr and filters.TONE_MAP in hdr
    hdr = guessed(primaries="", transfer="arib-std-b67", matrix="bt2020nc")
    assert "color_primaries=bt2020," in hdr and "colorspace" not in hdr
    assert guessed(primaries="", matrix="bt2020nc").endswith("zscale=p=bt709")
    assert "colorspace=bt2020nc" in guessed(primaries="bt2020", matrix="")


@pytest.mark.parametrize("primaries", ["bt2020", "smpte432", "smpte170m", "bt470bg"])
@pytest.mark.parametrize("matrix", ["bt2020nc", "bt709", "smpte170m"])
def test_colours_of_other_primaries_come_out_as_bt709(tmp_path, ffmpeg, primaries, matrix):
    """Made from BT.709 by ffmpeg's own conversion: read, they are what they were."""
    path = tmp_path / "made.mkv"
    ffmpeg("-f", "lavfi", "-i", "color=0xb05040:s=64x64:r=25:d=0.2,format=gbrp,"
           "setparams=color_primaries=bt709:color_trc=bt709:range=pc", "-vf",
           f"zscale=p={primaries}:m={matrix.replace('bt2020nc', '2020_ncl')}:r=tv,format=yuv444p",
           "-c:v", "ffv1", path)  # fmt: skip
    assert np.abs(middle_of_first(path) - [0xB0, 0x50, 0x40]).max() <= 3


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mov", ["-c:v", "qtrle"]),
        ("a.mov", ["-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"]),
        ("a.webm", ["-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p"]),
        ("a.webm", ["-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", 0]),
        ("a.gif", ["-vf", "split[a][b];[a]palettegen[p];[b][p]paletteuse"]),
    ],
)
def test_transparent_frames_lie_on_white(tmp_path, ffmpeg, name, options):
    """Black is nowhere, red is seen, and what is not there is no black border."""
    drawn = "color=black@0:s=128x96:r=10:d=0.5,format=rgba,drawbox=32:32:64:32:red@1:fill:1"
    ffmpeg("-f", "lavfi", "-i", drawn, *options, tmp_path / name)
    source = probing.probe(tmp_path / name)
    assert probing.find_crop(source) == Crop()
    frame = next(reader.read_frames(source, crop=Crop(), size=(128, 96))).astype(int)
    assert frame[:20].min() > 245 and frame[76:].min() > 245
    assert np.abs(frame[48, 64] - [254, 0, 0]).max() < 12


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv410p", "yuv411p", "gray10le", "gbrpf32le"])
def test_frames_of_one_size_stay_what_they_are(tmp_path, ffmpeg, pixels):
    """Of an odd size, whatever their pixels are."""
    path = tmp_path / "odd.nut"
    codec = "rawvideo" if pixels == "gbrpf32le" else "ffv1"
    ffmpeg("-f", "lavfi", "-i", "color=0xa0a0a0:s=161x97:r=10:d=0.5,format=gbrp", "-pix_fmt",
           pixels, "-c:v", codec, path)  # fmt: skip
    source = probing.probe(path)
    frames = list(reader.read_frames(source, crop=Crop(), size=(161, 97)))
    assert len(frames) == 5 and all(np.abs(frame.astype(int) - 0xA0).max() <= 3 for frame in frames)
