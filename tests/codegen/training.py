"""A whole training loop as a program: two dense layers, squared error, Adam and gradient descent,
shuffled ragged batches, and a stop where the loss is no longer finite."""

from __future__ import annotations

from codegen.ir import (
    Contraction,
    Factor,
    Loop,
    Program,
    Ragged,
    Sequence,
    Statement,
    Until,
    contraction_into,
)
from codegen.scalar import Axis, Indirect, Scalar, Size
from tests.codegen.build import (
    argument,
    call,
    cast,
    fold,
    free,
    load,
    local,
    nest,
    number,
    put,
    ref,
    state,
    step,
)

R, B, T = "rows", "batch", "total"
HIDDEN = {"i": R, "h": 4}
SIZES = {T: 5, B: 2, "turns": 3, "steps": 7}


def training() -> tuple[Program, dict[str, int]]:
    """The program and its free sizes."""
    loop = Loop(
        "t", "steps", Sequence((Ragged(R, B, T),)), (*_batch(), *_forward(), *_backward(),
                                                     *_update())
    )  # fmt: skip
    parameters = (("W1", (3, 4)), ("b1", (4,)), ("W2", (4, 1)), ("b2", (1,)))
    buffers = (
        argument("X", T, 3), argument("Y", T, 1), argument("rate"),
        argument("seed", dtype="int64"), state("losses", "steps"),
        *(state(name, *shape) for name, shape in parameters), state("m", 3, 4), state("v", 3, 4),
        step("index", B, dtype="int64"), step("x", B, 3), step("y", B, 1),
        step("z1", B, 4), step("s1", B, 4), step("a1", B, 4), step("z2", B, 1), step("p", B, 1),
        step("d", B, 1), step("q", B, 1), step("loss"), step("bad", dtype="bool"),
        step("g2", B, 1), step("ga", B, 4), step("k1", B, 4), step("g1", B, 4),
        *(step(f"g{name}", *shape) for name, shape in parameters),
        *(step(f"new_{name}", *shape) for name, shape in parameters),
        step("new_m", 3, 4), step("new_v", 3, 4),
    )  # fmt: skip
    return Program("training", free(T, B, "turns", "steps"), buffers, (loop,)), dict(SIZES)


def _contract(out: str, left: str, right: str, **extents: int | str) -> Contraction:
    parts = [Factor(text.split(":")[0], tuple(text.split(":")[1])) for text in (out, left, right)]
    pair = ((parts[1], parts[2]),)
    return contraction_into(parts[0], pair, tuple(extents.items()), "float64")


def _batch() -> tuple[Statement, ...]:
    turn = call("remainder", Axis("t"), Size("turns"))
    place = call("add", call("multiply", turn, Size(B)), Axis("i"))
    epoch = call("floor_divide", Axis("t"), Size("turns"))
    shuffled = call("permuted", place, Size(T), load("seed", dtype="int64"), epoch)
    row = Indirect(ref("index", "i"), T)
    return (
        nest({"i": R}, put("index", "i", value=shuffled)),
        nest({"i": R, "j": 3}, put("x", "i", "j", value=load("X", row, "j"))),
        nest({"i": R, "j": 1}, put("y", "i", "j", value=load("Y", row, "j"))),
    )


def _rows() -> Scalar:
    return cast(Size(R))


def _forward() -> tuple[Statement, ...]:
    one = {"i": R, "k": 1}
    return (
        _contract("z1:ih", "x:ij", "W1:jh", i=R, j=3, h=4),
        nest(HIDDEN, put("s1", "i", "h", value=call("add", load("z1", "i", "h"),
                                                    load("b1", "h")))),
        nest(HIDDEN, put("a1", "i", "h", value=call("tanh", load("s1", "i", "h")))),
        _contract("z2:ik", "a1:ih", "W2:hk", i=R, h=4, k=1),
        nest(one, put("p", "i", "k", value=call("add", load("z2", "i", "k"), load("b2", "k")))),
        nest(one, put("d", "i", "k", value=call("subtract", load("p", "i", "k"),
                                                load("y", "i", "k")))),
        nest(one, put("q", "i", "k", value=call("multiply", load("d", "i", "k"),
                                                load("d", "i", "k")))),
        fold("sum", "loss", "i", R, load("q", "i", 0)),
        put("loss", value=call("divide", local("loss"), _rows())),
        put("losses", "t", value=load("loss")),
        put("bad", value=call("logical_not", call("isfinite", load("loss")))),
        Until(ref("bad")),
    )  # fmt: skip


def _backward() -> tuple[Statement, ...]:
    slope = call("subtract", 1.0, call("multiply", load("a1", "i", "h"), load("a1", "i", "h")))
    twice = call("divide", call("multiply", 2.0, load("d", "i", "k")), _rows())
    return (
        nest({"i": R, "k": 1}, put("g2", "i", "k", value=twice)),
        _contract("gW2:hk", "a1:ih", "g2:ik", i=R, h=4, k=1),
        nest({"k": 1}, fold("sum", "s", "i", R, load("g2", "i", "k")),
             put("gb2", "k", value=local("s"))),
        _contract("ga:ih", "g2:ik", "W2:hk", i=R, h=4, k=1),
        nest(HIDDEN, put("k1", "i", "h", value=slope)),
        nest(HIDDEN, put("g1", "i", "h", value=call("multiply", load("ga", "i", "h"),
                                                    load("k1", "i", "h")))),
        _contract("gW1:jh", "x:ij", "g1:ih", i=R, j=3, h=4),
        nest({"h": 4}, fold("sum", "s", "i", R, load("g1", "i", "h")),
             put("gb1", "h", value=local("s"))),
    )  # fmt: skip


def _update() -> tuple[Statement, ...]:
    shapes = {"W1": {"j": 3, "h": 4}, "b1": {"h": 4}, "W2": {"h": 4, "k": 1}, "b2": {"k": 1}}
    body: list[Statement] = []
    for name in ("b1", "W2", "b2"):
        axes = tuple(shapes[name])
        move = call("multiply", load("rate"), load(f"g{name}", *axes))
        value = call("subtract", load(name, *axes), move)
        body.append(nest(shapes[name], put(f"new_{name}", *axes, value=value)))
    at, g = ("j", "h"), load("gW1", "j", "h")
    m = call("add", call("multiply", 0.9, load("m", *at)), call("multiply", number(0.1), g))
    v = call("add", call("multiply", 0.99, load("v", *at)),
             call("multiply", number(0.01), call("multiply", g, g)))  # fmt: skip
    root = call("add", call("sqrt", load("new_v", *at)), 1e-8)
    move = call("divide", call("multiply", load("rate"), load("new_m", *at)), root)
    new = {"new_m": m, "new_v": v, "new_W1": call("subtract", load("W1", *at), move)}
    body += [nest(shapes["W1"], put(name, *at, value=value)) for name, value in new.items()]
    for name, axes in (*shapes.items(), ("m", shapes["W1"]), ("v", shapes["W1"])):
        body.append(nest(axes, put(name, *axes, value=load(f"new_{name}", *axes))))
    return tuple(body)
