"""Losses and metrics against torch, values and gradients, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import symnet as sn
from symnet import losses, metrics
from symnet.errors import DtypeError, GraphError, ShapeError, SymnetError
from symnet.expr import Expr
from symnet.ops.core import size_value
from symnet.reference import evaluate
from symnet.sizes import multiply_sizes

N, K = 7, 4
RANDOM = np.random.default_rng(0)
DATA: dict[str, Any] = {
    "z": RANDOM.normal(size=(N, K)) * 3,
    "y": RANDOM.normal(size=(N, K)),
    "s": RANDOM.normal(size=N) * 3,
    "t": (RANDOM.random(N) > 0.5).astype(float),
    "labels": RANDOM.integers(0, K, N),
    "short": RANDOM.integers(0, K, N).astype(np.int32),
    "soft": RANDOM.dirichlet(np.ones(K), N),
    "hot": np.eye(K)[RANDOM.integers(0, K, N)],
    "p": RANDOM.dirichlet(np.ones(K), N),
    "q": RANDOM.random(N),
    "w": RANDOM.random(N) + 0.1,
    "c": RANDOM.random(K) + 0.1,
}
REDUCTIONS = ("mean", "sum", "none")
Case = tuple[str, Callable[..., Expr], Callable[..., torch.Tensor]]


def own(name: str) -> Expr:
    value = DATA[name]
    return sn.input(name, ("N", *value.shape[1:]) if name != "c" else (K,), value.dtype)


def kl(z: torch.Tensor, soft: torch.Tensor, reduction: str) -> torch.Tensor:
    each = F.kl_div(F.log_softmax(z, -1), soft, reduction="none").sum(-1)
    return reduce(each, reduction)


def reduce(each: torch.Tensor, reduction: str) -> torch.Tensor:
    return {"mean": torch.mean, "sum": torch.sum, "none": torch.clone}[reduction](each)


def long(labels: torch.Tensor) -> torch.Tensor:
    return labels.long()


CASES: dict[str, Case] = {
    "mse": ("z y", losses.mse, lambda z, y, r: F.mse_loss(z, y, reduction=r)),
    "mae": ("z y", losses.mae, lambda z, y, r: F.l1_loss(z, y, reduction=r)),
    "huber": (
        "z y",
        lambda z, y, **k: losses.huber(z, y, 0.7, **k),
        lambda z, y, r: F.huber_loss(z, y, delta=0.7, reduction=r),
    ),
    "weighted": (
        "s t w",
        lambda s, t, w, **k: losses.mse(s, t, weight=w, **k),
        lambda s, t, w, r: reduce(w * (s - t) ** 2, r),
    ),
    "hinge": (
        "s t",
        lambda s, t, **k: losses.hinge(s, 2 * t - 1, **k),
        lambda s, t, r: reduce(torch.relu(1 - (2 * t - 1) * s), r),
    ),
    "binary": (
        "s t",
        losses.binary_cross_entropy,
        lambda s, t, r: F.binary_cross_entropy_with_logits(s, t, reduction=r),
    ),
    "binary, weighted": (
        "s q w",
        lambda s, q, w, **k: losses.binary_cross_entropy(s, q, weight=w, **k),
        lambda s, q, w, r: F.binary_cross_entropy_with_logits(s, q, weight=w, reduction=r),
    ),
    "binary from probabilities": (
        "q t",
        losses.binary_cross_entropy_from_probabilities,
        lambda q, t, r: F.binary_cross_entropy(q, t, reduction=r),
    ),
    "from probabilities, labels": (
        "p labels",
        losses.cross_entropy_from_probabilities,
        lambda p, y, r: F.nll_loss(torch.log(p), y, reduction=r),
    ),
    "from probabilities, one-hot": (
        "p hot",
        losses.cross_entropy_from_probabilities,
        lambda p, y, r: reduce(-(y * torch.log(p)).sum(-1), r),
    ),
    "kl": ("z soft", losses.kl_divergence, kl),
    "kl, one-hot": ("z hot", losses.kl_divergence, kl),
    "nll": ("z labels", losses.nll, lambda z, y, r: F.nll_loss(z, y, reduction=r)),
    "nll, class weights": (
        "z labels c",
        lambda z, y, c, **k: losses.nll(z, y, class_weight=c, **k),
        lambda z, y, c, r: F.nll_loss(z, y, weight=c, reduction=r),
    ),
}
for _target in ("labels", "short", "soft", "hot"):
    for _smooth in (0.0, 0.1):
        CASES[f"cross entropy, {_target}, {_smooth}"] = (
            f"z {_target}",
            lambda z, y, s=_smooth, **k: losses.cross_entropy(z, y, label_smoothing=s, **k),
            lambda z, y, r, s=_smooth: F.cross_entropy(
                z, long(y) if y.ndim == 1 else y, label_smoothing=s, reduction=r
            ),
        )
        CASES[f"cross entropy, {_target}, {_smooth}, class weights"] = (
            f"z {_target} c",
            lambda z, y, c, s=_smooth, **k: losses.cross_entropy(
                z, y, class_weight=c, label_smoothing=s, **k
            ),
            lambda z, y, c, r, s=_smooth: F.cross_entropy(
                z, long(y) if y.ndim == 1 else y, weight=c, label_smoothing=s, reduction=r
            ),
        )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_torchs(name: str, reduction: str):
    operands, mine, theirs = CASES[name]
    names = operands.split()
    exprs = [own(key) for key in names]
    feeds = {key: DATA[key] for key in names}
    loss = mine(*exprs, reduction=reduction)
    tensors = [torch.tensor(DATA[key]) for key in names]
    tensors[0].requires_grad_()
    true = theirs(*tensors, reduction)
    assert loss.ndim == true.ndim
    true.sum().backward()
    value, gradient = evaluate([loss, sn.grad(sn.sum(loss), exprs[0])], feeds)
    np.testing.assert_allclose(value, true.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(gradient, tensors[0].grad.numpy(), rtol=1e-11, atol=1e-14)


def test_the_mean_squared_error_is_a_sum_of_squares_over_the_size():
    z, y = own("z"), own("y")
    count = size_value(multiply_sizes(z.shape), z.dtype)
    assert losses.mse(z, y) is sn.sum((z - y) ** 2) / count


def test_cross_entropy_is_minus_the_mean_of_what_is_picked():
    z, y = own("z"), own("labels")
    loss = losses.cross_entropy(z, y)
    assert loss.op.name == "negative"
    picked = sn.take_along_axis(sn.log_softmax(z), sn.expand_dims(y, -1), -1)[:, 0]
    feeds = {"z": DATA["z"], "labels": DATA["labels"]}
    value, expected = evaluate([loss, -sn.mean(picked)], feeds)
    assert value == expected


def test_leading_axes_are_all_batch():
    z = sn.input("z", ("B", "T", K), "float64")
    y = sn.input("y", ("B", "T"), "int64")
    logits, labels = RANDOM.normal(size=(2, 3, K)), RANDOM.integers(0, K, (2, 3))
    true = F.cross_entropy(torch.tensor(logits).reshape(6, K), torch.tensor(labels).reshape(6))
    found = evaluate(losses.cross_entropy(z, y), {"z": logits, "y": labels})
    assert found == pytest.approx(float(true), rel=1e-13)


def test_probabilities_of_zero_and_one():
    p, t = own("q"), own("t")
    loss = losses.binary_cross_entropy_from_probabilities(p, t, reduction="none")
    right = np.array([0.0, 1.0, 0.0, 1.0])
    feeds = {"q": right, "t": right}
    value, gradient = evaluate([loss, sn.grad(sn.sum(loss), p)], feeds)
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(gradient, [1, -1, 1, -1])
    assert evaluate(sn.sum(loss), {"q": right, "t": 1 - right}) == np.inf


def test_labels_of_any_dtype_serve_two_classes():
    s = own("s")
    for dtype in ("bool", "int32", "int64", "float32"):
        t = sn.input("t", ("N",), dtype)
        loss = losses.binary_cross_entropy(s, t)
        found = evaluate(loss, {"s": DATA["s"], "t": DATA["t"].astype(dtype)})
        true = F.binary_cross_entropy_with_logits(torch.tensor(DATA["s"]), torch.tensor(DATA["t"]))
        assert found == pytest.approx(float(true), rel=1e-13)


def test_weights_may_be_numbers_and_arrays():
    z, y = own("z"), own("y")
    feeds = {"z": DATA["z"], "y": DATA["y"]}
    plain = evaluate(losses.mse(z, y), feeds)
    assert evaluate(losses.mse(z, y, weight=2), feeds) == pytest.approx(2 * plain)
    single = sn.input("z", ("N", K)), sn.input("y", ("N", K))
    assert losses.mse(*single, weight=np.ones(K)).dtype == np.float32
    masked = losses.mse(z, y, weight=z > 0, reduction="sum")
    mask = DATA["z"] > 0
    assert evaluate(masked, feeds) == pytest.approx(((DATA["z"] - DATA["y"])[mask] ** 2).sum())


def test_l2_sums_the_squares():
    w, b = sn.parameter("w", init=[3.0, 4.0]), sn.parameter("b", init=2.0)
    assert evaluate(losses.l2([w, b])) == 29


def test_accuracy():
    labels, hot = own("labels"), own("hot")
    z, s = own("z"), own("s")
    best = DATA["z"].argmax(1)
    feeds = {"z": DATA["z"], "labels": DATA["labels"], "hot": DATA["hot"]}
    found = evaluate([metrics.accuracy(z, labels), metrics.accuracy(z, hot)], feeds)
    assert found[0] == pytest.approx((best == DATA["labels"]).mean())
    assert found[1] == pytest.approx((best == DATA["hot"].argmax(1)).mean())
    true = ((DATA["s"] > 0) == (DATA["t"] > 0)).mean()
    for target in (DATA["t"], 2 * DATA["t"] - 1, DATA["t"] > 0, DATA["t"].astype(int)):
        t = sn.input("t", ("N",), target.dtype)
        feeds = {"s": DATA["s"], "t": target}
        assert evaluate(metrics.accuracy(s, t), feeds) == pytest.approx(true)
        column = metrics.accuracy(sn.expand_dims(s, 1), sn.expand_dims(t, 1))
        assert evaluate(column, feeds) == pytest.approx(true)


def test_r2():
    z, y = own("z"), own("y")
    feeds = {"z": DATA["z"], "y": DATA["y"]}
    true = 1 - ((DATA["z"] - DATA["y"]) ** 2).sum() / ((DATA["y"] - DATA["y"].mean()) ** 2).sum()
    assert evaluate(metrics.r2(z, y), feeds) == pytest.approx(true)
    assert evaluate(metrics.r2(y, y), feeds) == 1


def column() -> Expr:
    return sn.input("c", ("N", 1), "float64")


def integers(*shape: int | str) -> Expr:
    return sn.input("k", shape, "int64")


REFUSED: list[tuple[Callable[[], object], type[SymnetError], str]] = [
    (lambda: losses.mse(column(), own("t")), ShapeError, r"equal shapes; .*c\[:, 0\]"),
    (lambda: losses.mse(own("t"), column()), ShapeError, r"the target by c\[:, 0\]"),
    (lambda: losses.mse(own("z"), own("t")), ShapeError, "equal shapes; reshape"),
    (lambda: losses.mse(own("z"), 0.0), GraphError, "expected an expression, got float"),
    (lambda: losses.mse(own("t"), integers("N")), DtypeError, "k .* is int64"),
    (lambda: losses.mse(own("t"), own("t"), reduction="avg"), GraphError, "mean, sum or none"),
    (lambda: losses.mse(own("t"), own("t"), weight=np.ones((3, 1))), ShapeError, "enlarge"),
    (lambda: losses.mse(own("t"), own("t"), weight=column()), ShapeError, "named size N on 2"),
    (lambda: losses.mse(own("z"), own("y"), weight=own("w")), ShapeError, "weight"),
    (lambda: losses.binary_cross_entropy(column(), own("t")), ShapeError, "equal shapes"),
    (lambda: losses.binary_cross_entropy(column(), integers("N")), ShapeError, "equal shapes"),
    (lambda: losses.hinge(own("s"), sn.input("b", ("N",), "bool")), DtypeError, "-1 and 1"),
    (lambda: losses.cross_entropy(own("z"), own("t")), DtypeError, "dtype='int64'"),
    (lambda: losses.cross_entropy(own("z"), integers("N", K)), DtypeError, "one-hot rows"),
    (lambda: losses.cross_entropy(own("z"), integers("N", 1)), ShapeError, r"k\[:, 0\]"),
    (lambda: losses.cross_entropy(own("z"), integers("M")), ShapeError, "integer labels"),
    (lambda: losses.cross_entropy(column(), integers("N")), ShapeError, "two classes"),
    (lambda: losses.cross_entropy(integers("N", K), integers("N")), DtypeError, "is int64"),
    (
        lambda: losses.cross_entropy(own("z"), own("labels"), class_weight=[1.0, 2.0]),
        ShapeError,
        "each of the 4 classes",
    ),
    (
        lambda: losses.cross_entropy(own("z"), own("labels"), label_smoothing=1.5),
        GraphError,
        "between 0 and 1",
    ),
    (lambda: losses.l2([]), GraphError, "no parameters"),
    (lambda: metrics.accuracy(column(), integers("N")), ShapeError, "one logit a row"),
    (lambda: metrics.accuracy(own("z"), integers("N", 1)), ShapeError, "do not fit"),
    (lambda: metrics.accuracy(integers("N", K), integers("N")), DtypeError, "not floating"),
]


@pytest.mark.parametrize(("make", "error", "says"), REFUSED)
def test_what_does_not_fit_is_refused(
    make: Callable[[], object], error: type[SymnetError], says: str
):
    with pytest.raises(error, match=says):
        make()
