import math

from cadl.training import optimizer

import keras
import numpy as np
import pytest
import tensorflow as tf


def make(start=(0.0, 0.0), **options):
    weight = keras.Variable(start)
    adam = optimizer.Adam(0.1, **options)
    adam.build([weight])
    return adam, weight


def state(adam, weight):
    return [weight.numpy(), *(v.numpy() for v in (*adam._momentums, *adam._velocities))]


def test_adam_equals_that_of_keras():
    ours, weight = make((0.5, -1.0), beta_1=0.5, beta_2=0.99)
    theirs, reference = keras.optimizers.Adam(0.1, beta_1=0.5, beta_2=0.99), keras.Variable(weight)
    theirs.build([reference])
    for gradient in np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32):
        ours.apply([tf.constant(gradient)], [weight])
        theirs.apply([tf.constant(gradient)], [reference])
        np.testing.assert_allclose(weight.numpy(), reference.numpy(), rtol=1e-5, atol=1e-6)


def test_gradients_are_clipped_at_twice_their_usual_norm():
    adam, weight = make(beta_1=0.0, beta_2=0.0)
    adam.norm_average.assign(5.0)
    adam.iterations.assign(1000)
    norm, skipped = adam.learn([weight], [tf.constant([30.0, 40.0])], 1.0)
    assert float(norm) == pytest.approx(50) and float(skipped) == 0
    np.testing.assert_allclose(adam._momentums[0].numpy(), [6, 8], rtol=1e-5)
    assert float(adam.norm_average) == pytest.approx(0.98 * 5 + 0.02 * 10)


@pytest.mark.parametrize(("bounded", "rates"), [(False, 5.0), (True, 0.5)])
def test_a_large_gradient_after_quiet_steps_moves_a_bounded_variable_little(bounded, rates):
    adam, weight = make((0.0, 0.0), beta_1=0.5, beta_2=0.99)
    adam.bounds_updates = bounded
    for step in range(400):
        adam.apply([tf.constant([1e-3, -1e-3]) * (-1) ** step], [weight])
    before = weight.numpy()
    adam.apply([tf.constant([1.0, 1.0])], [weight])
    np.testing.assert_allclose(before - weight.numpy(), 0.1 * rates, rtol=0.05)


def test_bounds_are_not_felt_where_gradients_stay_as_they_are():
    bounded, free = make((0.5, -1.0)), make((0.5, -1.0))
    bounded[0].bounds_updates = True
    for _ in range(20):
        for adam, weight in (bounded, free):
            adam.apply([tf.constant([3.0, 4.0])], [weight])
    np.testing.assert_allclose(bounded[1].numpy(), free[1].numpy(), rtol=1e-5)


@pytest.mark.parametrize(
    ("gradient", "loss"),
    [([math.nan, 1], 1), ([math.inf, 0], 1), ([0, 200], 1), ([3, 4], math.nan)],
)
@pytest.mark.parametrize("bounded", [False, True])
def test_a_step_not_finite_or_far_out_of_line_changes_nothing(gradient, loss, bounded):
    adam, weight = make((1.0, 2.0))
    adam.bounds_updates = bounded
    learn = tf.function(lambda g, of: adam.learn([weight], [g], of))
    for _ in range(optimizer.FIRST_STEPS):
        learn(tf.constant([3.0, 4.0]), tf.constant(1.0))
    before = state(adam, weight)
    norm_before = float(adam.norm_average)
    _, skipped = learn(tf.constant(gradient, tf.float32), tf.constant(loss, tf.float32))
    assert float(skipped) == 1 and float(adam.norm_average) == norm_before == 5
    for a, b in zip(before, state(adam, weight), strict=True):
        np.testing.assert_array_equal(a, b)
    _, skipped = learn(tf.constant([3.0, 4.0]), tf.constant(1.0))
    assert float(skipped) == 0 and np.any(weight.numpy() != before[0])


def test_a_gradient_of_nothing_is_a_step_like_any_other():
    adam, weight = make((1.0, 2.0))
    for _ in range(5):
        adam.learn([weight], [tf.constant([3.0, 4.0])], 1.0)
    before = adam._momentums[0].numpy()
    _, skipped = adam.learn([weight], [tf.constant([0.0, 0.0])], 1.0)
    assert float(skipped) == 0
    np.testing.assert_allclose(adam._momentums[0].numpy(), 0.9 * before, rtol=1e-5)


def test_the_first_steps_teach_the_usual_norm():
    """A loss that begins at a flat place has a first gradient of next to nothing."""
    adam, weight = make()
    norms = [1e-9, 100.0, 120.0, 80.0, 100.0, 110.0, 9000.0]
    skipped = [float(adam.learn([weight], [tf.constant([n, 0.0])], 1.0)[1]) for n in norms]
    assert skipped == [0, 0, 0, 0, 0, 0, 1]


def test_the_usual_norm_can_be_learnt_anew():
    adam, weight = make()
    adam.learn([weight], [tf.constant([1.0, 0.0])], 1.0)
    adam.norm_average.assign(0.0)
    _, skipped = adam.learn([weight], [tf.constant([1e6, 0.0])], 1.0)
    assert float(skipped) == 0 and float(adam.norm_average) == pytest.approx(1e6)


def test_the_rate_warms_up_and_falls():
    rates = [optimizer.learning_rate_at(step, 1.0) for step in (0, 99, 1999, 7999)]
    assert rates == pytest.approx([0.01, 1, 1, 0.5])


def test_averages_follow_the_model():
    model, averaged = (keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]) for _ in "12")
    model.set_weights([np.ones((1, 1)), np.ones(1)])
    averaged.set_weights([np.zeros((1, 1)), np.zeros(1)])
    optimizer.make_averager(tf.distribute.get_strategy(), averaged, model)(tf.constant(100))
    np.testing.assert_allclose(averaged.get_weights()[0], 4 / 11, rtol=1e-6)
