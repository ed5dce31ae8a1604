"""Step 6 of 7: measures the latent space and draws what its codes do.

    python evaluate_embeddings.py --report out/embeddings

Writes exported/embeddings.npz, which mogrify_video.py needs, and a page of tables and pictures,
out/embeddings/index.html. Sources that the VAE was not trained on count as never seen.
"""

import sys
from pathlib import Path

from cadl import console
from cadl.dataset import tile_sets
from cadl.images import metrics, tiles
from cadl.images.colours import Colours
from cadl.networks import saved_models, vae
from cadl.report import html_page, sections
from cadl.settings import Count, Seed, read_settings
from cadl.style import embeddings, latents

import numpy as np

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
EXPORTED: Path = Path("exported")  # SavedModels; embeddings.npz goes there too
REPORT: Path = Path("out/embeddings")  # where the page and its pictures go

TILES_PER_GALLERY: Count = 4  # tiles in a row of a gallery
MEASURED_TILES: Count = 256  # tiles a source that errors are measured on, at most
BATCH_SIZE: Count = 16  # tiles at a time
SEED: Seed = 1  # of the noise on codes


@console.script
def main(argv: list[str] | None = None) -> int:
    """Writes statistics and the page and returns the exit status."""
    settings = read_settings(argv)
    vae_graph, about = saved_models.load_graph(settings.exported, "vae")
    refiner_graph, _ = saved_models.load_graph(
        settings.exported, "refiner", vae_fingerprint=about["vae"]
    )
    tile_set = tile_sets.load_tiles(settings.tiles)
    codes, kl = encode(vae_graph, tile_set, settings.batch_size)
    sources = {
        name: latents.statistics_of(
            codes[own], str(tile_set.kinds[own[0]]), Colours.of(tile_set.pixels[own])
        )
        for name, own in tile_set.source_indices().items()
    }
    embeddings.save_embeddings(settings.exported / "embeddings.npz", sources, about["vae"])
    console.say(f"wrote {settings.exported / 'embeddings.npz'}")

    networks = Networks(vae_graph, refiner_graph, tile_set, settings.batch_size)
    page = html_page.Page(settings.report, "What the codes do")
    active = int(np.logical_or.reduce([s.active_codes for s in sources.values()]).sum())
    page.text(
        f"The VAE {about['vae']} of step {about['vae_step']} describes a tile by {codes.shape[1]} "
        f"codes, of which {active} are in use on these {len(tile_set)} tiles. All pictures are on "
        "the same fixed range, and the same tiles every time."
    )
    tell_errors(page, measure_errors(settings, tile_set, codes, kl, sources, networks, about))
    console.say(f"{active} of {codes.shape[1]} codes are active")
    scene = sections.Scene(
        tile_set, codes, sources, networks.draw, settings.tiles_per_gallery, settings.seed
    )
    for section in console.progress(sections.SECTIONS, unit="section", label="page"):
        section(page, scene)
    sections.add_hands(page, settings.tiles, settings.exported, scene.names("painting"))
    written = page.save()
    console.finish(
        f"Wrote statistics of {len(sources)} sources to {settings.exported}/embeddings.npz and a "
        f"page to {written}",
        "mogrify_video.py",
    )
    return 0


def encode(
    vae_graph, tile_set: tile_sets.TileSet, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the posterior means of all tiles, float32 [N, codes], and their KL in nats, [N]."""
    means, kl = [], []
    starts = range(0, len(tile_set), batch_size)
    for start in console.progress(starts, unit="batch", label="encode"):
        posterior = vae_graph.encode(tile_set.pixels[start : start + batch_size])
        means.append(posterior["z_mean"].numpy())
        kl.append(np.sum(vae.kl_per_code(posterior["z_mean"], posterior["z_log_var"]), axis=1))
    return np.concatenate(means), np.concatenate(kl)


class Networks:
    """The exported networks on any number of tiles."""

    def __init__(self, vae_graph, refiner_graph, tile_set: tile_sets.TileSet, batch_size: int):
        """Takes loaded SavedModels and the tiles that give detail."""
        self._vae, self._refiner = vae_graph, refiner_graph
        self._tiles, self._batch_size = tile_set, batch_size

    def draw(
        self, codes: np.ndarray, chosen: np.ndarray, strength: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the VAE's and the refined tiles of codes, with the detail of chosen tiles.

        Args:
            codes: float32 [N, codes].
            chosen: int [N], indices of tiles.
            strength: given to the refiner.

        Returns:
            float32 [N, 180, 320, 3] in [0, 1], twice.
        """
        pictures, refined = [], []
        for start in range(0, len(codes), self._batch_size):
            part = slice(start, start + self._batch_size)
            picture = self._vae.decode(codes[part])
            own = np.asarray(self._tiles.pixels[chosen[part]])
            drawn = self._refiner.refine(picture, own, np.full(len(own), strength, np.float32))
            pictures.append(np.clip(picture, 0, 1))
            refined.append(drawn.numpy())
        return np.concatenate(pictures), np.concatenate(refined)

    def measure(self, chosen: np.ndarray, codes: np.ndarray) -> list[float]:
        """Returns mean PSNR, SSIM and sharpness (over the originals'), VAE and refined."""
        sums = np.zeros(6)
        for start in range(0, len(codes), self._batch_size):
            part = slice(start, start + self._batch_size)
            originals = tiles.to_float(self._tiles.pixels[chosen[part]])
            grey = originals @ metrics.LUMINANCE
            for i, drawn in enumerate(self.draw(codes[part], chosen[part], 0.0)):
                own = drawn @ metrics.LUMINANCE
                sums[i] += metrics.psnr(originals, drawn).sum()
                sums[2 + i] += metrics.ssim(grey, own).sum()
                sums[4 + i] += (metrics.sharpness(own) / (metrics.sharpness(grey) + 1e-8)).sum()
        return list(map(float, sums / len(codes)))


def measure_errors(settings, tile_set, codes, kl, sources, networks, about) -> list[list]:
    """Measures reconstructions of each source, tiles trained on, held out and never seen apart.

    Args:
        settings: of the script.
        tile_set: all tiles.
        codes: their latents, float32 [N, codes].
        kl: of each tile, in nats, [N].
        sources: statistics of each source.
        networks: that reconstruct them.
        about: what the VAE says of itself.

    Returns:
        Rows of a table.
    """
    train, held_out = tile_set.split(about["validation_fraction"], about["seed"])
    rows = []
    for name, own in tile_set.source_indices().items():
        groups = {"trained": train, "held out": held_out}
        if name not in about["sources"]:
            groups = {"never seen": own}
        for label, members in groups.items():
            members = own[np.isin(own, members)]
            chosen = tile_sets.spread(members, settings.measured_tiles)
            if len(chosen):
                measured = networks.measure(chosen, codes[chosen])
                active = int(sources[name].active_codes.sum())
                rows.append(
                    [name, label, len(members), *measured, float(kl[members].mean()), active]
                )
    return rows


def tell_errors(page: html_page.Page, rows: list[list]) -> None:
    """Prints the errors of reconstructions by `measure_errors`, and writes them to the page."""
    header = ["source", "tiles", "count", "PSNR VAE", "PSNR refined", "SSIM VAE", "SSIM refined",
              "sharp VAE", "sharp refined", "KL", "active codes"]  # fmt: skip
    console.say(console.table(header, rows))
    page.heading("Errors")
    page.table(header, rows)
    page.text(
        "PSNR in dB and SSIM of reconstructions, before and after the refiner; sharpness over the "
        "original's; KL in nats a tile; codes whose mean varies over the source's tiles."
    )


if __name__ == "__main__":
    sys.exit(main())
