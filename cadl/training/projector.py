"""Codes for TensorBoard's projector: a cloud of tiles to walk around in."""

from pathlib import Path

from cadl import _startup, files  # noqa: F401
from cadl.dataset import tile_sets
from cadl.training import checkpoints

import keras
import numpy as np
from PIL import Image

MAX_TILES = 2000  # that a browser shows well
THUMBNAIL = (64, 36)  # width and height of a tile in the cloud
CONFIG = "projector_config.pbtxt"  # written last; TensorBoard looks for it
CONFIG_TEXT = """embeddings {
  tensor_name: "codes"
  tensor_path: "projector/codes.tsv"
  metadata_path: "projector/labels.tsv"
  sprite { image_path: "projector/tiles.png" single_image_dim: %d single_image_dim: %d }
}
"""


def show_codes(run: Path, tile_set: tile_sets.TileSet, model: keras.Model) -> None:
    """Encodes some of all tiles, and writes what TensorBoard's projector shows of them.

    Args:
        run: the run directory; what is written goes to `projector/`, its index beside.
        tile_set: all tiles.
        model: the VAE.
    """
    chosen = tile_set.select(tile_sets.spread(np.arange(len(tile_set)), MAX_TILES))
    codes = checkpoints.encode_tiles(model, chosen.pixels, "projector")
    folder = run / "projector"
    with files.whole_file(folder / "codes.tsv") as temporary:
        np.savetxt(temporary, codes, fmt="%.4g", delimiter="\t")
    with files.whole_file(folder / "labels.tsv") as temporary:
        rows = [
            f"{label}\t{source}"
            for label, source in zip(chosen.labels, chosen.sources, strict=True)
        ]
        temporary.write_text("\n".join(["tile\tsource", *rows]) + "\n", encoding="utf-8")
    width, height = THUMBNAIL
    columns = int(np.ceil(np.sqrt(len(codes))))
    sheet = Image.new("RGB", (columns * width, -(-len(codes) // columns) * height))
    for place, pixels in enumerate(chosen.pixels):
        thumbnail = Image.fromarray(np.asarray(pixels)).resize(THUMBNAIL)
        sheet.paste(thumbnail, (place % columns * width, place // columns * height))
    with files.whole_file(folder / "tiles.png") as temporary:
        sheet.save(temporary)
    with files.whole_file(run / CONFIG) as temporary:
        temporary.write_text(CONFIG_TEXT % THUMBNAIL, encoding="utf-8")
