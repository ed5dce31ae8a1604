"""Claims: any number of tiles is evaluated in the same memory, at the encoder's own speed.

And other programs take little more than their share of the machine from a style map.

    python -m benchmarks.bench_evaluation --tiles demo/tiles --count 20000

Repeats tiles to a count, encodes them as evaluate_embeddings.py does and takes statistics, and
encodes one batch of them as often. Each in a process of its own, which tells the memory that it
holds at the end. Tiles are in a mapped file, which the system keeps in memory while it can. A style
map is worked out alone, then beside one busy process a core; the same with a thread a core in
NumPy's linear algebra, which is its own default.
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.claims import claim
from cadl import console
from cadl.dataset import tile_sets
from cadl.images import tiles
from cadl.networks import saved_models, vae
from cadl.settings import Count, read_settings
from cadl.style import latents

import numpy as np

TILES: Path = Path("demo/tiles")  # tiles by extract_tiles.py
EXPORTED: Path = Path("demo/exported")  # SavedModels
COUNT: Count = 20_000  # tiles of the long run
SHORT: Count = 2_000  # tiles of the short one

BATCH = 16  # the default of evaluate_embeddings.py


@console.script
def main(argv: list[str] | None = None) -> int:
    """Measures and prints three claims."""
    settings = read_settings(argv)
    results = {}
    for count in (settings.short, settings.count):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results[count] = pool.apply(
                evaluate, (str(settings.tiles), str(settings.exported), count)
            )
            pool.close()
            pool.join()
        rate, alone, memory = results[count]
        console.say(
            f"{count} tiles: {rate:.0f} a second, the encoder alone {alone:.0f}; {memory:.2f} GiB"
        )
    rate, alone, memory = results[settings.count]
    claim("time to evaluate tiles over the encoder's own", alone / rate, most=1.1)
    claim(
        f"memory to evaluate {settings.count} tiles over {settings.short}",
        memory / results[settings.short][2],
        most=1.1,
    )
    for threads in (str(os.cpu_count() or 1), "1"):
        os.environ["OPENBLAS_NUM_THREADS"] = threads  # read by the new process
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            alone, beside = pool.apply(time_style_map)
            pool.close()
            pool.join()
        console.say(
            f"style map, threads {threads}: {alone:.2f} s alone, {beside:.2f} s beside busy ones"
        )
    claim("time of a style map beside busy processes over alone", beside / alone, most=3)
    return 0


def time_style_map(repeats: int = 3) -> tuple[float, float]:
    """Returns the seconds that a style map takes alone, and beside a busy process a core."""
    rng = np.random.default_rng(0)
    painter, video = (
        latents.statistics_of(rng.normal(size=(600, vae.CODES)).astype(np.float32), kind)
        for kind in ("painting", "video")
    )

    def seconds() -> float:
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            latents.monge_matrix(video, painter)
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    seconds()
    alone = seconds()
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]
    try:
        seconds()
        beside = seconds()
    finally:
        for process in busy:
            process.kill()
            process.wait()
    return alone, beside


def evaluate(folder: str, exported: str, count: int) -> tuple[float, float, float]:
    """Returns tiles a second, those of the encoder on one batch, and the memory held in GiB."""
    from evaluate_embeddings import encode

    vae_graph, _ = saved_models.load_graph(Path(exported), "vae")
    few = tile_sets.load_tiles(Path(folder))
    with tempfile.TemporaryFile() as file:
        for start in range(0, count, len(few)):
            few.pixels[: min(len(few), count - start)].tofile(file)
        file.flush()
        pixels = np.memmap(file, np.uint8, "r", shape=(count, *tiles.SHAPE))
        names = np.array(["video"] * count)
        many = tile_sets.TileSet(pixels, names, names, names, names)
        one = np.array(few.pixels[:BATCH])
        vae_graph.encode(one)
        started = time.perf_counter()
        codes, _ = encode(vae_graph, many, BATCH)
        latents.statistics_of(codes, "video")
        seconds = time.perf_counter() - started
        memory = held_memory()
        started = time.perf_counter()
        batches = max(1, min(count, 2000) // BATCH)
        for _ in range(batches):
            vae_graph.encode(one)["z_mean"].numpy()
        alone = time.perf_counter() - started
    return count / seconds, batches * BATCH / alone, memory


def held_memory() -> float:
    """Returns the memory of this process in GiB, without mapped files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 2**20


if __name__ == "__main__":
    sys.exit(main())
