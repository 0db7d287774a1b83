"""Reading a query file: a stack machine that reduces each parenthesised form as it closes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import TypeAlias, cast

from simcert.claim.regions.bytes import read_bytes
from simcert.claim.rounding import decimal, is_decimal
from simcert.claim.vnnlib2.linear import Element, Linear
from simcert.claim.vnnlib2.normal_form import Comparison, Formula, Junction, TooLargeError, cases_of
from simcert.claim.vnnlib2.query import REAL, Case, Network, Query, Tensor
from simcert.errors import ClaimError

MAX_BYTES = 64 << 20
"""Of the file, expanded."""

MAX_DEPTH = 64
"""Of nested parentheses."""

MAX_ITEMS = 1 << 20
"""Of one form."""

MAX_ELEMENTS = 1 << 20
"""Of all tensors together."""

MAX_AXES = 16

_SMALLEST = Fraction(1, 10**400)
"""Constants nearer to 0 are refused: written out they would fill the memory."""

_TOKEN = re.compile(r';[^\n]*|[()]|\[[^][()]*\]|"(?:[^"\\]|\\.)*"|[^\s()\[\];"]+|.', re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_VERSION = re.compile(r"<2\.[0-9]{1,3}>")
_FLOATS = (REAL, "float16", "float32", "float64")
_RELATIONS = ("isomorphic-to", "equal-to")


@dataclass(frozen=True)
class _Brackets:
    """A shape or an index."""

    numbers: tuple[int, ...]


@dataclass(frozen=True)
class _Declaration:
    """``declare-input`` or ``declare-output``."""

    kind: str
    tensor: Tensor


@dataclass(frozen=True)
class _Relation:
    """``isomorphic-to`` or ``equal-to``, and what it names."""

    kind: str
    other: str


_Item: TypeAlias = str | _Brackets | _Declaration | _Relation | Linear | Formula


def read_query(path: str | Path) -> Query:
    """The query in a ``.vnnlib`` or ``.vnnlib.gz`` file.

    Args:
        path: the file.

    Returns:
        Its networks, and at least one case.

    Raises:
        ClaimError: a file that is not VNN-LIB 2.0 or goes beyond the limits, names that are not
            declared or declared twice, and whatever is not supported: more than two networks,
            hidden nodes, products of variables, inputs of two networks that are not equal, bounds
            that are missing or leave no input. The message names the line.
    """
    path = Path(path)
    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ClaimError(f"{path} is not text: {error}") from error
    return _Reader(str(path)).read(text, path.name)


class _Reader:
    """The state of reading one file.

    Args:
        where: the file, for error messages.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._line = 1
        self._version = False
        self._networks: list[Network] = []
        self._names: set[str] = set()
        self._tensors: dict[str, tuple[Tensor, Element]] = {}
        self._elements = 0
        self._asserted: list[Formula] = []

    def read(self, text: str, source: str) -> Query:
        """Read the whole file."""
        self._forms(text)
        if not self._networks:
            raise ClaimError(f"{self._where}: no network is declared")
        if not self._asserted:
            raise ClaimError(f"{self._where}: nothing is asserted")
        inputs = [sum(tensor.size for tensor in n.inputs) for n in self._networks]
        names = [f"{t.name}{list(i) if i else ''}" for t, i in _elements(self._networks[0].inputs)]
        try:
            cases: tuple[Case, ...] = cases_of(self._asserted, inputs, names)
        except TooLargeError as error:
            raise ClaimError(f"{self._where}: {error}") from None
        except ClaimError as error:
            raise ClaimError(f"{self._where}: {error}") from error
        return Query(source, tuple(self._networks), cases)

    def _forms(self, text: str) -> None:
        stack: list[list[_Item]] = []
        for self._line, token in _tokens(text):
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
            elif len(stack[-1]) == MAX_ITEMS:
                raise self._error(f"more than {MAX_ITEMS} items in one form")
            else:
                stack[-1].append(self._brackets(token) if token[0] == "[" else token)
        if stack:
            raise self._error(f"{len(stack)} parentheses are not closed")

    def _command(self, form: list[_Item]) -> None:
        match form:
            case ["vnnlib-version", str(version)] if not self._version:
                if not _VERSION.fullmatch(version):
                    raise self._error(f"version {version[:20]} is not supported; write <2.0>")
                self._version = True
            case _ if not self._version:
                raise self._error("a query begins with (vnnlib-version <2.0>)")
            case ["declare-network", str(name), *items] if not self._asserted:
                self._declare(name, items)
            case ["assert", Comparison() | Junction() as formula]:
                self._asserted.append(formula)
            case _:
                raise self._error(
                    f"{_text(form)} is neither a declaration before all assertions nor an assertion"
                )

    # -- declarations ----------------------------------------------------------------------------

    def _declare(self, name: str, items: list[_Item]) -> None:
        if len(self._networks) == 2:
            raise self._error("more than two networks are declared: not supported")
        relations = [item for item in items if isinstance(item, _Relation)]
        tensors = [item for item in items if isinstance(item, _Declaration)]
        if len(relations) + len(tensors) < len(items) or len(relations) > 1:
            raise self._error(
                f"network {name[:40]!r} is declared with something else than inputs, outputs and "
                "at most one relation"
            )
        kinds = [item.kind for item in tensors]
        if kinds != sorted(kinds) or len(set(kinds)) != 2:
            raise self._error(
                f"network {name[:40]!r} must declare its inputs, at least one, and then its outputs"
            )
        number = len(self._networks)
        for kind, letter in (("declare-input", "X"), ("declare-output", "Y")):
            first = 0
            for item in tensors:
                if item.kind == kind:
                    self._name(item.tensor.name)
                    start = Element(letter, number, first)
                    self._tensors[item.tensor.name] = item.tensor, start
                    first += item.tensor.size
        self._name(name)
        relation = relations[0] if relations else _Relation("", "")
        network = Network(
            name,
            relation.kind,
            relation.other,
            tuple(item.tensor for item in tensors if item.kind == "declare-input"),
            tuple(item.tensor for item in tensors if item.kind == "declare-output"),
        )
        self._check_relation(network)
        self._networks.append(network)

    def _name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise self._error(f"{name[:40]!r} is no name: letters, digits and underscores")
        if name in self._names:
            raise self._error(f"{name} is declared twice")
        self._names.add(name)

    def _check_relation(self, network: Network) -> None:
        """Require that related networks are declared alike."""
        if not network.relation:
            return
        if not self._networks or self._networks[0].name != network.other:
            raise self._error(f"{network.relation} {network.other[:40]}: no such network before it")
        first = self._networks[0]
        for mine, its in ((network.inputs, first.inputs), (network.outputs, first.outputs)):
            if [t.shape for t in mine] != [t.shape for t in its]:
                raise self._error(f"{network.name} and {first.name} have tensors of other shapes")
            if network.relation == "equal-to" and [t.element for t in mine] != [
                t.element for t in its
            ]:
                raise self._error(f"{network.name} and {first.name} have tensors of other types")

    def _tensor(self, name: str, element: str, shape: tuple[int, ...]) -> Tensor:
        tensor = Tensor(name, element.lower(), shape)
        if tensor.element not in _FLOATS:
            raise self._error(
                f"{name[:40]!r} has element type {element[:20]!r}; known: {', '.join(_FLOATS)}"
            )
        if 0 in shape or len(shape) > MAX_AXES:
            raise self._error(f"{name[:40]!r} has shape {list(shape)[:MAX_AXES]}: not supported")
        self._elements += tensor.size
        if self._elements > MAX_ELEMENTS:
            raise self._error(f"the tensors have more than {MAX_ELEMENTS} elements")
        return tensor

    # -- formulas --------------------------------------------------------------------------------

    def _reduce(self, form: list[_Item]) -> _Item:
        """The value of an inner form."""
        match form:
            case ["declare-input" | "declare-output" as kind, str(name), str(element), _Brackets()]:
                shape = cast(_Brackets, form[3]).numbers
                return _Declaration(kind, self._tensor(name, element, shape))
            case ["isomorphic-to" | "equal-to" as kind, str(other)]:
                return _Relation(kind, other)
            case ["and" | "or" as connective, *parts] if parts:
                formulas = [p for p in parts if isinstance(p, Comparison | Junction)]
                if len(formulas) < len(parts):
                    raise self._error(f"{_text(form)} joins something that is not a comparison")
                return Junction(connective, tuple(formulas))
            case ["<=" | "<" | ">=" | ">" | "==" | "!=" as sign, *operands]:
                return self._comparison(sign, self._operands(operands), form)
            case ["+" | "-" | "*" as operator, *operands]:
                return self._arithmetic(operator, self._operands(operands), form)
        raise self._error(
            f"{_text(form)} is not supported; a query is made of <=, <, >=, >, ==, !=, and, or, "
            "+, -, * and declarations of networks with inputs and outputs"
        )

    def _comparison(self, sign: str, operands: list[Linear], form: list[_Item]) -> Formula:
        if len(operands) != 2:
            raise self._error(f"{_text(form)} does not compare two numbers")
        left, right = operands
        if not (left.coefficients or right.coefficients):
            raise self._error(f"{_text(form)} compares two constants")
        try:
            below = left + right.times(Fraction(-1))
            above = right + left.times(Fraction(-1))
        except OverflowError:
            raise self._error("a number with too many digits") from None
        match sign:
            case "<=" | "<":
                return Comparison(below, strict=sign == "<")
            case ">=" | ">":
                return Comparison(above, strict=sign == ">")
            case "==":
                return Junction("and", (Comparison(below), Comparison(above)))
        return Junction("or", (Comparison(below, strict=True), Comparison(above, strict=True)))

    def _arithmetic(self, operator: str, operands: list[Linear], form: list[_Item]) -> Linear:
        if len(operands) < (1 if operator == "-" else 2):
            raise self._error(f"{_text(form)} has too few operands")
        first, *others = operands
        try:
            match operator:
                case "+":
                    return Linear.sum(operands)
                case "-" if not others:
                    return first.times(Fraction(-1))
                case "-":
                    return first + Linear.sum(others).times(Fraction(-1))
            for other in others:
                if first.coefficients and other.coefficients:
                    raise self._error(f"{_text(form)} multiplies variables: not supported")
                factor, linear = (other, first) if first.coefficients else (first, other)
                first = linear.times(factor.constant)
        except OverflowError:
            raise self._error("a number with too many digits") from None
        return first

    def _operands(self, items: Sequence[_Item]) -> list[Linear]:
        """The operands of a comparison or of arithmetic: constants, elements and expressions."""
        operands: list[Linear] = []
        position = 0
        while position < len(items):
            item = items[position]
            following = items[position + 1] if position + 1 < len(items) else None
            position += 1
            match item:
                case Linear():
                    operands.append(item)
                case str() if is_decimal(item):
                    operands.append(Linear(constant=self._constant(item)))
                case str() if isinstance(following, _Brackets):
                    operands.append(self._element(item, following.numbers))
                    position += 1
                case str():
                    operands.append(self._element(item, ()))
                case _:
                    raise self._error("an operand is neither a number nor an element of a tensor")
        return operands

    def _constant(self, text: str) -> Fraction:
        value = decimal(text, self._place())
        if value and abs(value).adjusted() < -400:
            raise self._error(f"{text[:20]} is too close to 0")
        return Fraction(value)

    def _element(self, name: str, index: tuple[int, ...]) -> Linear:
        if name not in self._tensors:
            raise self._error(f"{name[:40]!r} is neither a declared variable nor a number")
        tensor, start = self._tensors[name]
        if len(index) != len(tensor.shape) or any(
            i >= n for i, n in zip(index, tensor.shape, strict=False)
        ):
            raise self._error(f"{name}{list(index)[:MAX_AXES]} is outside of {list(tensor.shape)}")
        flat = 0
        for i, size in zip(index, tensor.shape, strict=True):
            flat = flat * size + i
        return Linear({start._replace(position=start.position + flat): Fraction(1)})

    def _brackets(self, token: str) -> _Brackets:
        if len(token) < 2:
            raise self._error("a bracket is not closed")
        words = token[1:-1].split(",") if token[1:-1].strip() else []
        numbers = [word.strip() for word in words]
        if not all(
            number.isascii() and number.isdigit() and len(number) < 10 for number in numbers
        ):
            raise self._error(f"{token[:40]} is no list of sizes or indices")
        return _Brackets(tuple(map(int, numbers)))

    def _place(self) -> str:
        return f"{self._where}, line {self._line}"

    def _error(self, problem: str) -> ClaimError:
        return ClaimError(f"{self._place()}: {problem}")


def _tokens(text: str) -> Iterator[tuple[int, str]]:
    """The line and the text of each token; a comment lasts to the end of its line."""
    line, counted = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", counted, match.start())
        counted = match.start()
        if match[0][0] != ";" and not match[0].isspace():
            yield line, match[0]


def _elements(tensors: Sequence[Tensor]) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
    """The elements of tensors in flat order, with their indices."""
    for tensor in tensors:
        for index in product(*map(range, tensor.shape)):
            yield tensor, index


def _text(form: Sequence[_Item]) -> str:
    """The beginning of a form, for an error message."""
    words = (item[:20] if isinstance(item, str) else "…" for item in form[:4])
    return f"({' '.join(words)}{' …' if len(form) > 4 else ''})"
