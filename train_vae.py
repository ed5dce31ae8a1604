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
from cadl.training.progress import Meter, is_preview_step
from cadl.training.run import Run, one_writer
from cadl.training.run_record import make_record
from cadl.training.vae_watch import Watch

import tensorflow as tf

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
RUN: Path = Path("log/vae")  # checkpoints, TensorBoard, previews, progress.mp4

STEPS: Count = (
    3_000  # steps in all: held-out tiles are at their best; some 12 minutes of two CPU cores
)
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


@console.script
def main(argv: list[str] | None = None) -> int:
    """Trains to the last step and returns the exit status."""
    settings = read_settings(argv)
    console.say(show_settings(settings))
    strategy = devices.set_up(settings.seed, xla=settings.xla)

    # Load the tiles, and hold some out.
    tile_set = tile_sets.load_tiles(settings.tiles)
    train_indices, validation_indices = tile_set.split(settings.validation_fraction, settings.seed)
    console.say(
        f"{len(train_indices)} tiles to train on, {len(validation_indices)} held out, of "
        + ", ".join(tile_set.source_indices())
    )

    # Build the VAE, its average over steps and its optimizer.
    with strategy.scope(), devices.precision(mixed=settings.mixed_precision):
        parts = build_parts(settings)

    # Open the run, or go on with it.
    with one_writer(settings.run):
        notes = {"sources": list(tile_set.source_indices())}
        run = Run(
            settings.run,
            make_record("train_vae.py", settings, vae.ARCHITECTURE, notes),
            tracked={name: part for name, part in vars(parts).items() if name != "rival"},
            added={"rival": parts.rival} if parts.rival else {},
        )
        show_codes = functools.partial(projector.show_codes, settings.run, tile_set, parts.averaged)
        if run.is_done(settings.steps):
            if devices.is_chief() and not (settings.run / projector.CONFIG).exists():
                show_codes()  # it was killed before it could
            run.say_done("train_refiner.py")
            return 0
        run.begin()

        # Train to the last step.
        watch = Watch(tile_set, parts.averaged, train_indices, validation_indices)
        step_function = make_step(strategy, parts, run, settings)
        with run.stoppable(show_codes):
            batches = make_batches(strategy, tile_set, train_indices, int(run.step), settings)
            train(strategy, run, parts, batches, step_function, watch, settings)
    console.finish(f"Wrote step {settings.steps} to {settings.run}", "train_refiner.py")
    return 0


def build_parts(settings) -> SimpleNamespace:
    """Builds what learns; the model twice, the second for its average over steps, which is used."""
    model, averaged = vae.build_vae(), vae.build_vae()
    averaged.set_weights(model.get_weights())
    adam = optimizer.Adam(settings.learning_rate, beta_2=0.99, epsilon=optimizer.VAE_EPSILON)
    adam.build(model.trainable_variables)
    return SimpleNamespace(
        model=model,
        averaged=averaged,
        optimizer=adam,
        rival=adversarial.Rival(settings.learning_rate) if settings.adversarial_weight else None,
    )


def make_step(strategy, parts, run, settings):
    """Returns the compiled function that makes one training step from one batch.

    Args:
        strategy: of distribution.
        parts: by `build_parts`.
        run: whose steps are counted.
        settings: of the script.
    """
    variables = parts.model.trainable_variables
    oppose = adversarial.make_opposition(parts.rival, parts.model) if parts.rival else None

    def replica_step(
        batch: tf.Tensor, noise: tf.Tensor, adversarial_weight: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        tiles_in = tf.cast(batch, tf.float32) / 255
        with tf.GradientTape(persistent=oppose is not None) as tape:
            reconstruction, z_mean, z_log_var = parts.model([tiles_in, noise], training=True)
            losses, terms = vae.vae_loss(
                tiles_in, reconstruction, z_mean, z_log_var, beta=settings.beta
            )
            loss = tf.reduce_sum(losses) / settings.batch_size
        gradients = tape.gradient(loss, variables)
        terms = {name: tf.reduce_sum(term) / settings.batch_size for name, term in terms.items()}
        if oppose:
            wanted = adversarial_weight * tf.norm(tape.gradient(loss, reconstruction))
            share = tf.cast(tf.shape(batch)[0], tf.float32) / settings.batch_size
            more, told = oppose(tape, tiles_in, reconstruction, wanted, share)
            gradients = [
                gradient + more.get(id(variable), 0.0)
                for variable, gradient in zip(variables, gradients, strict=True)
            ]
            terms |= {name: term * share for name, term in told.items()}
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
    """Returns the batches of all steps from one on, each with the noise on its codes.

    Args:
        strategy: of distribution.
        tile_set: all tiles.
        indices: of those to train on.
        first: number of steps done.
        settings: of the script.
    """
    batches = tile_sets.training_batches(
        tile_set,
        indices,
        batch_size=settings.batch_size,
        seed=settings.seed,
        first_step=first,
        last_step=settings.steps,
        weights=settings.weights,
    )

    def with_noise(step: tf.Tensor, batch: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = (settings.batch_size, vae.CODES)
        return batch, tf.random.stateless_normal(shape, (settings.seed, step))

    return strategy.experimental_distribute_dataset(batches.map(with_noise))


def train(strategy, run, parts, batches, step_function, watch, settings):
    """Runs the loop: take a batch, step, log, show, save."""
    first = int(run.step)
    update_averages = optimizer.make_averager(strategy, parts.averaged, parts.model)
    meter = Meter()
    bar = console.progress(batches, total=settings.steps, initial=first, unit="step", label="vae")
    for step, (batch, noise) in enumerate(bar, start=first + 1):
        # Set the learning rate, and how much the discriminator counts.
        rate = float(run.rate_factor) * optimizer.learning_rate_at(step - 1, settings.learning_rate)
        parts.optimizer.learning_rate.assign(rate)
        weight = 0.0
        if parts.rival:
            parts.rival.optimizer.learning_rate.assign(rate)
            weight = settings.adversarial_weight * parts.rival.share

        # Update the weights, and count the step unless it was skipped.
        with devices.enough_memory(settings.batch_size):
            terms = step_function(batch, noise, tf.constant(weight))
            terms = {name: float(term) for name, term in terms.items()}
        if run.accept(step, terms):
            meter.add(terms)
            if parts.rival:
                parts.rival.take_note(step, terms)

        # Update the average of the weights.
        if step % optimizer.AVERAGE_EVERY == 0:
            update_averages(run.step)

        # Log the means since they were last logged.
        if step % settings.log_every == 0 or step == settings.steps:
            means = meter.read(settings.batch_size)
            if parts.rival:
                means["events/adversary_weight"] = float(parts.rival.weight)
            run.progress.log({**means, "learning_rate": rate}, step)
            bar.set_postfix_str(f"loss {means.get('loss', math.nan):.0f}", refresh=False)

        # Measure, show a preview, and keep the best weights.
        if is_preview_step(step, settings.preview_every) or step == settings.steps:
            measures = watch.show(run, step)
            run.keep_best(
                measures.get("psnr/validation", -math.inf), parts.averaged, watch.measured_on
            )

        # Save a checkpoint.
        if run.is_time_to_save(step, settings):
            run.save()
        if run.stopping:
            break


if __name__ == "__main__":
    sys.exit(main())
