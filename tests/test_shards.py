import gzip
import unicodedata

from cadl import files
from cadl.dataset import shards, tile_sets
from cadl.errors import UserError
from cadl.images import tiles

import numpy as np
import pytest
import tensorflow as tf

RNG = np.random.default_rng(0)


def make_tile(number, kind="video", source="clip"):
    pixels = RNG.integers(0, 255, tiles.SHAPE).astype(np.uint8)
    return shards.Tile(pixels, kind, source, number, number / 24, number // 4, f"é/{number}.mp4")


def write(folder, count, kind="video", source="clip"):
    made = [make_tile(number, kind, source) for number in range(count)]
    with shards.ShardWriter(folder, kind, source) as writer:
        for tile in made:
            writer.write(tile)
    return made


def test_a_tile_comes_back_as_it_went(tmp_path):
    made = write(tmp_path, 3)
    read = list(shards.read_shard(next(iter(shards.list_shards(tmp_path)))))
    for ours, theirs in zip(made, read, strict=True):
        assert (ours.pixels == theirs.pixels).all()
        assert ours.seconds == pytest.approx(theirs.seconds)
        for name in ("kind", "source", "index", "shot", "path"):
            assert getattr(ours, name) == getattr(theirs, name)


def test_a_disk_that_splits_letters_from_their_marks_loses_no_shard(tmp_path):
    made = write(tmp_path, 2, "painting", "münter")
    (path,) = shards.list_shards(tmp_path)
    path.rename(tmp_path / unicodedata.normalize("NFD", path.name))
    (path,) = shards.shards_of(tmp_path, "painting-münter")
    assert shards.list_shards(tmp_path) == {path: ("painting", "münter")}
    assert len(list(shards.read_shard(path))) == len(made)
    write(tmp_path, 1, "painting", "münter")
    assert len(shards.list_shards(tmp_path)) == 1


def test_records_have_the_schema_that_other_programs_rely_on(tmp_path):
    write(tmp_path, 1)
    path = tmp_path / "video-clip-00000-of-00001.tfrecord.gz"
    record = next(iter(tf.data.TFRecordDataset(str(path), "GZIP"))).numpy()
    fields = tf.train.Example.FromString(record).features.feature
    assert set(fields) == set("raw height width kind source index time shot path".split())
    assert len(fields["raw"].bytes_list.value[0]) == 180 * 320 * 3
    assert gzip.open(path).read(1)


def test_many_tiles_go_into_many_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "TILES_PER_SHARD", 2)
    write(tmp_path, 5)
    assert [path.name for path in shards.list_shards(tmp_path)] == [
        f"video-clip-0000{i}-of-00003.tfrecord.gz" for i in range(3)
    ]


def test_an_interrupted_writer_leaves_the_old_shards(tmp_path):
    write(tmp_path, 2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt), shards.ShardWriter(tmp_path, "video", "clip") as writer:
        writer.write(make_tile(9))
        raise KeyboardInterrupt
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_writer_without_tiles_leaves_the_old_shards(tmp_path):
    write(tmp_path, 2)
    with shards.ShardWriter(tmp_path, "video", "clip"):
        pass
    assert len(list(shards.read_shard(next(iter(shards.list_shards(tmp_path)))))) == 2


def test_a_tile_of_another_size_is_not_written(tmp_path):
    small = shards.Tile(np.zeros((90, 160, 3), np.uint8), "video", "clip", 0, 0.0, 0, "")
    with pytest.raises(ValueError, match="not"), shards.ShardWriter(tmp_path, "video", "c") as w:
        w.write(small)
    assert not list(tmp_path.iterdir())


def test_no_tiles_name_the_script_to_run(tmp_path):
    with pytest.raises(UserError, match="run extract_tiles.py first"):
        shards.list_shards(tmp_path)


def test_a_missing_shard_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "TILES_PER_SHARD", 2)
    write(tmp_path, 5)
    (tmp_path / "video-clip-00001-of-00003.tfrecord.gz").unlink()
    with pytest.raises(UserError, match="2 shards of 3 are there"):
        shards.list_shards(tmp_path)


def test_a_cut_shard_names_file_and_record(tmp_path):
    write(tmp_path, 4)
    path = next(iter(shards.list_shards(tmp_path)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"clip-00000-of-00001.*record \d+: damaged"):
        list(shards.read_shard(path))


def write_raw(folder, **changes):
    record = tf.train.Example.FromString(shards._serialize(make_tile(0)))
    for name, value in changes.items():
        if value is None:
            del record.features.feature[name]
        elif isinstance(value, int):
            record.features.feature[name].int64_list.value[0] = value
        else:
            record.features.feature[name].bytes_list.value[0] = value
    path = folder / "video-clip-00000-of-00001.tfrecord.gz"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        writer.write(record.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"raw": b"short"}, "tile of 320x180 in 5 bytes"),
        ({"height": 90}, "tile of 320x90"),
        ({"kind": b"poem"}, "kind is 'poem'"),
        ({"shot": None}, "fields are missing: shot"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, changes, message):
    path = write_raw(tmp_path, **changes)
    with pytest.raises(UserError, match="record 0") as error:
        list(shards.read_shard(path))
    assert message in str(error.value)


def test_source_names_are_lower_case_with_dashes():
    assert files.source_name("Van Gogh_1889") == "van-gogh-1889"
    assert files.source_name("-My Clip é") == "my-clip-é"
    assert files.source_name("...").startswith("unnamed-")
    assert files.source_name("🎨") != files.source_name("🎬")


def test_a_source_keeps_the_marks_of_its_letters_in_either_form():
    for name in ("मोने", "माने", "กล้วย", "தமிழ்"):
        assert files.source_name(name) == name
    assert files.source_name("❤\ufe0f é") == files.source_name("❤\ufe0f e\u0301") == "é"


@pytest.mark.parametrize("letter", ["x", "म"])
def test_a_long_name_is_cut_and_told_from_others_by_a_hash(letter):
    begin = letter * (240 // len(letter.encode()))
    first, second = files.source_name(begin + "1"), files.source_name(begin + "2")
    assert first != second and first.startswith(letter * 30)
    assert len(first.encode()) <= files.LONGEST_NAME == len((100 * "x").encode())


@pytest.fixture(scope="module")
def tile_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    write(folder, 12, "video", "clip")
    write(folder, 7, "painting", "monet")
    write(folder, 3, "painting", "münter")
    return tile_sets.load_tiles(folder)


@pytest.mark.parametrize(
    ("count", "wanted"), [(0, []), (3, [0, 1, 2]), (4, [0, 1, 2]), (9, [2, 4, 6])]
)
def test_some_are_picked_evenly(count, wanted):
    assert list(tile_sets.spread(np.arange(count), 3)) == wanted


def test_a_tile_set_lists_painters_first(tile_set):
    assert len(tile_set) == 22
    sources = tile_set.source_indices()
    assert list(sources)[-1] == "clip" and {len(own) for own in sources.values()} == {12, 7, 3}


def test_validation_holds_out_whole_groups_of_every_source(tile_set):
    train, held_out = tile_set.split(0.3, seed=1)
    assert not set(tile_set.groups[train]) & set(tile_set.groups[held_out])
    assert sorted([*train, *held_out]) == list(range(22))
    assert set(tile_set.sources[held_out]) == {"clip", "monet", "münter"}
    again = tile_set.split(0.3, seed=1)[1]
    assert (again == held_out).all()
    assert len(tile_set.split(0.0, seed=1)[1]) == 0


def batches(tile_set, first, last, size=4):
    dataset = tile_sets.training_batches(
        tile_set, np.arange(22), batch_size=size, seed=3, first_step=first, last_step=last
    )
    return list(dataset.as_numpy_iterator())


def test_the_order_depends_on_seed_and_step_alone(tile_set):
    whole = batches(tile_set, 0, 6)
    resumed = batches(tile_set, 4, 6)
    for (step, pixels, source), (step2, pixels2, source2) in zip(whole[4:], resumed, strict=True):
        assert step == step2 and (pixels == pixels2).all() and (source == source2).all()


def test_batches_are_half_paintings_and_painters_take_turns(tile_set):
    names = list(tile_set.source_indices())
    drawn = np.concatenate([source for _, _, source in batches(tile_set, 0, 6)])
    counts = {name: int((drawn == i).sum()) for i, name in enumerate(names)}
    assert counts == {"monet": 6, "münter": 6, "clip": 12}


def test_every_tile_is_seen_once_a_round(tile_set):
    train = np.flatnonzero(tile_set.sources == "clip")
    dataset = tile_sets.training_batches(
        tile_set, train, batch_size=4, seed=3, first_step=0, last_step=3
    )
    seen = set()
    for _, pixels, _ in dataset.as_numpy_iterator():
        for picture in pixels:
            for number in train:
                own = tile_set.pixels[number]
                if (own == picture).all() or (own[:, ::-1] == picture).all():
                    seen.add(int(number))
    assert seen == set(train.tolist())


def test_a_new_source_leaves_the_held_out_tiles_of_the_others(tmp_path):
    write(tmp_path, 12, "video", "clip")
    before = tile_sets.load_tiles(tmp_path)
    held_out = set(before.labels[before.split(0.3, seed=1)[1]])
    write(tmp_path, 6, "painting", "aaa")
    after = tile_sets.load_tiles(tmp_path)
    chosen = after.split(0.3, seed=1)[1]
    assert set(after.labels[chosen[after.sources[chosen] == "clip"]]) == held_out


def test_more_pictures_of_a_painter_leave_most_of_the_others_held_out_as_before(tmp_path):
    chosen = []
    for count in (40, 43):
        write(tmp_path, count, "painting", "monet")
        tile_set = tile_sets.load_tiles(tmp_path)
        chosen.append(set(tile_set.labels[tile_set.split(0.25, seed=1)[1]]))
    assert len(chosen[0]) == 10 and len(chosen[0] & chosen[1]) >= 8
    assert sum(int(name.split()[-1]) < 40 for name in chosen[1] - chosen[0]) <= 1
    assert set(tile_set.labels[tile_set.split(0.25, seed=2)[1]]) != chosen[1]


def test_a_painter_and_a_video_of_one_name_are_refused(tmp_path):
    for kind in ("painting", "video"):
        write(tmp_path, 2, kind, "monet")
    with pytest.raises(UserError, match=r"a painter and of a video named monet: rename one"):
        tile_sets.load_tiles(tmp_path)


def test_labels_can_be_written_whatever_the_name_of_a_file(tmp_path):
    pixels = np.zeros(tiles.SHAPE, np.uint8)
    with shards.ShardWriter(tmp_path, "painting", "monet") as writer:
        writer.write(shards.Tile(pixels, "painting", "monet", 0, 0.0, 0, "caf\udce9.jpg"))
    assert tile_sets.load_tiles(tmp_path).labels[0].encode("utf-8") == b"monet caf? 0"


def test_a_kind_that_is_a_source_too_has_no_weight():
    with pytest.raises(UserError, match="is a source and a kind"):
        tile_sets.check_weights({"video": 2}, ["video", "monet"])
    assert tile_sets.check_weights({"monet": 2}, ["video", "monet"]) == {"monet": 2}


def test_weights_draw_a_source_or_a_kind_more_often(trained):
    tile_set = tile_sets.load_tiles(trained.tiles)
    names = list(tile_set.source_indices())
    batches = tile_sets.training_batches(
        tile_set, np.arange(len(tile_set)), batch_size=12, seed=1, first_step=0, last_step=5,
        weights={names[0]: 3, "painting": 2},
    )  # fmt: skip
    drawn = np.bincount(np.concatenate([sources for _, _, sources in batches]), minlength=3)
    assert drawn.tolist() == [30, 10, 20]


@pytest.mark.parametrize(
    ("weights", "message"), [({"nobody": 2}, "WEIGHTS names nobody"), ({"video": 0}, "at least 1")]
)
def test_weights_of_nobody_and_of_nothing_are_refused(trained, weights, message):
    tile_set = tile_sets.load_tiles(trained.tiles)
    with pytest.raises(UserError, match=message):
        tile_sets.training_batches(
            tile_set, np.arange(len(tile_set)), batch_size=2, seed=1, first_step=0, last_step=1,
            weights=weights,
        )  # fmt: skip
