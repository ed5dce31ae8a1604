"""Step 4 of 7: learns each painter's hand, and trains the refiner.

    python train_refiner.py --steps 2000

A hand is the recipe of a painter's strokes. It is found by painting close-ups of the painter's own
pictures again, and comparing. A painter who is added later gets a hand by the same command.

The refiner learns to restore tiles from their thumbnails and a code of their detail. The VAE stays
as it is. Stop and go on as with train_vae.py.
"""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal

from cadl import _startup, console, files  # noqa: F401
from cadl.dataset import tile_sets
from cadl.errors import UserError
from cadl.images import closeups, tiles
from cadl.networks import blocks, refiner
from cadl.report import sections
from cadl.settings import Amount, Count, Range, Rate, Seed, read_settings, show_settings
from cadl.strokes import hands
from cadl.training import (
    checkpoints,
    devices,
    optimizer,
    refiner_batches,
    refiner_inputs,
    refiner_losses,
)
from cadl.training.refiner_watch import Watch
from cadl.training.run import Run, one_writer
from cadl.training.run_record import make_record
from cadl.workers import WorkerPool

import tensorflow as tf

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
VAE_RUN: Path = Path("log/vae")  # the trained VAE
VAE_WEIGHTS: Literal["latest", "best"] = "latest"  # its weights: newest, or best on held-out tiles
RUN: Path = Path("log/refiner")  # checkpoints, TensorBoard, previews, progress.mp4

STEPS: Count = 500  # steps in all; some 4 minutes of two CPU cores
BATCH_SIZE: Annotated[int, Range(2)] = 8  # tiles a step; less if memory runs out
LEARNING_RATE: Rate = 2e-3  # Adam's, after warm-up; falls with 1/sqrt(step) from step 2000
HAND_STEPS: Annotated[int, Range(0, 10_000)] = 150  # recipes tried a painter; 0 fits none
SEED: Seed = 1  # of weights, order of tiles and noise

SHIFT_WEIGHT: Amount = 0.5  # weight of the shift-equivariance loss (against shimmer)

CHECKPOINT_EVERY: Count = 500  # steps between checkpoints
PREVIEW_EVERY: Count = 250  # steps between previews
LOG_EVERY: Count = 25  # steps between points of the curves

MIXED_PRECISION: bool = False  # 16-bit arithmetic, for a GPU with tensor cores; slow on a CPU
XLA: bool = False  # compile the step with XLA, on one device

ADAM_BETA_1, ADAM_BETA_2 = 0.5, 0.99  # of Adam
DETAIL_BETA = 3e-4  # weight of the detail code's KL, which only keeps its scale in bounds


@console.script
def main(argv: list[str] | None = None) -> int:
    """Trains to the last step and returns the exit status."""
    settings = read_settings(argv)
    console.say(show_settings(settings))
    strategy = devices.set_up(settings.seed, xla=settings.xla)
    if settings.batch_size % (devices_used := strategy.num_replicas_in_sync):
        raise UserError(
            f"BATCH_SIZE {settings.batch_size} must be a multiple of {devices_used}: as many tiles "
            "for each device"
        )

    # Load the tiles and the trained VAE, and build what learns.
    tile_set = tile_sets.load_tiles(settings.tiles)
    with strategy.scope(), devices.precision(mixed=settings.mixed_precision):
        vae_model, vae_step, of_vae = checkpoints.load_vae(settings.vae_run, settings.vae_weights)
        parts = build_parts(settings)
    operations = blocks.count_operations(refiner.Refining(size=tiles.SHAPE[:2]))
    console.say(f"VAE of step {vae_step}; the refiner takes {operations / 1e9:.2f} GFLOP a tile")
    split = of_vae["settings"]
    trained, held_out = tile_set.split(split["validation_fraction"], split["seed"])

    # Open the run, or go on with it.
    with one_writer(settings.run):
        run = open_run(parts, checkpoints.fingerprint(vae_model), settings)

        # Fit the hands of painters who have none.
        fit_hands(tile_set, run, settings)
        if run.is_done():
            run.say_done("export_graphs.py")
            return 0

        # Train to the last step.
        watch = Watch(tile_set, vae_model, parts.averaged, trained, held_out)
        update = make_step(strategy, parts, run, settings)
        average = optimizer.make_averager(strategy, parts.averaged, parts.model)
        batches = refiner_batches.make_batches(
            tile_set, trained, batch_size=settings.batch_size, seed=settings.seed,
            first_step=int(run.step), last_step=settings.steps,
        )  # fmt: skip
        batches = strategy.experimental_distribute_dataset(batches)
        with run.stoppable():
            for step, batch in run.steps(batches, "refiner"):
                # Update the weights, and every few steps their average.
                run.update(step, update, batch)
                if step % optimizer.AVERAGE_EVERY == 0:
                    average(run.step)

                # Log the means since they were last logged.
                if run.is_time_to_log(step):
                    run.log(step)

                # Show measures and a preview.
                if run.is_time_to_show(step):
                    watch.show(run, step)

                # Save a checkpoint.
                if run.is_time_to_save(step):
                    run.save()
    console.finish(f"Wrote step {settings.steps} to {settings.run}", "export_graphs.py")
    return 0


def open_run(parts, vae_fingerprint: str, settings) -> Run:
    """Opens the run, or goes on with it; one that is done and of another VAE is refused."""
    notes = {"vae": vae_fingerprint}
    record = make_record("train_refiner.py", settings, refiner.ARCHITECTURE, notes)
    run = Run(settings, record, vars(parts))
    foreign = run.notes_before.get("vae") not in (None, vae_fingerprint)
    if foreign and run.step >= settings.steps:
        raise UserError(
            f"{settings.run} was trained on another VAE than {settings.vae_run}: "
            "a larger --steps adapts it, another --run starts afresh"
        )
    run.begin()
    return run


def fit_hands(tile_set: tile_sets.TileSet, run: Run, settings) -> None:
    """Fits the hand of each painter who has none yet, and shows it in TensorBoard."""
    if not settings.hand_steps or not devices.is_chief():
        return
    folder = settings.run / "hands"
    with WorkerPool() as workers:
        for painter in tile_set.names("painting"):
            close_ups = closeups.load(settings.tiles, painter)
            if hands.is_fitted(close_ups, settings.hand_steps, folder, painter):
                continue
            hand = hands.fit_with_progress(close_ups, settings.hand_steps, folder, painter, workers)
            about = files.read_json(folder / f"{painter}.json")[hands.ABOUT]
            used = "the fixed brush is nearer and" if about["fixed_brush"] else "the hand"
            console.say(
                f"hand of {painter}: {hands.in_words(hand)}; on held-out close-ups "
                f"{about['held_out']:.3f} (0: the painter's surface, 1: no strokes), of the fixed "
                f"brush {about['held_out_of_the_fixed_brush']:.3f}: {used} is used"
            )
            sheet = sections.hand_sheet(close_ups, hand, painter)
            run.progress.show_picture(f"hands/{painter}", sheet, int(run.step))


def build_parts(settings) -> SimpleNamespace:
    """Builds everything that learns, and what a checkpoint holds beside the run's own numbers."""
    model, averaged = refiner.Refining(), refiner.Refining()
    averaged.set_weights(model.get_weights())
    adam = optimizer.Adam(settings.learning_rate, beta_1=ADAM_BETA_1, beta_2=ADAM_BETA_2)
    adam.bounds_updates = True
    adam.build(model.trainable_variables)
    return SimpleNamespace(model=model, averaged=averaged, optimizer=adam)


def make_step(strategy, parts, run, settings):
    """Returns the compiled function that makes one training step from one batch.

    Args:
        strategy: of distribution.
        parts: by `build_parts`.
        run: whose steps are counted.
        settings: of the script.
    """
    model, variables = parts.model, parts.model.trainable_variables
    weights = {
        "reconstruction_loss": 1.0,
        "detail_kl_loss": DETAIL_BETA,
        "shift_loss": settings.shift_weight,
    }

    def replica_step(batch: dict) -> dict[str, tf.Tensor]:
        given = refiner_inputs.prepare(batch)
        share = tf.cast(tf.shape(given.targets)[0], tf.float32) / settings.batch_size
        with tf.GradientTape() as tape:
            restored, detail, shifted = refiner_inputs.restore(model, given)
            terms = refiner_losses.restoring_terms(given.targets, restored, detail)
            terms["shift_loss"] = refiner_losses.shift_loss(
                restored - given.targets, shifted - given.shifted, given.shift
            )
            loss = sum(weights[name] * term for name, term in terms.items())
            shared_loss = loss * share
        gradients = tape.gradient(shared_loss, variables)
        norm, skipped = parts.optimizer.learn(variables, gradients, shared_loss)
        terms |= {"loss": loss, "gradient_norm": norm, "skipped": skipped}
        return {name: term * share for name, term in terms.items()}

    @tf.function(jit_compile=settings.xla, autograph=False)
    def step(batch: dict) -> dict[str, tf.Tensor]:
        terms = strategy.run(replica_step, args=(batch,))
        run.step.assign_add(1)
        return devices.sum_terms(strategy, terms)

    return step


if __name__ == "__main__":
    sys.exit(main())
