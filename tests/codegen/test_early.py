"""Rows of a step run before the test that may end the loop."""

from __future__ import annotations

from codegen.ir import Loop, Program, Sequence, Until
from codegen.passes.early import early
from tests.codegen.build import (
    argument,
    call,
    free,
    load,
    nest,
    number,
    put,
    ref,
    state,
    step,
)


def test_rows_run_before_the_test_that_may_end_the_loop():
    rows = nest({"i": "n"}, put("d", "i", value=load("x", "i")))
    single = put("s", value=call("add", load("k"), number(1.0)))
    update = nest({"j": 3}, put("w", "j", value=load("s")))
    reads = nest({"h": "n"}, put("e", "h", value=load("w", 0)))
    body = (Until(ref("bad")), single, rows, update, reads, Until(ref("bad")), rows)
    buffers = (
        argument("x", "n"), argument("k"), argument("bad", dtype="bool"), state("w", 3),
        step("d", "n"), step("e", "n"), step("s"),
    )  # fmt: skip
    loop = Loop("t", 2, Sequence(), body)
    (made,) = early(Program("one", free("n"), buffers, (loop,))).body
    assert isinstance(made, Loop)
    assert made.body == (single, rows, Until(ref("bad")), update, reads, *body[-2:])
