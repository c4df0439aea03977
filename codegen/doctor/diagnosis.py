"""The whole diagnosis, in the order in which it is read."""

from __future__ import annotations

from typing import Final

from codegen.doctor import cuda, kernels, packages, processor, programs
from codegen.doctor.children import Answer, ask
from codegen.doctor.findings import Finding
from codegen.doctor.requirements import asked as asked_for

_IMPORTED: Final = ("numpy", "scipy", "sympy", "rich")
_COMPILING: Final = ("llvmlite", "numba")


def diagnose() -> tuple[Finding, ...]:
    """Looks at everything. Raises nothing, whatever is missing or broken; imports no library into
    this process; takes about as long as it takes to import Numba and compile two kernels."""
    asked = asked_for()
    answers = ask(
        {
            "compiling": ("compiling",),
            "libraries": ("libraries", *_IMPORTED),
            "device code": ("device code",),
            "driver": ("driver",),
        }
    )
    compiling, libraries = answers["compiling"], answers["libraries"]
    found = packages.python(asked)
    if asked is not None:
        found += packages.needed(asked, _imports(compiling, libraries))
        found += packages.optional(asked)
    found += packages.blas(libraries)
    found += processor.processor(compiling)
    found += [kernels.folder(), kernels.compiling(compiling, asked)]
    found += cuda.cuda(
        asked, answers["driver"], answers["device code"], compiling.get("targets", ())
    )
    return (*found, programs.browser())


def _imports(compiling: Answer, libraries: Answer) -> dict[str, str | None]:
    """Why each library cannot be imported, None where it can. Where a probe did not live to tell,
    each library is tried alone, since any may have been the one that ended it."""
    found = {**compiling.get("imports", {}), **libraries.get("imports", {})}
    untold = [name for name in (*_IMPORTED, *_COMPILING) if name not in found]
    alone = ask({name: ("libraries", name) for name in untold}) if untold else {}
    for name, answer in alone.items():
        found[name] = answer.get("fault") or answer.get("imports", {}).get(name)
    return found
