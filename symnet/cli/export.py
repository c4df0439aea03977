"""`symnet export`: a model's training step as machine code for a GPU, which need not be here."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import symnet as sn
from codegen.compile import EXECUTIONS, PRECISIONS, Options
from codegen.cuda.image import THREADS, Image
from symnet.cli.arguments import UsageError, one_of
from symnet.cli.models import HELP, find_model
from symnet.cli.recipes import RECIPES, optimizer, prepared, problem
from symnet.compile import Function
from symnet.data import load
from symnet.step import make_step

FORMAT: Final = "symnet export 1"
MANIFEST: Final = "manifest.json"
RATE: Final = 1e-2
_KERNEL: Final = re.compile(r"kernel_[0-9a-f]{16}\.(cubin|ptx)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `symnet export` takes."""
    parser.add_argument("model", metavar="MODEL", help=HELP)
    parser.add_argument("--cubin", action="store_true", help="write the machine code (.cubin)")
    parser.add_argument("--ptx", action="store_true", help="write the PTX it was assembled from")
    parser.add_argument(
        "-o", "--output", metavar="FOLDER", help="where to write; MODEL-cuda if not given"
    )
    parser.add_argument(
        "--precision",
        type=one_of("precision", PRECISIONS),
        default=PRECISIONS[0],
        help="of the factors of matrix products: float32, or tf32 or bf16 for tensor cores",
    )
    parser.add_argument(
        "--execution",
        type=one_of("execution", EXECUTIONS),
        help="one persistent kernel for all steps, or launches, one a kernel; else what suits",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compiles one training step, writes a file a kernel and the manifest, and lists them."""
    suffixes = [name for name in ("cubin", "ptx") if getattr(arguments, name)]
    if not suffixes:
        raise UsageError("nothing is asked for: say --cubin, --ptx or both")
    place = _place(arguments)
    step = _step(arguments)
    place.mkdir(exist_ok=True)
    _clear(place)
    executable: Any = step.executable
    made = executable.nominal
    told = {
        "format": FORMAT,
        "model": arguments.model,
        "architecture": made.images[0].architecture,
        "precision": arguments.precision,
        "execution": made.kind,
        "threads": THREADS,
        "kernels": list(_written(place, step, made.images, suffixes)),
    }
    path = place / MANIFEST
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for kernel in told["kernels"]:
        print(_line(kernel))
    print(f"{path}: {made.kind}, {told['architecture']}")
    return 0


def _step(arguments: argparse.Namespace) -> Function:
    """One training step: the loss and the metrics before it, then the updates."""
    model = _trainer(arguments.model).model
    nodes = list(model.measured().values())
    step = make_step({str(place): node for place, node in enumerate(nodes)}, model.updates)
    options = Options("cuda", precision=arguments.precision, execution=arguments.execution)
    return Function(nodes, step, options)


def _place(arguments: argparse.Namespace) -> Path:
    """The folder to write to, which need not be there yet, but the one above it."""
    name = arguments.model.rpartition(":")[2] or "model"
    place = Path(arguments.output or f"{name}-cuda")
    if not (place.is_dir() or (not place.exists() and place.absolute().parent.is_dir())):
        raise UsageError(f"-o: {place} is no folder to write to")
    return place


def _clear(place: Path) -> None:
    """Removes the kernels of an export before: whoever loads all that are there wants one model."""
    if (place / MANIFEST).exists():
        for path in place.iterdir():
            if _KERNEL.fullmatch(path.name):
                path.unlink()


def _trainer(text: str) -> sn.Trainer:
    """What trains the model: its own trainer, that of `symnet train`, or Adam."""
    if text not in RECIPES:
        model = find_model(text)
        return model.trainer or sn.Trainer(model.loss, sn.optim.Adam(RATE))
    recipe = RECIPES[text]
    parts, rows = problem(recipe), prepared(recipe, load(text), seed=0).rows
    steps = max(1, recipe.epochs * -(-rows // recipe.batch))
    return sn.Trainer(parts.loss, optimizer(recipe, recipe.rate, steps), metrics=parts.metrics)


def _written(
    place: Path, step: Function, images: Sequence[Image], suffixes: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """What the manifest says of each kernel, whose files are written."""
    computed = _computed(step)
    for image in images:
        content = {"cubin": image.cubin, "ptx": image.ptx.encode()}
        files = {suffix: f"{image.entry}.{suffix}" for suffix in suffixes}
        for suffix, name in files.items():
            (place / name).write_bytes(content[suffix])
        # Which no formula needs: they walk through the launches of a step.
        lines = computed.get(image.entry, ["counts what was launched"])
        yield {**files, **_told(image), "computes": lines}


def _computed(step: Function) -> dict[str, list[str]]:
    """What each kernel computes, in lines, by its entry; those of one structure share it."""
    found: dict[str, list[str]] = {}
    for part in step.parts:
        kernel: Any = part.kernel
        found.setdefault(kernel.image.entry, []).extend(replace(part, origins=()).lines())
    return found


def _told(image: Image) -> dict[str, Any]:
    resources = image.resources
    return {
        "entry": image.entry,
        "parameters": ["int64"] * image.parameters,
        "dynamic_shared_bytes": image.shared,
        "static_shared_bytes": resources.shared_bytes,
        "registers": resources.registers,
        "stack_bytes": resources.stack_bytes,
        "spill_store_bytes": resources.spill_store_bytes,
        "spill_load_bytes": resources.spill_load_bytes,
        "cubin_bytes": len(image.cubin),
    }


def _line(kernel: dict[str, Any]) -> str:
    shared = kernel["dynamic_shared_bytes"] + kernel["static_shared_bytes"]
    numbers = f"{kernel['registers']:3d} registers  {shared:5d} B shared"
    first, *others = kernel["computes"] or [""]
    more = f" (and {len(others)} more)" if others else ""
    return f"{kernel['entry']}  {numbers}  {kernel['cubin_bytes']:6d} B  {first}{more}"
