"""Networks of different widths share what the compiler makes of them, and the kernels."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from codegen import passes
from codegen.ir import Program
from codegen.passes import alike
from symnet.lower import Training, lower_training
from symnet.step import make_step
from symnet.train.model import build
from tests.formula_networks import GOLDEN, PLAIN, Network


def program_of(network: Network) -> Program:
    """The training of a network, as it is before any pass."""
    model = build(network(), sn.optim.Adam(1e-3), None, None)
    step = make_step({"loss": model.loss, "rate": model.rate}, model.updates)
    return lower_training(Training(step, (), (), False)).program


@pytest.mark.parametrize("name", [*GOLDEN, *PLAIN])
def test_the_passes_look_at_no_length_of_a_network(name: str) -> None:
    program = program_of({**GOLDEN, **PLAIN}[name])
    _, lengths = alike.outline(program)
    put = {length: 7 * length + 1 for length in lengths}
    (other,) = alike.renumbered((program,), put)
    assert passes._blind(other) == alike.renumbered(passes._blind(program), put)


def trained(width: int, classes: int) -> tuple[sn.Trainer, sn.train.History]:
    """A network of that width, trained a little."""
    random = np.random.default_rng(0)
    features = random.standard_normal((96, 12)).astype(np.float32)
    labels = random.integers(0, classes, 96)
    net = sn.nn.Sequential(sn.nn.Dense(12, width, activation="relu"), sn.nn.Dense(width, classes))
    loss = sn.losses.cross_entropy(
        net(sn.input("X", ("N", 12))), sn.input("Y", ("N",), dtype="int64")
    )
    trainer = sn.Trainer(loss, sn.optim.Adam(1e-2))
    history = trainer.fit({"X": features, "Y": labels}, epochs=3, progress=False)
    return trainer, history


def test_a_network_trains_the_same_whichever_width_came_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = {}
    for width in (8, 12, 20, 33):
        monkeypatch.setattr(alike, "_memory", alike._Memory())
        alone[width] = trained(width, 4)[1].step_loss
    monkeypatch.setattr(alike, "_memory", alike._Memory())
    for width in (20, 8, 33, 12):
        trainer, history = trained(width, 4)
        assert history.step_loss == alone[width]
        assert not trainer.compiles
    # The width 12 is also that of the features, so its program is another one.
    assert len(alike._memory.known) == 2
