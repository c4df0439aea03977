"""From machine to formula: what kernels say they compute is what they compute, and which vector
instructions they came to."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symnet as sn
from symnet.lower.instructions import Instructions, count_instructions
from symnet.ops.leaves import INPUT, leaves
from symnet.parse import parse_sheet


def test_assembly_is_counted_by_the_width_of_its_registers():
    text = """
kernel:
    .cfi_startproc
    vmovups (%rdi), %zmm0
    vfmadd213ps %zmm2, %zmm1, %zmm0
    vaddpd %ymm0, %ymm1, %ymm1
    vfnmadd231sd %xmm0, %xmm1, %xmm2
    vaddss %xmm0, %xmm1, %xmm2
    vxorps %xmm0, %xmm0, %xmm0
    vextractf64x4 $1, %zmm0, %ymm1
    callq *%rax
    retq
"""
    expected = Instructions(total=9, zmm=3, ymm=1, xmm=1, scalar=2, multiply_adds=2, calls=1)
    assert count_instructions(text) == expected
    assert expected.vector == 5
    assert str(count_instructions("nothing")) == "0 instructions"
    arm = count_instructions("    fmla v0.4s, v1.4s, v2.4s\n    bl exp\n    ret\n")
    assert (arm.total, arm.xmm, arm.multiply_adds, arm.calls) == (3, 1, 1, 1)


def test_sources_carry_their_formulas_and_the_users_line():
    x, y = sn.input("X", ("N", 3)), sn.input("y", ("N",))
    w = sn.parameter("w", (3,))
    a = sn.named("a", sn.tanh(x @ w))
    loss = sn.named("loss", sn.mean((a - y) ** 2))
    f = sn.compile({"loss": loss, "slope": sn.grad(loss, w)})
    lines = f.source.splitlines()
    assert any(re.match(r"# a = tanh\((v_\d+|X w)\)", line) for line in lines)
    assert any(re.match(r"# ∂loss/∂w = ", line) for line in lines)
    line = loss.origin.line
    assert any(line_.startswith("# at ") and f"test_listing.py:{line}" in line_ for line_ in lines)
    explained = f.explain()
    assert re.search(r"^ +\d+\. .* = ", explained, re.MULTILINE)
    assert re.search(r"\d+ instructions: .*(xmm|scalar)", explained)
    for part in f.parts:
        assert part.lines()
        assert set(part.kernel.source) >= set(part.code)


def network(activation, loss, last=1):
    """A loss of two layers, float64, and numbers for its inputs."""
    random = np.random.default_rng(5)
    with sn.default_dtype("float64"):
        x = sn.input("X", ("N", 3))
        y = sn.input("y", ("N", last))
        net = sn.nn.Sequential(sn.nn.Dense(3, 4, activation=activation), sn.nn.Dense(4, last))
    return loss(net(x), y), {"X": random.normal(size=(6, 3)), "y": random.uniform(size=(6, last))}


NETWORKS = {
    "squares": ("tanh", sn.losses.mse, 1),
    "binary": ("sigmoid", sn.losses.binary_cross_entropy, 1),
    "classes": ("relu", sn.losses.cross_entropy, 3),
    "softplus": ("softplus", sn.losses.huber, 1),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_formulas_of_the_kernels_read_back_and_give_what_the_kernels_give(name):
    loss, feeds = network(*NETWORKS[name])
    sheet = sn.gradients(loss)
    f = sn.compile({"L": loss, **sheet})
    lines = dict.fromkeys(line for part in f.parts for line in part.lines() if " = " in line)
    starts = dict.fromkeys(line.partition(" = ")[0] for line in lines)
    assert len(starts) == len(lines)
    names = {str(leaf.name): leaf for leaf in (*leaves([loss], INPUT), *loss.parameters())}
    read = parse_sheet("\n".join(lines), names)
    wanted = {"L": "L", **{key: f"∂L/∂{key}" for key in sheet}}
    found = sn.evaluate({key: read[label] for key, label in wanted.items()}, feeds)
    computed = f(feeds)
    for key in wanted:
        np.testing.assert_allclose(found[key], computed[key], rtol=1e-12, atol=1e-14)


def test_an_update_is_written_as_one():
    w = sn.parameter("w", (3,), init=[1.0, 2.0, 3.0])
    f = sn.compile(sn.sum(w**2), {w: w - 0.1 * sn.grad(sn.sum(w**2), w)})
    assert re.search(r"^# w ← ", f.source, re.MULTILINE)


def test_the_kernels_of_a_training_say_what_they_update():
    loss, feeds = network(*NETWORKS["squares"])
    trainer = sn.Trainer(loss, sn.optim.Adam(0.01))
    trainer.fit(feeds, epochs=1, batch_size=None)
    parts = trainer._parts({})
    text = "\n".join(line for part in parts for line in part.lines())
    for name in trainer.parameters:
        assert re.search(rf"^{name} ← {name} − ", text, re.MULTILINE)
        assert f"\nm_{name}′ = " in text
        assert f"m_{name} ← m_{name}′" in text
    assert "k ← k + 1" in text
    assert all(part.lines() for part in parts)
    # Every name is said before it is used.
    known = {"X", "y", *trainer.parameters}
    for line in text.splitlines():
        left, _, right = line.partition(" = ")
        used = set(re.findall(r"\bv_\d+\b", right or left))
        assert used <= known, line
        known.add(left)


def test_parts_account_for_every_statement_that_stores():
    for name in NETWORKS:
        loss, _ = network(*NETWORKS[name])
        f = sn.compile({"L": loss, **sn.gradients(loss)})
        labels = [line for part in f.parts for line in part.lines()]
        for wanted in ("L = ", "∂L/∂W_1 = ", "∂L/∂b_2 = "):
            assert sum(line.startswith(wanted) for line in labels) == 1, (name, wanted)
        assert len(f.parts) == len(f.executable.launch.kernels)
