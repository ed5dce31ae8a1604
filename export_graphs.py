"""Step 5 of 7: exports the trained networks as SavedModels, which the last two steps use.

    python export_graphs.py --exported exported

Each is loaded again and compared with its checkpoint on real tiles.
"""

import sys
from pathlib import Path

from cadl import console, files
from cadl.dataset import tile_sets
from cadl.errors import UserError
from cadl.images import metrics, tiles
from cadl.networks import colour_transfer, refiner, saved_models
from cadl.settings import Count, read_settings
from cadl.strokes import hands
from cadl.training import checkpoints

import numpy as np

VAE_RUN: Path = Path("log/vae")  # the trained VAE
REFINER_RUN: Path = Path("log/refiner")  # the trained refiner
EXPORTED: Path = Path("exported")  # where the SavedModels go
TILES: Path = Path("data/tiles")  # tiles to compare on

COMPARED_TILES: Count = 8  # how many are compared, spread over all sources

BATCH = 8  # tiles at a time
JUDGED_TILES = 64  # at most, held-out ones
MAX_DIFFERENCE = 2e-3  # of a pixel in [0, 1]; other kernels round otherwise, no more


@console.script
def main(argv: list[str] | None = None) -> int:
    """Exports, compares and returns the exit status."""
    settings = read_settings(argv)
    refining, refiner_step, refiner_record = checkpoints.load_refiner(settings.refiner_run)
    vae_model, vae_step, vae_record = checkpoints.load_vae(
        settings.vae_run, refiner_record["settings"]["vae_weights"]
    )
    vae_fingerprint = checkpoints.fingerprint(vae_model)
    checkpoints.check_vae(settings.refiner_run, refiner_record, settings.vae_run, vae_fingerprint)
    tile_set = tile_sets.load_tiles(settings.tiles)
    about = {
        "vae": vae_fingerprint,
        "vae_step": vae_step,
        "format": saved_models.FORMAT,
        "refiner": checkpoints.fingerprint(refining),
        "refiner_step": refiner_step,
        "validation_fraction": vae_record["settings"]["validation_fraction"],
        "seed": vae_record["settings"]["seed"],
        "sources": vae_record["notes"]["sources"],
    }
    staged = settings.exported / ".new"  # takes the old ones' place only if it compares well
    with files.only_one(settings.exported):
        for name, graph in (
            ("vae", saved_models.VaeGraph(vae_model)),
            ("refiner", saved_models.RefinerGraph(refining)),
            ("stylizer", saved_models.StylizerGraph(vae_model.decoder)),
        ):
            saved_models.save_graph(graph, staged / name, about)
        chosen = tile_sets.spread(np.arange(len(tile_set)), settings.compared_tiles)
        saved = {name: saved_models.load_graph(staged, name)[0] for name in saved_models.NAMES}
        compare(saved, vae_model, refining, tile_set.select(chosen))
        for name in saved_models.NAMES:
            saved_models.replace_folder(staged / name, settings.exported / name)
            console.say(f"wrote {settings.exported / name}")
        staged.rmdir()
        export_hands(settings.refiner_run / "hands", settings.exported / "hands")
    judge_refiner(saved["vae"], saved["refiner"], tile_set, about)
    console.finish(
        f"Wrote {len(saved_models.NAMES)} SavedModels to {settings.exported}",
        "evaluate_embeddings.py",
    )
    return 0


def export_hands(fitted: Path, exported: Path) -> None:
    """Copies the hands that were fitted to where the conversion looks for them."""
    found = sorted(fitted.glob("*.json"))
    for path in found:
        values = files.read_json(path)
        hands.load_hand(path)
        files.write_json(exported / path.name, values)
    names = ", ".join(path.stem for path in found)
    console.say(f"wrote hands of {names} to {exported}" if found else "no hands were fitted")


def compare(
    saved: dict, vae_model, refining: refiner.Refining, tile_set: tile_sets.TileSet
) -> None:
    """Prints the largest difference between SavedModels and checkpoints.

    Raises:
        UserError: it is larger than rounding explains.
    """
    vae_graph, refiner_graph, stylizer = (saved[name] for name in saved_models.NAMES)
    differences = dict.fromkeys(("encode", "decode", "refine", "shift"), 0.0)

    def note(name: str, ours, theirs) -> None:
        found = np.abs(np.asarray(ours) - np.asarray(theirs)).max()
        differences[name] = float(np.maximum(differences[name], found))  # not a number stays so

    for start in range(0, len(tile_set), BATCH):
        part = np.asarray(tile_set.pixels[start : start + BATCH])
        originals = tiles.to_float(part)
        z_mean, z_log_var = vae_model.encoder(originals)
        encoded = vae_graph.encode(part)
        note("encode", encoded["z_mean"], z_mean)
        note("encode", encoded["z_log_var"], z_log_var)
        pictures = vae_model.decoder(z_mean)
        note("decode", vae_graph.decode(z_mean), pictures)
        strengths = np.linspace(1.0, 0.0, len(part), dtype=np.float32)
        refined = np.clip(refining(pictures, originals, strengths), 0, 1)
        note("refine", refiner_graph.refine(pictures, part, strengths), refined)
        others = z_mean[::-1]
        shift = colour_transfer.frame_shift(pictures, vae_model.decoder(others))
        note("shift", stylizer.shift(z_mean, others), shift)
    words = ", ".join(f"{name} {max(value, 0):.1e}" for name, value in differences.items())
    console.say(f"largest difference from the checkpoints on {len(tile_set)} tiles: {words}")
    for name, found in differences.items():
        if not found <= MAX_DIFFERENCE * (10 if name == "encode" else 1):
            raise UserError(
                f"{name} of the SavedModels differs from its checkpoint by {found:.1e}: "
                "report this with the versions of tensorflow and keras"
            )


def judge_refiner(vae_graph, refiner_graph, tile_set: tile_sets.TileSet, about: dict) -> None:
    """Says whether the refiner beats the VAE alone on tiles that neither was trained on."""
    _, held_out = tile_set.split(about["validation_fraction"], about["seed"])
    if not len(held_out):
        console.say("no tiles were held out: the refiner can't be judged on unseen ones")
        return
    chosen = tile_set.select(tile_sets.spread(held_out, JUDGED_TILES))

    def restore(part: np.ndarray) -> tuple:
        pictures = vae_graph.decode(vae_graph.encode(part)["z_mean"])
        return pictures, refiner_graph.refine(pictures, part, np.zeros(len(part), np.float32))

    pictures, refined = checkpoints.in_batches(restore, chosen.pixels, batch_size=BATCH)
    tiles_in = tiles.to_float(chosen.pixels)
    before = metrics.psnr(tiles_in, pictures).mean()
    after = metrics.psnr(tiles_in, refined).mean()
    verdict = "better than" if after > before else "NOT better than: train it longer;"
    console.say(
        f"refined reconstructions of {len(chosen)} held-out tiles: {after:.2f} dB, "
        f"{verdict} the VAE alone, {before:.2f} dB"
    )


if __name__ == "__main__":
    sys.exit(main())
