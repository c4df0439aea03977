"""The chain rule needs no particular function: L = f(d w + b).

Whatever f is, the gradient by w is f′ times d and that by b is f′ alone. The inner part supplies
the second factor before anyone has said what f might be.

Look at the derivation with f unknown; then at four functions put in its place, each of which
keeps the second factor. An unknown function prints, but it has no values to compute with.
"""

import symnet as sn

with sn.default_dtype("float64"):
    d, w, b = (sn.input(name) for name in "dwb")
inner = d * w + b
at = {"d": 2.0, "w": -3.0, "b": 6.88}

f = sn.function("f")
unknown = f(inner)
print(sn.derive(unknown, w))
print("∂L/∂b =", sn.grad(unknown, b))
print("∂L/∂d =", sn.grad(unknown, d))
print("∂²L/∂w² =", sn.grad(sn.grad(unknown, w), w))
assert str(sn.grad(unknown, w)) == "f′(d w + b) d"

print()
for name, known in {"tanh": sn.tanh, "σ": sn.sigmoid, "exp": sn.exp, "sin": sn.sin}.items():
    L = known(inner)
    by_w, by_b, by_d = sn.evaluate(sn.grad(L, [w, b, d]), at)
    print(f"f = {name}: ∂L/∂w = {sn.grad(L, w)} = {by_w:.4f}")
    assert abs(by_w - by_b * at["d"]) < 1e-15 * abs(by_w)
    assert abs(by_d - by_b * at["w"]) < 1e-15 * abs(by_d)

try:
    sn.compile(unknown)
except sn.errors.UnknownFunctionError as error:
    print(f"\ncompiled: {error}")
else:
    raise AssertionError("an unknown function has no values")
