"""Step 3 of 7: trains the variational autoencoder on all tiles.

    python train_vae.py --steps 20000

Watch it with `tensorboard --logdir log`. Stop it with Ctrl-C whenever you like; the same command
goes on where it stopped, and a larger --steps trains a finished run further.
"""

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

from cadl import _startup, console, files  # noqa: F401
from cadl.dataset import tile_sets
from cadl.images import gallery, metrics, tiles
from cadl.networks import discriminator, vae
from cadl.settings import Amount, Count, Range, Rate, Seed, read_settings, show_settings
from cadl.style import latents
from cadl.training import adversarial, checkpoints, devices, optimizer, projector
from cadl.training.progress import Meter, is_preview_step
from cadl.training.run import Run, one_writer

import keras
import numpy as np
import tensorflow as tf

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
RUN: Path = Path("log/vae")  # checkpoints, TensorBoard, previews, progress.mp4

STEPS: Count = 20_000  # steps in all; an hour of two CPU cores makes 10 000 to 25 000
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

PREVIEW_TILES = 6
VALIDATION_TILES = 32


@console.script
def main(argv: list[str] | None = None) -> int:
    """Trains to the last step and returns the exit status."""
    settings = read_settings(argv)
    console.say(show_settings(settings))
    strategy = devices.set_up(settings.seed, xla=settings.xla)
    tile_set = tile_sets.load_tiles(settings.tiles)
    train_indices, validation_indices = tile_set.split(settings.validation_fraction, settings.seed)
    console.say(
        f"{len(train_indices)} tiles to train on, {len(validation_indices)} held out, of "
        + ", ".join(tile_set.source_indices())
    )
    with strategy.scope(), devices.precision(mixed=settings.mixed_precision):
        parts = build_parts(settings)
    with one_writer(settings.run):
        run = Run(
            settings.run,
            script="train_vae.py",
            settings=settings,
            architecture=vae.ARCHITECTURE,
            notes={"sources": list(tile_set.source_indices())},
            tracked={name: part for name, part in vars(parts).items() if name != "rival"},
            added={"rival": parts.rival} if parts.rival else {},
        )

        def show_codes() -> None:
            chosen = tile_set.select(
                tile_sets.spread(np.arange(len(tile_set)), projector.MAX_TILES)
            )
            codes = checkpoints.encode_tiles(parts.averaged, chosen.pixels, "projector")
            projector.write_projector(settings.run, chosen, codes)

        if run.is_done(settings.steps):
            if devices.is_chief() and not (settings.run / projector.CONFIG).exists():
                show_codes()  # it was killed before it could
            run.say_done("train_refiner.py")
            return 0
        run.begin()
        watch = Watch(tile_set, parts.averaged, train_indices, validation_indices)
        step_function = make_step(strategy, parts, run, settings)
        with run.stoppable(show_codes):
            train(strategy, run, tile_set, train_indices, step_function, watch, parts, settings)
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
    oppose = make_opposition(parts) if parts.rival else None

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

    @tf.function(jit_compile=settings.xla, autograph=False)
    def step(
        batch: tf.Tensor, noise: tf.Tensor, adversarial_weight: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        terms = strategy.run(replica_step, args=(batch, noise, adversarial_weight))
        run.step.assign_add(1)
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, term, axis=None)
            for name, term in terms.items()
        }

    return step


def make_opposition(parts: SimpleNamespace):
    """Returns the function that lets the discriminator learn, and the decoder learn from it.

    Its gradient goes to the decoder alone, in proportion to the pixels' own (Larsen et al. 2016,
    arXiv 1512.09300, alg. 1; balanced as by Esser et al. 2021, arXiv 2012.09841, eq. 7, but at the
    picture).
    """
    opponent = parts.rival
    features = discriminator.features_of(opponent.discriminator)
    decoder = parts.model.decoder.trainable_variables

    def complain(tiles_in: tf.Tensor, reconstruction: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
        wanted = tf.stop_gradient(features([tiles_in, numbers]))
        with tf.GradientTape() as tape:
            tape.watch(reconstruction)
            unlike = tf.reduce_mean(tf.abs(features([reconstruction, numbers]) - wanted))
            scores = opponent.discriminator([reconstruction, numbers])
            loss = unlike + discriminator.generator_loss(scores, tf.ones_like(scores[:, 0, 0, 0]))
        return tape.gradient(loss, reconstruction)

    def oppose(tape, tiles_in, reconstruction, norm, share) -> tuple[dict, dict]:
        """Makes one step of the discriminator, and says how the decoder should follow it.

        Args:
            tape: persistent, of the reconstruction.
            tiles_in: float32 [N, 180, 320, 3] in [0, 1].
            reconstruction: the same, not clipped.
            norm: float32 [], what the gradient at the reconstruction is scaled to.
            share: float32 [], of the batch that this replica has.

        Returns:
            Gradients of the decoder's variables by their ids, and terms to log.
        """
        numbers = tf.zeros(tf.shape(tiles_in)[:1], tf.int32)
        complaint = complain(tiles_in, reconstruction, numbers)
        complaint *= norm / (tf.norm(complaint) + 1e-12)
        gradients = tape.gradient(reconstruction, decoder, output_gradients=complaint)
        told = opponent.learn(tiles_in, reconstruction, numbers, share)
        ids = map(id, decoder)
        return dict(zip(ids, gradients, strict=True)), told

    return oppose


def train(strategy, run, tile_set, train_indices, step_function, watch, parts, settings):
    """Runs the loop: take a batch, step, log, show, save."""
    first = int(run.step)
    batches = tile_sets.training_batches(
        tile_set,
        train_indices,
        batch_size=settings.batch_size,
        seed=settings.seed,
        first_step=first,
        last_step=settings.steps,
        weights=settings.weights,
    )

    def with_noise(step: tf.Tensor, batch: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = (settings.batch_size, vae.CODES)
        return batch, tf.random.stateless_normal(shape, (settings.seed, step))

    batches = strategy.experimental_distribute_dataset(batches.map(with_noise))
    update_averages = optimizer.make_averager(strategy, parts.averaged, parts.model)
    meter = Meter()
    bar = console.progress(batches, total=settings.steps, initial=first, unit="step", label="vae")
    for step, (batch, noise) in enumerate(bar, start=first + 1):
        # Step.
        rate = float(run.rate_factor) * optimizer.learning_rate_at(step - 1, settings.learning_rate)
        parts.optimizer.learning_rate.assign(rate)
        weight = 0.0
        if parts.rival:
            parts.rival.optimizer.learning_rate.assign(rate)
            weight = settings.adversarial_weight * parts.rival.share
        with devices.enough_memory(settings.batch_size):
            terms = step_function(batch, noise, tf.constant(weight))
            terms = {name: float(term) for name, term in terms.items()}
        if run.accept(step, terms):
            meter.add(terms)
            if parts.rival:
                parts.rival.take_note(step, terms)
        if step % optimizer.AVERAGE_EVERY == 0:
            update_averages(run.step)

        # Log.
        if step % settings.log_every == 0 or step == settings.steps:
            means = meter.read(settings.batch_size)
            if parts.rival:
                means["events/adversary_weight"] = float(parts.rival.weight)
            run.progress.log({**means, "learning_rate": rate}, step)
            bar.set_postfix_str(f"loss {means.get('loss', math.nan):.0f}", refresh=False)

        # Show.
        if is_preview_step(step, settings.preview_every) or step == settings.steps:
            measures = watch.show(run, step)
            run.keep_best(
                measures.get("psnr/validation", -math.inf), parts.averaged, watch.measured_on
            )

        # Save.
        if run.is_time_to_save(step, settings):
            run.save()
        if run.stopping:
            break


class Watch:
    """Fixed tiles on which a run is watched: pictures, and errors a source."""

    def __init__(self, tile_set: tile_sets.TileSet, model: keras.Model, train, validation):
        """Picks the tiles; `train` and `validation` are indices."""

        @tf.function(input_signature=[tf.TensorSpec((None, *tiles.SHAPE))])
        def look(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            z_mean, z_log_var = model.encoder(batch)
            return z_mean, z_log_var, model.decoder(z_mean)

        self._look = look
        rng = np.random.default_rng(0)  # the same tiles in every run over the same data
        self._sets = {
            name: tile_set.select(
                np.sort(rng.choice(indices, min(len(indices), VALIDATION_TILES), replace=False))
            )
            for name, indices in (("train", train), ("validation", validation))
            if len(indices)
        }
        measured = self._sets.get("validation")
        self.measured_on = files.hash_of(measured.labels) if measured else ""
        per_source = [own[np.isin(own, train)] for own in tile_set.source_indices().values()]
        chosen: list[int] = []
        while len(chosen) < min(PREVIEW_TILES, len(train)):
            for own in per_source:
                place = len(chosen) // len(per_source)
                chosen.append(int(own[(place * len(own) // 3 + len(own) // 7) % len(own)]))
        self._preview = tile_set.select(np.array(chosen[:PREVIEW_TILES]))

    def show(self, run: Run, step: int) -> dict[str, float]:
        """Logs measures, which it returns, and keeps a preview picture."""
        values = {}
        for name, chosen in self._sets.items():
            tiles_in = tiles.to_float(chosen.pixels)
            z_mean, z_log_var, reconstruction = checkpoints.in_batches(self._look, tiles_in)
            psnr = metrics.psnr(tiles_in, reconstruction)
            kl = np.asarray(vae.kl_per_code(z_mean, z_log_var)).mean(axis=0)
            values[f"psnr/{name}"] = psnr.mean()
            values[f"active_codes/{name}"] = (z_mean.var(axis=0) > latents.ACTIVE_VARIANCE).sum()
            values[f"kl/{name}"] = kl.sum()
            values[f"ssim/{name}"] = metrics.ssim(
                metrics.luminance(tiles_in), metrics.luminance(np.clip(reconstruction, 0, 1))
            ).mean()
            for source in dict.fromkeys(chosen.sources):
                values[f"psnr_{name}/{source}"] = psnr[chosen.sources == source].mean()
            run.progress.log_histogram(f"kl_per_code/{name}", kl, step)
        run.progress.log(values, step)
        if step >= 250:
            shown = (name for name in values if name.startswith("psnr/"))
            console.say(
                f"step {step}: " + ", ".join(f"{name} {values[name]:.2f} dB" for name in shown)
            )
        tiles_in = tiles.to_float(self._preview.pixels)
        *_, reconstruction = checkpoints.in_batches(self._look, tiles_in)
        sheet = gallery.contact_sheet(
            [list(tiles_in[i : i + 3]) for i in (0, 3)]
            + [list(reconstruction[i : i + 3]) for i in (0, 3)],
            title=f"step {step}",
            row_labels=["tiles", "", "reconstructions", ""],
        )
        run.progress.preview(sheet, step)
        return values


if __name__ == "__main__":
    sys.exit(main())
