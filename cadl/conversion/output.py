"""What is written for a video: its name, its record, and whether it was made before."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cadl import console, files
from cadl.conversion import segments
from cadl.conversion.codes import Encoded
from cadl.errors import UserError
from cadl.images.tiles import PICTURE_SUFFIXES
from cadl.style import latents
from cadl.style.latents import Statistics
from cadl.video.probing import SUFFIXES, Video

FAR = 3.5  # distance from what was trained on that is worth a warning; unseen films have 2 to 3


@dataclass(frozen=True)
class Output:
    """What is written for one video in one style."""

    target: Path  # path of the painted video or picture
    segments: Path  # folder of the segments painted so far
    passes: Path  # folder of the results of pass 1, shared by all styles
    request: dict  # all settings and inputs that the result depends on

    @classmethod
    def of(cls, out: Path, path: Path, style: str, request: dict) -> "Output":
        """Names all files that are made in a folder of a video, in a style of this name."""
        source = files.source_name(path.stem)
        name = f"{source}-{files.source_name(style)}"
        is_picture = path.suffix.lower() in PICTURE_SUFFIXES - SUFFIXES
        target = out / f"{name}{'.png' if is_picture else '.mp4'}"
        work = out / "work"
        return cls(target, work / name, work / "passes" / source, request)

    @property
    def key(self) -> str:
        """Short for the request."""
        return files.hash_of([json.dumps(self.request, sort_keys=True)])

    @property
    def record_path(self) -> Path:
        """The file of all that is known of the conversion, written last."""
        return self.target.with_suffix(".json")

    def frames_made_before(self, replace: bool) -> int:
        """Returns the frames of an output that is finished, 0 if it is to be made, or gone on with.

        Raises:
            UserError: it was made with other settings, another input or another model.
        """
        if not self.target.exists():
            return 0
        record = self._record()
        if self.is_finished():
            console.say(f"{self.target} was finished before with the same settings")
            return record["frames"]
        if replace or segments.was_begun(self.segments, self.request):
            return 0
        if not record:
            raise UserError(
                f"{self.target} exists, and there is no record of how it was made: give --replace "
                "yes or another --out"
            )
        before = record["request"]
        keys = self.request.keys() | before.keys()
        changed = sorted(key for key in keys if before.get(key) != self.request.get(key))
        raise UserError(
            f"{self.target} exists and was made with other {', '.join(changed)}: "
            "give --replace yes or another --out"
        )

    def is_finished(self) -> bool:
        """Returns True if the output is there and has a record of this request."""
        return self.target.exists() and self._record().get("request") == self.request

    def _record(self) -> dict:
        """Returns what is known of the output, nothing if there is no record, or no whole one."""
        try:
            record = files.read_json(self.record_path)
            return {"request": record["request"], "frames": record["frames"]}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}

    def record(self, report: dict) -> None:
        """Writes what is known of the conversion, and removes what it was made from."""
        files.write_json(self.record_path, report)
        segments.clean_up(self.segments)

    def describe(self, report: dict, source: Video) -> str:
        """Says what was made: size, and of a video its frames, sound and flicker."""
        size = "{}x{}".format(*report["output_size"])
        if source.is_picture:
            return f"{self.target}: {size}"
        left_out = f"; left out: {', '.join(report['left_out'])}" if report["left_out"] else ""
        rate = float(source.rate)
        return (
            f"{self.target}: {report['frames']} frames of {size} at {rate:.5g} frames/s; "
            f"sound: {report['sound']}; flicker {report['flicker_output']:.2f}, of the input "
            f"{report['flicker_input']:.2f}{left_out}"
        )


def tell_distance(path: Path, encoded: Encoded, trained: Sequence[Statistics]) -> float | None:
    """Returns how far a video is from what was trained on, None if unknown; warns if it is far."""
    if not trained:
        return None
    distance = latents.distance_from(encoded.statistics, trained)
    if distance > FAR:
        console.warn(
            f"{path} is unlike what the model was trained on (distance {distance:.1f}, of that "
            "itself 1.0): add it to the videos of extract_tiles.py and train further"
        )
    return distance
