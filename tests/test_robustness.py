"""Damaged files: each is named in one line, or was not damaged where it counts; nothing is lost."""

import shutil

from cadl.dataset import tile_sets
from cadl.networks import saved_models
from cadl.style import embeddings
from cadl.training import checkpoints

import numpy as np
import pytest

DAMAGES = ("cut", "flipped", "blank", "swapped", "empty")


def damage(path, kind, rng):
    """Damages a file in one of several ways, at random places."""
    data = bytearray(path.read_bytes())
    start, end = sorted(rng.integers(0, len(data), 2))
    if kind == "cut":
        data = data[:start]
    elif kind == "flipped":
        for place in rng.integers(0, len(data), 5):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == "blank":
        data[start : end + 1] = bytes(end + 1 - start)
    elif kind == "swapped":
        data = data[start:] + data[:start]
    else:
        data = bytearray()
    path.write_bytes(data)


def checksum(model):
    return checkpoints.fingerprint(model)


READERS = {
    "tiles": (
        lambda project: project.tiles,
        "painting-bright-dabs-*.gz",
        lambda folder: tile_sets.load_tiles(folder).pixels.tobytes(),
    ),
    "run": (
        lambda project: project.vae_run,
        "settings.json",
        lambda folder: checksum(checkpoints.load_vae(folder)[0]),
    ),
    "embeddings": (
        lambda project: project.exported,
        "embeddings.npz",
        lambda folder: sum(
            source.covariance.sum()
            for source in embeddings.load_embeddings(
                folder / "embeddings.npz", saved_models.read_about(folder, "vae")["vae"]
            ).values()
        ),
    ),
    "graph": (
        lambda project: project.exported,
        "vae/saved_model.pb",
        None,
    ),
    "weights": (
        lambda project: project.exported,
        "vae/variables/variables.data-*",
        None,
    ),
    "about": (
        lambda project: project.exported,
        "vae/about.json",
        None,
    ),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_named_in_one_line(project, tmp_path, name, kind):
    find, pattern, read = READERS[name]
    whole, folder = find(project), tmp_path / "copy"
    shutil.copytree(whole, folder)
    path = next(folder.glob(pattern))
    rng = np.random.default_rng(DAMAGES.index(kind))
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p != path}
    damage(path, kind, rng)
    assert path.read_bytes() != next(whole.glob(pattern)).read_bytes()
    try:
        if read is None:
            saved_models.load_graph(folder, "vae")
            pytest.fail("damage that no checksum noticed")
        found = read(folder)
    except (ValueError, OSError) as error:
        assert str(folder) in str(error) and "\n" not in str(error)
    else:
        assert found == read(whole)  # the damage was where nothing is
    assert all(p.read_bytes() == data for p, data in before.items())


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_checkpoint_is_reported_and_the_one_before_taken(project, tmp_path, kind, capsys):
    folder = tmp_path / "run"
    shutil.copytree(project.vae_run, folder)
    damage(
        max(folder.glob("checkpoints/*.data-*")), kind, np.random.default_rng(DAMAGES.index(kind))
    )
    _, step, _ = checkpoints.load_vae(folder)
    _, newest, _ = checkpoints.load_vae(project.vae_run)
    assert step < newest and "is damaged" in capsys.readouterr().err
