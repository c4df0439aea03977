"""MODEL on the command line: a built-in model by name, or `file.py:name` of the user's own."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import symnet as sn
from symnet.cli.arguments import UsageError, close_match
from symnet.cli.recipes import RECIPES, problem
from symnet.errors import SymnetError
from symnet.sampling import sample_inputs

Array = np.ndarray[Any, Any]
HELP = f"{', '.join(RECIPES)}, or file.py:name of a loss, a Trainer or a function that makes one"


@dataclass(frozen=True)
class Model:
    """A loss, and the values its parameters have, where they are not those they start from; and
    its trainer, if that is what the text named."""

    loss: sn.Expr
    parameters: Mapping[str, Array]
    trainer: sn.Trainer | None = None


def find_model(text: str) -> Model:
    """The model that a text names; UsageError if there is none."""
    if text in RECIPES:
        return Model(problem(RECIPES[text]).loss, {})
    path, colon, name = text.rpartition(":")
    if not colon:
        if text.endswith(".py"):
            raise UsageError(f"{text}: which name in it? write {text}:name")
        raise UsageError(
            f"there is no model {text!r}: give {', '.join(RECIPES)} or file.py:name"
            f"{close_match(text, RECIPES)}"
        )
    module = _load(Path(path))
    if not hasattr(module, name):
        raise UsageError(f"{path} has nothing called {name!r}{close_match(name, vars(module))}")
    return _model(getattr(module, name), Path(path), text)


def _load(path: Path) -> ModuleType:
    """Runs the user's file, as `python file.py` would, but not as __main__."""
    if not path.is_file():
        what = "this is a folder" if path.is_dir() else "there is no such file"
        raise UsageError(f"{path}: {what}")
    spec = importlib.util.spec_from_file_location("symnet_user_model", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    sys.path.insert(0, str(path.resolve().parent))
    loader = spec.loader
    _guarded(path, lambda: loader.exec_module(module))
    return module


def _guarded(path: Path, action: Any) -> Any:
    """What the action of the user's file returns; UsageError for whatever it raises."""
    try:
        return action()
    except SymnetError:
        raise
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise UsageError(f"{error.filename or path}{line}: {error.msg}") from error
    except SystemExit as error:
        raise UsageError(f"{path} ended the program by itself ({error})") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f.lineno for f in frames if Path(f.filename).resolve() == path.resolve()]
        place = f"{path}, line {lines[-1]}" if lines else str(path)
        raise UsageError(f"{place}: {type(error).__name__}: {error}") from error


def _model(found: Any, path: Path, text: str) -> Model:
    if callable(found) and not isinstance(found, sn.Expr | sn.Trainer):
        found = _guarded(path, found)
    if isinstance(found, sn.Trainer):
        return Model(found.model.loss, dict(found.parameters), found)
    if isinstance(found, sn.Expr):
        return Model(found, {})
    raise UsageError(
        f"{text} is {type(found).__name__}; a loss (an expression), a Trainer or a function "
        "without arguments that returns one is needed"
    )


def sample_feeds(loss: sn.Expr, seed: int) -> dict[str, Array]:
    """Numbers for the loss's inputs by name: normal ones, class numbers, coin flips. Named sizes
    become small, each another."""
    return {str(leaf.name): array for leaf, array in sample_inputs([loss], seed).items()}
