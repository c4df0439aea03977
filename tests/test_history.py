"""The steps of a run become the means of its epochs, to the bit, whenever they arrive."""

import numpy as np
import pytest

from symnet.train.history import History, Record

NAMES = ("loss", "rate", "metric accuracy")


def series(count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(count)
    return {name: random.normal(size=count) for name in NAMES}


@pytest.mark.parametrize("steps", [1, 3, 20, 57, 300])
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_each_epoch_is_the_mean_of_its_steps(steps: int, missing: int):
    missing = min(missing, steps - 1)
    record, history = Record(steps, NAMES, missing), History()
    all_ = series(7 * steps + steps // 2)
    closed, at = [], 0
    for size in (steps - missing - 1, 1, steps // 2, 4 * steps, len(all_["loss"])):
        record.extend({name: values[at : at + size] for name, values in all_.items()})
        closed.append(record.close_epochs(history))
        at += size
    ends = np.arange(steps - missing, len(all_["loss"]) + 1, steps)
    parts = {name: np.split(values, ends)[: len(ends)] for name, values in all_.items()}
    assert sum(closed) == len(ends) > 6
    assert closed[0] == 0 or steps - missing == 1
    assert history.loss == [float(np.mean(part)) for part in parts["loss"]]
    assert history.metrics == {"accuracy": [float(np.mean(p)) for p in parts["metric accuracy"]]}
    assert history.rate == [part[-1] for part in parts["rate"]]
    assert record.missing == 0
    assert all(len(left) == len(all_["loss"]) - ends[-1] for left in record.kept.values())
