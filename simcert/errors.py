"""What goes wrong, as types: each becomes one clear message and exit status 2."""


class SimcertError(Exception):
    """Base of every error that a user can cause or cure: the message says what, where, how."""


class ModelError(SimcertError):
    """A model file was rejected: unreadable, malformed, or outside what SimCert admits."""


class UnsupportedOperatorError(ModelError):
    """An operator of the model is not known; the pair can still be sampled.

    Attributes:
        operator: ONNX operator type.
        node: name of the node, or of its first output.
    """

    def __init__(self, operator: str, node: str, detail: str = "") -> None:
        self.operator = operator
        self.node = node
        super().__init__(
            f"operator {operator!r} (node {node!r}) is not supported by the symbolic analysis"
            + (f": {detail}" if detail else "")
        )


class PairError(SimcertError):
    """Original and compressed network cannot be compared: other numbers of inputs or outputs."""


class ClaimError(SimcertError):
    """The claim is ill-formed: region, distribution, divergence, tolerance or confidence."""
