"""Pictures of graphs, forward and backward."""

from __future__ import annotations

from symnet.drawing.draw import Drawing as Drawing
from symnet.drawing.draw import draw as draw
