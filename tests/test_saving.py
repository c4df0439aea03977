"""Trainers in files: every bit comes back, nothing in a file is executed, writes are whole."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.errors import GraphError, SymnetError, TrainingError
from symnet.train import saving

RNG = np.random.default_rng(3)
DATA = {"X": RNG.normal(size=(23, 3)), "y": RNG.integers(0, 4, 23)}


def trainer(optimizer: Any = None, init: Any = None, seed: int = 2) -> sn.Trainer:
    x, y = sn.input("X", ("N", 3)), sn.input("y", ("N",), "int64")
    hidden = sn.nn.Dense(3, 5, activation="gelu", init=init, name="hidden")
    z = sn.named("z", sn.nn.Dense(5, 4, name="out")(hidden(x)))
    loss = sn.losses.cross_entropy(z, y)
    return sn.Trainer(
        loss, optimizer or sn.optim.Adam(0.01), metrics={"accuracy": sn.metrics.accuracy(z, y)},
        seed=seed,
    )  # fmt: skip


def lion(w: Any, g: Any, m: Any, t: Any, *, rate: Any, beta: float = 0.9) -> dict[str, Any]:
    return {"w": w - rate * sn.sign(beta * m + (1 - beta) * g), "m": beta * m + (1 - beta) * g}


k = sn.schedules.step
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: sn.optim.SGD(0.1),
    "adam": lambda: sn.optim.Adam(0.01),
    "adamw": lambda: sn.optim.AdamW(0.01, weight_decay=0.1),
    "cosine": lambda: sn.optim.Momentum(sn.schedules.cosine(0.1, 0.0, 20)),
    "one cycle": lambda: sn.optim.SGD(sn.schedules.one_cycle(0.2, 20)),
    "own schedule": lambda: sn.optim.SGD(sn.minimum(1e-1, 1e-2 * (k + 1))),
    "own rule": lambda: sn.optim.from_rule(lion, state=("m",))(rate=1e-3),
}


def same(one: sn.Trainer, other: sn.Trainer) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(
        mine[name].dtype == theirs[name].dtype and mine[name].tobytes() == theirs[name].tobytes()
        for name in mine
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_loaded_trainer_is_the_saved_one_to_the_bit(name: str, dtype: str, tmp_path: Path):
    with sn.default_dtype(dtype):
        saved = trainer(OPTIMIZERS[name]())
    saved.fit(DATA, epochs=2, batch_size=5)
    saved.save(tmp_path / "t.npz")
    loaded = sn.Trainer.load(tmp_path / "t.npz")
    assert same(saved, loaded)
    assert {array.dtype for array in loaded.parameters.values()} == {np.dtype(dtype)}
    assert loaded.update_formulas() == saved.update_formulas()
    assert loaded.evaluate(DATA) == saved.evaluate(DATA)
    one, other = (t.fit(DATA, epochs=2, batch_size=5) for t in (saved, loaded))
    assert one.step_loss == other.step_loss
    assert one.step_rate == other.step_rate
    assert one.metrics == other.metrics
    assert same(saved, loaded)


def test_a_run_interrupted_within_an_epoch_goes_on_within_it(tmp_path: Path):
    whole, parts = trainer(), trainer()
    whole.fit(DATA, epochs=4, batch_size=5)
    parts.fit(DATA, epochs=1, batch_size=5)
    parts.save(tmp_path / "a.npz")
    loaded = sn.Trainer.load(str(tmp_path / "a.npz"))
    loaded.fit(DATA, epochs=3, batch_size=5)
    assert same(whole, loaded)


INITIALISERS = {
    "default": None,
    "named": sn.init.he_normal,
    "with an argument": sn.init.normal(0.3),
    "own": lambda shape, generator: generator.uniform(1, 2, shape),
}


@pytest.mark.parametrize("name", INITIALISERS)
def test_reset_after_a_load_starts_where_the_saved_one_would(name: str, tmp_path: Path):
    saved = trainer(init=INITIALISERS[name])
    start = saved.state_dict()
    saved.fit(DATA, epochs=1, batch_size=5)
    saved.save(tmp_path / "t.npz")
    loaded = sn.Trainer.load(tmp_path / "t.npz")
    loaded.reset()
    assert loaded.seed == 2
    found = loaded.state_dict()
    assert all(np.array_equal(start[n], found[n], equal_nan=True) for n in start)
    if name in ("default", "named"):
        loaded.reset(7)
        saved.reset(7)
        assert same(saved, loaded)


def test_predictions_of_a_loaded_trainer_by_name(tmp_path: Path):
    saved = trainer()
    saved.fit(DATA, epochs=3, batch_size=5)
    saved.save(tmp_path / "t.npz")
    loaded = sn.Trainer.load(tmp_path / "t.npz")
    assert {"loss", "accuracy", "z", "W_hidden", "b_out"} <= loaded.expressions.keys()
    own = saved.predict(sn.softmax(saved.expressions["z"]), {"X": DATA["X"]})
    found = loaded.predict(sn.softmax(loaded.expressions["z"]), {"X": DATA["X"]})
    assert own.tobytes() == found.tobytes()
    with pytest.raises(TrainingError, match="a parameter of another model"):
        loaded.predict(saved.expressions["z"], {"X": DATA["X"]})
    slope = sn.grad(loaded.expressions["loss"], loaded.expressions["W_hidden"])
    assert loaded.predict(slope, DATA).shape == (3, 5)


def test_a_rate_that_a_callback_set_is_saved_too(tmp_path: Path):
    saved = trainer(sn.optim.SGD(0.1))
    saved.fit(DATA, epochs=1, batch_size=5, callbacks=lambda state: state.set_rate(0.03))
    saved.save(tmp_path / "t.npz")
    history = sn.Trainer.load(tmp_path / "t.npz").fit(DATA, epochs=1, batch_size=5)
    assert history.rate == [0.03]


def test_a_state_goes_from_one_trainer_to_another_of_the_same_model():
    one, other = trainer(seed=1), trainer(seed=9)
    one.fit(DATA, epochs=2, batch_size=5)
    state = one.state_dict()
    other.load_state_dict(state)
    assert same(one, other)
    one.fit(DATA, epochs=1, batch_size=5)
    assert not same(one, other)
    assert same(other, other)
    x = sn.input("X", ("N", 3))
    stranger = sn.Trainer(sn.sum(sn.nn.Dense(3, 1)(x)), sn.optim.SGD(0.1))
    with pytest.raises(TrainingError, match=r"the state does not fit.*W_hidden"):
        stranger.load_state_dict(state)


# What is in a file, and what a file may not do.


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "t.npz"
    made = trainer(sn.optim.AdamW(sn.schedules.cosine(0.1, 0.0, 20)), sn.init.normal(0.3))
    made.fit(DATA, epochs=1, batch_size=5)
    made.save(path)
    return path


def test_a_file_holds_arrays_and_json_and_nothing_else(file: Path):
    with zipfile.ZipFile(file) as archive:
        assert all(name.endswith(".npy") for name in archive.namelist())
        assert not any(b"O'" in archive.read(name)[:128] for name in archive.namelist())
    with np.load(file, allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays.files} <= set("fiub")
        head = json.loads(arrays["head"].tobytes())
    assert head["format"] == saving.FORMAT
    assert str(file.parent) not in json.dumps(head)


def test_a_failing_write_leaves_the_old_file(file: Path, monkeypatch: pytest.MonkeyPatch):
    before = file.read_bytes()
    made = trainer()
    write = np.lib.format.write_array
    calls = iter(range(5))

    def full(*args: Any, **named: Any) -> None:
        if next(calls, None) is None:
            raise OSError(28, "No space left on device")
        write(*args, **named)

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space left"):
        made.save(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_that_cannot_be_written_is_the_systems_error(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        trainer().save(tmp_path / "none" / "t.npz")
    with pytest.raises(OSError, match="directory"):
        trainer().save(tmp_path)
    assert not list(tmp_path.parent.glob(f"{tmp_path.name}.part"))


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (pytest.fail, ("a pickle was executed",))


def foreign(path: Path, file: Path) -> Iterator[tuple[str, Path]]:
    """Files that are no trainer: nothing, text, pickles, parts, other archives."""
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    contents = {
        "empty": b"", "text": b"hello", "pickle": pickle.dumps(Bomb()), "half": whole[:-400],
        "flipped": bytes(flipped), "tail": whole[200:],
    }  # fmt: skip
    for name, content in contents.items():
        (path / name).write_bytes(content)
        yield name, path / name
    np.save(path / "array.npy", np.ones(3))
    np.savez(path / "other.npz", a=np.ones(3))
    np.savez(path / "object.npz", head=np.array([Bomb()], object))
    np.savez(path / "not_json.npz", head=np.frombuffer(b"{nothing", np.uint8))
    np.savez(path / "list.npz", head=np.frombuffer(b"[1, 2]", np.uint8))
    for name in ("array.npy", "other.npz", "object.npz", "not_json.npz", "list.npz", "none", "."):
        yield name, path / name


def test_what_is_no_trainer_is_not_loaded(tmp_path: Path, file: Path):
    for name, path in foreign(tmp_path, file):
        with pytest.raises(
            TrainingError, match=r"not a trainer that symnet saved|format"
        ) as caught:
            sn.Trainer.load(path)
        assert str(path) in str(caught.value), name
        assert "allow_pickle=`" not in str(caught.value), name
    with pytest.raises(GraphError, match="got 0"):
        sn.Trainer.load(file, threads=0)


def rewritten(file: Path, target: Path, change: Callable[[dict, dict], None]) -> Path:
    with np.load(file) as stored:
        arrays = {name: stored[name] for name in stored.files}
    head = json.loads(arrays.pop("head").tobytes())
    change(head, arrays)
    np.savez(target, head=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)
    return target


def test_any_part_that_is_missing_is_noticed(tmp_path: Path, file: Path):
    with np.load(file) as stored:
        names = [name for name in stored.files if name != "head"]
        heads = list(json.loads(stored["head"].tobytes()))
    for name in names:
        if name == "state trainer.place":
            continue
        wrong = rewritten(file, tmp_path / "w.npz", lambda _, arrays, n=name: arrays.pop(n))
        with pytest.raises(TrainingError):
            sn.Trainer.load(wrong)
    for name in heads:
        wrong = rewritten(file, tmp_path / "w.npz", lambda head, _, n=name: head.pop(n))
        with pytest.raises(TrainingError):
            sn.Trainer.load(wrong)


WRONG = (None, -1, 10**9, "x", [], {}, {"array": "none"}, {"size": [[["N"], "a"]]}, 1.5, True,
         {"tuple": [1]}, {"draw": "eval"}, {"float": "nothing"}, [0, 0, 0, 0])  # fmt: skip


@pytest.mark.parametrize("field", ["op", "args", "attrs"])
def test_a_damaged_graph_is_our_error_whatever_stands_in_it(field: str, tmp_path: Path, file: Path):
    generator = np.random.default_rng(0)
    loaded = 0
    for _ in range(60):
        wrong = WRONG[generator.integers(len(WRONG))]

        def change(head: dict, arrays: dict, wrong: Any = wrong) -> None:
            node = head["nodes"][generator.integers(len(head["nodes"]))]
            inner = list(node["attrs"])
            if field == "attrs" and inner:
                node["attrs"][inner[generator.integers(len(inner))]] = wrong
            else:
                node[field] = wrong

        try:
            sn.Trainer.load(rewritten(file, tmp_path / "w.npz", change))
        except SymnetError:
            continue
        loaded += 1
    # Some changes leave a graph that means something, such as another exponent.
    assert loaded < 20


VIEWS = {
    "slice": ("start", [1], [10**6]),
    "place": ("start", [1], [-7]),
    "broadcast": ("shape", [4], [1000]),
    "permute": ("axes", [1, 0], [0, 0]),
    "sum": ("axes", [0], [3]),
}


def views() -> sn.Trainer:
    x, w = sn.input("x", (6,)), sn.parameter("w", init=[1.0, 2.0, 3.0, 4.0])
    square = sn.reshape(x[1:5], (2, 2))
    parts = [x[1:5], sn.pad(x[:2], ((1, 1),)), sn.broadcast_to(w[1:2], (4,)),
             sn.take(x, sn.constant([0, 1, 2, 5])), sn.sum(square.T @ square) * w]  # fmt: skip
    return sn.Trainer(sn.sum(sum(parts, w) * w), sn.optim.SGD(0.01))


def test_a_model_of_views_is_saved(tmp_path: Path):
    saved = views()
    saved.save(tmp_path / "t.npz")
    data = {"x": np.arange(6.0)}
    assert sn.Trainer.load(tmp_path / "t.npz").evaluate(data) == saved.evaluate(data)


@pytest.mark.parametrize("op", VIEWS)
def test_a_file_cannot_make_a_kernel_reach_outside_an_array(op: str, tmp_path: Path):
    views().save(tmp_path / "t.npz")
    key, right, wrong = VIEWS[op]
    changed = []

    def change(head: dict, _: dict) -> None:
        for node in head["nodes"]:
            if node["op"] == op and node["attrs"][key] == {"tuple": right} and not changed:
                node["attrs"][key] = {"tuple": wrong}
                changed.append(node)

    file = rewritten(tmp_path / "t.npz", tmp_path / "w.npz", change)
    assert changed
    with pytest.raises(SymnetError):
        sn.Trainer.load(file)
