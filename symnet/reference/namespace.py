"""What an op's definition may call: an array namespace, and what all namespaces share.

The names are the array API's. What a library lacks, or says otherwise, its subclass adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from symnet.errors import FeedError, ShapeError
from symnet.expr import Dtype, Expr
from symnet.ops.core import INT64
from symnet.ops.gather import parts
from symnet.sizes import Dimension, Shape, Size

Axes = tuple[int, ...]
Array = Any


class Namespace:
    """Arrays of one library, with the values of the leaves and of the named sizes.

    Names that stand here nowhere are the library's own.
    """

    name: ClassVar[str]
    module: ClassVar[Any]

    def __init__(self, values: Mapping[Expr, Array], known_sizes: Mapping[str, int]) -> None:
        self.values = values
        self.known_sizes = known_sizes

    def __getattr__(self, function: str) -> Callable[..., Array]:
        found: Callable[..., Array] = getattr(self.module, function)
        return found

    @classmethod
    @contextmanager
    def settings(cls) -> Iterator[None]:
        """What the library must be set to while a graph is evaluated."""
        yield

    def finish(self, value: Array, dtype: Dtype) -> Array:
        """The value of a node as this library keeps it."""
        return value

    def to_numpy(self, value: Array, dtype: Dtype) -> np.ndarray[Any, Any]:
        """The value as a NumPy array of its own."""
        return np.array(value, dtype)

    def leaf(self, node: Expr) -> Array:
        """What was given for an input, a parameter, a state or the step."""
        value = self.values[node]
        return self.constant(value, node.dtype) if isinstance(value, np.ndarray) else value

    def size(self, value: Dimension) -> int:
        """The integer that a size stands for; FeedError if no input carries its name."""
        if not isinstance(value, Size):
            return value
        missing = sorted(value.names() - set(self.known_sizes))
        if missing:
            raise FeedError(f"no input says what the size {missing[0]} is")
        return value.value(self.known_sizes)

    def sizes(self, shape: Shape) -> tuple[int, ...]:
        """The integers that a shape stands for."""
        return tuple(self.size(value) for value in shape)

    def constant(self, value: Any, dtype: Dtype) -> Array:
        """A number or an array of that dtype."""
        return np.asarray(value, dtype)

    def identity(self, size: int, dtype: Dtype) -> Array:
        """The identity matrix."""
        return self.constant(np.identity(size), dtype)

    def arange(self, size: int) -> Array:
        """0, 1, ..., size - 1."""
        return self.constant(np.arange(size), INT64)

    def less(self, left: Array, right: Array) -> Array:
        """left < right."""
        return left < right

    def less_equal(self, left: Array, right: Array) -> Array:
        """left <= right."""
        return left <= right

    def equal(self, left: Array, right: Array) -> Array:
        """left == right."""
        return left == right

    def not_equal(self, left: Array, right: Array) -> Array:
        """left != right."""
        return left != right

    def sigmoid(self, x: Array) -> Array:
        """1 / (1 + exp(-x)), without overflow."""
        # One branch a sign, each smooth, so that an autograd sees no kink at 0.
        zero, one = self.constant(0, x.dtype), self.constant(1, x.dtype)
        positive = self.less(zero, x)
        small = self.exp(self.where(positive, -x, x))
        return self.where(positive, one, small) / (one + small)

    def softplus(self, x: Array) -> Array:
        """log(1 + exp(x)), without overflow."""
        zero = self.constant(0, x.dtype)
        positive = self.less(zero, x)
        small = self.exp(self.where(positive, -x, x))
        return self.where(positive, x, zero) + self.log1p(small)

    def sum(self, x: Array, axes: Axes) -> Array:
        """The sum over axes, in the dtype of x."""
        return self.module.sum(x, axis=axes, dtype=x.dtype)

    def prod(self, x: Array, axes: Axes) -> Array:
        """The product over axes, in the dtype of x."""
        return self.module.prod(x, axis=axes, dtype=x.dtype)

    def max(self, x: Array, axes: Axes) -> Array:
        """The largest element over axes."""
        return self.module.max(_not_empty(x, axes), axis=axes)

    def min(self, x: Array, axes: Axes) -> Array:
        """The smallest element over axes."""
        return self.module.min(_not_empty(x, axes), axis=axes)

    def argmax(self, x: Array, axes: Axes) -> Array:
        """The index of the first largest element along the one axis."""
        return self.module.argmax(_not_empty(x, axes), axis=axes[0])

    def _centre(self, x: Array, axes: Axes) -> Array:
        """The largest element, or 0 where that is infinite, with the reduced axes kept."""
        if any(x.shape[axis] == 0 for axis in axes):
            return self.constant(0, x.dtype)
        largest = self._kept(self.max(x, axes), x, axes)
        return self.where(self.isfinite(largest), largest, self.constant(0, largest.dtype))

    def _kept(self, reduced: Array, x: Array, axes: Axes) -> Array:
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        return self.reshape(reduced, shape)

    def logsumexp(self, x: Array, axes: Axes) -> Array:
        """log(sum(exp(x))), without overflow; -inf where all elements are."""
        centre = self._centre(x, axes)
        kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return self.reshape(self.log1p(self._excess(x - centre, axes)) + centre, kept)

    def softmax(self, x: Array, axes: Axes) -> Array:
        """exp(x) over its sum; 0 where all elements are -inf."""
        powers = self.exp(x - self._centre(x, axes))
        return powers / self._total(powers, axes)

    def log_softmax(self, x: Array, axes: Axes) -> Array:
        """The logarithm of softmax; -inf where all elements are."""
        shifted = x - self._centre(x, axes)
        excess = self._excess(shifted, axes)
        zero, nothing = self.constant(0, excess.dtype), self.constant(-1, excess.dtype)
        return shifted - self.log1p(self.where(self.equal(excess, nothing), zero, excess))

    def _excess(self, shifted: Array, axes: Axes) -> Array:
        """The sum of exp(shifted) less 1, of elements the largest of which are 0.

        Those are counted apart, so that the others are not rounded away beside a 1.
        """
        zero, one = self.constant(0, shifted.dtype), self.constant(1, shifted.dtype)
        largest = self.equal(shifted, zero)
        # expm1 is 0 there, and has the derivative that exp has.
        others = self.where(largest, self.expm1(shifted), self.exp(shifted))
        count = self._kept(self.sum(self.where(largest, one, zero), axes), shifted, axes)
        return self._kept(self.sum(others, axes), shifted, axes) + (count - one)

    def _total(self, powers: Array, axes: Axes) -> Array:
        """The sum with the reduced axes kept, or 1 where all elements are 0."""
        total = self._kept(self.sum(powers, axes), powers, axes)
        zero, one = self.constant(0, powers.dtype), self.constant(1, powers.dtype)
        return self.where(self.equal(total, zero), one, total)

    def slice(self, x: Array, start: Axes, step: Axes, shape: Axes) -> Array:
        """Element start + step * i along each axis."""
        return self.pick(x, self._places(start, step, shape)) if shape else x

    def place(self, x: Array, start: Axes, step: Axes, shape: Axes) -> Array:
        """Zeros of `shape` with the elements of x at start + step * i."""
        return self.add_at(shape, self._places(start, step, x.shape), x) if shape else x

    def _places(self, start: Axes, step: Axes, count: Sequence[int]) -> tuple[Array, ...]:
        """An open mesh of the indices start + step * i."""
        rows = zip(start, step, count, strict=True)
        ranges = [first + by * np.arange(number) for first, by, number in rows]
        return tuple(self.constant(index, INT64) for index in np.ix_(*ranges))

    def gather(self, spec: str, source: Array, index: Array) -> Array:
        """The elements of `source` that `index` picks; FeedError for an index out of range."""
        letters, own, out = parts(spec)
        shape = dict(zip(letters, source.shape, strict=True)) | dict(
            zip(own, index.shape, strict=True)
        )
        self.check_index(index, shape["*"])
        return self.pick(source, self._mesh(spec, index, tuple(shape[a] for a in out)))

    def scatter_add(self, spec: str, values: Array, index: Array, shape: Axes) -> Array:
        """Zeros of `shape` to which each value is added at its index."""
        self.check_index(index, shape[parts(spec)[0].index("*")])
        return self.add_at(shape, self._mesh(spec, index, values.shape), values)

    def _mesh(self, spec: str, index: Array, shape: Sequence[int]) -> tuple[Array, ...]:
        """For each axis of the source its index at each place of the result, to be broadcast."""
        letters, own, out = parts(spec)
        order = tuple(own.index(letter) for letter in out if letter in own)
        wide = tuple(size if a in own else 1 for a, size in zip(out, shape, strict=True))
        starred = self.reshape(self.permute_dims(index, order), wide)
        return tuple(
            starred if letter == "*" else self._along(out.index(letter), shape)
            for letter in letters
        )

    def _along(self, axis: int, shape: Sequence[int]) -> Array:
        narrow = tuple(size if k == axis else 1 for k, size in enumerate(shape))
        return self.reshape(self.arange(shape[axis]), narrow)

    def check_index(self, index: Array, size: int) -> None:
        """FeedError for an index that is negative or not below the size."""
        numbers = np.asarray(index)
        wrong = np.argwhere((numbers < 0) | (numbers >= size))
        if len(wrong):
            place = tuple(int(k) for k in wrong[0])
            raise FeedError(
                f"an index must be from 0 to {size - 1}, got {numbers[place]} at {list(place)}"
            )

    def pick(self, x: Array, mesh: tuple[Array, ...]) -> Array:
        """x[mesh]."""
        return x[mesh]

    def add_at(self, shape: Axes, mesh: tuple[Array, ...], values: Array) -> Array:
        """Zeros to which values are added at the mesh's indices, repeatedly if they repeat."""
        raise NotImplementedError(self.name)


def _not_empty(x: Array, axes: Axes) -> Array:
    if any(x.shape[axis] == 0 for axis in axes):
        raise ShapeError("the largest or smallest of no elements: an axis is empty")
    return x
