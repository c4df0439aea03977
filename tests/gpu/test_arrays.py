"""Arrays of torch, CuPy and JAX in and out without copies, on a real GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.errors import FeedError

pytestmark = pytest.mark.gpu
HOST = np.random.default_rng(0).standard_normal((37, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def function() -> Any:
    x = sn.input("X", ("N", 8))
    return sn.compile(sn.tanh(x) * 2 + x, target="cuda")


def expected() -> np.ndarray:
    return np.tanh(HOST) * 2 + HOST


def test_numpy_in_numpy_out(function: Any):
    found = function(X=HOST)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, expected(), rtol=1e-6, atol=1e-7)


def test_torch(function: Any):
    torch = pytest.importorskip("torch")
    given = torch.from_numpy(HOST).cuda()
    found = function(X=given)
    seen = torch.as_tensor(found, device="cuda")
    assert seen.data_ptr() == found.__cuda_array_interface__["data"][0]
    np.testing.assert_allclose(seen.cpu().numpy(), expected(), rtol=1e-6, atol=1e-7)
    through = torch.from_dlpack(found)
    assert through.data_ptr() == seen.data_ptr()
    with pytest.raises(FeedError, match="strided"):
        function(X=torch.zeros(8, 37, device="cuda").T)
    with pytest.raises(FeedError, match="float64"):
        function(X=given.double())
    with pytest.raises(FeedError, match="X is fed a Tensor"):
        function(X=given.clone().requires_grad_())


def test_what_a_stream_of_torch_still_computes_is_waited_for(function: Any):
    torch = pytest.importorskip("torch")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        given = torch.zeros(37, 8, device="cuda")
        big = torch.randn(4096, 4096, device="cuda")
        for _ in range(20):
            big = big @ big * 1e-3
        given += torch.from_numpy(HOST).cuda() + big[0, 0] * 0
        given = torch.nan_to_num(given, nan=0.0)
        found = function(X=given)
    wanted = np.tanh(given.cpu().numpy()) * 2 + given.cpu().numpy()
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6, atol=1e-7)


def test_cupy(function: Any):
    cupy = pytest.importorskip("cupy")
    given = cupy.asarray(HOST)
    found = function(X=given)
    seen = cupy.asarray(found)
    assert seen.data.ptr == found.__cuda_array_interface__["data"][0]
    np.testing.assert_allclose(cupy.asnumpy(seen), expected(), rtol=1e-6, atol=1e-7)
    with cupy.cuda.Stream(non_blocking=True):
        np.testing.assert_allclose(function(X=given + 0).numpy(), expected(), rtol=1e-6, atol=1e-7)


def test_jax(function: Any):
    jax = pytest.importorskip("jax")
    if jax.default_backend() not in ("gpu", "cuda"):
        pytest.skip(f"JAX runs on {jax.default_backend()} here")
    given = jax.numpy.asarray(HOST)
    found = function(X=given)
    np.testing.assert_allclose(found.numpy(), expected(), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(np.asarray(jax.numpy.from_dlpack(found)), found.numpy())


def test_parameters_stay_on_the_gpu_and_data_is_not_copied():
    w, x = sn.parameter("w", init=np.ones(8, np.float32)), sn.input("X", ("N", 8))
    step = sn.compile(sn.sum(x @ w), {w: w * 2}, target="cuda")
    given = sn.to_device(HOST)
    for power in range(3):
        found = step(X=given)
        np.testing.assert_allclose(found.numpy(), HOST.sum() * 2**power, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(step.parameters["w"], np.full(8, 8, np.float32))
    step.parameters["w"] = np.zeros(8)
    assert step(X=given).numpy() == 0
    with pytest.raises(ValueError, match="read-only"):
        step.parameters["w"][0] = 1


def test_training_takes_data_where_it_is():
    x, y = sn.input("X", ("N", 8)), sn.input("Y", ("N",), dtype="int64")
    loss = sn.losses.cross_entropy(sn.nn.Dense(8, 3)(x), y)
    labels = np.random.default_rng(1).integers(0, 3, 37)
    fits = []
    for feeds in ({"X": HOST, "Y": labels}, {"X": sn.to_device(HOST), "Y": sn.to_device(labels)}):
        trainer = sn.Trainer(loss, sn.optim.SGD(0.1), target="cuda")
        fits.append(trainer.fit(feeds, epochs=3, batch_size=8, progress=False).step_loss)
    assert fits[0] == fits[1]
    with pytest.raises(FeedError, match="Y picks one of 3"):
        trainer.fit({"X": HOST, "Y": sn.to_device(labels + 1)}, epochs=1, batch_size=8)
