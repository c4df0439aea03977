"""Short spellings for the programs of the tests."""

from __future__ import annotations

from codegen.ir import Any, Buffer, Extent, Loop, SizeRule, Statement, Store, Tree, Yield
from codegen.scalar import Affine, Apply, Constant, Dtype, Index, Load, Local, Ref, Scalar, at

F = "float64"
TESTS = ("less", "less_equal", "equal", "not_equal", "isfinite")


def ref(buffer: str, *index: str | int | Index) -> Ref:
    """buffer[index, ...]: an axis by name, a number, or an index."""
    return Ref(buffer, tuple(_index(one) for one in index))


def _index(one: str | int | Index) -> Index:
    if isinstance(one, str):
        return at(one)
    return Affine(one) if isinstance(one, int) else one


def load(buffer: str, *index: str | int | Index, dtype: Dtype = F) -> Load:
    return Load(ref(buffer, *index), dtype)


def put(buffer: str, *index: str | int | Index, value: Scalar) -> Store:
    return Store(ref(buffer, *index), value)


def number(value: float | int, dtype: Dtype = F) -> Constant:
    return Constant(float(value) if dtype.startswith("float") else value, dtype)


def call(function: str, *args: Scalar | float, dtype: Dtype | None = None) -> Apply:
    """The function of scalars; plain numbers become constants of the other arguments' dtype."""
    known = next((a.dtype for a in reversed(args) if not isinstance(a, int | float)), F)
    full = tuple(number(a, known) if isinstance(a, int | float) else a for a in args)
    result = "bool" if function in TESTS else full[-1].dtype
    return Apply(function, full, dtype or result)


def cast(value: Scalar, dtype: Dtype = F) -> Apply:
    return Apply("cast", (value,), dtype)


def nest(axes: dict[str, Extent], *body: Statement) -> Loop:
    """Any loops around statements."""
    for axis, extent in reversed(axes.items()):
        body = (Loop(axis, extent, Any(), body),)
    assert isinstance(body[0], Loop)
    return body[0]


def fold(monoid: str, name: str, axis: str, extent: Extent, *values: Scalar, leaf: int = 3) -> Loop:
    """A Tree loop; several carriers are bound as name0, name1, ..."""
    names = (name,) if len(values) == 1 else tuple(f"{name}{n}" for n in range(len(values)))
    order = Tree(monoid, names, tuple(value.dtype for value in values), leaf)
    return Loop(axis, extent, order, (Yield(values),))


def local(name: str, dtype: Dtype = F) -> Local:
    return Local(name, dtype)


def argument(name: str, *shape: Extent, dtype: Dtype = F) -> Buffer:
    return Buffer(name, shape, dtype, "argument")


def state(name: str, *shape: Extent, dtype: Dtype = F) -> Buffer:
    return Buffer(name, shape, dtype, "state")


def step(name: str, *shape: Extent, dtype: Dtype = F, storage: str | None = None) -> Buffer:
    return Buffer(name, shape, dtype, "step", storage)


def free(*names: str) -> tuple[SizeRule, ...]:
    return tuple(SizeRule(name) for name in names)
