"""Step 4 of 7: learns each painter's hand, and trains the refiner.

    python train_refiner.py --steps 2000

A hand is the recipe of a painter's strokes. It is found by painting close-ups of the painter's own
pictures again, and comparing. A painter who is added later gets a hand by the same command.

The refiner learns to restore tiles from their thumbnails and a code of their detail. The VAE stays
as it is. Stop and go on as with train_vae.py.
"""

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal

from cadl import _startup, console, files  # noqa: F401
from cadl.dataset import tile_sets
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
from cadl.training.progress import Meter, is_preview_step
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
HAND_STEPS: Annotated[int, Range(0, 10_000)] = 120  # recipes tried a painter; 0 fits none
SEED: Seed = 1  # of weights, order of tiles and noise

LOSS: Literal["restoring", "ancestor"] = "restoring"  # what is learnt; ancestor is that of 2017
DETAIL_CHANNELS: Annotated[int, Range(0, 64)] = 16  # detail code of a tile; 0 is a plain refiner
SHIFT_WEIGHT: Amount = 0.5  # weight of the shift-equivariance loss (against shimmer)

CHECKPOINT_EVERY: Count = 500  # steps between checkpoints
PREVIEW_EVERY: Count = 250  # steps between previews
LOG_EVERY: Count = 25  # steps between points of the curves

MIXED_PRECISION: bool = False  # 16-bit arithmetic, for a GPU with tensor cores; slow on a CPU
XLA: bool = False  # compile the step with XLA, on one device


@console.script
def main(argv: list[str] | None = None) -> int:
    """Trains to the last step and returns the exit status."""
    settings = read_settings(argv)
    console.say(show_settings(settings))
    strategy = devices.set_up(settings.seed, xla=settings.xla)
    if settings.batch_size % (devices_used := strategy.num_replicas_in_sync):
        raise ValueError(
            f"BATCH_SIZE {settings.batch_size} must be a multiple of {devices_used}: as many tiles "
            "for each device"
        )

    # Load the tiles and the trained VAE, and build what learns.
    tile_set = tile_sets.load_tiles(settings.tiles)
    with strategy.scope(), devices.precision(mixed=settings.mixed_precision):
        vae_model, vae_step, vae_record = checkpoints.load_vae(
            settings.vae_run, settings.vae_weights
        )
        parts = build_parts(settings)
    vae_fingerprint = checkpoints.fingerprint(vae_model)
    console.say(
        f"VAE of step {vae_step}; the refiner takes {operations(settings):.2f} GFLOP a tile"
    )
    train_indices, held_out = tile_set.split(
        vae_record["settings"]["validation_fraction"], vae_record["settings"]["seed"]
    )

    # Open the run, or go on with it.
    with one_writer(settings.run):
        architecture = refiner.architecture(settings.detail_channels)
        notes = {"vae": vae_fingerprint}
        record = make_record("train_refiner.py", settings, architecture, notes)
        run = Run(settings.run, record, tracked=vars(parts))
        foreign = run.notes_before.get("vae") not in (None, vae_fingerprint)
        if foreign and run.step >= settings.steps:
            raise ValueError(
                f"{settings.run} was trained on another VAE than {settings.vae_run}: "
                "a larger --steps adapts it, another --run starts afresh"
            )
        run.begin()

        # Fit the hands of painters who have none.
        fit_hands(tile_set, run, settings)
        if run.is_done(settings.steps):
            run.say_done("export_graphs.py")
            return 0

        # Train to the last step.
        step_function = make_step(strategy, vae_model, parts, run, settings)
        watch = Watch(tile_set, vae_model, parts.averaged, train_indices, held_out)
        with run.stoppable():
            batches = make_batches(strategy, tile_set, train_indices, int(run.step), settings)
            train(strategy, run, parts, batches, step_function, watch, settings)
    console.finish(f"Wrote step {settings.steps} to {settings.run}", "export_graphs.py")
    return 0


def fit_hands(tile_set: tile_sets.TileSet, run: Run, settings) -> None:
    """Fits the hand of each painter who has none yet, and shows it in TensorBoard."""
    if not settings.hand_steps or not devices.is_chief():
        return
    folder = settings.run / "hands"
    with WorkerPool() as workers:
        for painter in tile_set.names("painting"):
            own = closeups.load(settings.tiles, painter)
            if hands.is_fitted(own, settings.hand_steps, folder, painter):
                continue
            with console.progress(
                total=settings.hand_steps, unit="recipe", label=f"hand of {painter}"
            ) as bar:
                for best in hands.fit_hand(own, settings.hand_steps, folder, painter, workers):
                    bar.update(min(best.evaluations, settings.hand_steps) - bar.n)
                    bar.set_postfix_str(f"score {best.score:.3f}", refresh=False)
            about = files.read_json(folder / f"{painter}.json")[hands.ABOUT]
            hand = hands.load_hand(folder / f"{painter}.json")
            used = "a fixed brush is as good and" if about["fixed_brush"] else "it"
            console.say(
                f"hand of {painter}: {hands.in_words(hand)}; held-out close-ups "
                f"{about['held_out']:.3f} from its own, of the fixed brush "
                f"{about['held_out_of_the_fixed_brush']:.3f}: {used} is used"
            )
            if remark := closeups.remarks(own):
                console.warn(f"{painter}: {remark}: do not trust its hand too far")
            sheet = sections.hand_sheet(own, hand, painter)
            run.progress.show_picture(f"hands/{painter}", sheet, int(run.step))


def build_parts(settings) -> SimpleNamespace:
    """Builds everything that learns, and what a checkpoint holds beside the run's own numbers."""
    model, averaged = (refiner.Refining(settings.detail_channels) for _ in range(2))
    averaged.set_weights(model.get_weights())
    adam = optimizer.Adam(settings.learning_rate, beta_1=0.5, beta_2=0.99)
    adam.bounds_updates = True
    adam.build(model.trainable_variables)
    return SimpleNamespace(model=model, averaged=averaged, optimizer=adam)


def operations(settings) -> float:
    """Counts a whole tile's GFLOP in detail encoder and refiner."""
    sized = refiner.Refining(settings.detail_channels, tiles.SHAPE[:2])
    parts = sized.detail_encoder, sized.refiner
    return sum(blocks.count_operations(part) for part in parts if part) / 1e9


def weights_of(settings) -> dict[str, float]:
    """Returns the weight of each term of the loss."""
    return {
        "reconstruction_loss": 1.0,
        "shift_loss": settings.shift_weight,
        "detail_kl_loss": refiner.DETAIL_BETA,
        "nearer_loss": 0.6,
        "further_loss": 0.4,
    }


def make_step(strategy, vae_model, parts, run, settings):
    """Returns the compiled function that makes one training step from one batch.

    Args:
        strategy: of distribution.
        vae_model: the trained VAE.
        parts: by `build_parts`.
        run: whose steps are counted.
        settings: of the script.
    """
    weighted = weights_of(settings)
    model = parts.model
    with_pictures = settings.loss == "ancestor" or not settings.detail_channels

    def replica_step(batch: dict) -> dict[str, tf.Tensor]:
        given = refiner_inputs.prepare(batch, vae_model if with_pictures else None)
        share = tf.cast(tf.shape(given.targets)[0], tf.float32) / settings.batch_size
        with tf.GradientTape() as tape:
            restored, detail, shifted = refiner_inputs.restore(model, given)
            if settings.loss == "ancestor":
                terms = refiner_losses.ancestor_terms(given.targets, restored, given.pictures)
            else:
                terms = refiner_losses.restoring_terms(given.targets, restored, detail)
                if shifted is not None:
                    terms["shift_loss"] = refiner_losses.shift_loss(
                        restored - given.targets, shifted - given.shifted, given.shift
                    )
            loss = sum(weighted[name] * term for name, term in terms.items())
            shared_loss = loss * share
        gradients = [  # TensorFlow's own zeros fail for Keras' variables
            tf.zeros(variable.shape) if gradient is None else gradient
            for gradient, variable in zip(
                tape.gradient(shared_loss, model.trainable_variables),
                model.trainable_variables,
                strict=True,
            )
        ]
        norm, skipped = parts.optimizer.learn(model.trainable_variables, gradients, shared_loss)
        terms |= {"loss": loss, "gradient_norm": norm, "skipped": skipped}
        return {name: term * share for name, term in terms.items()}

    @tf.function(jit_compile=settings.xla, autograph=False)
    def step(batch: dict) -> dict[str, tf.Tensor]:
        terms = strategy.run(replica_step, args=(batch,))
        run.step.assign_add(1)
        return devices.sum_terms(strategy, terms)

    return step


def make_batches(strategy, tile_set, indices, first: int, settings):
    """Returns the batches of all steps from one on.

    Args:
        strategy: of distribution.
        tile_set: all tiles.
        indices: of those to train on.
        first: number of steps done.
        settings: of the script.
    """
    batches = refiner_batches.make_batches(
        tile_set, indices, batch_size=settings.batch_size, seed=settings.seed, first_step=first,
        last_step=settings.steps, detail_channels=settings.detail_channels,
    )  # fmt: skip
    return strategy.experimental_distribute_dataset(batches)


def train(strategy, run, parts, batches, step_function, watch, settings):
    """Runs the loop: take a batch, step, log, show, save."""
    first = int(run.step)
    update_averages = optimizer.make_averager(strategy, parts.averaged, parts.model)
    meter = Meter()
    bar = console.progress(
        batches, total=settings.steps, initial=first, unit="step", label="refiner"
    )
    for step, batch in enumerate(bar, start=first + 1):
        # Set the learning rate.
        rate = float(run.rate_factor) * optimizer.learning_rate_at(step - 1, settings.learning_rate)
        parts.optimizer.learning_rate.assign(rate)

        # Update the weights, and count the step unless it was skipped.
        with devices.enough_memory(settings.batch_size):
            terms = {name: float(term) for name, term in step_function(batch).items()}
        if run.accept(step, terms):
            meter.add(terms)

        # Update the average of the weights.
        if step % optimizer.AVERAGE_EVERY == 0:
            update_averages(run.step)

        # Log the means since they were last logged.
        if step % settings.log_every == 0 or step == settings.steps:
            means = meter.read(settings.batch_size)
            run.progress.log({**means, "learning_rate": rate}, step)
            bar.set_postfix_str(f"loss {means.get('loss', math.nan):.0f}", refresh=False)

        # Measure, and show a preview.
        if is_preview_step(step, settings.preview_every) or step == settings.steps:
            watch.show(run, step)

        # Save a checkpoint.
        if run.is_time_to_save(step, settings):
            run.save()
        if run.stopping:
            break


if __name__ == "__main__":
    sys.exit(main())
