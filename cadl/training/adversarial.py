"""A discriminator in training: it learns alone first, then counts, and is backed off if it wins."""

from cadl import _startup, console  # noqa: F401
from cadl.networks import discriminator
from cadl.training import optimizer

import keras
import numpy as np
import tensorflow as tf

WARM_UP = 300  # steps that the discriminator learns alone; then as many to full weight
TOO_RIGHT = 0.97  # share of patches told right above which the discriminator has won
RIGHT_ENOUGH = 0.8  # share below which it may come back
RIGHT_SPAN = 100  # steps over which that share is averaged
RECOVERY = 1.01  # how fast it comes back


class Rival(tf.Module):
    """A discriminator, its optimizer, and how much it counts; a checkpoint can hold it.

    Attributes:
        discriminator: by `discriminator.build_discriminator`.
        optimizer: its own.
        weight: float32 variable in [0, 1], what the adversarial weight is to be multiplied by while
            it has won, when its gradient only harms.
        right: float32 variable, running mean of the share of patches told right.
    """

    def __init__(self, learning_rate: float):
        """Builds the discriminator; begins at full weight."""
        super().__init__()
        self.discriminator = discriminator.build_discriminator()
        self.optimizer = optimizer.Adam(learning_rate, beta_1=0.5, beta_2=0.99)
        self.optimizer.build(self.discriminator.trainable_variables)
        # It starts where the difference is hardly seen, and may then see it at once: its gradient
        # grows a hundredfold. Skipped, it would stay as it is for ever, and mislead.
        self.optimizer.skips_spikes = False
        self.weight = tf.Variable(1.0, trainable=False)
        self.right = tf.Variable(0.5, trainable=False)

    @property
    def share(self) -> float:
        """How much it counts by now, in [0, 1]."""
        learnt = int(self.optimizer.iterations) - WARM_UP
        return float(np.clip(learnt / WARM_UP, 0, 1)) * float(self.weight)

    def learn(self, real: tf.Tensor, fake: tf.Tensor, share: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes one step of the discriminator.

        Args:
            real: float32 [N, h, w, 3].
            fake: the same.
            share: of the batch that this replica has, float32 [].

        Returns:
            Terms to log: loss, share of patches told right, 1.0 if the step was skipped.
        """
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                inner.watch(real)
                real_scores = self.discriminator(real)
                summed = tf.reduce_sum(tf.reduce_mean(real_scores, axis=(1, 2, 3)))
            slope = inner.gradient(summed, real)
            penalty = tf.reduce_mean(tf.reduce_sum(tf.square(slope), axis=(1, 2, 3)))
            fake_scores = self.discriminator(tf.stop_gradient(fake))
            loss = discriminator.discriminator_loss(real_scores, fake_scores)
            total = (loss + discriminator.R1_WEIGHT * penalty) * share
        variables = self.discriminator.trainable_variables
        _, skipped = self.optimizer.learn(variables, tape.gradient(total, variables), total)
        right = [tf.reduce_mean(tf.cast(s > 0, tf.float32)) for s in (real_scores, -fake_scores)]
        return {
            "discriminator_loss": loss,
            "discriminator_right": sum(right) / 2,
            "discriminator_skipped": skipped,
        }

    def take_note(self, step: int, terms: dict[str, float]) -> None:
        """Takes a step's terms, and says what was out of line or what it did about it."""
        if terms["discriminator_skipped"]:
            console.warn(f"step {step}: the discriminator's gradient was no number, skipped")
        elif self.share and (notice := self.update(terms["discriminator_right"])):
            console.warn(f"step {step}: {notice}")

    def update(self, right: float) -> str | None:
        """Takes a step's share of patches told right; says what it did, if anything."""
        self.right.assign(self.right + (right - self.right) / RIGHT_SPAN)
        if self.right > TOO_RIGHT:
            self.weight.assign(self.weight / 2)
            self.right.assign((RIGHT_ENOUGH + TOO_RIGHT) / 2)  # give it time
            return f"the discriminator has won: the adversary backs off to {float(self.weight):.3g}"
        if self.right < RIGHT_ENOUGH and self.weight < 1:
            self.weight.assign(tf.minimum(1.0, RECOVERY * self.weight))
        return None


def make_opposition(opponent: Rival, model: keras.Model, batch_size: int):
    """Returns the function that lets the discriminator learn, and the decoder learn from it.

    Its gradient goes to the decoder alone, in proportion to the pixels' own (Larsen et al. 2016,
    arXiv 1512.09300, alg. 1; balanced as by Esser et al. 2021, arXiv 2012.09841, eq. 7, but at the
    picture).

    Args:
        opponent: the discriminator in training.
        model: the VAE.
        batch_size: tiles a step, on all replicas.
    """
    features = discriminator.features_of(opponent.discriminator)
    decoder = model.decoder.trainable_variables
    places = {id(variable): i for i, variable in enumerate(model.trainable_variables)}

    def complain(tiles_in: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
        wanted = tf.stop_gradient(features(tiles_in))
        with tf.GradientTape() as tape:
            tape.watch(reconstruction)
            unlike = tf.reduce_mean(tf.abs(features(reconstruction) - wanted))
            scores = opponent.discriminator(reconstruction)
            loss = unlike + discriminator.generator_loss(scores)
        return tape.gradient(loss, reconstruction)

    def oppose(tape, loss, tiles_in, reconstruction, gradients, weight) -> dict[str, tf.Tensor]:
        """Makes one step of the discriminator, and adds what the decoder should learn from it.

        Args:
            tape: persistent, of the loss.
            loss: float32 [], of the pixels and codes.
            tiles_in: float32 [N, 180, 320, 3] in [0, 1].
            reconstruction: the same, not clipped.
            gradients: of the loss, one for each of the model's variables; the decoder's change.
            weight: float32 [], of the discriminator's gradient at the reconstruction, over that of
                the loss.

        Returns:
            Terms to log, times the share of the batch that this replica has.
        """
        norm = weight * tf.norm(tape.gradient(loss, reconstruction))
        share = tf.cast(tf.shape(tiles_in)[0], tf.float32) / batch_size
        complaint = complain(tiles_in, reconstruction)
        complaint *= norm / (tf.norm(complaint) + 1e-12)
        more = tape.gradient(reconstruction, decoder, output_gradients=complaint)
        terms = opponent.learn(tiles_in, reconstruction, share)
        for variable, gradient in zip(decoder, more, strict=True):
            gradients[places[id(variable)]] += gradient
        return {name: term * share for name, term in terms.items()}

    return oppose
