"""A weight that is used twice: its gradient is a sum over paths.

The loss reaches w along every path from L down to w; each contributes the product of the factors
along it, and the contributions add up. That is why backpropagation accumulates with +=, and why
a framework that keeps its gradients must set them to zero before the next step. Here a gradient
is a value and nothing is kept, so forgetting takes an optimizer written to forget.

Look at the two paths, and at what becomes of the loss when old gradients are summed too: it is
driven past the minimum again and again.
"""

import numpy as np

import symnet as sn

with sn.default_dtype("float64"):
    x, y = sn.input("x", ("N",)), sn.input("y", ("N",))
    w = sn.parameter("w", init=0.3)
h = sn.named("h", sn.tanh(w * x))
o = sn.named("o", w * h)
L = sn.named("L", sn.mean((o - y) ** 2))

inputs = np.linspace(-2, 2, 21)
feeds = {"x": inputs, "y": 0.9 * np.tanh(0.9 * inputs)}  # w = 0.9 would be right

routes = sn.paths(L, w)
print(routes)
contributions = sn.evaluate([route.contribution for route in routes], feeds)
whole = sn.evaluate(sn.grad(L, w), feeds)
print("at w = 0.3:", " + ".join(f"({c:.6f})" for c in contributions), f"= {whole:.6f}")
assert len(routes) == 2
assert abs(sum(contributions) - whole) < 1e-14


def forgetful(w, g, m, t, *, rate):
    """Gradient descent whose g is never set to zero: m is the sum of all gradients so far."""
    total = m + g
    return {"w": w - rate * total, "m": total}


careful = sn.optim.SGD(0.2)
careless = sn.optim.from_rule(forgetful, state=("m",))(0.2)
histories = {}
for name, optimizer in (("as it should be", careful), ("old gradients summed", careless)):
    trainer = sn.Trainer(L, optimizer)
    print(f"\n{name}:  " + ";  ".join(f"{a} ← {b}" for a, b in optimizer.symbolic()))
    history = trainer.fit(feeds, epochs=60, batch_size=None)
    histories[name] = history.loss
    print("L =", ", ".join(f"{loss:.3f}" for loss in history.loss[::6]))

assert histories["as it should be"][-1] < 1e-6
assert max(histories["old gradients summed"][-20:]) > 0.05
