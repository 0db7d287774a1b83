"""Files that draw random numbers: no two runs of them need agree, so nothing can be shown of one.

The checker looks at all nodes of a file, also in subgraphs, and before it reads or runs anything.
"""

from __future__ import annotations

from simcert.checker.errors import CannotCheckError
from simcert.checker.onnxfile import tensor
from simcert.checker.protobuf import Message

_DRAWING = {"bernoulli", "multinomial", "sampling"}

_TRAINING = 2
"""Operand of Dropout that says whether numbers are drawn."""


def refuse_chance(model: bytes) -> None:
    """Require that a file draws no random numbers.

    Raises:
        CannotCheckError: it does, or may do so.
    """
    _refuse(Message(model).message(7), frozenset())


def _refuse(graph: Message, outer: frozenset[str]) -> None:
    """Look at the nodes of a graph, given names of constants around it that are false."""
    nodes = graph.messages(1)
    constants = {proto.text(8): proto for proto in graph.messages(5)}
    for node in nodes:
        if node.text(4) == "Constant":
            values = [a.message(5) for a in node.messages(5) if a.text(1) == "value"]
            constants.update(zip(node.texts(2), values, strict=False))
    false = outer | {name for name, proto in constants.items() if _is_false(proto)}
    for node in nodes:
        operator, operands = node.text(4), node.texts(1)
        training = operands[_TRAINING] if len(operands) > _TRAINING else ""
        drops = operator.lower().endswith("dropout") and training and training not in false
        if operator.lower() in _DRAWING or "random" in operator.lower() or drops:
            raise CannotCheckError(
                f"the operator {operator} draws random numbers: no two runs need agree"
            )
        for attribute in node.messages(5):
            for inner in (*attribute.messages(6), *attribute.messages(11)):
                _refuse(inner, false)


def _is_false(proto: Message) -> bool:
    return proto.integer(2) == 9 and not tensor(proto).any()
