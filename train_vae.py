"""Step 3 of 7: trains the variational autoencoder on all tiles.

    python train_vae.py --steps 20000

Watch it with `tensorboard --logdir log`. Stop it with Ctrl-C whenever you like; the same command
goes on where it stopped, and a larger --steps trains a finished run further.
"""

import functools
import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

from cadl import _startup, console, files  # noqa: F401
from cadl.dataset import tile_sets
from cadl.networks import vae
from cadl.settings import Amount, Count, Range, Rate, Seed, read_settings, show_settings
from cadl.training import adversarial, devices, optimizer, projector
from cadl.training.checkpoints import keep_best
from cadl.training.run import Run, one_writer
from cadl.training.run_record import make_record
from cadl.training.vae_watch import Watch

import tensorflow as tf

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
RUN: Path = Path("log/vae")  # checkpoints, TensorBoard, previews, progress.mp4

STEPS: Count = 3_000  # in all: some 12 minutes on two cores; held-out tiles are then at their best
BATCH_SIZE: Count = 8  # tiles a step; less if memory runs out
LEARNING_RATE: Rate = 1e-3  # Adam's, after warm-up; falls with 1/sqrt(step) from step 2000
BETA: Amount = 0.05  # weight of the KL term: more gives smoother codes and a blurrier picture
ADVERSARIAL_WEIGHT: Amount = 0.0  # of a discriminator, over the pixels' own; 0 leaves it out
WEIGHTS: dict[str, int] = {}  # how often sources are drawn: source=times,...; others once
SEED: Seed = 1  # of weights, order of tiles and noise

VALIDATION_FRACTION: Annotated[float, Range(0, 0.5)] = 0.05  # whole shots and paintings held out
CHECKPOINT_EVERY: Count = 500  # steps between checkpoints
PREVIEW_EVERY: Count = 250  # steps between previews and validations
LOG_EVERY: Count = 25  # steps between points of the curves

MIXED_PRECISION: bool = False  # 16-bit arithmetic, for a GPU with tensor cores; slow on a CPU
XLA: bool = False  # compile the step with XLA, on one device

ADAM_BETA_2 = 0.99  # of Adam


@console.script
def main(argv: list[str] | None = None) -> int:
    """Trains to the last step and returns the exit status."""
    settings = read_settings(argv)
    console.say(show_settings(settings))
    strategy = devices.set_up(settings.seed, xla=settings.xla)

    # Load the tiles, and hold some out.
    tile_set = tile_sets.load_tiles(settings.tiles)
    trained, held_out = tile_set.split(settings.validation_fraction, settings.seed)
    sources = list(tile_set.source_indices())
    names = ", ".join(sources)
    console.say(f"{len(trained)} tiles to train on, {len(held_out)} held out, of {names}")

    # Build the VAE, its average over steps and its optimizer, and perhaps a discriminator.
    with strategy.scope(), devices.precision(mixed=settings.mixed_precision):
        parts = build_parts(settings)
        rival = adversarial.Rival(settings.learning_rate) if settings.adversarial_weight else None

    # Open the run, or go on with it.
    with one_writer(settings.run):
        record = make_record("train_vae.py", settings, vae.ARCHITECTURE, {"sources": sources})
        run = Run(settings, record, vars(parts), added={"adversary": rival} if rival else {})
        show_codes = functools.partial(projector.show_codes, settings.run, tile_set, parts.averaged)
        if run.is_done():
            if devices.is_chief() and not (settings.run / projector.CONFIG).exists():
                show_codes()  # it was killed before it could
            run.say_done("train_refiner.py")
            return 0
        run.begin()

        # Train to the last step.
        watch = Watch(tile_set, parts.averaged, trained, held_out)
        update = make_step(strategy, parts, rival, run, settings)
        average = optimizer.make_averager(strategy, parts.averaged, parts.model)
        batches = make_batches(strategy, tile_set, trained, int(run.step), settings)
        with run.stoppable(show_codes):
            for step, batch in run.steps(batches, "vae"):
                # Update the weights, and every few steps their average.
                weight = settings.adversarial_weight * rival.share if rival else 0.0
                terms = run.update(step, update, *batch, tf.constant(weight))
                if step % optimizer.AVERAGE_EVERY == 0:
                    average(run.step)

                # Log the means since they were last logged.
                if rival and terms:
                    rival.take_note(step, terms)
                if run.is_time_to_log(step):
                    run.log(step, {"events/adversary_weight": float(rival.weight)} if rival else {})

                # Show measures and a preview, and keep the best weights.
                if run.is_time_to_show(step):
                    psnr = watch.show(run, step).get("psnr/validation", -math.inf)
                    keep_best(settings.run, parts.averaged, run.step, psnr, watch.measured_on)

                # Save a checkpoint.
                if run.is_time_to_save(step):
                    run.save()
    console.finish(f"Wrote step {settings.steps} to {settings.run}", "train_refiner.py")
    return 0


def build_parts(settings) -> SimpleNamespace:
    """Builds what learns; the model twice, the second for its average over steps, which is used."""
    model, averaged = vae.build_vae(), vae.build_vae()
    averaged.set_weights(model.get_weights())
    adam = optimizer.Adam(settings.learning_rate, beta_2=ADAM_BETA_2, epsilon=optimizer.VAE_EPSILON)
    adam.build(model.trainable_variables)
    return SimpleNamespace(model=model, averaged=averaged, optimizer=adam)


def make_step(strategy, parts, rival, run, settings):
    """Returns the compiled function that makes one training step from one batch.

    Args:
        strategy: of distribution.
        parts: by `build_parts`.
        rival: a discriminator in training, or None.
        run: whose steps are counted.
        settings: of the script.
    """
    variables, batch_size = parts.model.trainable_variables, settings.batch_size
    oppose = adversarial.make_opposition(rival, parts.model, batch_size) if rival else None

    def replica_step(
        batch: tf.Tensor, noise: tf.Tensor, adversarial_weight: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        tiles_in = tf.cast(batch, tf.float32) / 255
        with tf.GradientTape(persistent=oppose is not None) as tape:
            reconstruction, z_mean, z_log_var = parts.model([tiles_in, noise], training=True)
            losses, terms = vae.vae_loss(
                tiles_in, reconstruction, z_mean, z_log_var, beta=settings.beta
            )
            loss = tf.reduce_sum(losses) / batch_size
        gradients = tape.gradient(loss, variables)
        terms = {name: tf.reduce_sum(term) / batch_size for name, term in terms.items()}
        if oppose:
            terms |= oppose(tape, loss, tiles_in, reconstruction, gradients, adversarial_weight)
        norm, skipped = parts.optimizer.learn(variables, gradients, loss)
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        return {
            "loss": loss, **terms, "gradient_norm": norm / replicas, "skipped": skipped / replicas
        }  # fmt: skip

    # TensorFlow orders the graph by these names: others would round weights otherwise.
    @tf.function(jit_compile=settings.xla, autograph=False)
    def step(
        batch: tf.Tensor, noise: tf.Tensor, adversarial_weight: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        terms = strategy.run(replica_step, args=(batch, noise, adversarial_weight))
        run.step.assign_add(1)
        return devices.sum_terms(strategy, terms)

    return step


def make_batches(strategy, tile_set, indices, first: int, settings):
    """Returns the batches of all steps after the first ones, each with the noise on its codes.

    Args:
        strategy: of distribution.
        tile_set: all tiles.
        indices: of those to train on.
        first: number of steps done.
        settings: of the script.
    """
    batches = tile_sets.training_batches(
        tile_set, indices, batch_size=settings.batch_size, seed=settings.seed, first_step=first,
        last_step=settings.steps, weights=settings.weights,
    )  # fmt: skip

    def with_noise(step: tf.Tensor, batch: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = (settings.batch_size, vae.CODES)
        return batch, tf.random.stateless_normal(shape, (settings.seed, step))

    return strategy.experimental_distribute_dataset(batches.map(with_noise))


if __name__ == "__main__":
    sys.exit(main())
