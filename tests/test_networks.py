"""Known answers of the networks and their losses: vae, refiner, adversary and blocks."""

from cadl.images import metrics, tiles
from cadl.networks import blocks, colour_transfer, discriminator, refiner, vae
from cadl.training import adversarial, refiner_losses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

RNG = np.random.default_rng(0)
PICTURES = RNG.random((2, *tiles.SHAPE)).astype(np.float32)
CROPS = RNG.random((2, 96, 160, 3)).astype(np.float32)
THUMBNAILS = np.asarray(blocks.shrink(PICTURES, 4))
ENLARGED = np.asarray(ops.image.resize(colour_transfer.ahead(THUMBNAILS), tiles.SHAPE[:2]))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return vae.build_vae()


@pytest.fixture(scope="module")
def refining():
    keras.utils.set_random_seed(1)
    return refiner.Refining(4)


def test_space_to_depth_and_back_is_the_identity():
    there = blocks.SpaceToDepth(4)(PICTURES)
    assert there.shape == (2, 45, 80, 48)
    np.testing.assert_array_equal(blocks.DepthToSpace(4)(there), PICTURES)


def test_space_to_depth_is_tensorflows():
    ours = np.asarray(blocks.SpaceToDepth(2)(PICTURES))
    np.testing.assert_array_equal(ours, tf.nn.space_to_depth(PICTURES, 2))


def test_operations_of_one_convolution_are_counted():
    pixels = keras.Input((10, 20, 3))
    once = keras.Model(pixels, keras.layers.Conv2D(8, 3, padding="same")(pixels))
    assert blocks.count_operations(once) == 2 * 3 * 3 * 3 * 8 * 10 * 20


def test_all_networks_together_stay_within_3_gflop(model):
    sized = refiner.Refining(size=tiles.SHAPE[:2])
    parts = [model.encoder, model.decoder, sized.detail_encoder, sized.refiner]
    assert sum(map(blocks.count_operations, parts)) < 3.0e9


def test_the_vae_has_the_shapes_it_promises(model):
    z_mean, z_log_var = model.encoder(PICTURES)
    assert z_mean.shape == z_log_var.shape == (2, 512)
    assert model.decoder(z_mean).shape == (2, 180, 320, 3)


def test_kl_of_the_prior_is_zero():
    assert float(ops.sum(vae.kl_per_code(np.zeros((1, 4)), np.zeros((1, 4))))) == 0


def test_kl_of_known_gaussians():
    found = vae.kl_per_code(np.array([[1.0]]), np.log(np.array([[4.0]])))
    assert float(found[0, 0]) == pytest.approx(0.5 * (1 + 4 - 1 - np.log(4)))


def test_log_var_is_bounded_and_0_stays_0():
    bounded = np.asarray(vae.bound_log_var(ops.convert_to_tensor([-1e4, 0.0, 1e4])))
    np.testing.assert_allclose(bounded, [-12, 0, 4], atol=1e-5)


def test_sampling_without_noise_is_the_mean():
    mean = RNG.standard_normal((2, 512)).astype(np.float32)
    np.testing.assert_array_equal(vae.sample(mean, np.zeros((2, 512), "f4"), 0 * mean), mean)


def test_the_loss_is_the_sum_of_its_terms():
    mean, log_var = RNG.standard_normal((2, 2, 512)).astype(np.float32)
    loss, terms = vae.vae_loss(PICTURES, PICTURES + 0.1, mean, log_var, beta=0.5)
    np.testing.assert_allclose(terms["reconstruction_loss"], 0.01 * 180 * 320 * 3, rtol=1e-4)
    wanted = np.asarray(terms["reconstruction_loss"]) + 0.5 * np.asarray(terms["kl_loss"])
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)


def test_a_new_refiner_enlarges_the_thumbnails_as_they_are_moved(refining):
    calm, moved = (
        np.asarray(refining(PICTURES[::-1], PICTURES, np.full(2, s, "f4"))) for s in (0.0, 1.0)
    )
    np.testing.assert_allclose(calm, ENLARGED, atol=1e-5)
    goal, _ = colour_transfer.transfer(THUMBNAILS, THUMBNAILS[::-1], np.ones((2, 1), "f4"))
    wanted = ops.image.resize(colour_transfer.ahead(goal), tiles.SHAPE[:2])
    np.testing.assert_allclose(moved, wanted, atol=1e-5)


def test_a_grid_in_the_picture_of_the_vae_is_not_seen(refining):
    stripes = 0.5 + 0.2 * (-1.0) ** np.arange(tiles.WIDTH)[None, None, :, None]
    grid = np.tile(stripes, (1, tiles.HEIGHT, 1, 3)).astype(np.float32)
    even = np.full_like(grid, 0.5)
    calm = refining(grid, even, np.zeros(1, "f4"))
    np.testing.assert_allclose(calm[:, :, 4:-4], 0.5, atol=1e-5)


def test_the_detail_code_sees_luminance_only(refining):
    grey = np.repeat(PICTURES @ metrics.LUMINANCE[:, None], 3, axis=3)
    ours, theirs = refining.detail_encoder(PICTURES), refining.detail_encoder(grey)
    assert ours.shape == (2, 45, 80, 4)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_detail_code_sees_what_the_thumbnail_leaves_out(refining):
    large = np.asarray(ops.image.resize(RNG.random((1, 3, 4, 3)).astype("f4"), (180, 320)))
    few, many = (np.asarray(refining.detail_encoder(x)) for x in (0 * large, large))
    assert (
        np.abs(many - few)[:, 2:-2, 2:-2].mean()
        < 0.1
        * np.abs(
            np.asarray(refining.detail_encoder(large + 0.05 * RNG.standard_normal(large.shape)))
            - few
        ).mean()
    )


def test_a_restored_tile_has_the_mean_of_its_thumbnail_whatever_the_weights():
    network = disturb(refiner.build_refiner(4), 0.1)
    smooth = np.asarray(ops.image.resize(RNG.random((1, 6, 10, 3)).astype("f4"), (45, 80)))
    detail = RNG.standard_normal((1, 45, 80, 4)).astype("f4")
    restored = network([smooth, detail])
    added = restored - ops.image.resize(colour_transfer.ahead(smooth), (180, 320))
    assert np.std(added) > 0.1
    means = np.asarray(ops.mean(restored, axis=(1, 2))) - smooth.mean((1, 2))
    assert np.abs(means).max() < 0.01 * np.std(added)
    calm = refiner.build_refiner(4)([smooth, detail])
    plain = ops.image.resize(smooth, calm.shape[1:3])
    errors = [np.asarray(blocks.shrink(x, 4)) - smooth for x in (calm, plain)]
    new, usual = (np.abs(error).max() for error in errors)
    assert new < 0.25 * usual


def disturb(network, spread):
    rng = np.random.default_rng(3)
    network.set_weights([w + spread * rng.standard_normal(w.shape) for w in network.get_weights()])
    return network


def test_gradients_reach_every_weight():
    network = refiner.Refining(4)
    disturb(network.refiner, 0.1)
    pictures = ops.convert_to_tensor(PICTURES)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(network(pictures, pictures[::-1], np.ones(2, "f4"))))
    variables = network.trainable_variables
    gradients = dict(zip([v.path for v in variables], tape.gradient(loss, variables), strict=True))
    assert len(gradients) > 20
    for path, gradient in gradients.items():
        assert gradient is not None and np.abs(gradient).max() > 0, path


def test_what_the_filter_of_the_output_lets_through():
    """Nothing that repeats every second pixel, all that repeats every fourth or more slowly."""
    x = np.arange(320, dtype=np.float32)

    def passed(period):
        wave = 0.5 + 0.3 * np.cos(2 * np.pi * (x + 0.3) / period)
        picture = np.tile(wave[None, None, :, None], (1, 180, 1, 3)).astype(np.float32)
        drawn = np.asarray(blocks.low_pass(picture))[:, :, 4:-4]
        return np.std(drawn) / np.std(picture[:, :, 4:-4])

    assert passed(2) < 1e-4
    assert passed(4) == pytest.approx(1, abs=1e-3)
    assert all(1 < passed(period) < 1.11 for period in (5, 8, 16))


def test_a_window_is_what_brackets_take_and_has_their_gradient():
    maps = tf.random.stateless_normal((2, 7, 5, 3), (1, 2))
    for axis, start, size in ((1, 2, 4), (2, 0, 5), (2, 1, 2)):
        places = tuple(slice(start, start + size) if i == axis else slice(None) for i in range(4))
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(maps)
            ours, theirs = blocks.window(maps, axis, start, size), maps[places]
            sums = [tf.reduce_sum(tf.sin(x)) for x in (ours, theirs)]
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(*(tape.gradient(total, maps) for total in sums))


@pytest.mark.parametrize(("factor", "height", "width"), [(4, 180, 320), (2, 7, 9), (5, 45, 80)])
def test_shrinking_averages_over_blocks(factor, height, width):
    maps = RNG.random((2, height, width, 3)).astype(np.float32)
    whole = maps[:, : height // factor * factor, : width // factor * factor]
    blocked = whole.reshape(2, height // factor, factor, width // factor, factor, 3)
    np.testing.assert_allclose(blocks.shrink(maps, factor), blocked.mean((2, 4)), atol=1e-6)


def test_luminance_is_not_trained(refining):
    assert all("luminance" not in v.path for v in refining.trainable_variables)


def test_an_even_picture_stays_even_whatever_the_weights():
    """No grid can show: equal features give equal pixels away from the edges."""
    features = keras.Input((None, None, 8))
    network = disturb(keras.Model(features, refiner.residual(features)), 0.3)
    drawn = np.asarray(network(np.full((1, 44, 80, 8), 0.4, np.float32)))[0, 60:116, 60:260]
    assert np.ptp(drawn, axis=(0, 1)).max() < 1e-3 * np.abs(drawn).max()


def test_a_pyramid_adds_up_to_its_picture():
    *bands, rest = refiner_losses.pyramid(ops.convert_to_tensor(CROPS), 3)
    for band in bands[::-1]:
        size = band.shape[1:3]
        rest = band + ops.image.resize(rest, size, interpolation="bilinear")
    np.testing.assert_allclose(rest, CROPS, atol=1e-5)


def test_detail_kl_is_least_for_an_empty_code():
    empty, full = np.zeros((1, 4, 4, 2), "f4"), np.ones((1, 4, 4, 2), "f4")
    gap = float(refiner.detail_kl(full)[0] - refiner.detail_kl(empty)[0])
    assert gap == pytest.approx(0.5 * 32)


def test_sharp_loss_of_a_constant_error_is_its_square():
    found = refiner_losses.sharp_loss(CROPS, CROPS + 0.1)
    np.testing.assert_allclose(found, 0.01 * 96 * 160 * 3, rtol=1e-3)


def test_pictures_shifted_by_whole_pixels_and_by_parts():
    moved = np.asarray(blocks.shift(CROPS, np.float32([3.0, 1.0])))
    np.testing.assert_array_equal(moved[:, :-3, :-1], CROPS[:, 3:, 1:])
    y, x = np.mgrid[0:96, 0:160].astype(np.float32)
    slope = np.stack([y, x, y + 2 * x], -1)[None]
    moved = np.asarray(blocks.shift(slope, np.float32([0.25, 2.5])))
    wanted = slope + np.float32([0.25, 2.5, 5.25])
    np.testing.assert_allclose(moved[:, :-3, :-3], wanted[:, :-3, :-3], atol=1e-4)


def test_an_error_that_moves_with_its_picture_costs_nothing():
    by = np.float32([1.5, 2.0])
    error = CROPS - 0.5
    moving = np.asarray(blocks.shift(error[1:], by))
    assert float(refiner_losses.shift_loss(error, moving, by)) < 1e-6
    edge = 2 * refiner_losses.SHIFT_EDGE
    inside = (96 - edge) * (160 - edge) * 3
    found = float(refiner_losses.shift_loss(error, moving + 0.1, by))
    np.testing.assert_allclose(found, 0.01 * inside, rtol=1e-3)


def test_hinge_losses_of_known_scores():
    real, fake = np.full((1, 2, 2, 1), 2.0), np.full((1, 2, 2, 1), -2.0)
    assert float(discriminator.discriminator_loss(real, fake)) == 0
    assert float(discriminator.discriminator_loss(fake, real)) == 6
    assert float(discriminator.generator_loss(fake)) == 2


def test_the_discriminator_scores_patches():
    scores = discriminator.build_discriminator()(CROPS)
    assert scores.shape == (2, 6, 10, 1)


def test_a_discriminator_whose_gradient_grows_at_once_learns_on():
    opponent = adversarial.Rival(1e-3)
    real, fake = (tf.constant(RNG.random((2, 48, 64, 3)), tf.float32) * x for x in (1.0, 0.3))
    learn = tf.function(lambda: opponent.learn(real, fake, tf.constant(1.0)))
    for _ in range(6):
        learn()
    opponent.optimizer.norm_average.assign(1e-4 * opponent.optimizer.norm_average)
    usual = float(opponent.optimizer.norm_average)
    before = opponent.discriminator.get_weights()
    assert not any(float(learn()["discriminator_skipped"]) for _ in range(3))
    assert float(opponent.optimizer.norm_average) > usual
    assert any((a != b).any() for a, b in zip(before, opponent.discriminator.get_weights()))


def test_an_adversary_that_has_won_backs_off_and_comes_back():
    balance = adversarial.Rival(1e-3)
    assert balance.share == 0  # it learns alone first
    notices = [notice for _ in range(500) if (notice := balance.update(1.0))]
    assert notices and "backs off to 0.5" in notices[0]
    low = float(balance.weight)
    for _ in range(1000):
        assert balance.update(0.6) is None
    assert low < 0.5 and float(balance.weight) == 1
