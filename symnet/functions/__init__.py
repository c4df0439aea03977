"""The functions a user calls, by the names of the array API standard where it has them."""

from __future__ import annotations

from symnet.expr import Expr
from symnet.functions import arrays, pointwise, products, reductions
from symnet.ops.leaves import PARAMETER, leaves
from symnet.ops.pointwise import Pointwise


def _public(module: object) -> dict[str, object]:
    """What a module defines for users: its own functions and the rows of the op table."""
    own = getattr(module, "__name__", "")
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (isinstance(value, Pointwise) or getattr(value, "__module__", "") == own)
    }


FUNCTIONS: dict[str, object] = {}
for _module in (pointwise, reductions, arrays, products):
    FUNCTIONS |= _public(_module)
Expr.dispatch.update(FUNCTIONS)  # type: ignore[arg-type]
Expr.dispatch["parameters"] = lambda node: leaves([node], PARAMETER)
