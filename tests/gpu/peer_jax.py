"""The workloads in JAX on the GPU: those of `tests.bench.peer_jax`, in the row's precision."""

from __future__ import annotations

from typing import Any

import jax

from tests.bench import peer_jax
from tests.gpu.cases import Row


def make(row: Row, kind: str, start: Any) -> Any:
    """The row's workload, ready to train from the given weights.

    RuntimeError where JAX has no GPU.
    """
    if jax.default_backend() not in ("gpu", "cuda"):
        raise RuntimeError(f"JAX runs on {jax.default_backend()} here")
    # Without it JAX takes tf32 for float32.
    asked = {"float32": "highest", "tf32": "tensorfloat32"}[row.precision]
    jax.config.update("jax_default_matmul_precision", asked)
    return peer_jax.make(row.workload, start, None, kind)
