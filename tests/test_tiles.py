import io
import struct
import zlib

from cadl.errors import UserError
from cadl.images import tiles
from cadl.images.tiles import Crop

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin


def test_crop_reads_what_it_writes():
    crop = Crop.parse("88:0:87:3")
    assert crop == Crop(88, 0, 87, 3) and Crop.parse(str(crop)) == crop


@pytest.mark.parametrize("text", ["", "1:2:3", "1:2:3:x", "-1:0:0:0", "1:2:3:4:5"])
def test_a_malformed_crop_is_refused(text):
    with pytest.raises(UserError, match="is not top:left:bottom:right"):
        Crop.parse(text)


def test_a_crop_that_leaves_nothing_is_refused():
    with pytest.raises(UserError, match=r"crop \(top=90, bottom=90\) leaves 0 of 180 rows"):
        Crop(90, 0, 90, 0).size(320, 180)
    with pytest.raises(UserError, match="leaves 0 of 320 columns"):
        Crop(0, 320, 0, 0).size(320, 180)


@pytest.mark.parametrize(
    ("width", "height"), [(1920, 1080), (1280, 544), (1080, 1920), (853, 480), (1, 1)]
)
def test_cover_crop_leaves_16_to_9(width, height):
    left, rows = tiles.cover_crop(width, height).size(width, height)
    assert abs(left - rows * 16 / 9) <= 1
    assert left == width or rows == height


def letterbox(top=0, bottom=0, left=0, right=0, level=200):
    frame = np.full((360, 640), level, np.uint8)
    frame[:top], frame[360 - bottom :] = 0, 0
    frame[:, :left], frame[:, 640 - right :] = 0, 0
    return frame


def test_borders_are_found_to_the_row():
    assert tiles.find_borders(letterbox(44, 44)) == Crop(44, 0, 44, 0)
    assert tiles.find_borders(letterbox(left=80, right=80)) == Crop(0, 80, 0, 80)
    assert tiles.find_borders(letterbox()) == Crop()


def test_a_black_video_has_no_borders():
    assert tiles.find_borders(np.zeros((360, 640), np.uint8)) == Crop()


def test_a_night_scene_that_fades_into_the_dark_is_no_border():
    frame = np.repeat(np.linspace(0, 120, 360)[:, None], 640, 1).astype(np.uint8)
    assert tiles.find_borders(frame) == Crop()


def test_one_lit_window_is_no_picture_between_borders():
    frame = np.full((360, 640), 4, np.uint8)
    frame[250:300, 200:320] = 250
    assert tiles.find_borders(frame) == Crop()


def test_a_wide_picture_gives_overlapping_tiles_that_cover_it():
    ramp = np.zeros((180, 960, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, 960)
    cut = tiles.picture_tiles(Image.fromarray(ramp), 4)
    assert [tile.shape for tile in cut] == [(180, 320, 3)] * 3
    assert cut[0][0, 0, 0] == 0 and cut[-1][0, -1, 0] == 255


def test_tiles_of_a_picture_are_bounded():
    assert len(tiles.picture_tiles(Image.new("RGB", (320, 4000)), 3)) == 3
    assert len(tiles.picture_tiles(Image.new("RGB", (320, 200)), 3)) == 1


def test_of_a_thread_of_a_picture_the_middle_is_taken():
    """Enlarged to tiles as a whole it would have 400 million pixels."""
    thread = np.zeros((8000, 2, 3), np.uint8)
    thread[3990:4010] = 255
    cut = tiles.picture_tiles(Image.fromarray(thread), 4)
    assert [tile.shape for tile in cut] == [tiles.SHAPE] * 4
    assert max(tile.mean() for tile in cut) > 200


def test_a_circle_stays_round():
    picture = Image.new("RGB", (800, 1000))
    yy, xx = np.mgrid[:1000, :800]
    disc = ((yy - 500) ** 2 + (xx - 400) ** 2 < 100**2)[..., None] * np.uint8([255, 255, 255])
    picture = Image.fromarray(disc.astype(np.uint8))
    middle = tiles.picture_tiles(picture, 1)[0][..., 0] > 128
    wide, high = middle.any(0).sum(), middle.any(1).sum()
    assert abs(int(wide) - int(high)) <= 1 and wide > 70


def test_mirrored_margins_come_off_again():
    frames = np.random.default_rng(0).integers(0, 255, (2, 136, 320, 3)).astype(np.uint8)
    whole = tiles.mirror_to_tile(frames)
    assert whole.shape == (2, 180, 320, 3)
    assert (whole[:, 22:158] == frames).all()
    assert (whole[:, 21] == frames[:, 0]).all() and (whole[:, 20] == frames[:, 1]).all()


def test_a_portrait_frame_is_mirrored_more_than_once():
    frames = np.random.default_rng(0).integers(0, 255, (1, 180, 64, 3)).astype(np.uint8)
    whole = tiles.mirror_to_tile(frames)
    assert whole.shape == (1, 180, 320, 3)
    assert (whole[:, :, 128:192] == frames).all()


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((1280, 544), (320, 136)), ((1080, 1920), (102, 180)), ((854, 480), (320, 180))],
)
def test_fit_keeps_proportions(size, fitted):
    assert tiles.fit_size(*size) == fitted


def test_float_and_back_is_exact():
    values = np.arange(256, dtype=np.uint8)
    assert (tiles.to_uint8(tiles.to_float(values)) == values).all()
    assert (tiles.to_uint8(np.array([-1.0, 2.0])) == [0, 255]).all()


def picture_file(tmp_path, picture, name, **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "1", "LA", "RGB"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    picture = Image.new("RGB", (8, 8), "white").convert(mode)
    name = "p.jpg" if mode == "CMYK" else "p.png"
    loaded = tiles.load_picture(picture_file(tmp_path, picture, name))
    assert loaded.mode == "RGB" and np.asarray(loaded).min() > 250


def test_transparent_pixels_are_white(tmp_path):
    path = picture_file(tmp_path, Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "p.png")
    assert (np.asarray(tiles.load_picture(path)) == 255).all()


def test_16_bit_grey_keeps_its_brightness(tmp_path):
    grey = Image.fromarray(np.full((8, 8), 32768, np.uint16))
    loaded = tiles.load_picture(picture_file(tmp_path, grey, "p.png"))
    assert abs(int(np.asarray(loaded)[0, 0, 0]) - 127) <= 1


def test_exif_turns_a_picture_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = picture_file(tmp_path, Image.new("RGB", (30, 20)), "p.jpg", exif=exif)
    assert tiles.load_picture(path).size == (20, 30)


def test_an_icc_profile_is_honoured(tmp_path):
    """One whose red is sRGB's green, and the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for old, new in ((b"rXYZ", b"?XYZ"), (b"gXYZ", b"rXYZ"), (b"?XYZ", b"gXYZ")):
        profile = profile.replace(old, new)
    picture = Image.new("RGB", (8, 8), (10, 200, 30))
    path = picture_file(tmp_path, picture, "p.png", icc_profile=profile)
    assert np.abs(np.asarray(tiles.load_picture(path))[0, 0] - [200.0, 10, 30]).max() <= 2


def test_a_long_text_in_a_picture_costs_no_picture(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", 3_000_000 * "x", zip=True)
    path = picture_file(tmp_path, Image.new("RGB", (8, 8), "red"), "p.png", pnginfo=text)
    assert np.asarray(tiles.load_picture(path))[0, 0].tolist() == [255, 0, 0]


def test_damaged_pictures_are_named(tmp_path):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, "png")
    for name, data in (("cut.png", buffer.getvalue()[:900]), ("text.jpg", b"no picture")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UserError, match=name):
            tiles.load_picture(path)


def test_a_decompression_bomb_is_refused(tmp_path):
    header = b"GIF89a" + (65535).to_bytes(2, "little") * 2 + bytes([0, 0, 0]) + b","
    path = tmp_path / "bomb.gif"
    path.write_bytes(header + bytes(4) + (65535).to_bytes(2, "little") * 2 + bytes([0, 2, 0, 59]))
    with pytest.raises(UserError, match="bomb.gif"):
        tiles.load_picture(path)


@pytest.mark.parametrize("suffix", ["png", "gif", "webp", "tiff"])
def test_of_moving_pictures_the_first_is_taken(tmp_path, suffix):
    first, second = (Image.new("RGB", (40, 30), colour) for colour in ("white", "black"))
    path = tmp_path / f"moves.{suffix}"
    first.save(path, save_all=True, append_images=[second], duration=100)
    with Image.open(path) as stored:
        assert stored.n_frames == 2
    assert np.asarray(tiles.load_picture(path)).min() > 250


@pytest.mark.parametrize("suffix", ["avif", "webp", "jpg", "bmp"])
def test_every_format_keeps_its_colours(tmp_path, suffix):
    path = tmp_path / f"PICTURE.{suffix.upper()}"
    Image.new("RGB", (64, 48), (200, 90, 40)).save(path)
    assert np.abs(np.asarray(tiles.load_picture(path), int) - [200, 90, 40]).max() <= 6


@pytest.mark.parametrize("white", [1.0, 255.0, 65535.0, 1e6])
def test_pictures_of_decimal_numbers_keep_their_brightness(tmp_path, white):
    """Whatever number is white; a few lie beyond it, and some are none."""
    values = np.tile(np.linspace(0, white, 256, dtype=np.float32), (64, 1))
    values[0, :4] = 1.2 * white, -0.1 * white, np.nan, np.inf
    loaded = np.asarray(
        tiles.load_picture(picture_file(tmp_path, Image.fromarray(values), "p.tif"))
    )
    assert np.abs(loaded[1, :, 0].astype(int) - np.arange(256)).max() <= 3
    assert loaded[0, :4, 0].tolist() == [255, 0, 0, 255]


@pytest.mark.parametrize("in_upper", [True, False])
def test_two_bars_stay_together_if_a_watermark_is_in_one(in_upper):
    brightest = np.zeros((360, 640), np.uint8)
    brightest[60:300] = 200
    assert tiles.find_borders(brightest) == Crop(60, 0, 60, 0)
    row = 20 if in_upper else 320
    brightest[row : row + 16, 500:600] = 180
    assert tiles.find_borders(brightest) == Crop()


def test_16_bit_colours_keep_their_brightness(tmp_path):
    # Pillow does not write this format, so here is a PNG of 2x2 pixels by hand.
    pixel = b"".join(value.to_bytes(2, "big") for value in (51400, 23130, 10280))
    rows = zlib.compress(2 * (b"\0" + 2 * pixel))
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + name + body
        data += struct.pack(">I", zlib.crc32(name + body))
    (tmp_path / "deep.png").write_bytes(data)
    loaded = np.asarray(tiles.load_picture(tmp_path / "deep.png"), int)
    assert np.abs(loaded - [200, 90, 40]).max() <= 1
