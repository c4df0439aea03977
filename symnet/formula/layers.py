"""Names for what the user named not: layers, and the statistics of normalised layers."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import normalize

from symnet.expr import Expr, rebuild, topological
from symnet.formula.graph import active_nodes
from symnet.formula.naming import Names, core
from symnet.formula.narrow import narrowed
from symnet.formula.patterns import guarded_root
from symnet.ops.contraction import EINSUM
from symnet.ops.core import BROADCAST, scalar_constant
from symnet.ops.leaves import NAMED, PARAMETER, named
from symnet.ops.pointwise import Pointwise
from symnet.ops.reduction import SUM
from symnet.ops.table import add, divide, maximum, negative, sqrt, subtract
from symnet.ops.views import RESHAPE, reshape

_HAT = "\N{COMBINING CIRCUMFLEX ACCENT}"
Users = dict[Expr, list[Expr]]


def with_names(loss: Expr, targets: Sequence[Expr]) -> Expr:
    """The loss with names for what its formulas are read by.

    Means, standard deviations and standardised values are μ, σ and x̂ unless the user named them,
    and what equals something that the user named is that. If the user named no intermediate,
    pre-activations and activations are called Z_1, A_1, ..., or Z_i, A_i if their parameters are
    called W_i, U_i, b_i.
    """
    if any(target.args for target in targets):
        return loss
    return _with_statistics(_with_layers(loss, targets))


def _users(order: Sequence[Expr]) -> Users:
    """The nodes that read each node, through what is not written."""
    users: Users = {}
    for node in order:
        for arg in dict.fromkeys(core(arg) for arg in node.args):
            users.setdefault(arg, []).append(node)
    return users


def _with_layers(loss: Expr, targets: Sequence[Expr]) -> Expr:
    order = topological([loss])
    active = active_nodes(order, targets)
    if any(node.op is NAMED and node in active for node in order):
        return loss
    chosen = layers(order, active)
    names = Names(node.name for node in order if node.name)
    made: dict[Expr, Expr] = {}
    for node in order:
        made[node] = rebuild(node, tuple(made[arg] for arg in node.args))
        if node in chosen and node is not loss:
            made[node] = named(names.fresh(chosen[node]), made[node])
    return made[loss]


def layers(order: Sequence[Expr], active: set[Expr]) -> dict[Expr, str]:
    """Pre-activations and activations: sums of products and a bias, and a function of them."""
    users = _users(order)
    tops: dict[Expr, list[Expr]] = {}
    for product in (node for node in order if node.op is EINSUM and node in active and node.ndim):
        tops.setdefault(_top(product, users), []).append(product)
    place = {node: rank for rank, node in enumerate(order)}
    chosen: dict[Expr, str] = {}
    for number, node in enumerate(sorted(tops, key=place.__getitem__), 1):
        below = _subscript(node, tops[node]) or str(number)
        chosen[node] = f"Z_{below}"
        functions = [user for user in users.get(node, []) if _is_activation(user)]
        if functions:
            chosen[functions[0]] = f"A_{below}"
    return chosen


def _top(product: Expr, users: Users) -> Expr:
    """The sum that a product is a term of: of products and of leaves."""
    node = product
    while True:
        consumers = users.get(node, [])
        if len(consumers) != 1 or consumers[0].op is not add:
            return node
        others = [core(arg) for arg in consumers[0].args if core(arg) is not node]
        if not others or not _is_affine(others[0], users):
            return node
        node = consumers[0]


def _is_affine(node: Expr, users: Users) -> bool:
    """Whether a term is a leaf, a product, or a sum of such."""
    stack = [node]
    while stack:
        term = stack.pop()
        if term.op is add and len(users.get(term, [])) == 1:
            stack.extend(core(arg) for arg in term.args)
        elif term.args and not (term.op is EINSUM and len(users.get(term, [])) == 1):
            return False
    return True


def _subscript(node: Expr, products: Sequence[Expr]) -> str:
    """What the parameters of a layer have behind the `_` of their names, if it is the same."""
    direct = [core(arg) for arg in node.args] if node.op is add else []
    parts = [*(arg for product in products for arg in product.args), *direct]
    leaves = [part for part in map(core, parts) if part.op is PARAMETER]
    tails = {str(leaf.name).partition("_")[2] for leaf in leaves}
    return tails.pop() if len(tails) == 1 else ""


def _is_activation(node: Expr) -> bool:
    if node.op is maximum:
        return scalar_constant(node.args[1]) is not None
    return isinstance(node.op, Pointwise) and node.op.arity == 1 and node.op is not negative


def _with_statistics(loss: Expr) -> Expr:
    order = topological([loss])
    chosen = _statistics(order)
    own = {narrowed(node.args[0]): node for node in order if node.op is NAMED and node.ndim}
    wrapped = {node.args[0] for node in order if node.op is NAMED}
    if not chosen and not own:
        return loss
    names = Names(node.name for node in order if node.name)
    made: dict[Expr, Expr] = {}
    called: dict[Expr, Expr] = {}
    for node in order:
        made[node] = rebuild(node, tuple(made[arg] for arg in node.args))
        if node in wrapped or node.op in (NAMED, RESHAPE, BROADCAST) or not node.args:
            continue
        slim = narrowed(node)
        same = own.get(slim)
        if same is not None and same in made:
            made[node] = reshape(narrowed(made[same]), node.shape)
        elif node in chosen and node is not loss:
            if slim not in called:
                called[slim] = named(names.fresh(chosen[node]), narrowed(made[node]))
            made[node] = reshape(called[slim], node.shape)
    return made[loss]


def _statistics(order: Sequence[Expr]) -> dict[Expr, str]:
    """Means that are subtracted, roots of means of squares that divide, and the quotients."""
    chosen: dict[Expr, str] = {}
    for node in order:
        if node.op is divide and node.ndim and _is_centred(core(node.args[0])):
            below = core(node.args[1])
            if _is_deviation(below):
                if below.op is not NAMED:
                    chosen[below] = "σ"
                chosen[node] = _standardised(core(node.args[0]))
        if _is_centred(node):
            mean = node.args[1].args[0] if node.args[1].op is BROADCAST else node.args[1]
            chosen.update({mean: "μ"} if _is_mean(mean) else {})
    return chosen


def _standardised(centred: Expr) -> str:
    name = core(centred.args[0]).name or "x"
    return normalize("NFC", name[0] + _HAT + name[1:])


def _is_centred(node: Expr) -> bool:
    """Whether a node is x − mean(x)."""
    return node.op is subtract and node.ndim > 0 and _is_mean(core(node.args[1]))


def _is_mean(node: Expr) -> bool:
    """Whether a node is a sum over axes, divided by a number."""
    node = node.args[0] if node.op is NAMED else node
    if node.op is not divide or not node.ndim:
        return False
    return core(node.args[0]).op is SUM and not core(node.args[1]).ndim


def _is_deviation(node: Expr) -> bool:
    """Whether a node is the root of a mean of squares, to which a constant may be added."""
    inner = node.args[0] if node.op is NAMED else node
    radicand = guarded_root(inner) or (inner.args[0] if inner.op is sqrt else None)
    if radicand is None:
        return False
    terms = [core(arg) for arg in radicand.args] if radicand.op is add else [core(radicand)]
    means = [term for term in terms if _is_mean(term)]
    rest = [term for term in terms if not _is_mean(term)]
    return len(means) == 1 and all(scalar_constant(term) is not None for term in rest)
