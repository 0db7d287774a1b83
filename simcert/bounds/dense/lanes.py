"""Eight float64 numbers as one value of compiled loops.

A compiler makes vector instructions of a plain loop only where it can show that arrays do not
overlap, and enters each such loop through a test of that; rows of twenty numbers are not worth it.
Here the vector is written out: ``load``, arithmetic, ``store``. On machines with shorter registers
a value takes several. A multiplication and an addition may become one instruction, which rounds
once instead of twice.

Numbers in arrays are addressed by their place in the flat array; nothing checks it.
"""

# ruff: noqa: ARG001, ARG005 - Numba fixes what these functions take.

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

WIDTH = 8

_VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)
_CONTRACT = ("contract",)

_function = cast(Callable[[Callable[..., Any]], Callable[..., Any]], intrinsic)
"""Makes a function of loops of one that gives its types, and how its code is built."""


Lanes = Any
"""Such a value, for those who read the loops."""


class _Lanes(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name="Lanes")


lanes = _Lanes()
"""The type of such a value."""


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, own: Any) -> None:
        super().__init__(manager, own, _VECTOR)


def _spread(builder: Any, value: Any) -> Any:
    """A vector of one number."""
    if value.type == _VECTOR:
        return value
    undefined = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(first, undefined, mask)


def _define(symbol: Callable[..., Any], instruction: str) -> None:
    """Define an operator between vectors, and between a vector and a number."""
    pairs = ((lanes, lanes), (lanes, types.float64), (types.float64, lanes))

    class Template(ConcreteTemplate):  # type: ignore[misc]
        cases = [signature(lanes, *pair) for pair in pairs]  # noqa: RUF012 - as Numba has it

    infer_global(symbol)(Template)

    def lower(context: Any, builder: Any, own: Any, operands: Any) -> Any:
        left, right = (_spread(builder, value) for value in operands)
        return getattr(builder, instruction)(left, right, flags=_CONTRACT)

    for pair in pairs:
        lower_builtin(symbol, *pair)(lower)


_define(operator.add, "fadd")
_define(operator.sub, "fsub")
_define(operator.mul, "fmul")
_define(operator.truediv, "fdiv")


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """The address of a number of an array."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


@_function
def load(typing: Any, array: Any, at: Any) -> Any:
    """Return the eight numbers of an array from place ``at`` on."""

    def code(context: Any, builder: Any, own: Any, values: Any) -> Any:
        address = _place(context, builder, own.args[0], *values)
        read = builder.load(builder.bitcast(address, _VECTOR.as_pointer()))
        read.align = 8
        return read

    return lanes(array, types.intp), code


@_function
def store(typing: Any, array: Any, at: Any, value: Any) -> Any:
    """Write a value to the eight places of an array from ``at`` on."""

    def code(context: Any, builder: Any, own: Any, values: Any) -> Any:
        address = _place(context, builder, own.args[0], *values[:2])
        written = builder.store(values[2], builder.bitcast(address, _VECTOR.as_pointer()))
        written.align = 8
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), code


@_function
def number(typing: Any, array: Any, at: Any) -> Any:
    """Return one number of an array, without the test for a place that counts from its end."""

    def code(context: Any, builder: Any, own: Any, values: Any) -> Any:
        return builder.load(_place(context, builder, own.args[0], *values))

    return array.dtype(array, types.intp), code


@_function
def gather(typing: Any, array: Any, start: Any, places: Any, at: Any) -> Any:
    """Return the numbers of an array at ``start`` + each of eight ``places`` from ``at`` on."""

    def code(context: Any, builder: Any, own: Any, values: Any) -> Any:
        data, start, places, at = values
        made = ir.Constant(_VECTOR, ir.Undefined)
        for lane in range(WIDTH):
            where = builder.add(at, ir.Constant(at.type, lane))
            place = builder.load(_place(context, builder, own.args[2], places, where))
            address = _place(context, builder, own.args[0], data, builder.add(start, place))
            one = ir.Constant(ir.IntType(32), lane)
            made = builder.insert_element(made, builder.load(address), one)
        return made

    return lanes(array, types.intp, places, types.intp), code


@_function
def spread(typing: Any, value: Any) -> Any:
    """Return a value of eight times one number."""
    return lanes(types.float64), lambda context, builder, own, values: _spread(builder, values[0])


@_function
def magnitude(typing: Any, value: Any) -> Any:
    """Return the absolute numbers."""

    def code(context: Any, builder: Any, own: Any, values: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        name = f"llvm.fabs.v{WIDTH}f64"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)

    return lanes(lanes), code


def _chosen(comparison: str) -> Any:
    def code(context: Any, builder: Any, own: Any, values: Any) -> Any:
        left, right = values
        return builder.select(builder.fcmp_ordered(comparison, left, right), left, right)

    return code


@_function
def larger(typing: Any, left: Any, right: Any) -> Any:
    """Return the larger of each two numbers; of NaN and a number the right one."""
    return lanes(lanes, lanes), _chosen(">")


@_function
def smaller(typing: Any, left: Any, right: Any) -> Any:
    """Return the smaller of each two numbers; of NaN and a number the right one."""
    return lanes(lanes, lanes), _chosen("<")


def _selected(comparison: str) -> Any:
    def code(context: Any, builder: Any, own: Any, values: Any) -> Any:
        left, right, then, other = values
        return builder.select(builder.fcmp_ordered(comparison, left, right), then, other)

    return code


@_function
def where_less(typing: Any, left: Any, right: Any, then: Any, other: Any) -> Any:
    """Return ``then`` where left < right, else ``other``, also where one of them is NaN."""
    return lanes(lanes, lanes, lanes, lanes), _selected("<")


@_function
def where_at_most(typing: Any, left: Any, right: Any, then: Any, other: Any) -> Any:
    """Return ``then`` where left <= right, else ``other``, also where one of them is NaN."""
    return lanes(lanes, lanes, lanes, lanes), _selected("<=")


@_function
def single(typing: Any, value: Any) -> Any:
    """Return the numbers rounded to float32."""

    def code(context: Any, builder: Any, own: Any, values: Any) -> Any:
        short = builder.fptrunc(values[0], ir.VectorType(ir.FloatType(), WIDTH))
        return builder.fpext(short, _VECTOR)

    return lanes(lanes), code
