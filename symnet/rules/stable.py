"""STABILISE: equations whose right side gives the true value where the left cancels or overflows.

References: Higham, Accuracy and Stability of Numerical Algorithms, 2002, chapter 1; Blanchard,
Higham and Higham, Accurately computing the log-sum-exp and softmax functions, 2021; Maechler,
Accurately computing log(1 - exp(-|a|)), 2012.
"""

from __future__ import annotations

import math

from symnet.expr import Expr, make
from symnet.ops.core import broadcast, number
from symnet.ops.gather import gather, scatter_add
from symnet.ops.pointwise import ones
from symnet.ops.reduction import (
    LOG_SOFTMAX,
    LOGSUMEXP,
    MAX,
    SOFTMAX,
    restore,
    sum_over,
)
from symnet.ops.table import (
    absolute,
    add,
    divide,
    equal,
    exp,
    expm1,
    log,
    log1p,
    multiply,
    negative,
    sigmoid,
    softplus,
    subtract,
    tanh,
    where,
)
from symnet.ops.views import iota, reshape
from symnet.rules.affine import AFFINE
from symnet.rules.compound import COMPOUND
from symnet.rules.differences import DIFFERENCES
from symnet.rules.equations import EQUATIONS
from symnet.rules.exact import LOG_OF_EXP
from symnet.rules.gaps import GAPS
from symnet.rules.infinity import INFINITY
from symnet.rules.logarithms import LOGS
from symnet.rules.mixtures import MIXTURES
from symnet.rules.products import BELLS, PRODUCTS
from symnet.rules.quotients import QUOTIENTS
from symnet.rules.removable import REMOVABLE
from symnet.rules.roots import ROOTS
from symnet.rules.rule import MATRIX, ROWS, AnyRule, Rule, index_variable, variable
from symnet.rules.selects import SELECTS
from symnet.rules.shares import SOFTMAX_SHARES
from symnet.rules.spread import SPREADS

_NO_CANCELLATION = "same function, no cancellation"
_NO_OVERFLOW = "same function, no overflow"

_x = variable("x")
_z, _y, _g = variable("z", MATRIX), index_variable("y"), variable("g", ROWS)
_axes = (1,)


def _bell(factor: float, e: Expr) -> Expr:
    """factor e / (1 + e)^2, the even bell that both sigmoid and tanh have for a derivative."""
    return divide(multiply(factor, e) if factor != 1 else e, multiply(add(1, e), add(1, e)))


_sigmoid_decay = exp(negative(absolute(_x)))
_tanh_decay = exp(multiply(-2, absolute(_x)))

SATURATION = (
    Rule(
        "sech squared",
        subtract(1, multiply(tanh(_x), tanh(_x))),
        _bell(4, _tanh_decay),
        "1 - tanh(x)^2 cancels where tanh saturates",
        remark=_NO_CANCELLATION,
        smooth=False,
        text="sech²(<x>)",
        latex=r"\operatorname{sech}^2(<x>)",
    ),
    Rule(
        "sech squared of factors",
        multiply(subtract(1, tanh(_x)), add(1, tanh(_x))),
        _bell(4, _tanh_decay),
        "1 - tanh(x) cancels where tanh saturates",
        remark=_NO_CANCELLATION,
        smooth=False,
        text="sech²(<x>)",
        latex=r"\operatorname{sech}^2(<x>)",
    ),
    Rule(
        "slope of sigmoid",
        multiply(sigmoid(_x), sigmoid(negative(_x))),
        _bell(1, _sigmoid_decay),
        "one exponential in place of two, and 1 - sigmoid(x) cancels where sigmoid saturates",
        remark=_NO_CANCELLATION,
        smooth=False,
        text="e/(1 + e)² where e = exp(−|<x>|)",
        latex=r"\frac{e}{(1 + e)^2} \text{ where } e = \exp(-\lvert <x> \rvert)",
    ),
    Rule(
        "size of minus x",
        absolute(negative(_x)),
        absolute(_x),
        "the same size is one expression",
        shown=False,
    ),
    Rule(
        "complement of sigmoid",
        subtract(1, sigmoid(_x)),
        sigmoid(negative(_x)),
        "1 - sigmoid(x) cancels for large x",
        remark=_NO_CANCELLATION,
    ),
)

SIGMOIDS = (
    Rule(
        "sigmoid of minus x",
        divide(1, add(1, exp(negative(_x)))),
        sigmoid(_x),
        "exp(-x) overflows for x below -709",
        remark=_NO_OVERFLOW,
    ),
    Rule(
        "sigmoid of x",
        divide(1, add(1, exp(_x))),
        sigmoid(negative(_x)),
        "exp(x) overflows for x above 709",
        remark=_NO_OVERFLOW,
    ),
    Rule(
        "sigmoid as a share",
        divide(exp(_x), add(1, exp(_x))),
        sigmoid(_x),
        "infinity over infinity for x above 709",
        remark=_NO_OVERFLOW,
    ),
)

LOGARITHMS = (
    LOG_OF_EXP,
    Rule(
        "softplus",
        log(add(1, exp(_x))),
        softplus(_x),
        "exp(x) overflows for large x and is lost beside 1 for small x",
        remark=_NO_OVERFLOW,
    ),
    Rule(
        "softplus of log1p",
        log1p(exp(_x)),
        softplus(_x),
        "exp(x) overflows for large x",
        remark=_NO_OVERFLOW,
    ),
    Rule(
        "log sigmoid of minus x",
        log(sigmoid(negative(_x))),
        negative(softplus(_x)),
        "sigmoid(-x) underflows for large x",
        remark="same function, no underflow",
    ),
    Rule(
        "log sigmoid",
        log(sigmoid(_x)),
        negative(softplus(negative(_x))),
        "sigmoid(x) underflows for x below -745",
        remark="same function, no underflow",
    ),
    Rule(
        "log1p",
        log(add(1, _x)),
        log1p(_x),
        "1 + x rounds a small x away",
        domain={"x": (-1, math.inf)},
        remark=_NO_CANCELLATION,
    ),
    Rule(
        "log1p of minus x",
        log(subtract(1, _x)),
        log1p(negative(_x)),
        "1 - x rounds a small x away",
        domain={"x": (-math.inf, 1)},
        remark=_NO_CANCELLATION,
    ),
    Rule(
        "expm1",
        subtract(exp(_x), 1),
        expm1(_x),
        "exp(x) - 1 cancels for small x",
        remark=_NO_CANCELLATION,
    ),
    Rule(
        "minus expm1",
        subtract(1, exp(_x)),
        negative(expm1(_x)),
        "1 - exp(x) cancels for small x",
        remark=_NO_CANCELLATION,
    ),
)


def _kept(reduced: Expr) -> Expr:
    """A pattern's reduction with its axis kept as size 1."""
    return reshape(reduced, (_z.shape[0], 1))


def _reduced(row: object, node: Expr) -> Expr:
    return make(row, (node,), axes=_axes)  # type: ignore[arg-type]


_softmax, _log_softmax = _reduced(SOFTMAX, _z), _reduced(LOG_SOFTMAX, _z)
_logsumexp, _sum_exp = _reduced(LOGSUMEXP, _z), sum_over(exp(_z), _axes)
_shifted = exp(subtract(_z, restore(_reduced(MAX, _z), _z, _axes)))
_ROW_PICK = "a*,a->a"

SOFTMAXES = (
    Rule(
        "log-sum-exp",
        log(_sum_exp),
        _logsumexp,
        "exp overflows, or all of it underflows",
        remark=_NO_OVERFLOW,
    ),
    Rule(
        "log-sum-exp, axes kept",
        log(_kept(_sum_exp)),
        _kept(_logsumexp),
        "exp overflows, or all of it underflows",
        remark=_NO_OVERFLOW,
    ),
    Rule(
        "log softmax",
        log(_softmax),
        _log_softmax,
        "a probability underflows where its logarithm does not",
        remark="same function, no underflow",
    ),
    Rule(
        "log of a picked probability",
        log(gather(_softmax, _y, _ROW_PICK)),
        gather(_log_softmax, _y, _ROW_PICK),
        "a probability underflows where its logarithm does not",
        remark="same function, no underflow",
    ),
    Rule(
        "softmax as a share",
        divide(exp(_z), restore(_sum_exp, _z, _axes)),
        _softmax,
        "infinity over infinity for large z",
        remark=_NO_OVERFLOW,
    ),
    Rule(
        "shifted softmax as a share",
        divide(_shifted, restore(sum_over(_shifted, _axes), _z, _axes)),
        _softmax,
        "one pass in place of three",
    ),
    Rule(
        "difference from log-sum-exp",
        subtract(_z, restore(_logsumexp, _z, _axes)),
        _log_softmax,
        "one function whose derivative is known",
    ),
    Rule("exp of log softmax", exp(_log_softmax), _softmax, "one rounding less"),
)

_index = broadcast(iota(_z.shape[1]), _z.shape)
_hot = equal(_index, restore(_y, _z, _axes))
_others = restore(sum_over(where(_hot, 0, _softmax), _axes), _z, _axes)
_against = where(_hot, _others, negative(_softmax))


def _cross_entropy(name: str, left: Expr, right: Expr) -> Rule:
    return Rule(
        name,
        left,
        right,
        "1 - P[n, y[n]] cancels where the right class is nearly certain",
        remark="",
        text="<P>[n,k] − 1 = −Σ_{j≠k} <P>[n,j] where k = <y>[n]",
        latex=r"<P>_{nk} - 1 = -\sum_{j \ne k} <P>_{nj} \text{ where } k = <y>_n",
        terms={"P": _softmax},
    )


def _scattered(values: Expr) -> Expr:
    return scatter_add(values, _y, _ROW_PICK, _z.shape[1])


_one = ones(_g)
_minus_one = broadcast(number(-1, _g.dtype), _g.shape)
CROSS_ENTROPY = (
    _cross_entropy(
        "gradient of cross-entropy",
        subtract(_scattered(_g), multiply(restore(_g, _z, _axes), _softmax)),
        multiply(restore(_g, _z, _axes), _against),
    ),
    _cross_entropy(
        "gradient of cross-entropy, weight one", subtract(_scattered(_one), _softmax), _against
    ),
    _cross_entropy(
        "gradient of cross-entropy, weight minus one",
        add(_scattered(_minus_one), _softmax),
        negative(_against),
    ),
)

STABILISE: tuple[AnyRule, ...] = (
    *SELECTS,
    *SIGMOIDS,
    *EQUATIONS,
    *LOGARITHMS[:5],
    *LOGS,
    *MIXTURES,
    *LOGARITHMS[5:],
    *SOFTMAXES,
    *CROSS_ENTROPY,
    *SATURATION,
    *PRODUCTS,
    *SOFTMAX_SHARES,
    *SPREADS,
    *AFFINE,
    *GAPS,
    *ROOTS,
    *DIFFERENCES,
    *REMOVABLE,
    *QUOTIENTS,
    *COMPOUND,
    *INFINITY,
)
# Taken when nothing else fits any more, since they hide what other rules look for.
LAST: tuple[AnyRule, ...] = BELLS
LAST_OPS = frozenset({"cosh", "sinh"})
