"""`symnet derive`: a derivative from text, step by step; and a student's answer, marked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import symnet as sn
from symnet.cli.arguments import UsageError, close_match, point
from symnet.parse import Parsed, parse_formula


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `symnet derive` takes."""
    parser.add_argument("formula", help='such as "tanh(d*w + b)"; quote it')
    parser.add_argument("--wrt", required=True, metavar="NAME", help="the variable to derive by")
    parser.add_argument("--latex", action="store_true", help="print LaTeX")
    parser.add_argument("--at", type=point, metavar="POINT", help='numbers, such as "d=2, w=-3"')
    parser.add_argument("--compare", metavar="ANSWER", help="mark this answer: equal or not")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the derivation; 1 if an answer to compare with is wrong."""
    read = parse_formula(arguments.formula)
    if arguments.wrt not in read.names:
        raise UsageError(
            f"--wrt: the formula has no {arguments.wrt!r}, it has "
            f"{', '.join(read.names) or 'no names'}{close_match(arguments.wrt, read.names)}"
        )
    variable = read.names[arguments.wrt]
    if arguments.compare is not None:
        if arguments.latex or arguments.at:
            raise UsageError("--compare marks an answer: leave --latex and --at out")
        return _mark(read, variable, arguments.compare)
    value = _evaluated(read, variable, arguments.at) if arguments.at else ""
    derivation = sn.derive(read.expr, variable)
    print(derivation.latex() if arguments.latex else derivation)
    if value:
        print(value)
    return 0


def _mark(read: Parsed, variable: sn.Expr, answer: str) -> int:
    """Says whether the answer is right; nothing that is printed gives the right one away."""
    given = parse_formula(answer, read.names)
    strange = [name for name in given.names if name not in read.names]
    if strange:
        raise UsageError(
            f"--compare: the formula has no {strange[0]!r}, it has {', '.join(read.names)}"
        )
    marked = sn.equivalent(given.expr, sn.grad(read.expr, variable))
    if marked:
        print(f"equal: the derivative by {variable.name} is {given.expr}")
        return 0
    if not marked.point:
        print(f"not equal: {marked.reason}")
        return 1
    where = ", ".join(f"{name} = {value:.6g}" for name, value in marked.point.items())
    print(
        f"not equal: at {where} the answer is {marked.left:.6g}, the derivative {marked.right:.6g}"
    )
    return 1


def _evaluated(read: Parsed, variable: sn.Expr, values: Mapping[str, float]) -> str:
    strange = [name for name in values if name not in read.names]
    missing = [name for name in read.names if name not in values]
    if strange or missing:
        what = f"there is no {strange[0]}" if strange else f"{missing[0]} has no value"
        raise UsageError(f"--at: {what}; the formula has {', '.join(read.names)}")
    value, slope = sn.evaluate([read.expr, sn.grad(read.expr, variable)], dict(values))
    where = ", ".join(f"{name} = {number:g}" for name, number in values.items())
    return f"at {where}: value {value:.10g}, derivative {slope:.10g}"
