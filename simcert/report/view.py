"""A result as every renderer reads it: typed, from files as well as from live objects.

All text in a view is printable (see ``printable``): names and units come from files that anybody
may have written. What is compared is exact; what is written is rounded outward where it is written.
"""

import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from simcert.numerals import exact, format_lower, format_upper, percent_upper
from simcert.report.words import (
    ARITHMETICS,
    HEADLINES,
    HEADLINES_WITHOUT_TOLERANCE,
    METHODS,
    confidence_percent,
)
from simcert.result import Verdict


@dataclass(frozen=True)
class Step:
    """What was done to a network, by its own metadata: a method and its parameters."""

    method: str
    parameters: Mapping[str, str]
    seed: str = ""
    original_sha256: str = ""


@dataclass(frozen=True)
class Network:
    """One of the two files.

    Attributes:
        name: of the file, without its folder.
        sha256: of the file.
        bytes: size; None where it is not known.
        parameters: None likewise.
        operators: how often each occurs.
        compression: first step first.
        connection: how its inputs and outputs are made from the file's, in words; empty where they
            are these.
    """

    name: str
    sha256: str
    bytes: int | None = None
    parameters: int | None = None
    operators: Mapping[str, int] = field(default_factory=dict)
    compression: tuple[Step, ...] = ()
    connection: str = ""


@dataclass(frozen=True)
class Interval:
    """Bounds of one input."""

    name: str
    unit: str
    lower: float
    upper: float


@dataclass(frozen=True)
class Claim:
    """What was asked.

    Attributes:
        sentence: in words, with units.
        region: where it comes from.
        region_sha256: of its bounds and weights.
        boxes: of the region.
        inputs: of the networks.
        intervals: of the inputs, of a region with one box; empty where they are not listed.
        names: of the inputs; empty when unknown.
        units: of the inputs; likewise.
    """

    sentence: str
    region: str
    region_sha256: str
    boxes: int
    inputs: int
    intervals: tuple[Interval, ...]
    names: tuple[str, ...]
    units: tuple[str, ...]
    distribution: str
    divergence: str
    decision: str
    outputs: tuple[int, ...]
    unit: str
    tolerance: float | None
    max_violation: float | None
    confidence: float
    arithmetic: str

    @property
    def yes_or_no(self) -> bool:
        """Whether d is 0 or 1."""
        return self.unit == "disagreement"

    @property
    def numbers(self) -> str:
        """The arithmetic in words."""
        return ARITHMETICS.get(self.arithmetic, self.arithmetic)


@dataclass(frozen=True)
class Box:
    """An undecided box; its corners are empty where they are not listed."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    bound: float
    mass: float


@dataclass(frozen=True)
class Layer:
    """Proved max |a| and max |δ| of a layer that both networks have, over the region."""

    original: str
    compressed: str
    neurons: int
    magnitude: float
    difference: float

    @property
    def name(self) -> str:
        """Its label in the original, and in the compressed network where that is another one."""
        same = self.original == self.compressed
        return self.original if same else f"{self.original} / {self.compressed}"


@dataclass(frozen=True)
class Integral:
    """P(d > ε) on ``boxes`` of probability at most ``mass``, by their linear bounds.

    ``methods`` are what each method gives alone, ``curve`` pairs (t, bound of P(d > t) there), and
    ``eta`` is the probability that a linear bound does not hold, not contained in the others.
    """

    boxes: int
    mass: float
    upper: float
    methods: tuple[tuple[str, float], ...]
    eta: float
    curve: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Spent:
    """What the intervals of one tensor cost of η."""

    layer: str
    tensor: str
    bounds: int
    eta: float


@dataclass(frozen=True)
class Concentration:
    """d ≤ ``bound`` but for a probability ``spent`` ≤ ``eta`` over the inputs, with certainty."""

    eta: float
    bound: float
    spent: float
    ledger: tuple[Spent, ...]
    reason: str


@dataclass(frozen=True)
class Proof:
    """What holds without any draw; bounds that do not exist are infinite."""

    bound: float
    per_output: tuple[float, ...]
    boxes: int
    proved_mass: float
    violated_mass: float
    undecided_mass: float
    violation_upper: float
    complete: bool
    stopped: str
    reason: str
    pairing: str
    worst: tuple[Box, ...]
    violated_upper: float = 1.0
    integral: Integral | None = None
    concentration: Concentration | None = None
    layers: tuple[Layer, ...] = ()

    @property
    def curve(self) -> tuple[tuple[float, float], ...]:
        """Pairs (t, p) with P(d > t) ≤ p, with certainty, from what was integrated."""
        if self.integral is None:
            return ()
        outside = (self.violated_upper, self.integral.eta)
        return tuple(
            (t, min(1.0, math.nextafter(math.fsum((upper, *outside)), math.inf)))
            for t, upper in self.integral.curve
        )


@dataclass(frozen=True)
class Quantile:
    """P(d > upper) ≤ 1 − level."""

    level: float
    upper: float


@dataclass(frozen=True)
class OutputStatistics:
    """What draws say of |f_i − g_i| of output i, about the whole region."""

    output: int
    maximum: float
    quantiles: tuple[Quantile, ...]


@dataclass(frozen=True)
class Histogram:
    """Draws in bins of equal width from 0 to ``upper``."""

    upper: float
    counts: tuple[int, ...]
    infinite: int

    @property
    def edges(self) -> Iterator[tuple[float, float, int]]:
        """Lower edge, upper edge and count of each bin."""
        bins = len(self.counts)
        for index, count in enumerate(self.counts):
            yield self.upper * index / bins, self.upper * (index + 1) / bins, count


@dataclass(frozen=True)
class Statistics:
    """What draws from the undecided part established, about the whole region.

    ``curve`` are quantiles that hold at once, with growing levels: a staircase above P(d > t).
    ``integrated_mass`` is the probability of undecided boxes that are not drawn from, because
    integrated linear bounds leave P(d > ε) ≤ ``integrated_upper`` there. A certificate has no
    ``range`` and no mean.
    """

    method: str
    stopped: str
    drawn: int
    samples: int
    violations: int | None
    violation_upper: float | None
    violation_lower: float | None
    mean_upper: float | None
    mean_method: str
    mean_reason: str
    maximum: float | None
    quantiles: tuple[Quantile, ...]
    range: float | None
    range_source: str
    range_exceeded: bool
    sampled_mass: float
    confidence: float
    family: int
    ledger: tuple[tuple[str, float], ...]
    seed: int | None
    plan_sha256: str
    histogram: Histogram | None
    curve: tuple[Quantile, ...] = ()
    per_output: tuple[OutputStatistics, ...] = ()
    integrated_mass: float = 0.0
    integrated_upper: float = 0.0

    @property
    def stated(self) -> tuple[Quantile, ...]:
        """The quantiles of the curve; of equal bounds the highest level, which implies the rest."""
        return tuple({q.upper: q for q in self.curve}.values())

    @property
    def certainty(self) -> str:
        """How sure the statements are, in words."""
        if self.confidence == 1.0:
            return "with certainty"
        return f"with confidence {confidence_percent(self.confidence)}"


@dataclass(frozen=True)
class Witness:
    """An input on which both files were run."""

    input: tuple[float, ...]
    box: int
    original_output: tuple[float, ...]
    compressed_output: tuple[float, ...]
    divergence: float
    runtime: str


@dataclass(frozen=True)
class Shares:
    """The probability of the region, divided by what is known of d ≤ ε there.

    The first three are guarantees of different kinds, and each is what its kind adds to the ones
    before it.
    """

    proved: float
    bounded: float
    certified: float
    violated: float

    @property
    def undecided(self) -> float:
        """What is left."""
        known = math.fsum((self.proved, self.bounded, self.certified, self.violated))
        return max(0.0, 1.0 - known)


@dataclass(frozen=True)
class Report:
    """One claim about one pair of files, and everything that is known about it.

    Attributes:
        source: "result" or "certificate".
        issued: when a certificate was made; empty for a result.
        seed: of every draw; None where it is not known.
    """

    source: str
    verdict: Verdict
    claim: Claim
    original: Network
    compressed: Network
    proof: Proof
    statistics: Statistics | None
    witness: Witness | None
    explanation: tuple[str, ...]
    assumptions: tuple[str, ...]
    seed: int | None
    threads: int | None
    elapsed_seconds: float | None
    versions: Mapping[str, str]
    issued: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the claim holds; None where nothing was claimed."""
        return None if self.claim.tolerance is None else self.verdict.holds

    @property
    def headline(self) -> str:
        """What the verdict means, in half a sentence."""
        headlines = HEADLINES if self.passed is not None else HEADLINES_WITHOUT_TOLERANCE
        return headlines[self.verdict]

    @property
    def largest_seen(self) -> float | None:
        """The largest d of any run; infinite for outputs that are no numbers."""
        seen = [] if self.witness is None else [self.witness.divergence]
        statistics = self.statistics
        if statistics is not None and statistics.drawn and statistics.maximum is not None:
            seen.append(statistics.maximum)
        return max(seen, default=None)

    @property
    def shares(self) -> Shares | None:
        """Of the guarantee kinds; None without a tolerance."""
        if self.claim.tolerance is None:
            return None
        proved = self.proof.proved_mass
        certain = max(proved, 1.0 - self.proof.violation_upper)
        shown, statistics = certain, self.statistics
        if statistics is not None and not statistics.range_exceeded:
            upper = statistics.violation_upper
            shown = certain if upper is None else max(certain, 1.0 - upper)
            if statistics.confidence == 1.0:
                certain = shown
        return Shares(proved, certain - proved, shown - certain, self.proof.violated_mass)

    @property
    def finding(self) -> str:
        """What the verdict rests on, in a few words and one number, rounded outward."""
        if self.claim.tolerance is None:
            if math.isfinite(self.proof.bound):
                return f"d ≤ {format_upper(self.proof.bound)} is proved"
            return "no worst case is proved"
        if self.verdict is Verdict.PROVED:
            return f"d ≤ {format_upper(self.proof.bound)} is proved"
        if self.verdict is Verdict.BOUNDED:
            return f"P(d > ε) ≤ {format_upper(self.proof.violation_upper)}, with certainty"
        if self.verdict is Verdict.CERTIFIED and self.statistics is not None:
            upper = self.statistics.violation_upper
            bound = "" if upper is None else f"P(d > ε) ≤ {format_upper(upper)}, "
            return bound + self.statistics.certainty
        if self.verdict is Verdict.REFUTED:
            return self._refutation()
        return self._gap()

    def _refutation(self) -> str:
        if self.claim.max_violation is None and self.witness is not None:
            return f"d ≥ {format_lower(self.witness.divergence)} at a witness"
        lower, how = self.proof.violated_mass, "with certainty"
        statistics = self.statistics
        if statistics is not None and (statistics.violation_lower or 0.0) > lower:
            lower, how = statistics.violation_lower or 0.0, statistics.certainty
        return f"P(d > ε) ≥ {format_lower(lower)}, {how}"

    def _gap(self) -> str:
        bound = self.proof.bound
        proved = f"d ≤ {format_upper(bound)} is proved" if math.isfinite(bound) else "no bound of d"
        seen = self.largest_seen
        if seen is not None and self.claim.max_violation is None:
            proved += f", {format_lower(seen)} was seen"
        return f"{proved}, at most {percent_upper(self.proof.undecided_mass)} undecided"

    @property
    def not_said(self) -> tuple[str, ...]:
        """What a reader might take for said, and is not."""
        claim = self.claim
        lines = [
            "Nothing is said about inputs outside the region R.",
            "The original is taken as it is: whether it is right is another question.",
            "The two files are meant that have the digests below, and no others.",
        ]
        if claim.max_violation is not None or self.statistics is not None:
            law = claim.distribution
            lines.append(
                f"Probabilities are those of the stated distribution ({law}) on R. Inputs that "
                "come differently in use have other probabilities."
            )
        if self.verdict in (Verdict.BOUNDED, Verdict.CERTIFIED) and claim.tolerance is not None:
            lines.append("Single inputs may exceed ε, also frequent ones in use.")
        if self.verdict is Verdict.CERTIFIED:
            lines.append(
                "The confidence is over SimCert's own draws. It is no probability that the claim "
                "is true, and no proof."
            )
        if claim.arithmetic == "real" and self.proof.stopped != "unavailable":
            lines.append(
                "Proofs hold for the networks over the real numbers. The rounding of a runtime, "
                "and kernels that a runtime puts in the graph's place, are not included."
            )
        if self.verdict is Verdict.INCONCLUSIVE:
            lines.append(
                "That nothing was shown says neither that the claim holds nor the reverse."
            )
        return tuple(lines)

    @property
    def classification(self) -> tuple[tuple[str, str], ...]:
        """The methods in the terms of ISO/IEC 24029-2: what kind, and with which properties."""
        rows = []
        if self.proof.stopped != "unavailable":
            budget = {
                "time limit": "deterministic, except that the clock ended this search",
                "interrupted": "deterministic, except that the user ended this search",
            }
            rows += [
                (
                    "formal",
                    "symbolic linear bounds of the difference of the two networks, with branch and "
                    "bound over the inputs: sound",
                ),
                (
                    "complete",
                    "no: a search may end without an answer; here "
                    + ("it decided every box" if self.proof.complete else "boxes were left open")
                    if self.claim.tolerance is not None
                    else "no: the worst case is approached, not computed",
                ),
                ("deterministic", budget.get(self.proof.stopped, "yes")),
                (
                    "arithmetic",
                    "real numbers; the rounding of the analysis itself is included"
                    if self.claim.arithmetic == "real"
                    else "computer arithmetic of the networks, float32, in any order of summation",
                ),
            ]
        if self.statistics is not None:
            kind = "exhaustive" if self.statistics.confidence == 1.0 else "statistical"
            rows += [
                (
                    kind,
                    f"{METHODS.get(self.statistics.method, self.statistics.method)}, on runs of "
                    "both files from the part of the region that is not proved",
                ),
                ("deterministic", "pseudo-random draws, the same for the same seed"),
                ("arithmetic", "computer arithmetic: the files as they run in ONNX Runtime"),
            ]
        if self.witness is not None:
            rows.append(("test", f"one input, run on both files: {self.witness.runtime}"))
        return tuple(rows)

    @property
    def command(self) -> str:
        """How to check or repeat it."""
        files = self.original.name, self.compressed.name
        if self.source == "certificate":
            words = ["simcert", "check", "CERTIFICATE", "--original", files[0]]
            return shlex.join([*words, "--compressed", files[1]])
        claim = self.claim
        words = ["simcert", "verify", *files]
        if claim.region.endswith((".vnnlib", ".vnnlib.gz", ".npz", ".json")):
            words += ["--region", claim.region]
        elif not claim.region.startswith("simcert.region"):
            words += ["--region", "REGION"]
        for option, value in (
            ("--distribution", claim.distribution if claim.distribution != "uniform" else ""),
            ("--divergence", claim.divergence if claim.divergence != "linf" else ""),
            ("--decision", claim.decision),
            ("--outputs", ",".join(map(str, claim.outputs))),
            ("--tolerance", "" if claim.tolerance is None else repr(claim.tolerance)),
            ("--max-violation", "" if claim.max_violation is None else repr(claim.max_violation)),
            ("--confidence", repr(claim.confidence)),
            ("--arithmetic", claim.arithmetic),
            ("--seed", "" if self.seed is None else str(self.seed)),
        ):
            if value:
                words += [option, value]
        if self.statistics is not None and self.statistics.method == "betting":
            words.append("--early-stopping")
        return shlex.join(words)


@dataclass(frozen=True)
class Entry:
    """One line of a report about several claims.

    Attributes:
        name: of the claim, printable.
        report: what was found; None where the claim could not be judged.
        error: why not.
        location: file that an annotation points at, relative; empty for none.
        cached: the result was kept from an earlier run.
    """

    name: str
    report: Report | None
    error: str = ""
    location: str = ""
    cached: bool = False

    @classmethod
    def of(cls, report: Report) -> Self:
        """The entry of a report on its own, named after its files."""
        name = f"{report.compressed.name} against {report.original.name} / {report.claim.sentence}"
        return cls(name, report)

    @property
    def outcome(self) -> str:
        """The verdict, or "error"."""
        return "error" if self.report is None else self.report.verdict.value

    @property
    def passed(self) -> bool | None:
        """Whether the claim holds; None where nothing was claimed."""
        return False if self.report is None else self.report.passed

    @property
    def message(self) -> str:
        """What was found, or the error, in one line."""
        return self.error if self.report is None else self.report.finding

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; numbers that are compared also in hexadecimal."""
        report = self.report
        found: dict[str, Any] = {}
        if report is not None:
            statistics = report.statistics
            found = {
                "claim": report.claim.sentence,
                "arithmetic": report.claim.arithmetic,
                "original_sha256": report.original.sha256,
                "compressed_sha256": report.compressed.sha256,
                **exact("tolerance", report.claim.tolerance),
                **exact("max_violation", report.claim.max_violation),
                **exact("bound", report.proof.bound),
                **exact("violation_upper", report.proof.violation_upper),
                **exact(
                    "violation_upper_by_draws",
                    None if statistics is None else statistics.violation_upper,
                ),
                **exact("confidence", None if statistics is None else statistics.confidence),
                "family": None if statistics is None else statistics.family,
                "elapsed_seconds": report.elapsed_seconds,
            }
        return {
            "name": self.name,
            "outcome": self.outcome,
            "passed": self.passed,
            "message": self.message,
            "cached": self.cached,
            **found,
        }
