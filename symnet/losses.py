"""Losses: plain functions of expressions.

In all of them prediction and target have EQUAL shapes, unless integer labels are said to serve;
(N, 1) against (N,) is an error. `weight` is a number, an array or an Expr that broadcasts to the
loss of each element without growing it. `reduction` is "mean" over the elements (a weight of 1
changes nothing, one of 2 doubles), "sum", or "none" for the loss of each. Classes stand on the
last axis. Each raises ShapeError for shapes and DtypeError for dtypes that do not fit, GraphError
for anything else.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from symnet.errors import DtypeError, GraphError, ShapeError
from symnet.expr import Expr, origin_here
from symnet.functions.arrays import pick, take
from symnet.functions.pointwise import abs as absolute
from symnet.functions.pointwise import log, maximum, not_equal, softplus, where
from symnet.functions.reductions import log_softmax, mean, sum
from symnet.ops.core import (
    BOOL,
    FLOATS,
    INTEGERS,
    cast,
    common_shape,
    constant,
    describe,
    operands,
    size_value,
)
from symnet.ops.pointwise import ones
from symnet.sizes import show_shape

REDUCTIONS = ("mean", "sum", "none")


def _expression(value: object, what: str) -> Expr:
    if not isinstance(value, Expr):
        raise GraphError(
            f"{what}: expected an expression, got {type(value).__name__}; data enters as "
            f"sn.input(...) or sn.constant(array) (at {origin_here()})"
        )
    return value


def _floats(value: object, what: str) -> Expr:
    node = _expression(value, what)
    if node.dtype not in FLOATS:
        raise DtypeError(
            f"{what}: {describe(node)} is {node.dtype}, floating-point numbers are needed: "
            f"sn.astype(x, 'float32') (at {origin_here()})"
        )
    return node


def _pair(what: str, prediction: object, target: object, labels: bool = False) -> list[Expr]:
    """The two as floats of one dtype, of equal shapes; integer targets become floats if they are
    labels."""
    first, second = _floats(prediction, what), _expression(target, what)
    second = cast(second, first.dtype) if labels and second.dtype not in FLOATS else second
    second = _floats(second, what)
    if first.shape != second.shape:
        raise ShapeError(
            f"{what}: prediction {describe(first)} and target {describe(second)} must have equal "
            f"shapes; {_advice(first, second)} (at {origin_here()})"
        )
    return operands(what, (first, second))


def _advice(first: Expr, second: Expr) -> str:
    """What to write where a loss is given a column against a vector, and otherwise."""
    for longer, shorter, which in ((first, second, "prediction"), (second, first, "target")):
        if longer.ndim == shorter.ndim + 1 and longer.shape == (*shorter.shape, 1):
            places = ", ".join([":"] * shorter.ndim + ["0"])
            return f"drop the last axis of the {which} by {longer.name or which}[{places}]"
    return "reshape or broadcast one of them first"


def reduced(what: str, loss: Expr, weight: object = None, reduction: str = "mean") -> Expr:
    """The loss of each element, weighted and reduced as the module says."""
    if reduction not in REDUCTIONS:
        raise GraphError(f"{what}: a reduction is mean, sum or none, got {reduction!r}")
    if weight is not None:
        loss = _weight(what, weight, loss) * loss
    if reduction == "none":
        return loss
    return mean(loss) if reduction == "mean" else sum(loss)


def _weight(what: str, weight: object, loss: Expr) -> Expr:
    if isinstance(weight, Expr):
        # Labels and masks may weigh: 0 and 1 are exact in any dtype.
        node = cast(weight, loss.dtype) if weight.dtype == BOOL else _floats(weight, what)
    else:
        node = constant(np.asarray(weight), loss.dtype)
    shape = common_shape(f"{what} weight", (node, loss))
    if shape != loss.shape:
        raise ShapeError(
            f"{what}: the weight, {show_shape(node.shape)}, would enlarge the loss, "
            f"{show_shape(loss.shape)} (at {origin_here()})"
        )
    return node


def mse(
    prediction: Expr, target: Expr, *, weight: object = None, reduction: str = "mean"
) -> Expr:
    """The squared error, sum((z - y)^2) over the number of elements."""
    first, second = _pair("mse", prediction, target)
    return reduced("mse", (first - second) ** 2, weight, reduction)


def mae(
    prediction: Expr, target: Expr, *, weight: object = None, reduction: str = "mean"
) -> Expr:
    """The absolute error, |z - y|; its derivative where they are equal is 0."""
    first, second = _pair("mae", prediction, target)
    return reduced("mae", absolute(first - second), weight, reduction)


def huber(
    prediction: Expr,
    target: Expr,
    delta: float = 1.0,
    *,
    weight: object = None,
    reduction: str = "mean",
) -> Expr:
    """e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2) (Huber, 1964)."""
    first, second = _pair("huber", prediction, target)
    error = first - second
    size = absolute(error)
    loss = where(size <= delta, 0.5 * error**2, delta * (size - 0.5 * delta))
    return reduced("huber", loss, weight, reduction)


def hinge(
    scores: Expr, target: Expr, *, weight: object = None, reduction: str = "mean"
) -> Expr:
    """max(0, 1 - y s), the max-margin loss; the target is -1 or 1, of any dtype but bool."""
    if _expression(target, "hinge").dtype == BOOL:
        raise DtypeError(f"hinge: labels are -1 and 1, {describe(target)} is bool")
    first, second = _pair("hinge", scores, target, labels=True)
    return reduced("hinge", maximum(0, 1 - second * first), weight, reduction)


def binary_cross_entropy(
    logits: Expr, target: Expr, *, weight: object = None, reduction: str = "mean"
) -> Expr:
    """-(y log p + (1 - y) log(1 - p)) for p = sigmoid(z), as softplus(z) - y z.

    The target is a probability, or 0 and 1 of any dtype.
    """
    first, second = _pair("binary_cross_entropy", logits, target, labels=True)
    loss = softplus(first) - second * first
    return reduced("binary_cross_entropy", loss, weight, reduction)


def _times_log(factor: Expr, probability: Expr) -> Expr:
    """factor * log(probability), and 0 with derivative 0 where the factor is."""
    return factor * log(where(not_equal(factor, 0), probability, ones(probability)))


def binary_cross_entropy_from_probabilities(
    probabilities: Expr, target: Expr, *, weight: object = None, reduction: str = "mean"
) -> Expr:
    """-(y log p + (1 - y) log(1 - p)), where 0 log 0 is 0; infinite where the truth has p = 0.

    Logits are better where there are some: binary_cross_entropy(logits, target).
    """
    what = "binary_cross_entropy_from_probabilities"
    first, second = _pair(what, probabilities, target, labels=True)
    loss = -(_times_log(second, first) + _times_log(1 - second, 1 - first))
    return reduced(what, loss, weight, reduction)


def cross_entropy(
    logits: Expr,
    target: Expr,
    *,
    weight: object = None,
    class_weight: object = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Expr:
    """-log softmax(z)[y], the mean over all but the last axis, which holds the classes.

    logits: (..., K). target: integer labels (...), or probabilities (..., K), one-hot or soft.
    weight: of each row, (...). class_weight: K numbers. As in PyTorch the mean for integer labels
    is then weighted by the class of each row, and for probabilities is not. label_smoothing s
    replaces the target by (1 - s) y + s / K (Szegedy et al., 2016, sec. 7).

    Raises ShapeError or DtypeError for other targets, such as float labels of rank one.
    """
    scores = log_softmax(_classes("cross_entropy", logits))
    return _class_loss(
        "cross_entropy", scores, target, weight, class_weight, label_smoothing, reduction
    )


def nll(
    log_probabilities: Expr,
    target: Expr,
    *,
    weight: object = None,
    class_weight: object = None,
    reduction: str = "mean",
) -> Expr:
    """The negative log likelihood: `cross_entropy` from log probabilities (..., K)."""
    scores = _classes("nll", log_probabilities)
    return _class_loss("nll", scores, target, weight, class_weight, 0.0, reduction)


def cross_entropy_from_probabilities(
    probabilities: Expr, target: Expr, *, weight: object = None, reduction: str = "mean"
) -> Expr:
    """-log p[y] for integer labels, -sum(y log p) for one-hot or soft ones, where 0 log 0 is 0.

    Logits are better where there are some: cross_entropy(logits, target).
    """
    what = "cross_entropy_from_probabilities"
    given, goal = _classes(what, probabilities), _targets(what, probabilities, target)
    if goal.dtype in INTEGERS:
        return _negative(what, log(pick(given, goal)), weight, reduction)
    first, second = operands(what, (given, goal))
    return _negative(what, sum(_times_log(second, first), axis=-1), weight, reduction)


def kl_divergence(
    logits: Expr, target: Expr, *, weight: object = None, reduction: str = "mean"
) -> Expr:
    """KL(y || p) = sum(y (log y - log p)) over the last axis, for p = softmax(logits).

    The target holds probabilities shaped as the logits; 0 log 0 is 0.
    """
    _classes("kl_divergence", logits)
    first, second = _pair("kl_divergence", logits, target)
    parts = _times_log(second, second) - second * log_softmax(first)
    return reduced("kl_divergence", sum(parts, axis=-1), weight, reduction)


def l2(parameters: Iterable[Expr]) -> Expr:
    """The sum of the squares of all elements of the parameters, to be scaled and added to a loss.

    Raises GraphError for no parameters.
    """
    nodes = [_floats(node, "l2") for node in parameters]
    if not nodes:
        raise GraphError("l2: there are no parameters")
    total = sum(nodes[0] ** 2)
    for node in nodes[1:]:
        total = total + sum(node**2)
    return total


def _classes(what: str, scores: object) -> Expr:
    node = _floats(scores, what)
    if not node.ndim or node.shape[-1] == 1:
        raise ShapeError(
            f"{what}: {describe(node)} needs a last axis of at least two classes; for one score "
            f"a row write binary_cross_entropy (at {origin_here()})"
        )
    return node


def _targets(what: str, scores: Expr, target: object) -> Expr:
    """The target, checked: integer labels without the last axis, or floats of equal shape."""
    node = _expression(target, what)
    labels = scores.shape[:-1]
    if node.dtype in INTEGERS and node.shape == labels:
        return node
    if node.dtype in FLOATS and node.shape == scores.shape:
        return node
    wanted = f"integer labels ({show_shape(labels)}) or float rows ({show_shape(scores.shape)})"
    head = f"{what}: {describe(scores)} takes {wanted} as target, got {describe(node)} {node.dtype}"
    if node.dtype in FLOATS and node.shape == labels:
        advice = "labels need an integer dtype: sn.input(name, shape, dtype='int64')"
    elif node.shape == scores.shape:
        advice = "one-hot rows need a float dtype: sn.astype(y, 'float32')"
    elif node.dtype in INTEGERS and node.shape == (*labels, 1):
        advice = f"drop the last axis by {node.name or 'y'}[{', '.join([':'] * len(labels))}, 0]"
    else:
        advice = "give it one of these shapes and dtypes"
    kind = DtypeError if node.shape in (labels, scores.shape) else ShapeError
    raise kind(f"{head}; {advice} (at {origin_here()})")


def _negative(what: str, terms: Expr, weight: object, reduction: str) -> Expr:
    return -reduced(what, terms, weight, reduction)


def _class_loss(
    what: str,
    scores: Expr,
    target: object,
    weight: object,
    class_weight: object,
    smoothing: float,
    reduction: str,
) -> Expr:
    """The loss from log probabilities. Minus the mean, so that it prints and differentiates as
    in the textbook."""
    goal = _targets(what, scores, target)
    if not 0 <= smoothing <= 1:
        raise GraphError(f"{what}: label_smoothing must lie between 0 and 1, got {smoothing!r}")
    classes = None if class_weight is None else _class_weight(what, class_weight, scores)
    balance = None if classes is None or goal.dtype in FLOATS else take(classes, goal)
    if goal.dtype in INTEGERS:
        terms = pick(scores, goal)
        terms = terms if balance is None else balance * terms
    else:
        soft, scores = operands(what, (goal, scores))
        each = soft * scores if classes is None else soft * scores * classes
        terms = sum(each, axis=-1)
    if smoothing:
        spread = sum(scores if classes is None else scores * classes, axis=-1)
        share = smoothing / size_value(scores.shape[-1], scores.dtype)
        terms = (1 - smoothing) * terms + share * spread
    if balance is None or reduction != "mean":
        return _negative(what, terms, weight, reduction)
    return _negative(what, terms, weight, "sum") / sum(balance)


def _class_weight(what: str, class_weight: object, scores: Expr) -> Expr:
    given = class_weight if isinstance(class_weight, Expr) else np.asarray(class_weight)
    node = given if isinstance(given, Expr) else constant(given, scores.dtype)
    if node.shape != scores.shape[-1:]:
        raise ShapeError(
            f"{what}: class_weight ({show_shape(node.shape)}) needs one number for each of the "
            f"{scores.shape[-1]} classes (at {origin_here()})"
        )
    return _floats(node, what)
