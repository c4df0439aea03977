"""Ten handwritten digits, 8 x 8 pixels: a network reads those that it never saw.

From the data to the answer in one page: split, scale, write the network and its loss, read the
gradients, train, and count. One held-out fifth is 359 digits, so that a single mistake is 0.3 %;
five different random fifths say how far to trust the number. The network compiles once: a new
start or other data compile nothing.

Look at the held-out accuracies, and at which digits are taken for which.
"""

import numpy as np

import symnet as sn
from symnet.data import load, split

data = load("digits")
print(data)

X, y = sn.input("X", ("N", 64)), sn.input("y", ("N",), dtype="int64")
net = sn.nn.Sequential(sn.nn.Dense(64, 128, activation="relu"), sn.nn.Dense(128, 10))
z = net(X)
loss = sn.losses.cross_entropy(z, y)
print(sn.gradients(loss))

epochs, batch = 30, 32
steps = epochs * -(-4 * len(data) // 5 // batch)
trainer = sn.Trainer(
    loss,
    sn.optim.AdamW(sn.schedules.cosine(0.01, 0.0, steps), weight_decay=0.1),
    metrics={"accuracy": sn.metrics.accuracy(z, y)},
)

accuracies, wrong = [], []
for seed in range(5):
    parts = split(data, share=0.2, seed=seed)
    test = {"X": parts.held_out.features / 16, "y": parts.held_out.target}
    trainer.reset(seed)
    history = trainer.fit(
        {"X": parts.training.features / 16, "y": parts.training.target},
        epochs=epochs,
        batch_size=batch,
    )
    accuracies.append(trainer.evaluate(test)["accuracy"])
    answer = np.argmax(trainer.predict(z, {"X": test["X"]}), axis=1)
    assert np.isclose(np.mean(answer == test["y"]), accuracies[-1])
    missed = answer != test["y"]
    wrong += zip(test["y"][missed].tolist(), answer[missed].tolist(), strict=True)

print(history)
print("held-out accuracy:", ", ".join(f"{100 * share:.1f} %" for share in accuracies))
print(f"mean: {100 * np.mean(accuracies):.1f} %")
often = sorted(set(wrong), key=lambda pair: (-wrong.count(pair), pair))[:3]
print("most often:", ", ".join(f"{a} read as {b} ({wrong.count((a, b))}x)" for a, b in often))
assert np.mean(accuracies) >= 0.97
