"""The learning rate: too small crawls, right arrives, too large flies apart.

For a straight line and squared errors the loss is a bowl, and the Hessian says how steep: a step
of the rate η multiplies the error along its steepest direction by 1 - η λ_max. Beyond
η = 2/λ_max that is below -1: every step lands higher on the other side.

Look at why each run stopped, and at the picture: three straight lines on a logarithmic scale.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import symnet as sn

mpl.use("Agg")
import matplotlib.pyplot as plt

random = np.random.default_rng(0)
inputs = random.uniform(-1, 1, 50)
feeds = {"x": inputs, "y": 2 * inputs + 0.5 + 0.1 * random.normal(size=50)}

with sn.default_dtype("float64"):
    x, y = sn.input("x", ("N",)), sn.input("y", ("N",))
    w, b = sn.parameter("w", init=-1.0), sn.parameter("b", init=-1.0)
    L = sn.mean((w * x + b - y) ** 2)

(ww, wb), (bw, bb) = sn.evaluate(sn.hessian(L, [w, b]), feeds)
steepest = np.linalg.eigvalsh([[ww, wb], [bw, bb]])[-1]
limit = 2 / steepest
print(f"L = {L};  λ_max = {steepest:.3f}, so the rate must stay below {limit:.3f}")

exact = np.polyfit(feeds["x"], feeds["y"], 1)
least = np.mean((np.polyval(exact, feeds["x"]) - feeds["y"]) ** 2)

runs = {"too small": 0.01 * limit, "right": 0.5 * limit, "too large": 1.1 * limit}
figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
histories = {}
for (label, rate), colour in zip(runs.items(), ("#0072B2", "#009E73", "#D55E00"), strict=True):
    trainer = sn.Trainer(L, sn.optim.SGD(rate))
    history = trainer.fit(feeds, epochs=10_000, batch_size=None, stop=sn.stop.gradient_norm(1e-6))
    histories[label] = history
    print(f"{label:9} η = {rate:.3f}: {history.stopped}")
    # At the end of the right one nothing is left but rounding.
    above = [value - least for value in history.loss if value > least + 1e-12][:101]
    axes.semilogy(above, color=colour, lw=2, label=f"{label}, η = {rate:.3f}")

axes.set(xlabel="step", ylabel="loss above its least value", xlim=(0, 100), ylim=(1e-12, 1e9))
axes.set_title(f"Gradient descent on a bowl: the largest stable rate is {limit:.3f}")
axes.legend(frameon=False, loc="lower right")
axes.spines[["top", "right"]].set_visible(False)
folder = Path(sys.argv[1] if len(sys.argv) > 1 else "pictures")
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "rates.png", dpi=150)
print(f"picture: {folder / 'rates.png'}")

assert len(histories["right"].loss) < len(histories["too small"].loss) / 10
assert np.isclose(histories["right"].loss[-1], least, rtol=1e-9)
assert "loss is inf" in histories["too large"].stopped
growth = histories["too large"].loss[100] / histories["too large"].loss[99]
assert np.isclose(growth, (1 - runs["too large"] * steepest) ** 2, rtol=1e-3)  # 1.2 squared
