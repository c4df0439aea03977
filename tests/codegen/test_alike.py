"""What is made of a program once holds for all that differ only in how long their axes are."""

from __future__ import annotations

from dataclasses import replace

import pytest

import codegen.passes as passes
from codegen.ir import Program
from codegen.passes import alike, optimise
from codegen.scalar import Constant
from codegen.walk import index_buffers
from tests.codegen.build import argument, call, load, nest, number, put, step
from tests.codegen.samples import SAMPLES

STAGES = ("contractions", "early", "fuse", "common", "schedule", "memory")


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test begins without what others have left behind."""
    monkeypatch.setattr(alike, "_memory", alike._Memory())


def stretched(program: Program, step_: int) -> Program:
    """The program with every length another one, no two of which become equal."""
    _, lengths = alike.outline(program)
    return alike.renumbered((program,), {n: n * step_ + 1 for n in lengths})[0]


def of(extent: int, other: int, value: float = 2.0) -> Program:
    """y = value * max(x, 0) + x over [extent, other] of floats, by way of scratch."""
    axes = {"i": extent, "j": other}
    return Program(
        "sample", (), (argument("x", extent, other), argument("y", extent, other),
                       step("t", extent, other)),
        (
            nest(axes, put("t", "i", "j", value=call("maximum", load("x", "i", "j"), number(0.0)))),
            nest(axes, put("y", "i", "j", value=call(
                "add", call("multiply", load("t", "i", "j"), number(value)), load("x", "i", "j")))),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("name", SAMPLES)
def test_the_passes_look_at_no_length(name: str) -> None:
    """Else what is remembered of one program would be wrong for another."""
    program = SAMPLES[name].program
    made = passes._blind(program)
    for by in (3, 17):
        other = stretched(program, by)
        _, before = alike.outline(program)
        _, after = alike.outline(other)
        lengths = dict(zip(before, after, strict=True))
        assert passes._blind(other) == alike.renumbered(made, lengths)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_remembered_is_what_would_be_made(name: str) -> None:
    program = SAMPLES[name].program
    other = stretched(program, 5)
    optimise(program)
    remembered = optimise(other)
    assert len(alike._memory.known) == 1
    alike.forget()
    assert not alike._memory.known
    assert [stage for stage, _ in remembered] == list(STAGES)
    assert remembered == optimise(other)


def test_other_lengths_share_what_was_made_and_keep_their_own() -> None:
    optimise(of(24, 10))
    wide = dict(optimise(of(32, 10)))
    assert len(alike._memory.known) == 1
    assert index_buffers(wide["memory"])["x"].shape == (32, 10)
    assert wide["memory"].body[0].extent == 32  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "other",
    [of(10, 10), of(1, 10), of(24, 10, 3.0), replace(of(24, 10), name="another")],
    ids=["equal lengths", "one", "a number", "a name"],
)
def test_what_differs_in_more_is_made_anew(other: Program) -> None:
    optimise(of(24, 10))
    optimise(other)
    assert len(alike._memory.known) == 2


def test_zero_is_not_minus_zero() -> None:
    assert Constant(0.0, "float32") != Constant(-0.0, "float32")
    assert Constant(1.0, "float32") == Constant(1.0, "float32") != Constant(1.0, "float64")
    optimise(of(24, 10, 0.0))
    (made,) = (p for stage, p in optimise(of(32, 10, -0.0)) if stage == "memory")
    assert "-0.0" in repr(made.body)


def test_each_program_keeps_its_own_notes() -> None:
    optimise(of(24, 10))
    for extent in (24, 32):
        for _, made in optimise(replace(of(extent, 10), notes={"about": f"{extent}"})):
            assert made.notes == {"about": f"{extent}"}


def test_only_some_are_remembered() -> None:
    for count in range(alike.KEPT + 3):
        optimise(replace(of(24, 10), name=f"program {count}"))
    assert len(alike._memory.known) == alike.KEPT
