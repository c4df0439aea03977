"""Watching a boundary form: what the network answers, everywhere, as it learns.

The last layer's score z divides the plane where it is 0. At first that is nearly a straight
line; the hidden units bend it until it winds between the two moons. A callback keeps p = σ(z) on
a grid after each epoch.

Look at the picture of five epochs and at the animation.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter

import symnet as sn
from symnet.data import moons

mpl.use("Agg")
import matplotlib.pyplot as plt

data = moons(points=200, noise=0.1, seed=0)
X, y = sn.input("X", ("N", 2)), sn.input("y", ("N",))
net = sn.nn.Sequential(
    sn.nn.Dense(2, 16, activation="tanh"),
    sn.nn.Dense(16, 16, activation="tanh"),
    sn.nn.Dense(16, 1),
)
z = net(X)[:, 0]
loss = sn.losses.binary_cross_entropy(z, y)
trainer = sn.Trainer(loss, sn.optim.Adam(0.01), metrics={"accuracy": sn.metrics.accuracy(z, y)})

across, up = np.meshgrid(np.linspace(-1.6, 2.6, 121), np.linspace(-1.1, 1.6, 81))
grid = {"X": np.stack([across.ravel(), up.ravel()], axis=1).astype("float32")}
feeds = {"X": data.features, "y": data.target}


def look(state=None):
    """Keeps the answers on the grid, and the share of the points that are right."""
    answers.append(trainer.predict(sn.sigmoid(z), grid).reshape(across.shape))
    shares.append(trainer.evaluate(feeds)["accuracy"])


answers, shares = [], []
look()
print(trainer.fit(feeds, epochs=60, batch_size=20, callbacks=[look]))


def draw(axes, epoch):
    axes.clear()
    axes.contourf(across, up, answers[epoch], np.linspace(0, 1, 11), cmap="PuOr", alpha=0.6)
    axes.contour(across, up, answers[epoch], [0.5], colors="k", linewidths=1.5)
    for label, colour, marker in ((0, "#7F3B08", "o"), (1, "#2D004B", "^")):
        moon = data.features[data.target == label]
        axes.scatter(*moon.T, 14, colour, marker=marker, linewidths=0.4, edgecolors="w")
    axes.set(xticks=[], yticks=[], aspect="equal")
    axes.set_title(f"epoch {epoch}: {100 * shares[epoch]:.0f} % right", fontsize=10)


folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
folder.mkdir(parents=True, exist_ok=True)
figure, panels = plt.subplots(1, 5, figsize=(12, 1.8), layout="constrained")
for axes, epoch in zip(panels, (0, 5, 15, 30, 60), strict=True):
    draw(axes, epoch)
figure.savefig(folder / "decision_boundary.png", dpi=150)

figure, axes = plt.subplots(figsize=(4.4, 3.1), layout="constrained")
film = FuncAnimation(figure, lambda epoch: draw(axes, epoch), range(0, 61, 2))
film.save(folder / "decision_boundary.gif", PillowWriter(fps=10), dpi=90)
print(f"pictures: {folder / 'decision_boundary.png'} and .gif")
assert shares[0] < 0.9
assert shares[-1] == 1.0
