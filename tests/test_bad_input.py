"""Bad input: each has its own clear error, and nothing is broken after it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.errors import (
    DtypeError,
    FeedError,
    GraphError,
    NameClashError,
    ShapeError,
    SymnetError,
    TrainingError,
    UnknownFunctionError,
)

HERE = re.escape(str(Path(__file__)))
LINE = rf"\(at {HERE}:\d+\)"


def vector(name: str = "y", shape: tuple = ("N",), dtype: str = "float32") -> sn.Expr:
    return sn.input(name, shape, dtype)


X, Y, COLUMN = vector("X", ("N", 3)), vector(), vector("column", ("N", 1))
W = sn.parameter("w", init=[1.0, 2.0, 3.0])
GRAPH: dict[str, tuple[Callable[[], object], type[SymnetError], str]] = {
    "matmul": (lambda: X @ vector("q", (4, 2)), ShapeError,
               rf"matmul: X \(N×3\) @ q \(4×2\): 3 and 4 differ {LINE}"),
    "add": (lambda: vector("a", (3,)) + vector("b", (4,)), ShapeError,
            rf"add: a \(3\) and b \(4\) do not fit: 3 and 4 differ {LINE}"),
    "rows of two inputs": (lambda: Y + vector("z", ("M",)), ShapeError, "N and M differ"),
    "einsum": (lambda: sn.einsum("ij,i->i", COLUMN, vector("z", ("M",))), ShapeError, "N and M"),
    "reshape": (lambda: sn.reshape(X, (4, -1)), ShapeError, "does not divide by 4"),
    "axis": (lambda: sn.sum(X, axis=2), ShapeError, r"axis 2 of X \(N×3\), which has 2 axes"),
    "index": (lambda: X[0, 5], ShapeError, "index 5 is out of range for axis 1"),
    "fraction of an index": (lambda: X[2.5], DtypeError, "an index is an integer"),
    "initial value": (lambda: sn.parameter("v", (2,), init=[1.0, 2.0, 3.0]), ShapeError,
                      r"parameter v: the value is 3, the shape 2"),
    "size of a parameter": (lambda: sn.parameter("v", ("N",)), ShapeError, "sizes are fixed"),
    "negative size": (lambda: sn.input("v", (-1,)), ShapeError, "must not be negative, got -1"),
    "gradient of a vector": (lambda: sn.grad(X, X), ShapeError, r"X \(N×3\) is not a scalar"),
    "gradient by a number": (lambda: sn.grad(sn.sum(X), 3), GraphError, "expressions, got 3"),
    "if": (lambda: 1 if X else 2, GraphError, rf"sn.where.*in place of if.*{HERE}:\d+"),
    "in list": (lambda: sn.sum(X) in [sn.sum(Y)], GraphError, "`is` for identity"),
    "in expression": (lambda: 1 in X, GraphError, "`in` has no meaning"),
    "float": (lambda: float(sn.sum(X)), GraphError, rf"sn.evaluate.*{HERE}:\d+"),
    "int": (lambda: int(sn.sum(X)), GraphError, "not a number"),
    "range": (lambda: range(sn.sum(X)), GraphError, "not a number"),
    "iter": (lambda: list(X), GraphError, "cannot be iterated over"),
    "unpacked": (lambda: max(*X), GraphError, "cannot be iterated over"),
    "len": (lambda: len(X), GraphError, r"\.shape in place of len"),
    "asarray": (lambda: np.asarray(W), GraphError, "not an array"),
    "array + expr": (lambda: np.ones(3) + W, GraphError, rf"got ndarray.*sn.constant.*{LINE}"),
    "expr + array": (lambda: W + np.ones(3), GraphError, r"got ndarray.*sn.constant\(array\)"),
    "array @ expr": (lambda: np.ones((2, 3)) @ W, GraphError, "matmul: got ndarray"),
    "expr + list": (lambda: W + [1, 2], GraphError, "add: got list"),  # noqa: RUF005
    "expr + None": (lambda: W + None, GraphError, "add: got NoneType"),
    "expr * text": (lambda: W * "2", GraphError, "multiply: got str"),
    "float32 + int64": (lambda: W + vector("k", (3,), "int64"), DtypeError,
                        rf"add: float32 and int64 do not mix.*astype.*{LINE}"),
    "int64 + float64": (lambda: vector("k", (3,), "int64") + vector("d", (3,), "float64"),
                        DtypeError, "int64 and float64 do not mix"),
    "int * fraction": (lambda: vector("k", (3,), "int64") * 0.5, DtypeError, "0.5 would lose"),
    "sin of integers": (lambda: sn.sin(vector("k", (3,), "int32")), DtypeError,
                        r"sin takes floating-point operands, got k \(3\) int32"),
    "and of numbers": (lambda: W & W, DtypeError, "boolean operands"),
    "log of truth": (lambda: sn.log(W > 0), DtypeError, "bool"),
    "integer parameter": (lambda: sn.parameter("n", (2,), dtype="int64"), DtypeError,
                          "a parameter must be float32 or float64, n is int64"),
    "half precision": (lambda: sn.input("h", dtype="float16"), DtypeError, "got 'float16'"),
    "default dtype": (lambda: sn.default_dtype("int32"), DtypeError, "got 'int32'"),
    "name of an input": (lambda: sn.input("a b"), NameClashError, "must be an identifier"),
    "name of a parameter": (lambda: sn.parameter("1x"), NameClashError, "got '1x'"),
    "integer labels as floats": (
        lambda: sn.losses.cross_entropy(X, vector("t", ("N",), "float32")), SymnetError, "t"),
    "labels of the wrong shape": (
        lambda: sn.losses.cross_entropy(X, vector("t", ("N", 1), "int64")), SymnetError, "t"),
    "logits and target": (lambda: sn.losses.mse(X, Y), ShapeError, r"X \(N×3\).*y \(N\)"),
    "threads=0": (lambda: sn.compile(W, threads=0), GraphError, "from 1 or None, got 0"),
    "threads=1.5": (lambda: sn.compile(W, threads=1.5), GraphError, "got 1.5"),
    "threads='2'": (lambda: sn.compile(W, threads="2"), GraphError, "got '2'"),
    "threads=True": (lambda: sn.compile(W, threads=True), GraphError, "got True"),
    "target": (lambda: sn.compile(W, target="tpu"), GraphError, "one of cpu.*got 'tpu'"),
    "compile a number": (lambda: sn.compile(3), GraphError, "expressions, got 3"),
    "update of an input": (lambda: sn.compile(X, {X: X}), GraphError, "only parameters and state"),
    "update of a name": (lambda: sn.compile(W, {"w": W}), GraphError, "got 'w'"),
    "update by a number": (lambda: sn.compile(W, {W: 0.0}), GraphError, "expressions, got 0.0"),
    "update's shape": (lambda: sn.compile(W, {W: sn.sum(W)}), ShapeError,
                       r"the update of w \(3\) has the shape scalar"),
    "update's dtype": (lambda: sn.compile(W, {W: sn.astype(W, "float64")}), DtypeError,
                       r"w \(float32\) is float64"),
    "update twice": (lambda: sn.compile(W, [(W, W), (W, 2 * W)]), GraphError, "updated twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPH)
def test_a_graph_that_makes_no_sense_is_refused(name: str):
    wrong, kind, words = GRAPH[name]
    with pytest.raises(kind, match=words):
        wrong()
    assert sn.evaluate(sn.sum(X @ W), {"X": np.ones((2, 3))}) == 12


OPERATIONS = {
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: b / a,
    "**": lambda a, b: a**b,
    "==": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "maximum": sn.maximum,
    "atan2": sn.atan2,
    "where": lambda a, b: sn.where(a > 0, b, 0.0),
    "mse": sn.losses.mse,
    "mae": sn.losses.mae,
    "huber": sn.losses.huber,
    "hinge": sn.losses.hinge,
    "binary_cross_entropy": sn.losses.binary_cross_entropy,
    "weight": lambda a, b: sn.losses.mse(a, a, weight=b),
    "r2": sn.metrics.r2,
    "accuracy": sn.metrics.accuracy,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_column_and_a_vector_of_the_same_rows_never_mix(name: str):
    with pytest.raises(ShapeError, match=rf"N×1.*N.*{LINE}|y \\(N\\).*N×1.*{LINE}"):
        OPERATIONS[name](COLUMN, Y)
    OPERATIONS[name](COLUMN[:, 0], Y)


def test_rows_and_columns_of_fixed_sizes_mix_as_in_numpy():
    assert (vector("a", (3, 1)) + vector("b", (3,))).shape == (3, 3)


# Data for a compiled function and for the reference.

DATA = {"X": np.ones((4, 3)), "y": np.full(4, 0.5)}
WIDE = np.full((4, 3), 1e300)
FEEDS: dict[str, tuple[Any, str]] = {
    "close name": ({**DATA, "Y_": 1}, r"no input 'Y_', there is X, y.*did you mean y\?"),
    "case": ({"x": DATA["X"], "y": DATA["y"]},
             r"did you mean X\?|no data for X.*and x, which nothing"),
    "unknown": ({**DATA, "something": 1}, r"no input 'something', there is X, y"),
    "missing": ({"X": DATA["X"]}, r"no data for y \(N\); given: X"),
    "nothing": (None, r"no data for X \(N×3\), y \(N\); given: nothing"),
    "a list": ([DATA["X"]], "data comes by name.*got a list"),
    "shape": ({**DATA, "X": np.ones((4, 2))}, r"input X: expected N×3, got 4×2"),
    "rank": ({**DATA, "y": np.ones((4, 1))}, r"input y: expected N, got 4×1"),
    "sizes": ({**DATA, "y": np.ones(5)}, "the size N is 4 in X and 5 in y"),
    "text": ({**DATA, "y": np.array(["a"] * 4)}, "y expects numbers"),
    "objects": ({**DATA, "y": np.array([None] * 4)}, "y expects numbers.*object"),
    "complex": ({**DATA, "y": np.ones(4) * 1j}, "complex128"),
    "ragged": ({**DATA, "X": [[1, 2, 3], [1]]}, "X is fed list"),
    "overflow": ({**DATA, "X": WIDE}, r"X is float32, the data float64: 1e\+300 overflows"),
    "inexact": ({**DATA, "y": np.full(4, 2**40 + 1)}, "some integers are not exact"),
    "an expression": ({**DATA, "y": Y}, "y is fed an expression"),
    "masked": ({**DATA, "y": np.ma.masked_array(np.ones(4), True)}, "masked array"),
    "another's parameter": ({**DATA, sn.parameter("w", (3,)): np.ones(3)},
                            rf"parameter w made at {HERE}:\d+ is no input or parameter"),
    "twice": ({**DATA, Y: np.ones(4)}, "y is fed twice"),
}  # fmt: skip


@pytest.fixture(scope="module")
def function() -> sn.Function:
    return sn.compile(sn.sum(X @ W) + sn.sum(Y))


@pytest.mark.parametrize("name", FEEDS)
def test_data_that_does_not_fit_is_refused(name: str, function: sn.Function):
    feeds, words = FEEDS[name]
    with pytest.raises(FeedError, match=words):
        function(feeds)
    assert function(DATA) == 26
    with pytest.raises(FeedError, match=words):
        sn.evaluate(sn.sum(X @ W) + sn.sum(Y), feeds)


def test_labels_are_integers_in_range_wherever_they_come_in():
    k = sn.input("k", ("N",), "int64")
    picked = sn.losses.cross_entropy(X, k)
    f = sn.compile(picked)
    for use in (f, lambda feeds: sn.evaluate(picked, feeds)):
        for labels, words in (
            (np.array([0.0, 1, 2, 0]), "k is int64, the data float64: floats never become"),
            (np.array([0, 1, 3, 0]), r"k picks one of 3.*from 0 to 2, got 3 at \[2\]"),
            (np.array([0, 1, 2, -1]), r"from 0 to 2, got -1 at \[3\]"),
            (np.array([2**40, 0, 0, 0]), r"got 1099511627776 at \[0\]"),
        ):
            with pytest.raises(FeedError, match=words):
                use({"X": DATA["X"], "k": labels})
        assert use({"X": DATA["X"], "k": np.array([0, 1, 2, 0])}) == pytest.approx(np.log(3))


def test_two_things_of_one_name():
    other = sn.parameter("w", (3,))
    both = sn.sum(W * other)
    for use in (both.parameters, lambda: sn.compile(both), lambda: sn.evaluate(both),
                lambda: sn.Trainer(both, sn.optim.SGD(0.1))):  # fmt: skip
        with pytest.raises(NameClashError, match=rf"w: one made at {HERE}:\d+, one at {HERE}:\d+"):
            use()
    with pytest.raises(NameClashError, match="called w"):
        sn.compile(sn.sum(W * sn.input("w", (3,))))
    assert sn.evaluate(sn.sum(W)) == 6


def test_unknown_functions_are_not_computed():
    f = sn.function("f")
    for use in (lambda: sn.compile(sn.grad(sn.sum(f(X)), X)), lambda: sn.evaluate(f(X), DATA),
                lambda: sn.Trainer(sn.sum(f(W)), sn.optim.SGD(0.1))):  # fmt: skip
        with pytest.raises(UnknownFunctionError, match=rf"f′?.*made at {HERE}:\d+.*sn.pointwise"):
            use()
    assert "f′" in str(sn.grad(f(sn.sum(X)), X))


# The trainer.

LABELS = sn.input("labels", ("N",), "int64")
NET = sn.nn.Dense(3, 4, name="layer")
LOGITS = NET(X)
LOSS = sn.losses.cross_entropy(LOGITS, LABELS)
OTHER = sn.nn.Dense(3, 2, name="stranger")
SGD = sn.optim.SGD(0.1)
MODELS: dict[str, tuple[Callable[[], object], type[SymnetError], str]] = {
    "vector loss": (lambda: sn.Trainer(LOGITS, SGD), ShapeError, r"the loss must be a scalar"),
    "number as loss": (lambda: sn.Trainer(3.0, SGD), GraphError, "an expression, got 3.0"),
    "integer loss": (lambda: sn.Trainer(sn.sum(LABELS), SGD), TrainingError, "it is int64"),
    "no parameter": (lambda: sn.Trainer(sn.sum(X), SGD), TrainingError, "nothing to train"),
    "rate for optimizer": (lambda: sn.Trainer(LOSS, 0.1), TrainingError, "sn.optim.Adam.*got 0.1"),
    "optimizer not called": (lambda: sn.Trainer(LOSS, sn.optim.Adam), TrainingError, "optimizer"),
    "vector metric": (lambda: sn.Trainer(LOSS, SGD, metrics={"m": LOGITS}), ShapeError,
                      "m must be a scalar"),
    "metrics without names": (lambda: sn.Trainer(LOSS, SGD, metrics=[LOSS]), GraphError, "names"),
    "metric called loss": (lambda: sn.Trainer(LOSS, SGD, metrics={"loss": LOSS}), TrainingError,
                           "a name of its own"),
    "another's parameter": (lambda: sn.Trainer(LOSS, SGD, parameters=[OTHER.weight]), TrainingError,
                            r"W_stranger made at .*depends on W_layer, b_layer"),
    "parameter by name": (lambda: sn.Trainer(LOSS, SGD, parameters=["W_layer"]), GraphError,
                          "'W_layer' is not a parameter"),
    "parameter twice": (lambda: sn.Trainer(LOSS, SGD, parameters=[NET.bias] * 2), GraphError,
                        "b_layer is updated twice"),
    "no chosen parameter": (lambda: sn.Trainer(LOSS, SGD, parameters=[]), TrainingError, "nothing"),
    "rate nan": (lambda: sn.optim.SGD(float("nan")), TrainingError, "rate.*nan"),
    "rate inf": (lambda: sn.optim.Adam(float("inf")), TrainingError, "rate.*inf"),
    "rate negative": (lambda: sn.optim.SGD(-0.1), TrainingError, "rate.*-0.1"),
    "rate text": (lambda: sn.optim.SGD("fast"), DtypeError, "rate.*'fast'"),
    "rate a vector": (lambda: sn.Trainer(LOSS, sn.optim.SGD(W)), ShapeError,
                      r"rate must be a scalar, got w \(3\)"),
    "rate of data": (lambda: sn.Trainer(LOSS, sn.optim.SGD(sn.sum(Y))), TrainingError,
                     rf"depends on the input y made at {HERE}:\d+.*sn.schedules.step"),
    "threads=0": (lambda: sn.Trainer(LOSS, SGD, threads=0), GraphError, "got 0"),
    "target": (lambda: sn.Trainer(LOSS, SGD, target="tpu"), GraphError, "got 'tpu'"),
    "seed text": (lambda: sn.Trainer(LOSS, SGD, seed="a"), TrainingError, "a seed is.*got 'a'"),
    "seed negative": (lambda: sn.Trainer(LOSS, SGD, seed=-1), TrainingError, "got -1"),
    "seed too large": (lambda: sn.Trainer(LOSS, SGD, seed=2**63), TrainingError, "2\\*\\*63 - 1"),
    "patience": (lambda: sn.stop.patience("loss", 0), TrainingError, "epochs.*got 0"),
    "below": (lambda: sn.stop.below("loss", float("nan")), TrainingError, "finite number"),
    "gradient_norm": (lambda: sn.stop.gradient_norm(0.0), TrainingError, "positive"),
    "what to watch": (lambda: sn.stop.below("val loss", 1.0), TrainingError, "got 'val loss'"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_training_that_makes_no_sense_is_refused(name: str):
    wrong, kind, words = MODELS[name]
    with pytest.raises(kind, match=words):
        wrong()


ROWS = np.random.default_rng(0).normal(size=(10, 3))
GOOD = {"X": ROWS, "labels": np.arange(10) % 4}


def spoiled(array: np.ndarray, place: tuple, value: float) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


def raising(state: object) -> None:
    raise ZeroDivisionError("the callback's own")


def setting(rate: object) -> Callable[[Any], None]:
    return lambda state: state.set_rate(rate)


EMPTY = {"X": np.zeros((0, 3)), "labels": np.zeros(0, int)}
NAN = {**GOOD, "X": spoiled(ROWS, (2, 1), np.nan)}
FITS: dict[str, tuple[dict[str, Any], type[SymnetError], str]] = {
    "nan": ({"data": NAN}, FeedError, r"X holds 1 NaN, the first at \[2, 1\]"),
    "empty": ({"data": EMPTY}, FeedError, "X is empty: its shape is 0×3"),
    "empty, all rows": ({"data": EMPTY, "batch_size": None}, FeedError, "X is empty"),
    "float labels": ({"data": {**GOOD, "labels": GOOD["labels"] * 1.0}}, FeedError,
                     "labels is int64, the data float64"),
    "label too large": ({"data": {**GOOD, "labels": GOOD["labels"] + 1}}, FeedError,
                        r"labels picks one of 4.*got 4 at \[3\]"),
    "label negative": ({"data": {**GOOD, "labels": GOOD["labels"] - 1}}, FeedError, "got -1"),
    "label column": ({"data": {**GOOD, "labels": GOOD["labels"][:, None]}}, FeedError,
                     "labels: expected N, got 10×1"),
    "fewer labels": ({"data": {**GOOD, "labels": GOOD["labels"][1:]}}, FeedError,
                     "N is 10 in X and 9 in labels"),
    "missing": ({"data": {"X": ROWS}}, FeedError, r"no data for labels \(N\)"),
    "unknown": ({"data": {**GOOD, "label": 1}}, FeedError, "did you mean labels"),
    "a tuple": ({"data": (ROWS, GOOD["labels"])}, FeedError, "data comes by name.*got a tuple"),
    "a parameter": ({"data": {**GOOD, "W_layer": 0}}, FeedError, "W_layer is a parameter of this"),
    "batch too large": ({"batch_size": 11}, TrainingError,
                        "batch size 11 is larger than the data: N is 10; batch_size=None"),
    "batch 0": ({"batch_size": 0}, TrainingError, "positive integer or None, got 0"),
    "batch -1": ({"batch_size": -1}, TrainingError, "got -1"),
    "batch 2.5": ({"batch_size": 2.5}, TrainingError, "got 2.5"),
    "batch True": ({"batch_size": True}, TrainingError, "got True"),
    "batch 'all'": ({"batch_size": "all"}, TrainingError, "got 'all'"),
    "batch of M": ({"batch_size": {"M": 3}}, TrainingError, "names 'M'; the sizes are N"),
    "epochs -1": ({"epochs": -1}, TrainingError, "epochs must be a whole number.*got -1"),
    "epochs 1.5": ({"epochs": 1.5}, TrainingError, "got 1.5"),
    "epochs None": ({"epochs": None}, TrainingError, "got None"),
    "epochs True": ({"epochs": True}, TrainingError, "got True"),
    "validation 0": ({"validation": 0}, TrainingError, "share lies between 0 and 1"),
    "validation 1.5": ({"validation": 1.5}, TrainingError, "share lies between 0 and 1"),
    "validation nan": ({"validation": np.nan}, TrainingError, "share lies between 0 and 1"),
    "validation of no row": ({"validation": 0.01}, FeedError, "0.01 of 10 rows leaves nothing"),
    "validation text": ({"validation": "half"}, TrainingError, "got 'half'"),
    "validation missing": ({"validation": {"X": ROWS}}, FeedError, "no data for labels"),
    "validation empty": ({"validation": EMPTY}, FeedError, "X is empty"),
    "validation nan rows": ({"validation": NAN}, FeedError, "X holds 1 NaN"),
    "validation labels": ({"validation": {**GOOD, "labels": GOOD["labels"] + 1}}, FeedError,
                          "got 4"),
    "stop text": ({"stop": "loss"}, TrainingError, "stop takes.*got 'loss'"),
    "stop unmeasured": ({"stop": sn.stop.below("accuracy", 1.0)}, TrainingError,
                        "'accuracy' is not measured, loss are"),
    "stop without validation": ({"stop": sn.stop.patience("validation.loss", 2)}, TrainingError,
                                r"give fit\(validation=...\)"),
    "stop twice": ({"stop": [sn.stop.gradient_norm(1.0)] * 2}, TrainingError, "given twice"),
    "callback 3": ({"callbacks": 3}, TrainingError, "a function of the state, got 3"),
    "callbacks [3]": ({"callbacks": [print, 3]}, TrainingError, "got 3"),
    "callback sets nan": ({"callbacks": setting(np.nan)}, TrainingError, "set_rate.*nan"),
    "callback sets text": ({"callbacks": setting("x")}, TrainingError, "set_rate.*'x'"),
    "callback sets -1": ({"callbacks": setting(-1.0)}, TrainingError, "set_rate.*-1"),
    "callback raises": ({"callbacks": raising}, ZeroDivisionError, "the callback's own"),
}  # fmt: skip
AFTER_AN_EPOCH = {name for name in FITS if name.startswith("callback ")} - {"callback 3"}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_that_cannot_be_is_refused_and_changes_nothing(name: str):
    asked, kind, words = FITS[name]
    trainer, other = sn.Trainer(LOSS, SGD, seed=1), sn.Trainer(LOSS, SGD, seed=1)
    wanted = {"data": GOOD, "epochs": 2, "batch_size": 5, **asked}
    with pytest.raises(kind, match=words):
        trainer.fit(wanted.pop("data"), **wanted)
    if name in AFTER_AN_EPOCH:
        other.fit(GOOD, epochs=1, batch_size=5)
    found = trainer.fit(GOOD, epochs=2, batch_size=5)
    assert found.step_loss == other.fit(GOOD, epochs=2, batch_size=5).step_loss


def test_a_default_batch_larger_than_the_data_says_what_to_do():
    with pytest.raises(TrainingError, match="32 is larger than the data: N is 10; batch_size=None"):
        sn.Trainer(LOSS, SGD).fit(GOOD, epochs=1)


def test_looking_at_a_trainer_with_bad_data_changes_nothing():
    trainer = sn.Trainer(LOSS, SGD)
    before = trainer.state_dict()
    p = sn.softmax(LOGITS)
    looks: list[tuple[Callable[[], object], type[SymnetError], str]] = [
        (lambda: trainer.step(NAN), FeedError, "X holds 1 NaN"),
        (lambda: trainer.step(EMPTY), FeedError, "X is empty"),
        (lambda: trainer.step({"X": ROWS}), FeedError, "no data for labels"),
        (lambda: trainer.evaluate(EMPTY), FeedError, "X is empty"),
        (lambda: trainer.evaluate({**GOOD, NET.weight: 0}), FeedError, "W_layer is a parameter"),
        (lambda: trainer.predict(OTHER(X), GOOD), TrainingError,
         r"W_stranger \(made at .*\) is a parameter of another model.*W_layer, b_layer"),
        (lambda: trainer.predict(p, {"X": ROWS[:, :2]}), FeedError, "expected N×3, got 10×2"),
        (lambda: trainer.predict(3, GOOD), GraphError, "expressions, got 3"),
        (lambda: trainer.reset("a"), TrainingError, "a seed is"),
        (lambda: trainer.load_state_dict(None), TrainingError, "NoneType"),
        (lambda: trainer.load_state_dict({}), TrainingError, "W_layer, b_layer"),
        (lambda: trainer.load_state_dict({**before, "W_layer": ROWS}), TrainingError, "W_layer"),
        (lambda: trainer.load_state_dict({**before, "b_layer": ["a"] * 4}), TrainingError, "b_l"),
        (lambda: trainer.load_state_dict({**before, "trainer.place": [1]}), TrainingError, "place"),
    ]  # fmt: skip
    for look, kind, words in looks:
        with pytest.raises(kind, match=words):
            look()
    after = trainer.state_dict()
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)
    assert trainer.predict(p, {"X": ROWS[:0]}).shape == (0, 4)
