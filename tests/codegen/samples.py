"""Sample programs as `lower` would write them: a loop nest an operation, nothing fused.

Each comes with sizes and the shapes of its arrays; random arrays are made from the buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from codegen.ir import (
    Contraction,
    Factor,
    Loop,
    Program,
    Sequence,
    SizeRule,
    Statement,
    contraction_into,
)
from codegen.scalar import Axis, Indirect, affine
from codegen.sizes import known_sizes
from tests.codegen.build import (
    argument,
    call,
    cast,
    fold,
    load,
    local,
    nest,
    number,
    put,
    ref,
    state,
    step,
)
from tests.codegen.training import training

N, M = "n", "m"
NM = {"i": N, "j": M}


@dataclass(frozen=True)
class Sample:
    """`given` overrides the random arrays."""

    program: Program
    sizes: Mapping[str, int]
    given: Mapping[str, np.ndarray] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """Fresh arrays for the argument and state buffers, the same each time."""
        random = np.random.default_rng(7)
        known = known_sizes(self.program, self.sizes)
        made = {}
        for buffer in self.program.buffers:
            if buffer.scope not in ("argument", "state"):
                continue
            shape = tuple(e if isinstance(e, int) else known[e] for e in buffer.shape)
            array = random.uniform(0.5, 1.5, shape).astype(buffer.dtype)
            made[buffer.name] = self.given.get(buffer.name, array).copy()
        return made


def program(name: str, buffers: tuple, *body: Statement, sizes=(N, M)) -> Program:
    rules = tuple(s if isinstance(s, SizeRule) else SizeRule(s) for s in sizes)
    return Program(name, rules, buffers, body)


def contract(
    out: str, left: str, right: str, extents: dict, label: str = "", dtype: str = "float64"
) -> Contraction:
    """Factors spelled "name:ij"."""
    parts = [Factor(text.split(":")[0], tuple(text.split(":")[1])) for text in (out, left, right)]
    pair = ((parts[1], parts[2]),)
    return contraction_into(parts[0], pair, tuple(extents.items()), dtype, label)


def chain() -> Sample:
    """exp(-(x + y)^2) through three scratch buffers."""
    body = (
        nest(NM, put("a", "i", "j", value=call("add", load("x", "i", "j"), load("y", "i", "j")))),
        nest(NM, put("b", "i", "j", value=call("multiply", load("a", "i", "j"),
                                               load("a", "i", "j")))),
        nest(NM, put("c", "i", "j", value=call("negative", load("b", "i", "j")))),
        nest(NM, put("out", "i", "j", value=call("exp", load("c", "i", "j")))),
    )  # fmt: skip
    buffers = (argument("x", N, M), argument("y", N, M), state("out", N, M),
               step("a", N, M), step("b", N, M), step("c", N, M))  # fmt: skip
    return Sample(program("chain", buffers, *body), {N: 5, M: 3})


def broadcast() -> Sample:
    """x + exp(row vector) * tanh(column vector), transposed."""
    body = (
        nest({"j": M}, put("e", "j", value=call("exp", load("r", "j")))),
        nest({"i": N}, put("t", "i", value=call("tanh", load("c", "i")))),
        nest(NM, put("p", "i", "j", value=call("multiply", load("e", "j"), load("t", "i")))),
        nest(NM, put("s", "i", "j", value=call("add", load("p", "i", "j"), load("x", "i", "j")))),
        nest({"q": M, "p": N}, put("out", "q", "p", value=load("s", "p", "q"))),
    )
    buffers = (argument("x", N, M), argument("r", M), argument("c", N), state("out", M, N),
               step("e", M), step("t", N), step("p", N, M), step("s", N, M))  # fmt: skip
    return Sample(program("broadcast", buffers, *body), {N: 4, M: 3})


def softmax() -> Sample:
    """A softmax of every row, and the log of its denominator."""
    body = (
        nest({"i": N}, fold("maximum", "m", "j", M, load("x", "i", "j")),
             put("top", "i", value=local("m"))),
        nest(NM, put("d", "i", "j", value=call("subtract", load("x", "i", "j"), load("top", "i")))),
        nest(NM, put("e", "i", "j", value=call("exp", load("d", "i", "j")))),
        nest({"i": N}, fold("sum", "z", "j", M, load("e", "i", "j")),
             put("total", "i", value=local("z"))),
        nest(NM, put("out", "i", "j", value=call("divide", load("e", "i", "j"),
                                                 load("total", "i")))),
        nest({"i": N}, put("logs", "i", value=call("log", load("total", "i")))),
    )  # fmt: skip
    buffers = (argument("x", N, M), state("out", N, M), state("logs", N), step("top", N),
               step("d", N, M), step("e", N, M), step("total", N))  # fmt: skip
    return Sample(program("softmax", buffers, *body), {N: 6, M: 4})


def reductions() -> Sample:
    """Sums over every axis and every monoid over rows."""
    x = load("x", "i", "j")
    one = number(1.0)
    body = (
        nest({"i": N}, fold("sum", "s", "j", M, x), put("rows", "i", value=local("s"))),
        nest({"j": M}, fold("sum", "s", "i", N, x), put("columns", "j", value=local("s"))),
        fold("sum", "all", "i", N, load("rows", "i")),
        put("total", value=local("all")),
        nest({"i": N}, fold("product", "p", "j", M, x), put("many", "i", 0, value=local("p"))),
        nest({"i": N}, fold("minimum", "p", "j", M, x), put("many", "i", 1, value=local("p"))),
        nest({"i": N}, fold("moments", "p", "j", M, one, x, number(0.0)),
             put("many", "i", 2, value=call("divide", local("p2"), local("p0")))),
        nest({"i": N}, fold("logsumexp", "p", "j", M, x, one),
             put("many", "i", 3, value=call("add", local("p0"), call("log", local("p1"))))),
        nest({"i": N}, fold("argmax", "p", "j", M, x, Axis("j")),
             put("many", "i", 4, value=cast(local("p1", "int64")))),
    )  # fmt: skip
    buffers = (argument("x", N, M), state("rows", N), state("columns", M), state("total"),
               state("many", N, 5))  # fmt: skip
    return Sample(program("reductions", buffers, *body), {N: 5, M: 7})


def scatter() -> Sample:
    """out[index[k]] += g[k], where rows may repeat: the rows follow one another."""
    here = Indirect(ref("index", "k"), N)
    add = call("add", load("out", here, "j"), load("g", "k", "j"))
    body = (
        nest(NM, put("out", "i", "j", value=number(0.0))),
        nest({"j": M}, Loop("k", "count", Sequence(), (put("out", here, "j", value=add),))),
        nest(NM, put("copy", "i", "j", value=call("multiply", load("out", "i", "j"), 2.0))),
    )
    buffers = (argument("g", "count", M), argument("index", "count", dtype="int64"),
               state("out", N, M), state("copy", N, M))  # fmt: skip
    given = {"index": np.array([2, 0, 2, 1, 2])}
    sizes = {N: 3, M: 2, "count": 5}
    return Sample(program("scatter", buffers, *body, sizes=(N, M, "count")), sizes, given)


def pad() -> Sample:
    """x with a border of zeros to the left and right, then its square root."""
    inside = call(
        "logical_and",
        call("less_equal", number(1, "int64"), Axis("i")),
        call("less_equal", Axis("i"), Axis("i")),
    )
    before_end = call("less", call("subtract", Axis("i"), 1), cast(load("n_value"), "int64"))
    shifted = load("x", affine(-1, {Axis("i"): 1}))
    guard = call("logical_and", inside, before_end)
    value = call("select", guard, shifted, number(0.0))
    body = (
        nest({"i": N}, put("y", "i", value=call("exp", load("raw", "i")))),
        nest({"i": N}, put("x", "i", value=call("multiply", load("y", "i"), load("y", "i")))),
        nest({"i": "wide"}, put("p", "i", value=value)),
        nest({"i": "wide"}, put("out", "i", value=call("sqrt", load("p", "i")))),
    )
    buffers = (argument("raw", N), argument("n_value"), state("out", "wide"), step("x", N),
               step("y", N), step("p", "wide"))  # fmt: skip
    sizes = (N, "two", SizeRule("wide", ((1, (N,)), (1, ("two",)))))
    given = {"n_value": np.array(4.0)}
    return Sample(program("pad", buffers, *body, sizes=sizes), {N: 4, "two": 2}, given)


def strided() -> Sample:
    """Two sources interleaved, then every other one reversed, and a start that is not 0."""
    even = affine(0, {Axis("i"): 2})
    odd = affine(1, {Axis("i"): 2})
    back = affine(6, {Axis("i"): -2})
    body = (
        nest({"i": 4}, put("both", even, value=load("x", "i"))),
        nest({"i": 4}, put("both", odd, value=load("y", "i"))),
        nest({"i": 4}, put("out", "i", value=call("add", load("both", back), 1.0))),
        Loop("i", 2, nest({"i": 2}).order, (put("late", "i", value=load("both", "i")),), start=1),
    )
    buffers = (argument("x", 4), argument("y", 4), state("out", 4), state("late", 4),
               step("both", 8))  # fmt: skip
    return Sample(program("strided", buffers, *body, sizes=()), {})


def reshape() -> Sample:
    """A view of scratch under another shape between producer and consumer."""
    body = (
        nest({"i": 2, "j": 6}, put("a", "i", "j", value=call("exp", load("x", "i", "j")))),
        nest({"k": 3, "l": 4}, put("out", "k", "l", value=call("add", load("b", "k", "l"), 1.0))),
    )
    buffers = (argument("x", 2, 6), state("out", 3, 4), step("a", 2, 6),
               step("b", 3, 4, storage="a"))  # fmt: skip
    return Sample(program("reshape", buffers, *body, sizes=()), {})


def adam() -> Sample:
    """m', v', w' into scratch, then copied into the state."""
    w, g, m, v = (load(name, "i", "j") for name in "wgmv")
    m2 = call("add", call("multiply", 0.9, m), call("multiply", number(0.1), g))
    v2 = call(
        "add", call("multiply", 0.99, v), call("multiply", number(0.01), call("multiply", g, g))
    )
    root = call("add", call("sqrt", load("v2", "i", "j")), 1e-8)
    move = call("divide", call("multiply", load("rate"), load("m2", "i", "j")), root)
    body = (
        nest(NM, put("m2", "i", "j", value=m2)),
        nest(NM, put("v2", "i", "j", value=v2)),
        nest(NM, put("w2", "i", "j", value=call("subtract", w, move))),
        *(nest(NM, put(name, "i", "j", value=load(f"{name}2", "i", "j"))) for name in "mvw"),
    )
    buffers = (argument("g", N, M), argument("rate"), *(state(name, N, M) for name in "wmv"),
               *(step(f"{name}2", N, M) for name in "wmv"))  # fmt: skip
    return Sample(program("adam", buffers, *body), {N: 3, M: 4})


def products() -> Sample:
    """Contractions that are matrix products, and some that are not."""
    sizes = {"a": 3, "b": 2, "c": 4, "d": 2}
    body = (
        contract("plain:ac", "x:ab", "y:bc", sizes),
        contract("turned:ca", "x:ab", "y:bc", sizes),
        contract("outer:ac", "u:a", "w:c", sizes),
        contract("dot:", "u:a", "u:a", sizes),
        contract("trace:a", "cube:abb", "u:a", sizes),
        contract("half:c", "x:ab", "w:c", sizes),
        nest({"i": 3, "k": 4}, put("sum", "i", "k", value=call(
            "add", load("outer", "i", "k"), load("plain", "i", "k")))),
    )  # fmt: skip
    buffers = (argument("x", 3, 2), argument("y", 2, 4), argument("u", 3), argument("w", 4),
               argument("cube", 3, 2, 2), step("plain", 3, 4), state("turned", 4, 3),
               step("outer", 3, 4), state("dot"), state("trace", 3), state("half", 4),
               state("sum", 3, 4))  # fmt: skip
    return Sample(program("products", buffers, *body, sizes=()), {})


def guarded_share() -> Sample:
    """A value wanted in two branches of which one may not look: nothing may be hoisted."""
    near = load("x", affine(1, {Axis("i"): 1}))
    guard = call("less", Axis("i"), number(4, "int64"))
    once = call("select", guard, call("exp", near), number(0.0))
    twice = call("select", guard, call("multiply", call("exp", near), 2.0), number(1.0))
    body = (
        nest({"i": 5}, put("out", "i", value=call("add", once, twice))),
        nest({"i": 5, "j": 2}, put("wide", "i", "j", value=call("add", once, load("y", "j")))),
    )
    buffers = (argument("x", 5), argument("y", 2), state("out", 5), state("wide", 5, 2))
    return Sample(program("guarded_share", buffers, *body, sizes=()), {})


def trained(*, diverge: bool = False) -> Sample:
    made, sizes = training()
    given = {"rate": np.array(1e200 if diverge else 0.05), "seed": np.array(3)}
    return Sample(made, sizes, given)


SAMPLES = {
    make.__name__: make()
    for make in (chain, broadcast, softmax, reductions, scatter, pad, strided, reshape, adam,
                 products, guarded_share, trained)
}  # fmt: skip
SAMPLES["diverging"] = trained(diverge=True)
