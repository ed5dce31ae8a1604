"""Claim: on a GPU both networks train at a good share of the card's own matrix product.

    KERAS_BACKEND=jax python -m benchmarks.bench_gpu --tiles tiles.npz --weights out

Trains the builders of the product under JAX, without TensorFlow, on tiles that lie in the card's
memory: `gpu_tiles.py` packs them, `gpu_weights.py` makes a run of the weights that are written.
Needs jax, keras, numpy, pillow and tqdm. Float32 is what XLA makes of it, TF32 on many cards.
"""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

from cadl import console
from cadl.errors import UserError
from cadl.settings import Count, Range, Seed, read_settings

Policy = Literal["mixed_bfloat16", "float32"]

TILES: Path = Path("tiles.npz")  # by gpu_tiles
WEIGHTS: Path = Path("out/gpu")  # folder for weights
HALF: bool = False  # write weights in 16 bits

NETWORKS: list[Literal["vae", "refiner"]] = ["vae", "refiner"]  # what is trained
POLICIES: list[Policy] = ["mixed_bfloat16", "float32"]  # weights of the first are written
BATCH_SIZE: Annotated[int, Range(4)] = 8  # tiles a step, as the training scripts have
VAE_STEPS: Count = 10_000  # in all
VAE_SAVE_AT: list[Count] = [500, 1_000, 2_000, 4_000]  # steps to measure and write after
REFINER_STEPS: Count = 4_500  # in all
REFINER_SAVE_AT: list[Count] = [250, 500, 1_000, 2_000]  # the same; the last step counts, too
RATES: list[Count] = [32, 128]  # other batches at which the VAE's rate is taken
REPEATS: Count = 20  # timed steps for a rate
MATRIX: Count = 8_192  # side of the matrix product
MINUTES: Annotated[float, Range(0)] = 2.0  # for each training; then it ends with what it has
ALL_MINUTES: Annotated[float, Range(0)] = 8.0  # for everything; then nothing more is begun
SEED: Seed = 1  # of weights, batches and noise


@console.script
def main(argv: list[str] | None = None) -> int:
    """Trains, takes rates, and prints a line for each."""
    settings = read_settings(argv)
    if os.environ.get("KERAS_BACKEND") != "jax" or not importlib.util.find_spec("jax"):
        raise UserError("KERAS_BACKEND must be jax, and jax installed: set KERAS_BACKEND=jax")
    import keras  # noqa: F401  # isort: skip  # before cadl, which would choose TensorFlow
    from benchmarks import gpu_training

    gpu_training.train_all(settings)
    return 0


if __name__ == "__main__":
    sys.exit(main())
