"""Layers: plain objects that hold parameters and turn expressions into expressions."""

from __future__ import annotations

from symnet.nn.activations import ACTIVATIONS as ACTIVATIONS
from symnet.nn.dense import Dense as Dense
from symnet.nn.sequential import Sequential as Sequential
