"""What the VAE's training is watched on: reconstructions of fixed tiles."""

from cadl import _startup, console, files  # noqa: F401
from cadl.dataset import tile_sets
from cadl.images import gallery, metrics, tiles
from cadl.networks import vae
from cadl.style import latents
from cadl.training import checkpoints
from cadl.training.run import Run

import keras
import numpy as np
import tensorflow as tf

PREVIEW_TILES = 6
VALIDATION_TILES = 32


class Watch:
    """Fixed tiles on which a run is watched: pictures, and errors a source."""

    def __init__(self, tile_set: tile_sets.TileSet, model: keras.Model, train, validation):
        """Picks the tiles; `train` and `validation` are indices."""

        @tf.function(input_signature=[tf.TensorSpec((None, *tiles.SHAPE))], autograph=False)
        def look(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            z_mean, z_log_var = model.encoder(batch)
            return z_mean, z_log_var, model.decoder(z_mean)

        self._look = look
        rng = np.random.default_rng(0)  # the same tiles in every run over the same data
        self._sets = {
            name: tile_set.select(
                np.sort(rng.choice(indices, min(len(indices), VALIDATION_TILES), replace=False))
            )
            for name, indices in (("train", train), ("validation", validation))
            if len(indices)
        }
        measured = self._sets.get("validation")
        self.measured_on = files.hash_of(measured.labels) if measured else ""
        per_source = [own[np.isin(own, train)] for own in tile_set.source_indices().values()]
        chosen: list[int] = []
        while len(chosen) < min(PREVIEW_TILES, len(train)):
            for own in per_source:
                place = len(chosen) // len(per_source)
                chosen.append(int(own[(place * len(own) // 3 + len(own) // 7) % len(own)]))
        self._preview = tile_set.select(np.array(chosen[:PREVIEW_TILES]))

    def show(self, run: Run, step: int) -> dict[str, float]:
        """Logs measures, which it returns, and keeps a preview picture."""
        values = {}
        for name, chosen in self._sets.items():
            tiles_in = tiles.to_float(chosen.pixels)
            z_mean, z_log_var, reconstruction = checkpoints.in_batches(self._look, tiles_in)
            psnr = metrics.psnr(tiles_in, reconstruction)
            kl = np.asarray(vae.kl_per_code(z_mean, z_log_var)).mean(axis=0)
            values[f"psnr/{name}"] = psnr.mean()
            values[f"active_codes/{name}"] = (z_mean.var(axis=0) > latents.ACTIVE_VARIANCE).sum()
            values[f"kl/{name}"] = kl.sum()
            pairs = (own @ metrics.LUMINANCE for own in (tiles_in, np.clip(reconstruction, 0, 1)))
            values[f"ssim/{name}"] = metrics.ssim(*pairs).mean()
            for source in dict.fromkeys(chosen.sources):
                values[f"psnr_{name}/{source}"] = psnr[chosen.sources == source].mean()
            run.progress.log_histogram(f"kl_per_code/{name}", kl, step)
        run.progress.log(values, step)
        if step >= 250:
            shown = (name for name in values if name.startswith("psnr/"))
            console.say(
                f"step {step}: " + ", ".join(f"{name} {values[name]:.2f} dB" for name in shown)
            )
        tiles_in = tiles.to_float(self._preview.pixels)
        *_, reconstruction = checkpoints.in_batches(self._look, tiles_in)
        sheet = gallery.contact_sheet(
            [list(tiles_in[i : i + 3]) for i in (0, 3)]
            + [list(reconstruction[i : i + 3]) for i in (0, 3)],
            title=f"step {step}",
            row_labels=["tiles", "", "reconstructions", ""],
        )
        run.progress.preview(sheet, step)
        return values
