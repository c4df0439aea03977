"""Initialisers: their moments, their fans, and starting values that no order changes."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from symnet import init
from symnet.reference import starting_value

DRAWN = {
    "glorot_uniform": 2 / (300 + 500),
    "glorot_normal": 2 / (300 + 500),
    "he_uniform": 2 / 300,
    "he_normal": 2 / 300,
    "lecun_uniform": 1 / 300,
    "lecun_normal": 1 / 300,
}


@pytest.mark.parametrize("name", DRAWN)
def test_variances_are_those_of_the_papers(name: str):
    drawn = getattr(init, name)((300, 500), np.random.default_rng(0))
    assert drawn.shape == (300, 500)
    assert drawn.dtype == np.float64
    assert drawn.var() == pytest.approx(DRAWN[name], rel=0.02)
    assert abs(drawn.mean()) < 5 * np.sqrt(DRAWN[name] / drawn.size)
    if name.endswith("uniform"):
        assert abs(drawn).max() == pytest.approx(np.sqrt(3 * DRAWN[name]), rel=1e-3)


def test_plain_initialisers():
    generator = np.random.default_rng(0)
    assert (init.zeros((2, 3), generator) == 0).all()
    assert (init.ones((2, 3), generator) == 1).all()
    assert (init.constant(2.5)((3,), generator) == 2.5).all()
    assert init.normal(0.5, 3.0)((20000,), generator).std() == pytest.approx(0.5, rel=0.03)
    drawn = init.uniform(2.0, 3.0)((20000,), generator)
    assert 2 <= drawn.min() < 2.01
    assert 2.99 < drawn.max() <= 3


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((), (1, 1)), ((7,), (7, 7)), ((3, 5), (3, 5)), ((2, 4, 3, 5), (24, 40)), ((0, 5), (1, 5))],
)
def test_fans(shape: tuple[int, ...], fans: tuple[int, int]):
    assert init.fans(shape) == fans


def test_a_starting_value_depends_on_seed_and_name_only():
    first = sn.parameter("W_1", (3, 4), init=init.he_normal)
    again = sn.parameter("W_1", (3, 4), init=init.he_normal)
    other = sn.parameter("W_2", (3, 4), init=init.he_normal)
    value = starting_value(first, 1)
    starting_value(other, 1)
    assert value.dtype == np.float32
    np.testing.assert_array_equal(value, starting_value(again, 1))
    assert (value != starting_value(other, 1)).all()
    assert (value != starting_value(first, 2)).all()
