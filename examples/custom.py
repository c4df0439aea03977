"""Everything of your own: an activation, a loss and an optimizer, a formula each.

The task is to say what nine in ten values stay below. The activation is swish with a slope β that
is learned, read from a SymPy formula; the loss is the pinball loss, whose minimum is a quantile;
the optimizer is Lion (Chen et al., 2023), four lines. Nobody writes a derivative or a kernel.

Look at the derivatives, at the check, and at the share of new points below the answer, in the
left half and in the right.
"""

import numpy as np
import sympy

import symnet as sn

swish = sn.pointwise("swish", lambda x, beta: x / (1 + sympy.exp(-beta * x)))


def pinball(prediction, y, q):
    """Its slope is -q above the prediction and 1 - q below: they balance at the q-quantile."""
    error = y - prediction
    return sn.mean(sn.maximum(q * error, (q - 1) * error))


def lion(w, g, m, t, *, rate, beta1=0.9, beta2=0.99):
    """A step of one length in the direction of a blend of the gradient and its memory."""
    step = sn.sign(beta1 * m + (1 - beta1) * g)
    return {"w": w - rate * step, "m": beta2 * m + (1 - beta2) * g}


z, beta = sn.input("z"), sn.parameter("β", init=1.0)
print("f(z) =", swish(z, beta))
print("∂f/∂z =", sn.grad(swish(z, beta), z))
print("∂f/∂β =", sn.grad(swish(z, beta), beta))
assert sn.equivalent(sn.grad(swish(z, 1.0), z), sn.grad(sn.silu(z), z))

x, y = sn.input("x", ("N", 1)), sn.input("y", ("N",))
net = sn.nn.Sequential(
    sn.nn.Dense(1, 32, activation=lambda z: swish(z, beta)),
    sn.nn.Dense(32, 32, activation=lambda z: swish(z, beta)),
    sn.nn.Dense(32, 1),
)
answer = net(x)[:, 0]
loss = pinball(answer, y, q=0.9)


def draw(count, seed):
    """Points about sin(3 x), more widely scattered towards the right."""
    random = np.random.default_rng(seed)
    across = random.uniform(-1, 1, count)
    up = np.sin(3 * across) + 0.3 * (across + 1.3) * random.normal(size=count)
    return {"x": across[:, None].astype("float32"), "y": up.astype("float32")}


data, fresh = draw(2000, seed=0), draw(2000, seed=1)
print(sn.check_grad(loss, {name: rows[:20] for name, rows in data.items()}, ["finite-difference"]))

epochs, batch = 60, 40
rate = sn.schedules.cosine(3e-3, 0.0, epochs * 2000 // batch)
trainer = sn.Trainer(loss, sn.optim.from_rule(lion, state=("m",))(rate))
print(trainer.update_formulas())
print(trainer.fit(data, epochs=epochs, batch_size=batch))

below = fresh["y"] < trainer.predict(answer, {"x": fresh["x"]})
left, right = fresh["x"][:, 0] < 0, fresh["x"][:, 0] >= 0
shares = [below[side].mean() for side in (left, right)]
print("new points below the answer:", ", ".join(f"{100 * share:.1f} %" for share in shares))
print(f"β = {trainer.parameters['β']:.3f}")
assert all(0.87 < share < 0.93 for share in shares)
assert trainer.parameters["β"] != 1.0
