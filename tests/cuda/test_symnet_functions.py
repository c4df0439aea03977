"""`sn.compile(..., target="cuda")`, run by the PTX interpreter: arrays on the GPU in and out, what
the function holds there, what it shows of itself without a GPU."""

from __future__ import annotations

import re
import weakref

import numpy as np
import pytest

import symnet as sn
from codegen.cuda import device as devices
from symnet.device_arrays import DeviceArray
from symnet.errors import DeviceError, FeedError, GraphError
from tests.ptx.device import SimulatedDevice

HOST = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> SimulatedDevice:
    simulated = SimulatedDevice()
    monkeypatch.setattr(devices, "current", lambda: simulated)
    return simulated


def updating() -> sn.Function:
    """A product with a vector that doubles with each call."""
    w, x = sn.parameter("w", init=np.ones(5, np.float32)), sn.input("X", ("N", 5))
    return sn.compile({"product": x @ w, "sum": sn.sum(w)}, {w: w * 2}, target="cuda")


def test_what_comes_from_the_host_goes_there_and_what_is_on_the_gpu_stays(device: SimulatedDevice):
    f, given = updating(), sn.to_device(HOST)
    first = f(X=HOST)
    assert isinstance(first["product"], np.ndarray)
    assert first["sum"] == 5
    np.testing.assert_allclose(first["product"], HOST.sum(1), rtol=1e-5, atol=1e-6)
    second = f(X=given)
    assert isinstance(second["product"], DeviceArray)
    assert (second["sum"].shape, second["sum"].numpy()) == ((), 10)
    np.testing.assert_allclose(second["product"].numpy(), 2 * HOST.sum(1), rtol=1e-5, atol=1e-6)
    # What one function made is taken by another where it is.
    x = sn.input("X", ("N",))
    np.testing.assert_array_equal(
        sn.compile(-x, target="cuda")(X=second["product"]).numpy(), -second["product"].numpy()
    )


def test_parameters_stay_there_and_are_read_and_written_by_name(device: SimulatedDevice):
    f, given = updating(), sn.to_device(HOST)
    np.testing.assert_array_equal(f.parameters["w"], np.ones(5))
    for _ in range(3):
        f(X=given)
    held = f.parameters["w"]
    np.testing.assert_array_equal(held, np.full(5, 8))
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 1
    f.parameters["w"] = np.arange(5)
    assert f(X=given)["sum"].numpy() == 10
    # A feed for what is updated is written there first.
    assert f(X=given, w=sn.to_device(np.full(5, 3, np.float32)))["sum"].numpy() == 15
    assert f(X=given, w=np.full(5, 4))["sum"].numpy() == 20
    np.testing.assert_array_equal(f.parameters["w"], np.full(5, 8))
    assert repr(f.parameters) == "{w: 5}"
    with pytest.raises(FeedError, match="there is no 'v', there is w"):
        f.parameters["v"] = 1
    with pytest.raises(FeedError, match="w is 5 float32"):
        f.parameters["w"] = np.zeros(4)


def test_calls_with_the_same_arrays_bind_once_and_keep_nothing_of_others(
    device: SimulatedDevice, monkeypatch: pytest.MonkeyPatch
):
    f, bound = updating(), []
    bind = type(f.executable).bind
    monkeypatch.setattr(type(f.executable), "bind", lambda *given: bound.append(1) or bind(*given))
    given = sn.to_device(HOST)
    results = [f(X=given)["sum"].numpy() for _ in range(6)]
    assert [float(value) for value in results] == [5 * 2**k for k in range(6)]
    assert len(bound) == 1
    # A binding that is kept does not keep the array: its memory is given back.
    gone = weakref.ref(given)
    del given
    assert gone() is None
    kept = [f(X=sn.to_device(HOST)) for _ in range(20)]
    assert len(f._bindings) <= 8 < len({each["sum"].placed.address for each in kept})


def test_another_number_of_rows_is_another_binding(device: SimulatedDevice):
    f = updating()
    for rows in (7, 3, 1, 7):
        found = f(X=sn.to_device(HOST[:rows]))["product"]
        assert found.shape == (rows,)
    np.testing.assert_allclose(found.numpy(), 8 * HOST.sum(1), rtol=1e-5, atol=1e-5)


def test_without_a_gpu_it_shows_everything_but_does_not_run(monkeypatch: pytest.MonkeyPatch):
    def missing() -> None:
        raise devices.DeviceError("no GPU can be used: no NVIDIA driver was found")

    monkeypatch.setattr(devices, "current", missing)
    f = updating()
    assert ".target sm_90a" in f.ptx
    assert "EXIT" in f.sass
    told = f.explain()
    assert "sm_90a, float32" in told
    assert "persistent: " in told
    assert "supposes 128 for each named size" in told
    assert re.search(r"registers, .*spill.* bytes of shared memory", told)
    assert "w ← w 2" in told or "w ← 2 w" in told
    assert "def kernel" in f.source
    for name in ("llvm", "asm"):
        with pytest.raises(GraphError, match=r"f.ptx and f.sass"):
            getattr(f, name)
    with pytest.raises(DeviceError, match=r"no NVIDIA driver.*f.ptx, f.sass"):
        f(X=HOST)
    x = sn.input("X", ("N", 5))
    trainer = sn.Trainer(sn.mean(sn.nn.Dense(5, 1)(x) ** 2), sn.optim.SGD(0.1), target="cuda")
    with pytest.raises(DeviceError, match="no NVIDIA driver"):
        trainer.fit({"X": HOST}, epochs=1)
