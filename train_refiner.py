"""Step 4 of 7: trains the refiner, which sharpens the VAE's pictures and paints them.

    python train_refiner.py --steps 20000

At strength 0 it learns to restore tiles; above, to paint video tiles whose codes are moved toward
a painter. The VAE stays as it is. Stop and go on as with train_vae.py.
"""

import sys
from pathlib import Path
from typing import Annotated

from cadl import (
    adversary,
    blocks,
    console,
    files,
    gallery,
    latents,
    metrics,
    refiner,
    shards,
    tiles,
    training,
)
from cadl.settings import Amount, Count, Index, Range, Rate, read_settings, show_settings

import keras
import numpy as np
import tensorflow as tf

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
VAE_RUN: Path = Path("log/vae")  # the trained VAE
RUN: Path = Path("log/refiner")  # checkpoints, TensorBoard, previews, progress.mp4

STEPS: Count = 20_000  # steps in all; an hour of two CPU cores makes about 6 000
BATCH_SIZE: Annotated[int, Range(2)] = 8  # tiles a step, half paintings; less if memory runs out
LEARNING_RATE: Rate = 1e-3  # Adam's, after warm-up; falls with 1/sqrt(step) from step 2000
SEED: Index = 1  # of weights, order of tiles and noise

DETAIL_CHANNELS: Annotated[int, Range(0, 64)] = 4  # detail code of a tile; 0 is a plain refiner
STROKE_WEIGHT: Amount = 60.0  # of the texture statistics of the painter's tiles
STRUCTURE_WEIGHT: Amount = 150.0  # of the video's local structure, which holds strokes back
COLOUR_WEIGHT: Amount = 20.0  # of the palette of the painter's tiles
PALETTE_WEIGHT: Amount = 1.0  # of the colours that the moved codes ask for, place by place
ADVERSARIAL_WEIGHT: Amount = 30.0  # of the discriminator; 0 leaves it out

CHECKPOINT_EVERY: Count = 500  # steps between checkpoints
PREVIEW_EVERY: Count = 250  # steps between previews
LOG_EVERY: Count = 25  # steps between points of the curves

CROP_HEIGHT, CROP_WIDTH = 96, 160  # of what is trained on, cut anywhere out of the tiles
ADVERSARY_WARM_UP = 300  # steps that the discriminator learns alone; then as many to full weight
PREVIEW_STRENGTHS = (0.0, 0.5, 1.0)
PREVIEW_TILES = 4


@console.script
def main(argv: list[str] | None = None) -> int:
    """Trains to the last step and returns the exit status."""
    settings = read_settings(argv)
    console.say(show_settings(settings))
    training.make_deterministic(settings.seed)
    strategy = training.make_strategy()
    console.say(training.describe_devices(strategy))
    tile_set = shards.load_tiles(settings.tiles)
    with strategy.scope():
        vae_model, vae_step, vae_record = training.load_vae(settings.vae_run)
        vae_fingerprint = training.fingerprint(vae_model)
        model, averaged = (refiner.Refining(settings.detail_channels) for _ in range(2))
        averaged.set_weights(model.get_weights())
        discriminator = adversary.build_discriminator()
        optimizer = keras.optimizers.Adam(settings.learning_rate, beta_1=0.5, beta_2=0.99)
        optimizer.build(model.trainable_variables)
        rival = keras.optimizers.Adam(settings.learning_rate, beta_1=0.5, beta_2=0.99)
        rival.build(discriminator.trainable_variables)
        rival_norm = tf.Variable(
            0.0, trainable=False, aggregation=tf.VariableAggregation.MEAN, name="rival_norm"
        )
    sized = refiner.Refining(settings.detail_channels, (tiles.HEIGHT, tiles.WIDTH))
    operations = blocks.count_operations(sized) / 1e9
    console.say(f"VAE of step {vae_step}; the refiner takes {operations:.2f} GFLOP a tile")
    indices, _ = tile_set.split(
        vae_record["settings"]["validation_fraction"], vae_record["settings"]["seed"]
    )

    with files.only_one(settings.run):
        run = training.Run(
            settings.run,
            script="train_refiner.py",
            settings=settings,
            architecture={**refiner.ARCHITECTURE, "detail_channels": settings.detail_channels},
            notes={"vae": vae_fingerprint},
            tracked={
                "model": model,
                "averaged": averaged,
                "optimizer": optimizer,
                "discriminator": discriminator,
                "rival": rival,
                "rival_norm": rival_norm,
            },
        )
        if run.resumed:
            console.say(f"going on from step {int(run.step)} of {settings.steps}")
        if run.step >= settings.steps:
            if run.notes_before.get("vae") not in (None, vae_fingerprint):
                raise ValueError(
                    f"{settings.run} was trained on another VAE than {settings.vae_run}: "
                    "a larger --steps adapts it, another --run starts afresh"
                )
            console.finish(
                f"{settings.run} is done at step {int(run.step)}; a larger --steps goes on",
                "export_graphs.py",
            )
            return 0
        run.write_settings()
        codes = training.encode_tiles(vae_model, tile_set.pixels, "encode")
        maps = style_maps(tile_set, codes)
        step_function = make_step(
            strategy, vae_model, maps, model, averaged, discriminator, optimizer, rival, rival_norm,
            run, settings,
        )  # fmt: skip
        watch = Watch(tile_set, codes, maps, vae_model)
        with run.going_on("add --steps to change the end"):
            train(strategy, run, tile_set, indices, step_function, watch, model, averaged,
                  (optimizer, rival), settings)  # fmt: skip
    console.finish(f"Wrote step {settings.steps} to {settings.run}", "export_graphs.py")
    return 0


def style_maps(tile_set: shards.TileSet, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Works out the Gaussian map from each video to each painter, as mogrify_video.py will.

    Returns:
        Matrices, float32 [sources, sources, codes, codes], and offsets, float32 [sources, sources,
        codes]: `z @ matrices[video, painter] + offsets[video, painter]` is what strength 1 makes
        of z. Pairs that are not a video and a painter hold zeros.
    """
    names = tile_set.source_indices()
    found = []
    for own in names.values():
        moments = latents.Moments(codes.shape[1])
        moments.add(codes[own])
        found.append(moments.statistics(str(tile_set.kinds[own[0]])))
    size = (len(names), len(names), codes.shape[1])
    matrices, offsets = np.zeros((*size, codes.shape[1]), np.float32), np.zeros(size, np.float32)
    for i, source in enumerate(found):
        for j, painter in enumerate(found):
            if source.kind == "video" and painter.kind == "painting":
                matrices[i, j] = latents.monge_matrix(source, painter)
                offsets[i, j] = painter.mean - source.mean @ matrices[i, j]
    return matrices, offsets


def make_step(
    strategy, vae_model, maps, model, averaged, discriminator, optimizer, rival, rival_norm, run,
    settings,
):  # fmt: skip
    """Returns the compiled function that makes one training step from one batch."""
    detail_channels = settings.detail_channels
    matrices, offsets = map(tf.constant, maps)

    def replica_step(batch: dict[str, tf.Tensor], weights: tf.Tensor) -> dict[str, tf.Tensor]:
        pairs = settings.batch_size // 2  # of a painting and a video tile, all replicas together
        whole = tf.cast(batch["tiles"], tf.float32) / 255
        z_mean, _ = vae_model.encoder(whole)
        paintings, videos = whole[0::2], whole[1::2]
        strength = batch["strength"][1::2]
        moved = z_mean[1::2]
        goal = tf.einsum("nc,ncd->nd", moved, tf.gather_nd(matrices, batch["pair"][1::2]))
        goal += tf.gather_nd(offsets, batch["pair"][1::2])
        moved += strength[:, None] * (goal - moved)
        pictures = vae_model.decoder(tf.concat([z_mean, moved], 0))

        # Cut the same window out of everything: more tiles a second, and no fixed composition.
        top, left = batch["corner"][0, 0], batch["corner"][0, 1]

        def cut(x: tf.Tensor) -> tf.Tensor:
            window = x[:, top : top + CROP_HEIGHT, left : left + CROP_WIDTH]
            return tf.ensure_shape(window, (None, CROP_HEIGHT, CROP_WIDTH, 3))

        targets, pictures = cut(whole), cut(pictures)
        paintings, videos = cut(paintings), cut(videos)
        count = tf.shape(whole)[0]
        strengths = tf.concat([tf.zeros(count), strength], 0)[:, None]
        batch_grain = tf.concat([batch["grain"], batch["grain"][1::2]], 0)
        with tf.GradientTape() as tape:
            detail = noisy = None
            if detail_channels:
                detail = model.detail_encoder(targets)
                noisy = detail + refiner.DETAIL_NOISE * batch["noise"]
                noisy = tf.concat([noisy, noisy[1::2]], 0)
            refined = model.draw(pictures, noisy, strengths, batch_grain)
            restored, painted = refined[:count], refined[count:]
            plain = averaged.draw(
                pictures[count:],
                None if noisy is None else noisy[count:],
                0 * strength[:, None],
                batch["grain"][1::2],
            )
            plain = tf.stop_gradient(plain)

            terms = {}
            restore = refiner.sharp_loss(targets, restored)
            terms["reconstruction_loss"] = tf.reduce_sum(restore) / settings.batch_size
            calm = refiner.sharp_loss(plain, painted) * (1 - strength) ** 2
            terms["calm_loss"] = tf.reduce_sum(calm) / pairs
            palette = tf.square(refiner.shrink(painted, 8) - refiner.shrink(plain, 8))
            terms["palette_loss"] = 64 * tf.reduce_sum(palette) / pairs
            structure = refiner.structure_loss(painted, videos)
            terms["structure_loss"] = tf.reduce_sum(structure) / pairs
            share = tf.cast(tf.shape(strength)[0], tf.float32) / pairs
            strokes = refiner.stroke_loss(painted, paintings, batch["filters"][0])
            terms["stroke_loss"] = tf.reduce_mean(strength) * strokes * share
            colours = refiner.colour_loss(painted, paintings, batch["filters"][0])
            terms["colour_loss"] = tf.reduce_mean(strength) * colours * share
            fake_scores = discriminator(painted)
            adversarial = adversary.generator_loss(fake_scores, strength) * share
            terms["adversarial_loss"] = adversarial
            loss = (
                terms["reconstruction_loss"]
                + terms["calm_loss"]
                + settings.palette_weight * terms["palette_loss"]
                + settings.structure_weight * terms["structure_loss"]
                + settings.stroke_weight * terms["stroke_loss"]
                + settings.colour_weight * terms["colour_loss"]
                + weights[0] * adversarial
            )
            if detail_channels:
                kl = tf.reduce_sum(refiner.detail_kl(detail)) / settings.batch_size
                terms["detail_kl_loss"] = kl
                loss += refiner.DETAIL_BETA * kl
        gradients = tape.gradient(loss, model.trainable_variables)
        norm = training.apply_gradients(
            optimizer, model.trainable_variables, gradients, run.norm_average
        )
        replicas = tf.distribute.get_replica_context().num_replicas_in_sync
        terms |= {"loss": loss, "gradient_norm": norm / replicas}
        if settings.adversarial_weight:
            with tf.GradientTape() as tape:
                with tf.GradientTape() as inner:
                    inner.watch(paintings)
                    real_scores = discriminator(paintings)
                    real_sum = tf.reduce_sum(tf.reduce_mean(real_scores, axis=(1, 2, 3)))
                slope = inner.gradient(real_sum, paintings)
                penalty = tf.reduce_mean(tf.reduce_sum(tf.square(slope), axis=(1, 2, 3)))
                scores = discriminator(tf.stop_gradient(painted))
                rival_loss = adversary.discriminator_loss(real_scores, scores)
                rival_total = (rival_loss + adversary.R1_WEIGHT * penalty) * share
            gradients = tape.gradient(rival_total, discriminator.trainable_variables)
            training.apply_gradients(
                rival, discriminator.trainable_variables, gradients, rival_norm
            )
            right = tf.reduce_mean(tf.cast(real_scores > 0, tf.float32))
            right += tf.reduce_mean(tf.cast(scores < 0, tf.float32))
            terms |= {
                "discriminator_loss": rival_loss * share,
                "discriminator_right": right / 2 / replicas,
            }
        return terms

    @tf.function
    def step(batch: dict[str, tf.Tensor], weights: tf.Tensor) -> dict[str, tf.Tensor]:
        terms = strategy.run(replica_step, args=(batch, weights))
        run.step.assign_add(1)
        return {
            name: strategy.reduce(tf.distribute.ReduceOp.SUM, term, axis=None)
            for name, term in terms.items()
        }

    return step


def make_batches(tile_set: shards.TileSet, indices: np.ndarray, first: int, settings):
    """Adds to each batch all random numbers of its step, drawn from (seed, step)."""
    names = list(tile_set.source_indices())
    kinds = {name: tile_set.kinds[tile_set.sources == name][0] for name in names}
    if len(set(kinds.values())) < 2:
        raise ValueError("the refiner needs tiles of paintings and of videos: see extract_tiles.py")
    batches = shards.training_batches(
        tile_set,
        indices,
        batch_size=settings.batch_size // 2 * 2,
        seed=settings.seed,
        first_step=first,
        last_step=settings.steps,
    )
    size = settings.batch_size // 2 * 2
    shape = (size, CROP_HEIGHT // refiner.BLOCK, CROP_WIDTH // refiner.BLOCK)

    def complete(step: tf.Tensor, batch: tf.Tensor, sources: tf.Tensor) -> dict[str, tf.Tensor]:
        def seed(number: int) -> tuple:
            return settings.seed * 16 + number, step

        painters, videos = sources[0::2], sources[1::2]
        strength = tf.random.stateless_uniform((size,), seed(0))
        # A third of the tiles at full strength, which matters most.
        strength = tf.minimum(1.0, 1.5 * strength)
        rows = tf.random.stateless_uniform((), seed(1), 0, tiles.HEIGHT - CROP_HEIGHT + 1, tf.int32)
        columns = tf.random.stateless_uniform(
            (), seed(2), 0, tiles.WIDTH - CROP_WIDTH + 1, tf.int32
        )
        return {
            "tiles": batch,
            "pair": tf.repeat(tf.stack([videos, painters], 1), 2, axis=0),
            "strength": strength,
            "corner": tf.tile(tf.stack([rows, columns])[None], (size, 1)),
            "noise": tf.random.stateless_normal((*shape, settings.detail_channels), seed(3)),
            "grain": tf.random.stateless_normal((*shape, refiner.GRAIN_CHANNELS), seed(5)),
            "filters": tf.tile(
                tf.random.stateless_normal((1, 7, 7, 3, 24), seed(4)), (size, 1, 1, 1, 1)
            ),
        }

    return batches.map(complete)


def train(
    strategy,
    run,
    tile_set,
    indices,
    step_function,
    watch,
    model,
    averaged,
    optimizers,
    settings,
):
    """Runs the loop: take a batch, step, log, show, save."""
    first = int(run.step)
    batches = make_batches(tile_set, indices, first, settings)
    batches = strategy.experimental_distribute_dataset(batches)
    update_averages = training.make_averager(strategy, averaged, model)
    meter = training.Meter()
    bar = console.progress(
        batches, total=settings.steps, initial=first, unit="step", label="refiner"
    )
    for step, batch in enumerate(bar, start=first + 1):
        # Step.
        rate = training.learning_rate_at(step - 1, settings.learning_rate)
        for optimizer in optimizers:
            optimizer.learning_rate.assign(rate)
        ramp = np.clip((step - ADVERSARY_WARM_UP) / ADVERSARY_WARM_UP, 0, 1)
        weights = tf.constant([settings.adversarial_weight * ramp], tf.float32)
        terms = {name: float(term) for name, term in step_function(batch, weights).items()}
        training.check_finite(terms, step, settings.run)
        meter.add(terms)
        if step % training.AVERAGE_EVERY == 0:
            update_averages(run.step)

        # Log.
        if step % settings.log_every == 0 or step == settings.steps:
            means = meter.read(settings.batch_size)
            run.log({**means, "learning_rate": rate}, step)
            bar.set_postfix_str(f"loss {means['loss']:.0f}", refresh=False)

        # Show.
        if training.is_preview_step(step, settings.preview_every) or step == settings.steps:
            watch.show(run, averaged, step)

        # Save.
        if step % settings.checkpoint_every == 0 or step == settings.steps:
            run.save()


class Watch:
    """Fixed video tiles on which a run is watched, moved toward the first painter."""

    def __init__(self, tile_set: shards.TileSet, codes: np.ndarray, maps: tuple, vae_model):
        """Picks the tiles and decodes their codes, which do not change while the refiner learns."""
        names = list(tile_set.source_indices())
        videos = np.flatnonzero(tile_set.kinds == "video")
        chosen = videos[np.linspace(0, len(videos) - 1, PREVIEW_TILES + 2).astype(int)[1:-1]]
        self._tiles = tile_set.select(chosen).pixels.astype(np.float32) / 255
        matrices, offsets = maps
        own = [names.index(tile_set.sources[i]) for i in chosen]
        goal = np.stack(
            [codes[i] @ matrices[v, 0] + offsets[v, 0] for i, v in zip(chosen, own, strict=True)]
        )
        self._pictures = {
            strength: np.asarray(
                vae_model.decoder(codes[chosen] + strength * (goal - codes[chosen]))
            )
            for strength in PREVIEW_STRENGTHS
        }
        self._painter = names[0]

    def show(self, run: training.Run, model: keras.Model, step: int) -> None:
        """Logs measures and keeps a preview picture."""
        drawn = {
            strength: np.asarray(
                model(pictures, self._tiles, np.full(len(pictures), strength, np.float32))
            )
            for strength, pictures in self._pictures.items()
        }
        before = metrics.psnr(self._tiles, self._pictures[0.0]).mean()
        after = metrics.psnr(self._tiles, drawn[0.0]).mean()
        run.log({"psnr/vae": before, "psnr/refined": after}, step)
        if step >= 250:
            console.say(f"step {step}: psnr/vae {before:.2f} dB, psnr/refined {after:.2f} dB")
        sheet = gallery.contact_sheet(
            [list(self._tiles), *map(list, drawn.values())],
            title=f"step {step}, toward {self._painter}",
            row_labels=["tiles", *(f"strength {strength}" for strength in drawn)],
        )
        run.preview(sheet, step)


if __name__ == "__main__":
    sys.exit(main())
