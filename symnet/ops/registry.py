"""Every op by name: what a file may name."""

from __future__ import annotations

from symnet.expr import Op
from symnet.ops import contraction, core, gather, leaves, reduction, table, views

OPS: dict[str, Op] = {
    op.name: op
    for op in (
        *table.POINTWISE.values(),
        *reduction.REDUCTIONS.values(),
        *(reduction.SOFTMAX, reduction.LOG_SOFTMAX),
        *(core.CONSTANT, core.SIZE_VALUE, core.CAST, core.BROADCAST),
        *(views.IOTA, views.IDENTITY, views.RESHAPE, views.PERMUTE),
        *(views.SLICE, views.PLACE, views.CONCAT),
        *(contraction.EINSUM, gather.GATHER, gather.SCATTER_ADD),
        *(leaves.INPUT, leaves.PARAMETER, leaves.STATE, leaves.STEP),
        *(leaves.NAMED, leaves.UNKNOWN),
    )
}
