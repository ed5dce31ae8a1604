import itertools
import shutil

from cadl.strokes import track_files
from cadl.strokes.hand import Hand
from cadl.strokes.track_files import DamagedTracks, TrackWriter, chunk_path, read_tracks
from cadl.strokes.tracks import CROWD_OUT, LIVES, StrokeTracker

import cv2
import numpy as np
import pytest

SIZE = WIDTH, HEIGHT = 160, 90
FRAMES = 30
CHUNK = 12
SPEED = 2.3  # pixels a frame


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    monkeypatch.setattr(track_files, "CHUNK_FRAMES", CHUNK)


def film(number):
    """Returns a frame of a picture that moves to the left and shrinks, with a cut, and its flow."""
    rng = np.random.default_rng(number >= 17)
    picture = cv2.GaussianBlur(rng.integers(0, 255, (200, 400, 3)).astype(np.uint8), (0, 0), 3)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    zoom = 1.02**number
    way = np.array([[zoom, 0, SPEED * number], [0, zoom, 9]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    frame = cv2.warpAffine(picture, way, SIZE, flags=flags, borderMode=cv2.BORDER_REFLECT)
    if number in (0, 17):
        return frame, None
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    forward = np.stack([(x - SPEED) / 1.02 - x, y / 1.02 - y], axis=-1)
    backward = np.stack([1.02 * x + SPEED - x, 1.02 * y - y], axis=-1)
    return frame, (forward.astype(np.float32), backward.astype(np.float32))


FILM = [film(number) for number in range(FRAMES)]


def write(folder, *, until=FRAMES):
    """Follows the strokes from where the chunks that are there end; returns them by frame."""
    tracker = StrokeTracker([Hand()], SIZE)
    writer = TrackWriter(folder, tracker)
    done, seen = writer.frames_done, {}
    for number, (frame, flow) in enumerate(FILM[:until]):
        if number >= done:
            seen[number] = tracker.add(number, frame, flow)
            writer.add(seen[number])
        elif number == done - 1:
            tracker.see(frame)
    if until == FRAMES:
        writer.write()
    return seen


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder that all was written to at once, and what was written."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(track_files, "CHUNK_FRAMES", CHUNK)
        return folder, write(folder)


@pytest.fixture
def written(tmp_path, whole):
    folder, seen = whole
    return shutil.copytree(folder, tmp_path / "copy"), seen


def test_tracks_come_back_to_within_half_a_step(written):
    folder, seen = written
    assert len(list(folder.iterdir())) == 3
    for number, layers in enumerate(read_tracks(folder, 0, FRAMES)):
        assert len(layers) == len(seen[number]) == 4
        for found, own in zip(layers, seen[number], strict=True):
            assert found.places.dtype == np.float32
            np.testing.assert_allclose(found.places, own.places, atol=0.5 / 32 + 1e-4)
            np.testing.assert_array_equal(found.identities, own.identities)
            np.testing.assert_array_equal(found.fates, own.fates)
    assert number == FRAMES - 1


def test_speed_is_how_far_a_stroke_goes_to_the_next_frame(written):
    folder, _ = written
    frames = list(read_tracks(folder, 0, FRAMES))
    for now, after in itertools.pairwise(frames):  # also from chunk to chunk
        for own, then in zip(now, after, strict=True):
            lives = then.fates == LIVES
            gone = np.hypot(*(then.places[: lives.sum()] - own.places[lives]).T)
            np.testing.assert_allclose(own.speed[lives], gone, atol=1e-4)
    for before, own in zip(frames[-2], frames[-1], strict=True):  # the last ones came so fast
        lives = own.fates == LIVES
        np.testing.assert_allclose(own.speed[: lives.sum()], before.speed[lives], atol=1e-4)
    assert max(own.speed.max() for own in frames[1]) > 0.5


@pytest.mark.parametrize(
    ("first", "last"), [(0, 5), (9, 14), (12, 24), (20, 30), (29, 30), (3, 30)]
)
def test_a_part_read_alone_is_the_same_part_of_the_whole(written, first, last):
    folder, _ = written
    whole = list(read_tracks(folder, 0, FRAMES))
    part = list(read_tracks(folder, first, last))
    assert len(part) == last - first
    for found, own in zip(part, whole[first:last], strict=True):
        for a, b in zip(found, own, strict=True):
            for x, y in zip(a, b, strict=True):
                np.testing.assert_array_equal(x, y)


def test_strokes_grow_when_born_among_others_and_shrink_before_they_are_crowded_out(written):
    folder, seen = written
    frames = list(read_tracks(folder, 0, FRAMES))
    growth = [
        dict(zip(own.identities.tolist(), own.growth.tolist(), strict=True)) for own, *_ in frames
    ]
    for number in (0, 17):  # where a shot begins all are there at once
        alive = seen[number + 1][0].fates != CROWD_OUT
        assert min(own for own, stays in zip(growth[number].values(), alive) if stays) > 0.45
    grown = shrunk = 0
    for number in range(1, 12):
        own = seen[number][0]
        for identity in own.identities[own.growing].tolist():
            life = [growth[number + i].get(identity) for i in range(5)]
            if None not in life and growth[number + 5].get(identity) == 1:
                grown += 1
                assert np.square(life) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
        for identity in seen[number - 1][0].identities[own.fates == CROWD_OUT].tolist():
            shrunk += 1
            assert growth[number - 1][identity] ** 2 == pytest.approx(0.2)
    assert grown > 5
    for layers in frames:
        assert all(((own.growth > 0) & (own.growth <= 1)).all() for own in layers)
    assert any(own.fates.size and (own.fates != LIVES).any() for own, *_ in frames)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("fault", ["cut", "blank", "empty", "text"])
def test_a_damaged_chunk_is_named(written, number, fault):
    folder, _ = written
    path = chunk_path(folder, number)
    data = path.read_bytes()
    path.write_bytes({
        "cut": data[: len(data) // 2],
        "blank": data[: len(data) // 3] + bytes(len(data) // 3) + data[len(data) // 3 * 2 :],
        "empty": b"",
        "text": b"no tracks at all",
    }[fault])  # fmt: skip
    with pytest.raises(DamagedTracks, match="is damaged .*: run the same command again") as error:
        list(read_tracks(folder, 0, FRAMES))
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert isinstance(error.value, ValueError)


def test_a_missing_chunk_is_missing_and_not_the_end(written):
    folder, _ = written
    chunk_path(folder, 1).unlink()
    assert len(list(read_tracks(folder, 0, 5))) == 5
    with pytest.raises(FileNotFoundError):
        list(read_tracks(folder, 0, FRAMES))


@pytest.mark.parametrize("until", [3, 12, 20, 24, 29])
def test_the_writer_goes_on_after_the_chunks_that_are_there_to_the_same_strokes(
    whole, tmp_path, until
):
    write(tmp_path, until=until)
    assert len(list(tmp_path.iterdir())) == until // CHUNK
    write(tmp_path)
    for number in range(3):
        one, other = (chunk_path(folder, number) for folder in (whole[0], tmp_path))
        assert one.read_bytes() == other.read_bytes()


def test_a_damaged_chunk_and_all_after_it_are_written_anew(written):
    folder, _ = written
    paths = [chunk_path(folder, number) for number in range(3)]
    before = [path.read_bytes() for path in paths]
    paths[1].write_bytes(before[1][:-50])
    assert sorted(write(folder)) == list(range(CHUNK, FRAMES))
    assert [path.read_bytes() for path in paths] == before


def test_a_moving_stroke_takes_few_bytes(written):
    folder, seen = written
    strokes = sum(len(own.places) for layers in seen.values() for own in layers)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8 * strokes
