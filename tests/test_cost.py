"""Operation counts by hand, and what the explanation of a loss says."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symnet as sn
from symnet.cost import LARGEST, Counts, byte_count, explain, operation_count, own_count, tree_count
from symnet.errors import GraphError
from symnet.functions.arrays import pick
from symnet.ops.table import POINTWISE
from symnet.sizes import add_sizes, named_size, scale_size

N = named_size("N")
x = sn.input("X", ("N", 3), "float64")
v = sn.input("v", ("N",), "float64")


def tanh_network():
    w_1 = sn.parameter("W_1", (3, 5), dtype="float64")
    w_2 = sn.parameter("W_2", (5, 1), dtype="float64")
    return sn.mean((sn.tanh(x @ w_1) @ w_2) ** 2)


COUNTED = {
    "v + 1": (v + 1, Counts(additions=N)),
    "v * v": (v * v, Counts(multiplications=N)),
    "v**3": (v**3, Counts(multiplications=scale_size(N, 2))),
    "v**0.5": (v**0.5, Counts(functions=N)),
    "1 / v": (1 / v, Counts(divisions=N)),
    "tanh": (sn.tanh(v), Counts(functions=N)),
    "where": (sn.where(v > 0, v, 0), Counts(selections=scale_size(N, 2))),
    "matmul": (
        x @ sn.input("W", (3, 5), "float64"),
        Counts(contractions=scale_size(N, 30)),
    ),
    "outer": (sn.outer(v, v[:2]), Counts(multiplications=scale_size(N, 2))),
    "sum": (sn.sum(x), Counts(additions=add_sizes(scale_size(N, 3), -1))),
    "max": (sn.max(x, axis=1), Counts(selections=scale_size(N, 2))),
    "views": (sn.reshape(x.T[:, ::-1], (-1,)), Counts()),
}  # fmt: skip


@pytest.mark.parametrize("what", COUNTED)
def test_counts_are_those_of_pencil_and_paper(what):
    expr, counts = COUNTED[what]
    assert operation_count(expr) == counts


@pytest.mark.parametrize("name", POINTWISE)
def test_every_pointwise_row_costs_something(name):
    row = POINTWISE[name]
    kind = "bool" if row.accepts == "bool" else "float64"
    args = [sn.input(f"a_{k}", (4,), kind) for k in range(row.arity)]
    if name == "where":
        args[0] = args[0] > 0
    assert own_count(row(*args)).total == 4


def test_softmax_counts_its_parts():
    counts = operation_count(sn.softmax(x))
    assert counts.at({"N": 2}) == 2 * (2 + 3 + 3 + 2 + 3)
    assert operation_count(sn.log_softmax(x)).at({"N": 2}) == 2 * (2 + 3 + 3 + 2 + 1 + 3)
    assert operation_count(sn.logsumexp(x, axis=1)).at({"N": 2}) == 2 * (2 + 3 + 3 + 2 + 1 + 1)


def test_shared_expressions_count_once_and_in_a_tree_every_time():
    shared = sn.exp(v)
    expr = shared * shared + shared
    assert operation_count(expr).functions == N
    assert tree_count(expr).functions == scale_size(N, 3)
    assert operation_count([expr, {"again": shared}]) == operation_count(expr)


def test_a_deep_tree_is_counted_without_recursion_and_bounded():
    deep = sn.input("x", (), "float64")
    for _ in range(100):
        deep = deep * deep
    assert tree_count(deep).multiplications == 2**100 - 1
    for _ in range(5000):
        deep = deep * deep
    assert tree_count(deep).multiplications == LARGEST
    assert "more than 10^100" in str(tree_count(deep))
    assert operation_count(deep).multiplications == 5100


def test_the_gradient_of_a_network_costs_a_small_multiple_of_its_loss():
    told = explain(tanh_network())
    sizes = {"N": 1000}
    # Forward 2·15 + 2·5, backward 2·15 + 2·5 + 2·5 contractions an example.
    assert told.loss.contractions == scale_size(N, 40)
    assert told.rewritten.contractions == scale_size(N, 90)
    assert told.together.at(sizes) <= told.loss.at(sizes) + told.rewritten.at(sizes)
    assert told.gradient.at(sizes) < told.gradient_tree.at(sizes)
    assert 2 < told.ratio(sizes) < 4
    assert told.limit() == pytest.approx(told.ratio({"N": 10**9}), rel=1e-6)
    assert [f.rule.name for f in told.firings if "cancellation" in f.remark] == ["sech squared"]


def test_simplification_never_costs_more_but_for_stability():
    z, y = sn.input("Z", ("N", 4), "float64"), sn.input("y", ("N",), "int64")
    told = explain(-sn.mean(pick(sn.log_softmax(z), y)), wrt=z)
    assert {firing.rule.name for firing in told.firings} >= {"gradient of cross-entropy"}
    plain = explain(sn.sum((1 * v + 0) ** 2), wrt=v)
    assert plain.rewritten.total.value({"N": 9}) < plain.gradient.total.value({"N": 9})


def test_the_explanation_reads_well():
    text = str(explain(tanh_network()))
    lines = text.split("\n")
    assert re.match(r"loss +[\d·N+ ]+ = .*functions.*contractions", lines[0])
    assert "gradient, each use computed anew" in text
    assert re.search(r"together \d\.\d+ times the loss alone for large sizes", text)
    assert re.search(r"sech squared: 1 - tanh\(x\)\^2 cancels .*\(1×, .*test_cost\.py:\d+\)", text)
    small = explain(sn.input("a", (), "float64") ** 2, wrt=sn.input("b", (), "float64"))
    assert "no rule fired" in str(small)
    assert "for large sizes" not in str(small)


def test_the_rules_that_fired_before_the_chain_rule_are_told_too():
    told = explain(sn.sum(sn.log(1 + sn.exp(v))), wrt=v)
    assert told.firings[0].rule.name == "softplus"
    assert told.rewritten.functions == N


def test_an_intermediate_can_be_asked_for():
    hidden = sn.log(1 + sn.exp(v))
    told = explain(sn.sum(hidden**2), wrt=[hidden])
    assert told.rewritten.at({"N": 10}) > 0


def test_a_loss_without_parameters_is_refused():
    with pytest.raises(GraphError, match="no parameters"):
        explain(sn.sum(v))


def test_counts_print_as_polynomials():
    assert str(Counts()) == "0"
    assert str(Counts(divisions=1)) == "1 = 1 division"
    assert str(Counts(additions=3, functions=N)) == "N + 3 = 3 additions + N functions"
    polynomial = add_sizes(scale_size(N, 2), 1)
    assert str(Counts(additions=polynomial)) == "2·N + 1 = (2·N + 1) additions"
    assert Counts(additions=polynomial).at({"N": 4}) == 9
    assert np.isfinite(explain(tanh_network()).limit())


def test_the_backward_pass_says_what_it_reuses_of_the_forward_one():
    told = explain(tanh_network())
    # tanh'(Z) is 1 - A², or sech²(Z) where that is what runs; the mean of squares needs A W_2.
    shapes = sorted(tuple(map(str, node.shape)) for node in told.reused)
    assert ("N", "1") in shapes
    assert ("N", "5") in shapes
    forward = str(told)
    assert re.search(r"the backward pass reuses .*\(N×5\).*: \d+·N bytes kept", forward)
    told = explain(sn.sum(sn.named("A", sn.sin(v)) ** 3), wrt=v)
    assert "the backward pass reuses A (N): 8·N bytes kept" in str(told)
    linear = explain(sn.sum(3 * v), wrt=v)
    assert "the backward pass reuses no forward value" in str(linear)


def test_bytes_are_those_of_pencil_and_paper():
    w = sn.input("W", (3, 5), "float64")
    # X W: reads 3 N + 15 numbers and writes 5 N; tanh reads and writes 5 N, the view nothing.
    assert byte_count(x @ w) == add_sizes(scale_size(N, 64), 120)
    assert byte_count(sn.tanh(x @ w).T) == add_sizes(scale_size(N, 144), 120)
    assert byte_count(v) == 0
