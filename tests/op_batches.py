"""The cases of `op_cases.npz` many at a time: one program for several ops costs less to compile for
a GPU than one for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from op_cases import Case, Evaluator, compare, question


def batches(cases: Sequence[Case], size: int) -> list[list[Case]]:
    """The first case of each op, some ops at a time, then the second of each, and so on."""
    turns: dict[int, list[Case]] = {}
    seen: dict[str, int] = {}
    for case in cases:
        seen[case.op] = seen.get(case.op, -1) + 1
        turns.setdefault(seen[case.op], []).append(case)
    return [
        turn[start : start + size] for turn in turns.values() for start in range(0, len(turn), size)
    ]


def faults_of(cases: Sequence[Case], evaluate: Evaluator) -> Iterator[str]:
    """What differs from PyTorch where all the cases are computed by one call."""
    asked = [question(case) for case in cases]
    nodes = [node for each in asked for node in each.outputs]
    feeds = {leaf: array for each in asked for leaf, array in each.feeds.items()}
    found = evaluate(nodes, feeds)
    start = 0
    for each in asked:
        yield from compare(each, found[start : start + len(each.outputs)])
        start += len(each.outputs)
