"""The network of Rumelhart, Hinton and Williams, 1986, that discovers mirror symmetry.

"Learning representations by back-propagating errors" (Nature 323, 533-536) made the method known
by this task: is a row of six bits its own mirror image? Two hidden units suffice, and what they
learn can be read: weights of equal size and opposite sign on mirrored bits, so that a symmetric
row leaves a hidden unit alone, and sizes that differ from pair to pair, so that no other does.

Look at the rule, which is the paper's equation (9) with η for its ε, and at the two rows of
weights. The paper found sizes as 1 : 2 : 4, which tell the eight halves of a row apart.
"""

import itertools

import numpy as np

import symnet as sn

rows = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
mirrored = np.all(rows == rows[:, ::-1], axis=1).astype(float)
print(f"{len(rows)} rows of 6 bits, {mirrored.sum():.0f} of them symmetric")

start = sn.init.uniform(-0.3, 0.3)
with sn.default_dtype("float64"):
    X, d = sn.input("X", ("N", 6)), sn.input("d", ("N",))
    net = sn.nn.Sequential(
        sn.nn.Dense(6, 2, activation="sigmoid", init=start, bias_init=start, name="hidden"),
        sn.nn.Dense(2, 1, activation="sigmoid", init=start, bias_init=start, name="output"),
    )
    y = net(X)[:, 0]
    E = sn.sum((y - d) ** 2) / 2


def nature(w, g, Δw, t, *, rate, α):
    """Δw(t) = -ε ∂E/∂w(t) + α Δw(t-1), after each sweep through all rows."""
    Δw = -rate * g + α * Δw
    return {"w": w + Δw, "Δw": Δw}


optimizer = sn.optim.from_rule(nature, state=("Δw",))(rate=0.1, α=0.9)
for letter, value in optimizer.symbolic():
    print(f"  {letter} ← {value}")

right = {"right": sn.metrics.accuracy(y - 0.5, d)}
for seed in range(20):  # some starts settle for always saying no
    trainer = sn.Trainer(E, optimizer, metrics=right, seed=seed)
    history = trainer.fit({"X": rows, "d": mirrored}, epochs=4000, batch_size=None)
    count = round(64 * history.metrics["right"][-1])
    print(f"start {seed}: E = {history.loss[-1]:.4f} after 4000 sweeps, {count} of 64 rows right")
    if count == 64:
        break

weights, bias = trainer.parameters["W_hidden"], trainer.parameters["b_hidden"]
for unit in range(2):
    row = " ".join(f"{weight:7.2f}" for weight in weights[:, unit])
    print(f"hidden unit {unit + 1}: {row}   bias {bias[unit]:.2f}")
small, middle, large = np.sort(np.abs(weights[:3]), axis=0).mean(axis=1)
print(f"sizes are as 1 : {middle / small:.2f} : {large / small:.2f}")

assert count == 64
np.testing.assert_allclose(weights, -weights[::-1], rtol=0.02)  # mirrored bits, opposite signs
np.testing.assert_allclose(weights[:, 0], -weights[:, 1], rtol=0.05)  # as have the two units
assert np.all(bias < 0)
