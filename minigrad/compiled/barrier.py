"""A barrier: threads that share the units of a layer wait for one another at every step."""

# ruff: noqa: ANN001, ANN201, ANN202 (compiled functions)

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from minigrad.compiled.compiling import OPTIONS

GIVE_UP = 2**62  # in the counter: a thread has failed, and nobody waits for it
PATIENCE = 1000  # looks at the counter before a thread offers its core to another


@intrinsic
def add_one(typing, counter):
    """Add 1 to counter[0] and return what it was, as one indivisible step."""

    def build(context, builder, signature, args):
        place = context.make_array(signature.args[0])(context, builder, *args).data
        return builder.atomic_rmw("add", place, ir.IntType(64)(1), "seq_cst")

    return types.int64(counter), build


@intrinsic
def look(typing, counter):
    """Return counter[0] as other threads have left it."""

    def build(context, builder, signature, args):
        place = context.make_array(signature.args[0])(context, builder, *args).data
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(counter), build


@intrinsic
def give_way(typing):
    """Call sched_yield of the C library."""

    def build(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(32), [])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])

    return types.int32(), build


@njit(**OPTIONS)
def wait(counter, parties):
    """Return when all `parties` threads have called this as often as the caller; counter[0] counts the calls."""
    if parties == 1:
        return
    calls = add_one(counter)
    if calls >= GIVE_UP:
        return
    goal = (calls // parties + 1) * parties
    looks = 0
    while look(counter) < goal:
        looks += 1
        if looks > PATIENCE:
            give_way()
