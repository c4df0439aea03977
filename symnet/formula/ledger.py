"""What a translation has named so far, so that an attempt can be taken back."""

from __future__ import annotations

from typing import Any, TypeVar

from symnet.formula.tree import COLON, Apply, Element, Fold, Formula, Scaled, Symbol, walk

# What has no sign in matrix form: such a formula is written element by element.
_WORDS = frozenset({"broadcast", "reshape", "permute", "concat", "place"})
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Ledger(dict[_Key, _Value]):
    """A dict that can be taken back to an earlier moment."""

    def __init__(self) -> None:
        super().__init__()
        self._before: list[tuple[_Key, _Value | None]] = []

    def __setitem__(self, key: _Key, value: _Value) -> None:
        self._before.append((key, self.get(key)))
        super().__setitem__(key, value)

    def setdefault(self, key: _Key, value: _Value) -> _Value:
        if key not in self:
            self[key] = value
        return self[key]

    def pop(self, key: _Key, *default: Any) -> Any:
        self._before.append((key, self.get(key)))
        return super().pop(key, *default)

    def mark(self) -> int:
        """This moment."""
        return len(self._before)

    def undo(self, moment: int) -> None:
        """Everything that was set since then is as it was."""
        while len(self._before) > moment:
            key, value = self._before.pop()
            if value is None:
                super().pop(key, None)
            else:
                super().__setitem__(key, value)


def clumsy(formula: object, makeshift: set[str]) -> bool:
    """Whether a formula has a word for what matrix notation has no sign for, or a name that was
    made for such a thing alone."""
    for part in walk(formula):
        if isinstance(part, Apply) and part.name in _WORDS:
            return True
        if isinstance(part, Symbol) and part.name in makeshift:
            return True
    return False


def has_open_sums(formula: Formula) -> bool:
    """Whether a vector has sums of more than rows: Σ_n X[n,:] reads well as it is, and
    Σ_k X[:,k] ⊙ Y[:,k] better for one element."""
    for part in walk(formula):
        if isinstance(part, Fold) and COLON in walk(part.body):
            body = part.body
            element = body.body if isinstance(body, Scaled) else body
            if not isinstance(element, Element) or element.indices[0] == COLON:
                return True
    return False


def base_name(left: Formula) -> str:
    """The name that a definition defines."""
    name = left.base if isinstance(left, Element) else left
    return name.name if isinstance(name, Symbol) else ""
