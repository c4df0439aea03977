"""The loss as a landscape: height over the plane of w and b, and three ways down.

One neuron with two numbers to learn can be drawn whole. At any place the gradient points along
the steepest ascent, at right angles to the contour; an optimizer steps against it. The whole
batch follows the slope; mini-batches follow the slopes of parts of the data, which disagree;
Adam takes strides of nearly one length along each axis.

Look at the picture, and at the angle between the gradient and the best of 3600 directions.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import symnet as sn

mpl.use("Agg")
import matplotlib.pyplot as plt

random = np.random.default_rng(1)
inputs = random.uniform(-2, 4, 64)
truth = (inputs + random.normal(scale=1.0, size=64) > 1).astype(float)
feeds = {"x": inputs, "y": truth}

with sn.default_dtype("float64"):
    x, y = sn.input("x", ("N",)), sn.input("y", ("N",))
    w, b = sn.parameter("w", init=-1.5), sn.parameter("b", init=2.5)
    L = sn.losses.binary_cross_entropy(w * x + b, y)
    print("L =", L)
    print("∂L/∂w =", sn.grad(L, w))

height = sn.compile([L, sn.grad(L, [w, b])])
start = np.array([-1.5, 2.5])
here, slope = height(feeds)
angles = np.linspace(-np.pi, np.pi, 3600, endpoint=False)
around = start + 1e-4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
best = angles[np.argmax([height(feeds, w=u, b=v)[0] for u, v in around])]
uphill = slope / np.linalg.norm(slope)
along = np.arctan2(uphill[1], uphill[0])
print(f"steepest ascent: the gradient says {along:.3f} rad, trying says {best:.3f} rad")
assert abs(best - along) < 0.002

paths = {}
for name, optimizer, size in (
    ("full batch", sn.optim.SGD(0.5), 64),
    ("mini-batches of 4", sn.optim.SGD(0.5), 4),
    ("Adam", sn.optim.Adam(0.2), 64),
):
    trainer, path = sn.Trainer(L, optimizer), [start]
    for _ in range(80):
        rows = random.permutation(64)[:size]
        after = trainer.step({"x": inputs[rows], "y": truth[rows]}).updates
        path.append((float(after["w"]), float(after["b"])))
    paths[name] = np.array(path)
    end = height(feeds, w=path[-1][0], b=path[-1][1])[0]
    print(f"{name:17} ends at w = {path[-1][0]:.2f}, b = {path[-1][1]:.2f}, L = {end:.4f}")
    assert end < here / 5

W, B = np.meshgrid(np.linspace(-2.6, 3.4, 60), np.linspace(-3.2, 3.4, 60))
heights = [height(feeds, w=u, b=v)[0] for u, v in zip(W.flat, B.flat, strict=True)]
figure, axes = plt.subplots(figsize=(6.4, 6.4), layout="constrained")
levels = [0.27, 0.3, 0.35, 0.45, 0.6, 0.8, 1.1, 1.5, 2, 2.5, 3, 3.5, 4]
lines = axes.contour(W, B, np.reshape(heights, W.shape), levels, colors="0.6", linewidths=0.8)
axes.clabel(lines, levels[2::2], fontsize=8, fmt="%g")
for (name, path), colour in zip(paths.items(), ("#0072B2", "#E69F00", "#CC79A7"), strict=True):
    axes.plot(*path.T, ".-", color=colour, ms=4, lw=1.2, label=name)
axes.annotate("", start + 0.8 * uphill, start, arrowprops={"width": 1.5, "color": "k"})
axes.annotate("∇L, the steepest ascent", start, (-2.5, 2.7))
axes.set(xlabel="w", ylabel="b", aspect="equal", title="L(w, b) of one neuron; a dot is a step")
axes.legend(frameon=False, loc="upper right")
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "landscape.png", dpi=150)
print(f"picture: {folder / 'landscape.png'}")
