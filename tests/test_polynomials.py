from cadl import polynomials

import numpy as np
import pytest

RNG = np.random.default_rng(0)
Y, X = RNG.uniform(-2, 2, (2, 50))


def value(coefficients, y=Y, x=X):
    """Evaluates one polynomial, term by term."""
    (own,) = np.asarray(coefficients, np.float64)
    exponents = polynomials.EXPONENTS[len(own)]
    return sum(c * y**i * x**j for c, (i, j) in zip(own, exponents, strict=True))


@pytest.mark.parametrize("count", [3, 6])
def test_products_have_the_product_of_the_values(count):
    a, b = RNG.standard_normal((2, 1, count)).astype(np.float32)
    product = polynomials.multiply(a, b)
    np.testing.assert_allclose(value(product), value(a) * value(b), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value(polynomials.raised(a)), value(a), rtol=1e-5)


@pytest.mark.parametrize("count", [3, 6, 15])
def test_a_constant_is_the_same_everywhere(count):
    like = np.zeros((1, 4), np.float32)
    np.testing.assert_allclose(value(polynomials.constant(2.5, like, count)), 2.5)


@pytest.mark.parametrize("count", [6, 15])
def test_shifted_polynomials_have_the_same_values_at_the_same_places(count):
    own = RNG.standard_normal((1, count)).astype(np.float32)
    offsets = [(0, 0), (1.5, -2)]
    shifted = (own @ polynomials.shifts(count, offsets)).reshape(2, 1, count)
    for (down, right), moved in zip(offsets, shifted, strict=True):
        np.testing.assert_allclose(value(moved, Y + down, X + right), value(own), rtol=1e-3)


@pytest.mark.parametrize("count", [3, 6, 15])
def test_powers_evaluate_polynomials(count):
    own = RNG.standard_normal((1, count)).astype(np.float32)
    np.testing.assert_allclose(
        (own @ polynomials.powers(count, Y, X))[0], value(own), rtol=1e-4, atol=1e-4
    )
