"""The machine code of each family of kernels: nothing spilled, wide accesses, tensor cores only
where they are asked for."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import symnet as sn
from codegen.compile import Options
from codegen.cuda.image import SHARED_LIMIT, Image
from codegen.cuda.pieces import CUOBJDUMP, needed
from codegen.cuda.toolchain import image
from symnet.compile import Function
from symnet.expr import Expr
from symnet.step import make_step
from tests.cuda.texts import HEADER, TEXT

X, Y = sn.input("X", ("N", "M")), sn.input("Y", ("N", "M"))
FEATURES, CLASSES = sn.input("F", ("N", 64)), sn.input("c", ("N",), dtype="int64")
TWO_BLOCKS = 128
"""Registers with which two blocks of 256 threads share a multiprocessor's 65536."""
MOST = 255


@dataclass(frozen=True)
class Family:
    """Programs of one kind: expressions and updates, and what their kernels take and have."""

    make: Callable[[], tuple[list[Expr], list[tuple[Expr, Expr]]]]
    registers: int = TWO_BLOCKS
    precision: str = "float32"
    instructions: tuple[str, ...] = field(default=())


def adam() -> tuple[list[Expr], list[tuple[Expr, Expr]]]:
    weights = sn.parameter("W", (64, 48), init=0.1)
    loss = sn.sum(sn.tanh(weights))
    return [loss], list(sn.Trainer(loss, sn.optim.Adam(1e-3)).model.updates)


def product(dtype: str = "float32") -> tuple[list[Expr], list[tuple[Expr, Expr]]]:
    left, right = (sn.input(name, shape, dtype=dtype)
                   for name, shape in (("A", ("N", "K")), ("B", ("K", "M"))))  # fmt: skip
    return [sn.tanh(left @ right)], []


def rows_of_a_table() -> tuple[list[Expr], list[tuple[Expr, Expr]]]:
    table = sn.parameter("E", (100, 48), init=0.1)
    loss = sn.mean(table[CLASSES] ** 2)
    return [loss], [(table, table - sn.grad(loss, table))]


# More registers in the function than in the kernel, and a stack in both.
CALLING = TEXT.replace(
    "def kernel(",
    """\
@cuda.jit(device=True)
def separate_0(p, count):
    own = cuda.local.array(50, float32)
    first, second, third, fourth = p[1], p[2], p[3], p[4]
    for k in range(count):
        own[k] = first * second
        first, second, third, fourth = second + p[k], third * p[k], fourth - p[k], own[k // 2]
    return own[count // 2] + first + second + third + fourth


def kernel(""",
).replace("= scaled(p[0])", "= scaled(p[0]) + separate_0(p, count)")
WIDE = (r"LDG\.E\.128", r"STG\.E\.128")
FAMILIES = {
    "pointwise": Family(lambda: ([sn.tanh(X) * Y + sn.exp(X)], []), instructions=WIDE),
    "special functions": Family(
        lambda: ([sn.sin(X) * sn.erf(Y) + sn.log(X**2 + 1), sn.sigmoid(X) / Y], []),
        instructions=WIDE,
    ),
    "update": Family(adam, instructions=WIDE),
    "folds": Family(
        lambda: ([sn.sum(X), sn.mean(X, axis=0), sn.max(Y, axis=1)], []), instructions=("SHFL",)
    ),
    "rows": Family(lambda: ([sn.softmax(X), sn.log_softmax(Y)], []), instructions=("SHFL",)),
    "table": Family(rows_of_a_table),
    "product": Family(product, MOST, instructions=("FFMA", r"LDS\.128", "LDGSTS")),
    "product of float64": Family(lambda: product("float64"), MOST, instructions=("DFMA",)),
    "product in tf32": Family(
        product, MOST, "tf32", (r"HMMA\.1688\.F32\.TF32", r"LDGSTS\.E\.BYPASS\.128")
    ),
    "product in bf16": Family(product, MOST, "bf16", (r"HMMA\.16816\.F32\.BF16",)),
}


@functools.cache
def images(name: str) -> tuple[Image, ...]:
    family = FAMILIES[name]
    nodes, updates = family.make()
    step = make_step({str(place): node for place, node in enumerate(nodes)}, updates)
    options = Options("cuda", precision=family.precision, execution="launches")
    found: tuple[Image, ...] = Function(nodes, step, options).executable.images
    return found


@functools.cache
def sass(name: str) -> str:
    return "\n".join(each.sass for each in images(name))


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_spilled_and_blocks_fit(name: str):
    for made in images(name):
        taken = made.resources
        told = f"{name}, {made.entry}: {taken}\n{made.text}"
        assert taken.spill_load_bytes == taken.spill_store_bytes == 0, told
        assert taken.stack_bytes == 0, told
        assert taken.registers <= FAMILIES[name].registers, told
        assert taken.shared_bytes + made.shared <= SHARED_LIMIT, told
    assert not re.search(r"\b(LDL|STL)\b", sass(name)), name


@pytest.mark.parametrize("name", FAMILIES)
def test_the_instructions_of_a_family(name: str):
    for wanted in FAMILIES[name].instructions:
        assert re.search(rf"\s{wanted}", sass(name)), f"{name}: no {wanted}"
    assert ("HMMA" in sass(name)) == (FAMILIES[name].precision != "float32"), name
    # Sums of other orders than those written would have other bits from run to run.
    assert not re.search(r"\s(ATOM|RED|ATOMG|ATOMS)\.[\w.]*F(ADD|32|64)", sass(name)), name


def test_a_family_that_spills_would_be_seen():
    body = """
    own = cuda.local.array(400, float32)
    for k in range(count):
        own[k] = p[k]
    p[0] = own[count // 2]
"""
    made = image(HEADER + body)
    assert made.resources.stack_bytes == 1600
    assert re.search(r"\bSTL\b", made.sass)


@pytest.mark.parametrize("name", ["pointwise", "folds", "product", "functions that stay"])
def test_cuobjdump_counts_the_same(name: str, tmp_path: Path):
    for made in images(name) if name in FAMILIES else [image(CALLING)]:
        path = tmp_path / f"{made.entry}.cubin"
        path.write_bytes(made.cubin)
        command = [str(needed(CUOBJDUMP)), "-res-usage", str(path)]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        usage = r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)"
        found = re.search(rf"Function {made.entry}:\s+{usage}", told.stdout)
        assert found is not None, told.stdout
        registers, stack, shared, local = map(int, found.groups())
        assert (registers, stack) == (made.resources.registers, made.resources.stack_bytes)
        assert local == 0
        # Compute capability 9.0 keeps 1 KiB of each block's shared memory.
        assert max(0, shared - 1024) == made.resources.shared_bytes
