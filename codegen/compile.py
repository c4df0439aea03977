"""From a program to an executable: the one public function, and the order of its steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codegen import cache, crew
from codegen.check import check
from codegen.collector import uncollected
from codegen.cpu import launch as tables
from codegen.cpu.errors import CompileError
from codegen.executables import AnyExecutable
from codegen.ir import Program
from codegen.layout import Plan
from codegen.lazy import cuda_runtime
from codegen.machine import this_machine
from codegen.passes import optimise
from codegen.runtime import CompiledKernel, Executable, Stages

TARGETS = ("cpu", "cuda")
PRECISIONS = ("float32", "tf32", "bf16")
EXECUTIONS = ("persistent", "launches")
MOST = 16
"""The most workers that are ever chosen: networks that gain from more are not what this is for."""
_DRIVER = Path(__file__).parent / "cpu" / "driver_kernel.py"


@dataclass(frozen=True, slots=True)
class Options:
    """How to compile. `threads`: how many workers of the CPU share each loop; None lets each run
    take the number that was quickest so far. The bits do not depend on it.

    Of a GPU: `precision` of the factors in products of float32 matrices, whose sums are float32
    always; `execution`: one persistent kernel or recorded launches, None leaves it to a model.
    """

    target: str = "cpu"
    threads: int | None = None
    precision: str = "float32"
    execution: str | None = None

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            raise CompileError(f"the target {self.target!r} is not one of {', '.join(TARGETS)}")
        if self.threads is not None and self.threads < 1:
            raise CompileError(f"{self.threads} threads cannot run anything")
        if self.precision not in PRECISIONS:
            told = ", ".join(PRECISIONS)
            raise CompileError(f"the precision {self.precision!r} is not one of {told}")
        if self.execution not in (None, *EXECUTIONS):
            told = ", ".join(EXECUTIONS)
            raise CompileError(f"the execution {self.execution!r} is not one of {told}")
        if self.target != "cuda" and (self.precision != "float32" or self.execution):
            raise CompileError("a precision and an execution are chosen for the target cuda only")


_DEFAULT = Options()


def compile_program(program: Program, options: Options = _DEFAULT) -> AnyExecutable:
    """Checks, optimises, and compiles what no cache holds yet.

    ProgramError if the program breaks a rule of the IR; CompileError if it cannot become code.
    """
    with uncollected():
        check(program)
        stages = (("given", program), *optimise(program))
        return assemble(stages, options)


def assemble(
    stages: tuple[tuple[str, Program], ...], options: Options = _DEFAULT
) -> AnyExecutable:
    """The executable of the last stage as it stands."""
    program = stages[-1][1]
    check(program)
    if options.target == "cuda":
        made: AnyExecutable = cuda_runtime.device_executable(
            program, Stages(stages), options.precision, options.execution
        )
        return made
    return _for_the_cpu(program, stages, options)


def _for_the_cpu(
    program: Program, stages: tuple[tuple[str, Program], ...], options: Options
) -> Executable:
    launch = tables.launch(program)
    texts = [source.text for source in launch.loaded]
    # The crew's own will be wanted by the first run.
    *kernels, driver, _ = cache.kernels([*texts, _DRIVER.read_text(), crew.TEXT.read_text()])
    table = np.array(launch.rows, np.int64).reshape(len(launch.rows), tables.ROW)
    calls = table[:, 0] == tables.CALL
    addresses = np.array([kernel.loaded.address for kernel in kernels], np.int64)
    table[calls, 1] = addresses[table[calls, 1]] if len(kernels) else 0
    table.setflags(write=False)
    shown: dict[str, CompiledKernel] = {}
    for source, kernel in zip(launch.loaded, kernels, strict=True):
        shown.setdefault(kernel.key, CompiledKernel(source.label, source.text, kernel))
    return Executable(
        program=program,
        stages=Stages(stages),
        kernels=tuple(shown.values()),
        compiled=sum(kernel.fresh for kernel in (*kernels, driver)),
        workers=options.threads or min(this_machine().cores, MOST),
        chooses=options.threads is None,
        launch=launch,
        driver=driver,
        plan=Plan(program, launch, tuple(addresses.tolist())),
        table=table,
    )
