"""What a run shows while it learns: TensorBoard, previews and their movie, and its own rate."""

import time
from pathlib import Path

from cadl import _startup, files  # noqa: F401
from cadl.images import gallery
from cadl.training import devices

import imageio.v2 as imageio
import numpy as np
import tensorflow as tf
from PIL import Image

PREVIEW_FRAMES_PER_SECOND = 12


class Progress:
    """What a run shows of itself; nothing until it is opened."""

    def __init__(self, folder: Path):
        """Takes the run directory."""
        self._folder = folder
        self._writer = tf.summary.create_noop_writer()

    def open(self) -> None:
        """Opens TensorBoard's file; the chief alone does."""
        self._writer = tf.summary.create_file_writer(str(files.plain_path(self._folder)))

    def flush(self) -> None:
        """Lets TensorBoard see all up to now."""
        self._writer.flush()

    def log(self, values: dict[str, float], step: int) -> None:
        """Shows scalars in TensorBoard."""
        with self._writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def log_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        """Shows a distribution in TensorBoard."""
        with self._writer.as_default(step=step):
            tf.summary.histogram(name, values)

    def preview(self, sheet: Image.Image, step: int) -> None:
        """Keeps a picture of how far the model is, for TensorBoard and the progress movie."""
        if not devices.is_chief():
            return
        gallery.save_picture(self._folder / "preview" / f"step-{step:08d}.png", sheet)
        self.show_picture("preview", sheet, step)

    def show_picture(self, name: str, picture: Image.Image, step: int) -> None:
        """Shows a picture in TensorBoard."""
        with self._writer.as_default(step=step):
            tf.summary.image(name, np.asarray(picture)[None])
        self._writer.flush()

    def write_movie(self) -> None:
        """Assembles progress.mp4 from all previews."""
        previews = sorted((self._folder / "preview").glob("step-*.png"))
        if not previews:
            return
        with Image.open(previews[-1]) as newest:
            size = newest.size
        with (
            files.whole_file(self._folder / "progress.mp4") as temporary,
            imageio.get_writer(
                temporary, fps=PREVIEW_FRAMES_PER_SECOND, macro_block_size=2, quality=8
            ) as movie,
        ):
            for path in previews:
                with Image.open(path) as sheet:
                    if sheet.size == size:  # it was not when other tiles were shown
                        movie.append_data(  # type: ignore[attr-defined]
                            np.asarray(sheet.convert("RGB"))
                        )


class Meter:
    """Means of the terms since they were last read, and tiles per second."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0
        self._started = time.monotonic()

    def add(self, terms: dict[str, float]) -> None:
        """Adds a step's terms."""
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def read(self, batch_size: int) -> dict[str, float]:
        """Returns the means and the rate, and starts anew."""
        means = {name: value / max(self._count, 1) for name, value in self._sums.items()}
        seconds = time.monotonic() - self._started
        means["tiles_per_second"] = self._count * batch_size / seconds
        self._begin()
        return means
