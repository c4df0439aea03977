"""Compiled programs against the interpreter: the samples, and what only machine code gets wrong."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from codegen.compile import Options, assemble, compile_program
from codegen.cpu.errors import CompileError
from codegen.interpret import interpret
from codegen.ir import Any, Barrier, Buffer, Let, Loop, Program, SizeRule, Store, Tree, Yield
from codegen.layout import BindError
from codegen.monoids import MONOIDS
from codegen.passes.contractions import contractions
from codegen.scalar import Apply, Axis, Constant, Indirect, Local, Scalar, Size, affine
from tests.codegen.build import argument, call, fold, free, load, local, nest, number, put, ref
from tests.codegen.running import scheduled
from tests.codegen.samples import SAMPLES

TOLERANCE = {"float64": 1e-9, "float32": 2e-4}


def narrowed(value):
    """The same program in float32."""
    if isinstance(value, tuple):
        return tuple(map(narrowed, value))
    if dataclasses.is_dataclass(value):
        parts = {f.name: narrowed(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return type(value)(**parts)
    return "float32" if value == "float64" else value


def agree(compiled, program: Program, sizes: Mapping[str, int], arrays, tolerance: float) -> None:
    """Runs both on copies; every array and the iterations must be equal."""
    ours = {name: array.copy() for name, array in arrays.items()}
    theirs = {name: array.copy() for name, array in arrays.items()}
    outcome = compiled.bind(sizes, ours).run()
    expected = interpret(scheduled(program), sizes, theirs)
    assert outcome.iterations == expected.iterations
    assert (outcome.stopped is not None) == expected.stopped
    for name, array in theirs.items():
        scale = np.abs(array[np.isfinite(array)]).max(initial=1e-3)
        np.testing.assert_allclose(
            ours[name], array, rtol=tolerance, atol=tolerance * float(scale), err_msg=name
        )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_runs_as_it_is_interpreted(name, dtype):
    sample = SAMPLES[name]
    arrays = sample.arrays()
    program = sample.program
    if dtype == "float32":
        if name == "diverging":
            pytest.skip("its rate is no float32")
        program = narrowed(program)
        arrays = {
            key: array.astype(dtype) if array.dtype == np.float64 else array
            for key, array in arrays.items()
        }
    with np.errstate(all="ignore"):
        plain = assemble((("contractions", contractions(program)),))
        agree(plain, program, sample.sizes, arrays, TOLERANCE[dtype])
        agree(compile_program(program), program, sample.sizes, arrays, TOLERANCE[dtype])


def test_two_workers_give_the_same_bits():
    sample = SAMPLES["trained"]
    results = []
    for threads in (1, 2):
        arrays = sample.arrays()
        binding = compile_program(sample.program, Options(threads=threads)).bind(
            sample.sizes, arrays
        )
        results.append((binding.run(), {name: each.tobytes() for name, each in arrays.items()}))
    assert results[0] == results[1]


def program(name: str, buffers: tuple[Buffer, ...], *body, sizes=()) -> Program:
    return Program(name, tuple(sizes), buffers, body)


def compiled(made: Program):
    return assemble((("given", made),))


@pytest.mark.parametrize("extent", [0, 1, 3, 4, 5, 16, 17, 31, 63, 64, 65, 100])
def test_a_fold_merges_in_the_order_the_tree_states(extent):
    random = np.random.default_rng(extent)
    made = program(
        "order",
        (argument("x", "n", dtype="float32"), argument("out", dtype="float32")),
        fold("sum", "total", "i", "n", load("x", "i", dtype="float32"), leaf=4),
        put("out", value=local("total", "float32")),
        sizes=free("n"),
    )
    # Rounding differs with the order, so equal bits mean the same order.
    arrays = {
        "x": (random.normal(size=extent) * 10.0 ** random.integers(-6, 6, extent)).astype("f"),
        "out": np.zeros((), np.float32),
    }
    agree(compiled(made), made, {"n": extent}, arrays, 0)


FOLDED = {
    "moments": lambda x: (number(1, x.dtype), x, number(0, x.dtype)),
    "logsumexp": lambda x: (x, number(1, x.dtype)),
    "argmax": lambda x: (x, Axis("i")),
    "all": lambda x: (call("less", x, 0.5),),
    "any": lambda x: (call("less", x, -2.0),),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
@pytest.mark.parametrize("monoid", MONOIDS)
def test_every_monoid_folds_as_interpreted(monoid, dtype):
    if monoid in ("moments", "logsumexp", "all", "any") and not dtype.startswith("f"):
        pytest.skip("a monoid of floats")
    value = load("x", "i", dtype=dtype)
    values = FOLDED.get(monoid, lambda x: (x,))(value)
    fold_loop = fold(monoid, "v", "i", "n", *values, leaf=4)
    assert isinstance(fold_loop.order, Tree)
    outs = [argument(f"out{k}", dtype=each.dtype) for k, each in enumerate(values)]
    stores = [
        put(f"out{k}", value=local(name, each.dtype))
        for k, (name, each) in enumerate(zip(fold_loop.order.names, values, strict=True))
    ]
    made = program(
        monoid, (argument("x", "n", dtype=dtype), *outs), fold_loop, *stores, sizes=free("n")
    )
    ready = compiled(made)
    for extent in (0, 1, 5, 23):
        x = np.random.default_rng(3).normal(size=extent) * 3
        arrays = {"x": np.asarray(x, dtype)}
        arrays |= {each.name: np.zeros((), each.dtype) for each in outs}
        agree(ready, made, {"n": extent}, arrays, 1e-6 if dtype == "float32" else 1e-13)


def test_a_branch_not_taken_reads_nothing():
    inside = call("less", Axis("i"), Size("n"))
    deep: Scalar = load("x", "i")
    for _ in range(40):
        deep = call("add", call("sin", deep), 1.0)
    made = program(
        "guarded",
        (argument("x", "n"), argument("y", "wide")),
        nest({"i": "wide"}, put("y", "i", value=call("select", inside, deep, 7.0))),
        sizes=(SizeRule("n"), SizeRule("wide", ((1_000_000, ("n",)),))),
    )
    arrays = {"x": np.ones(1), "y": np.zeros(1_000_000)}
    compiled(made).bind({"n": 1}, arrays).run()
    assert np.isfinite(arrays["y"]).all()
    assert (arrays["y"][1:] == 7.0).all()


def test_constants_arrive_with_all_their_bits():
    values = [0.1, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4028235e38, 1 / 3, 5e-324, 1e300]
    for dtype in ("float32", "float64"):
        with np.errstate(over="ignore"):
            wanted = np.array(values).astype(dtype)
        made = program(
            "constants",
            (argument("y", len(values), dtype=dtype),),
            *(put("y", k, value=Constant(value, dtype)) for k, value in enumerate(values)),
        )
        y = np.ones(len(values), dtype)
        compiled(made).bind({}, {"y": y}).run()
        assert y.tobytes() == wanted.tobytes()


def test_float32_is_never_widened():
    x = load("x", "i", dtype="float32")
    expression = call("add", call("multiply", x, 0.1), call("divide", 1.0, call("sqrt", x)))
    made = program(
        "narrow",
        (argument("x", "n", dtype="float32"), argument("y", "n", dtype="float32")),
        Loop("i", "n", Any(64), (put("y", "i", value=expression),)),
        sizes=free("n"),
    )
    kernel = compiled(made).kernels[0]
    assert "double" not in kernel.llvm.replace("f64", "")
    assert "x float>" in kernel.llvm, "the loop is not vectorised"
    assert "kernel_" in kernel.assembly


def test_another_width_and_other_names_compile_nothing():
    def made(width, x, axis, label):
        loop = Loop("r", "n", Any(8), (
            Loop(axis, width, Any(), (
                put("out", "r", axis, value=call("exp", load(x, "r", axis))),)),
            put("out", "r", affine(width - 1), value=number(1.0)),
        ), label=label)  # fmt: skip
        return program(
            "width", (argument(x, "n", width), argument("out", "n", width)), loop,
            sizes=free("n"),
        )  # fmt: skip

    compiled(made(7, "x", "j", "one"))
    again = compiled(made(19, "input", "column", "another"))
    assert again.compiled == 0
    assert again.kernels[0].source.startswith("# another\n")


def test_indirect_indices_integers_and_bools():
    rows = Indirect(ref("order", "i"), "n")
    taken = load("x", rows, "j")
    made = program(
        "gathered",
        (argument("order", "n", dtype="int32"), argument("x", "n", 3), argument("y", "n", 3),
         argument("mask", "n", 3, dtype="bool"), argument("count", "n", dtype="int32")),
        nest({"i": "n", "j": 3},
             put("mask", "i", "j", value=call("less", taken, 0.0)),
             put("y", "i", "j", value=call(
                 "select", load("mask", "i", "j", dtype="bool"), 0.0, taken))),
        nest({"i": "n"}, put("count", "i", value=call(
            "multiply", load("order", "i", dtype="int32"), number(1 << 30, "int32")))),
        sizes=free("n"),
    )  # fmt: skip
    random = np.random.default_rng(0)
    arrays = {
        "order": random.permutation(9).astype(np.int32), "x": random.normal(size=(9, 3)),
        "y": np.zeros((9, 3)), "mask": np.zeros((9, 3), bool), "count": np.zeros(9, np.int32),
    }  # fmt: skip
    agree(compiled(made), made, {"n": 9}, arrays, 0)


def test_a_tile_has_scratch_of_its_own():
    made = Program(
        "scratch",
        free("n"),
        (argument("x", "n"), argument("y", "n"), Buffer("t", (3,), "float64", "tile")),
        (Loop("i", "n", Any(2), (
            Loop("j", 3, Any(), (put("t", "j", value=call(
                "add", load("x", "i"), Apply("cast", (Axis("j"),), "float64"))),)),
            put("y", "i", value=call("multiply", load("t", 0), load("t", 2))),
        )),),
    )  # fmt: skip
    arrays = {"x": np.arange(5.0), "y": np.zeros(5)}
    agree(compiled(made), made, {"n": 5}, arrays, 0)
    two = assemble((("given", made),), Options(threads=2))
    agree(two, made, {"n": 5}, arrays, 0)


def shift() -> Program:
    return program(
        "shift",
        (argument("x", "n"), argument("y", "n")),
        Loop("i", "count", Any(4), (put("y", "i", value=call("add", load("x", "i"), 1.0)),),
             start="first"),
        sizes=free("n", "first", "count"),
    )  # fmt: skip


def test_sizes_of_one_run_may_change_but_not_a_shape():
    binding_arrays = {"x": np.zeros(10), "y": np.zeros(10)}
    binding = compiled(shift()).bind({"n": 10, "first": 0, "count": 0}, binding_arrays)
    binding.run({"first": 3, "count": 2})
    assert np.flatnonzero(binding_arrays["y"]).tolist() == [3, 4]
    with pytest.raises(BindError, match=r"would change x from \(10,\) to \(11,\)"):
        binding.run({"n": 11})
    with pytest.raises(BindError, match="no free size 'm'"):
        binding.run({"m": 11})


READ_ONLY = np.zeros(4)
READ_ONLY.setflags(write=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "y must be a C-contiguous float64 array of shape .4,., not NoneType"),
        ({"y": np.zeros(5)}, r"not float64 of shape \(5,\)"),
        ({"y": np.zeros(4, np.float32)}, "not float32"),
        ({"y": np.zeros(8)[::2]}, "strided"),
        ({"y": READ_ONLY}, "written to"),
        ({"z": np.zeros(4)}, "no argument or state 'z'"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    arrays = {"x": np.zeros(4), "y": np.zeros(4)} | change
    executable = compiled(shift())
    with pytest.raises(BindError, match=message):
        executable.bind({"n": 4, "first": 0, "count": 4}, arrays)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n": 4, "first": 0}, "needs the size 'count'"),
        ({"n": 4, "first": 0, "count": -1}, "the size count is -1"),
        ({"n": 4, "first": 0, "count": 1, "m": 1}, "no free size 'm'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(BindError, match=message):
        compiled(shift()).bind(sizes, {"x": np.zeros(4), "y": np.zeros(4)})


def test_a_read_only_array_may_be_read():
    y = np.zeros(4)
    compiled(shift()).bind({"n": 4, "first": 0, "count": 4}, {"x": READ_ONLY, "y": y}).run()
    assert y.tolist() == [1.0] * 4


def test_options_are_checked():
    with pytest.raises(CompileError, match="target 'abacus'"):
        Options(target="abacus")
    with pytest.raises(CompileError, match="0 threads"):
        Options(threads=0)


def test_stages_and_sources_can_be_read():
    executable = compile_program(SAMPLES["softmax"].program)
    assert "given" in executable.stages
    assert all(text.strip() for text in executable.stages.values())
    assert all("def kernel(worker, workers, n, p)" in each.source for each in executable.kernels)


def test_lets_and_folds_of_one_tile_share_a_kernel():
    made = program(
        "one_tile",
        (argument("x", "n"), argument("y")),
        Let("a", load("x", 0)),
        fold("sum", "s", "i", "n", call("multiply", load("x", "i"), Local("a", "float64"))),
        Store(ref("y"), local("s")),
        Barrier(),
        sizes=free("n"),
    )
    executable = compiled(made)
    assert len(executable.kernels) == 1
    arrays = {"x": np.arange(1.0, 8), "y": np.zeros(())}
    agree(executable, made, {"n": 7}, arrays, 1e-15)


def test_an_axis_may_run_backwards_and_in_steps():
    back = affine(-1, {Size("n"): 1, Axis("i"): -1})
    made = program(
        "views",
        (argument("x", "n"), argument("y", "n"), argument("z", "half")),
        nest({"i": "n"}, put("y", "i", value=load("x", back))),
        nest({"k": "half"}, put("z", "k", value=load("x", affine(1, {Axis("k"): 2})))),
        sizes=free("n", "half"),
    )
    arrays = {"x": np.arange(9.0), "y": np.zeros(9), "z": np.zeros(4)}
    agree(compiled(made), made, {"n": 9, "half": 4}, arrays, 0)


def test_a_yield_of_a_nested_fold():
    inner = fold("sum", "row", "j", "m", load("x", "i", "j"))
    outer = Loop("i", "n", Tree("maximum", ("best",), ("float64",), 2), (
        inner, Yield((local("row"),))))  # fmt: skip
    made = program(
        "nested",
        (argument("x", "n", "m"), argument("y")),
        outer,
        put("y", value=local("best")),
        sizes=free("n", "m"),
    )
    random = np.random.default_rng(1)
    for n, m in ((0, 0), (3, 0), (5, 7)):
        arrays = {"x": random.normal(size=(n, m)), "y": np.zeros(())}
        agree(compiled(made), made, {"n": n, "m": m}, arrays, 1e-15)
