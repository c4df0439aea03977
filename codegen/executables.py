"""What an executable and its bindings offer, whichever target they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from codegen.choice import Choice
from codegen.cpu.launch import Launch
from codegen.ir import Program
from codegen.layout import Plan
from codegen.runtime import Outcome


class AnyBinding(Protocol):
    """An executable with its memory. One run at a time."""

    @property
    def choice(self) -> Choice: ...

    def run(
        self, sizes: Mapping[str, int] | None = None, workers: int | None = None
    ) -> Outcome: ...

    def pull(self) -> None:
        """Brings the caller's arrays up to date."""

    def push(self) -> None:
        """Takes over what the caller has written into the arrays of the state."""

    def stop(self) -> None: ...


class AnyExecutable(Protocol):
    """A compiled program: `codegen.runtime.Executable` or `codegen.cuda.runtime.DeviceExecutable`,
    which say more."""

    @property
    def program(self) -> Program: ...

    @property
    def stages(self) -> Mapping[str, str]: ...

    @property
    def kernels(self) -> tuple[Any, ...]: ...

    @property
    def compiled(self) -> int: ...

    @property
    def launch(self) -> Launch: ...

    @property
    def plan(self) -> Plan: ...

    def bind(self, sizes: Mapping[str, int], arrays: Mapping[str, Any]) -> AnyBinding: ...
