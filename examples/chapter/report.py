"""Everything about one training on one page, with a slider through its epochs.

`sn.report.Recorder` copies the parameters after each epoch; `trainer.report` writes formulas and
derivations, kernels, operation counts, curves, and the decision boundary into one HTML file that
needs no network and no program but a browser.

Open report.html and move the slider: the boundary starts as nearly a line, and winds itself
between the two moons.
"""

import sys
from pathlib import Path

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
trainer = sn.Trainer(
    sn.losses.binary_cross_entropy(z, y),
    sn.optim.Adam(0.01),
    metrics={"accuracy": sn.metrics.accuracy(z, y)},
)
recorder = sn.report.Recorder()
feeds = {"X": data.features, "y": data.target}
print(trainer.fit(feeds, epochs=60, batch_size=20, callbacks=recorder))

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
folder.mkdir(parents=True, exist_ok=True)
report = trainer.report(folder / "report.html", title="Two moons")
size = len(report.html.encode())
print(f"{folder / 'report.html'}: {size / 1000:.0f} kB, {len(recorder.epochs)} snapshots")
assert trainer.evaluate(feeds)["accuracy"] == 1.0
assert recorder.epochs[0] == 0
assert recorder.epochs[-1] == 60
assert size < 2_000_000
