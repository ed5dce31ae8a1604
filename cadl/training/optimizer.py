"""How weights are changed: Adam, clipping, skipped steps, the rate of a step, averaged weights."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from cadl import _startup  # noqa: F401

import keras
import tensorflow as tf

CLIP_RATIO = 2.0  # a gradient longer than this many usual ones is shortened
SPIKE_RATIO = 30.0  # and beyond this many its step is skipped
NORM_MOMENTUM = 0.98
FIRST_STEPS = 5  # in which the usual norm is learnt; a loss may begin at a flat place
WARM_UP = 100  # steps in which the rate rises
DECAY_FROM = 2000  # step from which it falls
AVERAGE_EVERY = 4
VAE_EPSILON = 1e-5  # of gradients near 3: what is only rounding moves no weight by a whole step


class Adam(keras.optimizers.Adam):
    """Adam (Kingma & Ba 2015, arXiv 1412.6980), a variable at a time in TensorFlow's one kernel.

    Keras spells the update out in ten passes over memory, which on a CPU is a fifth of a small
    step. A scale of 0 leaves the variables and their moments as they are: a skipped step.

    Attributes:
        skips_spikes: whether a gradient far longer than usual is skipped; if not, it is clipped as
            all others, and the usual norm follows it.
        bounds_updates: whether a variable's rate falls where its gradients outgrow what their
            second moments remember (Wortsman et al. 2023, arXiv 2304.13013); else, after quiet
            steps, with a `beta_1` of 0.5 and a `beta_2` of 0.99 one moves it by five rates.
    """

    skips_spikes = True
    bounds_updates = False
    _scale: tf.Tensor | float = 1.0  # factor of the gradients, this step
    _step: "_Step | None" = None  # set while a step is being made

    def build(self, variables):
        """Makes the moments, and the running mean of the gradient's norm, which is saved too."""
        super().build(variables)
        self.norm_average = tf.Variable(
            0.0,
            trainable=False,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            name="norm_average",
        )

    def learn(
        self, variables: list, gradients: list[tf.Tensor], loss: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Adds up the replicas' gradients, clips them by their usual norm and applies them.

        Clipping at twice the running mean of the norm follows its fall over training, which no
        fixed bound can (compare Brock et al. 2021, arXiv 2102.06171, who clip unit-wise). A loss
        or gradient that is not finite changes nothing; nor does, after the first steps and if it
        `skips_spikes`, a gradient thirty times the usual.

        Args:
            variables: those it was built on.
            gradients: of the loss.
            loss: the sum over this replica's tiles of their loss / global batch size.

        Returns:
            The norm before clipping, float32 [], and 1.0 if the step was skipped, else 0.0.
        """
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync
        if replicas > 1:
            *gradients, loss = context.all_reduce(tf.distribute.ReduceOp.SUM, [*gradients, loss])
        norm = tf.linalg.global_norm(gradients)
        before = tf.convert_to_tensor(self.norm_average)
        usual = tf.where(before > 0, before, norm)
        first = tf.cast(self.iterations, tf.float32) < FIRST_STEPS
        good = tf.math.is_finite(norm + loss)
        if self.skips_spikes:
            good &= first | (norm <= SPIKE_RATIO * usual)
        clipped = tf.minimum(norm, CLIP_RATIO * usual)
        share = tf.maximum(1 - NORM_MOMENTUM, 1 / (1 + tf.cast(self.iterations, tf.float32)))
        after = usual + share * (tf.where(first, norm, clipped) - usual)
        self.norm_average.assign(tf.where(good, after, before))
        shorter = tf.minimum(1.0, CLIP_RATIO * usual / tf.maximum(norm, 1e-12))
        scale = tf.where(good, shorter, 0.0)
        self._scale = scale / replicas  # the base class adds replicas up again
        self.apply(gradients, variables)
        return norm, 1.0 - tf.cast(good, tf.float32)

    def apply(self, gradients, variables=None):
        """Changes all variables by their gradients times the scale; not at all if that is 0."""
        try:
            super().apply(gradients, variables)
        finally:  # both may be tensors of a graph that is being traced
            self._scale, self._step = 1.0, None

    def _begin_step(self, learning_rate) -> "_Step":
        scale = tf.convert_to_tensor(self._scale)
        kept = tf.cast(scale > 0, tf.float32)
        count = tf.cast(self.iterations + 1, tf.float32)
        return _Step(
            scale,
            kept * tf.cast(learning_rate, tf.float32),
            *(1.0 - kept * (1.0 - beta) for beta in (self.beta_1, self.beta_2)),
            *(beta**count for beta in (self.beta_1, self.beta_2)),
        )

    def update_step(self, gradient, variable, learning_rate):
        """Changes one variable."""
        step = self._step = self._step or self._begin_step(learning_rate)
        index = self._get_variable_index(variable)
        gradient = tf.math.multiply_no_nan(tf.cast(gradient, tf.float32), step.scale)
        rate = step.rate
        if self.bounds_updates:
            square = tf.square(gradient)
            known = self.beta_2 * self._velocities[index].value + (1.0 - self.beta_2) * square
            outgrown = square * (1.0 - step.beta_2_power) / (known + self.epsilon**2)
            rate /= tf.maximum(1.0, tf.sqrt(tf.reduce_mean(outgrown)))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=step.beta_1_power,
            beta2_power=step.beta_2_power,
            lr=rate,
            beta1=step.beta_1,
            beta2=step.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


@dataclass(frozen=True)
class _Step:
    """What the updates of all variables share, so that it is traced once. float32 [] each.

    In a skipped step `scale` and `rate` are 0 and both betas 1, so that nothing changes.
    """

    scale: tf.Tensor  # what gradients are multiplied by
    rate: tf.Tensor
    beta_1: tf.Tensor  # decay of the first moment
    beta_2: tf.Tensor  # decay of the second moment
    beta_1_power: tf.Tensor  # the optimizer's beta_1 to the power of the step's number, from 1 on
    beta_2_power: tf.Tensor  # beta_2 to the same power


def learning_rate_at(step: int, base: float) -> float:
    """Returns the rate of a step: linear warm-up, level, then falling with the square root.

    It does not depend on how many steps are planned, so that a run can be prolonged as if it had
    been meant to be longer from the start.
    """
    return base * min(1.0, (step + 1) / WARM_UP) * min(1.0, math.sqrt(DECAY_FROM / (step + 1)))


def make_averager(
    strategy: tf.distribute.Strategy, averaged: keras.Model, model: keras.Model
) -> Callable[[tf.Tensor], None]:
    """Returns a function that moves `averaged` toward `model`, to be called every few steps.

    The average spans about a tenth of all steps so far, at most 1000. It stands in for the decay
    of the learning rate that a run of unknown length cannot plan.
    """

    @tf.function(autograph=False)
    def update(step: tf.Tensor) -> None:
        span = tf.minimum(1000.0, 1.0 + 0.1 * tf.cast(step, tf.float32))
        rate = tf.minimum(1.0, AVERAGE_EVERY / span)
        for average, variable in zip(averaged.variables, model.variables, strict=True):
            strategy.extended.update(
                average.value, lambda a, v: a.assign_add((v - a) * rate), args=(variable.value,)
            )

    return update
