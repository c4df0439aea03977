"""Random small programs mean the same after every pass."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.check import check
from codegen.ir import Buffer, Loop, Program, Sequence, Statement
from codegen.passes import optimise
from codegen.scalar import Axis, Load, Scalar, affine
from tests.codegen.build import (
    argument,
    call,
    fold,
    free,
    load,
    local,
    nest,
    number,
    put,
    state,
    step,
)
from tests.codegen.running import run, same
from tests.codegen.samples import Sample, contract

passes_schedule = importlib.import_module("codegen.passes.schedule")
SHAPES = ((), ("n",), ("m",), ("n", "m"), ("m", "n"))
AXES = {"n": "i", "m": "j"}


@st.composite
def programs(draw: st.DrawFn) -> Sample:
    """Some ten statements over scratch and state: pointwise, folds, broadcasts, transposed loads,
    reversed loads, guards, and updates copied into the state, perhaps inside a sequence."""
    buffers: list[Buffer] = [argument(f"x{n}", *shape) for n, shape in enumerate(SHAPES)]
    buffers += [state(f"w{n}", *shape) for n, shape in enumerate(SHAPES)]
    buffers += [argument("nn", "n", "n"), argument("mm", "m", "m")]
    body: list[Statement] = []
    pending: list[tuple[str, str, tuple]] = []
    for count in range(draw(st.integers(3, 10))):
        shape = draw(st.sampled_from(SHAPES))
        name = f"t{count}"
        made = st.one_of(_pointwise(name, shape, buffers), _reduction(name, shape, buffers))
        if shape == ("n", "m") and draw(st.booleans()):
            body.append(_contraction(name, draw(st.booleans())))
        else:
            body += draw(made)
        buffers.append(step(name, *shape))
        if draw(st.booleans()):
            pending.append((f"w{SHAPES.index(shape)}", name, shape))
        if pending and draw(st.integers(0, 3)) == 0:
            body.append(_copy(*pending.pop(0)))
    body += [_copy(*one) for one in pending]
    if draw(st.booleans()):
        body = [
            Loop("t", 2, Sequence(), (*body, nest({"q": 1}, put("mark", "q", value=number(1.0)))))
        ]
        buffers.append(state("mark", 1))
    program = Program("random", free("n", "m"), tuple(buffers), tuple(body))
    return Sample(program, {"n": draw(st.integers(1, 3)), "m": draw(st.integers(1, 3))})


def _copy(target: str, source: str, shape: tuple) -> Statement:
    axes = [AXES[extent] for extent in shape]
    store = put(target, *axes, value=load(source, *axes))
    return nest(dict(zip(axes, shape, strict=True)), store) if shape else store


@st.composite
def _element(draw: st.DrawFn, buffers: list[Buffer], axes: set[str]) -> Scalar:
    fitting = [b for b in buffers if all(AXES[str(extent)] in axes for extent in b.shape)]
    buffer = draw(st.sampled_from(fitting))
    index = []
    for extent in buffer.shape:
        axis = AXES[str(extent)]
        index.append(draw(st.sampled_from([axis, axis, axis, 0])))
    return load(buffer.name, *index)


@st.composite
def _value(draw: st.DrawFn, buffers: list[Buffer], axes: set[str]) -> Scalar:
    one, two = draw(_element(buffers, axes)), draw(_element(buffers, axes))
    function = draw(st.sampled_from(["add", "multiply", "maximum", "tanh", "exp", "guard", "copy"]))
    if function == "copy":
        return one
    if function == "guard" and isinstance(one, Load) and "i" in axes and one.ref.index:
        return _guarded(one, two)
    if function in ("tanh", "exp"):
        return call(function, call("negative", one))
    return call("add" if function == "guard" else function, one, two)


def _guarded(one: Load, two: Scalar) -> Scalar:
    """The element before, where there is one."""
    index = tuple(
        affine(-1, {Axis("i"): 1}) if place == affine(0, {Axis("i"): 1}) else place
        for place in one.ref.index
    )
    before = load(one.ref.buffer, *index)
    return call("select", call("less", number(0, "int64"), Axis("i")), before, two)


@st.composite
def _pointwise(draw: st.DrawFn, name: str, shape: tuple, buffers: list[Buffer]) -> list[Statement]:
    axes = [AXES[extent] for extent in shape]
    value = draw(_value(buffers, set(axes)))
    store = put(name, *axes, value=value)
    return [nest(dict(zip(axes, shape, strict=True)), store) if axes else store]


@st.composite
def _reduction(draw: st.DrawFn, name: str, shape: tuple, buffers: list[Buffer]) -> list[Statement]:
    axes = [AXES[extent] for extent in shape]
    free_axes = [(extent, axis) for extent, axis in AXES.items() if axis not in axes]
    if not free_axes:
        return draw(_pointwise(name, shape, buffers))
    extent, axis = draw(st.sampled_from(free_axes))
    monoid = draw(st.sampled_from(["sum", "maximum", "product"]))
    result = f"f_{name}"
    tree = fold(monoid, result, axis, extent, draw(_value(buffers, {*axes, axis})), leaf=2)
    store = put(name, *axes, value=local(result))
    if axes:
        return [nest(dict(zip(axes, shape, strict=True)), tree, store)]
    return [tree, store]


def _contraction(name: str, left: bool) -> Statement:
    """Of the state that later statements may overwrite."""
    if left:
        return contract(f"{name}:ij", "nn:ik", "w3:kj", {"i": "n", "j": "m", "k": "n"})
    return contract(f"{name}:ij", "w3:ik", "mm:kj", {"i": "n", "j": "m", "k": "m"})


@pytest.fixture(autouse=True, scope="module")
def _tiles_of_one_row() -> Iterator[None]:
    """So that the smallest program has several tiles, and misses a missing barrier."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passes_schedule, "ROWS", 1)
        yield


@settings(max_examples=200)
@given(programs())
def test_every_pass_keeps_the_meaning_of_a_random_program(sample: Sample):
    check(sample.program)
    _, before = run(sample)
    for name, program in optimise(sample.program):
        check(program)
        for seed in (1, 2):
            assert same(run(sample, program, seed)[1], before), name
