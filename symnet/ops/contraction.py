"""The contraction primitive: einsum, with its derivative, again an einsum."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from typing import Any

from symnet.errors import DtypeError, ShapeError
from symnet.expr import Attributes, Dtype, Expr, Op, Tangents, make, origin_here
from symnet.ops.core import BOOL, broadcast, describe, operands
from symnet.ops.views import IDENTITY, identity, permute, reshape
from symnet.sizes import Dimension, Shape


def split(spec: str) -> tuple[list[str], str]:
    """The operands' letters and the result's of a canonical specification `ab,bc->ac`."""
    left, right = spec.split("->")
    return left.split(","), right


class Einsum(Op):
    """The sum of products over all letters that the result lacks. attrs: spec, in letters."""

    name = "einsum"

    def infer(self, args: tuple[Expr, ...], attrs: Attributes) -> tuple[Shape, Dtype]:
        letters, out = split(attrs["spec"])
        sizes: dict[str, Dimension] = {}
        for operand, arg in zip(letters, args, strict=True):
            for letter, size in zip(operand, arg.shape, strict=True):
                if sizes.setdefault(letter, size) != size:
                    raise ShapeError(
                        f"einsum {attrs['spec']}: {' and '.join(map(describe, args))} do not "
                        f"fit: {letter} is {sizes[letter]} and {size} (at {origin_here()})"
                    )
        if args[0].dtype == BOOL:
            raise DtypeError("einsum takes numbers, got bool: write sn.astype(x, dtype)")
        return tuple(sizes[letter] for letter in out), args[0].dtype

    def value(self, xp: Any, node: Expr, *args: Any) -> Any:
        return xp.einsum(node.attrs["spec"], *args)

    def pullback(self, node: Expr, adjoint: Expr, index: int) -> Expr | None:
        letters, out = split(node.attrs["spec"])
        own = letters[index]
        given = set(out).union(*(o for k, o in enumerate(letters) if k != index))
        kept = "".join(dict.fromkeys(letter for letter in own if letter in given))
        factors = [*node.args[:index], adjoint, *node.args[index + 1 :]]
        inputs = [*letters[:index], out, *letters[index + 1 :]]
        core = contract(f"{','.join(inputs)}->{kept}", factors)
        return _spread(core, kept, own, node.args[index].shape)

    def pushforward(self, node: Expr, tangents: Tangents, lead: int) -> Expr | None:
        letters, out = split(node.attrs["spec"])
        ahead = next(a for a in string.ascii_letters if a not in node.attrs["spec"])[:lead]
        total: Expr | None = None
        for index, tangent in enumerate(tangents):
            if tangent is not None:
                factors = [*node.args[:index], tangent, *node.args[index + 1 :]]
                inputs = [*letters[:index], ahead + letters[index], *letters[index + 1 :]]
                term = contract(f"{','.join(inputs)}->{ahead}{out}", factors)
                total = term if total is None else total + term
        return total


EINSUM = Einsum()


def _spread(core: Expr, kept: str, own: str, shape: Shape) -> Expr:
    """`core`, lettered `kept`, as an array lettered `own`: constant along letters that were
    summed alone, zero off the diagonal of letters that repeat."""
    unique = "".join(dict.fromkeys(own))
    sizes = dict(zip(own, shape, strict=True))
    if kept != unique:
        narrow = tuple(sizes[a] if a in kept else 1 for a in unique)
        core = broadcast(reshape(core, narrow), tuple(sizes[a] for a in unique))
    if unique == own:
        return core
    fresh = iter(sorted(set(string.ascii_letters) - set(own)))
    out, factors, specs = "", [core], [unique]
    for letter in own:
        if letter in out:
            other = next(fresh)
            factors.append(identity(sizes[letter], core.dtype))
            specs.append(letter + other)
            letter = other
        out += letter
    return contract(f"{','.join(specs)}->{out}", factors)


def contract(spec: str, factors: Sequence[Expr]) -> Expr:
    """The einsum of expressions of one dtype, with its letters renamed canonically; a permutation
    or a plain sum over axes becomes that."""
    letters, out, factors = _without_identities(*split(spec), list(factors))
    names = dict(zip(dict.fromkeys("".join(letters)), string.ascii_letters, strict=False))
    rename = str.maketrans(names)
    letters, out = [operand.translate(rename) for operand in letters], out.translate(rename)
    if len(letters) == 1 and len(set(letters[0])) == len(letters[0]):
        (own,), (factor,) = letters, factors
        gone = tuple(axis for axis, letter in enumerate(own) if letter not in out)
        kept = [letter for letter in own if letter in out]
        inner = Expr.dispatch["sum"](factor, axis=gone) if gone else factor
        return permute(inner, tuple(kept.index(letter) for letter in out))
    return make(EINSUM, tuple(factors), spec=f"{','.join(letters)}->{out}")


def _without_identities(
    letters: list[str], out: str, factors: list[Expr]
) -> tuple[list[str], str, list[Expr]]:
    """The same contraction without identity matrices that only rename a summed letter."""
    for index, (factor, own) in enumerate(zip(factors, letters, strict=True)):
        if factor.op is not IDENTITY or len(set(own)) != 2 or len(factors) == 1:
            continue
        rest = [other for k, other in enumerate(letters) if k != index]
        for gone, kept in (tuple(own), tuple(reversed(own))):
            if gone not in out and any(gone in other for other in rest):
                renamed = [other.replace(gone, kept) for other in rest]
                return _without_identities(
                    renamed, out, [f for k, f in enumerate(factors) if k != index]
                )
    return letters, out, factors


def einsum(specification: str, *values: object) -> Expr:
    """The Einstein summation of NumPy: letters, commas, an optional arrow, an ellipsis.

    Letters may repeat within an operand (its diagonal) and may be missing from the result (summed
    out). ShapeError where the specification and the operands do not fit.
    """
    nodes = operands("einsum", values)
    text = specification.replace(" ", "")
    left, arrow, right = text.partition("->")
    letters = left.split(",")
    if len(letters) != len(nodes):
        raise ShapeError(f"einsum {text}: {len(letters)} operands named, {len(nodes)} given")
    hidden = _ellipsis_letters(text, letters, nodes)
    letters = [
        own.replace("...", hidden[len(hidden) - (node.ndim - len(own.replace("...", ""))) :])
        if "..." in own
        else own
        for own, node in zip(letters, nodes, strict=True)
    ]
    out = right.replace("...", hidden) if arrow else _implied(letters, hidden)
    _check_letters(text, letters, out, nodes)
    return contract(f"{','.join(letters)}->{out}", nodes)


def _ellipsis_letters(text: str, letters: Sequence[str], nodes: Sequence[Expr]) -> str:
    free = [
        letter for letter in string.ascii_uppercase + string.ascii_lowercase if letter not in text
    ]
    most = max(
        (
            node.ndim - len(own.replace("...", ""))
            for own, node in zip(letters, nodes, strict=True)
            if "..." in own
        ),
        default=0,
    )
    return "".join(free[:most])


def _implied(letters: Iterable[str], hidden: str) -> str:
    joined = "".join(letters)
    once = sorted(a for a in set(joined) if joined.count(a) == 1 and a not in hidden)
    return hidden + "".join(once)


def _check_letters(text: str, letters: Sequence[str], out: str, nodes: Sequence[Expr]) -> None:
    for own, node in zip(letters, nodes, strict=True):
        if len(own) != node.ndim:
            raise ShapeError(
                f"einsum {text}: {own!r} names {len(own)} axes, {describe(node)} has {node.ndim}"
            )
    unknown = set(out) - set("".join(letters))
    if (
        unknown
        or len(set(out)) != len(out)
        or not set("".join(letters)) <= set(string.ascii_letters)
    ):
        raise ShapeError(f"einsum {text}: the result's letters must come once and from operands")
