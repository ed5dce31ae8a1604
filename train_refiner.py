"""Step 4 of 7: trains the refiner, which sharpens the VAE's pictures and paints them.

    python train_refiner.py --steps 20000

At strength 0 it learns to restore tiles; above, to paint video tiles whose codes are moved toward
a painter. The VAE stays as it is. Stop and go on as with train_vae.py.
"""

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Literal

from cadl import (
    adversary,
    blocks,
    console,
    devices,
    files,
    gallery,
    metrics,
    networks,
    optimizer,
    painting,
    refiner,
    refiner_batches,
    refiner_losses,
    rival,
    shards,
    tiles,
    training,
)
from cadl.settings import Amount, Count, Range, Rate, Seed, read_settings, show_settings

import numpy as np
import tensorflow as tf

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
VAE_RUN: Path = Path("log/vae")  # the trained VAE
VAE_WEIGHTS: Literal["latest", "best"] = "latest"  # its weights: newest, or best on held-out tiles
RUN: Path = Path("log/refiner")  # checkpoints, TensorBoard, previews, progress.mp4

STEPS: Count = 20_000  # steps in all; an hour of two CPU cores makes 8 000 to 15 000
BATCH_SIZE: Annotated[int, Range(2)] = 8  # tiles a step, half paintings; less if memory runs out
LEARNING_RATE: Rate = 2e-3  # Adam's, after warm-up; falls with 1/sqrt(step) from step 2000
SEED: Seed = 1  # of weights, order of tiles and noise

LOSS: Literal["strokes", "ancestor"] = "strokes"  # what is learnt; ancestor is the loss of 2017
SCALE: Annotated[int, Range(1, 2)] = 1  # 2 draws 640x360, of tiles by extract_tiles.py --scale 2
DETAIL_CHANNELS: Annotated[int, Range(0, 64)] = 16  # detail code of a tile; 0 is a plain refiner
SHIFT_WEIGHT: Amount = 0.5  # of errors that stay behind when a picture moves, and shimmer
STROKE_WEIGHT: Amount = 100.0  # of the texture statistics of the painter's tiles
STRUCTURE_WEIGHT: Amount = 80.0  # of the video's local structure, which holds strokes back
COLOUR_WEIGHT: Amount = 30.0  # of the palette of the painter's tiles
PALETTE_WEIGHT: Amount = 0.5  # of the colours that the moved codes ask for, place by place
ADVERSARIAL_WEIGHT: Amount = 30.0  # of the discriminator; 0 leaves it out

CHECKPOINT_EVERY: Count = 500  # steps between checkpoints
PREVIEW_EVERY: Count = 250  # steps between previews
LOG_EVERY: Count = 25  # steps between points of the curves

MIXED_PRECISION: bool = False  # 16-bit arithmetic, for a GPU with tensor cores; slow on a CPU
XLA: bool = False  # compile the step with XLA, on one device

PREVIEW_STRENGTHS = (0.0, 0.5, 1.0)
PREVIEW_TILES = 4
MEASURED_TILES = 16


@console.script
def main(argv: list[str] | None = None) -> int:
    """Trains to the last step and returns the exit status."""
    settings = read_settings(argv)
    console.say(show_settings(settings))
    strategy = devices.set_up(settings.seed, xla=settings.xla)
    if settings.batch_size % (pairs := 2 * strategy.num_replicas_in_sync):
        raise ValueError(
            f"BATCH_SIZE {settings.batch_size} must be a multiple of {pairs}: a painting and a "
            "frame for each device"
        )
    if settings.loss == "ancestor" and settings.scale != 1:
        raise ValueError(f"SCALE {settings.scale} is not for LOSS ancestor: leave one of them out")
    tile_set = shards.load_tiles(settings.tiles, settings.scale)
    if len(set(tile_set.kinds)) < 2:
        raise ValueError(
            f"{settings.tiles} holds tiles of one kind only: the refiner needs paintings and "
            "videos, see extract_tiles.py"
        )
    with strategy.scope(), devices.precision(mixed=settings.mixed_precision):
        vae_model, vae_step, vae_record = networks.load_vae(settings.vae_run, settings.vae_weights)
        parts = build_parts(settings)
    vae_fingerprint = networks.fingerprint(vae_model)
    console.say(
        f"VAE of step {vae_step}; the refiner takes {operations(settings):.2f} GFLOP a tile"
    )
    train_indices, held_out = tile_set.split(
        vae_record["settings"]["validation_fraction"], vae_record["settings"]["seed"]
    )

    with training.one_writer(settings.run):
        painters = list_painters(tile_set, settings.run)
        run = training.Run(
            settings.run,
            script="train_refiner.py",
            settings=settings,
            architecture=refiner.architecture(settings.detail_channels, settings.scale),
            notes={"vae": vae_fingerprint, "painters": painters},
            tracked=vars(parts),
        )
        foreign = run.notes_before.get("vae") not in (None, vae_fingerprint)
        if foreign and run.step >= settings.steps:
            raise ValueError(
                f"{settings.run} was trained on another VAE than {settings.vae_run}: "
                "a larger --steps adapts it, another --run starts afresh"
            )
        if run.is_done(settings.steps):
            run.say_done("export_graphs.py")
            return 0
        run.begin()
        codes = networks.encode_tiles(vae_model, tile_set.pixels, "encode")
        maps = refiner_batches.style_maps(tile_set, codes)
        numbers = [painters.index(name) for name in refiner_batches.own_painters(tile_set)]
        step_function = make_step(strategy, vae_model, maps, numbers, parts, run, settings)
        watch = Watch(tile_set, codes, maps, vae_model, parts.averaged, train_indices, held_out)
        with run.stoppable():
            train(strategy, run, tile_set, train_indices, step_function, watch, parts, settings)
    console.finish(f"Wrote step {settings.steps} to {settings.run}", "export_graphs.py")
    return 0


def build_parts(settings) -> SimpleNamespace:
    """Builds everything that learns, and what a checkpoint holds beside the run's own numbers."""
    model, averaged = (
        refiner.Refining(settings.detail_channels, scale=settings.scale) for _ in range(2)
    )
    averaged.set_weights(model.get_weights())
    adam = optimizer.Adam(settings.learning_rate, beta_1=0.5, beta_2=0.99)
    adam.bounds_updates = True
    adam.build(model.trainable_variables)
    return SimpleNamespace(
        model=model,
        averaged=averaged,
        optimizer=adam,
        rival=rival.Rival(settings.learning_rate),
    )


def list_painters(tile_set: shards.TileSet, run: Path) -> list[str]:
    """Lists all painters that a run has ever had, new ones last: their places are their numbers.

    Raises:
        ValueError: there are more than the discriminator can know.
    """
    path = run / "settings.json"
    before = files.read_sealed(path)["notes"].get("painters", []) if path.exists() else []
    painters = list(dict.fromkeys([*before, *refiner_batches.own_painters(tile_set)]))
    if len(painters) > adversary.MAX_PAINTERS:
        raise ValueError(
            f"{len(painters)} painters are more than {adversary.MAX_PAINTERS}: put some of "
            "their folders together"
        )
    return painters


def operations(settings) -> float:
    """Counts a whole tile's GFLOP in detail encoder, refiner and painter."""
    sized = refiner.Refining(settings.detail_channels, tiles.SHAPE[:2], settings.scale)
    parts = sized.detail_encoder, sized.refiner, sized.painter
    return sum(blocks.count_operations(part) for part in parts if part) / 1e9


def weights_of(settings) -> dict[str, float]:
    """Returns what each term of the loss counts, but the adversary's, which is ramped."""
    return {
        "reconstruction_loss": 1.0,
        "shift_loss": settings.shift_weight,
        "palette_loss": settings.palette_weight,
        "structure_loss": settings.structure_weight,
        "stroke_loss": settings.stroke_weight,
        "colour_loss": settings.colour_weight,
        "detail_kl_loss": refiner.DETAIL_BETA,
        "nearer_loss": 0.6,
        "further_loss": 0.4,
    }


def make_step(strategy, vae_model, maps, painter_numbers, parts, run, settings):
    """Returns the compiled function that makes one training step from one batch.

    Args:
        strategy: of distribution.
        vae_model: the trained VAE.
        maps: by `refiner_batches.style_maps`.
        painter_numbers: what the discriminator knows each painter of the tile set by.
        parts: by `build_parts`.
        run: whose steps are counted.
        settings: of the script.
    """
    weighted = weights_of(settings)
    model = parts.model
    paints = model.painter is not None and settings.loss == "strokes"
    adversarial = paints and settings.adversarial_weight > 0
    with_detail = model.painter is not None
    prepare = refiner_batches.make_preparation(
        vae_model, maps, with_detail=with_detail,
        with_pictures=settings.loss == "ancestor" or not with_detail,
    )  # fmt: skip

    def replica_step(batch: dict, adversarial_weight: tf.Tensor) -> dict[str, tf.Tensor]:
        given = prepare(batch)
        count = tf.shape(given.targets)[0]
        share = tf.cast(count, tf.float32) / settings.batch_size  # of this replica
        small = blocks.shrink(given.targets, settings.scale)
        paintings, videos = small[0::2], small[1::2]
        painters = tf.gather(painter_numbers, batch["pair"][1::2, 1])
        with tf.GradientTape() as tape:
            drawn = draw(model, given)
            if settings.loss == "ancestor":
                terms = refiner_losses.ancestor_terms(given.targets, drawn.restored, given.pictures)
            else:
                terms = refiner_losses.restoring_terms(
                    given.targets, drawn.restored, drawn.detail, settings.scale
                )
            if paints:
                terms["shift_loss"] = refiner_losses.shift_loss(
                    drawn.restored - given.targets, drawn.shifted - given.shifted, given.shift,
                    settings.scale,
                )  # fmt: skip
                terms |= refiner_losses.painting_terms(
                    painted=drawn.painted, plain=drawn.plain, videos=videos, paintings=paintings,
                    strength=given.strength[:, 0], numbers=batch["numbers"][0],
                )  # fmt: skip
            loss = sum(weighted[name] * term for name, term in terms.items())
            if adversarial:
                scores = parts.rival.discriminator([drawn.painted, painters])
                terms["adversarial_loss"] = adversary.generator_loss(scores, given.strength[:, 0])
                loss += adversarial_weight[0] * terms["adversarial_loss"]
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
        if adversarial:
            terms |= parts.rival.learn(paintings, drawn.painted, painters, share)
        return {name: term * share for name, term in terms.items()}

    @tf.function(jit_compile=settings.xla, autograph=False)
    def step(batch: dict, adversarial_weight: tf.Tensor) -> dict[str, tf.Tensor]:
        terms = strategy.run(replica_step, args=(batch, adversarial_weight))
        run.step.assign_add(1)
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, term, axis=None)
            for name, term in terms.items()
        }

    return step


def draw(model: refiner.Refining, given: SimpleNamespace) -> SimpleNamespace:
    """Restores the tiles and paints the moved ones, these at 320x180.

    The pixels that are painted over get no gradient: losses of texture would have the refiner draw
    fringes in place of strokes. The features do, which the painter shares.

    Returns:
        `restored`, the tiles; `detail`, their code; `shifted`, the shifted ones restored; `plain`,
        the moved ones restored, and `painted`. Without a detail code only the first; `detail` is
        None.
    """
    if not model.detail_encoder:
        restored = model.restore(given.pictures)[0]
        return SimpleNamespace(restored=restored, detail=None)
    count, count_shifted = tf.shape(given.targets)[0], tf.shape(given.shifted)[0]
    seen = tf.concat([given.grained, given.shifted], 0)
    detail, shifted = tf.split(model.detail_encoder(seen), [count, count_shifted])
    noisy = detail + given.noise
    shifted += given.noise[:count_shifted]
    whole = model.restore(given.thumbnails, tf.concat([noisy, noisy[1::2], shifted], 0))
    sizes = [count, count // 2, count_shifted]
    (restored, moved, shifted), (_, features, _) = (tf.split(one, sizes) for one in whole)
    plain = tf.stop_gradient(blocks.shrink(moved, model.scale))
    ground = painting.lay_ground(plain)
    painted = model.paint(plain, ground, features, given.strength, given.laid)
    return SimpleNamespace(
        restored=restored, detail=detail, shifted=shifted, plain=plain, painted=painted
    )


def train(strategy, run, tile_set, indices, step_function, watch, parts, settings):
    """Runs the loop: take a batch, step, log, show, save."""
    first = int(run.step)
    batches = refiner_batches.make_batches(
        tile_set, indices, batch_size=settings.batch_size, seed=settings.seed, first_step=first,
        last_step=settings.steps, scale=settings.scale, detail_channels=settings.detail_channels,
    )  # fmt: skip
    batches = strategy.experimental_distribute_dataset(batches)
    update_averages = optimizer.make_averager(strategy, parts.averaged, parts.model)
    meter = training.Meter()
    bar = console.progress(
        batches, total=settings.steps, initial=first, unit="step", label="refiner"
    )
    for step, batch in enumerate(bar, start=first + 1):
        # Step.
        rate = float(run.rate_factor) * optimizer.learning_rate_at(step - 1, settings.learning_rate)
        for adam in (parts.optimizer, parts.rival.optimizer):
            adam.learning_rate.assign(rate)
        weights = tf.constant([settings.adversarial_weight * parts.rival.share], tf.float32)
        with devices.enough_memory(settings.batch_size):
            terms = {name: float(term) for name, term in step_function(batch, weights).items()}
        if run.accept(step, terms):
            meter.add(terms)
            if "discriminator_right" in terms:
                parts.rival.take_note(step, terms)
        if step % optimizer.AVERAGE_EVERY == 0:
            update_averages(run.step)

        # Log.
        if step % settings.log_every == 0 or step == settings.steps:
            means = meter.read(settings.batch_size)
            means["events/adversary_weight"] = float(parts.rival.weight)
            run.log({**means, "learning_rate": rate}, step)
            bar.set_postfix_str(f"loss {means.get('loss', math.nan):.0f}", refresh=False)

        # Show.
        if training.is_preview_step(step, settings.preview_every) or step == settings.steps:
            watch.show(run, step)

        # Save.
        if run.is_time_to_save(step, settings):
            run.save()
        if run.stopping:
            break


class Watch:
    """Fixed tiles on which a run is watched: restored, and moved toward the first painter."""

    def __init__(self, tile_set, codes, maps, vae_model, model, train, held_out):
        """Picks the tiles and decodes their codes, which do not change while the refiner learns."""

        @tf.function(reduce_retracing=True)
        def refine(pictures: tf.Tensor, originals: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
            return model(pictures, originals, tf.fill((tf.shape(pictures)[0],), strength))

        self._refine = refine
        self._scale = model.scale
        names = list(tile_set.source_indices())
        videos = np.flatnonzero(tile_set.kinds == "video")
        chosen = shards.spread(videos, PREVIEW_TILES)
        self._tiles = tiles.to_float(tile_set.select(chosen).large)
        gains, offsets = maps
        own = [names.index(tile_set.sources[i]) - len(names) for i in chosen]  # videos are last
        goal = np.stack(
            [codes[i] * gains[v, 0] + offsets[v, 0] for i, v in zip(chosen, own, strict=True)]
        )
        self._pictures = {
            strength: np.asarray(
                vae_model.decoder(codes[chosen] + strength * (goal - codes[chosen]))
            )
            for strength in PREVIEW_STRENGTHS
        }
        self._painter = names[0]
        self._measured = {}
        for name, indices in (("train", train), ("validation", held_out)):
            if len(indices):
                some = shards.spread(indices, MEASURED_TILES)
                originals = tiles.to_float(tile_set.select(some).large)
                pictures = networks.in_batches(vae_model.decoder, codes[some])
                self._measured[name] = originals, pictures

    def show(self, run: training.Run, step: int) -> None:
        """Logs measures and keeps a preview picture."""
        values: dict[str, float] = {}
        shown = []
        for name, (originals, pictures) in self._measured.items():
            refined = self._draw(pictures, originals, 0.0)
            before = metrics.psnr(originals, blocks.enlarge(pictures, self._scale)).mean()
            after = metrics.psnr(originals, refined).mean()
            values |= {f"psnr/{name}": after, f"psnr_vae/{name}": before}
            shown.append(f"psnr/{name} {after:.2f} dB (VAE {before:.2f})")
        run.log(values, step)
        if step >= 250:
            console.say(f"step {step}: {', '.join(shown)}")
        drawn = {
            strength: self._draw(pictures, self._tiles, strength)
            for strength, pictures in self._pictures.items()
        }
        sheet = gallery.contact_sheet(
            [list(self._tiles), *map(list, drawn.values())],
            title=f"step {step}, toward {self._painter}",
            row_labels=["tiles", *(f"strength {strength}" for strength in drawn)],
        )
        run.preview(sheet, step)

    def _draw(self, pictures: np.ndarray, originals: np.ndarray, strength: float) -> np.ndarray:
        return networks.in_batches(
            lambda *both: self._refine(*both, tf.constant(strength)), pictures, originals
        )


if __name__ == "__main__":
    sys.exit(main())
