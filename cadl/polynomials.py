"""Polynomials in y and x as tensors of coefficients, to draw shapes by products of matrices.

The last axis of a tensor holds the coefficients of a polynomial of first, second or fourth degree:
3, 6 or 15, in the order of `EXPONENTS`.
"""

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

# Of y and x, by the number of coefficients; those of fourth degree begin with those of second.
EXPONENTS = {
    3: ((1, 0), (0, 1), (0, 0)),
    6: ((0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)),
}
EXPONENTS[15] = EXPONENTS[6] + tuple((y, n - y) for n in (3, 4) for y in range(n + 1))
SQUARED = {3: 6, 6: 15}  # coefficients of the product of two polynomials of one degree


def multiply(a, b):
    """Returns the product of two polynomials of first, or two of second degree.

    Args:
        a: float32 [..., 3] or [..., 6].
        b: the same.

    Returns:
        float32 [..., 6] or [..., 15].
    """
    count = a.shape[-1]
    exponents, of_product = EXPONENTS[count], EXPONENTS[SQUARED[count]]
    table = np.zeros((count * count, len(of_product)), np.float32)
    for i, (y, x) in enumerate(exponents):
        for j, (v, u) in enumerate(exponents):
            table[i * count + j, of_product.index((y + v, x + u))] = 1.0
    products = a[..., :, None] * b[..., None, :]
    products = ops.reshape(products, (-1, *products.shape[1:-2], count * count))
    return ops.matmul(products, ops.convert_to_tensor(table))


def raised(polynomials):
    """Writes polynomials of first degree as ones of second, or those as ones of fourth."""
    exponents = EXPONENTS[polynomials.shape[-1]]
    higher = EXPONENTS[SQUARED[len(exponents)]]
    table = np.zeros((len(exponents), len(higher)), np.float32)
    for i, powers_of in enumerate(exponents):
        table[i, higher.index(powers_of)] = 1.0
    return ops.matmul(polynomials, ops.convert_to_tensor(table))


def constant(value: float, like, count: int):
    """Returns a constant polynomial of `count` coefficients at each place of `like`."""
    one = np.zeros(count, np.float32)
    one[EXPONENTS[count].index((0, 0))] = value
    return ops.zeros_like(like[..., :1]) + ops.convert_to_tensor(one)


def shifts(count: int, offsets: Sequence[tuple[float, float]]) -> np.ndarray:
    """Returns what writes polynomials from other origins, by the binomial theorem.

    Args:
        count: coefficients of the polynomials.
        offsets: (y, x) of the origin in which each is given, as seen from the new one.

    Returns:
        float32 [count, offsets * count]; coefficients times this are those for each offset.
    """
    table = np.zeros((count, len(offsets), count))
    for k, (down, right) in enumerate(offsets):
        for old, (i, j) in enumerate(EXPONENTS[count]):
            for new, (y, x) in enumerate(EXPONENTS[count]):
                if y <= i and x <= j:
                    of_y = math.comb(i, y) * (-down) ** (i - y)
                    table[old, k, new] = of_y * math.comb(j, x) * (-right) ** (j - x)
    return table.reshape(count, -1).astype(np.float32)


def powers(count: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Returns the monomials at some places; coefficients times this are the values there.

    Args:
        count: coefficients of the polynomials.
        y: [places].
        x: [places].

    Returns:
        float32 [count, places].
    """
    return np.stack([y**i * x**j for i, j in EXPONENTS[count]]).astype(np.float32)
