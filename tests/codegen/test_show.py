"""Programs print deterministically, completely, in the stated grammar."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codegen.ir import Barrier, Loop, Program, Sequence, SizeRule
from codegen.passes import optimise
from codegen.scalar import Axis, Indirect, Size, affine
from codegen.show import show, show_index, show_scalar, show_statement
from tests.codegen.build import call, load, number, ref
from tests.codegen.samples import SAMPLES

ADAM = """\
program adam
  size n
  size m
  buffer g[n, m] float64 argument
  buffer rate[] float64 argument
  buffer w[n, m] float64 state
  buffer m[n, m] float64 state
  buffer v[n, m] float64 state
  any i < n tile 64:
    let %shared_2 = rate[]
    any j < m:
      let %shared_1 = g[i, j]
      let %kept_0_m2 = add(multiply(0.9:float64, m[i, j]), multiply(0.1:float64, %shared_1))
      let %kept_1_v2 = add(multiply(0.99:float64, v[i, j]), multiply(0.01:float64, \
multiply(%shared_1, %shared_1)))
      let %kept_2_w2 = subtract(w[i, j], divide(multiply(%shared_2, %kept_0_m2), \
add(sqrt(%kept_1_v2), 1e-08:float64)))
      store m[i, j] = %kept_0_m2
      store v[i, j] = %kept_1_v2
      store w[i, j] = %kept_2_w2
"""


def test_an_optimised_update_prints_as_one_nest_without_scratch():
    assert show(optimise(SAMPLES["adam"].program)[-1][1]) == ADAM


@pytest.mark.parametrize("name", SAMPLES)
def test_every_stage_of_every_sample_prints_the_same_twice(name: str):
    for (_, one), (_, two) in zip(optimise(SAMPLES[name].program),
                                  optimise(SAMPLES[name].program), strict=True):  # fmt: skip
        assert show(one) == show(two)
        assert all(buffer.name in show(one) for buffer in one.buffers)


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (affine(0), "0"),
        (affine(-2), "-2"),
        (affine(3, {Axis("i"): -2, Size("n"): 1}), "-2*i + <n> + 3"),
        (affine(-1, {Axis("i"): 1, Axis("a"): -1}), "-a + i - 1"),
        (Indirect(ref("rows", "i"), "n"), "rows[i] < n"),
    ],
)
def test_indices(index: object, text: str):
    assert show_index(index) == text


def test_scalars_statements_and_sizes():
    value = call("select", call("less", Axis("i"), 3), load("x", "i"), number(float("inf")))
    assert show_scalar(value) == "select(less(i, 3:int64), x[i], inf:float64)"
    loop = Loop("t", "n", Sequence(), (Barrier(),), start=2, label="wait")
    assert show_statement(loop) == "sequence t < n from 2:  # wait\n  barrier"
    rules = (SizeRule("n"), SizeRule("k", ((2, ("n", "n")), (-1, ()))))
    text = show(Program("sizes", rules, (), (), slots=(("a", "b"),), notes={"why": "test"}))
    assert text.splitlines()[1:] == [
        "  size n",
        "  size k = 2*n*n + -1",
        "  slot a, b",
        "  note why: test",
    ]


def test_different_programs_print_differently():
    program = SAMPLES["chain"].program
    shorter = replace(program, body=program.body[:-1])
    assert show(program) != show(shorter)
