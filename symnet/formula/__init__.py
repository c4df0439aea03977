"""Formulas of expressions: text and LaTeX, the sheet of gradients, derivations and paths."""

from __future__ import annotations

from symnet.expr import Expr
from symnet.formula.show import formula as formula
from symnet.formula.show import latex as latex
from symnet.formula.show import text as text

Expr.dispatch["str"] = text
Expr.dispatch["latex"] = latex
