"""One neuron, one gradient: worked out by hand, derived by the machine, checked by measuring.

The neuron answers a = σ(w x + b) and should have answered y. By the chain rule the slope of its
squared error is a product of three factors, one for each step from w to L.

Look at the three factors, at the four numbers that agree, and at what a gradient is good for: it
foretells what a small change of w does to the loss.
"""

from math import exp

import symnet as sn

with sn.default_dtype("float64"):
    x, y = sn.input("x"), sn.input("y")
    w, b = sn.parameter("w", init=0.8), sn.parameter("b", init=-0.2)
z = sn.named("z", w * x + b)
a = sn.named("a", sn.sigmoid(z))
L = sn.named("L", (a - y) ** 2)
at = {"x": 0.5, "y": 1.0}
print(sn.gradients(L, feeds=at))

# By hand, as numbers.
answer = 1 / (1 + exp(-(0.8 * 0.5 - 0.2)))
by_hand = 2 * (answer - 1.0) * answer * (1 - answer) * 0.5

# Derived, as a formula; and the formula of a student, marked by the machine.
slope = sn.grad(L, w)
derived = sn.evaluate(slope, at)
good = sn.equivalent(slope, 2 * (a - y) * a * (1 - a) * x)
bad = sn.equivalent(slope, 2 * (a - y) * a * x)  # a factor is forgotten
print("\n2 (a - y) a (1 - a) x is", good)
print("2 (a - y) a x is", bad)

# Checked: by differences, by the complex step, and by compiling it.
check = sn.check_grad(L, at, against=("finite-difference", "complex-step"))
print(f"\n{check}")
loss, compiled = sn.compile([L, slope])(at)

# What it is good for.
raised, _ = sn.compile([L, slope])(at, w=0.8 + 0.01)
foretold, measured = 0.01 * derived, raised - loss
print(f"\nby hand {by_hand:.9f}, derived {derived:.9f}, compiled {compiled:.9f}")
print(f"raise w by 0.01: L changes by {foretold:.5f}, measured {measured:.5f}")

assert good
assert not bad
assert check
assert abs(by_hand - derived) < 1e-15
assert abs(by_hand - compiled) < 1e-15
assert f"{foretold:.5f}" == f"{measured:.5f}" == "-0.00111"
