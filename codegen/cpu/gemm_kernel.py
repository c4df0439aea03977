"""The text of the one kernel that runs every contraction; compiled as it stands, never imported.

`n`: whether the numbers are float64, how many products, batch, rows, columns, then for each product
its depth, whether the left and whether the right operand is transposed.
`p`: the address of gemm, the result, then for each product the left and the right operand.
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable, var-annotated"

from __future__ import annotations

from typing import Any

from numba import float32, float64, njit

from codegen.cpu.calls import gemm_float32, gemm_float64
from codegen.cpu.operations import float32_at, float64_at, offset


@njit(error_model="numpy", nogil=True)
def multiply(n: Any, p: Any, batch: Any, product: Any, written: Any) -> None:
    """Puts one product into the result, or adds it if something was written there before."""
    rows, columns, depth = n[3], n[4], n[5 + 3 * product]
    flip_left, flip_right = n[6 + 3 * product], n[7 + 3 * product]
    left_at, right_at = batch * rows * depth, batch * depth * columns
    # Row-major left @ right is column-major right^T @ left^T: the operands change places.
    left_row = rows if flip_left else depth
    right_row = depth if flip_right else columns
    if n[0]:
        gemm_float64(
            p[0], flip_right, flip_left, columns, rows, depth,
            offset(float64_at(p, 3 + 2 * product), right_at), right_row,
            offset(float64_at(p, 2 + 2 * product), left_at), left_row,
            float64(1.0 if written else 0.0),
            offset(float64_at(p, 1), batch * rows * columns), columns,
        )  # fmt: skip
    else:
        gemm_float32(
            p[0], flip_right, flip_left, columns, rows, depth,
            offset(float32_at(p, 3 + 2 * product), right_at), right_row,
            offset(float32_at(p, 2 + 2 * product), left_at), left_row,
            float32(1.0 if written else 0.0),
            offset(float32_at(p, 1), batch * rows * columns), columns,
        )  # fmt: skip


def kernel(worker: Any, workers: Any, n: Any, p: Any) -> None:
    """One tile: the first worker runs all of it."""
    cells = n[3] * n[4]
    if worker != 0 or cells == 0:
        return
    for batch in range(n[2]):
        written = False
        for product in range(n[1]):
            if n[5 + 3 * product]:
                multiply(n, p, batch, product, written)
                written = True
        if written:
            continue
        for cell in range(batch * cells, batch * cells + cells):
            if n[0]:
                float64_at(p, 1)[cell] = 0.0
            else:
                float32_at(p, 1)[cell] = float32(0.0)
