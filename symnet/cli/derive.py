"""`symnet derive`: derivatives from text, step by step, of a formula or of a whole network in a
file; and a student's answer, marked."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import symnet as sn
from symnet.cli.arguments import UsageError, close_match, point
from symnet.errors import ParseError
from symnet.formula import Derivation
from symnet.parse import Network, Parsed, parse_formula, parse_network

_ENDINGS = (".txt", ".net", ".sheet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `symnet derive` takes."""
    parser.add_argument(
        "formula",
        metavar="FORMULA|FILE",
        help='such as "tanh(d*w + b)", quoted; or a file of declarations and equations',
    )
    parser.add_argument(
        "--wrt", metavar="NAME", help="the variable to derive by; of a file all its parameters"
    )
    parser.add_argument("--steps", action="store_true", help="of a file, every step with its rule")
    parser.add_argument("--latex", action="store_true", help="print LaTeX")
    parser.add_argument("--html", action="store_true", help="print a page of HTML")
    parser.add_argument(
        "--check", action="store_true", help="check every step in numbers that are drawn at random"
    )
    parser.add_argument("--at", type=point, metavar="POINT", help='numbers, such as "d=2, w=-3"')
    parser.add_argument("--compare", metavar="ANSWER", help="mark this answer: equal or not")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the derivation; 1 if an answer to compare with is wrong, or a step."""
    if arguments.latex and arguments.html:
        raise UsageError("--latex and --html: choose one")
    if _names_a_file(arguments.formula):
        return _run_file(arguments)
    if arguments.wrt is None:
        raise UsageError("the following arguments are required: --wrt")
    read = parse_formula(arguments.formula)
    variable = _variable(arguments.wrt, read.names, "the formula")
    if arguments.compare is not None:
        if arguments.latex or arguments.html or arguments.at or arguments.check:
            raise UsageError("--compare marks an answer: leave --latex and --at out")
        return _mark(read, variable, arguments.compare)
    value = _evaluated(read, variable, arguments.at) if arguments.at else ""
    derivation = sn.derive(read.expr, variable)
    _show([derivation], arguments, arguments.formula)
    if value:
        print(f"<!-- {value} -->" if arguments.html else value)
    return _checked([derivation], arguments)


def _names_a_file(text: str) -> bool:
    """Whether this is a path: a file that exists, or a name that ends like one."""
    try:
        return Path(text).is_file() or text.endswith(_ENDINGS)
    except (OSError, ValueError):  # too long for a path, or with a null in it
        return False


def _run_file(arguments: argparse.Namespace) -> int:
    if arguments.compare is not None or arguments.at:
        raise UsageError("--compare and --at are for a formula: a file has arrays")
    network = _read(arguments.formula)
    targets = _targets(network, arguments.wrt)
    if not arguments.steps and not arguments.check:
        sheet = sn.gradients(network.loss, targets)
        if arguments.html:
            print(_page(arguments.formula, [sheet.html()]))
        else:
            print(sheet.latex() if arguments.latex else sheet)
        return 0
    derivations = [sn.derive(network.loss, target) for target in targets]
    _show(derivations, arguments, arguments.formula)
    return _checked(derivations, arguments)


def _read(path: str) -> Network:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else "this is no text in UTF-8"
        raise UsageError(f"{path}: {told or error}") from None
    try:
        return parse_network(text)
    except ParseError as error:
        raise ParseError(f"{path}: {error}") from None


def _targets(network: Network, wrt: str | None) -> list[sn.Expr]:
    if wrt is not None:
        return [_variable(wrt, {**network.leaves, **network.defined}, "the file")]
    found = network.parameters()
    if not found:
        raise UsageError("the file declares no parameter: say --wrt NAME")
    return found


def _variable(name: str, names: Mapping[str, sn.Expr], where: str) -> sn.Expr:
    if name not in names:
        raise UsageError(
            f"--wrt: {where} has no {name.strip()!r}, it has "
            f"{', '.join(names) or 'no names'}{close_match(name, names)}"
        )
    return names[name]


def _show(derivations: Sequence[Derivation], arguments: argparse.Namespace, title: str) -> None:
    if arguments.html:
        print(_page(title, [derivation.html() for derivation in derivations]))
    else:
        shown = [one.latex() if arguments.latex else str(one) for one in derivations]
        print("\n\n".join(shown))


def _page(title: str, fragments: Sequence[str]) -> str:
    """A page by itself, in the colours that the reader prefers."""
    body = "\n<hr>\n".join(fragments)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title></head>\n"
        f'<body style="font-family: serif; max-width: 60em; margin: 2em auto; padding: 0 1em">\n'
        f"<h1>{escape(title)}</h1>\n{body}\n</body></html>"
    )


def _checked(derivations: Sequence[Derivation], arguments: argparse.Namespace) -> int:
    """Checks every step where that is asked for; 1 if one is wrong."""
    if not arguments.check:
        return 0
    reports = [one.check() for one in derivations]
    shown = "\n".join(map(str, reports))
    print(f"<!--\n{shown.replace('--', '- -')}\n-->" if arguments.html else f"\n{shown}")
    return 0 if all(reports) else 1


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
