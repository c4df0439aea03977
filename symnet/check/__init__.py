"""Gradient checking, and marking one expression against another."""

from __future__ import annotations

from symnet.check.certify import Certificate as Certificate
from symnet.check.certify import certify as certify
from symnet.check.derivation import DerivationCheck as DerivationCheck
from symnet.check.derivation import check_derivation as check_derivation
from symnet.check.equivalence import Equivalence as Equivalence
from symnet.check.equivalence import equivalent as equivalent
from symnet.check.gradient import GradientCheck as GradientCheck
from symnet.check.gradient import Row as Row
from symnet.check.gradient import check_grad as check_grad
from symnet.expr import Expr

Expr.dispatch["check_derivation"] = check_derivation
