"""The first pass over a video: every frame's latents, shots, light and the camera's way, on disk.

Latents are 2 kB a frame and lie on disk in chunks. A chunk is whole or absent, and always made from
the same frames in the same batches, so that an interrupted pass ends in the same file.
"""

import contextlib
import functools
import shutil
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cadl import console, files, latents, metrics, motion, tiles, video
from cadl.clips import BATCH, Clip, batches
from cadl.latents import Statistics
from cadl.shots import ShotFinder

import numpy as np

PASS_FORMAT = 5  # of latents.npz; more when its contents change
KEPT_PASSES = 4  # over one video
CHUNK_FRAMES = 512
SAMPLES = 4
DARK, LIT = 0.02, 0.08  # mean luminance below which a frame stays as it is, and above is painted


@dataclass(frozen=True)
class Encoded:
    """What pass 1 found.

    Attributes:
        latents: float32 [N, codes], posterior means of all frames.
        shots: int [N], number of each frame's shot.
        times: float64 [N], seconds of each frame.
        light: float32 [N], mean luminance of each frame in [0, 1].
        drift: float32 [N, 2], how far down and right the picture has moved, in pixels of a tile.
        samples: uint8 [n, scale * 180, scale * 320, 3], a few frames' tiles, for pictures.
        sample_indices: int [n], which frames they are.
    """

    latents: np.ndarray
    shots: np.ndarray
    times: np.ndarray
    light: np.ndarray
    drift: np.ndarray
    samples: np.ndarray
    sample_indices: np.ndarray

    @functools.cached_property
    def statistics(self) -> Statistics:
        """The moments of the whole video's latents."""
        return latents.statistics_of(self.latents, "video")

    def restyle(
        self,
        smoothed: np.ndarray,
        painter: Statistics,
        style_map: str,
        strength: float,
        chosen: np.ndarray | slice = slice(None),
    ) -> "Recipe":
        """Moves codes toward a painter, those of dark frames less: black stays black.

        Args:
            smoothed: float32 [N, codes], the latents after smoothing.
            painter: the goal.
            style_map: as STYLE_MAP.
            strength: as STRENGTH.
            chosen: which frames; all if left out.
        """
        lit = np.clip((self.light[chosen] - DARK) / (LIT - DARK), 0.0, 1.0).astype(np.float32)
        codes = smoothed[chosen]
        moved = latents.map_latents(
            codes, self.statistics, painter, style_map=style_map, strength=strength
        )
        return Recipe(codes + lit[:, None] * (moved - codes), strength * lit, self.drift[chosen])


@dataclass(frozen=True)
class Recipe:
    """What frames are drawn from, beside themselves.

    Attributes:
        codes: float32 [N, codes], mapped latents.
        strengths: float32 [N], given to the refiner.
        drift: float32 [N, 2], how far strokes are moved.
    """

    codes: np.ndarray
    strengths: np.ndarray
    drift: np.ndarray

    def draw(self, stylize: Callable, whole: np.ndarray, first: int = 0) -> np.ndarray:
        """Draws frames from a first one on, from their tiles at the refiner's scale, uint8."""
        part = slice(first, first + len(whole))
        drawn = stylize(self.codes[part], whole, self.strengths[part], self.drift[part])
        return np.asarray(drawn)


def encode_video(clip: Clip, vae_graph, vae_fingerprint: str, folder: Path) -> Encoded:
    """Runs pass 1, or finds it done.

    Args:
        clip: what to encode.
        vae_graph: SavedModel with `encode`.
        vae_fingerprint: of the VAE, part of what must be the same for an old pass to count.
        folder: where the passes of this video are kept, one sub-folder each.

    Raises:
        ValueError: the video can't be read.
        OSError: the latents can't be written.
        RuntimeError: another run is making the same pass.
    """
    key = files.hash_of(
        map(str, [
            files.identity(clip.source.path), clip.crop, clip.tile_size, clip.scale,
            clip.start_seconds, clip.num_frames, vae_fingerprint, CHUNK_FRAMES, BATCH, PASS_FORMAT,
        ])
    )  # fmt: skip
    folder = folder / f"pass1-{key}"
    with files.only_one(folder):
        finished = folder / "latents.npz"
        if finished.exists():
            try:
                encoded = _load_encoded(finished)
                console.say("the first pass was done before and is used again")
                return encoded
            except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
                console.warn(f"{finished} is damaged: the first pass is done again")
        _encode_chunks(clip, vae_graph, folder, finished)
        _remove_old_passes(folder)
        return _load_encoded(finished)


def _load_encoded(path: Path) -> Encoded:
    with np.load(path) as data:
        return Encoded(**{name: data[name] for name in data.files})


def _remove_old_passes(folder: Path) -> None:
    """Removes the oldest passes over a video (other crops, parts or models), unless in use."""
    passes = sorted(folder.parent.glob("pass1-*"), key=lambda path: path.stat().st_mtime)
    for old in passes[:-KEPT_PASSES]:
        if old != folder:
            with contextlib.suppress(RuntimeError), files.only_one(old):
                shutil.rmtree(old, ignore_errors=True)


def _encode_chunks(clip: Clip, vae_graph, folder: Path, finished: Path) -> None:
    times: list[float] = []
    shots: list[int] = []
    light: list[float] = []
    drift: list[np.ndarray] = []
    samples, sample_indices = [], []
    expected = clip.expected_frames
    wanted = set(((np.arange(SAMPLES) + 0.5) * expected / SAMPLES).astype(int))
    shot_finder, camera = ShotFinder(), motion.CameraMotion()
    chunk: list[np.ndarray] = []
    with console.progress(total=expected, unit="frame", label="pass 1") as bar:

        def close_chunk() -> None:
            path = folder / f"chunk-{(len(shots) - 1) // CHUNK_FRAMES:05d}.npy"
            with files.whole_file(path) as temporary, temporary.open("wb") as file:
                np.save(file, np.concatenate(chunk))
            chunk.clear()

        for batch in batches(video.prefetch(clip.read(times), 4 * BATCH), CHUNK_FRAMES):
            small = tiles.reduce(batch, clip.scale)
            number = len(shots) // CHUNK_FRAMES
            for offset, frame in enumerate(small):
                if len(shots) in wanted or not shots:
                    samples.append(tiles.mirror_to_tile(batch[offset][None], clip.scale)[0])
                    sample_indices.append(len(shots))
                shots.append(shot_finder.add(frame))
                drift.append(camera.add(frame, cut=shots[-1] != shots[max(0, len(shots) - 2)]))
            light += list(metrics.luminance(small).mean(axis=(1, 2)) / 255)
            bar.update(len(batch))
            if not (folder / f"chunk-{number:05d}.npy").exists():
                codes = vae_graph.encode(tiles.mirror_to_tile(small))["z_mean"]
                chunk.append(np.asarray(codes))
                if len(shots) % CHUNK_FRAMES == 0:
                    close_chunk()
        if chunk:
            close_chunk()
    if len(shots) < 0.95 * expected:
        console.warn(f"{clip.source.path}: breaks off after {len(shots)} of {expected} frames")
    keep = slice(1, None) if len(samples) > SAMPLES else slice(None)
    chunks = sorted(folder.glob("chunk-?????.npy"))
    found = np.concatenate([np.load(path) for path in chunks])[: len(shots)]
    if len(found) != len(shots):
        raise RuntimeError(f"{folder} lost a chunk of {len(shots)} frames: run again")
    with files.whole_file(finished) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            latents=found,
            shots=np.array(shots),
            times=np.array(times),
            light=np.array(light, np.float32),
            drift=motion.smooth_drift(np.array(drift), np.array(shots)),
            samples=np.stack(samples[keep]),
            sample_indices=np.array(sample_indices[keep]),
        )
    for path in chunks:
        path.unlink()
