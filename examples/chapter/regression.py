"""Regression: a linear output and squared errors.

How far has a patient's diabetes progressed after a year? Ten measurements, one number to predict.
Without a hidden layer the weights of the least squared error have a formula, and gradient descent
must arrive where the formula points. R² is the share of the variance that is explained: 1 is
perfect, 0 is as good as always answering the mean.

Look at the two columns of weights, and at R² on a fifth of the patients that was held out.
"""

import numpy as np

import symnet as sn
from symnet.data import load, split, standardize

data = load("diabetes", dtype="float64")
parts = standardize(split(data, share=0.2, seed=0))
train = {"X": parts.training.features, "y": parts.training.target}
test = {"X": parts.held_out.features, "y": parts.held_out.target}
print(f"{data}; {len(parts.held_out)} rows held out")

with sn.default_dtype("float64"):
    X, y = sn.input("X", ("N", 10)), sn.input("y", ("N",))
    line = sn.nn.Dense(10, 1, name="line")
prediction = line(X)[:, 0]
L = sn.losses.mse(prediction, y)
print("L =", L)
print("∂L/∂W =", sn.grad(L, line.weight))

trainer = sn.Trainer(
    L,
    sn.optim.SGD(0.2, momentum=0.9),
    metrics={"R2": sn.metrics.r2(prediction, y), "MAE": sn.metrics.mae(prediction, y)},
)
history = trainer.fit(train, epochs=5000, batch_size=None, stop=sn.stop.gradient_norm(1e-8))
print(history)

learned = np.append(trainer.parameters["W_line"][:, 0], trainer.parameters["b_line"])
table = np.column_stack([train["X"], np.ones(len(train["X"]))])
solved = np.linalg.lstsq(table, train["y"], rcond=None)[0]
print("               learned    solved")
for name, *weights in zip((*data.feature_names, "constant"), learned, solved, strict=True):
    print(f"{name:10} {weights[0]:11.5f} {weights[1]:9.5f}")

result = trainer.evaluate(test)
print(f"held out: off by {result['MAE']:.0f} in the mean, R2 {result['R2']:.2f}")
np.testing.assert_allclose(learned, solved, rtol=1e-6, atol=1e-6)
assert result["R2"] >= 0.45
