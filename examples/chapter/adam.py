"""Adam, in the letters of its paper, beside AdamW.

Kingma and Ba, 2015, Algorithm 1: m and v are running means of the gradient and of its square,
m̂ and v̂ the same corrected for their start at zero, and the step is one over the root of the
other. AdamW (Loshchilov and Hutter, 2019) shrinks the weights apart from that; an L2 term inside
the gradient is rescaled with it, and λ hardly matters where it is all there is.

Look at where λ stands in the rules, and at the second weight, which no gradient of the loss
reaches: λ = 0.1 should shrink it by 1 % a step.
"""

from itertools import zip_longest
from unicodedata import combining

import numpy as np

import symnet as sn

with sn.default_dtype("float64"):
    w = sn.parameter("w", (2,), init=[3.0, 1.0])
    L = (w[0] - 1) ** 4 + (w[0] - 1) ** 2

optimizers = {
    "Adam": sn.optim.Adam(0.1),
    "Adam with L2": sn.optim.Adam(0.1, weight_decay=0.1),
    "AdamW": sn.optim.AdamW(0.1, weight_decay=0.1),
}
after, columns = {}, {}
for name, optimizer in optimizers.items():
    trainer = sn.Trainer(L, optimizer)
    trainer.fit({}, epochs=5)
    after[name] = trainer.parameters["w"]
    rule = [f"{letter} ← {value}" for letter, value in optimizer.symbolic()]
    columns[name] = [name, *rule, f"after 5 steps {after[name].round(4)}"]

for line in zip_longest(*columns.values(), fillvalue=""):
    # A hat is a character of its own that takes no place.
    print("".join(part + " " * (34 - sum(not combining(c) for c in part)) for part in line))


def algorithm_1(w, gradient, steps, α=0.1, β1=0.9, β2=0.999, ϵ=1e-8):
    """Algorithm 1 of the paper, line for line; α is its stepsize, our rate η."""
    m, v, t = np.zeros_like(w), np.zeros_like(w), 0
    while t < steps:
        t = t + 1
        g = gradient(w)
        m = β1 * m + (1 - β1) * g
        v = β2 * v + (1 - β2) * g**2
        m_hat = m / (1 - β1**t)
        v_hat = v / (1 - β2**t)
        w = w - α * m_hat / (np.sqrt(v_hat) + ϵ)
    return w


slope = sn.compile(sn.grad(L, w))
start = np.array([3.0, 1.0])
by_hand = algorithm_1(start, lambda w: slope(w=w), 5)
print("Algorithm 1 in NumPy:", by_hand)
np.testing.assert_allclose(after["Adam"], by_hand, rtol=1e-12)
np.testing.assert_allclose(after["AdamW"][1], 0.99**5, rtol=1e-12)
assert after["Adam"][1] == 1.0
assert after["Adam with L2"][1] < 0.6  # five steps of nearly 0.1 each,
tenth = sn.Trainer(L, sn.optim.Adam(0.1, weight_decay=0.01))
tenth.fit({}, epochs=5)
assert abs(tenth.parameters["w"][1] - after["Adam with L2"][1]) < 1e-5  # with a tenth of λ too
