"""The program `symnet`: which command, and how faults end it."""

from __future__ import annotations

import importlib.metadata
import io
import os
import sys
from collections.abc import Sequence
from typing import Final

from codegen.cache import CacheError
from codegen.cpu.errors import CompileError
from symnet.cli import cache, check, derive, doctor, explain, train
from symnet.cli.arguments import WRONG_INPUT, Parser, UsageError, close_match
from symnet.errors import SymnetError
from symnet.lazy import MissingDependency

COMMANDS: Final = {
    "train": (train, "train a built-in model on real data, and test it"),
    "derive": (derive, "derive a formula, or mark an answer"),
    "check": (check, "check a model's gradient against other ways to compute it"),
    "explain": (explain, "count a model's operations and show what runs"),
    "cache": (cache, "list or remove compiled kernels"),
    "doctor": (doctor, "say what is installed and what is wrong, with the line that mends it"),
}
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
FAULTS: Final = (UsageError, SymnetError, MissingDependency, CacheError, CompileError)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0, 1 for a check that failed, 2 for wrong
    input, 130 after Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a sign of mathematics shows ? for it.
            stream.reconfigure(errors="replace")
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except FAULTS as error:
        print(f"symnet: {error}", file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        print("symnet: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has gone; nor may the interpreter's own flush at the end find out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _run(arguments: list[str]) -> int:
    parser = _parser()
    if not arguments:
        parser.print_help()
        return 0
    if not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise UsageError(
            f"there is no command {arguments[0]!r}, there is {', '.join(COMMANDS)}"
            f"{close_match(arguments[0], COMMANDS)}"
        )
    try:
        given, unknown = parser.parse_known_args([_protected(text) for text in arguments])
    except SystemExit as done:  # after --help and --version
        return int(done.code or 0)
    if unknown:
        surplus = unknown[0].strip()
        raise UsageError(
            f"{given.command} does not take {surplus!r}{close_match(surplus, given.options)}"
        )
    return int(given.run(given))


def _protected(text: str) -> str:
    """A formula such as -x^2, which would pass for an option, behind a space."""
    if text == "-o":
        return text
    return f" {text}" if text.startswith("-") and text[1:2] not in ("-", "h", "") else text


def _parser() -> Parser:
    parser = Parser(
        prog="symnet",
        description="Write a network as mathematics, read its gradient, train it compiled.",
    )
    parser.add_argument("--version", action="version", version=f"symnet {_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, purpose) in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose)
        module.add_arguments(command)
        command.set_defaults(options=command.options())
    return parser


def _version() -> str:
    try:
        return importlib.metadata.version("symnet")
    except importlib.metadata.PackageNotFoundError:
        return "(run from its sources, not installed)"
