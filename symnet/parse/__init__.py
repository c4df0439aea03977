"""Formulas, and whole sheets of them, from text."""

from __future__ import annotations

from symnet.parse.callees import CALLEES as CALLEES
from symnet.parse.formulas import Parsed as Parsed
from symnet.parse.formulas import parse as parse
from symnet.parse.formulas import parse_formula as parse_formula
from symnet.parse.network import Network as Network
from symnet.parse.network import parse_network as parse_network
from symnet.parse.sheets import parse_sheet as parse_sheet
