"""Judges of painted pictures that no hand was fitted to: patches, a classifier, two samples.

Patches are those of pictures 640 pixels wide. The other two look at painted frames of that width,
and at true pictures whose longer side is 640, as close-ups are cut from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cadl.strokes import texture

import cv2
import keras
import numpy as np

CROP = 96  # pixels of what the classifier sees
TRAINED_STEPS, BATCH = 2000, 48
RATE = 2e-3
PATCHES, PROJECTIONS = 2500, 64  # patches of a picture and band
SEEDS = 99, 98  # of the projections of colours, and of those of light alone; not the search's
QUANTILES = np.linspace(0.005, 0.995, 200)
TINTS = 0.25  # by which colours differ at random while the classifier is trained
RIDGE = 1e-2  # of the two-sample judge


@dataclass(frozen=True)
class Patches:
    """Projections of patches of some pictures, sorted out by band; two lists of quantiles.

    Attributes:
        colour: [200, PROJECTIONS] a band, from fine to coarse.
        light: the same of light alone, over the contrast of its large forms.
    """

    colour: list[np.ndarray]
    light: list[np.ndarray]

    @classmethod
    def of(cls, pictures: Sequence[np.ndarray]) -> "Patches":
        """Draws patches of pictures, uint8 [h, w, 3] each."""
        filters = [texture.projections(seed, PROJECTIONS) for seed in SEEDS]
        filters[1] = _light_alone(filters[1])
        rng = np.random.default_rng(0)
        drawn: list[list[list[np.ndarray]]] = [[[] for _ in range(texture.BANDS)] for _ in range(2)]
        for picture in pictures:
            colours = (picture.astype(np.float32) / 255) @ texture.OPPONENT
            light = colours[..., :1]
            contrast = cv2.GaussianBlur(light[..., 0], (0, 0), 6).std() + 0.03
            evened = np.repeat(light / contrast, 3, axis=2) * np.array((1, 0, 0), np.float32)
            for own, values, ways in zip(drawn, (colours, evened), filters, strict=True):
                for band, detail in zip(own, texture.bands(values), strict=True):
                    band.append(texture.draw_patches(detail, PATCHES, rng) @ ways)
        return cls(
            *([np.quantile(np.concatenate(band), QUANTILES, axis=0) for band in own]
              for own in drawn)
        )  # fmt: skip

    def distance_to(self, other: "Patches") -> tuple[float, float]:
        """Returns the sliced Wasserstein distance over the other's spread: colour, light alone."""
        ways = ((self.colour, other.colour), (self.light, other.light))
        found = [
            np.mean([np.abs(a - b).mean() / (np.abs(b).mean() + 1e-6) for a, b in zip(*way)])
            for way in ways
        ]
        return float(found[0]), float(found[1])


def _light_alone(filters: np.ndarray) -> np.ndarray:
    kept = filters.reshape(7 * 7, 3, -1).copy()
    kept[:, 1:] = 0
    return kept.reshape(filters.shape)


class Classifier:
    """Tells whose a crop is; trained on true pictures of all painters, held-out ones apart."""

    def __init__(self, pictures: dict[str, Sequence[np.ndarray]], seed: int = 0):
        """Trains it on crops of each painter's pictures, uint8 [h, w, 3] each."""
        keras.utils.set_random_seed(seed)
        self.names = list(pictures)
        layers = keras.layers
        seen = keras.Input((CROP, CROP, 3))
        x = seen
        for filters, width in ((24, 5), (48, 3), (64, 3), (96, 3)):
            x = layers.Conv2D(filters, width, 2, "same", use_bias=False)(x)
            x = layers.BatchNormalization()(x)
            x = layers.ReLU()(x)
        self._features = keras.Model(seen, layers.GlobalAveragePooling2D()(x))
        logits = layers.Dense(len(self.names))(layers.Dropout(0.3)(self._features.output))
        self._model = keras.Model(seen, logits)
        self._model.compile(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(RATE, TRAINED_STEPS)),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )
        rng = np.random.default_rng(seed)
        for _ in range(TRAINED_STEPS):
            labels = rng.integers(0, len(self.names), BATCH)
            crops = [_random_crop(pictures[self.names[label]], rng) for label in labels]
            tints = 1 + rng.uniform(-TINTS, TINTS, (BATCH, 1, 1, 3))
            self._model.train_on_batch(np.stack(crops) * tints, labels)

    def names_of(self, pictures: Sequence[np.ndarray]) -> list[str]:
        """Returns the name of the painter of each crop of some pictures."""
        crops = np.stack([crop for picture in pictures for crop in grid(picture)])
        logits = self._model.predict(crops, batch_size=BATCH, verbose=0)
        return [self.names[label] for label in logits.argmax(axis=1)]

    def features(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Returns what it sees of each crop of some pictures, float32 [n, 96]."""
        crops = np.stack([crop for picture in pictures for crop in grid(picture)])
        return self._features.predict(crops, batch_size=BATCH, verbose=0)


def grid(picture: np.ndarray) -> list[np.ndarray]:
    """Cuts a picture into crops beside each other: uint8 [h, w, 3] -> float32 [96, 96, 3] each."""
    height, width = picture.shape[:2]
    return [
        picture[top : top + CROP, left : left + CROP].astype(np.float32) / 255
        for top in range(0, height - CROP + 1, CROP)
        for left in range(0, width - CROP + 1, CROP)
    ]


def _random_crop(pictures: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    own = pictures[int(rng.integers(len(pictures)))]
    top, left = (rng.integers(0, side - CROP + 1) for side in own.shape[:2])
    crop = own[top : top + CROP, left : left + CROP].astype(np.float32) / 255
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def tell_apart(a: np.ndarray, b: np.ndarray) -> float:
    """Returns how often two samples are told apart: 0.5 is alike, 1 always.

    A linear classifier is fitted to one half of each and asked of the other, and the other way
    round (Lopez-Paz & Oquab 2017, arXiv 1610.06545).

    Args:
        a: float32 [n, c], features of one sample.
        b: float32 [m, c], of the other.
    """
    rng = np.random.default_rng(0)
    count = min(len(a), len(b)) // 2 * 2
    both = np.stack([x[rng.permutation(len(x))[:count]] for x in (a, b)])  # [2, count, c]
    both = (both - both.mean(axis=(0, 1))) / (both.std(axis=(0, 1)) + 1e-6)
    right = []
    for half in (0, 1):
        fitted, asked = both[:, half::2], both[:, 1 - half :: 2]
        x = fitted.reshape(-1, fitted.shape[2])
        y = np.repeat([-1.0, 1.0], len(x) // 2)
        weights = np.linalg.solve(x.T @ x / len(x) + RIDGE * np.eye(x.shape[1]), x.T @ y / len(x))
        right += [(asked[0] @ weights < 0).mean(), (asked[1] @ weights > 0).mean()]
    return float(np.mean(right))
