"""What a codec's noise alone changes from frame to frame is kept as it was.

Networks answer noise that no eye sees, and sharpening ones with more of it: what stands still in a
film would stir in the picture. So they are shown each block of a frame anew only when it has
changed by more than such noise (conditional replenishment: Mounts 1969, Bell System Technical
Journal 48 (7)).
"""

import numpy as np

BLOCK = 4  # pixels of a tile of 320x180, which are one place of a thumbnail
NOISE = 1.0  # mean change of a block's values, of 255, that is taken for noise
PEAK = 8  # change of one of them that is not: a star, a wire


class Replenisher:
    """Follows the tiles of a video while they go by."""

    def __init__(self, scale: int = 1):
        """Takes how many times larger than 320x180 tiles are."""
        self._block = scale * BLOCK
        self._shown: np.ndarray | None = None

    def add(self, whole: np.ndarray) -> np.ndarray:
        """Keeps blocks that stand still as they were in the tiles before.

        Args:
            whole: uint8 [N, scale * 180, scale * 320, 3], the next tiles of the video.

        Returns:
            As `whole`.
        """
        kept = np.empty_like(whole)
        for tile, place in zip(whole, kept, strict=True):
            place[:] = tile if self._shown is None else self._keep_noise_out(self._shown, tile)
            self._shown = place
        return kept

    def _keep_noise_out(self, shown: np.ndarray, tile: np.ndarray) -> np.ndarray:
        change = np.maximum(shown, tile) - np.minimum(shown, tile)
        height, width, channels = tile.shape
        size = self._block
        blocks = height // size, size, width // size, size * channels
        rows = change.reshape(height, width // size, -1)
        sums = rows.sum(2, dtype=np.uint16).reshape(blocks[:3]).sum(1, dtype=np.uint32)
        peaks = rows.max(2).reshape(blocks[:3]).max(1)
        still = (sums <= NOISE * size * size * channels) & (peaks <= PEAK)
        still = still[:, None, :, None]
        return np.where(still, shown.reshape(blocks), tile.reshape(blocks)).reshape(tile.shape)
