"""The four steps of learning, written out: forward, loss, gradient, update.

`Trainer.fit` is a loop over four steps. Here the first three are compiled functions of data and
weights, and the update is one line of NumPy. A call computes the gradient afresh; nothing is
added to an old one, so there is nothing to set to zero between the steps.

Look at the last line: the loop by hand and the trainer go through the same losses.
"""

import numpy as np

import symnet as sn
from symnet.data import moons

data = moons(points=200, noise=0.1, seed=0, dtype="float64")
rate, epochs, batch = 0.5, 40, 20

with sn.default_dtype("float64"):
    X, y = sn.input("X", ("N", 2)), sn.input("y", ("N",))
    net = sn.nn.Sequential(sn.nn.Dense(2, 8, activation="tanh"), sn.nn.Dense(8, 1))
    z = net(X)[:, 0]
    L = sn.losses.binary_cross_entropy(z, y)

parameters = {parameter.name: parameter for parameter in net.parameters()}
forward = sn.compile(z)
loss = sn.compile(L)
gradient = sn.compile(sn.grad(L, parameters))

trainer = sn.Trainer(L, sn.optim.SGD(rate), seed=0)
weights = {name: array.copy() for name, array in trainer.parameters.items()}

losses = []
for _ in range(epochs):
    for first in range(0, len(data), batch):
        x, truth = data.features[first : first + batch], data.target[first : first + batch]
        scores = forward({"X": x}, **weights)  # 1. what the network says
        losses.append(loss({"X": x, "y": truth}, **weights))  # 2. how wrong that is
        slopes = gradient({"X": x, "y": truth}, **weights)  # 3. which way is up
        for name in weights:  # 4. a step down
            weights[name] = weights[name] - rate * slopes[name]
        # The loss is that of these very scores.
        assert np.isclose(losses[-1], np.mean(np.logaddexp(0, scores) - truth * scores), 1e-12)

history = trainer.fit(
    {"X": data.features, "y": data.target}, epochs=epochs, batch_size=batch, shuffle=False
)
difference = np.max(np.abs(np.array(losses) / history.step_loss - 1))
for k in (0, 1, 10, 100, 399):
    print(f"step {k:3}: by hand {losses[k]:.12f}, trainer {history.step_loss[k]:.12f}")
print(f"{len(losses)} steps, largest relative difference {difference:.1e}")
assert difference < 1e-12
for name, array in trainer.parameters.items():
    np.testing.assert_allclose(weights[name], array, rtol=1e-9, atol=1e-12)
