"""A 2-16-16-1 network learns two moons, number for number as a reference run did.

The setting is the demonstration of Karpathy's micrograd: ReLU units, the max-margin loss plus a
little L2, all 100 points at every step, and a rate that falls from 1 to 0.1 in 100 steps. The
file holds the 337 starting numbers and what the reference made of them.

Look at the last line: a hundred steps take some milliseconds, and every loss agrees with the
reference to twelve digits.
"""

from pathlib import Path
from time import perf_counter

import numpy as np

import symnet as sn

reference = np.load(Path(__file__).parents[1] / "data" / "moons_mlp.npz")
points, labels = reference["X"], reference["y"]  # labels are -1 and 1

with sn.default_dtype("float64"):
    X, y = sn.input("X", ("N", 2)), sn.input("y", ("N",))
    net = sn.nn.Sequential(
        sn.nn.Dense(2, 16, activation="relu"),
        sn.nn.Dense(16, 16, activation="relu"),
        sn.nn.Dense(16, 1),
    )
    score = net(X)[:, 0]
    loss = sn.losses.hinge(score, y) + 1e-4 * sn.losses.l2(net.parameters())
    print("L =", loss)

k = sn.schedules.step
trainer = sn.Trainer(
    loss,
    sn.optim.SGD(1 - 0.9 * k / 100),
    metrics={"accuracy": sn.metrics.accuracy(score, y)},
)

# The file lists each neuron's weights, then its bias: a column of W and an element of b.
rest = reference["p0"]
for layer in net:
    count = layer.outputs * (layer.inputs + 1)
    neurons, rest = rest[:count].reshape(layer.outputs, layer.inputs + 1), rest[count:]
    trainer.parameters[layer.weight.name][...] = neurons[:, :-1].T
    trainer.parameters[layer.bias.name][...] = neurons[:, -1]

feeds = {"X": points, "y": labels}
trainer.fit(feeds, epochs=0, batch_size=None)  # compiles; no step is made
start = perf_counter()
history = trainer.fit(feeds, epochs=100, batch_size=None)
seconds = perf_counter() - start

step, true_loss, true_accuracy = reference["trace"].T
error = np.max(np.abs(history.loss / true_loss - 1))
for i in (0, 1, 9, 49, 99):
    accuracy = 100 * history.metrics["accuracy"][i]
    print(f"step {step[i]:2.0f}: loss {history.loss[i]:.6f}, accuracy {accuracy:.0f} %")
print(f"100 steps in {1000 * seconds:.0f} ms; largest relative error of a loss: {error:.1e}")
assert error < 1e-12
assert [100 * share for share in history.metrics["accuracy"]] == true_accuracy.tolist()
