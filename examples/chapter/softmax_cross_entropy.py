"""Why softmax and cross-entropy belong together: their derivative is what is left of both, P − Y.

Softmax alone has a derivative in which every output depends on every input; the logarithm's has a
quotient. Together nearly everything cancels, and the error of the logits is the probabilities
minus the truth, over the number of rows.

Look at the gradient by Z, and at the sum of each of its rows: to raise one probability is to
lower the others.
"""

import numpy as np

import symnet as sn

with sn.default_dtype("float64"):
    Z, y = sn.input("Z", ("N", 3)), sn.input("y", ("N",), "int64")
L = sn.losses.cross_entropy(Z, y)
print(sn.gradients(L, Z))

random = np.random.default_rng(0)
at = {"Z": random.normal(size=(5, 3)), "y": np.array([2, 0, 0, 2, 1])}

# By hand, from the definitions.
P = np.exp(at["Z"]) / np.exp(at["Z"]).sum(axis=1, keepdims=True)
Y = np.eye(3)[at["y"]]
by_hand = (P - Y) / 5

slope = sn.grad(L, Z)
derived = sn.evaluate(slope, at)
print("\n(P − Y)/N, a row an example, and the sum of the row:")
for row in derived:
    print("  ", *(f"{value:8.4f}" for value in row), f"   {abs(row.sum()):.0e}")

# The machine's word for it that the two formulas are the same.
hot = sn.one_hot(y, 3, dtype="float64")
rows = sn.sum(hot)
same = sn.equivalent(slope, (sn.softmax(Z) - hot) / rows)
wrong = sn.equivalent(slope, (sn.softmax(Z) - hot) / (2 * rows))
print(f"\n(P − Y)/N is {same}\n(P − Y)/2N is {wrong}")
check = sn.check_grad(L, at, wrt=[Z], against=("finite-difference", "complex-step"))
print(f"\n{check}")

np.testing.assert_allclose(derived, by_hand, rtol=1e-13, atol=1e-16)
np.testing.assert_allclose(derived.sum(axis=1), 0, atol=1e-16)
assert check
assert same
assert not wrong
