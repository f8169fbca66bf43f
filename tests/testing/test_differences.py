"""The differences know how far off they are."""

import numpy as np
import pytest

from funcnn.testing.differences import slopes

DOUBLE, SINGLE = 2.0**-53, 2.0**-24


def slope(fun, x, claimed=0.0, unit=DOUBLE, size=None):
    x = np.array([x])
    found = slopes(
        fun,
        x,
        np.array([size or abs(x[0]) or 1.0]),
        np.ones((1, 1)),
        np.array([[claimed]]),
        unit,
        (lambda v: v) if unit == DOUBLE else (lambda v: v.astype(np.float32).astype(float)),
    )
    return found.one(0)


# the slopes are for a step of the argument's size: x f'(x)
SMOOTH = {
    "sin": (np.sin, np.cos, 0.7),
    "exp": (np.exp, np.exp, 30.0),
    "high frequency": (lambda x: np.sin(1e6 * x), lambda x: 1e6 * np.cos(1e6 * x), 1.3),
    "tiny argument": (np.exp, np.exp, 1e-20),
    "huge argument": (lambda x: x**2, lambda x: 2 * x, 1e20),
    "near a kink": (np.abs, np.sign, 1e-9),
    "near a pole": (lambda x: 1 / x, lambda x: -1 / x**2, 1e-9),
    "nearer to a pole": (lambda x: 1 / x, lambda x: -1 / x**2, 1e-12),
    "nearer to a kink": (lambda x: np.abs(x) + x, lambda x: 1 + np.sign(x), 1e-13),
    "kink far below an offset": (lambda x: 1 + np.abs(x), np.sign, 1e-12),
    "near the end of the domain": (np.log, lambda x: 1 / x, 1e-13),
    "cancellation": (lambda x: (x + 1e8) - 1e8, np.ones_like, 0.3),
    "stationary": (lambda x: (x - 2.0) ** 2 + 1, lambda x: 2 * (x - 2.0), 2.0),
    "offset": (lambda x: 1e12 + np.sin(x), np.cos, 0.5),
}


@pytest.mark.parametrize("claim", [0.0, 0.999, 1.0], ids="claimed {}".format)
@pytest.mark.parametrize("case", SMOOTH.values(), ids=SMOOTH)
def test_the_error_is_no_lie(case, claim):
    fun, derivative, x = case
    true = float(derivative(np.array(x)))
    found = slope(fun, x, claimed=claim * true)
    assert np.isfinite(found.error)
    assert abs(found.value - true * x) <= 4 * found.error + 1e-15 * abs(true * x)
    assert not found.kink


def test_noise_is_seen():
    """Values that are wrong in their tenth digit, as those of an iterative algorithm are."""

    def noisy(x):
        return np.sin(x) + 1e-10 * (np.modf(1e15 * np.sin(1e7 * x))[0] - 0.5)

    off = []
    for x in np.linspace(0.3, 3, 2500):
        found = slope(noisy, x)
        assert found.error < 1e-4
        off.append(abs(found.value - np.cos(x) * x) / found.error)
    assert max(off) < 2


@pytest.mark.parametrize("name", ["sin", "exp", "tiny argument", "huge argument", "near a pole"])
def test_the_error_is_small_where_it_can_be(name):
    fun, derivative, x = SMOOTH[name]
    if name != "tiny argument":  # a step of 1e-20 changes exp by less than it is rounded
        assert slope(fun, x).error <= 1e-9 * abs(float(derivative(np.array(x))) * x)
    assert not slope(fun, x).admits(1.001 * derivative(np.array(x)) * x, 0.0)


def test_a_kink():
    found = slope(lambda x: np.maximum(x, 0) * np.exp(-x), 0.0)
    assert found.kink
    assert found.low == pytest.approx(0, abs=1e-6)
    assert found.high == pytest.approx(1, abs=1e-6)
    assert found.admits(0.5, 0.0)
    assert not found.admits(1.01, 0.0)
    assert not found.admits(-0.01, 0.0)


def test_a_staircase_tells_nothing():
    def stairs(x):
        return (x.astype(np.float32) + np.float32(1e9)).astype(float) - 1e9

    found = slope(stairs, 1.5, claimed=1.0, unit=SINGLE)
    assert np.isinf(found.error)
    assert found.admits(1.5, 0.0)


def test_values_that_are_no_numbers_are_left_out():
    with np.errstate(invalid="ignore"):
        assert np.isinf(slope(lambda x: np.where(x == 1.0, x, np.nan), 1.0).error)
