"""All the data at once, or a little at a time?

A mini-batch gradient is an estimate: over an epoch the estimates average to the gradient of the
whole batch, exactly, as long as the weights stand still. So one can step at each of them, and
make many steps for the price of one.

Look at how far single mini-batch gradients are from the truth and how near their mean is, and at
the picture: the loss on all the data against the seconds spent.
"""

import sys
from pathlib import Path
from time import perf_counter

import matplotlib as mpl
import numpy as np

import symnet as sn
from symnet.data import load

mpl.use("Agg")
import matplotlib.pyplot as plt

data = load("digits", dtype="float64")
feeds = {"X": data.features[:1792] / 16, "y": data.target[:1792]}  # 1792 is 28 times 64

with sn.default_dtype("float64"):
    X, y = sn.input("X", ("N", 64)), sn.input("y", ("N",), dtype="int64")
    net = sn.nn.Sequential(sn.nn.Dense(64, 64, activation="tanh"), sn.nn.Dense(64, 10))
    L = sn.losses.cross_entropy(net(X), y)

gradient = sn.compile(sn.grad(L, net[0].weight))
whole = gradient(feeds)
order = np.random.default_rng(0).permutation(1792).reshape(28, 64)
parts = [gradient({name: array[rows] for name, array in feeds.items()}) for rows in order]


def distance(g):
    """How far a gradient is from that of all the data, relative to its length."""
    return np.linalg.norm(g - whole) / np.linalg.norm(whole)


spread = [distance(part) for part in parts]
print(f"one mini-batch is off by {100 * min(spread):.0f} to {100 * max(spread):.0f} %")
print(f"the mean of all 28 is off by {distance(np.mean(parts, axis=0)):.1e}")
assert distance(np.mean(parts, axis=0)) < 1e-12 < 0.1 < min(spread)

figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
after = {}
for size, colour in ((None, "#0072B2"), (256, "#009E73"), (16, "#D55E00")):
    name = f"batches of {size}" if size else "all 1792 rows a step"
    trainer = sn.Trainer(L, sn.optim.SGD(0.5))
    trainer.fit(feeds, epochs=0, batch_size=size)  # compiles
    trainer.evaluate(feeds)
    seconds, losses = [0.0], [trainer.evaluate(feeds)["loss"]]
    while seconds[-1] < 0.5 or len(losses) < 21:
        start = perf_counter()
        trainer.fit(feeds, epochs=1, batch_size=size)
        seconds.append(seconds[-1] + perf_counter() - start)
        losses.append(trainer.evaluate(feeds)["loss"])
    after[size] = losses[20]
    print(f"{name}: L = {losses[20]:.4f} after 20 epochs, {losses[-1]:.4f} after half a second")
    axes.semilogy(seconds, losses, color=colour, lw=2, label=name)

axes.set(xlabel="seconds of training", ylabel="loss on all the data", xlim=(0, 0.5))
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "sgd_vs_batch.png", dpi=150)
print(f"picture: {folder / 'sgd_vs_batch.png'}")
assert after[16] < after[256] < after[None]
