"""A learning rate that changes: a schedule is a formula of the step k.

There is nothing more to learn about schedules. `sn.schedules.step` is the symbol k, the usual
schedules are functions that return formulas of it, and any formula of yours serves as well, like
the square root below. All of these train for 400 steps, and none exceeds 0.1.

Look at the picture, the rate above, the loss below: while the rate is high the loss keeps
jumping, since mini-batches disagree about the way; where the rate falls, it comes to rest.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import symnet as sn

mpl.use("Agg")
import matplotlib.pyplot as plt

k, steps, peak = sn.schedules.step, 400, 0.1
schedules = {
    "constant": sn.schedules.constant(peak),
    "steps": sn.schedules.step_decay(peak, 0.4, every=80),
    "exponential": sn.schedules.exponential(peak, 0.985),
    "linear": sn.schedules.linear(peak, 0.0, steps),
    "warm-up, cosine": sn.schedules.warmup(sn.schedules.cosine(peak, 0.0, steps - 40), 41),
    "one cycle": sn.schedules.one_cycle(peak, steps),
    "of your own": peak / sn.sqrt(1 + k / 10),
}

random = np.random.default_rng(0)
rows = random.normal(size=(40, 4))
feeds = {"X": rows, "y": rows @ [3.0, -2.0, 1.0, 0.5] + random.normal(size=40)}
best = np.linalg.lstsq(rows, feeds["y"], rcond=None)[0]
least = np.mean((rows @ best - feeds["y"]) ** 2)

with sn.default_dtype("float64"):
    X, y, w = sn.input("X", ("N", 4)), sn.input("y", ("N",)), sn.parameter("w", (4,))
    L = sn.losses.mse(X @ w, y)

above = {}
figure, panels = plt.subplots(
    2, len(schedules), figsize=(12, 3.6), layout="constrained", sharex=True, sharey="row"
)
for column, (name, rate) in zip(panels.T, schedules.items(), strict=True):
    trainer = sn.Trainer(L, sn.optim.SGD(rate))
    history = trainer.fit(feeds, epochs=steps // 10, batch_size=4, validation=feeds)
    formula = [sn.evaluate([rate, k], {"k": step})[0] for step in range(steps)]
    np.testing.assert_allclose(history.step_rate, formula, rtol=1e-12)
    path = np.array(history.validation["loss"]) - least
    above[name] = path[-1]
    print(f"{name:15} ends {path[-1]:.1e} above the least loss;  η = {rate}")
    column[0].set_title(name, fontsize=10)
    column[0].plot(history.step_rate, color="#0072B2")
    column[1].semilogy(np.arange(10, steps + 1, 10), path, color="#D55E00")
    for axes in column:
        axes.spines[["top", "right"]].set_visible(False)

panels[0, 0].set(ylabel="rate η", ylim=(0, 1.1 * peak))
panels[1, 0].set(ylabel="loss above its least")
panels[1, 3].set(xlabel="step k")
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "schedules.png", dpi=150)
print(f"picture: {folder / 'schedules.png'}")
assert all(above[name] < above["constant"] / 10 for name in ("linear", "one cycle"))
