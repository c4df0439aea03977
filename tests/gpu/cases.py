"""What is measured on a GPU, and in which forms."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.bench.workloads import BY_NAME, Workload


@dataclass(frozen=True)
class Row:
    """A workload in a precision, the issue's goal (so many times ahead of the fastest peer), and
    how far losses may differ from symnet's."""

    workload: Workload
    precision: str
    goal: float | None
    tolerance: float

    @property
    def name(self) -> str:
        """As the table has it."""
        kind = "" if self.precision == "float32" else f" {self.precision}"
        return self.workload.name + kind


@dataclass(frozen=True)
class Form:
    """A library and how it runs; the module that does, and the seconds it may take to build."""

    library: str
    kind: str
    module: str
    building: float

    @property
    def column(self) -> str:
        """As the table has it."""
        return f"{self.library} {self.kind}".strip()


OURS = Form("symnet", "", "tests.gpu.ours", 90)
# The slowest to build last: they are the first to be left out when time is short.
PEERS = (
    Form("torch", "eager", "tests.gpu.peer_torch", 40),
    Form("torch", "graph", "tests.gpu.peer_torch", 40),
    Form("jax", "scan", "tests.gpu.peer_jax", 45),
    Form("torch", "compile", "tests.gpu.peer_torch", 75),
    Form("torch", "reduce-overhead", "tests.gpu.peer_torch", 75),
)
FORMS = (OURS, *PEERS)

_FLOAT32, _TF32 = 1e-4, 1e-2
ROWS = (
    Row(BY_NAME["moons"], "float32", 10, _FLOAT32),
    Row(BY_NAME["digits"], "float32", 10, _FLOAT32),
    Row(BY_NAME["mnist-small"], "float32", 3, _FLOAT32),
    Row(BY_NAME["update"], "float32", None, _FLOAT32),
    Row(BY_NAME["mnist"], "float32", 1.2, _FLOAT32),
    Row(BY_NAME["wide"], "float32", 1.2, _FLOAT32),
    Row(BY_NAME["mnist"], "tf32", 1.2, _TF32),
    Row(BY_NAME["wide"], "tf32", 1.2, _TF32),
    Row(BY_NAME["deep"], "float32", 3, _FLOAT32),
)
"""In the order in which they are measured: what is last is lost first when time runs out."""


def small(row: Row) -> Row:
    """The same with fewer rows, for a look at whether everything works."""
    workload = row.workload
    return replace(row, workload=replace(workload, rows=min(workload.rows, 2 * workload.batch)))
