"""What the compiler and the machine report reaches a user as an error of ours, in words."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import codegen.compile
import symnet as sn
from codegen import cache
from codegen.check import ProgramError
from codegen.cpu.errors import CompileError as Refused
from codegen.cuda import pieces
from codegen.cuda.device import DeviceError as Fault
from codegen.layout import BindError
from symnet.cli.main import main
from symnet.device_arrays import DeviceArray
from symnet.errors import (
    CompileError,
    DeviceError,
    FeedError,
    GraphError,
    OutOfMemoryError,
    TrainingError,
)
from symnet.faults import faults_told
from symnet.lazy import available
from symnet.room import room, show_bytes

HERE = Path(__file__).name
DATA = {"X": np.zeros((40, 2)), "Y": np.ones((40, 1))}
needs_wheels = pytest.mark.skipif(
    not available("numba_cuda"), reason="there are no wheels of the compilers for GPUs here"
)


def loss_of() -> sn.Expr:
    x, y = sn.input("X", ("N", 2)), sn.input("Y", ("N", 1))
    return sn.losses.mse(sn.nn.Dense(2, 1, name="out")(x), y)


def trainer(**options: Any) -> sn.Trainer:
    return sn.Trainer(loss_of(), sn.optim.Adam(1e-2), **options)


CHANGES: dict[str, Callable[[Any], None]] = {
    "written to, and the array given is read-only": lambda array: array.setflags(write=False),
    r"must be a C-contiguous float32 array of shape \(2, 1\), not float32 of shape \(1, 2\)": (
        lambda array: setattr(array, "shape", (1, 2))
    ),
    "not int32": lambda array: setattr(array, "dtype", np.int32),
}


@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")
@pytest.mark.parametrize(("told", "change"), CHANGES.items())
@pytest.mark.parametrize("use", ["fit", "step", "call"])
def test_a_parameter_whose_array_was_changed_is_named_with_its_line(
    told: str, change: Callable[[Any], None], use: str
) -> None:
    made = trainer()
    loss = made.model.loss
    function = sn.compile(loss, {loss.parameters()[0]: loss.parameters()[0] * 0.5})
    calls: dict[str, Callable[[], object]] = {
        "fit": lambda: made.fit(DATA, epochs=1),
        "step": lambda: made.step(DATA),
        "call": lambda: function(DATA),
    }
    change((function if use == "call" else made).parameters["W_out"])
    with pytest.raises(FeedError, match=rf"array of W_out \(made at .*{HERE}:\d+.*{told}"):
        calls[use]()


def test_a_read_only_parameter_is_refused_wherever_values_are_written() -> None:
    made = trainer()
    state = made.state_dict()
    made.parameters["W_out"].setflags(write=False)
    with pytest.raises(FeedError, match="W_out cannot be written to"):
        made.parameters["W_out"] = 1.0
    with pytest.raises(FeedError, match="W_out cannot be written to"):
        made.load_state_dict(state)
    w = sn.parameter("w", (3,))
    function = sn.compile(w, {w: w + 1})
    function.parameters["w"].setflags(write=False)
    with pytest.raises(FeedError, match="w cannot be written to"):
        function({"w": np.ones(3)})


def attention() -> sn.Expr:
    a, w = sn.input("A", ("N", 1)), sn.parameter("w", (1, 1), init=1.0)
    mixed = sn.softmax(a @ a.T, axis=1)
    return sn.mean((mixed @ a @ w) ** 2) + sn.mean(sn.sin(mixed) @ a)


LONG = {"A": np.zeros((3_000_000, 1), np.float32)}
TOO_MUCH = rf"not enough memory.* at .*{HERE}:\d+, 3000000×3000000 float32, alone takes 32\.74 TiB"


def test_what_needs_too_much_memory_on_the_way_is_named() -> None:
    with pytest.raises(OutOfMemoryError, match=TOO_MUCH):
        sn.compile(attention())(LONG)
    made = sn.Trainer(attention(), sn.optim.SGD(0.1))
    with pytest.raises(OutOfMemoryError, match=TOO_MUCH):
        made.fit(LONG, epochs=1, batch_size=None)
    with pytest.raises(OutOfMemoryError, match=TOO_MUCH):
        made.evaluate(LONG)
    with pytest.raises(OutOfMemoryError, match=TOO_MUCH):
        made.fit_many(LONG, seeds=[1], epochs=1, batch_size=None)


@pytest.mark.parametrize(("count", "told"), [(1 << 24, "1 PiB"), (1 << 31, "16 EiB")])
def test_parameters_that_are_too_large_are_named(count: int, told: str) -> None:
    with pytest.raises(OutOfMemoryError, match=rf"parameter w \(at .*{HERE}:\d+\): .*{told}"):
        sn.parameter("w", (count, count), init=0.0)
    w = sn.parameter("w", (count, count), init=lambda shape, random: np.empty(shape))
    with pytest.raises(OutOfMemoryError, match=rf"w \(made at .*{HERE}:\d+\): .*{told}"):
        sn.compile(sn.sum(w))


def test_room_says_what_there_is_none_for() -> None:
    assert room("an output", (2, 3), np.dtype("float32")).shape == (2, 3)
    with pytest.raises(OutOfMemoryError, match="memory for an output: 1099511627776×9 float64"):
        room("an output", (1 << 40, 9), np.dtype("float64"))
    assert [show_bytes(count) for count in (5, 1536, 1 << 70)] == ["5 B", "1.5 KiB", "1024 EiB"]


def test_more_sampled_sizes_than_a_loop_can_count() -> None:
    w, names = sn.parameter("w", (), init=1.0), [f"M{k}" for k in range(9)]
    parts = [sn.mean((w * sn.input(f"x{name}", (name,)) - 1.0) ** 2) for name in names]
    feeds = {f"x{name}": np.ones(7, np.float32) for name in names}
    sizes: dict[str, int | None] = dict.fromkeys(names, 3)
    made = sn.Trainer(sum(parts[1:], parts[0]), sn.optim.SGD(0.1))
    with pytest.raises(TrainingError, match=r"at most 8 named sizes, here along 9: M0, .*M8"):
        made.fit(feeds, epochs=1, batch_size=sizes)
    made.fit(feeds, epochs=1, batch_size={**sizes, "M0": None})


def test_more_threads_than_any_machine_has_cores() -> None:
    assert trainer(threads=1024)
    with pytest.raises(GraphError, match="threads is at most 1024, got 1025"):
        trainer(threads=1025)


def test_a_folder_for_kernels_that_cannot_be_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(stat.S_IRWXU | stat.S_IWOTH)
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path))
    cache.forget()
    made = trainer()
    with pytest.raises(CompileError, match="can be written by others: chmod go-w it"):
        sn.compile(loss_of())
    with pytest.raises(CompileError, match="can be written by others"):
        made.fit(DATA, epochs=1)


@pytest.mark.parametrize("fault", [Refused("refused: oh\nx = 1"), ProgramError("p: oh\nx = 1")])
def test_a_fault_of_the_compiler_is_one_line(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise fault

    monkeypatch.setattr(codegen.compile, "optimise", refuse)
    for attempt in (lambda: sn.compile(loss_of()), lambda: trainer().fit(DATA, epochs=1)):
        with pytest.raises(CompileError, match=r"^a fault of symnet itself: .*oh$") as caught:
            attempt()
        assert caught.value.__suppress_context__
    assert main(["train", "moons", "--quiet"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_errors_of_others_pass_through() -> None:
    for error in (ValueError("mine"), MemoryError("mine"), FeedError("mine")):
        with pytest.raises(type(error)) as caught, faults_told():
            raise error
        assert caught.value is error
    with pytest.raises(CompileError, match="itself: p needs the size"), faults_told():
        raise BindError("p needs the size 'N'")


@needs_wheels
def test_a_missing_wheel_is_ours_with_its_pip_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYMNET_CACHE", str(tmp_path / "kernels"))
    monkeypatch.setitem(sys.modules, "numba_cuda", None)
    cache.forget()
    with pytest.raises(CompileError, match=r"^target cuda: .*pip install 'symnet\[cuda\]'$"):
        sn.compile(loss_of(), target="cuda")
    assert main(["export", "moons", "--cubin", "-o", "there"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("symnet: target cuda: ")
    assert told.count("\n") == 1
    assert not (tmp_path / "there").exists()


@needs_wheels
def test_without_nvdisasm_only_the_machine_code_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = pieces.find
    monkeypatch.setattr(pieces, "find", lambda one: None if one is pieces.NVDISASM else real(one))
    function = sn.compile(sn.tanh(sn.input("x", ("N",))), target="cuda")
    assert ".entry" in function.ptx
    assert "registers" in function.explain()
    with pytest.raises(CompileError, match=r"nvdisasm.*pip install 'symnet\[cuda\]'"):
        _ = function.sass


class Lost:
    """The memory of a GPU that is lost."""

    def take(self, count: int) -> int:
        return 0

    def give(self, count: int, address: int) -> None:
        """Takes it back."""

    def upload(self, address: int, array: object) -> None:
        raise Fault("cuMemcpyHtoDAsync gave error 700: an illegal address")

    download = upload


def test_a_lost_gpu_is_ours_wherever_arrays_are_looked_at() -> None:
    array = DeviceArray(Lost(), (3,), np.dtype("float32"))  # type: ignore[arg-type]
    for attempt in (array.numpy, lambda: array.write(np.zeros(3, np.float32))):
        with pytest.raises(DeviceError, match="error 700"):
            attempt()


def test_what_has_no_numbers_is_not_sent_to_a_gpu() -> None:
    for wrong in ("abc", [object()], np.zeros(2, complex), np.zeros(2, "datetime64[s]")):
        with pytest.raises(FeedError, match="to_device takes an array of numbers"):
            sn.to_device(wrong)


def test_one_kernel_is_one() -> None:
    x = sn.input("x", ("N",))
    assert sn.compile(sn.tanh(x)).explain().startswith("1 kernel, ")
    assert sn.compile([sn.sum(x), x @ x]).explain().startswith("4 kernels, ")
