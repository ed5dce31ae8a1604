"""What the refiner's training is watched on: fixed tiles, restored."""

from cadl import _startup, console  # noqa: F401
from cadl.dataset import tile_sets
from cadl.images import gallery, metrics, tiles
from cadl.training import checkpoints
from cadl.training.run import Run

import numpy as np
import tensorflow as tf

PREVIEW_TILES = 4
MEASURED_TILES = 16


class Watch:
    """Fixed tiles on which a run is watched: as they are, from codes alone, restored."""

    def __init__(self, tile_set, vae_model, model, train, held_out):
        """Picks the tiles and decodes their codes, which do not change while the refiner learns."""

        @tf.function(reduce_retracing=True, autograph=False)
        def refine(pictures: tf.Tensor, originals: tf.Tensor) -> tf.Tensor:
            return model(pictures, originals, tf.zeros(tf.shape(pictures)[:1]))

        self._refine = refine
        some = {name: tile_sets.spread(own, MEASURED_TILES) for name, own in
                (("train", train), ("validation", held_out)) if len(own)}  # fmt: skip
        some["preview"] = tile_sets.spread(np.arange(len(tile_set)), PREVIEW_TILES)
        self._tiles = {}
        for name, chosen in some.items():
            pixels = np.asarray(tile_set.pixels[chosen])
            codes = checkpoints.encode_tiles(vae_model, pixels, f"encode {name}")
            pictures = checkpoints.in_batches(vae_model.decoder, codes)
            self._tiles[name] = tiles.to_float(pixels), pictures

    def show(self, run: Run, step: int) -> None:
        """Logs measures and keeps a preview picture."""
        values: dict[str, float] = {}
        shown = []
        for name, (originals, pictures) in self._tiles.items():
            refined = checkpoints.in_batches(self._refine, pictures, originals)
            if name == "preview":
                continue
            before = metrics.psnr(originals, pictures).mean()
            after = metrics.psnr(originals, refined).mean()
            values |= {f"psnr/{name}": after, f"psnr_vae/{name}": before}
            shown.append(f"psnr/{name} {after:.2f} dB (VAE {before:.2f})")
        run.progress.log(values, step)
        if step >= 250:
            console.say(f"step {step}: {', '.join(shown)}")
        sheet = gallery.contact_sheet(
            [list(originals), list(pictures), list(refined)],
            title=f"step {step}",
            row_labels=["tiles", "from codes alone", "restored"],
        )
        run.progress.preview(sheet, step)
