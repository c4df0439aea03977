"""A finding: what was looked at, what was found, and what would mend it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Verdict = Literal["ok", "wrong", "absent"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. verdict: "absent" is what nothing on the CPU needs. fault: what
    is wrong; mend: the one line that mends it. Both are "" where all is well. needed: symnet does
    not work, or not as it should, without it."""

    part: str
    name: str
    found: str
    verdict: Verdict = "ok"
    fault: str = ""
    mend: str = ""
    needed: bool = True


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is wrong that computing on the CPU needs."""
    return not any(one.needed and one.verdict == "wrong" for one in findings)


def shown(findings: Sequence[Finding]) -> str:
    """The findings as text, a line each, and under what is not well what is wrong and its cure."""
    width = max((len(one.name) for one in findings), default=0) + 2
    lines: list[str] = []
    part = ""
    for one in findings:
        if one.part != part:
            part = one.part
            lines += ["", part] if lines else [part]
        lines.append(f"  {one.name:<{width}}{one.verdict:<8}{one.found}".rstrip())
        indent = " " * (width + 10)
        if one.fault:
            lines.append(f"{indent}{one.fault}")
        if one.mend:
            lines.append(f"{indent}mend: {one.mend}")
    return "\n".join([*lines, "", _summary(findings)])


def _summary(findings: Sequence[Finding]) -> str:
    wrong = [one.name for one in findings if one.verdict == "wrong" and one.needed]
    aside = [one.name for one in findings if one.verdict == "wrong" and not one.needed]
    if wrong:
        return f"wrong: {', '.join([*wrong, *aside])}"
    if aside:
        return f"symnet works on this machine's CPU; wrong, but not needed: {', '.join(aside)}"
    return "symnet works on this machine's CPU"


def as_json(findings: Sequence[Finding]) -> str:
    """The same as JSON: {"ok": bool, "findings": [{"part": ..., "name": ..., ...}, ...]}."""
    content = {"ok": healthy(findings), "findings": [asdict(one) for one in findings]}
    return json.dumps(content, indent=2, ensure_ascii=False)
