"""What the tests of `symnet doctor` share."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from codegen.doctor import Finding, requirements


def named(findings: list[Finding] | tuple[Finding, ...], name: str) -> Finding:
    (found,) = [one for one in findings if one.name == name]
    return found


def pretend(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Other versions than those installed, by name with _ for -; None for not installed."""
    real = requirements.importlib.metadata.version
    chosen = {name.replace("_", "-"): version for name, version in versions.items()}

    def version(name: str) -> str:
        if name not in chosen:
            return real(name)
        if chosen[name] is None:
            raise PackageNotFoundError(name)
        return str(chosen[name])

    monkeypatch.setattr(requirements.importlib.metadata, "version", version)
