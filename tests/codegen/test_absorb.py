"""Contractions take in the loops that use their elements, where the order allows it."""

from __future__ import annotations

import numpy as np
import pytest

from codegen.check import check
from codegen.interpret import interpret
from codegen.ir import Contraction, Program, Statement
from codegen.passes.absorb import absorb
from codegen.passes.access import roots_of
from codegen.passes.rewrite import with_unique_names
from codegen.passes.schedule import schedule
from codegen.walk import index_buffers
from tests.codegen.build import argument, call, free, load, nest, put, state, step
from tests.codegen.samples import contract

NM = {"i": "n", "j": "m"}
PRODUCT = contract("t:ij", "x:ik", "w:kj", {"i": "n", "j": "m", "k": "k"})
USE = nest(NM, put("y", "i", "j", value=call("add", load("t", "i", "j"), load("b", "j"))))
WITHIN = nest({"j": "m"}, put("b", "j", value=load("c", "j")))
AWAY = nest(NM, put("u", "i", "j", value=load("v", "i", "j")))


def program(*body: Statement) -> Program:
    buffers = (
        argument("x", "n", "k"), state("w", "k", "m"), state("b", "m"), argument("c", "m"),
        step("t", "n", "m"), state("y", "n", "m"), state("u", "n", "m"), argument("v", "n", "m"),
    )  # fmt: skip
    return with_unique_names(Program("one", free("n", "m", "k"), buffers, body))


def absorbed(*body: Statement) -> tuple[Statement, ...]:
    """What becomes of the statements; the meaning is tested by the way."""
    before = program(*body)
    made = absorb(before.body, index_buffers(before), roots_of(before))
    results = []
    for each in (before, Program("two", before.sizes, before.buffers, made)):
        check(each)
        random = np.random.default_rng(0)
        sizes = {"n": 3, "m": 2, "k": 4}
        arrays = {
            buffer.name: random.normal(size=[sizes[extent] for extent in buffer.shape])
            for buffer in before.buffers
        }
        interpret(schedule(each), sizes, arrays)
        results.append(arrays)
    for name, array in results[0].items():
        if name != "t":
            assert np.array_equal(array, results[1][name]), name
    return made


def test_a_consumer_becomes_the_epilogue():
    (made,) = absorbed(PRODUCT, USE)
    assert isinstance(made, Contraction)
    assert len(made.body) == 2


def test_it_rises_across_what_it_does_not_touch():
    made = absorbed(PRODUCT, AWAY, USE)
    assert [len(one.body) for one in made] == [2, 1]
    assert isinstance(made[0], Contraction)


def test_the_contraction_sinks_where_the_consumer_cannot_rise():
    made = absorbed(PRODUCT, WITHIN, USE)
    assert isinstance(made[1], Contraction)
    assert len(made[1].body) == 2


def test_both_stay_where_neither_can_move():
    changes_both = nest(
        {"j": "m"}, put("b", "j", value=load("c", "j")), put("w", 0, "j", value=load("c", "j"))
    )
    assert len(absorbed(PRODUCT, changes_both, USE)) == 3


@pytest.mark.parametrize(
    "consumer",
    [
        nest({"j": "m", "i": "n"}, put("y", "i", "j", value=load("t", "i", "j"))),
        nest(NM, put("y", "i", "j", value=load("t", 0, "j"))),
        nest({"i": "n"}, put("y", "i", 0, value=load("t", "i", 0))),
        nest({"i": "k", "j": "m"}, put("w", "i", "j", value=load("t", 0, "j"))),
        AWAY,
    ],
)
def test_what_reads_other_elements_stays_outside(consumer: Statement):
    assert len(absorbed(PRODUCT, consumer)) == 2


def test_nothing_is_stored_into_what_the_sum_reads():
    square = contract("t:ij", "x:ik", "y:kj", {"i": "n", "j": "m", "k": "n"})
    update = nest(NM, put("y", "i", "j", value=load("t", "i", "j")))
    whole = Program(
        "one", free("n", "m"),
        (argument("x", "n", "n"), state("y", "n", "m"), step("t", "n", "m")), (square, update),
    )  # fmt: skip
    whole = with_unique_names(whole)
    assert absorb(whole.body, index_buffers(whole), roots_of(whole)) == whole.body
