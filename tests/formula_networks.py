"""Textbook networks as a user writes them: plain functions of expressions, for goldens and values.

`GOLDEN` have a printed sheet in data/formulas; `PLAIN` are the same without names of the user's, or
other spellings of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import symnet as sn
from symnet.expr import Expr

Network = Callable[[], Expr]
SIZES = {"N": 5, "T": 4, "B": 3, "K": 6}  # of named axes where a sheet is computed by hand
N, T = "N", "T"


def layer_norm() -> Expr:
    """Ba, Kiros and Hinton, Layer Normalization, 2016, behind a layer and before a loss."""
    x, y = sn.input("X", (N, 2)), sn.input("Y", (N, 3))
    w, gamma, beta = sn.parameter("W", (2, 3)), sn.parameter("γ", (3,)), sn.parameter("β", (3,))
    z = x @ w
    mean = sn.mean(z, axis=1, keepdims=True)
    deviation = sn.sqrt(sn.var(z, axis=1, keepdims=True) + 1e-5)
    return sn.mean(((z - mean) / deviation * gamma + beta - y) ** 2)


def layer_norm_named() -> Expr:
    x, y = sn.input("X", (N, 4)), sn.input("Y", (N, 4))
    gamma, beta = sn.parameter("gamma", (4,)), sn.parameter("beta", (4,))
    mu = sn.named("mu", sn.mean(x, axis=1, keepdims=True))
    sigma = sn.named("sigma", sn.sqrt(sn.mean((x - mu) ** 2, axis=1, keepdims=True) + 1e-5))
    hat = sn.named("x̂", (x - mu) / sigma)
    return sn.mean((hat * gamma + beta - y) ** 2)


def batch_norm() -> Expr:
    """Ioffe and Szegedy, Batch Normalization, 2015, Algorithm 1."""
    x, y = sn.input("X", (N, 2)), sn.input("Y", (N, 3))
    w, gamma, beta = sn.parameter("W", (2, 3)), sn.parameter("γ", (3,)), sn.parameter("β", (3,))
    z = sn.named("Z", x @ w)
    mean, variance = sn.mean(z, axis=0), sn.var(z, axis=0)
    hat = (z - mean) / sn.sqrt(variance + 1e-5)
    return sn.mean((hat * gamma + beta - y) ** 2)


def batch_norm_named() -> Expr:
    x, y, w = sn.input("X", (N, 2)), sn.input("Y", (N, 3)), sn.parameter("W", (2, 3))
    gamma, beta = sn.parameter("gamma", (3,)), sn.parameter("beta", (3,))
    z = sn.named("Z", x @ w)
    mu, v = sn.named("mu", sn.mean(z, axis=0)), sn.named("v", sn.var(z, axis=0))
    hat = sn.named("Ẑ", (z - mu) / sn.sqrt(v + 1e-5))
    return sn.mean((hat * gamma + beta - y) ** 2)


def _scores(query: Expr, key: Expr, causal: bool) -> Expr:
    scores = query @ key.T / math.sqrt(3)
    if not causal:
        return scores
    place = sn.arange(T)
    row, column = (sn.broadcast_to(p, (T, T)) for p in (place[:, None], place[None, :]))
    return sn.where(column <= row, scores, -math.inf)


def attention(causal: bool = False) -> Expr:
    """Vaswani et al., Attention Is All You Need, 2017, eq. 1: one head."""
    x, y = sn.input("X", (T, 5)), sn.input("Y", (T, 3))
    weights = [sn.parameter(f"W_{letter}", (5, 3)) for letter in "QKV"]
    q, k, v = (sn.named(letter, x @ w) for letter, w in zip("QKV", weights, strict=True))
    p = sn.named("P", sn.softmax(sn.named("S", _scores(q, k, causal))))
    return sn.mean((p @ v - y) ** 2)


def causal_attention() -> Expr:
    return attention(causal=True)


def attention_plain(causal: bool = False) -> Expr:
    x, y = sn.input("X", (T, 5)), sn.input("Y", (T, 3))
    q, k, v = (x @ sn.parameter(f"W_{letter}", (5, 3)) for letter in "QKV")
    return sn.mean((sn.softmax(_scores(q, k, causal)) @ v - y) ** 2)


def causal_attention_plain() -> Expr:
    return attention_plain(causal=True)


def attention_of_batches() -> Expr:
    x, y = sn.input("X", ("B", T, 5)), sn.input("Y", ("B", T, 3))
    q, k, v = (sn.named(c, x @ sn.parameter(f"W_{c}", (5, 3))) for c in "QKV")
    s = sn.named("S", sn.einsum("bqd,bkd->bqk", q, k) / math.sqrt(3))
    return sn.mean((sn.named("P", sn.softmax(s)) @ v - y) ** 2)


def convolution() -> Expr:
    """A layer of 1-D convolutions with two channels in and five out, by windows of length 3."""
    x, y = sn.input("X", (N, 2, 12)), sn.input("Y", (N, 5, 10))
    w, b = sn.parameter("W", (5, 2, 3)), sn.parameter("b", (5,))
    windows = sn.take(x, sn.arange(10)[:, None] + sn.arange(3)[None, :], axis=2)
    z = sn.named("Z", sn.einsum("ncts,ocs->not", windows, w) + b[:, None])
    return sn.mean((sn.relu(z) - y) ** 2)


def convolution_of_stacked_slices() -> Expr:
    x, y = sn.input("X", (N, 2, 12)), sn.input("Y", (N, 5, 10))
    w, b = sn.parameter("W", (5, 2, 3)), sn.parameter("b", (5,))
    windows = sn.stack([x[:, :, k : k + 10] for k in range(3)], axis=-1)
    z = sn.named("Z", sn.einsum("ncts,ocs->not", windows, w) + b[:, None])
    return sn.mean((sn.tanh(z) - y) ** 2)


def convolution_by_shifts() -> Expr:
    x, y = sn.input("X", (N, 12)), sn.input("Y", (N, 10))
    w, b = sn.parameter("w", (3,)), sn.parameter("b", ())
    z = sn.named("Z", sum((x[:, k : k + 10] * w[k] for k in range(3)), b))
    return sn.mean((sn.relu(z) - y) ** 2)


def two_convolutions() -> Expr:
    x, y = sn.input("X", (N, 9)), sn.input("Y", (N, 5))
    v, w = sn.parameter("v", (3,)), sn.parameter("w", (3,))
    places = [sn.constant([[t + s for s in range(3)] for t in range(size)]) for size in (7, 5)]
    h = sn.named("H", sn.tanh(sn.take(x, places[0], axis=1) @ v))
    return sn.mean((sn.take(h, places[1], axis=1) @ w - y) ** 2)


def lstm(steps: int = 1) -> Expr:
    """Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000."""
    inputs, units = 2, 3
    shapes = (("W", (inputs, units)), ("U", (units, units)), ("b", (units,)))
    layers = {g: [sn.parameter(f"{p}_{g}", shape) for p, shape in shapes] for g in "ifog"}
    h, c = sn.input("h_0", (N, units)), sn.input("c_0", (N, units))
    for t in range(1, steps + 1):
        x, gates = sn.input(f"x_{t}", (N, inputs)), {}
        for gate, (w, u, b) in layers.items():
            function = sn.tanh if gate == "g" else sn.sigmoid
            gates[gate] = sn.named(f"{gate}_{t}", function(x @ w + h @ u + b))
        c = sn.named(f"c_{t}", gates["f"] * c + gates["i"] * gates["g"])
        h = sn.named(f"h_{t}", gates["o"] * sn.tanh(c))
    return sn.mean((h - sn.input("Y", (N, units))) ** 2)


def lstm_of_two_steps() -> Expr:
    return lstm(2)


def lstm_plain(named: bool = False) -> Expr:
    """Two steps, with one product for all four gates."""
    units = 3
    w, u = sn.parameter("W", (2, 4 * units)), sn.parameter("U", (units, 4 * units))
    b = sn.parameter("b", (4 * units,))
    h, c = sn.input("h_0", (N, units)), sn.input("c_0", (N, units))
    for t in (1, 2):
        z = sn.input(f"x_{t}", (N, 2)) @ w + h @ u + b
        z = sn.named(f"z_{t}", z) if named else z
        i, f, o, g = (z[:, k * units : (k + 1) * units] for k in range(4))
        c = sn.sigmoid(f) * c + sn.sigmoid(i) * sn.tanh(g)
        h = sn.sigmoid(o) * sn.tanh(c)
    return sn.mean((h - sn.input("Y", (N, units))) ** 2)


def logistic_regression() -> Expr:
    x, y = sn.input("X", (N, 2)), sn.input("y", (N,))
    w, b = sn.parameter("w", (2,)), sn.parameter("b", ())
    z = sn.named("z", x @ w + b)
    return sn.losses.binary_cross_entropy(z, y) + 0.05 * sn.sum(w**2)


def pairs() -> Expr:
    x, v = sn.input("X", (N, 3)), sn.parameter("v", (3,))
    return sn.mean((x[:, :, None] * x[:, None, :] - v[:, None]) ** 2)


def columns_of_shares() -> Expr:
    z, y = sn.parameter("Z", (4, 3)), sn.input("Y", (4, 3))
    return sn.sum(sn.softmax(z, axis=0) * y) + sn.sum(sn.softmax(z, axis=(0, 1)) ** 2)


def joined_parts() -> Expr:
    x, y = sn.input("X", (N, 2)), sn.input("Y", (N, 5))
    v, w = sn.parameter("V", (2, 2)), sn.parameter("W", (2, 3))
    return sn.mean((sn.concat([sn.tanh(x @ v), x @ w], axis=1) - y) ** 2)


def padded_and_flattened() -> Expr:
    w, y = sn.parameter("W", (3, 4)), sn.input("y", (30,))
    wide = sn.pad(sn.sin(w), [(1, 1), (0, 2)])
    return sn.sum((sn.reshape(wide, (30,)) - y) ** 2) + sn.sum(sn.reshape(w, (2, 6))[0] ** 3)


def every_second() -> Expr:
    w, y = sn.parameter("W", (4, 6)), sn.input("Y", (4, 3))
    return sn.sum((sn.sin(w[:, ::2]) - y) ** 2) + sn.sum(w[::-1, 1] * y[:, 0])


GOLDEN: Mapping[str, Network] = {
    "layer_norm": layer_norm,
    "batch_norm": batch_norm,
    "attention": attention,
    "causal_attention": causal_attention,
    "convolution": convolution,
    "lstm": lstm,
    "lstm_of_two_steps": lstm_of_two_steps,
    "logistic_regression": logistic_regression,
}
PLAIN: Mapping[str, Network] = {
    network.__name__: network
    for network in (
        layer_norm_named, batch_norm_named, attention_plain, causal_attention_plain,
        attention_of_batches, convolution_of_stacked_slices, convolution_by_shifts,
        two_convolutions, lstm_plain, pairs, columns_of_shares, joined_parts,
        padded_and_flattened, every_second,
    )
}  # fmt: skip
