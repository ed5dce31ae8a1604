"""Points in the plane: pairs too near each other, free places, numbers and maps read at them."""

import cv2
import numpy as np

RASTER = 6  # cells of the raster of `far_from` along the distance
NEAR_CELLS = 2.6  # the distance that is kept from points, in cells of a raster; `_far` fits it


def sample(maps: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Reads maps between their pixels, linearly; beyond the edges they repeat.

    Args:
        maps: float32 or uint8 [h, w, c], c at most 4.
        places: float32 [n, 2], x and y in pixels, 0 the middle of the first.

    Returns:
        As the maps, [n, c].
    """
    channels = maps.shape[2]
    if not len(places):
        return np.zeros((0, channels), maps.dtype)
    rows = -(-len(places) // 1024)  # remap takes tables of less than 32768 columns
    padded = np.zeros((rows * 1024, 2), np.float32)
    padded[: len(places)] = places
    x, y = np.moveaxis(padded.reshape(rows, 1024, 2), 2, 0)
    read = cv2.remap(maps, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return read.reshape(-1, channels)[: len(places)]


def spread(
    values: np.ndarray,
    places: np.ndarray,
    size: tuple[int, int],
    radius: float,
    weights: np.ndarray | float = 1.0,
) -> np.ndarray:
    """Makes a map of what points near each pixel have in the mean.

    Args:
        values: float32 [n].
        places: float32 [n, 2], x and y in pixels; those outside count for nothing.
        size: width and height of the map.
        radius: deviation of the Gaussian that points count by, in pixels.
        weights: how much each point counts, float32 [n], or all.

    Returns:
        float32 [h, w], 0 where no point is near.
    """
    weights = np.broadcast_to(np.float32(weights), len(places))
    total, count = (
        cv2.GaussianBlur(own, (0, 0), radius)
        for own in splat(np.column_stack([values * weights, weights]), places, size)
    )
    return total / (count + np.float32(1e-6))


def splat(values: np.ndarray, places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Adds up values at points, each shared out among the four pixels round it.

    Args:
        values: float32 [n, c].
        places: float32 [n, 2], x and y in pixels; what falls outside counts for nothing.
        size: width and height of the maps.

    Returns:
        float32 [c, h, w].
    """
    corners = np.floor(places).astype(int)
    part = places - corners
    maps = np.zeros((values.shape[1], size[1] * size[0]))
    for down, right in np.ndindex(2, 2):
        x, y = corners[:, 0] + right, corners[:, 1] + down
        inside = np.flatnonzero((x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1]))
        share = np.abs(1 - right - part[inside, 0]) * np.abs(1 - down - part[inside, 1])
        cells = y[inside] * size[0] + x[inside]
        for own, value in zip(maps, values.T, strict=True):
            own += np.bincount(cells, share * value[inside], len(own))
    return maps.astype(np.float32).reshape(-1, size[1], size[0])


def hashed(identities: np.ndarray, count: int, salt: int = 0) -> np.ndarray:
    """Returns numbers that look random and depend on identities alone.

    Args:
        identities: int64 [n].
        count: numbers of each.
        salt: another one gives other numbers.

    Returns:
        float32 [n, count], uniform in [0, 1) (splitmix64: Steele et al. 2014, doi
        10.1145/2660193.2660195).
    """
    steps = np.arange(1, count + 1, dtype=np.uint64) + np.uint64(1000 * salt)
    x = identities.astype(np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
    x = x + steps * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


def close_pairs(places: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Finds all pairs of points nearer to each other than a distance.

    Args:
        places: float32 [n, 2].
        distance: in the same unit.

    Returns:
        Indices of both, int [pairs] each; each pair once.
    """
    if len(places) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    cells = np.floor((places - places.min(axis=0)) / distance).astype(np.int64) + 1
    columns = int(cells[:, 0].max()) + 2
    numbers = cells[:, 1] * columns + cells[:, 0]
    order = np.argsort(numbers, kind="stable")
    numbers = numbers[order]
    # Partners in the same cell come later in the order; others lie right, or in the row below.
    own = np.arange(len(order))
    rows = [(own + 1, np.searchsorted(numbers, numbers, "right"))]
    for first, last in ((1, 1), (columns - 1, columns + 1)):
        start = np.searchsorted(numbers, numbers + first, "left")
        stop = np.searchsorted(numbers, numbers + last, "right")
        rows.append((start, stop))
    pairs = []
    for start, stop in rows:
        counts = stop - start
        left = np.repeat(own, counts)
        right = np.arange(counts.sum()) + np.repeat(start - np.cumsum(counts) + counts, counts)
        pairs.append((left, right))
    left, right = (order[np.concatenate(side)] for side in zip(*pairs, strict=True))
    near = np.square(places[left] - places[right]).sum(axis=1) < distance**2
    return left[near], right[near]


def far_from(others: np.ndarray, places: np.ndarray, distance: float) -> np.ndarray:
    """Says which places have no others nearer than a distance, to a fifth of it: bool [n].

    Args:
        others: float32 [m, 2].
        places: float32 [n, 2], in the same unit.
        distance: in that unit.
    """
    if not len(places):
        return np.zeros(0, bool)
    cell = distance / RASTER
    origin = places.min(axis=0) - distance
    columns, rows = ((places.max(axis=0) - origin) / cell).astype(int) + RASTER + 2
    x, y = np.floor((others - origin) / cell).astype(int).T
    there = (x >= 0) & (y >= 0) & (x < columns) & (y < rows)
    taken = np.zeros((rows, columns), np.uint8)
    taken[y[there], x[there]] = 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RASTER + 1,) * 2)
    x, y = np.floor((places - origin) / cell).astype(int).T
    return cv2.dilate(taken, disc)[y, x] == 0


def _far(raster: np.ndarray) -> np.ndarray:
    """Says which cells have no 0 near them: uint8 [rows, columns], 0 or 1.

    Near are the square of five cells round a cell, and three cells in its row and its column.
    """
    square, row, column = (np.ones(shape, np.uint8) for shape in ((5, 5), (1, 7), (7, 1)))
    near_none = cv2.min(cv2.erode(raster, row), cv2.erode(raster, column))
    return cv2.min(near_none, cv2.erode(raster, square))


def _turned_canvas(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Returns the cells that a turned canvas covers, and three more around: bool [rows, columns].

    The raster is its bounding box, most of which may lie outside.

    Args:
        corners: float32 [4, 2], x and y in cells.
        shape: rows and columns.
    """
    outline = np.rint(corners[[0, 1, 3, 2]]).astype(np.int32)
    inside = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(inside, outline, 1)
    cv2.polylines(inside, [outline], True, 1, thickness=7)
    return inside.view(bool)


def free_places(
    taken: np.ndarray,
    size: tuple[int, int],
    margin: float,
    distance: float,
    metric: np.ndarray | None = None,
    wanted: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Finds where a canvas is free: cells of a raster far enough from all points.

    Args:
        taken: float32 [n, 2], points.
        size: width and height of the canvas.
        margin: how far the raster reaches beyond it.
        distance: what is to be kept from points.
        metric: float32 [2, 2], what places are multiplied by before distances count; None: nothing.
        wanted: bool [h, w], pixels of the canvas where points may lie; None: all.

    Returns:
        Top left corners of free cells, float32 [m, 2], and the side of a cell, after the metric.
    """
    cell = distance / NEAR_CELLS
    low, high = -margin, np.add(size, margin)
    corners = np.array([[low, low], [high[0], low], [low, high[1]], high], np.float32)
    if metric is not None:
        corners, taken = corners @ metric, taken @ metric
    origin = corners.min(axis=0)
    columns, rows = np.ceil((corners.max(axis=0) - origin) / cell).astype(int)
    raster = np.ones((rows, columns), np.uint8)
    x, y = np.clip(((taken - origin) / cell).astype(int), 0, (columns - 1, rows - 1)).T
    raster[y, x] = 0
    far = _far(raster).view(bool)
    if wanted is not None:
        back = np.eye(2) if metric is None else np.linalg.inv(metric)
        way = np.column_stack([cell * back.T, (origin + 0.5 * cell) @ back])
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        far &= cv2.warpAffine(wanted.view(np.uint8), way, (columns, rows), flags=flags,
                              borderMode=cv2.BORDER_REPLICATE).view(bool)  # fmt: skip
    if metric is not None:
        far &= _turned_canvas((corners - origin) / cell, far.shape)
    found = cv2.findNonZero(far.view(np.uint8))
    if found is None:
        return np.zeros((0, 2), np.float32), cell
    free = found.reshape(-1, 2).astype(np.float32) * np.float32(cell) + origin
    if metric is not None:
        free = free @ np.linalg.inv(metric)
        x, y = free.T
        free = free[(x >= low) & (y >= low) & (x <= high[0]) & (y <= high[1])]
    return free.astype(np.float32), cell
