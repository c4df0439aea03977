"""The command line: `symnet train|derive|check|explain|cache|doctor`."""

from __future__ import annotations

from symnet.cli.main import main as main
