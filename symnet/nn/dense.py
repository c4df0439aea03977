"""The fully connected layer."""

from __future__ import annotations

from itertools import count

from symnet.errors import GraphError, ShapeError
from symnet.expr import Expr, layer_scope, origin_here
from symnet.functions.products import matmul
from symnet.init import glorot_uniform, he_uniform, lecun_normal, zeros
from symnet.nn.activations import activation_of
from symnet.ops.core import default_dtype, describe, dtype_of
from symnet.ops.leaves import Initialiser, check_name, named, parameter

_RECTIFIERS = {
    "relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "swish", "mish", "hardswish",
}  # fmt: skip
_numbers = count(1)


def _size(value: object, what: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or isinstance(value, Expr):
        raise ShapeError(f"Dense: the number of {what} is an integer, got {value!r}")
    size = int(value.__index__())
    if size < 1:
        raise ShapeError(f"Dense: the number of {what} must be at least 1, got {size}")
    return size


class Dense:
    """activation(x @ W + b): x is (..., inputs), the result (..., outputs).

    activation: a name of `nn.ACTIVATIONS`, a function of one Expr, or None. Without `init` the
    weights start by He's rule for relu and its smooth kin, by LeCun's for selu, and otherwise by
    Glorot's, all by the activation's name; the bias starts at 0. The parameters take `dtype`, or
    the default dtype when the layer is made.

    A layer called hidden has the parameters W_hidden and b_hidden and names its results Z_hidden
    (before the activation) and A_hidden. In a Sequential, layers without a name are called by
    their place among its Dense layers: W_1, b_1, ...; one that stands alone takes the next number
    of its own when it is first used.

    Raises ShapeError, GraphError or NameClashError for sizes, an activation or a name that make
    no sense.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: object = None,
        bias: bool = True,
        name: str | None = None,
        init: Initialiser | None = None,
        bias_init: Initialiser | None = None,
        dtype: object = None,
    ) -> None:
        self.inputs, self.outputs = _size(inputs, "inputs"), _size(outputs, "outputs")
        self.name = None if name is None else check_name(name, "a layer")
        self.activation = activation_of(activation, str(self))
        self.dtype = default_dtype.current if dtype is None else dtype_of(dtype)
        self._init = init or _usual_start(activation)
        self._bias_init = bias_init or zeros
        self._has_bias = bool(bias)
        self._label = self.name
        self._made: tuple[Expr, Expr | None] | None = None

    def __repr__(self) -> str:
        label = getattr(self, "_label", None) or self.name
        head = f"Dense({self.inputs}, {self.outputs}"
        return f"{head}, name={label!r})" if label else f"{head})"

    @property
    def label(self) -> str:
        """What stands in the names of its parameters; a number is taken if it has none yet."""
        if self._label is None:
            self._label = str(next(_numbers))
        return self._label

    def adopt(self, label: str) -> None:
        """Take a label from the container, unless the layer has a name or was already used."""
        if self.name is None and self._made is None:
            self._label = label

    def _parameters(self) -> tuple[Expr, Expr | None]:
        if self._made is None:
            label, kind, bias = self.label, self.dtype, None
            shape = (self.inputs, self.outputs)
            weight = parameter(f"W_{label}", shape, init=self._init, dtype=kind)
            if self._has_bias:
                bias = parameter(f"b_{label}", shape[1:], init=self._bias_init, dtype=kind)
            self._made = (weight, bias)
        return self._made

    @property
    def weight(self) -> Expr:
        """The weights, (inputs, outputs)."""
        return self._parameters()[0]

    @property
    def bias(self) -> Expr | None:
        """The bias, (outputs,), or None."""
        return self._parameters()[1]

    def parameters(self) -> list[Expr]:
        """The weight, then the bias if there is one."""
        return [node for node in self._parameters() if node is not None]

    def __call__(self, x: Expr) -> Expr:
        """The layer's result; ShapeError unless the last axis of x has size `inputs`."""
        self._check(x)
        weight, bias = self._parameters()
        with layer_scope(self.label):
            product = matmul(x, weight)
            total = named(f"Z_{self.label}", product if bias is None else product + bias)
            if self.activation is None:
                return total
            active = self.activation(total)
            if not isinstance(active, Expr):
                raise GraphError(
                    f"layer {self.label}: the activation returned {active!r}, not an expression"
                )
            return named(f"A_{self.label}", active)

    def _check(self, x: object) -> None:
        here = f"layer {self.label} (Dense, {self.inputs} to {self.outputs})"
        if not isinstance(x, Expr):
            raise GraphError(
                f"{here}: expected an expression, got {type(x).__name__}; data enters as "
                f"sn.input(...) or sn.constant(array) (at {origin_here()})"
            )
        if not x.ndim or x.shape[-1] != self.inputs:
            got = x.shape[-1] if x.ndim else "no axis"
            raise ShapeError(
                f"{here}: the last axis of {describe(x)} must be {self.inputs}, it is {got} "
                f"(at {origin_here()})"
            )


def _usual_start(activation: object) -> Initialiser:
    name = activation if isinstance(activation, str) else None
    if name == "selu":
        return lecun_normal
    return he_uniform if name in _RECTIFIERS else glorot_uniform
