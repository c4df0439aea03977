"""Contractions for the tests of GPU kernels: programs, arrays, and what the sums are to be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from codegen.cuda.contraction import contraction
from codegen.cuda.image import Image
from codegen.cuda.sources import DeviceSource
from codegen.ir import Contraction, Program
from codegen.sizes import extent_value
from codegen.walk import index_buffers
from tests.codegen.test_contraction_kernel import product
from tests.cuda.kernels import compiled, simulated

Arrays = dict[str, np.ndarray]
LAYOUTS = {
    "NN": ("ab", "bc", "ac"), "TN": ("ba", "bc", "ac"), "NT": ("ab", "cb", "ac"),
    "TT": ("ba", "cb", "ac"), "turned": ("ab", "bc", "ca"), "batched": ("zab", "zbc", "zac"),
    "batched TT": ("zba", "zcb", "zac"), "vector": ("ab", "b", "a"), "row": ("b", "bc", "c"),
    "dot": ("b", "b", ""), "outer": ("a", "c", "ac"), "groups": ("abc", "cd", "abd"),
}  # fmt: skip


@dataclass
class Case:
    """A program of one contraction and how it is run: blocks, into how many parts the columns are
    cut, the tile of the first letter. `change` alters the PTX before it runs."""

    program: Program
    sizes: Mapping[str, int]
    blocks: int = 1
    columns_shared: int = 1
    precision: str = "float32"
    shape: str = "rows"
    tile: int | None = 4
    change: tuple[str, str] | None = None
    arrays: Arrays = field(default_factory=dict)

    @property
    def statement(self) -> Contraction:
        (one,) = self.program.body
        assert isinstance(one, Contraction)
        return replace(one, tile=self.tile if one.letters else None)

    @property
    def source(self) -> DeviceSource:
        buffers = index_buffers(self.program)
        return contraction(self.statement, buffers, self.precision, self.shape, self.columns_shared)

    def filled(self, seed: int = 0) -> Arrays:
        """Random arrays; what is called `out` holds NaN."""
        random = np.random.default_rng(seed)
        for buffer in self.program.buffers:
            shape = tuple(extent_value(extent, self.sizes) for extent in buffer.shape)
            made = np.asarray(random.normal(size=shape), buffer.dtype)
            self.arrays[buffer.name] = made
        self.arrays["out"].fill(np.nan)
        return self.arrays

    def run(self) -> Image:
        """Runs the function on the simulated device; the arrays change in place."""
        source = self.source
        numbers = []
        for operand in source.sizes:
            extents = operand if isinstance(operand, tuple) else (operand,)
            numbers.append(int(np.prod([extent_value(e, self.sizes) for e in extents])))
        made = compiled(source)
        if self.change is not None:
            changed = re.sub(*self.change, made.ptx)
            assert changed != made.ptx, f"nothing to change: {self.change[0]}"
            made = replace(made, ptx=changed)
        pointers = [self.arrays[name] for name in source.buffers]
        simulated(made, self.blocks, np.array(numbers, np.int64), pointers)
        return made


def of(layout: str, dtype: str = "float32", **sizes: int) -> tuple[Program, dict[str, int]]:
    """The program of a layout whose extents are sizes, and these."""
    left, right, out = LAYOUTS[layout]
    program = product((left, right), out=out, dtype=dtype, static=False)
    return program, {name.upper(): size for name, size in sizes.items()}


def fused(left: np.ndarray, right: np.ndarray, total: np.ndarray) -> np.ndarray:
    """left * right + total, rounded once. For float32 by float64: its product is exact; where the
    sum is not, it is rounded to odd, so that the second rounding does no harm (Boldo and Melquiond
    2008). float64 takes the same steps with the longer format of the processor."""
    if total.dtype == np.float64:
        wide = np.longdouble
        return (left.astype(wide) * right.astype(wide) + total.astype(wide)).astype(np.float64)
    exact = left.astype(np.float64) * right.astype(np.float64)
    addend = total.astype(np.float64)
    with np.errstate(invalid="ignore"):
        near = exact + addend
        part = near - exact
        error = (exact - (near - part)) + (addend - part)
    even = (near.view(np.int64) & 1) == 0
    odd = np.nextafter(near, np.where(error > 0, np.inf, -np.inf))
    inexact = np.isfinite(near) & (error != 0) & even
    return np.where(inexact, odd, near).astype(np.float32)


def chain(terms: list[tuple[str, str]], out: str, arrays: Arrays, dtype: str) -> np.ndarray:
    """Every element as one chain of fused multiply-adds over the depths of all terms, in order."""
    extents: dict[str, int] = {}
    for number, pair in enumerate(terms):
        for name, part in zip((f"x{number}", f"y{number}"), pair, strict=True):
            extents |= zip(part, arrays[name].shape, strict=True)
    total = np.zeros([extents[letter] for letter in out], dtype)
    for number, (left, right) in enumerate(terms):
        depth = [letter for letter in left if letter in right and letter not in out]
        for place in np.ndindex(*(extents[letter] for letter in depth)):
            fixed = dict(zip(depth, place, strict=True))
            ones = (_spread(arrays[f"x{number}"], left, fixed, out),
                    _spread(arrays[f"y{number}"], right, fixed, out))  # fmt: skip
            total = fused(*ones, total)
    return total


def _spread(array: np.ndarray, letters: str, fixed: dict[str, int], out: str) -> np.ndarray:
    """The array at fixed letters, with the dimensions of `out`."""
    taken = array[tuple(fixed.get(letter, slice(None)) for letter in letters)]
    left = [letter for letter in letters if letter not in fixed]
    ordered = taken.transpose([left.index(letter) for letter in out if letter in left])
    missing = [place for place, letter in enumerate(out) if letter not in left]
    return np.expand_dims(ordered, tuple(missing))
