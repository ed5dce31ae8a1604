"""The refiner of 2017, which bench_picture trains as the opponent."""

from benchmarks import ancestor
from cadl.dataset import tile_sets
from cadl.images import tiles
from cadl.networks import blocks, vae

import keras
import numpy as np
import pytest

RNG = np.random.default_rng(0)


def test_a_new_refiner_only_blurs():
    pictures = RNG.random((2, *tiles.SHAPE)).astype(np.float32)
    blurred = np.asarray(blocks.filter_by(pictures, (0.5, 0.25)))
    np.testing.assert_allclose(ancestor.build_refiner()(pictures), blurred, atol=1e-6)


def test_the_loss_of_known_errors():
    pictures = np.zeros((1, 180, 320, 3), np.float32)
    pixels = 180 * 320 * 3
    wanted = 0.6 * 0.04 * pixels + 0.4 * 1e4 / (0.01 * pixels + 1)
    found = ancestor.refiner_loss(pictures + 0.3, pictures + 0.1, pictures)
    assert float(found[0]) == pytest.approx(wanted, rel=1e-4)
    crops = [x[:, :90, :160] for x in (pictures + 0.3, pictures + 0.1, pictures)]
    assert float(ancestor.refiner_loss(*crops)[0]) == pytest.approx(wanted, rel=1e-4)


def test_training_lowers_the_loss():
    keras.utils.set_random_seed(1)
    vae_model = vae.build_vae()
    names = np.array(["a", "b", "c"])
    pixels = RNG.integers(100, 120, (3, *tiles.SHAPE)).astype(np.uint8)
    tile_set = tile_sets.TileSet(pixels, np.array(["painting"] * 3), names, names, names)
    trained = ancestor.train_refiner(vae_model, tile_set, np.arange(3), steps=5, seed=1)
    targets = tiles.to_float(pixels)
    pictures = vae_model.decoder(vae_model.encoder(targets)[0])
    before, after = (
        float(np.mean(ancestor.refiner_loss(targets, network(pictures), pictures)))
        for network in (ancestor.build_refiner(), trained)
    )
    assert after < before
