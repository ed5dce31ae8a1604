"""Claim: on a GPU the VAE trains at a good share of the card's own matrix product.

    KERAS_BACKEND=jax python -m benchmarks.bench_gpu

Runs the same Keras builders under whatever backend Keras was told to use (jax, torch, tensorflow),
so that a card can be measured where TensorFlow is not installed. Needs keras, numpy and pillow.
"""

import sys
import time

import keras  # isort: skip  # before cadl, which would choose TensorFlow

from cadl.images import tiles
from cadl.networks import blocks, vae

import numpy as np
from keras import ops

BATCH_SIZES = (8, 32, 128)
POLICIES = ("float32", "mixed_bfloat16")
REPEATS = 20
MATRIX = 8192
MATRIX_ON_CPU = 1024


class Fitted(keras.Model):
    """The VAE with its loss, for `train_on_batch`."""

    def __init__(self):
        """Builds it under the dtype policy of the moment."""
        super().__init__()
        self.vae = vae.build_vae()

    def call(self, inputs, training=None):
        """Returns reconstruction, z_mean and z_log_var."""
        return self.vae(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the mean loss of the batch."""
        return ops.mean(vae.vae_loss(x[0], *y_pred, beta=0.05)[0])


def main() -> int:
    """Prints a row for each precision and batch size."""
    on_gpu = "gpu" in str(keras.distribution.list_devices()).lower()
    side = MATRIX if on_gpu else MATRIX_ON_CPU
    batch_sizes, policies, repeats = list(BATCH_SIZES), list(POLICIES), REPEATS
    if not on_gpu:
        batch_sizes, policies, repeats = [8], ["float32"], 3
    print(
        f"keras {keras.__version__}, {keras.backend.backend()}, {keras.distribution.list_devices()}"
    )
    for policy in policies:
        keras.mixed_precision.set_dtype_policy(policy)
        matrix = ops.cast(
            np.random.default_rng(0).standard_normal((side, side)),
            keras.mixed_precision.dtype_policy().compute_dtype,
        )
        multiply = seconds_of(lambda matrix=matrix: ops.matmul(matrix, matrix)[0, 0], repeats)
        peak = 2 * side**3 / multiply
        for batch_size in batch_sizes:
            rate, operations = training_rate(batch_size, repeats)
            reached = 3 * operations * rate
            print(
                f"{policy}, batch {batch_size}: {rate:,.0f} tiles/s, {reached / 1e12:.2f} TFLOP/s, "
                f"{reached / peak:.2f} of the matrix product's {peak / 1e12:.1f} (aim 0.4); peak "
                f"memory {peak_memory()}",
                flush=True,
            )
    keras.mixed_precision.set_dtype_policy("float32")
    return 0


def training_rate(batch_size: int, repeats: int) -> tuple[float, int]:
    """Returns tiles a second of training steps, and a tile's operations forward."""
    model = Fitted()
    model.compile(keras.optimizers.Adam(1e-3))
    rng = np.random.default_rng(0)
    pixels = ops.convert_to_tensor(rng.random((batch_size, *tiles.SHAPE), np.float32))
    noise = ops.convert_to_tensor(rng.standard_normal((batch_size, vae.CODES)).astype(np.float32))
    seconds = seconds_of(lambda: model.train_on_batch((pixels, noise)), repeats)
    parts = (model.vae.encoder, model.vae.decoder)
    return batch_size / seconds, sum(map(blocks.count_operations, parts))


def seconds_of(call, repeats: int) -> float:
    """Returns the median time of a call, its result fetched; the first two are not counted."""
    found = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        np.asarray(ops.convert_to_numpy(call()))
        found.append(time.perf_counter() - started)
    return float(np.median(found[2:]))


def peak_memory() -> str:
    """Says how much of the card's memory was used at most, if the backend tells."""
    if keras.backend.backend() == "jax":
        import jax

        stats = jax.local_devices()[0].memory_stats() or {}
        return f"{stats.get('peak_bytes_in_use', 0) / 2**30:.1f} GiB"
    if keras.backend.backend() == "torch":
        import torch

        return f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
    return "not told"


if __name__ == "__main__":
    sys.exit(main())
