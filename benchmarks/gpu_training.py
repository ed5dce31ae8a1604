"""Trains both networks under JAX, each step one compiled function that draws its own batch."""

import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from benchmarks import gpu_steps, gpu_tiles, gpu_weights
from cadl.images import metrics, tiles
from cadl.networks import refiner, vae
from cadl.training import refiner_inputs

import jax
import keras
import numpy as np
from jax import numpy as jnp

CHUNK = 50  # steps without waiting for the card
JUDGED = 8  # tiles at a time


class Work(NamedTuple):
    """What all parts share.

    Attributes:
        settings: of the script.
        pack: the tiles.
        data: those to train on in the card's memory, and whose turn it is.
        peaks: operations a second of the matrix product in each arithmetic.
        ends: when nothing more is begun, by `time.monotonic`.
    """

    settings: Any
    pack: gpu_tiles.Pack
    data: dict[str, Any]
    peaks: dict[str, float]
    ends: float


class Step(NamedTuple):
    """A compiled step.

    Attributes:
        model: whose variables the weights stand for.
        run: takes state, data and key; returns state and loss.
        state: before the first step.
        memory: bytes that the step holds at most.
    """

    model: Any
    run: Any
    state: dict[str, Any]
    memory: int


def train_all(settings: Any) -> None:
    """Trains each network in each arithmetic, then takes rates, while there is time.

    Raises:
        UserError: there are no tiles.
    """
    started = time.monotonic()
    say(f"keras {keras.__version__}, jax {jax.__version__}, {jax.devices()[0].device_kind}")
    pack = gpu_tiles.read_pack(settings.tiles)
    say(f"{len(pack.pixels)} tiles, {pack.held_out.sum()} held out", started)
    peaks = {policy: matrix_rate(policy, settings.matrix) for policy in settings.policies}
    for policy, peak in peaks.items():
        say(f"matrix product in {policy}: {peak / 1e12:.1f} TFLOP/s", started)
    ends = started + 60 * settings.all_minutes
    work = Work(settings, pack, jax.device_put(turns(pack)), peaks, ends)
    judges = {name: make_judge(work, name) for name in settings.networks}
    with ThreadPoolExecutor(1) as writer:
        written: list[Future] = []
        for policy in settings.policies:
            for name in settings.networks:
                if time.monotonic() < ends:
                    written += train(work, name, policy, judges[name], writer)
            for batch_size in settings.rates:
                if time.monotonic() < ends:
                    take_rate(work, policy, batch_size)
        for future in written:
            future.result()
    stats = jax.local_devices()[0].memory_stats() or {}
    used = f"{stats['peak_bytes_in_use'] / 2**30:.2f} GiB at most" if stats else "memory not told"
    say(f"done; {used}", started)


def say(text: str, started: float | None = None) -> None:
    """Prints a line at once, for a run that may be cut off."""
    print(text + (f" [{time.monotonic() - started:.0f} s]" if started else ""), flush=True)


def matrix_rate(policy: str, side: int) -> float:
    """Returns the operations a second of a matrix product in the arithmetic of a policy."""
    dtype = keras.dtype_policies.get(policy).compute_dtype
    matrix = jax.random.normal(jax.random.key(0), (side, side), dtype)
    multiply = jax.jit(lambda a, b: a @ b).lower(matrix, matrix).compile()
    seconds = seconds_of(lambda: multiply(matrix, matrix))
    return 2 * side**3 / seconds


def seconds_of(call: Any, repeats: int = 20) -> float:
    """Returns the mean time of calls that the card works off one after another."""
    for _ in range(3):
        jax.block_until_ready(call())
    started = time.perf_counter()
    for _ in range(repeats):
        found = call()
    jax.block_until_ready(found)
    return (time.perf_counter() - started) / repeats


def turns(pack: gpu_tiles.Pack) -> dict[str, np.ndarray]:
    """Returns the tiles to train on, and whose turn it is, as in `tile_sets.training_batches`.

    Returns:
        `pixels`, uint8 [N, 180, 320, 3]; `members`, int32 [sources, most], their tiles; `counts`,
        int32 [sources]; `cycle`, int32 [L], the source of each slot, paintings and videos in turn.
    """
    kept = np.flatnonzero(~pack.held_out)
    sources, kinds = pack.sources[kept], pack.kinds[kept]
    names = list(dict.fromkeys(sources.tolist()))
    own = [np.flatnonzero(sources == name) for name in names]
    by_kind = [[i for i, o in enumerate(own) if kinds[o[0]] == kind] for kind in np.unique(kinds)]
    length = len(by_kind) * math.lcm(*map(len, by_kind))
    slots = (divmod(slot, len(by_kind)) for slot in range(length))
    members = np.zeros((len(own), max(map(len, own))), np.int32)
    for row, indices in zip(members, own, strict=True):
        row[: len(indices)] = indices
    return {
        "pixels": pack.pixels[kept],
        "members": members,
        "counts": np.array([len(indices) for indices in own], np.int32),
        "cycle": np.array([by_kind[k][i % len(by_kind[k])] for i, k in slots], np.int32),
    }


def draw(data: dict[str, Any], step: Any, key: Any, batch_size: int) -> dict[str, Any]:
    """Draws a batch on the card, and all random numbers of its step, for either network.

    Args:
        data: by `turns`.
        step: number of the step.
        key: of the random numbers.
        batch_size: tiles.

    Returns:
        `tiles`, uint8; all else that `gpu_steps.vae_loss` or `refiner_loss` take.
    """
    keys = iter(jax.random.split(key, 10))
    uniform, normal = jax.random.uniform, jax.random.normal
    slots = (step * batch_size + jnp.arange(batch_size)) % len(data["cycle"])
    source = data["cycle"][slots]
    counts = data["counts"][source]
    place = (uniform(next(keys), (batch_size,)) * counts).astype(jnp.int32)
    picked = data["pixels"][data["members"][source, jnp.minimum(place, counts - 1)]]
    mirrored = uniform(next(keys), (batch_size, 1, 1, 1)) < 0.5
    crop, unit = gpu_steps.CROP, refiner_inputs.CORNER_STEP
    rooms = tiles.HEIGHT - crop[0], tiles.WIDTH - crop[1]
    places = [jax.random.randint(next(keys), (), 0, room // unit + 1) for room in rooms]
    shift = uniform(next(keys), (1, 2), maxval=refiner_inputs.MAX_SHIFT)
    deviation = uniform(next(keys), (batch_size, 1, 1, 1), maxval=refiner_inputs.MAX_GRAIN)
    channels = (*(side // refiner.BLOCK for side in crop), refiner.DETAIL_CHANNELS)
    return {
        "tiles": jnp.where(mirrored, picked[:, :, ::-1], picked),
        "corner": jnp.tile(unit * jnp.stack(places)[None], (batch_size, 1)),
        "shift": jnp.tile(shift, (batch_size, 1)),
        "grain": deviation * normal(next(keys), (batch_size, *crop, 1)),
        "noise": {
            "vae": normal(next(keys), (batch_size, vae.CODES)),
            "refiner": normal(next(keys), (batch_size, *channels)),
        },
    }


def make_step(work: Work, name: str, policy: str, batch_size: int) -> Step:
    """Builds a network anew and compiles its step, which draws its own batch."""
    recipe = gpu_steps.RECIPES[name]
    keras.utils.set_random_seed(work.settings.seed)
    keras.mixed_precision.set_dtype_policy(policy)
    model = recipe.build()
    keras.mixed_precision.set_dtype_policy("float32")
    variables = model.trainable_variables

    def loss_of(weights: list, batch: dict[str, Any]) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            return recipe.loss(model, batch)

    def step(state: dict[str, Any], data: dict[str, Any], key: Any) -> tuple:
        own = jax.random.fold_in(key, state["step"])
        batch = draw(data, state["step"], own, batch_size)
        batch["noise"] = batch["noise"][name]
        loss, gradients = jax.value_and_grad(loss_of)(state["weights"], batch)
        return gpu_steps.learn(recipe, state, gradients, loss), loss

    started = time.monotonic()
    state = gpu_steps.start([variable.value.copy() for variable in variables])
    key = jax.random.key(work.settings.seed)
    compiled = jax.jit(step, donate_argnums=0).lower(state, work.data, key).compile()
    say(f"{name}, {policy}, batch {batch_size}: compiled", started)
    used = compiled.memory_analysis()
    memory = 0
    if used:
        memory = used.temp_size_in_bytes + used.argument_size_in_bytes + used.output_size_in_bytes
        memory -= used.alias_size_in_bytes
    return Step(model, compiled, state, memory)


def train(
    work: Work, name: str, policy: str, judge: Any, writer: ThreadPoolExecutor
) -> list[Future]:
    """Trains a network to its last step, or until its time is up.

    Args:
        work: what all parts share.
        name: of the network.
        policy: its arithmetic; weights are written only in the first of the settings.
        judge: by `make_judge`.
        writer: what writes weights while the card goes on.

    Returns:
        The writing of its weights.
    """
    settings = work.settings
    ends = min(work.ends, time.monotonic() + 60 * settings.minutes)
    run = make_step(work, name, policy, settings.batch_size)
    state, key = run.state, jax.random.key(settings.seed)
    last = getattr(settings, f"{name}_steps")
    save_at = {step for step in getattr(settings, f"{name}_save_at") if step < last} | {last}
    saves: dict[int, dict[str, np.ndarray]] = {}
    written: list[Future] = []
    done, timed, seconds = 0, 0, 0.0
    for stop in sorted({*range(CHUNK, last, CHUNK), *save_at}):
        began = time.perf_counter()
        losses: list[Any] = []
        while len(losses) < stop - done:
            state, loss = run.run(state, work.data, key)
            losses.append(loss)
        jax.block_until_ready(state)
        if done:  # the card was cold in the first steps
            timed, seconds = timed + stop - done, seconds + time.perf_counter() - began
        done = stop
        words = f"step {done}: loss {np.mean(jax.device_get(losses)):.1f}"
        over = time.monotonic() > ends
        if done in save_at or over:
            words += f", held out {judge(state['averaged']):.2f} dB"
            if policy == settings.policies[0]:
                saves[done] = weights_of(run.model, state["averaged"])
                written.append(writer.submit(write, work, name, dict(saves)))
        if done in save_at or over or not done % (10 * CHUNK) or done == CHUNK:
            say(f"{name}, {policy}, {words}")
        if over:
            break
    rate = settings.batch_size * timed / seconds if timed else math.nan
    reached = reached_by(work, name, policy, rate, run.memory)
    say(f"{name}, {policy}, batch {settings.batch_size}: {reached}; {words}")
    return written


def make_judge(work: Work, name: str) -> Any:
    """Returns a function from averaged weights to the PSNR of held-out tiles, in float32."""
    model = gpu_steps.RECIPES[name].build()
    variables = model.trainable_variables
    held_out = tiles.to_float(work.pack.pixels[work.pack.held_out])

    @jax.jit
    def restore(weights: list, tiles_in: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            return gpu_steps.RECIPES[name].restore(model, tiles_in)

    def judge(weights: list) -> float:
        found = []
        for start in range(0, len(held_out), JUDGED):
            part = held_out[np.arange(start, start + JUDGED) % len(held_out)]  # all of one shape
            found.append(metrics.psnr(part, np.asarray(restore(weights, part))))
        return float(np.concatenate(found)[: len(held_out)].mean()) if found else math.nan

    return judge


def weights_of(model: Any, averaged: list) -> dict[str, np.ndarray]:
    """Returns averaged weights, and those that are not trained, by name, in main memory."""
    ours = {id(v): w for v, w in zip(model.trainable_variables, averaged, strict=True)}
    named = gpu_weights.named_variables(model)
    return {name: np.array(ours.get(id(v), v.value), np.float32) for name, v in named.items()}


def write(work: Work, name: str, saves: dict[int, dict[str, np.ndarray]]) -> None:
    """Writes weights: a refiner's of all steps to one file; a VAE's, which are large, alone."""
    fraction, seed = work.pack.split
    own: dict[str, Any] = {"batch_size": work.settings.batch_size, "seed": seed}
    if name == "vae":
        own["validation_fraction"] = fraction
        saves = dict([max(saves.items())])
    about = {
        "network": name,
        "sources": list(dict.fromkeys(work.pack.sources.tolist())),
        "settings": own,
    }
    path = work.settings.weights / (f"vae-{max(saves):05d}.npz" if name == "vae" else f"{name}.npz")
    gpu_weights.write_weights(path, saves, about, work.settings.half)
    say(f"wrote {path}, {path.stat().st_size / 2**20:.1f} MiB")


def take_rate(work: Work, policy: str, batch_size: int) -> None:
    """Prints the VAE's rate of training at a batch size."""
    run = make_step(work, "vae", policy, batch_size)
    key = jax.random.key(0)
    state = run.state

    def call() -> Any:
        nonlocal state
        state, loss = run.run(state, work.data, key)
        return loss

    seconds = seconds_of(call, work.settings.repeats)
    reached = reached_by(work, "vae", policy, batch_size / seconds, run.memory)
    say(f"vae, {policy}, batch {batch_size}: {reached}")


def reached_by(work: Work, name: str, policy: str, rate: float, memory: int) -> str:
    """Says what a training of so many tiles a second reached, and what its step holds."""
    reached, peak = 3 * gpu_steps.RECIPES[name].operations() * rate, work.peaks[policy]
    return (
        f"{rate:,.0f} tiles/s, {reached / 1e12:.2f} TFLOP/s, {reached / peak:.3f} of the matrix "
        f"product (aim 0.4); {memory / 2**30:.2f} GiB"
    )
