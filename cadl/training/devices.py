"""What a training runs on: one device, several GPUs, several machines."""

import contextlib
import json
import os
from collections.abc import Iterator

from cadl import _startup, console  # noqa: F401
from cadl.errors import UserError

import keras
import tensorflow as tf


def make_strategy() -> tf.distribute.Strategy:
    """Returns TensorFlow's strategy for the devices that are there.

    Several machines if TF_CONFIG names them, else all GPUs of this one (all CPUs, if TensorFlow was
    told that there are several), else the one device.
    """
    if _cluster():
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (TypeError, ValueError, RuntimeError, tf.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"TF_CONFIG {os.environ['TF_CONFIG']}: {reason}") from None
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def set_up(seed: int, *, xla: bool) -> tf.distribute.Strategy:
    """Makes training repeatable, and returns the strategy for the devices, which it tells of.

    Raises:
        UserError: XLA is wanted on several devices.
    """
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    strategy = make_strategy()
    gpus = tf.config.list_physical_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "") for gpu in gpus]
    where = ", ".join(names) if gpus else f"CPU ({os.cpu_count()} cores); no GPU was found"
    count = strategy.num_replicas_in_sync
    console.say(f"training on {where}" + (f", {count} replicas" if count > 1 else ""))
    if xla and count > 1:
        raise UserError("XLA yes works on one device only: leave it out")
    return strategy


def is_chief() -> bool:
    """Says whether this process is the one that writes: the only one, or the first worker."""
    task = _cluster().get("task", {"type": "worker", "index": 0})
    return task["type"] == "chief" or (
        int(task["index"]) == 0 and "chief" not in _cluster().get("cluster", {})
    )


def num_workers() -> int:
    """Returns how many processes train together."""
    cluster = _cluster().get("cluster", {})
    return max(1, sum(len(cluster.get(kind, ())) for kind in ("chief", "worker")))


@contextlib.contextmanager
def precision(*, mixed: bool) -> Iterator[None]:
    """Builds the networks of the block for 16-bit arithmetic on 32-bit weights, or for 32-bit.

    No loss scaling: the losses are sums over pixels, so that gradients do not vanish in 16 bits,
    and one that overflows is a skipped step.
    """
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def sum_terms(strategy: tf.distribute.Strategy, terms: dict) -> dict[str, tf.Tensor]:
    """Adds up each term of a step over all devices."""
    return {
        name: strategy.reduce(tf.distribute.ReduceOp.SUM, term, axis=None)
        for name, term in terms.items()
    }


@contextlib.contextmanager
def enough_memory(batch_size: int) -> Iterator[None]:
    """Turns TensorFlow's report of exhausted memory into one line with the batch to try.

    Raises:
        UserError: the block ran out of memory.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        smaller = max(2, batch_size // 4 * 2)
        advice = f"try --batch-size {smaller}" if smaller < batch_size else "close other programs"
        raise UserError(f"out of memory at --batch-size {batch_size}: {advice}") from error


def _cluster() -> dict:
    """Returns what TF_CONFIG says if it names several machines, else an empty dictionary.

    Raises:
        UserError: it makes no sense.
    """
    text = os.environ.get("TF_CONFIG") or "{}"
    guide = "see More than one device in docs/guide.md, or unset it"
    try:
        config = json.loads(text)
    except ValueError:
        raise UserError(f"TF_CONFIG {text} is no JSON: {guide}") from None
    try:
        cluster = config.get("cluster") or {}
        addresses = cluster[config["task"]["type"]] if cluster else [""]
        known = not cluster or int(config["task"]["index"]) in range(len(addresses))
    except (AttributeError, KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise UserError(
            f"TF_CONFIG {text} does not say which machine of its cluster this is: {guide}"
        )
    return config if cluster else {}
