"""Module texts that compile in a twentieth of a second, once Numba is there."""

HEADER = """\
from numba import cuda
from numba.cuda import float32, types
from numba.cuda.extending import intrinsic


@intrinsic
def floats(typing, address):
    kind = types.CPointer(types.float32)

    def generated(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(address), generated


@cuda.jit(device=True, forceinline=True)
def scaled(value):
    return value * float32(3.0)


def kernel(count, values):
    p = floats(values)
"""
TEXT = HEADER + "    if cuda.threadIdx.x < count:\n        p[0] = scaled(p[0])\n"

SEPARATE = """\
@cuda.jit(device=True)
def separate_0(value):
    return scaled(value) + scaled(float32(1.0))


@cuda.jit(device=True, forceinline=True)
def beside(value):
    return scaled(value) - separate_0(value)


def kernel("""
BRANCHED = TEXT.replace("def kernel(", SEPARATE).replace("= scaled(", "= beside(")
"""The same, where several ways lead to a function, and one of them stays a function."""
