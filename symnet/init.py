"""Starting values of parameters.

An initialiser draws a float64 array: `initialiser(shape, generator)`. `zeros`, `ones` and those
named after people are initialisers; `constant(value)`, `normal(...)` and `uniform(...)` make one.
The fans of a shape (..., inputs, outputs) are inputs and outputs, each times the sizes before
them (the receptive field of a convolution); the fans of a vector are both its length.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from symnet.ops.leaves import Initialiser

Array = np.ndarray[Any, Any]


def zeros(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """All 0."""
    return np.zeros(shape)


def ones(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """All 1."""
    return np.ones(shape)


def constant(value: float) -> Initialiser:
    """An initialiser: all equal to value."""
    return lambda shape, generator: np.full(shape, float(value))


def normal(standard_deviation: float = 0.01, mean: float = 0.0) -> Initialiser:
    """An initialiser: independent draws from the normal distribution."""
    return lambda shape, generator: generator.normal(mean, standard_deviation, shape)


def uniform(low: float = -0.05, high: float = 0.05) -> Initialiser:
    """An initialiser: independent draws, uniform between low and high."""
    return lambda shape, generator: generator.uniform(low, high, shape)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many inputs feed one output, and how many outputs one input feeds; at least 1 each."""
    if len(shape) < 2:
        size = max(math.prod(shape), 1)
        return size, size
    field = math.prod(shape[:-2])
    return max(field * shape[-2], 1), max(field * shape[-1], 1)


def _uniform(shape: tuple[int, ...], generator: np.random.Generator, variance: float) -> Array:
    limit = math.sqrt(3 * variance)
    return generator.uniform(-limit, limit, shape)


def glorot_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Uniform with variance 2 / (inputs + outputs): Glorot and Bengio, 2010, eq. 16."""
    return _uniform(shape, generator, 2 / sum(fans(shape)))


def glorot_normal(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Normal with variance 2 / (inputs + outputs): Glorot and Bengio, 2010, eq. 12."""
    return generator.normal(0, math.sqrt(2 / sum(fans(shape))), shape)


def he_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Uniform with variance 2 / inputs, for rectifiers: He et al., 2015, eq. 10."""
    return _uniform(shape, generator, 2 / fans(shape)[0])


def he_normal(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Normal with variance 2 / inputs, for rectifiers: He et al., 2015, eq. 10."""
    return generator.normal(0, math.sqrt(2 / fans(shape)[0]), shape)


def lecun_uniform(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Uniform with variance 1 / inputs: LeCun et al., Efficient BackProp, 1998, eq. 16."""
    return _uniform(shape, generator, 1 / fans(shape)[0])


def lecun_normal(shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Normal with variance 1 / inputs: LeCun et al., Efficient BackProp, 1998, eq. 16."""
    return generator.normal(0, math.sqrt(1 / fans(shape)[0]), shape)
