"""What a verification found: one verdict, and everything that backs it."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

from simcert.numerals import exact, exact_list

if TYPE_CHECKING:
    from simcert.bounds.layers import LayerBound
    from simcert.claim import Claim
    from simcert.concentration import Concentration
    from simcert.evidence import Evidence
    from simcert.integration import Integral
    from simcert.model import Model
    from simcert.sampling import Statistics

SCHEMA = "simcert-result/0.1"

MAX_WORST = 8
"""Most undecided boxes that a result lists."""

MAX_LISTED_INPUTS = 64
"""Most inputs of which a result lists the bounds of an undecided box."""

_COMPRESSION = "simcert.compression"
_COMPRESSION_BYTES = 1 << 20

_NO_BOUND = "the search ended before every box had a bound"

Stopped: TypeAlias = Literal[
    "finished", "target reached", "time limit", "box limit", "interrupted", "unavailable"
]


class Verdict(StrEnum):
    """The five answers. The first three are different guarantees and are never merged.

    With a tolerance ε the verdict is about the claim. Without one nothing is claimed, and the
    verdict names the strongest guarantee behind the numbers that are shown: ``proved`` (a worst
    case), ``certified`` (a mean, quantiles), or ``inconclusive`` (none).
    """

    PROVED = "proved"
    """d(f(x), g(x)) ≤ ε for every x of the region."""
    BOUNDED = "bounded"
    """P(d > ε) ≤ p, with certainty: no sampling is behind it."""
    CERTIFIED = "certified"
    """P(d > ε) ≤ p, with the claim's confidence over the verifier's own draws."""
    REFUTED = "refuted"
    """A replayed witness has d > ε, or P(d > ε) > p is established."""
    INCONCLUSIVE = "inconclusive"
    """None of these within the budget."""

    @property
    def holds(self) -> bool:
        """Whether this is one of the three guarantees."""
        return self in (Verdict.PROVED, Verdict.BOUNDED, Verdict.CERTIFIED)


@dataclass(frozen=True)
class ModelReference:
    """Which file a result speaks of.

    Attributes:
        path: where it was read from, as given.
        sha256: lower-case hexadecimal digest of the file.
        bytes: size of the file.
        parameters: floating-point numbers among its constants.
        operators: how often each operator occurs after normalisation.
        compression: what the file's metadata says was done to it, first step first; unverified.
        interface: how its inputs and outputs are made from the file's, where they are not these.
        connection: the same in words.
        output_unit: of its outputs, as ``simcert.outputs`` in its metadata says; unverified.
    """

    path: str
    sha256: str
    bytes: int
    parameters: int
    operators: Mapping[str, int]
    compression: tuple[Mapping[str, Any], ...] = ()
    output_unit: str = "output units"
    interface: Mapping[str, Any] | None = None
    connection: str = ""

    @classmethod
    def of(cls, model: "Model") -> Self:
        """Describes a loaded model."""
        constants = model.graph.constants.values()
        return cls(
            path=str(model.path),
            sha256=model.sha256,
            bytes=len(model.data),
            parameters=sum(c.size for c in constants if c.dtype.kind == "f"),
            operators=Counter(node.operator for node in model.graph.nodes),
            compression=recorded(model.graph.metadata),
            output_unit=_output_unit(model.graph.metadata),
            interface=model.interface.to_dict(),
            connection=model.interface.describe(),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "parameters": self.parameters,
            "operators": dict(sorted(self.operators.items())),
            "compression": [dict(step) for step in self.compression],
            **({} if self.interface is None else {"interface": dict(self.interface)}),
        }


def _output_unit(metadata: Mapping[str, str]) -> str:
    """Read the unit of the outputs; anything else than a short text is none."""
    try:
        unit = json.loads(metadata.get("simcert.outputs", "{}"))["unit"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "output units"
    return unit if isinstance(unit, str) and 0 < len(unit) <= 40 else "output units"


@dataclass(frozen=True)
class WorstBox:
    """A box on which the search could not decide the claim.

    Attributes:
        lower: (inputs,) lower corner; empty where there are more than `MAX_LISTED_INPUTS`.
        upper: (inputs,) upper corner; likewise.
        bound: proved upper bound of d on the box; infinite when there is none.
        mass: probability of the box (rounded up).
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    bound: float
    mass: float

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **exact_list("lower", self.lower),
            **exact_list("upper", self.upper),
            **exact("bound", self.bound),
            **exact("mass", self.mass),
        }


@dataclass(frozen=True)
class Proof:
    """What the symbolic analysis established, without any sampling.

    The three masses are probabilities under the claim's distribution; without a tolerance nothing
    is decided and ``undecided_mass`` is 1.

    Attributes:
        bound: proved upper bound of d over the whole region; infinite when there is none.
        per_output: proved upper bounds of |f_i − g_i| over the region; infinite likewise.
        boxes: boxes that were bounded.
        proved_mass: probability of the boxes on which d ≤ ε is proved (rounded down).
        violated_mass: probability of the boxes on which d > ε is proved (rounded down).
        undecided_mass: probability of all other boxes (rounded up).
        complete: every box was decided.
        stopped: why the search ended.
        reason: why a bound is missing or the search could not run, in words; empty otherwise.
        pairing: how the two graphs were aligned, in words.
        worst: the undecided boxes with the largest bounds, at most `MAX_WORST`.
        violated_upper: ``violated_mass``, rounded up.
        integral: P(d > ε) on the undecided boxes by their linear bounds; None where there are none.
        concentration: a bound of d that holds but for a probability η; None where none was asked.
        layers: how large each layer and its difference can be over the region; empty where there
            was no time for it. Nothing rests on them.
    """

    bound: float
    per_output: tuple[float, ...]
    boxes: int
    proved_mass: float
    violated_mass: float
    undecided_mass: float
    complete: bool
    stopped: Stopped
    reason: str = ""
    pairing: str = ""
    worst: tuple[WorstBox, ...] = ()
    violated_upper: float = 0.0
    integral: "Integral | None" = None
    concentration: "Concentration | None" = None
    layers: "tuple[LayerBound, ...]" = ()

    @classmethod
    def unavailable(cls, outputs: int, reason: str) -> Self:
        """The proof of a pair that could not be analysed: everything is undecided."""
        return cls(
            bound=math.inf,
            per_output=(math.inf,) * outputs,
            boxes=0,
            proved_mass=0.0,
            violated_mass=0.0,
            undecided_mass=1.0,
            complete=False,
            stopped="unavailable",
            reason=reason,
        )

    @property
    def not_proved(self) -> float:
        """Upper bound of P(d > ε) that needs no integration: all that is not proved may violate."""
        if self.proved_mass == 1.0:
            return 0.0
        return min(1.0, math.nextafter(1.0 - self.proved_mass, math.inf))

    @property
    def violation_upper(self) -> float:
        """Upper bound of P(d > ε) that is certain: the least that any analysis left."""
        upper = self.not_proved
        if self.integral is not None:
            parts = self.violated_upper, self.integral.upper, self.integral.eta
            upper = min(upper, math.nextafter(math.fsum(parts), math.inf))
        if self.concentration is not None:
            upper = min(upper, self.concentration.violation_upper)
        return upper

    @property
    def violation_lower(self) -> float:
        """Lower bound of P(d > ε) that is certain: the mass that is proved to violate."""
        return self.violated_mass

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **exact("bound", self.bound),
            **exact_list("per_output", self.per_output),
            "boxes": self.boxes,
            **exact("proved_mass", self.proved_mass),
            **exact("violated_mass", self.violated_mass),
            **exact("violated_upper", self.violated_upper),
            **exact("undecided_mass", self.undecided_mass),
            **exact("violation_upper", self.violation_upper),
            "complete": self.complete,
            "stopped": self.stopped,
            "reason": self.reason or (None if math.isfinite(self.bound) else _NO_BOUND),
            "pairing": self.pairing or None,
            "worst": [box.to_dict() for box in self.worst],
            "integral": None if self.integral is None else self.integral.to_dict(),
            "concentration": None if self.concentration is None else self.concentration.to_dict(),
            "layers": [layer.to_dict() for layer in self.layers],
        }


@dataclass(frozen=True)
class Witness:
    """An input on which the two files themselves were run, with what they answered.

    Attributes:
        input: the flattened input, in the model's input type (widened exactly).
        box: index of the region's box that it lies in.
        original_output: outputs of the original, flattened.
        compressed_output: outputs of the compressed network, flattened.
        divergence: d of these two outputs.
        runtime: what ran the files, for example "ONNX Runtime 1.20, ORT_DISABLE_ALL, CPU".
    """

    input: tuple[float, ...]
    box: int
    original_output: tuple[float, ...]
    compressed_output: tuple[float, ...]
    divergence: float
    runtime: str

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            **exact_list("input", self.input),
            "box": self.box,
            **exact_list("original_output", self.original_output),
            **exact_list("compressed_output", self.compressed_output),
            **exact("divergence", self.divergence),
            "runtime": self.runtime,
        }


@dataclass(frozen=True)
class Result:
    """The answer to one claim about one pair of files.

    Attributes:
        verdict: the answer.
        claim: what was asked.
        original: the reference network.
        compressed: the network that is judged against it.
        proof: what the symbolic analysis established.
        statistics: what sampling established; None when nothing was drawn.
        witness: an input on which both files were run: with a tolerance one that exceeds it,
            without one that of the largest divergence found.
        explanation: what backs the verdict, sentence by sentence.
        assumptions: what the verdict takes for granted, sentence by sentence.
        seed: of every random draw.
        threads: that the run was allowed to use.
        elapsed_seconds: wall-clock time of the run.
        versions: of SimCert, of what it computes with and of the platform.
        evidence: how the region was cut, and which parts are not proved.
    """

    verdict: Verdict
    claim: "Claim"
    original: ModelReference
    compressed: ModelReference
    proof: Proof
    statistics: "Statistics | None"
    witness: Witness | None
    explanation: tuple[str, ...]
    assumptions: tuple[str, ...]
    seed: int
    threads: int
    elapsed_seconds: float
    versions: Mapping[str, str]
    evidence: "Evidence | None" = None

    @property
    def passed(self) -> bool | None:
        """Whether the claim holds; None when there is no tolerance, hence nothing to pass."""
        return None if self.claim.tolerance is None else self.verdict.holds

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: plain types, no NaN, no infinity.

        A number that is compared with another one stands twice: ``name`` in decimal and
        ``name_hex`` in hexadecimal. Both are null where there is none; ``reason`` then says why.
        """
        return {
            "schema": SCHEMA,
            "verdict": self.verdict.value,
            "passed": self.passed,
            "claim": self.claim.to_dict(),
            "original": self.original.to_dict(),
            "compressed": self.compressed.to_dict(),
            "proof": self.proof.to_dict(),
            "statistics": _statistics(self.statistics),
            "witness": None if self.witness is None else self.witness.to_dict(),
            "explanation": list(self.explanation),
            "assumptions": list(self.assumptions),
            "seed": self.seed,
            "threads": self.threads,
            "elapsed_seconds": self.elapsed_seconds,
            "versions": dict(self.versions),
            "evidence": None if self.evidence is None else self.evidence.to_dict(),
        }


def _statistics(statistics: "Statistics | None") -> dict[str, Any] | None:
    if statistics is None:
        return None
    return {**statistics.to_dict(), "range_source": statistics.range_source}


def recorded(metadata: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """The steps of compression that a file's metadata names: method, parameters, seed, origin.

    Metadata are bytes from anywhere: a record of another form counts as none, and of a step only
    plain values are kept.
    """
    text = metadata.get(_COMPRESSION, "[]")
    if len(text) > _COMPRESSION_BYTES:
        return ()
    try:
        chain = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(chain, list):
        return ()
    return tuple(_step(entry) for entry in chain if isinstance(entry, dict))


def _step(entry: Mapping[str, Any]) -> dict[str, Any]:
    parameters, seed = entry.get("parameters"), entry.get("seed")
    return {
        "method": str(entry.get("method", "")),
        "parameters": {name: _plain(value) for name, value in parameters.items()}
        if isinstance(parameters, dict)
        else {},
        "seed": seed if isinstance(seed, int) else None,
        "original_sha256": str(entry.get("original_sha256", "")),
    }


def _plain(value: object) -> str | int | float | bool | None:
    if isinstance(value, list):
        return ", ".join(item for item in value if isinstance(item, str))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | bool | int) else None
