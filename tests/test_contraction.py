"""einsum and products: NumPy's meaning for any specification, and what is refused."""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet as sn
from symnet.errors import DtypeError, GraphError, ShapeError
from symnet.expr import topological
from symnet.ops.contraction import EINSUM

LETTER_SIZES = dict(zip("abcd", (2, 3, 1, 4), strict=True))


@st.composite
def specifications(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]]]:
    """Any einsum over up to three operands: letters may repeat, be summed alone, or all go."""
    operands = draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3))
    used = sorted(set("".join(operands)))
    out = draw(st.permutations(used))[: draw(st.integers(0, len(used)))]
    shapes = [tuple(LETTER_SIZES[letter] for letter in own) for own in operands]
    return f"{','.join(operands)}->{''.join(out)}", shapes


@settings(max_examples=150)
@given(specifications())
def test_any_specification_with_its_gradient(drawn: tuple[str, list[tuple[int, ...]]]):
    spec, shapes = drawn
    generator = np.random.default_rng(len(spec))
    values = {sn.input(f"x{k}", shape, "float64"): generator.normal(size=shape)
              for k, shape in enumerate(shapes)}  # fmt: skip
    y = sn.einsum(spec, *values)
    true = np.einsum(spec, *values.values())
    weights = generator.normal(size=true.shape)
    gradients = sn.grad(sn.sum(y * sn.constant(weights)), list(values))
    found, *pulled = sn.evaluate([y, *gradients], values)
    assert found.shape == y.shape == true.shape
    assert np.allclose(found, true, rtol=1e-12, atol=1e-12)
    for k, (leaf, array) in enumerate(values.items()):
        along = generator.normal(size=array.shape)
        # Linear in each operand: the change along a direction is the value at that direction.
        moved = [along if n == k else other for n, other in enumerate(values.values())]
        expected = np.sum(np.einsum(spec, *moved) * weights)
        assert np.sum(pulled[k] * along) == pytest.approx(expected, rel=1e-10, abs=1e-10)
        assert pulled[k].shape == leaf.shape


@pytest.mark.parametrize(("left", "right"), [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)),
    ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((6, 5, 2, 3), (3,)),
    ((2, 2, 3), (2, 3, 2)), ((1, 1, 2, 3), (4, 5, 3, 1)),
])  # fmt: skip
def test_matmul_is_numpys(left: tuple, right: tuple):
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=left), generator.normal(size=right)
    x, y = sn.input("a", left, "float64"), sn.input("b", right, "float64")
    found = sn.evaluate(x @ y, {"a": a, "b": b})
    assert found.shape == (x @ y).shape == (a @ b).shape
    assert np.allclose(found, a @ b, rtol=1e-13, atol=1e-13)


def test_named_batches():
    x, y = sn.input("x", ("B", 1, "N", 3)), sn.input("y", ("H", 3, 2))
    assert (x @ y).shape == ("B", "H", "N", 2)
    assert sn.matmul(x, y[0]).shape == ("B", 1, "N", 2)


def test_what_does_not_fit():
    x, y = sn.input("x", (2, 3)), sn.input("y", (2, 3))
    for spec, operands, message in (
        ("ij,jk->ik", (x, y), r"x \(2×3\) and y \(2×3\) do not fit: b is 3 and 2"),
        ("ij->i", (x, y), "1 operands named, 2 given"),
        ("ijk->i", (x,), "names 3 axes"),
        ("ij->k", (x,), "the result's letters"),
        ("ij->ii", (x,), "the result's letters"),
        ("i1->i", (x,), "letters"),
        ("ij->i->j", (x,), "letters"),
    ):
        with pytest.raises(ShapeError, match=message):
            sn.einsum(spec, *operands)
    for wrong in (lambda: x @ y, lambda: x @ sn.input("s"), lambda: sn.input("s") @ x,
                  lambda: sn.input("b", (2, 2, 3)) @ sn.input("c", (3, 3, 1))):  # fmt: skip
        with pytest.raises(ShapeError, match="matmul"):
            wrong()
    with pytest.raises(DtypeError):
        (x > 0) @ (y > 0).T
    with pytest.raises(DtypeError):
        x @ sn.input("k", (3,), "int64")
    with pytest.raises(GraphError, match=r"sn\.constant"):
        sn.einsum("ij,j", x, np.ones(3))


def test_integers_contract():
    k = sn.input("k", (2, 2), "int32")
    found = sn.evaluate(k @ k, {k: [[1, 2], [3, 4]]})
    assert found.dtype == np.int32
    assert found.tolist() == [[7, 10], [15, 22]]


def test_one_contraction_is_one_node_whatever_the_letters():
    x, y = sn.input("x", (2, 3)), sn.input("y", (3, 4))
    assert sn.einsum("ij,jk->ik", x, y) is sn.einsum("pq,qr->pr", x, y)
    assert x @ y is sn.einsum("ab,bc", x, y)
    assert sn.einsum("ij->ji", x) is x.T
    assert sn.einsum("ij->", x) is sn.sum(x)
    assert sn.einsum("ij->ij", x) is x
    assert not [n for n in topological([sn.einsum("ij->j", x)]) if n.op is EINSUM]


def test_many_letters():
    names = string.ascii_letters[:12]
    x = sn.input("x", (1,) * 12)
    assert sn.einsum(f"{names},{names}->{names[::-1]}", x, x).shape == (1,) * 12


def test_gradients_of_a_dense_layer_are_two_products():
    x, w, g = sn.input("x", ("N", 3)), sn.parameter("w", (3, 4)), sn.input("g", ("N", 4))
    dw, dx = sn.vjp(x @ w, [w, x], g)
    assert dw is x.T @ g or dw is sn.einsum("ni,no->io", x, g)
    assert dx is sn.einsum("no,io->ni", g, w)
    assert len([n for n in topological([dw, dx]) if n.op is EINSUM]) == 2
