"""Backpropagation step by step: one neuron with a sigmoid and the squared error.

The machine writes down what a textbook would: each step goes from a quantity to one it was made
of, names the rule, and hands on the adjoint, the derivative of L by everything so far. `check`
then measures every single step with numbers; a step that somebody altered does not pass.

Look at the adjoint as it grows, and at the step where the sign was turned.
"""

import symnet as sn

with sn.default_dtype("float64"):
    x, y = sn.input("x"), sn.input("y")
    w, b = sn.parameter("w", init=0.8), sn.parameter("b", init=-0.2)
z = sn.named("z", w * x + b)
a = sn.named("a", sn.sigmoid(z))
L = sn.named("L", sn.losses.mse(a, y))
at = {"x": 0.5, "y": 1.0}

derivation = sn.derive(L, w, at)
print(derivation)

checked = derivation.check(at)
print(f"\nevery step measured: {'all are right' if checked else checked}")

# A mistake that students make: the derivative of (a - y)² by a with the wrong sign.
step = derivation.steps[0]
wrong = derivation.altered(step.number, handed=-step.handed)
found = wrong.check(at)
print(f"step {step.number} with another sign: {'nobody noticed' if found else 'it is caught'}")

slope = sn.evaluate(derivation.gradient, at)
answer = sn.evaluate(a, at)
by_hand = 2 * (answer - 1.0) * answer * (1 - answer) * 0.5
print(f"∂L/∂w = {slope:.9f}, by hand {by_hand:.9f}")
assert checked
assert not found
assert abs(slope - by_hand) < 1e-15
