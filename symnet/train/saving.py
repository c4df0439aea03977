"""A trainer in a file: the graph as JSON, everything else as arrays, in one .npz without pickle."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from symnet.errors import TrainingError
from symnet.expr import Expr
from symnet.graph_file import read, write
from symnet.train.model import Model

Array = np.ndarray[Any, Any]
FORMAT = "symnet trainer 1"
PLACE = "trainer.place"
"""The name in a state of the epoch, the position in it, and the steps it has."""


def save(
    path: str | os.PathLike[str], model: Model, state: Mapping[str, Array], seed: int, rule: str
) -> None:
    """Writes everything that a trainer needs to go on, whole or not at all."""
    roots = [model.loss, *model.metrics.values(), *model.gradients, *model.parameters]
    roots += [model.rate, model.norm, model.rate_set]
    roots += [node for pair in model.updates for node in pair]
    nodes, numbers, arrays = write(roots, seed)
    head = {
        "format": FORMAT,
        "seed": seed,
        "rule": rule,
        "nodes": nodes,
        "loss": numbers[model.loss],
        "metrics": {name: numbers[node] for name, node in model.metrics.items()},
        "parameters": [numbers[node] for node in model.parameters],
        "gradients": [numbers[node] for node in model.gradients],
        "updates": [[numbers[leaf], numbers[value]] for leaf, value in model.updates],
        "rate": numbers[model.rate],
        "norm": numbers[model.norm],
        "rate_set": numbers[model.rate_set],
    }
    text = np.frombuffer(json.dumps(head).encode(), np.uint8)
    stored = {f"graph {name}": array for name, array in arrays.items()}
    stored |= {f"state {name}": array for name, array in state.items()}
    stored["head"] = text
    target = Path(path)
    part = target.with_name(f"{target.name}.part")
    try:
        _write(part, stored)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write(path: Path, stored: Mapping[str, Array]) -> None:
    with zipfile.ZipFile(path, "w") as file:
        for name, array in stored.items():
            with file.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, np.asarray(array), allow_pickle=False)


def checked_state(
    state: object, wanted: Mapping[str, Array]
) -> tuple[dict[str, Array], tuple[int, int, int]]:
    """Arrays by the wanted names, and the epoch, the position in it and its steps.

    TrainingError where names, shapes or kinds of numbers differ; nothing is written before all of
    it is known to fit.
    """
    if not isinstance(state, Mapping):
        raise TrainingError(f"a state is what state_dict() gives, got a {type(state).__name__}")
    given = {str(name): np.asarray(value) for name, value in state.items()}
    place = given.pop(PLACE, np.zeros(3, np.int64))
    wrong = sorted(wanted.keys() ^ given.keys()) + [
        name
        for name in wanted.keys() & given.keys()
        if given[name].shape != wanted[name].shape or given[name].dtype.kind not in "biuf"
    ]
    if place.shape != (3,) or place.dtype.kind not in "iu" or place.min() < 0:
        wrong.append(PLACE)
    if wrong:
        raise TrainingError(f"the state does not fit this trainer: {', '.join(wrong)}")
    epoch, position, steps = (int(value) for value in place)
    return given, (epoch, position, steps)


def load(path: str | os.PathLike[str]) -> tuple[Model, dict[str, Array], int, str]:
    """The model, the state, the seed and the rule's text of a saved trainer.

    TrainingError if there is no such file or it is not one that `save` wrote. Nothing in it is
    executed.
    """
    try:
        # Anything else NumPy would take for a pickle, and say how to execute it.
        with open(path, "rb") as file:
            if file.read(4) != b"PK\x03\x04":
                raise ValueError("it is no .npz file")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        head = json.loads(arrays.pop("head").tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} is not a trainer that symnet saved: {error}") from error
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise TrainingError(f"{path} is not in the format {FORMAT!r}")
    parts = {
        group: {name[len(group) + 1 :]: a for name, a in arrays.items() if name.startswith(group)}
        for group in ("graph", "state")
    }
    try:
        model = _model(head, read(head["nodes"], parts["graph"]))
        return model, parts["state"], int(head["seed"]), str(head["rule"])
    except (KeyError, IndexError, TypeError) as error:
        raise TrainingError(f"{path} is damaged: {error!r}") from error


def _model(head: Mapping[str, Any], nodes: list[Expr]) -> Model:
    return Model(
        loss=nodes[head["loss"]],
        metrics={name: nodes[place] for name, place in head["metrics"].items()},
        parameters=tuple(nodes[place] for place in head["parameters"]),
        gradients=tuple(nodes[place] for place in head["gradients"]),
        updates=tuple((nodes[leaf], nodes[value]) for leaf, value in head["updates"]),
        rate=nodes[head["rate"]],
        norm=nodes[head["norm"]],
        rate_set=nodes[head["rate_set"]],
    )
