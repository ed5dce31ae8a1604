"""Training steps of both networks in `keras.ops`, as train_vae.py and train_refiner.py make them.

Those are TensorFlow's; these run under any backend. `tests/test_gpu.py` holds that they are alike.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cadl import _startup  # noqa: F401
from cadl.networks import blocks, refiner, vae
from cadl.training import refiner_inputs, refiner_losses

import keras
from keras import ops

BETA = 0.05
SHIFT_WEIGHT = 0.5
DETAIL_BETA = 3e-4
CLIP_RATIO, SPIKE_RATIO, NORM_MOMENTUM, FIRST_STEPS = 2.0, 30.0, 0.98, 5
AVERAGE_EVERY = 4
CROP = refiner_inputs.CROP_HEIGHT, refiner_inputs.CROP_WIDTH


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained.

    Attributes:
        build: makes the model.
        loss: of the model and a batch by `bench_gpu`, a mean over tiles.
        restore: makes tiles of the model and float32 tiles, as the product does.
        operations: forward, for a tile in training.
        learning_rate: after warm-up.
        beta_1: Adam's, as the next two.
        beta_2: of the second moments.
        epsilon: added to their root.
        bounds_updates: as in `optimizer.Adam`.
    """

    build: Callable[[], keras.Model]
    loss: Callable[[keras.Model, dict[str, Any]], Any]
    restore: Callable[[keras.Model, Any], Any]
    operations: Callable[[], float]
    learning_rate: float
    beta_1: float
    beta_2: float
    epsilon: float
    bounds_updates: bool


def vae_loss(model, batch: dict[str, Any]):
    """Returns the loss of `tiles`, uint8, with `noise` on their codes."""
    tiles_in = ops.cast(batch["tiles"], "float32") / 255
    found = model([tiles_in, batch["noise"]], training=True)
    return ops.mean(vae.vae_loss(tiles_in, *found, beta=BETA)[0])


def refiner_loss(model, batch: dict[str, Any]):
    """Returns the loss of a batch as by `refiner_batches.make_batches`."""
    given = refiner_inputs.prepare(batch)
    restored, detail, shifted = refiner_inputs.restore(model, given)
    terms = refiner_losses.restoring_terms(given.targets, restored, detail)
    shift_loss = refiner_losses.shift_loss(
        restored - given.targets, shifted - given.shifted, given.shift
    )
    return (
        terms["reconstruction_loss"]
        + SHIFT_WEIGHT * shift_loss
        + DETAIL_BETA * terms["detail_kl_loss"]
    )


def _vae_operations() -> float:
    return sum(map(blocks.count_operations, (vae.build_encoder(), vae.build_decoder())))


def _refiner_operations() -> float:
    """Counts for a crop, and for its share of the crops that are seen twice."""
    sized = refiner.Refining(size=CROP)
    both = sum(map(blocks.count_operations, (sized.detail_encoder, sized.refiner)))
    return both * (1 + 1 / refiner_inputs.TILES_PER_SHIFTED)


RECIPES = {
    "vae": Recipe(
        build=vae.build_vae,
        loss=vae_loss,
        restore=lambda model, tiles_in: model.decoder(model.encoder(tiles_in)[0]),
        operations=_vae_operations,
        learning_rate=1e-3, beta_1=0.9, beta_2=0.99, epsilon=1e-5, bounds_updates=False,
    ),
    "refiner": Recipe(
        build=refiner.Refining,
        loss=refiner_loss,
        restore=lambda model, tiles_in: model(tiles_in, tiles_in, ops.zeros((len(tiles_in),))),
        operations=_refiner_operations,
        learning_rate=2e-3, beta_1=0.5, beta_2=0.99, epsilon=1e-7, bounds_updates=True,
    ),
}  # fmt: skip


def start(weights: list, copy: Callable = ops.copy) -> dict[str, Any]:
    """Returns the state before the first step: weights, their average, Adam's moments."""
    return {
        "weights": weights,
        "averaged": [copy(weight) for weight in weights],
        "first": [ops.zeros_like(weight) for weight in weights],
        "second": [ops.zeros_like(weight) for weight in weights],
        "usual_norm": ops.zeros(()),
        "step": ops.zeros((), "int32"),
    }


def learn(recipe: Recipe, state: dict[str, Any], gradients: list, loss) -> dict[str, Any]:
    """Returns the state after a step, as `optimizer.Adam.learn` and `make_averager` make it."""
    count = ops.cast(state["step"], "float32")
    scale, good, usual_norm = _clip(state["usual_norm"], gradients, loss, count)
    rate = learning_rate_at(count, recipe.learning_rate)
    rate = rate * ops.sqrt(1 - recipe.beta_2 ** (count + 1)) / (1 - recipe.beta_1 ** (count + 1))
    span = ops.minimum(1000.0, 1.0 + 0.1 * (count + 1))
    due = (state["step"] + 1) % AVERAGE_EVERY == 0
    share = ops.where(due, ops.minimum(1.0, AVERAGE_EVERY / span), 0.0)
    after: dict[str, Any] = {"usual_norm": usual_norm, "step": state["step"] + 1}
    names = ("weights", "averaged", "first", "second")
    rows = zip(gradients, *(state[name] for name in names), strict=True)
    for gradient, weight, averaged, first, second in rows:
        gradient = ops.where(good, gradient * scale, 0.0)
        square = ops.square(gradient)
        own_rate = rate
        if recipe.bounds_updates:
            known = recipe.beta_2 * second + (1 - recipe.beta_2) * square
            outgrown = square * (1 - recipe.beta_2 ** (count + 1)) / (known + recipe.epsilon**2)
            own_rate = rate / ops.maximum(1.0, ops.sqrt(ops.mean(outgrown)))
        first = ops.where(good, first + (gradient - first) * (1 - recipe.beta_1), first)
        second = ops.where(good, second + (square - second) * (1 - recipe.beta_2), second)
        moved = weight - own_rate * first / (ops.sqrt(second) + recipe.epsilon)
        weight = ops.where(good, moved, weight)
        changed = (weight, averaged + share * (weight - averaged), first, second)
        for name, value in zip(names, changed, strict=True):
            after.setdefault(name, []).append(value)
    return after


def _clip(before, gradients: list, loss, count) -> tuple:
    """Returns what gradients are multiplied by, whether the step counts, and the usual norm."""
    norm = ops.sqrt(sum(ops.sum(ops.square(gradient)) for gradient in gradients))
    usual = ops.where(before > 0, before, norm)
    first = count < FIRST_STEPS
    good = ops.isfinite(norm + loss) & (first | (norm <= SPIKE_RATIO * usual))
    clipped = ops.minimum(norm, CLIP_RATIO * usual)
    share = ops.maximum(1 - NORM_MOMENTUM, 1 / (1 + count))
    after = usual + share * (ops.where(first, norm, clipped) - usual)
    return clipped / ops.maximum(norm, 1e-12), good, ops.where(good, after, before)


def learning_rate_at(step, base: float, *, warm_up: int = 100, decay_from: int = 2000):
    """Returns the rate of a step, as `optimizer.learning_rate_at`."""
    falling = math.sqrt(decay_from) / ops.sqrt(step + 1)
    return base * ops.minimum(1.0, (step + 1) / warm_up) * ops.minimum(1.0, falling)
