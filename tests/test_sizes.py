"""Sizes of axes: integers and polynomials in names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symnet.errors import ShapeError
from symnet.sizes import (
    Size,
    add_sizes,
    dimension,
    divide_sizes,
    multiply_sizes,
    named_size,
    scale_size,
    shape_of,
    show_shape,
    size_names,
)

N, M = named_size("N"), named_size("M")
KNOWN = {"N": 7, "M": 3}


def _value(size: int | Size) -> int:
    return size.value(KNOWN) if isinstance(size, Size) else size


def _times(a: int | Size, b: int | Size) -> int | Size:
    return multiply_sizes((a, b))


SIZES = st.recursive(
    st.one_of(st.integers(-5, 9), st.sampled_from([N, M])),
    lambda inner: st.builds(add_sizes, inner, inner) | st.builds(_times, inner, inner),
    max_leaves=4,
)


@given(SIZES, SIZES, st.integers(-3, 3))
def test_arithmetic_is_that_of_the_values(a: int | Size, b: int | Size, by: int):
    assert _value(add_sizes(a, b)) == _value(a) + _value(b)
    assert _value(multiply_sizes((a, b))) == _value(a) * _value(b)
    assert _value(scale_size(a, by)) == by * _value(a)
    assert add_sizes(a, b) == add_sizes(b, a)
    assert multiply_sizes((a, b)) == multiply_sizes((b, a))


@given(SIZES, st.sampled_from([N, M, 2, 3, multiply_sizes((2, N)), multiply_sizes((N, M))]))
def test_division_undoes_multiplication(a: int | Size, b: int | Size):
    assert divide_sizes(multiply_sizes((a, b)), b) == a


def test_division_that_is_not_exact():
    assert divide_sizes(N, 2) is None
    assert divide_sizes(add_sizes(N, 1), N) is None
    assert divide_sizes(multiply_sizes((N, 4)), 2) == scale_size(N, 2)
    assert divide_sizes(7, 2) is None
    assert divide_sizes(0, 3) == 0
    assert divide_sizes(0, N) == 0
    assert divide_sizes(0, 0) is None
    assert divide_sizes(N, 0) is None


def test_a_named_size_reads_as_its_name():
    assert (N, 64) == ("N", 64)
    assert show_shape((N, 64)) == "N×64"
    assert show_shape(()) == "scalar"
    assert add_sizes(N, -1) == "N - 1"
    assert add_sizes(multiply_sizes((2, N, M)), M, 3) == "2*M*N + M + 3"
    assert scale_size(N, -1) == "-N"
    assert add_sizes(N, scale_size(N, -1)) == 0
    assert not isinstance(add_sizes(N, scale_size(N, -1)), Size)
    assert size_names((N, 3, add_sizes(M, 1))) == {"N", "M"}


def test_what_users_write():
    assert shape_of(3) == (3,)
    assert shape_of("N") == ("N",)
    assert shape_of(["N", 2]) == ("N", 2)
    assert shape_of(()) == ()
    assert dimension(N) is N
    for wrong in (-1, 2.0, True, None, "2N", "a b", ""):
        with pytest.raises(ShapeError):
            dimension(wrong)
    with pytest.raises(ShapeError, match="a shape is a tuple"):
        shape_of(2.5)
