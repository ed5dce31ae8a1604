"""Draws three sample painters and a sample film, so that the program can be tried without media.

    python data/make_samples.py

Writes paintings/dabs, paintings/ink and paintings/poster, 12 pictures each, and videos/lake.mp4,
10 s of 640x360 at 24 frames/s with stereo sound. Each painter paints other scenes, by the program's
own brush. The files are the same at every run.
"""

import sys
import tempfile
import wave
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cadl import console, files
from cadl.settings import Count, read_settings
from cadl.workers import WorkerPool
from data import sample_scenes as scenes
from data.sample_painters import HANDS, painting

import cv2
import imageio_ffmpeg
import numpy as np

SAMPLES: Path = Path(__file__).resolve().parent  # folder that gets paintings/ and videos/
PAINTINGS: Count = 12  # pictures of each painter

FILM = "lake"
SOUND_RATE = 48_000


@console.script
def main(argv: list[str] | None = None) -> int:
    """Draws everything that is not there yet and returns the exit status."""
    settings = read_settings(argv)
    with WorkerPool() as workers:
        wanted = [(name, i) for name in HANDS for i in range(settings.paintings)]
        paths = [
            settings.samples / "paintings" / name / f"{name}-{i:02d}.jpg" for name, i in wanted
        ]
        missing = [i for i, path in enumerate(paths) if not path.exists()]
        painted = _in_order(workers, painting, [wanted[i] for i in missing])
        for i in console.progress(missing, unit="painting", label="paint"):
            paths[i].parent.mkdir(parents=True, exist_ok=True)
            with files.whole_file(paths[i]) as temporary:
                coded = cv2.imencode(
                    ".jpg", next(painted)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 93]
                )[1]
                temporary.write_bytes(coded.tobytes())
        film = settings.samples / "videos" / f"{FILM}.mp4"
        if not film.exists():
            numbers = [(number,) for number in range(scenes.FRAMES)]
            write_film(film, _in_order(workers, scenes.film_frame, numbers))
    console.finish(f"Wrote {len(paths)} paintings to {settings.samples / 'paintings'} and {film}",
                   "extract_tiles.py")  # fmt: skip
    return 0


def _in_order(
    workers: WorkerPool, draw: Callable, arguments: Iterable[tuple]
) -> Iterator[np.ndarray]:
    """Yields pictures that all processes draw."""
    futures = [workers.submit(draw, *own) for own in arguments]
    while futures:
        yield futures.pop(0).result()


def write_film(path: Path, frames: Iterator[np.ndarray]) -> None:
    """Writes the sample film: uint8 [360, 640, 3] each, with its sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, files.whole_file(path) as temporary:
        sound = Path(folder, "sound.wav")
        write_sound(sound)
        writer = imageio_ffmpeg.write_frames(
            temporary,
            (scenes.WIDTH, scenes.FILM_HEIGHT),
            fps=scenes.RATE,
            macro_block_size=2,
            audio_path=str(sound),
            audio_codec="aac",
            output_params=["-crf", "16", "-preset", "fast", "-bitexact", "-map_metadata", "-1"],
            ffmpeg_log_level="error",
        )
        writer.send(None)
        for frame in console.progress(frames, unit="frame", label="film", total=scenes.FRAMES):
            writer.send(np.ascontiguousarray(frame))
        writer.close()


def write_sound(path: Path) -> None:
    """Writes a slow tune of plucked strings, from left to right, over soft chords."""
    seconds = scenes.FRAMES / scenes.RATE
    t = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    fade = np.minimum(1, np.minimum(t / 0.3, (seconds - t) / 1.2))
    stereo = np.zeros((len(t), 2))
    for bar, chord in enumerate(((0, 4, 7), (-3, 0, 4), (-7, -3, 0), (-5, -1, 2), (0, 4, 7))):
        swell = np.clip(1 - np.abs(t - 2 * bar - 1) / 1.4, 0, 1)
        for note in chord:
            stereo += 0.03 * (swell * np.sin(2 * np.pi * 261.63 * 2 ** (note / 12) * t))[:, None]
    tune = (12, 16, 19, 16, 21, 19, 16, 12, 9, 12, 16, 12, 14, 11, 14, 19, 16, 12)
    for beat, note in enumerate(tune):
        since = np.maximum(0, t - 0.5 * beat - 0.1)
        pitch = 2 * np.pi * 261.63 * 2 ** (note / 12) * since
        pluck = np.exp(-4.5 * since) * (
            np.sin(pitch) + 0.3 * np.exp(-6 * since) * np.sin(2 * pitch)
        )
        side = 0.5 + 0.3 * np.sin(1.3 * beat)
        stereo += 0.14 * pluck[:, None] * (1 - side, side)
    samples = (np.clip(stereo * fade[:, None], -1, 1) * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SOUND_RATE)
        file.writeframes(samples.tobytes())


if __name__ == "__main__":
    sys.exit(main())
