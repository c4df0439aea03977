"""PyTorch's functions, by their names in `op_cases.npz`, as compositions of symnet's.

Each takes PyTorch's arguments; tensors are Exprs. `MISSING` lists what symnet has not yet.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import symnet as sn
from symnet.expr import Expr
from symnet.functions import FUNCTIONS as OWN
from symnet.ops.gather import scatter_add

MISSING = {
    "adaptive_avg_pool2d", "avg_pool2d", "batch_norm", "conv1d", "conv2d", "conv_transpose2d",
    "cumprod", "cumsum", "group_norm", "instance_norm", "layer_norm", "max_pool2d", "rms_norm",
    "unfold",
}  # fmt: skip


def _axis(dim: Any) -> Any:
    """PyTorch's dim: None or an empty list for all."""
    return None if dim is None or dim == [] else tuple(dim) if isinstance(dim, list) else dim


def _reduction(row: Callable[..., Expr]) -> Callable[..., Expr]:
    def apply(x: Expr, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Expr:
        return row(x, axis=_axis(dim), keepdims=keepdim)

    return apply


def _spread(row: Callable[..., Expr]) -> Callable[..., Expr]:
    def apply(x: Expr, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
              correction: Any = None) -> Expr:  # fmt: skip
        by = (1 if unbiased else 0) if correction is None else correction
        return row(x, axis=_axis(dim), keepdims=keepdim, correction=by)

    return apply


def vector_norm(x: Expr, ord: float = 2, dim: Any = None, keepdim: bool = False) -> Expr:
    kept = {"axis": _axis(dim), "keepdims": keepdim}
    if ord == 2:
        return sn.norm(x, **kept)
    if math.isinf(ord):
        return (sn.max if ord > 0 else sn.min)(abs(x), **kept)
    if ord == 0:
        return sn.sum(sn.astype(x != 0, "float64"), **kept)
    return sn.sum(abs(x) ** ord, **kept) ** (1 / ord)


def normalize(x: Expr, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Expr:
    return x / sn.maximum(vector_norm(x, p, dim, keepdim=True), eps)


def prelu(x: Expr, weight: Expr) -> Expr:
    if weight.ndim == 1 and x.ndim > 1:
        weight = sn.reshape(weight, (1, -1, *(1 for _ in range(x.ndim - 2))))
    return sn.reshape(sn.prelu(x, weight), x.shape)


def softplus(x: Expr, beta: float = 1, threshold: float = 20) -> Expr:
    return sn.where(beta * x > threshold, x, sn.softplus(beta * x) / beta)


def glu(x: Expr, dim: int = -1) -> Expr:
    first, second = split(x, x.shape[dim] // 2, dim)
    return first * sn.sigmoid(second)


def linear(x: Expr, weight: Expr, bias: Expr | None = None) -> Expr:
    y = x @ sn.matrix_transpose(weight)
    return y if bias is None else y + bias


def bilinear(left: Expr, right: Expr, weight: Expr, bias: Expr | None = None) -> Expr:
    y = sn.einsum("...i,oij,...j->...o", left, weight, right)
    return y if bias is None else y + bias


def tensordot(left: Expr, right: Expr, dims: Any = 2) -> Expr:
    if isinstance(dims, int):
        dims = [list(range(left.ndim - dims, left.ndim)), list(range(dims))]
    first = list(string.ascii_lowercase[: left.ndim])
    second = list(string.ascii_uppercase[: right.ndim])
    for mine, other in zip(*dims, strict=True):
        second[other] = first[mine]
        # PyTorch repeats a contracted axis of size 1.
        left = _repeated(left, mine, right.shape[other])
        right = _repeated(right, other, left.shape[mine])
    out = [a for a in first if a not in second] + [a for a in second if a not in first]
    return sn.einsum(f"{''.join(first)},{''.join(second)}->{''.join(out)}", left, right)


def _repeated(x: Expr, axis: int, size: int) -> Expr:
    if x.shape[axis] != 1:
        return x
    return sn.broadcast_to(x, (*x.shape[:axis], size, *x.shape[axis:][1:]))


def attention(
    query: Expr, key: Expr, value: Expr, attn_mask: Expr | None = None, dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Expr:  # fmt: skip
    scores = query @ sn.matrix_transpose(key) / math.sqrt(query.shape[-1])
    if is_causal:
        scores = sn.where(_lower(scores.shape[-2:], 0), scores, -math.inf)
    return sn.softmax(scores if attn_mask is None else scores + attn_mask) @ value


def _lower(shape: tuple, diagonal: int) -> Expr:
    rows = sn.expand_dims(sn.arange(shape[0]), 1)
    return sn.expand_dims(sn.arange(shape[1]), 0) <= rows + diagonal


def tril(x: Expr, diagonal: int = 0) -> Expr:
    return sn.where(_lower(x.shape[-2:], diagonal), x, 0.0)


def transpose(x: Expr, first: int, second: int) -> Expr:
    axes = list(range(x.ndim))
    axes[first], axes[second] = axes[second], axes[first]
    return sn.permute_dims(x, axes)


def squeeze(x: Expr, dim: int | None = None) -> Expr:
    ones = [axis for axis, size in enumerate(x.shape) if size == 1]
    chosen = ones if dim is None else [axis for axis in ones if axis == dim % x.ndim]
    return sn.squeeze(x, chosen)


def concatenate(tensors: Sequence[Expr], dim: int = 0) -> Expr:
    # PyTorch lets an empty vector stand beside arrays of any rank.
    rank = max(x.ndim for x in tensors)
    return sn.concat([x for x in tensors if x.ndim == rank], axis=dim)


def _cut(x: Expr, start: int, stop: int, dim: int) -> Expr:
    keys = [slice(None)] * x.ndim
    keys[dim] = slice(start, stop)
    return x[tuple(keys)]


def split(x: Expr, size: int, dim: int = 0) -> list[Expr]:
    return [_cut(x, at, at + size, dim) for at in range(0, x.shape[dim], size)]


def roll(x: Expr, shifts: Any, dims: Any = None) -> Expr:
    if dims is None:
        return sn.reshape(roll(sn.reshape(x, -1), shifts, 0), x.shape)
    if isinstance(dims, int):
        shifts, dims = [shifts], [dims]
    for shift, dim in zip(shifts, dims, strict=True):
        size = x.shape[dim]
        at = -shift % size if size else 0
        x = sn.concat([_cut(x, at, size, dim), _cut(x, 0, at, dim)], axis=dim) if at else x
    return x


def tile(x: Expr, dims: list[int]) -> Expr:
    times = [1] * (x.ndim - len(dims)) + dims
    x = sn.reshape(x, (*(1 for _ in range(len(times) - x.ndim)), *x.shape))
    for axis, by in enumerate(times):
        x = sn.concat([x] * by, axis=axis) if by else _cut(x, 0, 0, axis)
    return x


def pad(x: Expr, width: list[int], mode: str = "constant", value: float = 0.0) -> Expr:
    pairs = [(width[k], width[k + 1]) for k in range(0, len(width), 2)]
    return sn.pad(x, [(0, 0)] * (x.ndim - len(pairs)) + pairs[::-1], value)


def gather(x: Expr, dim: int, index: Expr) -> Expr:
    return sn.take(x, index) if x.ndim == 1 else sn.take_along_axis(x, index, dim)


def add_at(x: Expr, dim: int, index: Expr, source: Expr) -> Expr:
    axis = dim % x.ndim
    own = "abcd"[: x.ndim]
    spec = f"{own[:axis]}*{own[axis + 1 :]},{own}->{own}"
    added = scatter_add(source, index, spec, x.shape[axis])
    return x + sn.pad(added, [(0, n - m) for n, m in zip(x.shape, added.shape, strict=True)])


def getitem(x: Expr, *key: Any) -> Expr:
    """NumPy's rule for several integer arrays, by one array into their axes made one."""
    items = key[0] if isinstance(key[0], list) else [key[0]]
    items = [items] if all(isinstance(item, int) for item in items) else items
    items = [item if isinstance(item, (int, slice)) or item is ... else _places(np.asarray(item))
             for item in items]  # fmt: skip
    arrays = [axis for axis, item in enumerate(items) if isinstance(item, np.ndarray)]
    if len(arrays) < 2:
        return x[tuple(items)]
    rest = [axis for axis in range(x.ndim) if axis not in arrays]
    moved = sn.permute_dims(x, (*arrays, *rest))
    sizes = [x.shape[axis] for axis in arrays]
    flat = sn.reshape(moved, (math.prod(sizes), *(x.shape[axis] for axis in rest)))
    index = np.ravel_multi_index(np.broadcast_arrays(*(items[a] for a in arrays)), sizes)
    return sn.take(flat, sn.constant(index))


def _places(index: np.ndarray) -> np.ndarray:
    return np.flatnonzero(index) if index.dtype.kind == "b" else index


def _loss(term: Callable[..., Expr]) -> Callable[..., Expr]:
    """A loss from the term of one element, with PyTorch's weight and reduction."""

    def apply(*args: Expr, reduction: str = "mean", weight: Expr | None = None, **kw: Any) -> Expr:
        terms = term(*args, **kw)
        terms = terms if weight is None else terms * weight
        if reduction == "batchmean":
            return sn.sum(terms) / terms.shape[0] if terms.ndim else terms
        return {"mean": sn.mean, "sum": sn.sum, "none": lambda y: y}[reduction](terms)

    return apply


def huber(x: Expr, y: Expr, delta: float = 1.0) -> Expr:
    gap = abs(x - y)
    return sn.where(gap < delta, 0.5 * gap**2, delta * (gap - 0.5 * delta))


def smooth_l1(x: Expr, y: Expr, beta: float = 1.0) -> Expr:
    return abs(x - y) if beta == 0 else huber(x, y, beta) / beta


def bce(p: Expr, y: Expr) -> Expr:
    return -(y * sn.maximum(sn.log(p), -100.0) + (1 - y) * sn.maximum(sn.log(1 - p), -100.0))


def bce_logits(z: Expr, y: Expr, pos_weight: Expr | None = None) -> Expr:
    raised = y if pos_weight is None else y * pos_weight
    return raised * sn.softplus(-z) + (1 - y) * sn.softplus(z)


def kl_div(x: Expr, y: Expr, log_target: bool = False) -> Expr:
    if log_target:
        return sn.exp(y) * (y - x)
    positive = y > 0
    return sn.where(positive, y * sn.log(sn.where(positive, y, 1.0)), 0.0) - y * x


def hinge_embedding(x: Expr, y: Expr, margin: float = 1.0) -> Expr:
    hinge = sn.maximum(margin - x, 0.0)
    return sn.where(y == 1, 0.0, hinge) + sn.where(y == -1, 0.0, x)


def nll(x: Expr, target: Expr, weight: Expr | None = None, ignore_index: int = -100,
        reduction: str = "mean") -> Expr:  # fmt: skip
    scores = sn.permute_dims(x, (0, *range(2, x.ndim), 1)) if x.ndim > 1 else x
    counted = target != ignore_index
    safe = sn.where(counted, target, 0)
    share = sn.where(counted, 1.0 if weight is None else sn.take(weight, safe), 0.0)
    share = sn.astype(share, "float64")
    terms = -share * OWN["pick"](scores, safe)
    if reduction == "mean":
        return sn.sum(terms) / sn.sum(share)
    return sn.sum(terms) if reduction == "sum" else terms


def cross_entropy(x: Expr, target: Expr, **options: Any) -> Expr:
    axis = min(1, x.ndim - 1)
    if target.dtype == x.dtype:
        options.pop("ignore_index", None)
        weight = options.pop("weight", None)
        logs = sn.log_softmax(x, axis=axis)
        if weight is not None:
            logs = logs * sn.reshape(weight, (-1, *(1 for _ in range(x.ndim - axis - 1))))
        terms = -sn.sum(target * logs, axis=axis)
        how = options.get("reduction", "mean")
        return {"mean": sn.mean(terms), "sum": sn.sum(terms), "none": terms}[how]
    return nll(sn.log_softmax(x, axis=axis), target, **options)


_SAME = [
    "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "reciprocal", "negative", "sign",
    "floor", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "sigmoid", "multiply", "divide",
    "maximum", "minimum", "logaddexp", "clip", "greater", "equal", "relu", "leaky_relu", "elu",
    "selu", "silu", "mish", "softsign", "hardswish", "matmul", "dot", "outer", "reshape",
    "broadcast_to",
]  # fmt: skip
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: OWN[name] for name in _SAME},
    "absolute": sn.abs, "arcsin": sn.asin, "arctan": sn.atan, "arctan2": sn.atan2,
    "power": sn.pow, "logsigmoid": sn.log_sigmoid, "permute": sn.permute_dims,
    "add": lambda x, y, alpha=1: x + alpha * y if alpha != 1 else x + y,
    "subtract": lambda x, y, alpha=1: x - alpha * y if alpha != 1 else x - y,
    "where": lambda x, condition, y: sn.where(condition, x, y),
    "gelu": lambda x, approximate="none": sn.gelu(x, approximate == "tanh"),
    "hardtanh": lambda x, min_val=-1.0, max_val=1.0: sn.hardtanh(x, min_val, max_val),
    "softmax": sn.softmax, "log_softmax": sn.log_softmax,
    "logsumexp": _reduction(sn.logsumexp), "sum": _reduction(sn.sum),
    "mean": _reduction(sn.mean), "prod": _reduction(sn.prod), "amax": _reduction(sn.max),
    "amin": _reduction(sn.min), "argmax": _reduction(sn.argmax), "var": _spread(sn.var),
    "std": _spread(sn.std), "vector_norm": vector_norm, "normalize": normalize, "prelu": prelu,
    "softplus": softplus, "glu": glu, "linear": linear, "bilinear": bilinear,
    "tensordot": tensordot, "scaled_dot_product_attention": attention, "tril": tril,
    "einsum": lambda tensors, equation: sn.einsum(equation, *tensors),
    "addmm": lambda x, a, b, alpha=1, beta=1: beta * x + alpha * (a @ b),
    "embedding": sn.take, "transpose": transpose, "squeeze": squeeze,
    "expand_dims": sn.expand_dims, "concatenate": concatenate, "stack": sn.stack, "split": split,
    "flip": lambda x, dims: sn.flip(x, tuple(dims)), "roll": roll, "tile": tile,
    "pad_constant": pad, "gather": gather, "scatter_add": add_at, "getitem": getitem,
    "index_select": lambda x, dim, index: sn.take(x, index, dim),
    "mse_loss": _loss(lambda x, y: (x - y) ** 2), "l1_loss": _loss(lambda x, y: abs(x - y)),
    "huber_loss": _loss(huber), "smooth_l1_loss": _loss(smooth_l1),
    "binary_cross_entropy": _loss(bce), "binary_cross_entropy_with_logits": _loss(bce_logits),
    "kl_div": _loss(kl_div), "hinge_embedding_loss": _loss(hinge_embedding),
    "soft_margin_loss": _loss(lambda x, y: sn.softplus(-y * x)),
    "nll_loss": nll, "cross_entropy": cross_entropy,
}  # fmt: skip
