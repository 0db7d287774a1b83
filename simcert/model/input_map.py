"""Input maps: from the space that claims speak of to what a file reads.

Two files of one network may want the same image in other units (0 to 255 or 0 to 1) and layouts
(NHWC or NCHW). A map says how a file's input is made from the common one:

    input = scale · permuted(common) + offset          (then rounded, for a file of integers)

so that one region and one ε speak of both files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simcert.errors import ClaimError
from simcert.model.graph import Array, Node

Float = NDArray[np.float64]

_KEYS = ("input", "scale", "offset", "axis", "layout", "shape")


@dataclass(frozen=True)
class InputMap:
    """How one input tensor of a file is made from its part of the common input.

    Attributes:
        scale: one factor, or one for each index of ``axis``.
        offset: one summand, or one for each index of ``axis``.
        axis: of the file's tensor, where there are several factors or summands.
        source: layout of the common input, one letter an axis, such as "nhwc"; empty if it is that
            of the file. A batch of one, n, may be left out.
        target: layout of the file's input, in the same letters.
        shape: of the file's input in the layout ``target``, if the file declares another one.

    Raises:
        ClaimError: values that are not finite, a factor of 0, or layouts that do not fit together.
    """

    scale: tuple[float, ...] = (1.0,)
    offset: tuple[float, ...] = (0.0,)
    axis: int | None = None
    source: str = ""
    target: str = ""
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (*self.scale, *self.offset))) or 0.0 in self.scale:
            raise ClaimError("input map: scales and offsets are finite, and scales not 0")
        if (len(self.scale) > 1 or len(self.offset) > 1) and self.axis is None:
            raise ClaimError("input map: several scales or offsets need axis=, of the file's input")
        for layout in (self.source, self.target):
            if len(set(layout)) < len(layout):
                raise ClaimError(f"input map: layout {layout!r} has a letter twice")
        if set(self.source) - {"n"} != set(self.target) - {"n"} or bool(self.source) != bool(
            self.target
        ):
            raise ClaimError(
                f"input map: layouts {self.source!r} and {self.target!r} must have the same letters"
            )

    def rounded(self, dtype: np.dtype[np.generic]) -> InputMap:
        """The map with numbers of a type, so that files and analysis use the same ones.

        Raises:
            ClaimError: a number that the type does not hold.
        """
        with np.errstate(over="ignore", under="ignore"):
            scale, offset = (
                tuple(np.array(values).astype(dtype).astype(np.float64).tolist())
                for values in (self.scale, self.offset)
            )
        return replace(self, scale=scale, offset=offset)

    @property
    def identity(self) -> bool:
        """Whether the common input is handed on as it is."""
        return self.scale == (1.0,) and self.offset == (0.0,) and self.source == self.target

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "scale": [value.hex() for value in self.scale],
            "offset": [value.hex() for value in self.offset],
            "axis": self.axis,
            "layout": f"{self.source}-{self.target}" if self.source else None,
            "shape": list(self.shape) or None,
        }

    def describe(self) -> str:
        """The map in words."""
        parts = []
        if self.source != self.target:
            parts.append(f"{self.source} → {self.target}")
        if self.scale != (1.0,):
            parts.append("× " + _numbers(self.scale))
        if self.offset != (0.0,):
            parts.append("+ " + _numbers(self.offset))
        return ", ".join(parts) or "as it is"

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a map that does not fit an input of this shape.

        Raises:
            ClaimError: saying why.
        """
        self._factors(self._sizes(shape)[2])

    def apply(self, x: Float, shape: tuple[int, ...]) -> Float:
        """Map inputs.

        Args:
            x: (n, elements) in the common space.
            shape: of one sample of the file's input.

        Returns:
            (n, *shape[1:]) where the leading size is the batch, not rounded yet.
        """
        before, order, after = self._sizes(shape)
        value = x.reshape(len(x), *before)
        value = value.transpose(0, *(1 + axis for axis in order)).reshape(len(x), *after)
        scale, offset = self._factors(after)
        value = value * scale + offset
        return value.reshape(len(x), *shape)

    def nodes(
        self, source: str, target: str, shape: tuple[int, ...], dtype: np.dtype[np.generic]
    ) -> tuple[list[Node], dict[str, Array]]:
        """The same as nodes and constants of a graph, on one sample.

        Args:
            source: name of the tensor with the flat common input.
            target: name of the tensor to make.
            shape: of one sample of it.
            dtype: that scale and offset are numbers of.
        """
        before, order, after = self._sizes(shape)
        nodes: list[Node] = []
        constants: dict[str, Array] = {}
        current = source

        def add(operator: str, operand: Array | None, **attributes: Any) -> None:
            nonlocal current
            name = f"{target}.simcert.{len(nodes)}"
            inputs = [current]
            if operand is not None:
                constants[f"{name}.operand"] = operand
                inputs.append(f"{name}.operand")
            nodes.append(Node(operator, name, tuple(inputs), (name,), attributes))
            current = name

        if order != tuple(range(len(order))):
            add("Reshape", np.array(before, np.int64))
            add("Transpose", None, perm=order)
        add("Reshape", np.array(after, np.int64))
        scale, offset = self._factors(after)
        if self.scale != (1.0,):
            add("Mul", scale.astype(dtype))
        if self.offset != (0.0,):
            add("Add", offset.astype(dtype))
        add("Reshape", np.array(shape, np.int64))
        last = nodes[-1]
        nodes[-1] = Node(last.operator, last.name, last.inputs, (target,), last.attributes)
        return nodes, constants

    def _sizes(
        self, shape: tuple[int, ...]
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """The common shape, the order of its axes in the file's, and the shape they make there.

        Raises:
            ClaimError: the file's input has another number of elements or axes.
        """
        after = self.shape or shape
        if math.prod(after) != math.prod(shape):
            raise ClaimError(f"input map: shape {after} does not fit an input of shape {shape}")
        if not self.source:
            return after, tuple(range(len(after))), after
        if len(after) != len(self.target):
            raise ClaimError(
                f"input map: layout {self.target!r} does not fit an input of shape {after}; "
                "say which with shape="
            )
        sizes = dict(zip(self.target, after, strict=True))
        if "n" in sizes and "n" not in self.source and sizes["n"] != 1:
            raise ClaimError(f"input map: axis n of shape {after} is more than one sample")
        letters = self.source
        # An axis n that only one layout has is a batch of one: it may stand anywhere.
        if "n" in sizes and "n" not in letters:
            letters = "n" + letters
        if "n" in letters and "n" not in sizes:
            letters = letters.replace("n", "")
        before = tuple(sizes[letter] for letter in letters)
        return before, tuple(letters.index(letter) for letter in self.target), after

    def _factors(self, shape: tuple[int, ...]) -> tuple[Float, Float]:
        """Scale and offset, ready to be broadcast over a tensor of this shape."""
        return self._spread(self.scale, shape), self._spread(self.offset, shape)

    def _spread(self, values: tuple[float, ...], shape: tuple[int, ...]) -> Float:
        if len(values) == 1:
            return np.array(values[0])
        assert self.axis is not None  # noqa: S101 - checked when the map is made
        if not 0 <= self.axis < len(shape) or shape[self.axis] != len(values):
            raise ClaimError(
                f"input map: {len(values)} values do not fit axis {self.axis} of shape {shape}"
            )
        sizes = [1] * len(shape)
        sizes[self.axis] = len(values)
        return np.array(values).reshape(sizes)


IDENTITY = InputMap()


def parse(text: str) -> tuple[str, InputMap]:
    """A map as on the command line, and the input tensor that it is for (empty: the only one).

    ``scale=1/255,offset=-0.5,layout=nhwc-nchw`` or
    ``input=image,scale=2;4;8,offset=1;2;3,axis=1,shape=1x3x32x32``.

    Raises:
        ClaimError: a text of another form.
    """
    options: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not (equals and value) or key in options or key not in _KEYS:
            raise ClaimError(
                f"input map {text!r}: write key=value,key=value, each once, with the keys "
                f"{', '.join(_KEYS)}"
            )
        options[key] = value
    source, dash, target = options.get("layout", "").partition("-")
    if "layout" in options and not (dash and (source + target).isalpha()):
        raise ClaimError(f"input map {text!r}: a layout is written nhwc-nchw")
    return options.get("input", ""), InputMap(
        scale=_values(options.get("scale", "1"), text),
        offset=_values(options.get("offset", "0"), text),
        axis=_whole(options["axis"], text) if "axis" in options else None,
        source=source.lower(),
        target=target.lower(),
        shape=tuple(_whole(size, text) for size in options["shape"].split("x"))
        if "shape" in options
        else (),
    )


def _values(text: str, where: str) -> tuple[float, ...]:
    values = []
    for part in text.split(";"):
        numerator, slash, denominator = part.partition("/")
        try:
            divisor = float(denominator) if slash else 1.0
            values.append(float(numerator) / divisor)
        except (ValueError, ZeroDivisionError):
            raise ClaimError(f"input map {where!r}: {part!r} is not a number") from None
    return tuple(values)


def _whole(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ClaimError(f"input map {where!r}: {text!r} is not a whole number")
    return int(text)


def _numbers(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"({', '.join(f'{v:g}' for v in values)})"


def maps_of(texts: tuple[str, ...], names: tuple[str, ...], where: str) -> Mapping[str, InputMap]:
    """The maps for the inputs of one file.

    Args:
        texts: maps as on the command line.
        names: of the file's inputs.
        where: the file, for error messages.

    Raises:
        ClaimError: an input that is not there or has two maps.
    """
    maps: dict[str, InputMap] = {}
    for text in texts:
        name, made = parse(text)
        if not name and len(names) == 1:
            name = names[0]
        if name not in names or name in maps:
            raise ClaimError(
                f"{where}: input map {text!r}: say once for each input with input=; the inputs are "
                f"{', '.join(names)}"
            )
        maps[name] = made
    return maps
