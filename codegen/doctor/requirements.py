"""What symnet asks for, read from its own metadata, and whether a version meets it (PEP 440)."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROJECT: Final = "symnet"
_TREE: Final = Path(__file__).parents[2]
_REQUIREMENT: Final = re.compile(
    r"\s*([A-Za-z0-9._-]+)\s*(\[[^\]]*\])?\s*\(?([^;()]*)\)?\s*(;.*)?$"
)
_MACHINE: Final = "platform_machine", platform.machine()
_CLAUSE: Final = re.compile(r"(~=|==|!=|<=|>=|<|>)\s*([0-9]+(?:\.[0-9]+)*)(\.\*)?")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A distribution to install, the versions that will do, and the extra that asks for it, "" if
    symnet itself does. `text` is what pip is told."""

    name: str
    versions: str
    text: str
    extra: str = ""

    def met_by(self, version: str) -> bool:
        """Whether this version will do."""
        return meets(version, self.versions)


@dataclass(frozen=True, slots=True)
class Asked:
    """All that the project asks for; `python` are the versions of Python, such as ">=3.11"."""

    python: str
    requirements: tuple[Requirement, ...]

    def of(self, extra: str) -> tuple[Requirement, ...]:
        """What one extra asks for, symnet itself for ""."""
        return tuple(one for one in self.requirements if one.extra == extra)

    @property
    def extras(self) -> tuple[str, ...]:
        """The names of the extras, in their order."""
        return tuple(dict.fromkeys(one.extra for one in self.requirements if one.extra))


def asked(tree: Path = _TREE) -> Asked | None:
    """What the project asks for: from the sources' pyproject.toml, else from what pip installed;
    None if neither can be read."""
    try:
        project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        if project["name"] == PROJECT:
            return _from_sources(project)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # not run from its sources
    try:
        metadata = importlib.metadata.metadata(PROJECT)
        lines = importlib.metadata.requires(PROJECT) or []
        return Asked(metadata["Requires-Python"] or "", _parsed("", lines))
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError, KeyError):
        return None


def _from_sources(project: dict[str, Any]) -> Asked:
    found = list(_parsed("", project["dependencies"]))
    for extra, lines in project.get("optional-dependencies", {}).items():
        found += _parsed(extra, lines)
    return Asked(project.get("requires-python", ""), tuple(found))


def _parsed(extra: str, lines: list[str]) -> tuple[Requirement, ...]:
    found = (parse(line, extra) for line in lines)
    return tuple(one for one in found if one is not None)


def parse(line: str, extra: str = "") -> Requirement | None:
    """A requirement as metadata write it; None if it is not for this system, is symnet itself, or
    cannot be read. An extra in its marker counts where none is given."""
    match = _REQUIREMENT.match(line)
    if match is None or match[1] == PROJECT:
        return None
    marker = match[4] or ""
    if not (_allows(marker, "sys_platform", sys.platform) and _allows(marker, *_MACHINE)):
        return None
    named = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", marker)
    versions = match[3].strip()
    text = f"{match[1]}{match[2] or ''}{versions}"
    return Requirement(match[1], versions, text, extra or (named[1] if named else ""))


def _allows(marker: str, variable: str, here: str) -> bool:
    """Whether a marker that compares a variable with some values, or does not, holds here."""
    values = re.findall(rf"{variable}\s*==\s*['\"]([\w-]+)['\"]", marker)
    return not values or here in values


def meets(version: str, versions: str) -> bool:
    """Whether a version lies in ">=2.1,<3" and the like; its suffixes (rc1, +cpu) are not read."""
    given = release(version)
    return all(_holds(given, *clause) for clause in _CLAUSE.findall(versions))


def _holds(given: tuple[int, ...], relation: str, bound_text: str, star: str) -> bool:
    bound = release(bound_text)
    length = max(len(given), len(bound))
    left, right = (numbers + (0,) * (length - len(numbers)) for numbers in (given, bound))
    if star or relation == "~=":
        prefix = len(bound) - (relation == "~=")
        same = left[:prefix] == bound[:prefix]
        return (same and left >= right) if relation == "~=" else same == (relation == "==")
    return {
        "==": left == right,
        "!=": left != right,
        "<=": left <= right,
        ">=": left >= right,
        "<": left < right,
        ">": left > right,
    }[relation]


def release(version: str) -> tuple[int, ...]:
    """The numbers at the start of a version: (2, 13, 0) of "2.13.0+cpu"."""
    match = re.match(r"\d+(\.\d+)*", version.strip())
    return tuple(map(int, match[0].split("."))) if match else ()


def installed(name: str) -> str | None:
    """The version of an installed distribution; None if there is none, "" if it does not say."""
    try:
        return importlib.metadata.version(name) or ""
    except importlib.metadata.PackageNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def pip_line(*texts: str) -> str:
    """The line that installs these."""
    return "pip install " + " ".join(f'"{text}"' for text in texts)
