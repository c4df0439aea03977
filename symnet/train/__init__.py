"""Training: the trainer, its history and what a callback sees."""

from __future__ import annotations

from symnet.train.asked import Watched as Watched
from symnet.train.fit import State as State
from symnet.train.history import History as History
from symnet.train.many import Run as Run
from symnet.train.many import Runs as Runs
from symnet.train.trainer import Trainer as Trainer
