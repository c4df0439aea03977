"""Equal values are numbered alike, folds too."""

from __future__ import annotations

import numpy as np

from codegen.interpret import interpret
from codegen.ir import Let, Loop, Program
from codegen.passes.common import common
from codegen.passes.schedule import schedule
from tests.codegen.build import call, fold, free, load, local, nest, put, state
from tests.codegen.running import same


def test_a_fold_that_is_there_already_is_not_run_again():
    again = (
        fold("sum", "a", "j", "m", load("x", "i", "j")),
        Let("b", call("exp", local("a"))),
        fold("sum", "c", "k", "m", load("x", "i", "k")),
        Let("d", call("exp", local("c"))),
        put("y", "i", value=call("add", local("b"), local("d"))),
        put("x", "i", 0, value=local("b")),
        fold("sum", "e", "l", "m", load("x", "i", "l")),
        put("z", "i", value=local("e")),
    )
    buffers = (state("x", "n", "m"), state("y", "n"), state("z", "n"))
    before = Program("one", free("n", "m"), buffers, (nest({"i": "n"}, *again),))
    made = common(before)
    assert sum(isinstance(one, Loop) for one in made.body[0].body) == 2
    results = []
    for program in (before, made):
        arrays = {b.name: np.ones([{"n": 2, "m": 3}[e] for e in b.shape]) for b in buffers}
        interpret(schedule(program), {"n": 2, "m": 3}, arrays)
        results.append(arrays)
    assert same(results[0], results[1])
