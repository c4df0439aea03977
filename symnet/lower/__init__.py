"""Step to Program: loops over buffers, as naive as they are obvious."""

from __future__ import annotations

from symnet.lower.program import Lowered as Lowered
from symnet.lower.program import lower as lower
from symnet.lower.training import Training as Training
from symnet.lower.training import lower_training as lower_training
