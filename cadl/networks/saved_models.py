"""SavedModels: written whole, compared with their checkpoint, loaded only if they belong together.

Endpoints, each for any batch size:

- `vae/encode`: uint8 tiles [N, 180, 320, 3] -> `z_mean`, `z_log_var`, float32 [N, 512]
- `vae/decode`: float32 codes [N, 512] -> float32 tiles [N, 180, 320, 3], not clipped
- `refiner/refine`: float32 VAE tiles, uint8 original tiles, float32 strength [N] -> float32 tiles
- `stylizer/shift`: float32 mapped codes [N, 512] and those before they were mapped -> float32
  [N, 45, 80, 3]: what is added to a frame's tile, see `colour_transfer.frame_shift`
"""

import functools
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cadl import _startup, files  # noqa: F401
from cadl.errors import UserError
from cadl.images import tiles
from cadl.networks import vae
from cadl.networks.colour_transfer import frame_shift

import keras
import numpy as np
import tensorflow as tf

FORMAT = 8  # of the SavedModels; more when endpoints change
ABOUT = "about.json"  # in each: what it belongs to, and checksums of its files
NAMES = ("vae", "refiner", "stylizer")
TILE_BYTES = tf.TensorSpec((None, *tiles.SHAPE), tf.uint8)
TILE_FLOATS = tf.TensorSpec((None, *tiles.SHAPE), tf.float32)
CODES = tf.TensorSpec((None, vae.CODES), tf.float32)
STRENGTH = tf.TensorSpec((None,), tf.float32)


class Graph(tf.Module):
    """Endpoints over a network of which only the variables are saved.

    A SavedModel would otherwise hold a function for each layer and gradients for all, and would
    take several times as long to write and to load.
    """

    def __init__(self, network: keras.Model):
        """Takes a trained network."""
        super().__init__()
        self._held = [variable.value for variable in network.variables]
        self._network = lambda: network


class VaeGraph(Graph):
    """The VAE's endpoints."""

    @tf.function(input_signature=[TILE_BYTES], autograph=False)
    def encode(self, tiles: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the posterior of tiles."""
        z_mean, z_log_var = self._network().encoder(tf.cast(tiles, tf.float32) / 255)
        return {"z_mean": z_mean, "z_log_var": z_log_var}

    @tf.function(input_signature=[CODES], autograph=False)
    def decode(self, codes: tf.Tensor) -> tf.Tensor:
        """Returns the tiles of codes."""
        return self._network().decoder(codes)


class RefinerGraph(Graph):
    """The refiner's endpoint."""

    @tf.function(input_signature=[TILE_FLOATS, TILE_BYTES, STRENGTH], autograph=False)
    def refine(self, pictures: tf.Tensor, tiles: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
        """Returns refined tiles in [0, 1]."""
        originals = tf.cast(tiles, tf.float32) / 255
        return tf.clip_by_value(self._network()(pictures, originals, strength), 0.0, 1.0)


class StylizerGraph(Graph):
    """How frames are moved toward a painter, by the decoder of a VAE."""

    @tf.function(input_signature=[CODES, CODES], autograph=False)
    def shift(self, codes, own) -> tf.Tensor:
        """Returns what is added to frames."""
        pictures = self._network()(tf.concat([codes, own], 0))
        return frame_shift(*tf.split(pictures, 2))


def save_graph(graph: tf.Module, folder: Path, about: dict) -> None:
    """Writes a SavedModel with `about.json` in it, whole, in place of an older one."""
    temporary = folder.with_name(f".part-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        plain = files.plain_path(temporary.parent) / temporary.name
        tf.saved_model.save(graph, str(plain), options=options)
        about = {**about, "files": files.checksums(temporary, besides=ABOUT)}
        files.write_sealed(temporary / ABOUT, about)
        replace_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@dataclass(frozen=True)
class Networks:
    """The SavedModels that convert a video, as functions from and to NumPy arrays."""

    vae: Any  # SavedModel, kept alive
    stylizer: Any  # the same

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """Returns the latents of tiles: uint8 [N, 180, 320, 3] -> float32 [N, 512]."""
        return np.asarray(self.vae.encode(pixels)["z_mean"])

    def shift(self, codes: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Says what is added to frames.

        Args:
            codes: mapped, float32 [N, 512].
            own: before they were mapped, the same.

        Returns:
            float32 [N, 45, 80, 3].
        """
        return np.asarray(self.stylizer.shift(codes, own))

    def warm_up(self) -> None:
        """Moves an empty frame: at its first call TensorFlow prepares the graph for two seconds."""
        codes = np.zeros((1, vae.CODES), np.float32)
        self.stylizer.shift(codes, codes)


def replace_folder(new: Path, folder: Path) -> None:
    """Renames `new` to `folder`, in place of what was there."""
    old = folder.with_name(f".old-{folder.name}")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_graph(exported: Path, name: str, *, vae_fingerprint: str | None = None) -> tuple:
    """Loads a SavedModel and what it says of itself.

    Args:
        exported: folder of all SavedModels.
        name: one of NAMES.
        vae_fingerprint: of the VAE that it must belong to; None for any.

    Returns:
        The loaded module and the contents of its about.json.

    Raises:
        UserError: it is not there, damaged, or belongs to another VAE; the script to run is named.
    """
    about = read_about(exported, name)
    if vae_fingerprint is not None and about["vae"] != vae_fingerprint:
        raise UserError(
            f"{exported / name} belongs to VAE {about['vae']}, not {vae_fingerprint}: "
            "run export_graphs.py again"
        )
    found = files.checksums(exported / name, besides=ABOUT)
    changed = sorted(own for own, checksum in about["files"].items() if found.get(own) != checksum)
    if changed:
        raise UserError(
            f"{exported / name} is damaged ({changed[0]} was changed or is gone): "
            "run export_graphs.py again"
        )
    try:
        return _load(files.plain_path(exported) / name, files.hash_of(found.values())), about
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(
            f"{exported / name} is damaged ({reason}): run export_graphs.py again"
        ) from None


@functools.lru_cache(2)
def _load(folder: Path, checksum: str) -> Any:
    """Loads a SavedModel; of the same files only once, as it takes two seconds."""
    return tf.saved_model.load(str(folder))


def read_about(exported: Path, name: str) -> dict:
    """Returns what a SavedModel says of itself. Raises as `load_graph`."""
    path = exported / name / ABOUT
    if not path.exists():
        raise UserError(f"no SavedModel in {exported / name}: run export_graphs.py first")
    try:
        about = files.read_sealed(path)
    except ValueError as error:
        raise UserError(f"{error}: run export_graphs.py again") from None
    if about.get("format") != FORMAT:
        raise UserError(f"{path} is of another version: run export_graphs.py again")
    return about
