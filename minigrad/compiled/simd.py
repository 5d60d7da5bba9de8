"""Vectors: several numbers that one instruction of the processor computes with; and the matrix product made of them.

Numba turns Python into LLVM's language; this module adds a type to it, Vector(float32) or Vector(float64), as wide as
the machine's registers (16 floats with AVX-512, 8 with AVX2, 4 with NEON), and the few functions that kernels need:
load, store, + - * /, fused multiply-add, minimum, power_of_two. An @intrinsic says what its result's type is and then
builds the instructions. The last one, `product`, is all the matrix arithmetic there is.
"""

# ruff: noqa: ANN001, ANN201, ANN202 (intrinsics are typed by Numba: their arguments are types here, values there)

import operator

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic, lower_builtin, models, overload, register_model, type_callable


def features() -> dict[str, bool]:
    """Return what the processor has, or what NUMBA_CPU_FEATURES says that it has: "+avx2,-avx512f"."""
    if not config.CPU_FEATURES:
        return llvm.get_host_cpu_features()
    return {entry[1:]: entry[0] == "+" for entry in config.CPU_FEATURES.split(",")}


FEATURES = features()
BYTES = 64 if FEATURES.get("avx512f") else 32 if FEATURES.get("avx2") else 16  # of a register
ROWS = 3 if BYTES == 32 else 6  # of a tile: with COLUMNS sums each, they fill the 16 registers of AVX2 or the 32 others
COLUMNS = 4
INT = ir.IntType(64)


class Vector(types.Type):
    """As many numbers of one dtype as a register holds."""

    def __init__(self, dtype: types.Float):
        self.dtype, self.lanes = dtype, BYTES * 8 // dtype.bitwidth
        number = ir.FloatType() if dtype.bitwidth == 32 else ir.DoubleType()
        self.llvm = ir.VectorType(number, self.lanes)
        super().__init__(f"Vector({dtype})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector lives in a register as it is."""

    def __init__(self, dmm, vector: Vector):
        super().__init__(dmm, vector, vector.llvm)


def lanes(array):
    """Return how many numbers of the array's dtype a vector holds."""
    raise NotImplementedError("for compiled functions alone")


@overload(lanes)
def lanes_compiled(array):
    """Return a constant."""
    count = Vector(array.dtype).lanes
    return lambda array: count


# --- memory ----------------------------------------------------------------------------------------------------------


def element(context, builder, kind, array, at):
    """Return the address of element `at` of a one-dimensional array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at], inbounds=True)


def read(builder, vector: Vector, address):
    """Load a vector from any address, aligned or not."""
    return builder.load(builder.bitcast(address, vector.llvm.as_pointer()), align=vector.dtype.bitwidth // 8)


def write(builder, vector: Vector, address, value):
    """Store a vector at any address."""
    builder.store(value, builder.bitcast(address, vector.llvm.as_pointer()), align=vector.dtype.bitwidth // 8)


def fill(builder, vector: Vector, number):
    """Return a vector whose lanes all hold `number`."""
    first = builder.insert_element(ir.Constant(vector.llvm, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), [0] * vector.lanes)
    return builder.shuffle_vector(first, ir.Constant(vector.llvm, ir.Undefined), zeros)


@intrinsic
def load(typing, array, at):
    """Return the vector that begins at array[at]."""
    vector = Vector(array.dtype)

    def build(context, builder, signature, args):
        return read(builder, vector, element(context, builder, signature.args[0], *args))

    return vector(array, types.int64), build


@intrinsic
def store(typing, array, at, value):
    """Write a vector to array[at] and what follows it."""

    def build(context, builder, signature, args):
        write(builder, value, element(context, builder, signature.args[0], *args[:2]), args[2])
        return context.get_dummy_value()

    return types.void(array, types.int64, value), build


@intrinsic
def turn(typing, source, at, row, target, to, target_row):
    """Transpose a square of numbers, as many vectors as a vector has lanes, from one array to another.

    Its rows lie `row` numbers apart from source[at] on, its columns become rows `target_row` apart from target[to] on.
    Each round interleaves the first half of the vectors with the second half; as many rounds as a lane's number has
    binary digits turn the square.
    """
    vector, i = Vector(source.dtype), types.int64
    n = vector.lanes

    def build(context, builder, signature, args):
        source, at, row, target, to, target_row = args
        mask = lambda start: ir.Constant(
            ir.VectorType(ir.IntType(32), n), [k // 2 + start + k % 2 * n for k in range(n)]
        )
        places = lambda k, array, first, step: [
            element(context, builder, signature.args[k], array, builder.add(first, builder.mul(step, INT(r))))
            for r in range(n)
        ]
        vectors = [read(builder, vector, place) for place in places(0, source, at, row)]
        for _ in range(n.bit_length() - 1):
            pairs = list(zip(vectors[: n // 2], vectors[n // 2 :], strict=True))
            vectors = [builder.shuffle_vector(a, b, mask(half)) for a, b in pairs for half in (0, n // 2)]
        for place, value in zip(places(3, target, to, target_row), vectors, strict=True):
            write(builder, vector, place, value)
        return context.get_dummy_value()

    return types.void(source, i, i, target, i, i), build


# --- arithmetic, lane by lane ----------------------------------------------------------------------------------------


def spread(context, builder, vector: Vector, kind, value):
    """Return a vector as it is, and a number in all lanes."""
    if isinstance(kind, Vector):
        return value
    return fill(builder, vector, context.cast(builder, value, kind, vector.dtype))


def declare(operation, instruction: str) -> None:
    """Let `operation` work on two vectors, or on a vector and a number."""

    @type_callable(operation)
    def find_type(context):
        def typer(a, b):
            if isinstance(a, Vector) and isinstance(b, (Vector, types.Number)):
                return a
            return b if isinstance(b, Vector) and isinstance(a, types.Number) else None

        return typer

    def build(context, builder, signature, args):
        pair = [spread(context, builder, signature.return_type, *x) for x in zip(signature.args, args, strict=True)]
        return getattr(builder, instruction)(*pair)

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(operation, *kinds)(build)


for operation, instruction in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
):  # fmt: skip
    declare(operation, instruction)


def fused(builder, vector: Vector, a, b, c):
    """Return a b + c, rounded once."""
    kind = ir.FunctionType(vector.llvm, [vector.llvm] * 3)
    name = f"llvm.fma.v{vector.lanes}f{vector.dtype.bitwidth}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


@intrinsic
def multiply_add(typing, a, b, c):
    """Return a b + c for vectors (b, c: or numbers), rounded once."""

    def build(context, builder, signature, args):
        return fused(builder, a, *(spread(context, builder, a, *x) for x in zip(signature.args, args, strict=True)))

    return a(a, b, c), build


@overload(np.sqrt)
def square_root(a):
    """Let np.sqrt take vectors."""
    return (lambda a: root(a)) if isinstance(a, Vector) else None


@intrinsic
def root(typing, a):
    """Return the square roots."""

    def build(context, builder, signature, args):
        kind = ir.FunctionType(a.llvm, [a.llvm])
        name = f"llvm.sqrt.v{a.lanes}f{a.dtype.bitwidth}"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)

    return a(a), build


def choose(sign: str):
    """Return an intrinsic that keeps a value within a limit; a NaN stays NaN."""

    @intrinsic
    def within(typing, a, limit):
        def build(context, builder, signature, args):
            edge = spread(context, builder, a, signature.args[1], args[1])
            return builder.select(builder.fcmp_ordered(sign, edge, args[0]), edge, args[0])

        return a(a, limit), build

    return within


minimum, maximum = choose("<"), choose(">")


@intrinsic
def constant(typing, like, number):
    """Return a vector like another whose lanes all hold `number`."""

    def build(context, builder, signature, args):
        return spread(context, builder, like, signature.args[1], args[1])

    return like(like, number), build


@intrinsic
def where_not_zero(typing, a, value):
    """Return `value` where a is not 0, and 0 elsewhere, even where the value is infinite."""

    def build(context, builder, signature, args):
        zero = fill(builder, a, ir.Constant(a.llvm.element, 0.0))
        return builder.select(builder.fcmp_unordered("!=", args[0], zero), args[1], zero)

    return a(a, a), build


@intrinsic
def power_of_two(typing, shifted):
    """Return 2^n for shifted = n + ROUND: the last bits of that sum are n; moved to the exponent's place, 2^n."""
    mantissa, bias = (23, 127) if shifted.dtype.bitwidth == 32 else (52, 1023)

    def build(context, builder, signature, args):
        bits = ir.VectorType(ir.IntType(shifted.dtype.bitwidth), shifted.lanes)
        constant = lambda n: ir.Constant(bits, [n] * shifted.lanes)
        exponent = builder.add(builder.bitcast(args[0], bits), constant(bias))
        return builder.bitcast(builder.shl(exponent, constant(mantissa)), shifted.llvm)

    return shifted(shifted), build


# --- the matrix product ----------------------------------------------------------------------------------------------


class Loop:
    """for k in range(count), count > 0, around what is built inside; `values` change from one round to the next."""

    def __init__(self, builder, count, values: list):
        self.builder, self.count = builder, count
        before, self.body = builder.block, builder.append_basic_block("body")
        builder.branch(self.body)
        builder.position_at_end(self.body)
        self.k = builder.phi(INT)
        self.k.add_incoming(INT(0), before)
        self.values = [builder.phi(value.type) for value in values]
        for phi, value in zip(self.values, values, strict=True):
            phi.add_incoming(value, before)

    def again(self, values: list) -> list:
        """End the round with these values, and return them for use behind the loop."""
        builder, here = self.builder, self.builder.block
        after, following = builder.append_basic_block("after"), builder.add(self.k, INT(1))
        self.k.add_incoming(following, here)
        for phi, value in zip(self.values, values, strict=True):
            phi.add_incoming(value, here)
        builder.cbranch(builder.icmp_signed("<", following, self.count), self.body, after)
        builder.position_at_end(after)
        return values


@intrinsic(prefer_literal=True)
def product(typing, rows, columns, out, init, a, w):
    """Write one tile, rows x columns vectors, of init + A W, its sums in registers from beginning to end.

    `out` and `init` are (array, where the tile begins, distance of its rows). `a` is (array, where, distance of rows,
    distance of columns, number of blocks, distance of blocks, columns of a block). `w` is (array, where, distance of
    rows): each row holds `columns` vectors. For each column of A, `rows` numbers of A meet `columns` vectors of W:
    rows x columns multiply-adds for rows + columns loads. `rows` and `columns` are constants; the loops over them run
    here, while the instructions are built.
    """
    R, C = rows.literal_value, columns.literal_value
    vector = Vector(out[0].dtype)

    def build(context, builder, signature, args):
        (out, out_at, out_row), (init, init_at, init_row), a, (w, w_at, w_row) = (
            cgutils.unpack_tuple(builder, arg) for arg in args[2:]
        )
        a, a_at, a_row, a_column, blocks, a_block, length = a
        data = lambda k, array: context.make_array(signature.args[k][0])(context, builder, array).data
        out, init, a, w = (data(k, array) for k, array in zip((2, 3, 4, 5), (out, init, a, w), strict=True))
        step = lambda base, *offsets: builder.gep(base, [sum_of(builder, *offsets)], inbounds=True)
        tile = [(r, c) for r in range(R) for c in range(C)]
        place = lambda at, row, r, c: (at, builder.mul(row, INT(r)), INT(c * vector.lanes))
        sums = [read(builder, vector, step(init, *place(init_at, init_row, r, c))) for r, c in tile]

        outer = Loop(builder, blocks, [a_at, w_at, *sums])
        inner = Loop(builder, length, outer.values)
        a_k, w_k, *sums = inner.values
        # All numbers of A first, then the vectors of W: the other order is half as fast.
        xs = [fill(builder, vector, builder.load(step(a, a_k, builder.mul(a_row, INT(r))))) for r in range(R)]
        ws = [read(builder, vector, step(w, w_k, INT(c * vector.lanes))) for c in range(C)]
        sums = [fused(builder, vector, xs[r], ws[c], s) for (r, c), s in zip(tile, sums, strict=True)]
        _, w_k, *sums = inner.again([builder.add(a_k, a_column), builder.add(w_k, w_row), *sums])
        _, _, *sums = outer.again([builder.add(outer.values[0], a_block), w_k, *sums])

        for (r, c), s in zip(tile, sums, strict=True):
            write(builder, vector, step(out, *place(out_at, out_row, r, c)), s)
        return context.get_dummy_value()

    return types.void(rows, columns, out, init, a, w), build


def sum_of(builder, first, *others):
    """Return the sum of some integers."""
    for other in others:
        first = builder.add(first, other)
    return first
