"""Every check fires on a program planted for it, and on none of the samples."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from codegen import check as checks
from codegen import declarations
from codegen.check import ProgramError, check
from codegen.ir import (
    Any,
    Barrier,
    Buffer,
    Contraction,
    Factor,
    Let,
    Loop,
    Program,
    Ragged,
    Sequence,
    SizeRule,
    Statement,
    Store,
    Tree,
    Until,
    Yield,
    contraction_into,
)
from codegen.passes import optimise
from codegen.scalar import Apply, Axis, Indirect, Load, Size
from tests.codegen.build import argument, call, fold, load, local, nest, number, put, ref, step
from tests.codegen.samples import SAMPLES

X = argument("x", "n")
ONE = number(1.0)
SIZES = (SizeRule("n"),)
BUFFERS = (
    X, argument("k", "n", dtype="int64"), argument("flag", dtype="bool"), step("y", "n"),
    step("a", "n", "n"), step("s"), Buffer("t", (2,), "float64", "tile"),
    argument("f", "n", dtype="float32"),
)  # fmt: skip


def program(*body: Statement, buffers=BUFFERS, sizes=SIZES, slots=()) -> Program:
    return Program("planted", tuple(sizes), tuple(buffers), body, slots)


def over(*body: Statement, tile: int | None = None) -> Loop:
    return Loop("i", "n", Any(tile), body)


def contraction(out: str, left: str, right: str, extents: dict) -> Contraction:
    parts = [Factor(text.split(":")[0], tuple(text.split(":")[1])) for text in (out, left, right)]
    pair = ((parts[1], parts[2]),)
    return contraction_into(parts[0], pair, tuple(extents.items()), "float64")


def yielding(*body: Statement, monoid: str = "sum") -> Loop:
    return Loop("i", "n", Tree(monoid, ("s",), ("float64",)), body)


PLANTED: list[tuple[Callable, Program]] = [
    (checks.unknown_buffer, program(put("nowhere", value=ONE))),
    (checks.unknown_buffer, program(contraction("y:i", "x:i", "q:i", {"i": "n"}))),
    (checks.rank_mismatch, program(over(put("y", "i", "i", value=ONE)))),
    (checks.index_not_integer, program(over(put("y", Indirect(ref("x", "i"), "n"), value=ONE)))),
    (checks.axis_not_in_scope, program(put("y", "i", value=ONE))),
    (checks.axis_not_in_scope, program(over(put("y", "i", value=call("multiply", load("x", "j"),
                                                                    1.0))))),
    (checks.axis_bound_twice, program(over(over(put("y", "i", value=ONE))))),
    (checks.unknown_size, program(Loop("i", "m", Any(), ()))),
    (checks.unknown_size, program(put("s", value=Apply("cast", (Size("m"),), "float64")))),
    (checks.unknown_function, program(put("s", value=Apply("frobnicate", (ONE,), "float64")))),
    (checks.unknown_function, program(put("s", value=Apply("add", (ONE,), "float64")))),
    (checks.local_not_bound, program(put("s", value=local("v")))),
    (checks.local_not_bound, program(Let("v", ONE), over(put("y", "i", value=local("v"))))),
    (checks.local_not_bound, program(Let("v", ONE), put("s", value=local("v", "float32")))),
    (checks.local_not_bound, program(Let("v", ONE), Barrier(), put("s", value=local("v")))),
    (checks.name_bound_twice, program(Let("v", ONE), Let("v", ONE))),
    (checks.dtype_mismatch_of_access, program(put("s", value=number(1, "int64")))),
    (checks.dtype_mismatch_of_access, program(over(put("f", "i", value=Load(ref("x", "i"),
                                                                            "float32"))))),
    (checks.dtype_mismatch_of_apply, program(put("s", value=Apply(
        "add", (ONE, number(1.0, "float32")), "float64")))),
    (checks.dtype_mismatch_of_apply, program(put("s", value=Apply(
        "select", (ONE, ONE, ONE), "float64")))),
    (checks.dtype_mismatch_of_apply, program(put("flag", value=Apply(
        "logical_not", (ONE,), "bool")))),
    (checks.dtype_mismatch_of_apply, program(put("flag", value=Apply(
        "less", (ONE, number(1.0, "float32")), "bool")))),
    (checks.dtype_mismatch_of_apply, program(put("flag", value=Apply(
        "isfinite", (number(1, "int64"),), "bool")))),
    (checks.dtype_mismatch_of_apply, program(Let("v", number(1.0, "float16")))),
    (checks.yield_out_of_place, program(Yield((ONE,)))),
    (checks.yield_out_of_place, program(yielding(Yield((ONE,)), Yield((ONE,))))),
    (checks.yield_out_of_place, program(yielding(Let("v", ONE)))),
    (checks.yield_out_of_place, program(fold("sum", "v", "i", "n", ONE, leaf=0))),
    (checks.wrong_carriers, program(yielding(Yield((ONE, ONE))))),
    (checks.wrong_carriers, program(yielding(Yield((ONE,)), monoid="moments"))),
    (checks.wrong_carriers, program(yielding(Yield((ONE,)), monoid="nothing"))),
    (checks.until_out_of_place, program(Until(ref("flag")))),
    (checks.until_out_of_place, program(Loop("q", 2, Sequence(), (Until(ref("s")),)))),
    (checks.barrier_inside_a_tile, program(over(Barrier()))),
    (checks.nested_tile, program(Loop("j", 2, Any(4), (over(tile=2),)))),
    (checks.nested_tile, program(over(tile=0))),
    (checks.ragged_inside_a_tile, program(over(Loop("q", 2, Sequence((Ragged("r", "n", "n"),)),
                                                    ())))),
    (checks.tile_buffer_shared, program(over(put("t", 0, value=ONE)), put("t", 0, value=ONE))),
    (checks.contraction_letters, program(contraction("y:i", "a:ij", "x:j", {"i": "n"}))),
    (checks.contraction_letters, program(contraction("y:i", "a:i", "x:i", {"i": "n"}))),
    (checks.contraction_letters, program(contraction("a:ii", "x:i", "x:i", {"i": "n"}))),
    (checks.contraction_letters, program(contraction("y:i", "f:i", "x:i", {"i": "n"}))),
    (checks.contraction_letters, program(Contraction((), (), (), "r", "float64", ()))),
    (checks.contraction_body, program(contraction("y:i", "y:i", "x:i", {"i": "n"}))),
    (declarations.name_declared_twice, program(buffers=(X, X))),
    (declarations.name_declared_twice, program(sizes=(SizeRule("n"), SizeRule("n")))),
    (declarations.unknown_scope_or_dtype, program(buffers=(argument("x", 2, dtype="float16"),))),
    (declarations.unknown_scope_or_dtype, program(buffers=(Buffer("x", (), "bool", "heap"),))),
    (declarations.storage_without_end, program(buffers=(step("p", 2, storage="q"),
                                                  step("q", 2, storage="p")))),
    (declarations.storage_without_end, program(buffers=(step("p", 2, storage="x"),))),
    (declarations.storage_without_end, program(buffers=(X, step("p", 2, dtype="bool",
                                                                storage="x")))),
    (declarations.size_used_before_it_is_known, program(sizes=(SizeRule("n"), SizeRule(
        "k", ((1, ("l",)),)), SizeRule("l")))),
    (declarations.size_used_before_it_is_known, program(buffers=(argument("x", "m"),))),
    (declarations.slot_of_what_is_not_scratch, program(slots=(("x",),))),
    (declarations.slot_of_what_is_not_scratch, program(slots=(("y",), ("y",)))),
]  # fmt: skip

ALL = (*declarations.DECLARATION_CHECKS, *checks.STATEMENT_CHECKS)


@pytest.mark.parametrize(("forbid", "planted"), PLANTED, ids=lambda one: getattr(
    one, "__name__", ""))  # fmt: skip
def test_a_planted_fault_is_found_by_its_own_check(
    forbid: Callable, planted: Program, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(ProgramError):
        check(planted)
    for table in ("DECLARATION_CHECKS", "STATEMENT_CHECKS"):
        only = tuple(one for one in getattr(checks, table) if one is forbid)
        monkeypatch.setattr(checks, table, only)
    with pytest.raises(ProgramError):
        check(planted)


def test_every_check_has_its_counter_example():
    assert {forbid for forbid, _ in PLANTED} == set(ALL)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_pass_at_every_stage(name: str):
    check(SAMPLES[name].program)
    for _, program in optimise(SAMPLES[name].program):
        check(program)


def test_the_message_names_the_rule_and_prints_the_statement():
    wrong = over(put("y", "i", value=local("ghost")))
    with pytest.raises(ProgramError, match=r"%ghost is not bound here, in\nstore y\[i\] = %ghost"):
        check(program(wrong))


def test_an_innocent_program_passes():
    body = (
        fold("sum", "total", "i", "n", load("x", "i")),
        Store(ref("s"), local("total")),
        nest({"i": "n"}, Let("v", Apply("cast", (Axis("i"),), "float64")),
             put("y", "i", value=local("v"))),
        nest({"i": "n"}, Let("v", ONE), put("y", "i", value=local("v"))),
    )  # fmt: skip
    check(program(*body))
