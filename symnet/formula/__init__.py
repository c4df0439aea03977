"""Formulas of expressions: text and LaTeX, the sheet of gradients, derivations and paths."""

from __future__ import annotations

from symnet.expr import Expr
from symnet.formula.compose import gradients as gradients
from symnet.formula.derivation import Derivation as Derivation
from symnet.formula.derivation import derive as derive
from symnet.formula.routes import Paths as Paths
from symnet.formula.routes import paths as paths
from symnet.formula.sheet import Sheet as Sheet
from symnet.formula.show import formula as formula
from symnet.formula.show import latex as latex
from symnet.formula.show import text as text

Expr.dispatch["str"] = text
Expr.dispatch["latex"] = latex
