"""Small data sets to learn on, and how to divide and standardise them."""

from __future__ import annotations

from symnet.data.dataset import Dataset as Dataset
from symnet.data.dataset import Scaling as Scaling
from symnet.data.dataset import Split as Split
from symnet.data.dataset import fit_scaling as fit_scaling
from symnet.data.dataset import split as split
from symnet.data.dataset import standardize as standardize
from symnet.data.sources import DATASETS as DATASETS
from symnet.data.sources import load as load
from symnet.data.sources import moons as moons
