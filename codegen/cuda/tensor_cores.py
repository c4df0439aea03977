"""Products on tensor cores: operands of float32 are rounded to tf32 or bf16, sums are float32.

PTX ISA, "Warp-level matrix instructions: mma.sync", gives which element is in which thread's
register: of a 16 x 8 result, thread 4 g + t has the elements (g, 2 t), (g, 2 t + 1), (g + 8, 2 t)
and (g + 8, 2 t + 1).
"""

# Numba types its decorators only in part.
# mypy: disable-error-code="no-untyped-call, call-overload, call-arg, unreachable"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.cuda import types
from numba.cuda.extending import intrinsic

from codegen.cuda.registers import cells

_INT, _REAL = ir.IntType(32), ir.FloatType()


@dataclass(frozen=True, slots=True)
class Precision:
    """How operands are rounded: `depth` is how many depths an instruction multiplies, `neighbours`
    how many of them one register holds, `pad` how many elements stand between the depths in shared
    memory, so that the threads of a warp read from different banks."""

    name: str
    depth: int
    neighbours: int
    pad: int

    @property
    def instruction(self) -> str:
        """Its name in PTX."""
        kinds = f"f32.{self.name}.{self.name}.f32"
        return f"mma.sync.aligned.m16n8k{self.depth}.row.col.{kinds}"


TF32 = Precision("tf32", 8, 1, 8)
BF16 = Precision("bf16", 16, 2, 4)


def _assembly(builder: Any, result: Any, text: str, constraints: str, values: list[Any]) -> Any:
    """PTX whose threads all take part and that has no effect but its result."""
    kind = ir.FunctionType(result, [value.type for value in values])
    code = ir.InlineAsm(kind, text, constraints, side_effect=False)
    return builder.call(code, values, attrs=("convergent",))


def _packed(builder: Any, precision: Precision, values: list[Any]) -> Any:
    """Neighbouring depths, rounded, as one register; the first in its low half."""
    if precision.neighbours == 1:
        return _assembly(builder, _INT, "cvt.rna.tf32.f32 $0, $1;", "=r,f", values)
    return _assembly(builder, _INT, "cvt.rn.bf16x2.f32 $0, $2, $1;", "=r,f,f", values)


def rounding(precision: Precision) -> Any:
    """The intrinsic that rounds a float32 as operands are rounded, and gives it as a float32."""

    @intrinsic
    def rounded(typingctx: Any, value: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            bits = _packed(builder, precision, [args[0]] * precision.neighbours)
            # What follows the last bit of a tf32 is not said to be zero.
            mask = 0xFFFFE000 if precision.neighbours == 1 else 0xFFFF0000
            return builder.bitcast(builder.and_(bits, _INT(mask)), _REAL)

        return types.float32(types.float32), code

    return rounded


def _fragment(
    builder: Any, precision: Precision, arena: Any, index: Any, pitch: Any, lanes: list[int]
) -> list[Any]:
    """Registers of one operand: for both halves of the depths, those lanes further on than
    `index`, where this thread's first element stands."""
    word = index.type
    registers = []
    for half in range(2):
        rows = []
        for neighbour in range(precision.neighbours):
            down = builder.mul(pitch, word(half * (precision.depth // 2) + neighbour))
            place = builder.add(index, down)
            rows.append(builder.gep(arena, [place]))
        for lane in lanes:
            values = [builder.load(builder.gep(row, [word(lane)])) for row in rows]
            registers.append(_packed(builder, precision, values))
    return registers


def _multiply(builder: Any, precision: Precision, left: list[Any], right: list[Any],
              sums: list[Any]) -> list[Any]:  # fmt: skip
    text = (
        f"{precision.instruction} {{$0,$1,$2,$3}}, {{$4,$5,$6,$7}}, {{$8,$9}}, {{$10,$11,$12,$13}};"
    )
    constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)
    result = ir.LiteralStructType([_REAL] * 4)
    made = _assembly(builder, result, text, constraints, [*left, *right, *sums])
    values = (builder.extract_value(made, place) for place in range(4))
    # LLVM's `instcombine` never ends on loops that hand the parts of a structure around.
    return [_assembly(builder, _REAL, "mov.f32 $0, $1;", "=f,f", [value]) for value in values]


@intrinsic
def warp_together(typingctx: Any) -> Any:
    """All threads of the warp go on together from here, as `mma.sync.aligned` needs it."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_INT])
        barrier = cgutils.get_or_insert_function(builder.module, kind, "llvm.nvvm.bar.warp.sync")
        builder.call(barrier, [_INT(0xFFFFFFFF)])
        return context.get_dummy_value()

    return types.void(), code


def tensor_product(precision: Precision, tall: int, wide: int) -> Any:
    """The intrinsic that adds as many depths as an instruction multiplies to a warp's tile of
    `tall` times 16 rows and `wide` times 8 columns.

    left and right: where this thread's first element stands in the arena, [depth][row] and
    [depth][column]. The sums at (16 i + 8 h + g, 8 j + 2 t + e) are number
    ((2 i + h) * wide + j) * 2 + e.
    """

    @intrinsic
    def add(typingctx: Any, arena: Any, left: Any, right: Any, row_pitch: Any, column_pitch: Any,
            sums: Any) -> Any:  # fmt: skip
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            arena, left, right, row_pitch, column_pitch, sums = args
            places = cells(builder, sums, 4 * tall * wide)
            columns = [
                _fragment(builder, precision, arena, right, column_pitch, [8 * j])
                for j in range(wide)
            ]
            for i in range(tall):
                rows = _fragment(builder, precision, arena, left, row_pitch, [16 * i, 16 * i + 8])
                for j, column in enumerate(columns):
                    own = [
                        places[((2 * i + half) * wide + j) * 2 + one]
                        for half in range(2)
                        for one in range(2)
                    ]
                    old = [builder.load(place) for place in own]
                    new = _multiply(builder, precision, rows, column, old)
                    for place, value in zip(own, new, strict=True):
                        builder.store(value, place)
            return context.get_dummy_value()

        word = types.int64
        return types.void(arena, word, word, word, word, sums), code

    return add


def put_pairs(wide: int) -> Any:
    """The intrinsic that stores the first `wide` pairs of sums, 8 elements from one to the next;
    the first stands at a multiple of 8 bytes."""

    @intrinsic
    def put(typingctx: Any, into: Any, index: Any, sums: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            into, index, sums = args
            waiting = [builder.load(cell) for cell in cells(builder, sums, 2 * wide)]
            for pair in range(wide):
                vector = ir.Constant(ir.VectorType(_REAL, 2), ir.Undefined)
                for lane in range(2):
                    vector = builder.insert_element(vector, waiting.pop(0), _INT(lane))
                place = builder.gep(into, [builder.add(index, index.type(8 * pair))])
                builder.store(vector, builder.bitcast(place, vector.type.as_pointer()), align=8)
            return context.get_dummy_value()

        return types.void(into, types.int64, sums), code

    return put
