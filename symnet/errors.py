"""The exceptions a user can meet. Each says what was wrong, where, and what to do."""

from __future__ import annotations


class SymnetError(Exception):
    """The base of every exception that symnet raises on purpose."""


class ShapeError(SymnetError, ValueError):
    """Shapes, axes or sizes that do not fit together."""


class DtypeError(SymnetError, TypeError):
    """A dtype that does not fit, or a conversion that would lose something."""


class GraphError(SymnetError, TypeError):
    """A use of an expression that has no meaning, such as `if expr:`."""


class NameClashError(SymnetError, ValueError):
    """Two different things of one name in one graph."""


class FeedError(SymnetError, ValueError):
    """Data that is missing, unknown, or does not fit its input."""


class UnknownFunctionError(SymnetError, TypeError):
    """An unknown function reached something that needs numbers."""


class TrainingError(SymnetError, ValueError):
    """A training that cannot start or go on as asked."""


class CompileError(SymnetError, RuntimeError):
    """Code that cannot be made: a piece of the toolkit is missing, no folder may keep kernels, or a
    compiler refused what it was given."""


class OutOfMemoryError(SymnetError, MemoryError):
    """Arrays that are larger than the memory there is."""


class DeviceError(SymnetError, RuntimeError):
    """There is no GPU to run on, or it reported a fault."""


class ParseError(SymnetError, ValueError):
    """Text that is not a formula of our grammar."""
