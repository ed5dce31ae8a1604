"""Step 6 of 7: measures the latent space and draws what its codes do.

    python evaluate_embeddings.py --report out/embeddings

Writes exported/embeddings.npz, which mogrify_video.py needs, and pictures: reconstructions before
and after the refiner, video tiles moved toward each painter, codes with noise and reversed. Tiles
extracted after export_graphs.py ran count as never seen.
"""

import sys
from pathlib import Path

from cadl import console, embeddings, gallery, graphs, latents, metrics, shards, tiles
from cadl.settings import Count, Seed, read_settings

import numpy as np

TILES: Path = Path("data/tiles")  # tiles by extract_tiles.py
EXPORTED: Path = Path("exported")  # SavedModels; embeddings.npz goes there too
REPORT: Path = Path("out/embeddings")  # where the pictures go

TILES_PER_GALLERY: Count = 4  # tiles in a row of a gallery
MEASURED_TILES: Count = 256  # tiles a source that errors are measured on, at most
BATCH_SIZE: Count = 16  # tiles at a time
SEED: Seed = 1  # of the noise on codes

STYLE_MAP = "diagonal"  # the default of mogrify_video.py
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


@console.script
def main(argv: list[str] | None = None) -> int:
    """Writes statistics and pictures and returns the exit status."""
    settings = read_settings(argv)
    vae_graph, about = graphs.load_graph(settings.exported, "vae")
    refiner_graph, _ = graphs.load_graph(settings.exported, "refiner", vae_fingerprint=about["vae"])
    tile_set = shards.load_tiles(settings.tiles)
    codes = encode(vae_graph, tile_set, settings.batch_size)
    sources = {
        name: latents.statistics_of(codes[own], str(tile_set.kinds[own[0]]))
        for name, own in tile_set.source_indices().items()
    }
    embeddings.save_embeddings(settings.exported / "embeddings.npz", sources, about["vae"])
    console.say(f"wrote {settings.exported / 'embeddings.npz'}")

    networks = Networks(vae_graph, refiner_graph, settings.batch_size)
    train, held_out = tile_set.split(about["validation_fraction"], about["seed"])
    rows = []
    for name, own in tile_set.source_indices().items():
        groups = {"trained": train, "held out": held_out}
        if name not in about["sources"]:
            groups = {"never seen": own}
        for label, members in groups.items():
            chosen = spread(own[np.isin(own, members)], settings.measured_tiles)
            if len(chosen):
                measured = networks.measure(tile_set.pixels[chosen], codes[chosen])
                rows.append([name, label, len(chosen), *measured])
    header = ["source", "tiles", "count", "PSNR VAE", "PSNR refined", "SSIM VAE", "SSIM refined",
              "sharp VAE", "sharp refined"]  # fmt: skip
    console.say(console.table(header, rows))
    active = int(np.logical_or.reduce([s.active_codes for s in sources.values()]).sum())
    console.say(f"{active} of {codes.shape[1]} codes are active")

    draw_galleries(settings, tile_set, codes, sources, networks)
    console.finish(
        f"Wrote statistics of {len(sources)} sources to {settings.exported}/embeddings.npz and "
        f"pictures to {settings.report}",
        "mogrify_video.py",
    )
    return 0


def encode(vae_graph, tile_set: shards.TileSet, batch_size: int) -> np.ndarray:
    """Returns the posterior means of all tiles: float32 [N, codes]."""
    starts = range(0, len(tile_set), batch_size)
    return np.concatenate(
        [
            vae_graph.encode(tile_set.pixels[start : start + batch_size])["z_mean"]
            for start in console.progress(starts, unit="batch", label="encode")
        ]
    )


def spread(indices: np.ndarray, at_most: int) -> np.ndarray:
    """Picks some indices, evenly."""
    if len(indices) <= at_most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, at_most).astype(int)]


class Networks:
    """The exported networks on arrays of any length."""

    def __init__(self, vae_graph, refiner_graph, batch_size: int):
        """Takes loaded SavedModels."""
        self._vae, self._refiner, self._batch_size = vae_graph, refiner_graph, batch_size

    def draw(
        self, codes: np.ndarray, pixels: np.ndarray, strength: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the VAE's and the refined tiles of codes, with the detail of `pixels`."""
        pictures, refined = [], []
        for start in range(0, len(codes), self._batch_size):
            part = slice(start, start + self._batch_size)
            picture = self._vae.decode(codes[part])
            strengths = np.full(len(codes[part]), strength, np.float32)
            pictures.append(np.clip(picture, 0, 1))
            refined.append(np.asarray(self._refiner.refine(picture, pixels[part], strengths)))
        return np.concatenate(pictures), np.concatenate(refined)

    def measure(self, pixels: np.ndarray, codes: np.ndarray) -> list[float]:
        """Returns mean PSNR, SSIM and sharpness (over the originals'), VAE and refined."""
        sums = np.zeros(6)
        for start in range(0, len(codes), self._batch_size):
            part = slice(start, start + self._batch_size)
            originals = tiles.to_float(pixels[part])
            grey = metrics.luminance(originals)
            for i, drawn in enumerate(self.draw(codes[part], pixels[part], 0.0)):
                own = metrics.luminance(drawn)
                sums[i] += metrics.psnr(originals, drawn).sum()
                sums[2 + i] += metrics.ssim(grey, own).sum()
                sums[4 + i] += (metrics.sharpness(own) / (metrics.sharpness(grey) + 1e-8)).sum()
        return list(map(float, sums / len(codes)))


def draw_galleries(settings, tile_set, codes, sources, networks: Networks) -> None:
    """Draws one picture a question."""
    rng = np.random.default_rng(settings.seed)
    columns = settings.tiles_per_gallery
    painters = [name for name, source in sources.items() if source.kind == "painting"]
    for name, own in console.progress(tile_set.source_indices().items(), label="galleries"):
        chosen = spread(own, columns + 2)[1:-1] if len(own) > columns + 2 else own[:columns]
        pixels, z = tile_set.pixels[chosen], codes[chosen]
        pictures, refined = networks.draw(z, pixels, 0.0)
        noisy = z + rng.standard_normal(z.shape).astype(np.float32)
        rows = {
            "tiles": pixels,
            "reconstructed": pictures,
            "refined": refined,
            "codes with N(0, 1) noise": networks.draw(noisy, pixels, 0.0)[0],
            "codes in reverse order": networks.draw(z[:, ::-1], pixels, 0.0)[0],
        }
        save(settings.report / f"codes-{name}.png", name, rows)
        if sources[name].kind != "video":
            continue
        for painter in painters:
            rows = {"tiles": pixels}
            for strength in STRENGTHS:
                mapped = latents.map_latents(
                    z, sources[name], sources[painter], style_map=STYLE_MAP, strength=strength
                )
                rows[f"strength {strength}"] = networks.draw(mapped, pixels, strength)[1]
            title = f"{name} toward {painter}"
            save(settings.report / f"{name}-to-{painter}.png", title, rows)


def save(path: Path, title: str, rows: dict[str, np.ndarray]) -> None:
    """Saves labelled rows of tiles."""
    sheet = gallery.contact_sheet(
        [list(row) for row in rows.values()], title=title, row_labels=list(rows)
    )
    gallery.save_picture(path, sheet)


if __name__ == "__main__":
    sys.exit(main())
