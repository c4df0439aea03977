"""Every pass keeps the meaning to the bit, and does what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from codegen.check import check
from codegen.interpret import interpret
from codegen.ir import (
    Any,
    Barrier,
    Contraction,
    Loop,
    Program,
    Sequence,
    Statement,
    Store,
)
from codegen.passes import optimise
from codegen.passes.common import common
from codegen.passes.contractions import MatrixForm, Operand, Product, matrix_form
from codegen.passes.fuse import fuse
from codegen.passes.memory import memory
from codegen.passes.rewrite import size_of
from codegen.passes.schedule import schedule
from codegen.passes.substitute import BUDGET
from codegen.scalar import Axis, Indirect, Load, affine, loads
from codegen.shadow import RaceError
from codegen.show import show
from codegen.walk import index_buffers, scalars_of
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
    ref,
    state,
    step,
)
from tests.codegen.running import barriers, mapped, run, same, without_barrier
from tests.codegen.samples import SAMPLES, Sample, contract
from tests.counting import growth

STAGES = ("contractions", "early", "fuse", "common", "schedule", "memory")


def kernels(program: Program) -> list[Statement]:
    """The statements the driver calls, without barriers."""
    body = program.body
    while len(body) == 1 and isinstance(body[0], Loop) and isinstance(body[0].order, Sequence):
        body = body[0].body
    return [one for one in body if not isinstance(one, Barrier)]


def stage(program: Program, name: str) -> Program:
    return dict(optimise(program))[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_every_stage_computes_the_same(name: str):
    sample = SAMPLES[name]
    before = run(sample)
    assert tuple(name for name, _ in optimise(sample.program)) == STAGES
    for made, program in optimise(sample.program):
        check(program)
        for seed in (1, 2):
            outcome, arrays = run(sample, program, seed)
            # Only a contraction that becomes a fold may add in another order.
            assert same(arrays, before[1], 1e-13 if made == "contractions" else 0.0), made
            assert outcome == before[0]
        before = (outcome, arrays)


def test_an_update_of_the_state_becomes_one_nest_in_place():
    program = stage(SAMPLES["adam"].program, "fuse")
    assert len(program.body) == 1
    assert not [buffer for buffer in program.buffers if buffer.scope == "step"]
    text = show(program)
    assert text.count("store") == 3
    assert text.count("any") == 2


@pytest.mark.parametrize(
    ("name", "nests", "scratch"),
    [
        ("chain", 1, []),
        ("broadcast", 1, []),
        ("softmax", 1, ["e"]),
        ("pad", 1, []),
        ("strided", 4, ["both"]),
        ("reshape", 2, ["a", "b"]),
        ("scatter", 3, []),
    ],
)
def test_fusion_leaves_so_many_nests_and_so_much_scratch(name: str, nests: int, scratch: list):
    program = stage(SAMPLES[name].program, "fuse")
    assert len(program.body) == nests
    assert [buffer.name for buffer in program.buffers if buffer.scope == "step"] == scratch


def test_the_training_step_keeps_what_contractions_need_and_little_more():
    program = stage(SAMPLES["trained"].program, "fuse")
    kept = {buffer.name for buffer in program.buffers if buffer.scope == "step"}
    # No sum of a contraction: each is used where it is made.
    assert kept == {"index", "x", "a1", "d", "loss", "bad", "g2", "g1"}
    assert len(kernels(SAMPLES["trained"].program)) == 35
    assert len(kernels(program)) == 13


def test_a_producer_whose_source_is_overwritten_stays():
    body = (
        nest({"i": "n"}, put("a", "i", value=call("exp", load("w", "i")))),
        nest({"i": "n"}, put("w", affine(3, {Axis("i"): -1}), value=number(0.0))),
        nest({"i": "n"}, put("out", "i", value=load("a", "i"))),
    )
    buffers = (state("w", "n"), state("out", "n"), step("a", "n"))
    sample = Sample(Program("overwritten", free("n"), buffers, body), {"n": 4})
    expected = np.exp(sample.arrays()["w"])
    assert run(sample, stage(sample.program, "memory"))[1]["out"].tolist() == expected.tolist()


def test_a_value_carried_in_scratch_to_the_next_iteration_stays():
    body = (
        put("seen", "t", value=load("last")),
        put("last", value=call("add", Axis("t"), 1, dtype="int64")),
    )
    loop = Loop("t", 4, Sequence(), (put("zero", value=number(0, "int64")), Barrier(), *body))
    start = put("last", value=number(7, "int64"))
    seen = replace(body[0], value=load("last", dtype="int64"))
    whole = replace(loop, body=(loop.body[0], loop.body[1], seen, body[1]))
    buffers = (state("seen", 4, dtype="int64"), step("last", dtype="int64"),
               step("zero", dtype="int64"))  # fmt: skip
    for order in (whole, replace(whole, body=whole.body[1:])):
        program = memory(schedule(fuse(Program("carried", (), buffers, (start, order)))))
        arrays = {"seen": np.zeros(4, np.int64)}
        interpret(program, {}, arrays)
        assert arrays["seen"].tolist() == [7, 1, 2, 3]


def test_expensive_values_are_not_computed_again_for_every_row():
    body = (
        nest({"j": "m"}, put("e", "j", value=call("exp", load("r", "j")))),
        nest({"i": "n", "j": "m"}, put("out", "i", "j", value=load("e", "j"))),
    )
    buffers = (argument("r", "m"), state("out", "n", "m"), step("e", "m"))
    assert len(fuse(Program("rows", free("n", "m"), buffers, body)).body) == 2
    cheap = nest({"j": "m"}, put("e", "j", value=call("add", load("r", "j"), 1.0)))
    assert len(fuse(Program("rows", free("n", "m"), buffers, (cheap, body[1]))).body) == 1


@pytest.mark.parametrize("kind", ["squares", "sums"])
def test_long_chains_stay_within_the_budget_and_are_linear_work(kind: str):
    def chain(count: int) -> Callable[[], Program]:
        body = []
        for k in range(count):
            x = load(f"a{k}", "i")
            y = x if kind == "squares" else load("a0", "i")
            body.append(nest({"i": "n"}, put(f"a{k + 1}", "i", value=call("add", x, y))))
        buffers = (argument("a0", "n"), *(step(f"a{k}", "n") for k in range(1, count)),
                   state(f"a{count}", "n"))  # fmt: skip
        program = Program("long", free("n"), buffers, tuple(body))
        return lambda: optimise(program)[-1][1]

    assert growth(chain, 100) < 1.2
    program = chain(800)()
    assert max(map(size_of, kernels(program))) <= 2 * BUDGET
    assert len(kernels(program)) < 60
    arrays = {"a0": np.full(3, 1e-3), "a800": np.zeros(3)}
    interpret(program, {"n": 3}, arrays)
    expected = 1e-3 * 2.0**800 if kind == "squares" else 1e-3 * 801
    np.testing.assert_allclose(arrays["a800"], expected, rtol=1e-10)


def test_common_binds_what_repeats_and_moves_out_what_does_not_change():
    value = call("multiply", call("exp", load("x", "i")), call("exp", load("x", "i")))
    inner = call("add", value, call("tanh", load("y", "j")))
    body = (nest({"i": 2, "j": 3}, put("out", "i", "j", value=call("multiply", inner, inner))),)
    buffers = (argument("x", 2), argument("y", 3), state("out", 2, 3))
    text = show(common(Program("shared", (), buffers, body)))
    assert text.count("exp") == text.count("tanh") == text.count("x[i]") == 1
    assert text.index("exp") < text.index("any j") < text.index("tanh")


def test_common_reads_again_what_was_stored_between():
    twice = call("multiply", load("w", "i"), 2.0)
    body = (nest({"i": 2}, put("w", "i", value=twice), put("out", "i", value=twice)),)
    sample = Sample(Program("again", (), (state("w", 2), state("out", 2)), body), {})
    _, arrays = run(sample, common(sample.program))
    assert arrays["out"].tolist() == (4 * sample.arrays()["w"]).tolist()


def test_nothing_leaves_a_branch():
    for _, program in optimise(SAMPLES["guarded_share"].program):
        assert not _loads_outside_select(program)


def _loads_outside_select(program: Program) -> list[Load]:
    found = []

    def note(one: Statement) -> Statement:
        for scalar in scalars_of(one):
            if getattr(scalar, "function", "") not in ("select", "add"):
                found.extend(ref for ref in loads(scalar) if ref.buffer == "x")
        return one

    mapped(program.body, note)
    return found


# Barriers.


@pytest.mark.parametrize("name", ["trained", "scatter", "reshape", "reductions"])
def test_every_barrier_is_needed(name: str):
    sample = SAMPLES[name]
    program = stage(sample.program, "schedule")
    assert barriers(program)
    for number_ in range(barriers(program)):
        with pytest.raises(RaceError):
            run(sample, without_barrier(program, number_))


def test_aligned_statements_need_no_barrier_and_others_do():
    first = nest({"i": "n"}, put("y", "i", value=load("x", "i")))
    buffers = (argument("x", "n"), step("y", "n"), state("z", "n"), step("v", "n", storage="y"))
    after = {
        load("y", "i"): 0,
        load("x", 0): 0,
        load("y", 0): 1,
        load("v", "i"): 1,
        load("y", Indirect(ref("k", "i"), "n")): 1,
    }
    for value, count in after.items():
        body = (first, nest({"i": "n"}, put("z", "i", value=value)))
        extra = (*buffers, argument("k", "n", dtype="int64"))
        assert barriers(schedule(Program("two", free("n"), extra, body))) == count


def test_the_turn_of_a_sequence_gets_a_barrier_where_iterations_touch():
    step_ = nest({"i": 3}, put("w", "i", value=call("add", load("w", "i"), 1.0)))
    total = fold("sum", "s", "i", 3, load("w", "i"))
    across = (total, put("sums", "t", value=local("s")), step_)
    buffers = (state("w", 3), state("sums", 4))

    def made(*body: Statement) -> Program:
        return schedule(Program("turn", (), buffers, (Loop("t", 4, Sequence(), body),)))

    assert barriers(made(step_)) == 0
    assert barriers(made(*across)) == 2
    sample = Sample(made(*across), {})
    for number_ in range(2):
        with pytest.raises(RaceError):
            run(sample, without_barrier(sample.program, number_))


def test_tiles_are_powers_of_two_by_work():
    cheap = nest({"i": 9999}, put("a", "i", value=number(0.0)))
    dear = nest({"k": 50}, nest({"j": 1000}, put("b", "k", "j", value=call("exp", number(1.0)))))
    open_ = nest({"i": "n"}, nest({"j": "n"}, put("c", "i", "j", value=number(0.0))))
    buffers = (state("a", 9999), state("b", 50, 1000), state("c", "n", "n"))
    program = schedule(Program("tiles", free("n"), buffers, (cheap, dear, open_)))
    tiles = [one.order.tile for one in program.body if isinstance(one, Loop)
             and isinstance(one.order, Any)]  # fmt: skip
    assert tiles == [4096, 1, 64]


# Memory.


def test_scratch_shares_memory_only_when_lives_do_not_overlap():
    program = stage(SAMPLES["trained"].program, "memory")
    members = [name for slot in program.slots for name in slot]
    assert sorted(members) == sorted(b.name for b in program.buffers if b.scope == "step")
    assert len(program.slots) < len(members)
    wrong = replace(program, slots=(tuple(members),))
    _, right = run(SAMPLES["trained"])
    try:
        _, arrays = run(SAMPLES["trained"], wrong)
    except (RaceError, IndexError):
        return
    assert not same(arrays, right)


def test_views_keep_their_storage_alive():
    body = (
        nest({"i": 4}, put("a", "i", value=call("exp", load("x", "i")))),
        nest({"i": 4}, put("c", "i", value=call("exp", load("x", affine(3, {Axis("i"): -1}))))),
        nest({"i": 4}, put("y", "i", value=load("c", affine(3, {Axis("i"): -1})))),
        nest({"i": 2, "j": 2}, put("z", "i", "j", value=load("v", "j", "i"))),
    )
    buffers = (argument("x", 4), state("y", 4), state("z", 2, 2), step("a", 4), step("c", 4),
               step("v", 2, 2, storage="a"))  # fmt: skip
    program = memory(schedule(Program("views", (), buffers, body)))
    assert program.slots == (("a",), ("c",))


# Contractions.

LETTERS = {"b": 5, "i": 2, "j": 3, "k": 4, "l": 6}


@pytest.mark.parametrize(
    ("out", "left", "right", "form"),
    [
        ("ij", "ik", "kj", ((), (2,), (3,), (4,), "l", False, False)),
        ("ij", "ki", "jk", ((), (2,), (3,), (4,), "l", True, True)),
        ("ji", "ik", "kj", ((), (3,), (2,), (4,), "r", True, True)),
        ("bij", "bik", "bkj", ((5,), (2,), (3,), (4,), "l", False, False)),
        ("i", "ik", "k", ((), (2,), (), (4,), "l", False, False)),
        ("ij", "i", "j", ((), (2,), (3,), (), "l", False, False)),
        ("", "k", "k", ((), (), (), (4,), "l", False, False)),
        ("ijl", "ik", "kjl", ((), (2,), (3, 6), (4,), "l", False, False)),
        ("ij", "ikl", "klj", ((), (2,), (3,), (4, 6), "l", False, False)),
        ("ij", "ikl", "lkj", None),
        ("ij", "ib", "kj", None),
        ("ij", "iik", "kj", None),
        ("ibj", "bik", "bkj", None),
        ("ilj", "ik", "kj", None),
    ],
)
def test_matrix_forms(out: str, left: str, right: str, form: tuple | None):
    statement = contract(f"o:{out}", f"l:{left}", f"r:{right}", LETTERS)
    shapes = {"o": out, "l": left, "r": right}
    buffers = {
        name: argument(name, *(LETTERS[letter] for letter in letters))
        for name, letters in shapes.items()
    }
    made = matrix_form(statement, buffers)
    if form is None:
        assert made is None
        return
    batch, rows, columns, depth, first, one, two = form
    second = "r" if first == "l" else "l"
    product = Product(Operand(first, one), Operand(second, two), depth)
    assert made == MatrixForm(batch, rows, columns, (product,))
    whole = {**buffers, "l": replace(buffers["l"], dtype="int64")}
    assert matrix_form(statement, whole) is None


def test_what_is_no_matrix_product_becomes_loops():
    program = stage(SAMPLES["products"].program, "contractions")
    left = [one.body[0].ref.buffer for one in program.body if isinstance(one, Contraction)]
    assert left == ["plain", "turned", "dot"]


def test_a_ragged_extent_is_allowed_in_the_first_dimension_only():
    buffers = {"o": argument("o", 3, 4), "l": argument("l", "batch", 3),
               "r": argument("r", "batch", 4)}  # fmt: skip
    extents = {"i": "rows", "j": 3, "k": 4}
    assert matrix_form(contract("o:jk", "l:ij", "r:ik", extents), buffers) is not None
    turned = {**buffers, "l": argument("l", 3, "batch")}
    assert matrix_form(contract("o:jk", "l:ji", "r:ik", extents), turned) is None


def test_faults_in_a_pass_would_be_noticed():
    """The comparison above is worth something: a store moved by one element fails it."""
    sample = SAMPLES["chain"]

    def move(one: Statement) -> Statement:
        if isinstance(one, Store) and one.ref.buffer == "out":
            return put("out", one.ref.index[0], 0, value=one.value)
        return one

    program = stage(sample.program, "fuse")
    wrong = replace(program, body=mapped(program.body, move))
    assert not same(run(sample, wrong)[1], run(sample)[1])
    assert index_buffers(program).keys() == {"x", "y", "out"}


def test_no_barrier_parts_a_fold_from_the_store_of_its_result():
    body = (
        nest({"i": 3}, put("y", "i", value=load("z"))),
        fold("sum", "s", "i", 3, load("x", "i")),
        put("z", value=local("s")),
    )
    buffers = (argument("x", 3), state("y", 3), state("z"))
    program = schedule(Program("fold", (), buffers, body))
    assert [type(one).__name__ for one in program.body] == ["Loop", "Barrier", "Loop", "Store"]
    check(program)
