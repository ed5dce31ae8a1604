"""Runs all benchmarks in a short form on what `make demo` made, and prints one table of claims.

python -m benchmarks
"""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.claims import HEADER, read_claim
from cadl import console
from cadl.errors import UserError
from cadl.settings import read_settings

DEMO: Path = Path("demo")  # what `make demo` made
ONLY: list[str] = []  # run only these, without bench_; all if empty


@console.script
def main(argv: list[str] | None = None) -> int:
    """Runs them one after the other and returns 1 if one of them failed to run."""
    settings = read_settings(argv)
    demo = settings.demo
    if not (demo / "exported").is_dir():
        raise UserError(f"no {demo / 'exported'}: run make demo first")
    runs = {
        "training": ["--tiles", demo / "tiles", "--repeats", 3],
        "layers": [],
        "learning": ["--tiles", demo / "tiles", "--seconds", 60, "--slice", 15,
                     "--curves", "out/bench/learning.png"],
        "picture": ["--tiles", demo / "tiles", "--vae-run", demo / "log/vae",
                    "--refiners", f"ours={demo / 'log/refiner'}", "--ancestor-steps", 200,
                    "--video", "night-walk"],
        "maps": ["--videos", demo / "data/videos", "--exported", demo / "exported",
                 "--tiles", demo / "tiles", "--clips", 2],
        "evaluation": ["--tiles", demo / "tiles", "--exported", demo / "exported",
                       "--count", 3000, "--short", 500],
        "kills": ["--tiles", demo / "tiles", "--exported", demo / "exported",
                  "--video", demo / "data/videos/night-walk.mp4", "--steps", 24, "--kills", 2],
        "extraction": ["--minutes", 3, "--video", demo / "data/videos/night-walk.mp4"],
        "conversion": ["--video", demo / "data/videos/night-walk.mp4",
                       "--exported", demo / "exported"],
        "encoding": ["--video", "out/night-walk-night-streets.mp4"],
        "flicker": ["--videos", demo / "data/videos/night-walk.mp4"],
        "sync": ["--minutes", 5],
    }  # fmt: skip
    for name in settings.only:
        if name not in runs:
            raise UserError(f"ONLY {name} is none of {', '.join(runs)}")
    rows, failed = [], []
    started = time.monotonic()
    for name in settings.only or runs:
        console.say(f"--- bench_{name}, after {console.duration(time.monotonic() - started)}")
        command = [sys.executable, "-m", f"benchmarks.bench_{name}", *map(str, runs[name])]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in process.stdout or ():
            found = read_claim(line)
            if found:
                rows.append(found)
            else:
                console.say(line.rstrip())
        if process.wait():
            failed.append(name)
    console.say(console.table(HEADER, rows))
    short = sum(row[-1] != "met" for row in rows)
    console.say(
        f"{len(rows)} claims in {console.duration(time.monotonic() - started)}, {short} fall short"
        + (f"; did not run to their end: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
