"""The program `symnet`: which command, and how faults end it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from codegen.cache import CacheError
from symnet.cli import cache, check, derive, doctor, explain, export, train
from symnet.cli.arguments import WRONG_INPUT, Parser, UsageError, close_match
from symnet.errors import SymnetError
from symnet.lazy import MissingDependency

COMMANDS: Final = {
    "train": (train, "train a built-in model on real data, and test it"),
    "derive": (derive, "derive a formula, or mark an answer"),
    "check": (check, "check a model's gradient against other ways to compute it"),
    "explain": (explain, "count a model's operations and show what runs"),
    "export": (export, "write the machine code of a model's training step for a GPU"),
    "cache": (cache, "list or remove compiled kernels"),
    "doctor": (doctor, "say what is installed and what is wrong, with the line that mends it"),
}
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
FAULT: Final = 70
"""EX_SOFTWARE of sysexits.h: what nobody foresaw."""
FAULTS: Final = (UsageError, SymnetError, MissingDependency, CacheError)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 0, 1 for a check that failed, 2 for wrong
    input and for what the system refuses, 130 after Ctrl-C, 141 if whoever read has gone."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that lacks a sign of mathematics shows ? for it.
            stream.reconfigure(errors="replace")
    try:
        status = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except FAULTS as error:
        return _ended(_without_ourselves(str(error)), WRONG_INPUT)
    except KeyboardInterrupt:
        return _ended("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _silence(sys.stdout)
        return BROKEN_PIPE
    except OSError as error:
        return _ended(_refused(error), WRONG_INPUT)
    except MemoryError as error:
        return _ended(f"there is not enough memory: {error}".rstrip(": "), WRONG_INPUT)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
        told = f"{where}: {' '.join(str(error).split())}"
        return _ended(f"a fault of symnet itself; python -X dev -m symnet shows all: {told}", FAULT)


def _ended(text: str, status: int) -> int:
    """Says why, as far as anybody listens."""
    try:
        print(f"symnet: {text}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)
    return status


def _refused(error: OSError) -> str:
    """What the system would not do: open a file, or print (a full disk)."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()  # once more, so that the interpreter has nothing to complain of
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}"


def _silence(stream: TextIO) -> None:
    """Whoever read has gone: nor may the interpreter's own flush at the end find out."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):
        return  # not a file of the system


def _without_ourselves(text: str) -> str:
    """A message without the line of this program, where it is said to be the user's."""
    return re.sub(rf" \((?:made )?at {re.escape(sys.argv[0])}:\d+\)", "", text)


def _run(arguments: list[str]) -> int:
    parser = _parser()
    if not arguments:
        parser.print_help()
        return 0
    if arguments[0] not in COMMANDS and arguments[0] not in parser.options():
        raise UsageError(
            f"there is no command {arguments[0]!r}, there is {', '.join(COMMANDS)}"
            f"{close_match(arguments[0], [*COMMANDS, *parser.options()])}"
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
