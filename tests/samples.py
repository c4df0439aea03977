"""One or more graphs for every op that is not pointwise: what the tests of all rows run over.

`test_ops.py` fails for an op that has no sample here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import symnet as sn
from symnet.expr import Expr
from symnet.functions import FUNCTIONS
from symnet.ops import contraction, gather, views
from symnet.ops.core import DTYPES
from symnet.sizes import named_size

FLOAT64 = DTYPES["float64"]
SIZES = {"N": 3, "M": 2}
N, M = named_size("N"), named_size("M")


@dataclass(frozen=True)
class Sample:
    """A graph with values for its inputs. op: the row that it is there for."""

    op: str
    label: str
    output: Expr
    values: dict[Expr, np.ndarray]

    @property
    def wrt(self) -> list[Expr]:
        """The inputs with derivatives."""
        return [leaf for leaf in self.values if leaf.dtype == FLOAT64]

    def __str__(self) -> str:
        return f"{self.op}-{self.label}"


Build = Callable[..., Expr]
SAMPLES: list[Sample] = []


def _number(shape: tuple, seed: int) -> np.ndarray:
    """Numbers that float32 holds too, so that a cast there and back changes nothing."""
    fixed = tuple(SIZES[size] if isinstance(size, str) else size for size in shape)
    return np.random.default_rng(seed).uniform(-2, 2, fixed).astype(np.float32).astype(np.float64)


def sample(op: str, label: str, build: Build, *shapes: tuple, **indices: list) -> None:
    """A sample from a function of float64 inputs of those shapes, and of int64 inputs by name."""
    values = {
        sn.input("abcde"[k], shape, "float64"): _number(shape, k) for k, shape in enumerate(shapes)
    }
    for name, data in indices.items():
        array = np.array(data, np.int64)
        values[sn.input(name, array.shape, "int64")] = array
    SAMPLES.append(Sample(op, label, build(*values), values))


for _name in ("sum", "prod", "max", "min", "logsumexp"):
    _row = FUNCTIONS[_name]
    sample(_name, "all", _row, (2, 3))
    sample(_name, "one axis", lambda x, r=_row: r(x, axis=1), (2, 3, 2))
    sample(_name, "two axes", lambda x, r=_row: r(x, axis=(0, 2)), (2, 3, 2))
    sample(_name, "kept", lambda x, r=_row: r(x, axis=0, keepdims=True), (3, 2))
    sample(_name, "named", lambda x, r=_row: r(x, axis=0), ("N", 2))
    sample(_name, "no axis", _row, ())
    sample(_name, "twice", lambda x, r=_row: r(r(x, axis=1) * x[:, 0], axis=0), ("N", 2))
sample("sum", "empty", lambda x: sn.sum(x, axis=0), (0, 3))
sample("prod", "with a zero", lambda x: sn.prod(x * sn.constant([1.0, 0.0, 1.0], "float64")), (3,))
sample("prod", "with two", lambda x: sn.prod(x * sn.constant([0.0, 0.0, 1.0], "float64")), (3,))
sample("argmax", "axis", lambda x: sn.astype(sn.argmax(x, axis=1), "float64") * x[:, 0], (4, 3))
sample("argmax", "all", lambda x: sn.astype(sn.argmax(x), "float64") * x, (4, 3))
for _name in ("softmax", "log_softmax"):
    _row = FUNCTIONS[_name]
    sample(_name, "last", _row, (2, 3))
    sample(_name, "first", lambda x, r=_row: r(x, axis=0), ("N", 2))
    sample(_name, "two axes", lambda x, r=_row: r(x, axis=(0, 2)), (2, 3, 2))

for _label, _spec, *_shapes in (
    ("matrices", "ij,jk->ik", (2, 3), (3, 4)),
    ("named", "ij,jk->ki", ("N", 3), (3, "M")),
    ("batches", "...ij,...jk->...ik", (2, 1, 3), (2, 3, 2)),
    ("implied", "ij,jk", (2, 3), (3, 2)),
    ("implied order", "ba", (2, 3)),
    ("diagonal", "ii->i", (3, 3)),
    ("trace", "ii", (3, 3)),
    ("trace of a product", "ij,ji->", (2, 3), (3, 2)),
    ("repeated in both", "iij,jii->j", (2, 2, 3), (3, 2, 2)),
    ("repeated thrice", "iii->i", (2, 2, 2)),
    ("summed alone", "ij,k->i", (2, 3), (4,)),
    ("summed alone in two", "ij,jk->k", (2, 3), (3, 2)),
    ("nothing kept", "ij,kl->", (2, 3), (2, 2)),
    ("three", "ij,jk,k->i", (2, 3), (3, 2), (2,)),
    ("elementwise", "ij,ij->ij", (2, 3), (2, 3)),
    ("outer", "i,j->ij", (2,), (3,)),
    ("scalars", ",->", (), ()),
    ("scalar times", ",ij->ij", (), (2, 3)),
    ("empty", "ij,jk->ik", (2, 0), (0, 3)),
):
    sample("einsum", _label, lambda *x, s=_spec: sn.einsum(s, *x), *_shapes)
sample("einsum", "square", lambda x: sn.einsum("ij,ij->i", x, x), (2, 3))
sample("einsum", "bilinear", lambda x, w: x @ w @ x, (3,), (3, 3))
sample("einsum", "matmul vectors", lambda a, b: a @ b, (3,), (3,))
sample("einsum", "matmul batches", lambda a, b: a @ b, (2, 1, 2, 3), (2, 3, 2))
sample("einsum", "matmul vector left", lambda a, b: a @ b, (3,), (2, 3, 2))
sample("einsum", "identity", lambda x: sn.einsum("ij,jk->ik", sn.eye(3, "float64"), x), (3, 2))

sample("reshape", "flat", lambda x: sn.reshape(x, -1), (2, 3))
sample("reshape", "named", lambda x: sn.reshape(x, (-1, 2)), ("N", 4))
sample("reshape", "expand", lambda x: sn.expand_dims(sn.expand_dims(x, 0), -1), (2, "M"))
sample("reshape", "squeeze", lambda x: sn.squeeze(x, (0, 2)), (1, 3, 1))
sample("permute", "three", lambda x: sn.permute_dims(x, (2, 0, 1)), (2, 3, 4))
sample("permute", "transpose", lambda x: x.T @ x, ("N", 2))
sample("permute", "matrix", sn.matrix_transpose, (2, 3, 4))
sample("broadcast", "rows", lambda x: sn.broadcast_to(x, (2, 3)), (3,))
sample("broadcast", "columns", lambda x: sn.broadcast_to(x, (4, 2, 3)), (2, 1))
sample("broadcast", "scalar", lambda x: sn.broadcast_to(x, (2, 3)), ())
sample("broadcast", "named", lambda x, y: x + y, (2,), ("N", 2))
sample("slice", "plain", lambda x: x[1:3], (4, 2))
sample("slice", "step", lambda x: x[::2, 1], (5, 3))
sample("slice", "back", lambda x: x[::-2], (6,))
sample("slice", "negative", lambda x: x[-2:, -1], (4, 3))
sample("slice", "named", lambda x: x[1:, 0], ("N", 2))
sample("slice", "named end", lambda x: x[:-1] * x[-1], ("N",))
sample("slice", "new axis", lambda x: x[..., None, 0], (2, 3))
sample("slice", "nothing", lambda x: x[2:2], (4,))
sample("slice", "flip", sn.flip, ("N", 2))
sample("slice", "flip one", lambda x: sn.flip(x, 1), (2, 3))
sample("place", "pad", lambda x: sn.pad(x, ((1, 2), (0, 1))), (2, 3))
sample("place", "pad named", lambda x: sn.pad(x, ((1, 2), (0, 0))), ("N", 2))
sample("place", "step", lambda x: views.place(x, (1, 4), (2, -2), (6, 5)), (2, 3))
sample("concat", "rows", lambda a, b: sn.concat([a, b]), (2, 3), (1, 3))
sample("concat", "columns", lambda a, b: sn.concat([a, b, a], axis=1), ("N", 2), ("N", 1))
sample("concat", "named", lambda a, b: sn.concat([a, b]), ("N", 2), ("M", 2))
sample("concat", "stack", lambda a, b: sn.stack([a, b], axis=1), (2, 3), (2, 3))

sample("gather", "rows", lambda x, k: sn.take(x, k, axis=0), (4, 2), k=[[0, 3], [3, 3]])
sample("gather", "columns", lambda x, k: sn.take(x, k, axis=1), (2, 4), k=[0, 3, 3])
sample("gather", "middle", lambda x, k: sn.take(x, k, axis=1), (2, 4, 2), k=[0, 3, 3])
sample("gather", "along", lambda x, k: sn.take_along_axis(x, k, 1), (2, 4), k=[[0, 3, 3]] * 2)
sample("gather", "along first", lambda x, k: sn.take_along_axis(x, k, 0), (4, 2), k=[[0, 3]] * 3)
sample("gather", "one a row", lambda x, k: FUNCTIONS["pick"](x, k), (3, 4), k=[1, 3, 0])
sample("gather", "one index", lambda x, k: sn.take(x, k), (3,), k=2)
sample("gather", "key", lambda x, k: x[1:, k], (3, 4), k=[1, 3, 0])
sample("scatter_add", "rows",
       lambda v, k: gather.scatter_add(v, k, "*k,p->pk", 5), (3, 2), k=[1, 4, 1])  # fmt: skip
sample("scatter_add", "one a row",
       lambda v, k: gather.scatter_add(v, k, "n*,n->n", 4), (3,), k=[1, 3, 1])  # fmt: skip

sample("constant", "array", lambda x: x * sn.constant([1.0, 2.0], "float64"), (2,))
sample("size", "mean", lambda x: sn.mean(x, axis=0), ("N", 2))
sample("size", "product", lambda x: sn.var(x, correction=1), ("N", "M"))
sample("cast", "down and up", lambda x: sn.astype(sn.astype(x, "float32"), "float64"), (3,))
sample("cast", "from bool", lambda x: sn.astype(x > 0, "float64") * x, (3,))
sample("cast", "from int", lambda x, k: sn.astype(k, "float64") * x, (3,), k=[1, 2, 3])
sample("iota", "ramp", lambda x: sn.astype(sn.arange(N), "float64") * x, ("N",))
sample("identity", "named", lambda x: sn.eye("N", "float64") * x, ("N", "N"))
sample("identity", "contracted", lambda x: sn.eye("N", "float64") @ x, ("N", 2))
sample("named", "named", lambda x: sn.named("h", x * x) * x, (3,))
sample("einsum", "contract", lambda x: contraction.contract("ab->ba", [x * 2]), (2, 3))
