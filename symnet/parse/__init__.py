"""Formulas from text."""

from __future__ import annotations

from symnet.parse.grammar import CALLEES as CALLEES
from symnet.parse.grammar import Parsed as Parsed
from symnet.parse.grammar import parse as parse
from symnet.parse.grammar import parse_formula as parse_formula
