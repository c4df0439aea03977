"""One op, one loop nest: the naive program of a graph. Fusion is the compiler's business."""

from __future__ import annotations

from collections.abc import Callable

from codegen.ir import (
    Any,
    Factor,
    Let,
    Loop,
    Sequence,
    Statement,
    Store,
    Tree,
    Yield,
    contraction_into,
)
from codegen.scalar import Apply, Constant, Indirect, Load, Local, Ref, Scalar, at
from symnet.expr import Expr
from symnet.lower.builder import Builder, Place, as_scalar
from symnet.lower.compositions import COMPOSITIONS, as_one
from symnet.lower.polynomials import horner
from symnet.lower.reading import is_virtual, materialise, read, zero
from symnet.ops.contraction import split
from symnet.ops.core import scalar_constant
from symnet.ops.gather import parts
from symnet.ops.leaves import UNKNOWN
from symnet.ops.pointwise import Pointwise
from symnet.ops.polynomial import POLYNOMIAL
from symnet.ops.reduction import Reduction
from symnet.sizes import Dimension

Emitter = Callable[[Builder, Expr], None]
Leaf = Callable[[Place], tuple[Scalar, ...]]
"""What an iteration gives to a fold."""

_INTRINSICS = {"pow": "power", "where": "select"}
_MONOIDS = {"sum": "sum", "prod": "product", "max": "maximum", "min": "minimum"}


def emit(builder: Builder, node: Expr) -> None:
    """Gives a node a home and appends the statements that compute it; views need neither."""
    if node in builder.home or is_virtual(node):
        return
    if node.op is UNKNOWN:
        node.op.value(None, node)
    if isinstance(node.op, Pointwise):
        _pointwise(builder, node)
    elif isinstance(node.op, Reduction):
        _reduction(builder, node)
    else:
        EMITTERS[node.op.name](builder, node)


def _label(node: Expr) -> str:
    return f"{node.op.name} at {node.origin}"


def operands(node: Expr) -> tuple[Expr, ...]:
    """The nodes that must have homes where a node is emitted."""
    whole = as_one(node)
    return node.args if whole is None else whole[1]


def _pointwise(builder: Builder, node: Expr) -> None:
    whole = as_one(node)

    def value(index: Place) -> Scalar:
        dtype = str(node.dtype)
        if whole is not None:
            return Apply(whole[0], tuple(read(builder, arg, index) for arg in whole[1]), dtype)
        args = tuple(read(builder, arg, index) for arg in node.args)
        if node.op.name == "pow":
            args = (args[0], _exponent(node.args[1], args[1]))
        if node.op is POLYNOMIAL:
            return horner(dtype, args[0], node.attrs["coefficients"])
        if node.op.name in COMPOSITIONS:
            return COMPOSITIONS[node.op.name](dtype, *args)
        return Apply(_INTRINSICS.get(node.op.name, node.op.name), args, dtype)

    builder.fill(builder.scratch(node), node.shape, value, _label(node))


def _exponent(node: Expr, read_: Scalar) -> Scalar:
    """A constant exponent stays in the text: small whole powers are products."""
    known = scalar_constant(node)
    return read_ if known is None else Constant(float(known), str(node.dtype))


def _reshape(builder: Builder, node: Expr) -> None:
    builder.scratch(node, storage=materialise(builder, node.args[0]))


def _array(builder: Builder, node: Expr) -> None:
    name = builder.fresh("constant")
    builder.home[node] = builder.buffer(name, node.shape, str(node.dtype), "argument")
    builder.constants[name] = node.attrs["value"]


def fold(
    builder: Builder,
    node: Expr,
    axes: tuple[int, ...],
    monoid: str,
    leaf: Leaf,
    dtypes: tuple[str, ...],
    outer: Place,
) -> tuple[Loop, tuple[Local, ...]]:
    """Nested folds of an operand over its axes; `outer` are the indices of the other axes."""
    names = {axis: builder.fresh("k") for axis in axes}
    others = iter(outer)
    index = tuple(at(names[axis]) if axis in names else next(others) for axis in range(node.ndim))
    values = leaf(index)
    body: tuple[Statement, ...] = (Yield(values),)
    for axis in reversed(axes):
        bound = tuple(builder.fresh("r") for _ in dtypes)
        extent = builder.extent(node.shape[axis])
        loop = Loop(names[axis], extent, Tree(monoid, bound, dtypes), body)
        results = tuple(Local(name, kind) for name, kind in zip(bound, dtypes, strict=True))
        body = (loop, Yield(results))
    return loop, results


def _reduction(builder: Builder, node: Expr) -> None:
    (x,), axes, name = node.args, node.attrs["axes"], builder.scratch(node)
    dtype = str(x.dtype)

    def body(index: Place) -> list[Statement]:
        if node.op.name == "logsumexp":
            statements, peak, excess = log_excess(builder, x, axes, index)
            value: Scalar = Apply("add", (peak, Apply("log1p", (excess,), dtype)), dtype)
            return [*statements, Store(Ref(name, index), value)]
        if node.op.name == "argmax":
            loop, (_, place) = fold(
                builder, x, axes, "argmax", _with_place(builder, x, axes), (dtype, "int64"), index
            )
            return [loop, Store(Ref(name, index), place)]
        monoid = _MONOIDS[node.op.name]
        loop, (total,) = fold(builder, x, axes, monoid, _element(builder, x), (dtype,), index)
        return [loop, Store(Ref(name, index), total)]

    builder.nest(node.shape, body, _label(node))


def _element(builder: Builder, x: Expr) -> Leaf:
    return lambda index: (read(builder, x, index),)


def _with_place(builder: Builder, x: Expr, axes: tuple[int, ...]) -> Leaf:
    return lambda index: (read(builder, x, index), as_scalar(index[axes[0]]))


def _peak(
    builder: Builder, x: Expr, axes: tuple[int, ...], outer: Place
) -> tuple[list[Statement], Local]:
    """Statements that bind the largest element over axes, or 0 where that is infinite.

    Where every element is -inf the sum of exp(x - 0) is 0 and not NaN.
    """
    dtype = str(x.dtype)
    first, (largest,) = fold(builder, x, axes, "maximum", _element(builder, x), (dtype,), outer)
    shift = builder.fresh("m")
    finite = Apply("isfinite", (largest,), "bool")
    bound = Let(shift, Apply("select", (finite, largest, Constant(0.0, dtype)), dtype))
    return [first, bound], Local(shift, dtype)


def log_sum(
    builder: Builder, x: Expr, axes: tuple[int, ...], outer: Place
) -> tuple[list[Statement], Scalar, Scalar]:
    """Statements that bind the largest element and the sum of exp(x - largest) over axes."""
    statements, peak = _peak(builder, x, axes, outer)

    def small(index: Place) -> tuple[Scalar, ...]:
        return (_shifted_exp(read(builder, x, index), peak),)

    second, (total,) = fold(builder, x, axes, "sum", small, (peak.dtype,), outer)
    return [*statements, second], peak, total


def log_excess(
    builder: Builder, x: Expr, axes: tuple[int, ...], outer: Place
) -> tuple[list[Statement], Scalar, Scalar]:
    """Statements that bind the largest element and the sum of exp(x - largest) less 1.

    The largest elements are counted apart, so that the others are not rounded away beside a 1.
    """
    statements, peak = _peak(builder, x, axes, outer)
    dtype = peak.dtype
    zero_, one = Constant(0.0, dtype), Constant(1.0, dtype)

    def is_peak(index: Place) -> Scalar:
        return Apply("equal", (read(builder, x, index), peak), "bool")

    def other(index: Place) -> tuple[Scalar, ...]:
        power = _shifted_exp(read(builder, x, index), peak)
        return (Apply("select", (is_peak(index), zero_, power), dtype),)

    def once(index: Place) -> tuple[Scalar, ...]:
        return (Apply("select", (is_peak(index), one, zero_), dtype),)

    second, (others,) = fold(builder, x, axes, "sum", other, (dtype,), outer)
    third, (count,) = fold(builder, x, axes, "sum", once, (dtype,), outer)
    more = Apply("subtract", (count, one), dtype)
    return [*statements, second, third], peak, Apply("add", (others, more), dtype)


def _shifted_exp(x: Scalar, peak: Local) -> Scalar:
    return Apply("exp", (Apply("subtract", (x, peak), peak.dtype),), peak.dtype)


def _softmax(builder: Builder, node: Expr) -> None:
    (x,), axes, name = node.args, node.attrs["axes"], builder.scratch(node)
    dtype = str(node.dtype)
    kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)

    def body(outer: Place) -> list[Statement]:
        sums = log_sum if node.op.name == "softmax" else log_excess
        statements, peak, total = sums(builder, x, axes, outer)
        names = {axis: builder.fresh("j") for axis in axes}
        others = iter(outer)
        index = tuple(at(names[axis]) if axis in names else next(others) for axis in range(x.ndim))
        own = read(builder, x, index)
        assert isinstance(peak, Local)
        # A row of -inf has the total 0; over 1 its softmax is 0, its logarithm -inf, not NaN.
        nothing, whole = (0.0, 1.0) if node.op.name == "softmax" else (-1.0, 0.0)
        empty = Apply("equal", (total, Constant(nothing, dtype)), "bool")
        total = Apply("select", (empty, Constant(whole, dtype), total), dtype)
        if node.op.name == "softmax":
            value: Scalar = Apply("divide", (_shifted_exp(own, peak), total), dtype)
        else:
            less = Apply("subtract", (own, peak), dtype)
            value = Apply("subtract", (less, Apply("log1p", (total,), dtype)), dtype)
        inner: tuple[Statement, ...] = (Store(Ref(name, index), value),)
        for axis in reversed(axes):
            inner = (Loop(names[axis], builder.extent(x.shape[axis]), Any(), inner),)
        return [*statements, *inner]

    if kept:
        builder.nest(kept, body, _label(node))
    else:
        # One row: a loop of one iteration keeps what it binds in one kernel.
        builder.nest((1,), lambda index: body(()), _label(node))


def _einsum(builder: Builder, node: Expr) -> None:
    letters, out = split(node.attrs["spec"])
    if len(node.args) == 2 and node.dtype.kind == "f":
        factors = [_factor(builder, a, own) for a, own in zip(node.args, letters, strict=True)]
        if all(len(set(factor.letters)) == len(factor.letters) for factor in factors):
            sizes = dict(zip("".join(letters), _sizes_of(node), strict=True))
            extents = tuple((letter, builder.extent(size)) for letter, size in sizes.items())
            target = Factor(builder.scratch(node), tuple(out))
            term = (factors[0], factors[1])
            whole = contraction_into(target, (term,), extents, str(node.dtype), _label(node))
            builder.body.append(whole)
            return
    _einsum_by_loops(builder, node)


def _sizes_of(node: Expr) -> list[Dimension]:
    return [size for arg in node.args for size in arg.shape]


def _factor(builder: Builder, node: Expr, letters: str) -> Factor:
    """A factor of a contraction: transposes are read in place, other views are copied."""
    while node not in builder.home and node.op.name in ("permute", "named"):
        if node.op.name == "permute":
            axes = node.attrs["axes"]
            letters = "".join(letters[axes.index(k)] for k in range(len(axes)))
        node = node.args[0]
    return Factor(materialise(builder, node), tuple(letters))


def _einsum_by_loops(builder: Builder, node: Expr) -> None:
    letters, out = split(node.attrs["spec"])
    sizes = dict(zip("".join(letters), _sizes_of(node), strict=True))
    summed = [letter for letter in sizes if letter not in out]
    name, dtype = builder.scratch(node), str(node.dtype)

    def body(index: Place) -> list[Statement]:
        places = dict(zip(out, index, strict=True))
        axes = {letter: builder.fresh("k") for letter in summed}
        places |= {letter: at(axis) for letter, axis in axes.items()}
        value = product(
            [
                read(builder, arg, tuple(places[letter] for letter in own))
                for arg, own in zip(node.args, letters, strict=True)
            ],
            dtype,
        )
        if not summed:
            return [Store(Ref(name, index), value)]
        inner: tuple[Statement, ...] = (Yield((value,)),)
        for letter in reversed(summed):
            bound = builder.fresh("r")
            extent = builder.extent(sizes[letter])
            loop = Loop(axes[letter], extent, Tree("sum", (bound,), (dtype,)), inner)
            inner = (loop, Yield((Local(bound, dtype),)))
        return [loop, Store(Ref(name, index), Local(bound, dtype))]

    builder.nest(node.shape, body, _label(node))


def product(values: list[Scalar], dtype: str) -> Scalar:
    """The product of scalars, from the left."""
    total = values[0]
    for value in values[1:]:
        total = Apply("multiply", (total, value), dtype)
    return total


def _place(builder: Builder, node: Expr) -> None:
    """A placement with gaps: zeros, then a strided store."""
    (operand,), name = node.args, builder.scratch(node)
    builder.fill(name, node.shape, lambda index: zero(node), _label(node))
    start, step = node.attrs["start"], node.attrs["step"]

    def body(index: Place) -> list[Statement]:
        target = tuple(
            builder.moved(place, by, begin)
            for place, by, begin in zip(index, step, start, strict=True)
        )
        return [Store(Ref(name, target), read(builder, operand, index))]

    builder.nest(operand.shape, body, _label(node))


def _scatter_add(builder: Builder, node: Expr) -> None:
    """Values added one after another, in row-major order, where their index says."""
    (values, place), name = node.args, builder.scratch(node)
    source, picked, out = parts(node.attrs["spec"])
    builder.fill(name, node.shape, lambda index: zero(node), _label(node))
    materialise(builder, place)
    axes = {letter: builder.fresh("s") for letter in out}
    index = {letter: at(axis) for letter, axis in axes.items()}
    where = read(builder, place, tuple(index[letter] for letter in picked))
    assert isinstance(where, Load)
    bound = builder.extent(node.attrs["size"])
    target = tuple(
        Indirect(where.ref, bound) if letter == "*" else index[letter] for letter in source
    )
    value = read(builder, values, tuple(index[letter] for letter in out))
    dtype = str(node.dtype)
    added = Apply("add", (builder.load(name, target), value), dtype)
    body: tuple[Statement, ...] = (Store(Ref(name, target), added),)
    for letter in reversed(out):
        extent = builder.extent(values.shape[out.index(letter)])
        body = (Loop(axes[letter], extent, Sequence(), body, label=_label(node)),)
    builder.body.extend(body)


EMITTERS: dict[str, Emitter] = {
    "cast": lambda builder, node: builder.fill(
        builder.scratch(node),
        node.shape,
        lambda index: Apply("cast", (read(builder, node.args[0], index),), str(node.dtype)),
        _label(node),
    ),
    "constant": _array,
    "reshape": _reshape,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "einsum": _einsum,
    "place": _place,
    "scatter_add": _scatter_add,
}
