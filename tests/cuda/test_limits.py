"""What is too large for the indices of a GPU, or lies on another one, is refused beforehand."""

import pytest

from codegen.compile import Options, compile_program
from codegen.cuda import device
from codegen.cuda.device import DeviceError
from codegen.cuda.limits import MOST, require_countable
from codegen.ir import Any, Loop, Program, Sequence, SizeRule, Store, Tree
from codegen.scalar import Axis, Constant, Ref
from tests.codegen.build import argument, state
from tests.codegen.samples import SAMPLES, contract
from tests.ptx.device import SimulatedDevice

SIZES = tuple(SizeRule(name) for name in "nmk")


def program(*body, buffers=()) -> Program:
    return Program("large", SIZES, buffers, body)


def over(axis: str, order, *body) -> Loop:
    return Loop(axis, axis, order, body, label=f"the loop {axis}")


def refused(made: Program, **sizes: int) -> str:
    try:
        require_countable(made, sizes)
    except DeviceError as fault:
        return str(fault)
    return ""


def test_buffers_have_less_than_two_to_the_31_elements() -> None:
    made = program(buffers=(argument("a", "n", "m"),))
    assert not refused(made, n=MOST, m=1)
    assert "large: a would have 2147483648 elements" in refused(made, n=1 << 16, m=1 << 15)


def test_nested_loops_count_together_and_folds_by_themselves() -> None:
    store = Store(Ref("a", (Axis("n"),)), Constant(0.0, "float64"))
    nested = program(over("n", Any(1), over("m", Any(), store)))
    assert not refused(nested, n=1 << 15, m=1 << 15)
    assert "the loop n would take 4294967296 iterations" in refused(nested, n=1 << 16, m=1 << 16)
    parted = program(over("n", Any(1), over("m", Sequence(), over("k", Any(), store))))
    assert not refused(parted, n=1 << 16, m=1 << 16, k=1 << 15)
    assert "the loop k" in refused(parted, n=1, m=1, k=1 << 31)
    folded = program(over("n", Any(1), over("m", Tree("sum", ("v",), 1024), store)))
    assert not refused(folded, n=1 << 30, m=1 << 30)


def test_a_product_counts_its_results() -> None:
    buffers = (argument("a", "n", "k"), argument("b", "k", "m"), state("c", "n", "m"))
    product = contract("c:im", "a:ik", "b:km", {"i": "n", "k": "k", "m": "m"})
    assert not refused(program(product), n=1 << 15, m=1 << 15, k=1 << 30)
    assert "iterations" in refused(program(product), n=1 << 16, m=1 << 16, k=1)
    assert "c would have" in refused(program(product, buffers=buffers), n=1 << 16, m=1 << 16, k=1)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimulatedDevice:
    made = SimulatedDevice(multiprocessors=4)
    monkeypatch.setattr(device, "current", lambda: made)
    return made


def test_binding_refuses_before_it_takes_memory(gpu) -> None:
    sample = SAMPLES["softmax"]
    made = compile_program(sample.program, Options(target="cuda", execution="persistent"))
    with pytest.raises(DeviceError, match="on a GPU"):
        made.bind(dict.fromkeys(sample.sizes, 1 << 20), sample.arrays())
    assert not gpu.memory.ranges


def test_an_array_on_another_gpu_is_refused(gpu) -> None:
    sample = SAMPLES["softmax"]
    made = compile_program(sample.program, Options(target="cuda", execution="persistent"))
    arrays = sample.arrays()

    class Elsewhere:
        @property
        def __cuda_array_interface__(self) -> dict:
            told = arrays["x"].__array_interface__
            return {**told, "data": (0x7000, False), "strides": None}

    with pytest.raises(DeviceError, match="another GPU"):
        made.bind(sample.sizes, arrays | {"x": Elsewhere()})
