"""A network of two inputs, three hidden neurons and one output, written out without matrices.

Every weight is a letter of its own here: u_12 leads from input 1 to hidden neuron 2, v_2 from
there to the output. The gradient of a weight is a product along its one path, and what matrices
say in one line is the same thirteen derivatives, all at once.

Look at a derivative of the first layer: error, times the weight on the way back, times the slope
of tanh, times the input; and at the same network in matrices below.
"""

import numpy as np

import symnet as sn

INPUTS, HIDDEN = (1, 2), (1, 2, 3)
random = np.random.default_rng(1)
U, c, V = random.normal(size=(2, 3)), random.normal(size=3), random.normal(size=3)

with sn.default_dtype("float64"):
    x = {i: sn.input(f"x_{i}") for i in INPUTS}
    y = sn.input("y")
    u = {(i, j): sn.parameter(f"u_{i}{j}", init=U[i - 1, j - 1]) for i in INPUTS for j in HIDDEN}
    b = {j: sn.parameter(f"b_{j}", init=c[j - 1]) for j in HIDDEN}
    v = {j: sn.parameter(f"v_{j}", init=V[j - 1]) for j in HIDDEN}
    d = sn.parameter("d", init=0.1)

h = {}
for j in HIDDEN:
    z = sn.named(f"z_{j}", x[1] * u[1, j] + x[2] * u[2, j] + b[j])
    h[j] = sn.named(f"h_{j}", sn.tanh(z))
p = sn.named("p", h[1] * v[1] + h[2] * v[2] + h[3] * v[3] + d)
L = sn.named("L", (p - y) ** 2)

letters = [*u.values(), *b.values(), *v.values(), d]
print(sn.gradients(L, letters))

# The same network in matrices, one row of data.
with sn.default_dtype("float64"):
    X, Y = sn.input("X", ("N", 2)), sn.input("Y", ("N", 1))
    W_1, b_1 = sn.parameter("W_1", init=U), sn.parameter("b_1", init=c)
    W_2, b_2 = sn.parameter("W_2", init=V[:, None]), sn.parameter("b_2", init=[0.1])
H = sn.named("H", sn.tanh(sn.named("Z", X @ W_1 + b_1)))
sheet = sn.gradients(sn.losses.mse(sn.named("P", H @ W_2 + b_2), Y))
print(f"\n{sheet}")

at = {"x_1": 0.5, "x_2": -1.2, "y": 0.3}
one_by_one = sn.evaluate(sn.grad(L, letters), at)
at_once = sn.evaluate(dict(sheet), {"X": [[0.5, -1.2]], "Y": [[0.3]]})
joined = np.concatenate([at_once[name].ravel() for name in ("W_1", "b_1", "W_2", "b_2")])
gap = np.abs(one_by_one - joined).max()
print(f"\n{len(letters)} derivatives, the largest difference {gap:.1e}")
assert len(letters) == 13
np.testing.assert_allclose(one_by_one, joined, rtol=1e-13)
