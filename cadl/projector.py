"""Codes for TensorBoard's projector: a cloud of tiles to walk around in."""

from pathlib import Path

from cadl import files, shards

import numpy as np
from PIL import Image

MAX_TILES = 2000
THUMBNAIL = (64, 36)  # width and height of a tile in the cloud
CONFIG = """embeddings {
  tensor_name: "codes"
  tensor_path: "projector/codes.tsv"
  metadata_path: "projector/labels.tsv"
  sprite { image_path: "projector/tiles.png" single_image_dim: %d single_image_dim: %d }
}
"""


def write_projector(run: Path, tile_set: shards.TileSet, codes: np.ndarray) -> None:
    """Writes what TensorBoard's projector tab shows of a run.

    Args:
        run: the run directory; what is written goes to `projector/`, its index beside.
        tile_set: the tiles; at most 2000 are taken, evenly.
        codes: float32 [N, codes], their latents.
    """
    chosen = np.linspace(0, len(codes) - 1, min(len(codes), MAX_TILES)).astype(int)
    folder = run / "projector"
    with files.whole_file(folder / "codes.tsv") as temporary:
        np.savetxt(temporary, codes[chosen], fmt="%.4g", delimiter="\t")
    with files.whole_file(folder / "labels.tsv") as temporary:
        rows = [f"{tile_set.labels[i]}\t{tile_set.sources[i]}" for i in chosen]
        temporary.write_text("\n".join(["tile\tsource", *rows]) + "\n", encoding="utf-8")
    width, height = THUMBNAIL
    columns = int(np.ceil(np.sqrt(len(chosen))))
    sheet = Image.new("RGB", (columns * width, -(-len(chosen) // columns) * height))
    for place, number in enumerate(chosen):
        thumbnail = Image.fromarray(np.asarray(tile_set.pixels[number])).resize(THUMBNAIL)
        sheet.paste(thumbnail, (place % columns * width, place // columns * height))
    with files.whole_file(folder / "tiles.png") as temporary:
        sheet.save(temporary)
    with files.whole_file(run / "projector_config.pbtxt") as temporary:
        temporary.write_text(CONFIG % THUMBNAIL, encoding="utf-8")
