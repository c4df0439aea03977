"""Two classes: one score a point, the sigmoid makes it a probability, cross-entropy judges it.

The network's last layer gives a score z, any number at all. p = σ(z) is read as the probability
of class 1, and the loss is -log of the probability that the truth was given. Seen from z the two
belong together: the gradient is (p - y)/N, the mistake itself, and that is why the loss takes z
and not p.

Look at the gradient, and at the last two lines: the probabilities of the two classes end on
either side of one half.
"""

import numpy as np

import symnet as sn
from symnet.data import moons

data = moons(points=200, noise=0.1, seed=0)

X, y = sn.input("X", ("N", 2)), sn.input("y", ("N",))
net = sn.nn.Sequential(
    sn.nn.Dense(2, 16, activation="tanh"),
    sn.nn.Dense(16, 16, activation="tanh"),
    sn.nn.Dense(16, 1),
)
z = net(X)[:, 0]
loss = sn.losses.binary_cross_entropy(z, y)

score, truth = sn.input("z", ("N",)), sn.input("y", ("N",))
gradient = sn.grad(sn.losses.binary_cross_entropy(score, truth), score)
print("∂L/∂z =", gradient)
at = {"z": [-2.0, 0.0, 3.0], "y": [0.0, 1.0, 1.0]}
p = 1 / (1 + np.exp(-np.array(at["z"])))
np.testing.assert_allclose(sn.evaluate(gradient, at), (p - at["y"]) / 3, rtol=1e-6)

trainer = sn.Trainer(loss, sn.optim.Adam(0.01), metrics={"accuracy": sn.metrics.accuracy(z, y)})
feeds = {"X": data.features, "y": data.target}
before = trainer.evaluate(feeds)
print(trainer.fit(feeds, epochs=200, batch_size=20))
after = trainer.evaluate(feeds)
for when, result in (("before", before), ("after", after)):
    print(f"{when:6} loss {result['loss']:.4f}, accuracy {100 * result['accuracy']:.0f} %")

p = trainer.predict(sn.sigmoid(z), feeds)
for label in (0, 1):
    mine = p[data.target == label]
    print(f"p of the points of class {label}: between {mine.min():.5f} and {mine.max():.5f}")
assert after["accuracy"] == 1.0
assert p[data.target == 0].max() < 0.5 < p[data.target == 1].min()
