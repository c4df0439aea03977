"""Whole programs on a GPU in both executions, against the interpreter of the IR; the GPU is the
interpreter of PTX, which watches every access."""

from dataclasses import replace

import numpy as np
import pytest

from codegen.compile import Options, assemble, compile_program
from codegen.cuda import device, persistent, runtime
from codegen.cuda.blocks import spread_products, squares
from codegen.cuda.device import DeviceError
from codegen.cuda.execution import EXECUTIONS, LAUNCHES, PERSISTENT, choose
from codegen.cuda.image import SHARED_LIMIT
from codegen.cuda.runtime import DeviceBinding, DeviceExecutable
from codegen.interpret import interpret
from codegen.ir import Barrier, Loop, Program, Sequence, SizeRule
from codegen.layout import BindError
from codegen.passes import optimise
from tests.codegen.build import argument, state
from tests.codegen.running import barriers, same, scheduled, without_barrier
from tests.codegen.samples import SAMPLES, Sample, contract
from tests.ptx.device import SimulatedDevice
from tests.ptx.errors import PtxError, Race

# Few programs make every kind of call; the others are compiled for a GPU op by op elsewhere.
CHOSEN = ("softmax", "scatter", "products", "guarded_share", "trained")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimulatedDevice:
    """The device that is current."""
    made = SimulatedDevice(multiprocessors=4)
    monkeypatch.setattr(device, "current", lambda: made)
    return made


def on_blocks(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    """Every persistent kernel takes so many blocks, whatever the model says."""

    def forced(*given, **named):
        return replace(choose(*given, **named), blocks=blocks)

    monkeypatch.setattr(runtime, "choose", forced)


def compiled(program: Program, execution: str | None = None) -> DeviceExecutable:
    made = compile_program(program, Options(target="cuda", execution=execution))
    assert isinstance(made, DeviceExecutable)
    return made


def bound(sample: Sample, execution: str) -> tuple[DeviceBinding, dict]:
    arrays = sample.arrays()
    return compiled(sample.program, execution).bind(sample.sizes, arrays), arrays


def wanted(sample: Sample):
    arrays = sample.arrays()
    return interpret(scheduled(sample.program), sample.sizes, arrays), arrays


@pytest.mark.parametrize("execution", EXECUTIONS)
@pytest.mark.parametrize("name", CHOSEN)
def test_a_program_gives_what_the_interpreter_gives(name, execution, gpu) -> None:
    sample = SAMPLES[name]
    expected, arrays = wanted(sample)
    binding, own = bound(sample, execution)
    outcome = binding.run()
    binding.pull()
    assert (outcome.iterations, outcome.stopped is not None) == (
        expected.iterations, expected.stopped,
    )  # fmt: skip
    assert same(own, arrays, 1e-14)


@pytest.mark.parametrize("blocks", [2, 3])
@pytest.mark.parametrize("name", ["products", "trained"])
def test_the_number_of_blocks_changes_no_bit(name, blocks, gpu, monkeypatch) -> None:
    one, own = bound(SAMPLES[name], PERSISTENT)
    one.run()
    one.pull()
    on_blocks(monkeypatch, blocks)
    more, others = bound(SAMPLES[name], PERSISTENT)
    more.run()
    more.pull()
    assert same(own, others)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_an_until_leaves_before_the_update(execution, gpu) -> None:
    sample = SAMPLES["diverging"]
    expected, _ = wanted(sample)
    binding, own = bound(sample, execution)
    before = {name: array.copy() for name, array in own.items()}
    outcome = binding.run()
    assert expected.stopped
    assert (outcome.iterations, outcome.stopped) == (expected.iterations, 0)
    binding.pull()
    assert not same(own, before)


@pytest.mark.parametrize("execution", EXECUTIONS)
def test_runs_go_on_where_the_last_one_ended(execution, gpu) -> None:
    sample = SAMPLES["trained"]
    whole, once = bound(sample, execution)
    whole.run()
    whole.pull()
    parted, twice = bound(sample, execution)
    steps = sample.sizes["steps"]
    for first in range(2):
        assert parted.run({"steps": steps}).iterations == steps
        parted.pull()
        if first == 0:
            assert same(twice, once)
    assert not same(twice, once)


def test_the_last_run_of_a_stop_is_one_iteration(gpu) -> None:
    for execution in EXECUTIONS:
        binding, _ = bound(SAMPLES["trained"], execution)
        binding.stop()
        assert binding.run().iterations == 1
        assert binding.run().iterations == SAMPLES["trained"].sizes["steps"]


def test_what_the_host_writes_into_the_state_counts_after_a_push(gpu) -> None:
    def twice(*, writes: bool, pushes: bool) -> dict:
        binding, own = bound(SAMPLES["trained"], PERSISTENT)
        binding.run()
        binding.pull()
        own["W1"][...] *= 2 if writes else 1
        if pushes:
            binding.push()
        binding.run()
        binding.pull()
        return own

    plain = twice(writes=False, pushes=False)
    assert same(twice(writes=True, pushes=False), plain)
    assert same(twice(writes=False, pushes=True), plain)
    assert not same(twice(writes=True, pushes=True), plain)


def test_a_missing_grid_barrier_is_noticed(gpu, monkeypatch) -> None:
    """The planted fault: the program without one of its barriers, on two blocks."""
    on_blocks(monkeypatch, 2)
    sample = SAMPLES["trained"]
    planned = optimise(sample.program)[-1][1]
    assert barriers(planned) > 1
    noticed = 0
    _, arrays = wanted(sample)
    for number in range(2):
        broken = without_barrier(planned, number)
        made = assemble((("broken", broken),), Options(target="cuda", execution=PERSISTENT))
        own = sample.arrays()
        try:
            binding = made.bind(sample.sizes, own)
            binding.run()
            binding.pull()
            noticed += not same(own, arrays, 1e-14)
        except PtxError:
            noticed += 1
    assert noticed


def test_memory_is_kept_for_the_next_binding(gpu) -> None:
    made = compiled(SAMPLES["softmax"].program, PERSISTENT)
    for _ in range(3):
        binding = made.bind(SAMPLES["softmax"].sizes, SAMPLES["softmax"].arrays())
        binding.run()
        del binding
    assert len(gpu.memory.ranges) == 1


def test_compiling_needs_no_device_and_binding_says_that_there_is_none(monkeypatch) -> None:
    def absent():
        raise DeviceError("no GPU can be used: none here")

    monkeypatch.setattr(device, "current", absent)
    made = compiled(SAMPLES["softmax"].program)
    assert ".entry" in made.images[0].ptx
    assert made.execution.startswith(made.nominal.kind)
    assert "estimated" in made.execution
    with pytest.raises(DeviceError, match="no GPU can be used"):
        made.bind(SAMPLES["softmax"].sizes, SAMPLES["softmax"].arrays())


def test_arrays_that_do_not_fit_are_refused(gpu) -> None:
    sample = SAMPLES["softmax"]
    made = compiled(sample.program, PERSISTENT)
    arrays = sample.arrays()
    with pytest.raises(BindError, match="x must be"):
        made.bind(sample.sizes, arrays | {"x": arrays["x"].astype(np.float32)})
    with pytest.raises(BindError, match="needs the size"):
        made.bind({}, arrays)


def test_two_programs_share_images(gpu) -> None:
    first = compiled(SAMPLES["softmax"].program, PERSISTENT)
    again = compiled(replace(SAMPLES["softmax"].program, name="again"), PERSISTENT)
    assert again.compiled == 0
    assert first.images[0].key == again.images[0].key


def test_the_model_takes_one_kernel_for_small_programs_and_launches_for_large_ones() -> None:
    sizes = tuple(SizeRule(name) for name in "nmk")
    buffers = (argument("a", "n", "k"), argument("b", "k", "m"), state("c", "n", "m"))
    product = contract("c:im", "a:ik", "b:km", {"i": "n", "k": "k", "m": "m"})
    steps = Loop("t", 3, Sequence(), (product, product))
    program = optimise(Program("product", sizes, buffers, (steps,)))[-1][1]
    free = ["n", "m", "k"]
    small = choose(program, dict.fromkeys(free, 16), 132)
    large = choose(program, dict.fromkeys(free, 4096), 132)
    assert (small.kind, large.kind) == (PERSISTENT, LAUNCHES)
    assert "estimated" in small.why
    assert choose(program, dict.fromkeys(free, 16), 132, asked=LAUNCHES).kind == LAUNCHES
    nested = choose(program, dict.fromkeys(free, 4096), 132, recordable=False)
    assert nested.kind == PERSISTENT


def test_products_are_cut_into_squares_that_fill_the_gpu() -> None:
    sizes = tuple(SizeRule(name) for name in "nmk")
    buffers = (argument("a", "n", "k", dtype="float32"), argument("b", "k", "m", dtype="float32"),
               state("c", "n", "m", dtype="float32"))  # fmt: skip
    product = contract("c:im", "a:ik", "b:km", {"i": "n", "k": "k", "m": "m"}, dtype="float32")
    made = compiled(Program("product", sizes, buffers, (product,)), LAUNCHES)
    found = made.assembled(LAUNCHES)
    (row,) = [row for row in range(len(found.table)) if _is_product(found, row)]

    def cut(rows: int, columns: int) -> tuple[int, int, int]:
        table = found.plan.numbers({"n": rows, "m": columns, "k": 32})
        assert spread_products(found, table, 264)[0, int(found.table[row, 2]) + 2] in (64, 128)
        return squares(found, table, row, 264)

    assert cut(128, 512) == (64, 2, 8)
    assert cut(64, 10) == (64, 1, 1)
    assert cut(4096, 4096) == (128, 32, 8)
    assert cut(100_000, 10) == (128, 782, 1)
    assert cut(0, 10) == (64, 1, 1)


def _is_product(found, row: int) -> bool:
    return found.table[row, 0] == 0 and int(found.table[row, 1]) in found.products


def test_functions_of_the_persistent_kernel_stay_functions(gpu) -> None:
    made = compiled(SAMPLES["softmax"].program, PERSISTENT)
    assert "separate_0" in made.images[0].ptx
    assert "separate_function" in persistent.persistent(made.nominal.sources)
    assert not any(isinstance(one, Barrier) for one in SAMPLES["softmax"].program.body)


def test_only_the_grid_barrier_forgets_what_was_read(gpu) -> None:
    """An acquiring load empties the multiprocessor's first cache: one block alone needs none."""
    text = persistent.persistent(compiled(SAMPLES["trained"].program, PERSISTENT).nominal.sources)
    assert "seen(" not in text
    assert text.count("grid_barrier(") == 2


@pytest.mark.parametrize("room", ["none", "but for the table", "for all"])
@pytest.mark.parametrize("blocks", [1, 3])
def test_what_is_copied_near_changes_no_bit(room, blocks, gpu, monkeypatch) -> None:
    on_blocks(monkeypatch, blocks)
    sample = SAMPLES["trained"]
    _, arrays = wanted(sample)
    binding, _ = bound(sample, PERSISTENT)
    words = binding._layout.table.shape[1] + len(binding._made.launch.pointers)
    left = {"none": words - 1, "but for the table": words, "for all": None}[room]
    if left is not None:
        monkeypatch.setattr(persistent, "_taken", lambda sources: SHARED_LIMIT - 8 * left)
    binding, own = bound(sample, PERSISTENT)
    binding.run()
    binding.pull()
    assert same(own, arrays, 1e-14)


def test_a_copy_where_functions_work_is_a_race(gpu, monkeypatch) -> None:
    """The planted fault: the driver takes the functions to use no shared memory."""
    monkeypatch.setattr(persistent, "_taken", lambda sources: 0)
    with pytest.raises(Race, match="shared memory"):
        bound(SAMPLES["trained"], PERSISTENT)[0].run()


def test_a_copy_that_nobody_waits_for_is_a_race(gpu, monkeypatch) -> None:
    """The planted fault: the driver without the barrier behind its first copies."""
    text = persistent._DRIVER
    begun, end = text.index("    if copies:"), text.index("    stops = ")
    broken = text[begun:end].replace("        block_barrier()\n", "")
    assert broken != text[begun:end]
    monkeypatch.setattr(persistent, "_DRIVER", text[:begun] + broken + text[end:])
    with pytest.raises(Race, match="shared memory"):
        bound(SAMPLES["trained"], PERSISTENT)[0].run()
