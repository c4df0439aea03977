"""Layers one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, overload

from symnet.errors import GraphError, NameClashError
from symnet.expr import Expr
from symnet.nn.dense import Dense
from symnet.nn.summary import html_table
from symnet.ops.leaves import check_name

Layer = Callable[..., Any]


class Sequential:
    """The layers applied in order; each is a layer or any function from Expr to Expr.

    Dense layers without a name are called 1, 2, ... by their place among the Dense layers, those
    of inner Sequentials included; in `Sequential(..., name="encoder")` they are called encoder_1,
    encoder_2, ... Indexing, iteration and len go over the layers as given.

    Raises GraphError for a layer that cannot be called, NameClashError if two different layers
    have one name.
    """

    def __init__(self, *layers: Any, name: str | None = None) -> None:
        for place, layer in enumerate(layers):
            if isinstance(layer, Expr) or not callable(layer):
                raise GraphError(
                    f"Sequential: layer {place} is {layer!r}; a layer is called with an expression"
                )
        self.name = None if name is None else check_name(name, "a Sequential")
        self.layers: tuple[Layer, ...] = layers
        self._adopt(f"{name}_" if name else "")

    def _adopt(self, prefix: str) -> None:
        seen: dict[str, Dense] = {}
        for number, layer in enumerate(dict.fromkeys(_dense_layers(self.layers, inside=False)), 1):
            layer.adopt(f"{prefix}{number}")
        for layer in _dense_layers(self.layers, inside=True):
            if seen.setdefault(layer.label, layer) is not layer:
                raise NameClashError(
                    f"Sequential: two layers are called {layer.label}; give one another name"
                )

    def parameters(self) -> list[Expr]:
        """The parameters of all layers that have some, in order, each once."""
        held = (layer.parameters() for layer in self.layers if hasattr(layer, "parameters"))
        return list(dict.fromkeys(node for nodes in held for node in nodes))

    def __call__(self, x: Expr) -> Expr:
        """The last layer's result; GraphError if a layer returns something else than an Expr."""
        for place, layer in enumerate(self.layers):
            x = layer(x)
            if not isinstance(x, Expr):
                raise GraphError(f"Sequential: layer {place}, {layer!r}, returned {x!r}")
        return x

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self.layers[index]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def _repr_html_(self) -> str:
        return html_table(self.layers, self.name or "Sequential")

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.layers))})"


def _dense_layers(layers: Iterable[Layer], inside: bool) -> Iterator[Dense]:
    """The Dense layers, those of inner Sequentials too; of the named ones only if `inside`."""
    for layer in layers:
        if isinstance(layer, Dense):
            yield layer
        elif isinstance(layer, Sequential) and (inside or layer.name is None):
            yield from _dense_layers(layer.layers, inside)
