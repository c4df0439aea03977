"""Compiled contractions: every layout, batches, degenerate shapes, several terms."""

import numpy as np
import pytest

from codegen.compile import assemble
from codegen.cpu.contraction import contraction
from codegen.cpu.errors import CompileError
from codegen.ir import Factor, Program, contraction_into
from tests.codegen.build import argument, free

LAYOUTS = [
    ("ab", "bc", "ac"), ("ba", "bc", "ac"), ("ab", "cb", "ac"), ("ba", "cb", "ac"),
    ("ab", "bc", "ca"), ("ba", "bc", "ca"), ("ab", "cb", "ca"), ("ba", "cb", "ca"),
    ("zab", "zbc", "zac"), ("zba", "zcb", "zac"), ("zba", "zbc", "zca"),
    ("yzab", "yzbc", "yzac"), ("abc", "cd", "abd"), ("bca", "bcd", "ad"),
    ("ab", "b", "a"), ("ba", "b", "a"), ("b", "bc", "c"), ("b", "b", ""), ("bc", "bc", ""),
    ("a", "c", "ac"), ("a", "c", "ca"), ("zb", "zb", "z"),
]  # fmt: skip
EXTENTS = {"a": 5, "b": 7, "c": 3, "d": 4, "y": 2, "z": 6}


def product(*terms: tuple[str, str], out: str, dtype: str, static: bool) -> Program:
    """out = the sum over terms of x0 * y0 + x1 * y1 + ..."""
    letters = sorted({letter for pair in terms for part in pair for letter in part})
    extents = {letter: EXTENTS[letter] if static else letter.upper() for letter in letters}
    buffers, pairs = [], []
    for number, pair in enumerate(terms):
        names = (f"x{number}", f"y{number}")
        for name, part in zip(names, pair, strict=True):
            buffers.append(argument(name, *(extents[letter] for letter in part), dtype=dtype))
        left, right = (Factor(n, tuple(part)) for n, part in zip(names, pair, strict=True))
        pairs.append((left, right))
    buffers.append(argument("out", *(extents[letter] for letter in out), dtype=dtype))
    target = Factor("out", tuple(out))
    statement = contraction_into(target, tuple(pairs), tuple(extents.items()), dtype)
    sizes = () if static else free(*extents.values())
    return Program("product", sizes, tuple(buffers), (statement,))


def run(program: Program, sizes: dict[str, int], *, seed: int = 0) -> dict[str, np.ndarray]:
    """Random operands, and the result, which held NaN before."""
    random = np.random.default_rng(seed)
    arrays = {}
    for buffer in program.buffers:
        shape = tuple(sizes[e] if isinstance(e, str) else e for e in buffer.shape)
        arrays[buffer.name] = np.asarray(random.normal(size=shape), buffer.dtype)
    arrays["out"].fill(np.nan)
    assemble((("given", program),)).bind(sizes, arrays).run()
    return arrays


def close(ours: np.ndarray, wanted: np.ndarray) -> None:
    tolerance = 1e-5 if ours.dtype == np.float32 else 1e-13
    np.testing.assert_allclose(ours, wanted, rtol=tolerance, atol=tolerance * 30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("left", "right", "out"), LAYOUTS)
def test_every_layout(left, right, out, dtype):
    arrays = run(product((left, right), out=out, dtype=dtype, static=True), {})
    close(arrays["out"], np.einsum(f"{left},{right}->{out}", arrays["x0"], arrays["y0"]))


@pytest.mark.parametrize("empty", ["a", "b", "c", "z", "ab", "abcz"])
@pytest.mark.parametrize(("left", "right", "out"), LAYOUTS[8:11])
def test_zero_extents_give_zeros(left, right, out, empty):
    program = product((left, right), out=out, dtype="float64", static=False)
    sizes = {letter.upper(): 0 if letter in empty else EXTENTS[letter] for letter in "abcz"}
    arrays = run(program, sizes)
    wanted = np.einsum(f"{left},{right}->{out}", arrays["x0"], arrays["y0"])
    assert arrays["out"].tobytes() == wanted.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_terms_accumulate(dtype):
    program = product(("ab", "bc"), ("da", "dc"), ("ab", "cb"), out="ac", dtype=dtype, static=True)
    arrays = run(program, {})
    wanted = arrays["x0"] @ arrays["y0"] + arrays["x1"].T @ arrays["y1"]
    close(arrays["out"], wanted + arrays["x2"] @ arrays["y2"].T)


def test_a_term_that_sums_over_nothing_adds_nothing():
    program = product(("ab", "bc"), ("da", "dc"), out="ac", dtype="float64", static=False)
    arrays = run(program, {"A": 2, "B": 0, "C": 3, "D": 4})
    close(arrays["out"], arrays["x1"].T @ arrays["y1"])
    arrays = run(program, {"A": 2, "B": 5, "C": 3, "D": 0})
    close(arrays["out"], arrays["x0"] @ arrays["y0"])


def test_all_contractions_of_a_dtype_share_their_kernel():
    def made(*parts, out, dtype="float32", static=True):
        return assemble((("made", product(parts, out=out, dtype=dtype, static=static)),))

    first = made("ab", "bc", out="ac")
    other = made("ba", "bc", out="ca", static=False)
    assert other.compiled == 0
    assert [each.kernel.key for each in first.kernels] == [
        each.kernel.key for each in other.kernels
    ]
    batched = made("zba", "zbc", out="zca")
    double = made("ab", "bc", out="ac", dtype="float64")
    assert first.kernels[-1].kernel.key == batched.kernels[-1].kernel.key
    assert first.kernels[-1].kernel.key != double.kernels[-1].kernel.key


def test_a_part_of_a_longer_buffer():
    statement = contraction_into(
        Factor("out", ("a", "c")),
        ((Factor("x", ("a", "b")), Factor("y", ("b", "c"))),),
        (("a", "A"), ("b", 3), ("c", 2)),
        "float64",
    )
    buffers = (argument("x", 5, 3), argument("y", 3, 2), argument("out", 6, 2))
    program = Program("part", free("A"), buffers, (statement,))
    random = np.random.default_rng(0)
    x, y, out = random.normal(size=(5, 3)), random.normal(size=(3, 2)), np.full((6, 2), 9.0)
    assemble((("given", program),)).bind({"A": 4}, {"x": x, "y": y, "out": out}).run()
    close(out[:4], x[:4] @ y)
    assert (out[4:] == 9.0).all()


def test_what_is_no_matrix_product_is_refused():
    program = product(("abc", "ac"), out="b", dtype="float64", static=True)
    buffers = {buffer.name: buffer for buffer in program.buffers}
    diagonal = contraction_into(
        Factor("out", ("b",)),
        ((Factor("x0", ("a", "b", "a")), Factor("y0", ("a", "c"))),),
        (("a", 5), ("b", 7), ("c", 3)),
        "float64",
    )
    with pytest.raises(CompileError, match="is no matrix product"):
        contraction(diagonal, buffers)
