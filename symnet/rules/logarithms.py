"""Logarithms of products, quotients, powers and sums of exponentials; x log y at 0.

References: Maechler, Accurately computing log(1 - exp(-|a|)), 2012; Higham, Accuracy and Stability
of Numerical Algorithms, 2002, section 1.14.
"""

from __future__ import annotations

import math

from symnet.expr import Expr, make
from symnet.ops.core import FLOAT32, broadcast, number, scalar_constant
from symnet.ops.leaves import NAMED
from symnet.ops.reduction import LOG_SOFTMAX, PROD, SOFTMAX, SUM, sum_over
from symnet.ops.table import (
    absolute,
    add,
    atanh,
    cosh,
    divide,
    equal,
    exp,
    expm1,
    isfinite,
    less,
    log,
    log1p,
    logical_and,
    maximum,
    multiply,
    negative,
    power,
    sign,
    softplus,
    sqrt,
    subtract,
    tanh,
    where,
    xlog1py,
    xlogy,
)
from symnet.ops.views import reshape
from symnet.rules.algebra import (
    Product,
    factors,
    product_of,
    sample,
    square_root_of,
    terms,
    under_repeats,
    without,
)
from symnet.rules.differences import inverse_hyperbolic
from symnet.rules.log_factors import argument_of_bell, log_of_factors, log_one_minus_exp
from symnet.rules.match import unnamed
from symnet.rules.rule import AnyRule, Structural, is_constant

# What `log_of_factors` takes out of a product.
_NAMED = frozenset({"sigmoid", "cosh", "sinh", "tanh", "expm1", "softmax", "sum"})
_VIEWS = ("slice", "reshape", "permute", "broadcast", "named")


def log_add_exp(a: Expr, b: Expr) -> Expr:
    """log(exp(a) + exp(b)): smooth where both are equal, defined where both are infinite."""
    tied = equal(a, b)
    apart = where(tied, 0, subtract(a, b))
    base = where(isfinite(a), a, 0)
    together = add(a, softplus(subtract(b, base)))
    return where(tied, together, add(maximum(a, b), softplus(negative(absolute(apart)))))


def _plain(x: Expr) -> Expr:
    """Whether a quotient or product is neither 0, infinite, nor about to be."""
    high = 1e30 if x.dtype == FLOAT32 else 1e290
    size = absolute(x)
    return logical_and(less(1 / high, size), less(size, high))


def _log_of_quotient(a: Expr, b: Expr) -> Expr:
    """log(a / b): near 1 by the difference, and by two logarithms where a / b leaves the range."""
    ratio = divide(a, b)
    plain = _plain(ratio)
    near = logical_and(less(0.5, ratio), less(ratio, 2))
    both = broadcast(logical_and(plain, near), ratio.shape)
    top, bottom = broadcast(a, ratio.shape), broadcast(b, ratio.shape)
    safe = where(both, bottom, 1)
    close = log1p(divide(where(both, subtract(top, bottom), 0), safe))
    usual = log(where(plain, divide(top, where(plain, bottom, 1)), 1))
    turned = multiply(top, sign(bottom))
    apart = subtract(log(where(plain, 1, turned)), log(where(plain, 1, absolute(bottom))))
    return where(both, close, where(plain, usual, apart))


def _log_of_product(a: Expr, b: Expr) -> Expr:
    """log(a b), by two logarithms where a b leaves the range."""
    product = multiply(a, b)
    plain = _plain(product)
    turned, size = multiply(a, sign(b)), absolute(b)
    apart = add(log(where(plain, 1, turned)), log(where(plain, 1, size)))
    return where(plain, log(where(plain, product, 1)), apart)


def _log(node: Expr) -> Expr | None:
    inner = unnamed(node.args[0])
    inner = _difference(inner)
    for rewrite in (
        _of_share,
        _of_saturated,
        _of_power,
        _of_reduction,
        _of_sum,
        _of_quotient,
        log_of_factors,
    ):
        found = rewrite(inner)
        if found is not None:
            return broadcast(found, node.shape)
    return None


def _difference(inner: Expr) -> Expr:
    """exp(a) - exp(b) again, where that was made a select."""
    if inner.op is not where or inner.args[2].op is not subtract:
        return inner
    held = [unnamed(arg) for arg in inner.args[2].args]
    if any(part.op is not exp or unnamed(part.args[0]).op is not where for part in held):
        return inner
    a, b = (exp(unnamed(part.args[0]).args[2]) for part in held)
    return subtract(a, b)


def _of_share(inner: Expr) -> Expr | None:
    """The logarithm of a part of a softmax."""
    views = []
    while inner.op.name in _VIEWS:
        views.append(inner)
        inner = inner.args[0]
    if inner.op is not SOFTMAX or not views:
        return None
    made = make(LOG_SOFTMAX, inner.args, axes=inner.attrs["axes"])
    for view in reversed(views):
        if view.op is not NAMED:
            made = make(view.op, (made,), **view.attrs)
    return made


def _of_power(inner: Expr) -> Expr | None:
    if inner.op is sqrt:
        return multiply(0.5, log(inner.args[0]))
    if inner.op is multiply and unnamed(inner.args[0]) is unnamed(inner.args[1]):
        return multiply(2, log(absolute(inner.args[0])))
    exponent = scalar_constant(inner.args[1]) if inner.op is power else None
    if exponent is None or exponent == 0:
        return None
    positive = inner.args[0].op is add and _sum_of(terms(inner.args[0]))
    base = inner.args[0] if exponent % 2 or positive else absolute(inner.args[0])
    return multiply(exponent, log(base))


def _sum_of(parts: list[tuple[int, Expr]]) -> bool:
    """Whether all terms are exponentials, positive numbers among them."""
    return all(sign_ > 0 and _exponent(part) is not None for sign_, part in parts)


def _of_saturated(inner: Expr) -> Expr | None:
    """log(1 - tanh(x)^2) = -2 log(cosh(x)); log|a / b| through |a| / |b|."""
    hyperbolic, saturated = inverse_hyperbolic(inner), argument_of_bell(inner)
    if saturated is not None:
        return multiply(-2, log(cosh(saturated)))
    if hyperbolic is not None:
        return hyperbolic
    if inner.op is absolute and unnamed(inner.args[0]).op in (divide, multiply):
        above, below = unnamed(inner.args[0]).args
        combine = divide if unnamed(inner.args[0]).op is divide else multiply
        return log(combine(absolute(above), absolute(below)))
    root = square_root_of(unnamed(inner.args[1])) if inner.op is subtract else None
    if root is None or unnamed(root).op is not tanh or scalar_constant(inner.args[0]) != 1:
        return None
    return multiply(-2, log(cosh(unnamed(root).args[0])))


def _of_reduction(inner: Expr) -> Expr | None:
    """log of a product over axes, whose sign is that of the product of signs."""
    if inner.op is not PROD:
        return None
    x, axes = inner.args[0], inner.attrs["axes"]
    return add(log(make(PROD, (sign(x),), axes=axes)), sum_over(log(absolute(x)), axes))


def _of_sum(inner: Expr) -> Expr | None:
    """log of a sum or difference of exponentials."""
    kernel = unnamed(inner.args[0]) if inner.op is negative else inner
    if kernel.op is expm1 and unnamed(kernel.args[0]).op is where:
        # A branch of log_one_minus_exp already.
        return None
    if inner.op is expm1:
        return add(inner.args[0], log_one_minus_exp(negative(inner.args[0])))
    if inner.op is negative and unnamed(inner.args[0]).op is expm1:
        return log_one_minus_exp(unnamed(inner.args[0]).args[0])
    parts = terms(inner)
    if len(parts) < 2:
        return None
    positive = [_exponent(part) for sign_, part in parts if sign_ > 0]
    taken = [_exponent(part) for sign_, part in parts if sign_ < 0]
    added = [part for part in positive if part is not None]
    if len(added) < len(positive) or all(scalar_constant(part) is not None for part in added):
        return None
    total = added[0]
    for part in added[1:]:
        total = _two(total, part)
    if not taken:
        return total
    if len(taken) > 1 or taken[0] is None or len(added) > 1:
        return None
    return add(total, log_one_minus_exp(subtract(taken[0], total)))


def _two(a: Expr, b: Expr) -> Expr:
    if scalar_constant(a) is not None:
        a, b = b, a
    if scalar_constant(b) == 0:
        return softplus(a)
    if is_constant(b):
        return add(softplus(subtract(a, b)), b)
    return log_add_exp(a, b)


def _exponent(part: Expr) -> Expr | None:
    """u with exp(u) = part, for products of exponentials and positive constants."""
    product = factors(part)
    if product.coefficient <= 0:
        return None
    total: Expr | None = None
    for nodes, combine in ((product.above, add), (product.below, subtract)):
        for node in nodes:
            if node.op is not exp:
                return None
            start = number(0, part.dtype) if total is None else total
            first = total is None and combine is add
            total = node.args[0] if first else combine(start, node.args[0])
    constant = math.log(product.coefficient)
    if total is None:
        return number(constant, part.dtype)
    return total if constant == 0 else add(total, constant)


def _of_quotient(inner: Expr) -> Expr | None:
    product = factors(inner)
    found = _of_exponentials(product, inner)
    if found is not None:
        return found
    c, above, below = product.coefficient, product.above, product.below
    if len(below) == 1 and not above:
        return negative(log(below[0])) if c == 1 else None
    if len(above) == 1 and len(below) == 1 and c == 1:
        symmetric = _of_symmetric(above[0], below[0])
        if symmetric is None and any(part.op.name in _NAMED for part in (*above, *below)):
            return None
        return _log_of_quotient(above[0], below[0]) if symmetric is None else symmetric
    named = any(part.op.name in _NAMED for part in above)
    if len(above) == 2 and not below and c == 1 and above[0] is not above[1] and not named:
        return _log_of_product(*above)
    return None


def _of_exponentials(product: Product, like: Expr) -> Expr | None:
    """log of a product with exponentials, or of a mean of exponentials."""
    shift: Expr | None = None
    rest: list[list[Expr]] = [[], []]
    for side, nodes, combine in ((0, product.above, add), (1, product.below, subtract)):
        for node in nodes:
            if node.op is not exp:
                rest[side].append(node)
            elif shift is None:
                shift = node.args[0] if side == 0 else negative(node.args[0])
            else:
                shift = combine(shift, node.args[0])
    left = Product(product.coefficient, tuple(rest[0]), tuple(rest[1]))
    if shift is not None:
        alone = not left.above and not left.below and left.coefficient == 1
        return shift if alone else add(shift, log(product_of(left, like)))
    if product.coefficient <= 0 or len(rest[0]) != 1 or not _sums_exponentials(rest[0][0]):
        return None
    if any(under_repeats(node).op.name != "size" for node in rest[1]):
        return None
    if product.coefficient == 1 and not rest[1]:
        return None
    divisor = product_of(Product(1 / product.coefficient, tuple(rest[1]), ()), like)
    return subtract(log(rest[0][0]), log(divisor))


def _sums_exponentials(node: Expr) -> bool:
    bare = under_repeats(node)
    return bare.op is SUM and unnamed(bare.args[0]).op is exp


def _of_symmetric(above: Expr, below: Expr) -> Expr | None:
    """log((c + u) / (c - u)) is 2 artanh(u / c)."""
    for top, bottom, sign_ in ((above, below, 1), (below, above, -1)):
        if top.op is not add or bottom.op is not subtract:
            continue
        c, u = bottom.args
        rest, _ = without([unnamed(arg) for arg in top.args], [unnamed(c), unnamed(u)])
        if rest or not is_constant(c) or (scalar_constant(c) or 0) < 0:
            continue
        part = u if scalar_constant(c) == 1 else divide(u, c)
        return multiply(2 * sign_, atanh(part))
    return None


def _vanishing_product(node: Expr) -> Expr | None:
    """x log y, which is 0 where x is."""
    for x, other in (node.args, node.args[::-1]):
        if scalar_constant(x) is not None or under_repeats(x).op.name == "size":
            continue
        bare = unnamed(other)
        if bare.op is negative and unnamed(bare.args[0]).op in (log, log1p):
            found = _vanishing(x, unnamed(bare.args[0]))
            return None if found is None else negative(found)
        found = _vanishing(x, bare)
        if found is not None:
            return found
    return None


def _vanishing(x: Expr, logarithm: Expr) -> Expr | None:
    if logarithm.op is log:
        return xlogy(x, logarithm.args[0])
    if logarithm.op is log1p:
        return xlog1py(x, logarithm.args[0])
    if not _is_log_of_quotient(logarithm):
        return None
    near, close, rest = logarithm.args
    plain, usual, apart = rest.args
    above, below = apart.args
    split = subtract(xlogy(x, above.args[0]), xlogy(x, below.args[0]))
    return where(near, multiply(x, close), where(plain, multiply(x, usual), split))


def _is_log_of_quotient(node: Expr) -> bool:
    """Whether a node is what `_log_of_quotient` makes."""
    if node.op is not where or node.args[1].op is not log1p or node.args[2].op is not where:
        return False
    apart = node.args[2].args[2]
    return apart.op is subtract and all(arg.op is log for arg in apart.args)


def _log_examples() -> tuple[Expr, ...]:
    x, y, z, v = sample("x"), sample("y"), sample("z"), sample("v", "K")
    share = reshape(make(SOFTMAX, (v,), axes=(0,)), (1, v.shape[0]))
    mean = divide(sum_over(exp(v), (0,)), 3)
    return (
        log(sqrt(x)),
        log(power(x, 2)),
        log(power(x, 3)),
        log(make(PROD, (v,), axes=(0,))),
        log(subtract(exp(x), exp(y))),
        log(add(exp(x), exp(y))),
        log(add(add(exp(x), 2), exp(y))),
        log(expm1(x)),
        log(negative(expm1(x))),
        log(share),
        log(mean),
        log(multiply(exp(x), y)),
        log(multiply(3, cosh(x))),
        log(divide(1, x)),
        log(divide(add(2, x), subtract(2, x))),
        log(divide(x, y)),
        log(multiply(multiply(x, y), 1)),
        log(divide(exp(z), x)),
    )


def _vanishing_examples() -> tuple[Expr, ...]:
    x, y = sample("x"), sample("y")
    return (
        multiply(x, log(y)),
        multiply(negative(log1p(y)), x),
        multiply(x, _log_of_quotient(x, y)),
    )


LOGS: tuple[AnyRule, ...] = (
    Structural(
        "logarithm of a product, a power or a sum",
        ("log",),
        _log,
        "the argument overflows, underflows or cancels where its logarithm does not",
        _log_examples,
        error=1e-14,
    ),
    Structural(
        "x log y",
        ("multiply",),
        _vanishing_product,
        "0 times the logarithm of 0 is NaN",
        _vanishing_examples,
        among=frozenset({"log", "log1p", "negative", "where"}),
    ),
)
