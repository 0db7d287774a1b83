"""Regions from VNN-LIB 1.0 files: the input part of the property, as a union of boxes.

    (declare-const X_0 Real)  (declare-const Y_0 Real)
    (assert (<= X_0 0.5))     (assert (or (and (>= X_0 0) (<= Y_0 1)) (and ...)))

Bounds of single inputs by decimal constants, combined by ``and`` and ``or``, are brought into
disjunctive normal form. What is said of the outputs must be well-formed and is then dropped: it
encodes unsafe behaviour of one network, and SimCert compares two. Dropping it makes the region
larger, never smaller. Constants are rounded outward to float64.

The reader is a stack machine that reduces each parenthesised form as it closes.

Standard: https://www.vnnlib.org (Demarchi et al., VNN-LIB 1.0)
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from simcert.claim.region import Region
from simcert.claim.regions.bytes import read_bytes
from simcert.claim.rounding import decimal, float_above, float_below, is_decimal
from simcert.errors import ClaimError

MAX_BYTES = 64 << 20
"""Of the file, expanded."""

MAX_DEPTH = 64
"""Of nested parentheses."""

MAX_FORMS = 1 << 20
"""Parenthesised forms; a box of an ImageNet image has 750 thousand."""

MAX_TOKENS = 3_500_000
"""Words and parentheses."""

MAX_INPUTS = 1 << 20
MAX_BOXES = 10_000
MAX_BOUNDS = 1 << 22
"""Boxes times inputs while the normal form is built."""

_COMMENT = re.compile(r";[^\n]*")
_TOKEN = re.compile(r"[()]|[^\s()]+")
_VARIABLE = re.compile(r"([XY])_(0|[1-9][0-9]{0,6})")

Interval = tuple[Decimal | None, Decimal | None]
"""Lower and upper bound; None where there is none."""

Box = dict[int, Interval]
"""Bounds of some inputs; the others are unbounded."""

Formula = list[Box]
"""A union of boxes. A statement about outputs alone restricts no input: it is ``[{}]``."""

Item = str | Decimal | Formula


def read(path: Path, inputs: int) -> Region:
    """The region in a ``.vnnlib`` or ``.vnnlib.gz`` file.

    Args:
        path: the file.
        inputs: number of inputs of the networks.

    Raises:
        ClaimError: a file that is not VNN-LIB 1.0 or goes beyond the limits, input constraints
            that are not bounds of single inputs, missing or inverted bounds, another number of
            inputs.
    """
    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ClaimError(f"{path} is not text: {error}") from error
    reader = _Reader(str(path))
    reader.read(text)
    if reader.inputs != inputs:
        raise ClaimError(
            f"{path} declares {reader.inputs} inputs, but the networks have {inputs} inputs"
        )
    boxes = reader.boxes()
    return Region.from_boxes(
        [[float_below(low) for low, _ in box] for box in boxes],
        [[float_above(high) for _, high in box] for box in boxes],
        source=path.name,
    )


class _Reader:
    """The state of reading one file: what was declared, and what was asserted.

    Args:
        where: the file, for error messages.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._text = ""
        self._at = 0
        self._declared: set[str] = set()
        self._asserted: list[Formula] = []
        self.inputs = 0

    def read(self, text: str) -> None:
        """Read the whole file; all names must be declared before they are used."""
        self._text = _COMMENT.sub("", text)
        if self._text.count("(") > MAX_FORMS:
            raise self._error(f"more than {MAX_FORMS} opening parentheses")
        stack: list[list[Item]] = []
        for count, match in enumerate(_TOKEN.finditer(self._text)):
            self._at, token = match.start(), match[0]
            if count == MAX_TOKENS:
                raise self._error(f"more than {MAX_TOKENS} words and parentheses")
            if token == "(":  # noqa: S105
                stack.append([])
                if len(stack) > MAX_DEPTH:
                    raise self._error(f"more than {MAX_DEPTH} nested parentheses")
            elif not stack:
                raise self._error(f"{token[:40]!r} stands outside of parentheses")
            elif token == ")":  # noqa: S105
                form = stack.pop()
                if stack:
                    stack[-1].append(self._reduce(form))
                else:
                    self._command(form)
            else:
                stack[-1].append(token)
        if stack:
            raise self._error(f"{len(stack)} parentheses are not closed")

    def boxes(self) -> list[list[tuple[Decimal, Decimal]]]:
        """The bounds of all inputs in each box of what was asserted, without repetitions."""
        return [
            self._complete(index, box)
            for index, box in enumerate(_distinct(self._all(self._asserted)))
        ]

    def _complete(self, index: int, box: Box) -> list[tuple[Decimal, Decimal]]:
        bounds = []
        for i in range(self.inputs):
            low, high = box.get(i, (None, None))
            if low is None or high is None:
                side = "lower" if low is None else "upper"
                raise ClaimError(f"{self._where}: X_{i} has no {side} bound in box {index}")
            if low > high:
                raise ClaimError(
                    f"{self._where}: X_{i} is bounded by [{low}, {high}] in box {index}; "
                    "the lower bound is above the upper bound"
                )
            bounds.append((low, high))
        return bounds

    def _command(self, form: list[Item]) -> None:
        match form:
            case ["declare-const", str(name), "Real"]:
                self._declare(name)
            case ["assert", list(formula)]:
                self._asserted.append(formula)
            case _:
                raise self._error(
                    f"{_text(form)} is neither a declaration of a Real nor an assertion"
                )

    def _declare(self, name: str) -> None:
        variable = _VARIABLE.fullmatch(name)
        if variable is None:
            raise self._error(f"{name[:40]!r} is declared; names are X_0, X_1, ..., Y_0, Y_1, ...")
        if name in self._declared:
            raise self._error(f"{name} is declared twice")
        kind, index = variable[1], int(variable[2])
        if index and f"{kind}_{index - 1}" not in self._declared:
            raise self._error(
                f"{name} is declared, but {kind}_{index - 1} is not declared before it"
            )
        if index >= MAX_INPUTS:
            raise self._error(f"more than {MAX_INPUTS} names are declared")
        self._declared.add(name)
        if kind == "X":
            self.inputs = index + 1

    def _reduce(self, form: list[Item]) -> Item:
        """The value of an inner form: a formula, or a negative constant."""
        match form:
            case ["<=", str() | Decimal() as low, str() | Decimal() as high]:
                return self._ordered(low, high)
            case [">=", str() | Decimal() as high, str() | Decimal() as low]:
                return self._ordered(low, high)
            case ["and" | "or" as connective, *parts] if parts:
                formulas = [part for part in parts if isinstance(part, list)]
                if len(formulas) < len(parts):
                    raise self._error(f"{_text(form)} joins something that is not a comparison")
                return self._all(formulas) if connective == "and" else self._any(formulas)
            case ["-", str(text)] if is_decimal(text):
                return decimal(text, self).copy_negate()
        raise self._error(
            f"{_text(form)} is not understood; a property is made of <= and >= between a name and "
            "a constant or between outputs, and of and, or"
        )

    def _ordered(self, left: str | Decimal, right: str | Decimal) -> Formula:
        """The statement left <= right: a bound of an input, or nothing for outputs."""
        low, high = self._operand(left), self._operand(right)
        if isinstance(low, Decimal) and isinstance(high, Decimal):
            raise self._error("two constants are compared")
        if isinstance(low, Decimal):
            return [{high: (low, None)}] if isinstance(high, int) else [{}]
        if isinstance(high, Decimal):
            return [{low: (None, high)}] if isinstance(low, int) else [{}]
        if isinstance(low, int) or isinstance(high, int):
            raise self._error(
                "an input is compared with another name; a region is made of bounds by constants"
            )
        return [{}]

    def _operand(self, item: str | Decimal) -> Decimal | int | None:
        """A constant, the index of an input, or None for an output."""
        if isinstance(item, Decimal):
            return item
        if is_decimal(item):
            return decimal(item, self)
        if item not in self._declared:
            raise self._error(f"{item[:40]!r} is neither a declared name nor a decimal constant")
        return int(item[2:]) if item[0] == "X" else None

    def _any(self, formulas: Sequence[Formula]) -> Formula:
        """The union. If one part restricts no input, neither does the union."""
        union = _distinct(box for formula in formulas for box in formula)
        self._check_count(len(union))
        return [{}] if {} in union else union

    def _all(self, formulas: Sequence[Formula]) -> Formula:
        """The intersection. Single boxes, the usual case, are intersected first."""
        common: Box = {}
        for formula in formulas:
            if len(formula) == 1:
                _narrow(common, formula[0])
        result = [common]
        for formula in formulas:
            if len(formula) > 1:
                self._check_count(len(result) * len(formula))
                result = [_narrow(dict(box), other) for box in result for other in formula]
        return result

    def _check_count(self, boxes: int) -> None:
        if boxes > MAX_BOXES or boxes * max(self.inputs, 1) > MAX_BOUNDS:
            raise self._error(
                f"the property is a union of {boxes} boxes or more; at most {MAX_BOXES}, and "
                f"{MAX_BOUNDS} bounds"
            )

    def __str__(self) -> str:
        """Where the reader is; worked out only for a message."""
        line = 1 + self._text.count("\n", 0, self._at)
        return f"{self._where}, line {line}"

    def _error(self, problem: str) -> ClaimError:
        return ClaimError(f"{self}: {problem}")


def _narrow(box: Box, other: Box) -> Box:
    """Intersect ``box`` with ``other``, in place."""
    for index, (low, high) in other.items():
        lower, upper = box.get(index, (None, None))
        if low is not None:
            lower = low if lower is None else max(lower, low)
        if high is not None:
            upper = high if upper is None else min(upper, high)
        box[index] = lower, upper
    return box


def _distinct(boxes: Iterable[Box]) -> Formula:
    """The boxes in order, each once."""
    return list({frozenset(box.items()): box for box in boxes}.values())


def _text(form: Sequence[Item]) -> str:
    """The beginning of a form, for an error message."""
    words = (item[:20] if isinstance(item, str) else "…" for item in form[:4])
    return f"({' '.join(words)}{' …' if len(form) > 4 else ''})"
