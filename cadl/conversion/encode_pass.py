"""The first pass over a video: latents, shots, light and tracks of strokes of all frames, on disk.

Both latents (2 kB a frame) and tracks lie on disk in chunks. A chunk is whole or absent, and always
made from the same frames in the same batches, so that an interrupted pass ends in the same file.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cadl import console, files
from cadl.conversion import in_between, passes
from cadl.conversion.clip import BATCH, PREFETCHED_BATCHES, Clip, Geometry, batches, resize
from cadl.conversion.codes import Encoded, light_of
from cadl.conversion.survey import survey
from cadl.errors import UserError
from cadl.strokes.hand import Hand
from cadl.strokes.track_files import TrackWriter
from cadl.strokes.tracks import StrokeTracker
from cadl.video.flow import Flow, OpticalFlow
from cadl.video.reader import prefetch
from cadl.video.shots import ShotFinder

import numpy as np

PASS_FORMAT = 20  # of what is kept; raise when its contents change
CHUNK_FRAMES = 480
ENCODED_EVERY = 4  # frames; codes are smoothed over more than that
SAMPLES = 12
SHOT_PICTURES = 4  # of a shot that are kept, at most
SHRINK = 4  # times that a shot's picture is smaller than what is tracked


class Analysis(NamedTuple):
    """What pass 1 leaves."""

    encoded: Encoded  # latents and what else is known of each frame
    tracks: Path


def analyse_video(
    clip: Clip,
    geometry: Geometry,
    hands: Sequence[Hand],
    encode: Callable[[np.ndarray], np.ndarray],
    vae_fingerprint: str,
    folder: Path,
) -> Analysis:
    """Runs pass 1, or what is left of it; waits for another run that makes the same pass.

    Args:
        clip: what to analyse.
        geometry: its sizes.
        hands: whose strokes are followed.
        encode: returns the latents of tiles, uint8 [N, 180, 320, 3] -> float32 [N, codes].
        vae_fingerprint: of the VAE, part of what must be the same for old latents to count.
        folder: where the passes of this video are kept, a sub-folder each.

    Raises:
        UserError: the video can't be read.
        OSError: something can't be written.
    """
    same = [
        files.identity(clip.source.path), clip.crop, geometry.tracked_size, clip.start_seconds,
        clip.num_frames, BATCH, PASS_FORMAT,
    ]  # fmt: skip
    latents_key = [*same, geometry.tile_size, vae_fingerprint, CHUNK_FRAMES]
    encoded_folder = folder / f"latents-{files.hash_of(map(str, latents_key))}"
    layouts = [hand.layout() for hand in hands]
    tracks = folder / f"tracks-{files.hash_of(map(str, [*same, layouts]))}"
    made = f"the first pass over {clip.source.path.name}"
    with files.only_one(encoded_folder, made), files.only_one(tracks, made):
        encoded = passes.load_encoded(encoded_folder)
        tracked = encoded is not None and passes.are_tracked(tracks, len(encoded.shots))
        if encoded is None or not tracked:
            _go_through(clip, geometry, hands, encode if encoded is None else None,
                        encoded_folder, tracks)  # fmt: skip
        if encoded is not None:
            also = "" if tracked else "; strokes of another layout were followed anew"
            console.say(f"the first pass was done before and is used again{also}")
        for kept in (encoded_folder, tracks):
            os.utime(kept)  # the oldest ones are removed
        encoded = encoded or passes.load_encoded(encoded_folder)
        if encoded is None:
            raise UserError(f"{encoded_folder} was damaged: run the same command again")
        return Analysis(encoded, tracks)


class Observed:
    """What is seen of each frame beside its latents, gathered while the frames go by."""

    def __init__(self, clip: Clip, geometry: Geometry):
        """Takes what will go by."""
        self._clip, self._geometry = clip, geometry
        self.expected = clip.expected_frames
        middles = (np.arange(SAMPLES) + 0.5) * self.expected / SAMPLES
        self._wanted = {0, *middles.astype(int)}
        self._shot_finder = ShotFinder()
        self._times: list[float] = []
        self.shots: list[int] = []
        self._light: list[float] = []
        self._samples: dict[int, np.ndarray] = {}
        self._shot_pictures: list[list[tuple[int, np.ndarray]]] = []
        self._shot_begin, self._shot_step = 0, 1  # first frame of the last shot; from one to next

    def __len__(self) -> int:
        return len(self.shots)

    def go_by(self) -> Iterator[tuple[int, np.ndarray, list[int]]]:
        """Yields batches: number of the first frame, frames, uint8 [N, h, w, 3], their shots."""
        frames = prefetch(self._clip.read(self._geometry.tracked_size, self._times), 4 * BATCH)
        for batch in batches(frames, CHUNK_FRAMES):
            first = len(self)
            for frame in batch:
                if len(self) in self._wanted:
                    self._samples[len(self)] = frame
                self._add_to_shot(self._shot_finder.add(frame), frame)
                self._light.append(light_of(frame))
            yield first, batch, self.shots[first:]

    def _add_to_shot(self, shot: int, frame: np.ndarray) -> None:
        """Keeps a few small pictures of each shot, evenly spread over it."""
        if shot == len(self._shot_pictures):
            self._shot_pictures.append([])
            self._shot_begin, self._shot_step = len(self), 1
        if (len(self) - self._shot_begin) % self._shot_step == 0:
            width, height = self._geometry.tracked_size
            size = max(1, width // SHRINK), max(1, height // SHRINK)
            own = self._shot_pictures[shot]
            own.append((len(self), resize(frame, size)))
            if len(own) > SHOT_PICTURES:
                del own[1::2]
                self._shot_step *= 2
        self.shots.append(shot)

    def arrays(self) -> dict[str, Any]:
        """Returns all attributes of `Encoded` but its latents and those of the whole film."""
        if len(self._samples) > SAMPLES:  # the first frame is for a video of which no more came
            del self._samples[0]
        pictures = [own for shot in self._shot_pictures for own in shot]
        return {
            "shots": np.array(self.shots),
            "times": np.array(self._times),
            "light": np.array(self._light, np.float32),
            "samples": np.stack(list(self._samples.values())),
            "sample_indices": np.array(list(self._samples)),
            "shot_pictures": np.stack([picture for _, picture in pictures]),
            "shot_frames": np.array([number for number, _ in pictures]),
        }


def _go_through(
    clip: Clip,
    geometry: Geometry,
    hands: Sequence[Hand],
    encode: Callable | None,
    encoded: Path,
    tracks: Path,
) -> None:
    """Reads all frames once; encodes them unless `encode` is None, and follows the strokes."""
    observed = Observed(clip, geometry)
    tracker = StrokeTracker(hands, geometry.tracked_size)
    writer = TrackWriter(tracks, tracker)
    # Each stage runs in a thread of its own.
    seen = prefetch(observed.go_by(), PREFETCHED_BATCHES)
    moving = prefetch(_add_flow(seen, writer.frames_done), 1)
    followed = prefetch(_follow(moving, writer, tracker), PREFETCHED_BATCHES)
    latents = _Latents(encode, geometry, observed.shots, encoded) if encode else None
    with console.progress(total=observed.expected, unit="frame", label="pass 1") as bar:
        for first, batch in followed:
            if latents:
                latents.add(first, batch)
            bar.update(len(batch))
        if latents:
            latents.save()
    count = len(observed)
    files.write_json(tracks / passes.TRACKED_FRAMES, count)
    if not encode:
        return
    if count < 0.95 * observed.expected:
        console.warn(f"{clip.source.path}: breaks off after {count} of {observed.expected} frames")
    film_frames, film_latents = survey(clip, geometry, encode)
    of_film = {"film_frames": film_frames, "film_latents": film_latents}
    passes.save_encoded(encoded, count, observed.arrays() | of_film)


class _Latents:
    """Latents of all frames, written in chunks: some frames are encoded, the others filled in."""

    def __init__(self, encode: Callable, geometry: Geometry, shots: list[int], folder: Path):
        """Takes an `encode`, sizes, the growing list of all frames' shots, and where chunks go."""
        self._encode, self._geometry = encode, geometry
        self._shots, self._folder = shots, folder
        self._begin = self._end = 0  # of the frames whose chunk is not written yet
        self._chosen: list[int] = []
        self._tiles: list[np.ndarray] = []
        self._codes: list[np.ndarray] = []

    @property
    def _path(self) -> Path:
        return self._folder / f"chunk-{self._begin // CHUNK_FRAMES:05d}.npy"

    def add(self, first: int, batch: np.ndarray) -> None:
        """Adds the next frames, uint8 [N, h, w, 3]; `first` is the number of the first one."""
        self._end = first + len(batch)
        if not self._path.exists():
            for i in in_between.choose(self._shots[first : self._end], ENCODED_EVERY).tolist():
                self._chosen.append(first + i - self._begin)
                self._tiles.append(self._geometry.tile(batch[i]))
            if len(self._tiles) >= BATCH:
                self._encode_tiles()
        if self._end % CHUNK_FRAMES == 0:
            self.save()

    def _encode_tiles(self) -> None:
        self._codes.append(self._encode(np.stack(self._tiles)))
        self._tiles.clear()

    def save(self) -> None:
        """Writes the chunk of the frames since the last one, unless it is there."""
        if self._tiles:
            self._encode_tiles()
        if self._codes:
            codes, shots = np.concatenate(self._codes), self._shots[self._begin : self._end]
            passes.save_chunk(self._path, in_between.fill_in(np.array(self._chosen), codes, shots))
        self._chosen.clear()
        self._codes.clear()
        self._begin = self._end


def _add_flow(
    seen: Iterator[tuple[int, np.ndarray, list[int]]], done: int
) -> Iterator[tuple[int, np.ndarray, list[Flow | None]]]:
    """Adds to frames that go by the flow to each, None where a shot begins; not to those done."""
    flow, shot = OpticalFlow(), -1
    for first, batch, shots in seen:
        motions = []
        for number, (frame, own_shot) in enumerate(zip(batch, shots, strict=True), first):
            cut = own_shot != shot or number < done
            motions.append(flow.add(frame, cut=cut) if number >= done - 1 else None)
            shot = own_shot
        yield first, batch, motions


def _follow(
    moving: Iterator[tuple[int, np.ndarray, list[Flow | None]]],
    writer: TrackWriter,
    tracker: StrokeTracker,
) -> Iterator[tuple[int, np.ndarray]]:
    """Follows the strokes through frames that go by, and passes these on."""
    done = writer.frames_done
    for first, batch, motions in moving:
        for number, (frame, motion) in enumerate(zip(batch, motions, strict=True), first):
            if number >= done:
                writer.add(tracker.add(number, frame, motion))
            elif number == done - 1:
                tracker.see(frame)
        yield first, batch
    writer.write()
