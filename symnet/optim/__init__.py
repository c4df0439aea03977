"""Optimizers: update rules as expressions."""

from __future__ import annotations

from symnet.optim.builtin import SGD as SGD
from symnet.optim.builtin import Adam as Adam
from symnet.optim.builtin import AdamW as AdamW
from symnet.optim.builtin import Momentum as Momentum
from symnet.optim.rule import Groups as Groups
from symnet.optim.rule import Optimizer as Optimizer
from symnet.optim.rule import from_rule as from_rule
