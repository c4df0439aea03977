"""An optimizer is a rule: from a parameter, its gradient and what is remembered to their next
values. Everything is an expression, so the rule prints, and is compiled as anything else is."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from symnet.errors import DtypeError, GraphError, ShapeError, TrainingError
from symnet.expr import Dtype, Expr
from symnet.ops.core import FLOATS, cast, describe, is_number
from symnet.ops.leaves import check_name, state_leaf, step
from symnet.optim.clip import by_norm, by_value
from symnet.optim.symbolic import letters_of, lines_of
from symnet.schedules import as_rate

Rule = Callable[..., Mapping[str, Expr]]
Hyper = float | Expr
"""A hyper-parameter: a number, or a scalar Expr of the step."""
Groups = Mapping[str | Expr | tuple[Expr, ...], Mapping[str, Hyper]]
"""Which parameters -> their own hyper-parameters."""
Updates = tuple[tuple[Expr, Expr], ...]


@dataclass(frozen=True)
class Optimizer:
    """A rule with its hyper-parameters, made by a factory such as `Adam` or `from_rule(...)`.

    rate: a number or a scalar Expr of the step. state: what the rule remembers a parameter,
    starting at zeros. hyperparameters: the rule's other numbers. groups: parameters with
    hyper-parameters of their own; a key is a name pattern ("b_*", "W_hidden"), a parameter or a
    tuple of parameters, and where several match, the later wins. clip_value, then clip_norm, act
    on the gradients before the rule sees them, as PyTorch's clip_grad_value_ and clip_grad_norm_.
    """

    name: str
    rule: Rule
    state: tuple[str, ...]
    rate: Hyper
    hyperparameters: Mapping[str, Hyper] = field(default_factory=dict)
    groups: Groups = field(default_factory=dict)
    clip_norm: float | None = None
    clip_value: float | None = None

    @property
    def usual(self) -> dict[str, Hyper]:
        """The hyper-parameters outside groups, the rate among them."""
        return {"rate": self.rate, **self.hyperparameters}

    def settings(self, parameters: Sequence[Expr]) -> list[dict[str, Hyper]]:
        """The hyper-parameters of each parameter, its groups applied.

        Raises TrainingError for a group that matches none of the parameters.
        """
        found = [self.usual for _ in parameters]
        for key, own in self.groups.items():
            matches = [index for index, node in enumerate(parameters) if _matches(key, node)]
            if not matches:
                names = ", ".join(str(node.name) for node in parameters)
                label = key if isinstance(key, str) else "given by parameters"
                raise TrainingError(f"{self.name}: the group {label} matches none of {names}")
            for index in matches:
                found[index].update(own)
        return found

    def updates(self, parameters: Sequence[Expr], gradients: Sequence[Expr]) -> Updates:
        """Pairs (leaf, its next value): each parameter, then what is remembered about it.

        Rates and other scalar Exprs are computed in float64 and handed to the rule in the
        parameter's dtype; t stays float64, and what the rule returns is rounded to the
        parameter's dtype. State leaves are new at each call and called m_W_1 for state m of W_1.

        Raises ShapeError or DtypeError for a gradient that does not fit its parameter, and
        GraphError for a rule that does not return what it should.
        """
        if len(parameters) != len(gradients):
            raise ShapeError(f"{len(parameters)} parameters, but {len(gradients)} gradients")
        for parameter, gradient in zip(parameters, gradients, strict=True):
            _fits(f"{self.name}: the gradient of {describe(parameter)}", gradient, parameter)
        clipped = list(gradients)
        if clipped and self.clip_value is not None:
            clipped = by_value(clipped, self.clip_value)
        if clipped and self.clip_norm is not None:
            clipped = by_norm(clipped, self.clip_norm)
        pairs: list[tuple[Expr, Expr]] = []
        settings = self.settings(parameters)
        for parameter, gradient, setting in zip(parameters, clipped, settings, strict=True):
            pairs += self._update(parameter, gradient, setting)
        return tuple(pairs)

    def _update(
        self, parameter: Expr, gradient: Expr, setting: Mapping[str, Hyper]
    ) -> list[tuple[Expr, Expr]]:
        kind = parameter.dtype
        memory = [
            state_leaf(f"{name}_{parameter.name}", parameter.shape, kind) for name in self.state
        ]
        given = {name: _in_dtype(value, kind) for name, value in setting.items()}
        after = self.apply(parameter, gradient, memory, step + 1, given)
        leaves = dict(zip(("w", *self.state), (parameter, *memory), strict=True))
        return [(leaf, _fits(f"{self.name}: {name}", after[name], leaf, round_to=kind))
                for name, leaf in leaves.items()]  # fmt: skip

    def apply(
        self,
        parameter: Expr,
        gradient: Expr,
        memory: Sequence[Expr],
        t: Expr,
        setting: Mapping[str, Hyper],
    ) -> Mapping[str, Expr]:
        """What the rule returns; GraphError unless that is an Expr for w and for each state."""
        after: object = self.rule(parameter, gradient, *memory, t, **setting)
        wanted = {"w", *self.state}
        if not isinstance(after, Mapping) or set(after) != wanted:
            got = sorted(after) if isinstance(after, Mapping) else repr(after)
            raise GraphError(
                f"{self.name}: the rule must return a dict with {sorted(wanted)}, got {got}"
            )
        for name, value in after.items():
            if not isinstance(value, Expr):
                raise GraphError(f"{self.name}: the rule's {name} is {value!r}, not an expression")
        return after

    def symbolic(self) -> list[tuple[str, Expr]]:
        """The rule in letters, assignments (name, next value) to be read one after another.

        On scalar float64 inputs w, g, t and the state's names; hyper-parameters are inputs called
        by their Greek letters (η, β_1, β_2, ε, λ, μ), those that are 0 are left out.
        """
        leaves, setting = letters_of(("w", "g", *self.state, "t"), self.usual)
        memory = [leaves[name] for name in self.state]
        after = self.apply(leaves["w"], leaves["g"], memory, leaves["t"], setting)
        return lines_of(leaves, {name: after[name] for name in (*self.state, "w")})


def _matches(key: str | Expr | tuple[Expr, ...], parameter: Expr) -> bool:
    if isinstance(key, str):
        return fnmatchcase(str(parameter.name), key)
    nodes = (key,) if isinstance(key, Expr) else key
    return any(node is parameter for node in nodes)


def _in_dtype(value: Hyper, kind: Dtype) -> Hyper:
    """A scalar Expr in the parameter's dtype; a number takes the dtype of what it meets."""
    return cast(as_rate(value), kind) if isinstance(value, Expr) else value


def _fits(what: str, value: Expr, leaf: Expr, round_to: Dtype | None = None) -> Expr:
    if value.shape != leaf.shape:
        raise ShapeError(f"{what} is {describe(value)}, it must be shaped as {describe(leaf)}")
    if value.dtype not in FLOATS:
        raise DtypeError(f"{what} is {value.dtype}, it must be floating point")
    if round_to is None and value.dtype != leaf.dtype:
        raise DtypeError(f"{what} is {value.dtype}, the parameter {leaf.dtype}")
    return value if round_to is None else cast(value, round_to)


def from_rule(
    rule: Rule, state: Sequence[str] = ("m",), name: str | None = None
) -> Callable[..., Optimizer]:
    """A factory of optimizers from a rule of the user's own.

    The rule is called once a parameter as rule(w, g, *state, t, *, rate, ...) with Exprs: the
    parameter, its gradient, what is remembered, and the number of the step, from 1, as a float64
    scalar. It returns {"w": next w} and the next value of each state. Its keyword-only arguments
    are the hyper-parameters. Arithmetic that mixes t with a float32 array is done in float64;
    write sn.astype(scalar, w.dtype) to stay in float32.

    The factory takes (rate, *, groups=None, clip_norm=None, clip_value=None, **hyper-parameters).
    Raises GraphError for a rule whose signature does not fit.
    """
    label = name or str(getattr(rule, "__name__", "rule"))
    remembered = tuple(check_name(item, "a state") for item in state)
    known = _signature(rule, remembered, label)

    def factory(
        rate: Hyper,
        *,
        groups: Groups | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        **hyperparameters: Hyper,
    ) -> Optimizer:
        given = {"rate": rate, **hyperparameters}
        _check_settings(label, given, known)
        for own in (groups or {}).values():
            _check_settings(label, own, known)
        for what, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None and (not is_number(limit) or not 0 < limit < math.inf):
                raise TrainingError(f"{label}: {what} must be a positive number, got {limit!r}")
        missing = [key for key, value in known.items() if value is _REQUIRED and key not in given]
        if missing:
            raise TrainingError(f"{label}: {', '.join(missing)} must be given")
        rest = {key: given.get(key, known[key]) for key in known if key != "rate"}
        return Optimizer(
            label, rule, remembered, rate, rest, dict(groups or {}), clip_norm, clip_value
        )

    return factory


_REQUIRED = inspect.Parameter.empty


def _signature(rule: Rule, state: tuple[str, ...], label: str) -> dict[str, Any]:
    """The hyper-parameters of a rule with their defaults."""
    arguments = inspect.signature(rule).parameters.values()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [item for item in arguments if item.kind in kinds]
    wanted = ", ".join(("w", "g", *state, "t"))
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if len(positional) != 3 + len(state) or any(item.kind in variable for item in arguments):
        raise GraphError(f"the rule {label} must be called as ({wanted}, *, rate, ...)")
    known = {item.name: item.default for item in arguments if item not in positional}
    if "rate" not in known:
        raise GraphError(f"the rule {label} needs a keyword-only rate: ({wanted}, *, rate, ...)")
    return known


def _check_settings(label: str, given: Mapping[str, Hyper], known: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if key not in known:
            raise TrainingError(
                f"{label}: no hyper-parameter is called {key}; there are {', '.join(known)}"
            )
        as_rate(value, f"{label}: {key}")
