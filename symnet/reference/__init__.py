"""The oracle: every op evaluated over NumPy, torch, JAX or mpmath, from its one definition."""

from __future__ import annotations

from symnet.reference.evaluation import NAMESPACES as NAMESPACES
from symnet.reference.evaluation import bind_leaves as bind_leaves
from symnet.reference.evaluation import evaluate as evaluate
from symnet.reference.evaluation import interpret as interpret
from symnet.reference.evaluation import namespace_of as namespace_of
from symnet.reference.starts import starting_value as starting_value
