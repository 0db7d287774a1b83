"""The check, step by step: each step rests on the ones before it, and the first failure ends it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simcert.checker import (
    document,
    draws,
    envelope,
    mass,
    replay,
    schema,
    spread,
    statistics,
    tree,
)
from simcert.checker.bounds import Pair
from simcert.checker.chance import refuse_chance
from simcert.checker.claim import Claim, Region
from simcert.checker.concentration import ConcentratedPair
from simcert.checker.divergences import measured
from simcert.checker.errors import CannotCheckError, CheckError
from simcert.checker.exact import ExactPair
from simcert.checker.halfspaces import METHODS
from simcert.checker.integration import Integrator
from simcert.checker.interface import Interface, interface
from simcert.checker.leaves import Functions, Settled, settle
from simcert.checker.network import Network, read
from simcert.checker.onnxfile import File
from simcert.checker.statistics import Tickets
from simcert.checker.tree import Leaves, Tree
from simcert.numerals import format_upper

_SEALED_EVIDENCE = ("bytes", "sha256")

_KINDS = {
    "proved": "proof.bound",
    "bounded": "proof.violation_upper",
    "certified": "statistics.violation_upper",
}

_CLOSE = 2.0**-20
"""Of the limit: how far above the stated bound d, or P(d > ε), may be shown to stay. Both sides
round outward, each in its own way; the limit itself is never exceeded."""

_FLOAT32_ROUNDING = 2.0**-10
"""Of the largest output: how far a float32 run may be from the checker's float64 evaluation."""


@dataclass(frozen=True)
class Step:
    """One step of a check.

    Attributes:
        number: from 1 on.
        name: what is checked.
        holds: whether it holds.
        detail: what was found, or why it does not hold.
        seconds: how long it took.
    """

    number: int
    name: str
    holds: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """What a check found.

    Attributes:
        steps: in order; the last one may be a failure.
        claim: what is confirmed, in one sentence that the checker wrote; empty if nothing is.
        kind: "proved", "bounded" or "certified"; empty if nothing is confirmed.
        cannot: the check failed because the checker does not know something, not because the
            certificate is known to be wrong. That is no pass either.
    """

    steps: tuple[Step, ...]
    claim: str
    kind: str
    cannot: bool

    @property
    def holds(self) -> bool:
        """Whether every step holds."""
        return bool(self.steps) and bool(self.kind) and all(step.holds for step in self.steps)


def check(
    certificate: str | Path,
    original: str | Path,
    compressed: str | Path,
    *,
    key: str | Path | None = None,
    resample: bool = False,
    seed: int | None = None,
    exact: int | Literal["all"] = 0,
    told: Callable[[Step], None] | None = None,
) -> Report:
    """Re-establish what a certificate says, from its evidence and the two files.

    Args:
        certificate: path of the certificate; its sidecar lies beside it.
        original: path of the original network.
        compressed: path of the compressed network.
        key: Ed25519 public key (PEM) that the certificate must be signed with.
        resample: draw again from the seeds and run both files on the draws.
        seed: draw as often with this one too. Whoever made the certificate chose its seed, perhaps
            for what it draws, and does not know this one.
        exact: how many proved leaves to do once more in exact arithmetic.
        told: is told about each step when it is done.
    """
    run = _Check(
        Path(certificate),
        Path(original),
        Path(compressed),
        None if key is None else Path(key),
        resample,
        seed,
        exact,
    )
    steps: list[Step] = []
    cannot = False
    for name, action in run.steps():
        start = time.monotonic()
        try:
            holds, detail = True, action()
        except CheckError as error:
            holds, detail = False, str(error)
            cannot = isinstance(error, CannotCheckError)
        except RecursionError:
            holds, detail = False, "the file nests too deeply"
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
            cannot, holds = True, False
            detail = f"the checker cannot follow it: {type(error).__name__}: {error}"
        step = Step(len(steps) + 1, name, holds, detail, time.monotonic() - start)
        steps.append(step)
        if told is not None:
            told(step)
        if not holds:
            return Report(tuple(steps), "", "", cannot)
    return Report(tuple(steps), run.confirmed(), run.guarantee["kind"], cannot=False)


class _Check:
    """The steps of one check and what they hand to those after them."""

    statement: dict[str, Any]
    predicate: dict[str, Any]
    guarantee: dict[str, Any]
    content: dict[str, Any]
    claim: Claim
    used: tuple[Interface, Interface]
    interface: Interface
    data: tuple[bytes, bytes]
    networks: tuple[Network, Network] | None
    tree: Tree
    limit: float
    undecided_masses: list[Fraction]
    undecided: Fraction
    violated: Fraction
    integrated: Fraction
    payload: bytes | None
    signatures: list[bytes]

    def __init__(
        self,
        certificate: Path,
        original: Path,
        compressed: Path,
        key: Path | None,
        resample: bool,
        seed: int | None,
        exact: int | Literal["all"],
    ) -> None:
        self.path, self.key, self.resample, self.exact = certificate, key, resample, exact
        self.seed = seed
        self.files = original, compressed
        self.networks = None
        self.unreadable = ""

    def steps(self) -> list[tuple[str, Callable[[], str]]]:
        """Return names and actions; an action returns what it found, or raises."""
        steps: list[tuple[str, Callable[[], str]]] = [
            ("the file is strict JSON", self.read),
            ("the signature is made with the key", self.check_signature),
            ("the form is that of the schema", self.check_schema),
            ("the seal is that of the content", self.check_seal),
            ("the two files are those that are named", self.check_files),
            ("the evidence is the one that is named", self.read_evidence),
            ("the claim is well-formed", self.check_claim),
            ("the comparison is the one of the claim", self.check_comparison),
            ("the leaves cover the region", self.check_tree),
            ("the shares are those of the leaves", self.check_shares),
            ("d ≤ ε on every proved leaf", self.check_proved),
            ("d > ε on every violated leaf", self.check_violated),
            ("d within the worst case on all others", self.check_worst_case),
            ("P(d > ε) on what is left, by linear bounds", self.check_integration),
            ("d ≤ ε but for η, layer by layer", self.check_concentration),
        ]
        if self.exact:
            steps.append(("proved leaves, in exact arithmetic", self.check_exactly))
        steps += [
            ("the draws show what is stated", self.check_draws),
            *([] if self.seed is None else [("so do draws of another seed", self.check_seed)]),
            ("each kind of guarantee has no more than its share", self.check_added),
            ("the witness is one", self.check_witness),
            ("ONNX Runtime runs the files as they are read", self.check_runs),
        ]
        return steps

    def confirmed(self) -> str:
        """Return what the check confirms, and which draws it rests on."""
        sentence, sampling = self.claim.sentence(), self.predicate["sampling"]
        if sampling is None:
            return sentence
        presumed = [] if self.resample or self.seed is not None else ["the counts are as stated"]
        if sampling["plan"]["method"] != "exhaustive":
            if self.seed is not None:
                return f"{sentence}, by draws of seed {self.seed} too"
            seed = sampling["plan"]["seed"]
            presumed.insert(0, f"seed {seed} was not chosen for what it draws")
        return f"{sentence}, if {' and '.join(presumed)}" if presumed else sentence

    # -- the document ------------------------------------------------------------------------

    def read(self) -> str:
        data = document.read_file(self.path, "certificate")
        parsed = document.parse(data)
        self.payload, self.signatures = envelope.opened(parsed)
        self.statement = parsed if self.payload is None else document.parse(self.payload)
        return f"{len(data)} bytes, SHA-256 {document.sha256(data)}"

    def check_signature(self) -> str:
        if self.key is None:
            signed = "there is one" if self.signatures else "there is none"
            return f"not asked for ({signed})"
        if self.payload is None:
            raise CheckError("the certificate is not signed")
        envelope.verify(self.payload, self.signatures, self.key)
        return f"signed with {self.key.name}"

    def check_schema(self) -> str:
        schema.check(self.statement, schema.load())
        document.check_numbers(self.statement)
        self.predicate = self.statement["predicate"]
        self.guarantee = self.predicate["guarantee"]
        return str(self.statement["predicateType"])

    def check_seal(self) -> str:
        predicate = {k: v for k, v in self.predicate.items() if k != "seal"}
        evidence = {name: predicate["evidence"][name] for name in _SEALED_EVIDENCE}
        bare = self.statement | {"predicate": predicate | {"evidence": evidence}}
        seal = document.sha256(document.canonical(bare))
        if seal != self.predicate["seal"]:
            raise CheckError("the certificate was changed after it was written")
        return seal

    def check_files(self) -> str:
        (subject,) = self.statement["subject"]
        original, compressed = (
            document.read_file(path, what, 2**31)
            for path, what in zip(self.files, ("original", "compressed"), strict=True)
        )
        for what, data, stated, size in (
            ("original", original, self.predicate["original"], self.predicate["original"]),
            ("compressed", compressed, subject, self.predicate["compressed"]),
        ):
            if document.sha256(data) != stated["digest"]["sha256"]:
                raise CheckError(f"the {what} file is not the one of the certificate")
            if len(data) != size["bytes"]:
                raise CheckError(f"the {what} file has not the stated size")
        self.data = original, compressed
        for data in self.data:
            refuse_chance(data)
        self.used = self._used("original", original), self._used("compressed", compressed)
        first, self.interface = self.used
        if (first.inputs, first.input_type) != (self.interface.inputs, self.interface.input_type):
            raise CheckError("the two networks have different inputs")
        try:
            f, g = map(read, self.data, self.used)
            self.networks = f, g
        except CannotCheckError as error:
            self.unreadable = str(error)
        words = [
            f"{what}: {used.describe()}"
            for what, used in zip(("original", "compressed"), self.used, strict=True)
            if used.describe()
        ]
        return "; ".join(["both SHA-256 digests and sizes", *words])

    def _used(self, what: str, data: bytes) -> Interface:
        """Return how a file's tensors make the flat input and output."""
        return interface(File(data), self.predicate[what].get("interface"))

    def read_evidence(self) -> str:
        evidence = self.predicate["evidence"]
        inside, file = evidence["content"], evidence["file"]
        if (inside is None) == (file is None):
            raise CheckError("the evidence must be either inside or in a file")
        where = "inside"
        if inside is not None:
            data = document.canonical(inside)
        else:
            data, where = document.read_file(self.path.with_name(file), "evidence"), file
            inside = document.parse(data)
            schema.check(inside, schema.load() | {"$ref": "#/$defs/content"} | _NO_STATEMENT)
            if document.canonical(inside) != data:
                raise CheckError("the evidence file is not in canonical form")
        if len(data) != evidence["bytes"] or document.sha256(data) != evidence["sha256"]:
            raise CheckError("the evidence is not the one that is named")
        self.content = inside
        return f"{len(data)} bytes, {where}"

    # -- the claim ---------------------------------------------------------------------------

    def check_claim(self) -> str:
        stated = self.predicate["claim"]
        self.claim = Claim.of(stated, Region.of(self.content["region"]))
        if stated["arithmetic"] != self.predicate["arithmetic"]:
            raise CheckError("the arithmetic is stated twice, and differently")
        inputs = self.claim.region.lower.shape[1]
        if inputs != self.interface.inputs:
            raise CheckError(
                f"the region has {inputs} inputs, the networks {self.interface.inputs}"
            )
        return self.claim.sentence()

    def check_comparison(self) -> str:
        kind, value, limit = (
            self.guarantee["kind"],
            document.number(self.guarantee["value_hex"]),
            document.number(self.guarantee["limit_hex"]),
        )
        if self.guarantee["quantity"] != _KINDS[kind]:
            raise CheckError(f"{self.guarantee['quantity']} does not make a claim {kind}")
        expected = self.claim.tolerance if kind == "proved" else self.claim.max_violation
        if limit != expected:
            raise CheckError("the limit is not the one of the claim")
        if not 0 <= value <= limit:
            raise CheckError(f"{value} is not at most {limit}")
        if (self.predicate["sampling"] is None) != (kind != "certified"):
            raise CheckError("draws belong to a certified claim, and only there")
        if kind == "proved" and self.predicate["witness"] is not None:
            raise CheckError("a claim that is proved has no witness against it")
        self.allowed = min(limit, value + _CLOSE * limit)
        self.limit = self.allowed if kind == "proved" else self.claim.tolerance
        if self.predicate["sampling"] is not None:
            least = spread.least_bound(self.predicate["sampling"]["divergences"])
            self.limit = min(self.limit, least + _CLOSE * self.claim.tolerance)
        return f"{kind}: {self.guarantee['quantity']} {format_upper(value)} ≤ {limit}"

    # -- the leaves --------------------------------------------------------------------------

    def check_tree(self) -> str:
        self.tree = tree.replay(self.claim.region, self.content, self.interface.input_type)
        parts = self.tree.proved, self.tree.undecided, self.tree.violated
        if self.guarantee["kind"] == "proved" and (len(parts[1]) or len(parts[2])):
            raise CheckError("leaves are left that are not proved")
        sizes = [f"{len(p)} {n}" for p, n in zip(parts, _LEAVES, strict=True)]
        return f"{self.tree.cuts} cuts, leaves: {', '.join(sizes)}"

    def check_shares(self) -> str:
        self.undecided_masses = mass.masses(self.claim, self.tree.undecided)
        self.undecided = sum(self.undecided_masses, Fraction(0))
        self.violated = sum(mass.masses(self.claim, self.tree.violated), Fraction(0))
        stated = {
            name: Fraction(document.number(self.guarantee["shares"][f"{name}_hex"]))
            for name in _LEAVES
        }
        if not all(0 <= share <= 1 for share in stated.values()):
            raise CheckError("a share is not between 0 and 1")
        if min(self.undecided, Fraction(1)) > stated["undecided"]:
            raise CheckError("the undecided leaves weigh more than is stated")
        if stated["violated"] > self.violated:
            raise CheckError("the violated leaves weigh less than is stated")
        rest = self.undecided + self.violated
        if stated["proved"] > max(Fraction(0), 1 - rest):
            raise CheckError("the proved leaves weigh less than is stated")
        return f"not proved: {format_upper(float(rest) * (1 + 2.0**-50))}"

    def check_proved(self) -> str:
        at_most = partial(self.claim.divergence.at_most, limit=self.limit)
        return self._settle(self.tree.proved, at_most, f"within {self.limit}")

    def check_violated(self) -> str:
        above = partial(self.claim.divergence.above, limit=self.claim.tolerance)
        return self._settle(self.tree.violated, above, "violating")

    def check_worst_case(self) -> str:
        text, limit = self.guarantee["worst_case_hex"], self.claim.tolerance
        if self.guarantee["kind"] == "proved":
            if text != self.guarantee["value_hex"]:
                raise CheckError("the worst case is not the bound that is compared")
            return "it is the bound that is compared"
        if text is None:
            return "none is stated"
        worst = document.number(text)
        others = self.tree.undecided.with_more(self.tree.violated)
        if not others:
            raise CheckError("a claim that holds everywhere is called less than proved")
        if worst < limit:
            raise CheckError("the worst case is less than the tolerance: the claim is proved")
        at_most = partial(self.claim.divergence.at_most, limit=worst * (1 + _CLOSE))
        return self._settle(others, at_most, f"within {worst}")

    def check_exactly(self) -> str:
        leaves = self.tree.proved
        count = len(leaves) if self.exact == "all" else min(len(leaves), int(self.exact))
        if not count or self.networks is None:
            return "no leaf is proved"
        some = leaves.take(np.unique(np.linspace(0, len(leaves) - 1, count).round().astype(int)))
        at_most = partial(self.claim.divergence.at_most, limit=self.limit)
        bounded = settle(
            ExactPair(*self.networks, self.claim.arithmetic),
            self.functions,
            some,
            at_most,
            f"within {self.limit}",
        )
        return f"{len(some)} of {len(leaves)} leaves, {bounded} boxes"

    def _settle(self, leaves: Leaves, settled: Settled, what: str) -> str:
        if not len(leaves):
            return "there is none"
        pair = self.pair
        bounded = settle(pair, self.functions, leaves, settled, what, pair.batch)
        return f"{len(leaves)} leaves, {bounded} boxes"

    @cached_property
    def pair(self) -> Pair:
        """The two networks side by side."""
        return Pair(*self.both, self.claim.arithmetic)

    @property
    def both(self) -> tuple[Network, Network]:
        """The two networks, which must have been read."""
        if self.networks is None:
            raise CannotCheckError(self.unreadable)
        f, g = self.networks
        if f.outputs != g.outputs:
            raise CheckError("the two networks have different numbers of outputs")
        return f, g

    @cached_property
    def functions(self) -> Functions:
        """The functions of all outputs that bound d."""
        return _functions(self.claim, self.pair.nodes[-1].size)

    def check_integration(self) -> str:
        stated, kind = self.predicate["integration"], self.guarantee["kind"]
        drawn = np.zeros(len(self.tree.undecided), dtype=bool)
        if self.predicate["sampling"] is not None:
            counts = document.array(self.content["tickets"], "int64")
            if counts.shape != drawn.shape:
                raise CheckError("the tickets of the draws do not fit the undecided leaves")
            drawn = counts > 0
        if stated is None:
            self.drawn, self.integrated = np.ones_like(drawn), Fraction(0)
            if "concentration" in self.predicate:
                return "left to the next step"
            if kind == "bounded" and self.undecided + self.violated > self.allowed:
                raise CheckError("the leaves that are not proved weigh more than the stated bound")
            return "there is nothing that rests on it"
        if kind == "proved":
            raise CheckError("what is proved everywhere rests on no integration")
        self.drawn = drawn
        upper = self._stated_integral(stated)
        found, boxes = Integrator(
            self.pair, self.claim, self.functions, self.interface.input_type
        ).at_most(self.tree.undecided.take(~drawn), upper)
        self.integrated = Fraction(found["least"])
        return (
            f"{stated['leaves']} leaves, {boxes} boxes: "
            f"P(d > ε) ≤ {format_upper(found['least'])}, with certainty"
        )

    def _undecided(self) -> list[tuple[Fraction, bool]]:
        """Return the mass of each undecided leaf, and whether it is drawn from."""
        return list(zip(self.undecided_masses, self.drawn.tolist(), strict=True))

    def _stated_integral(self, stated: dict[str, Any]) -> dict[str, float]:
        """Return what the checker may find at most, by each method and by the least of all."""
        masses = [m for m, d in self._undecided() if not d]
        mass_, upper = (document.number(stated[f"{name}_hex"]) for name in ("mass", "upper"))
        if stated["leaves"] != len(masses) or not masses:
            raise CheckError("the leaves that are integrated over are not those without tickets")
        if sum(masses, Fraction(0)) > Fraction(mass_) or not 0 <= upper <= mass_:
            raise CheckError("the leaves that are integrated over weigh more than is stated")
        if document.number(stated["eta_hex"]) != 0:
            raise CannotCheckError("the checker does not know bounds that spend η")
        methods = {item["method"]: document.number(item["upper_hex"]) for item in stated["methods"]}
        if len(methods) != len(stated["methods"]) or not methods.keys() <= METHODS.keys():
            raise CheckError("a method of integration is named twice or is none")
        if methods and self.guarantee["kind"] != "bounded":
            raise CheckError("methods are told apart only where nothing is drawn")
        if not all(upper <= value for value in methods.values()):
            raise CheckError("a method of integration shows less than the least of all")
        allowed = {name: value * (1 + _CLOSE) for name, value in methods.items()}
        allowed["least"] = upper * (1 + _CLOSE)
        if self.guarantee["kind"] == "bounded":
            left = Fraction(self.allowed) - self.violated
            allowed["least"] = min(allowed["least"], math.nextafter(float(left), -math.inf))
        return allowed

    def check_concentration(self) -> str:
        stated, ledger = self.predicate.get("concentration"), self.predicate["ledger"]["eta"]
        if stated is None:
            if ledger:
                raise CheckError("η is spent on nothing")
            return "it rests on no such bound"
        if self.guarantee["kind"] != "bounded" or self.predicate["integration"] is not None:
            raise CheckError("a claim that rests on η rests on nothing else, and is bounded")
        eta, bound, spent = (document.number(stated[f"{n}_hex"]) for n in ("eta", "bound", "spent"))
        if stated["eta_hex"] != self.guarantee["value_hex"] or not 0 < spent <= eta:
            raise CheckError("η is not the bound that is compared, or less than what was spent")
        if not 0 <= bound <= self.claim.tolerance:
            raise CheckError("d is bounded by more than the tolerance")
        shares = [document.number(item["eta_hex"]) for item in ledger]
        if not shares or min(shares) <= 0 or not math.fsum(shares) <= spent:
            raise CheckError("the ledger spends more than is stated")
        pair = ConcentratedPair(*self.both, self.claim, self.interface.input_type)
        for box in range(len(self.claim.region.lower)):
            found = pair.concentrate(self.functions, box, eta)
            if not self.claim.divergence.at_most(found.lower, found.upper, bound).all():
                raise CannotCheckError(
                    f"d could not be shown to be within {bound} but for η = {eta:.4g} by the "
                    f"checker's own bounds on box {box}"
                )
        return f"d ≤ {bound} on all of R but for η = {format_upper(eta)}, with certainty"

    # -- the draws ---------------------------------------------------------------------------

    def check_draws(self) -> str:
        sampling = self.predicate["sampling"]
        ledger = self.predicate["ledger"]
        if sampling is None:
            if ledger["alpha"] or ledger["family"] != 1 or self.content["tickets"]["shape"] != [0]:
                raise CheckError("α is spent, or tickets are drawn, without draws")
            return "there is none"
        statistics.check_plan(sampling, ledger, self.claim, self.predicate["run"]["seed"])
        statistics.check_counts(sampling)
        if sampling["violation_upper_hex"] != self.guarantee["value_hex"]:
            raise CheckError("the bound of the draws is not the one that is compared")
        masses = self._drawn_masses()
        tickets = Tickets.of(self.content, masses)
        # With a seed of one's own no count is taken as stated; points that are all run have none.
        all_run = sampling["plan"]["method"] == "exhaustive"
        if not (self.resample or (all_run and self.seed is not None)):
            shown = self._check_counts(sampling, tickets, masses, None)
            return f"{shown}; counts as stated, not drawn again"
        found = draws.divergences(
            sampling,
            tickets,
            self.tree.undecided,
            self.claim,
            self.runners,
            self.interface.input_type,
        )
        for drawn in found[:-1]:
            try:
                shown = self._check_counts(sampling, tickets, masses, drawn)
            except CheckError:
                continue
            return f"{shown}; drawn again and run"
        shown = self._check_counts(sampling, tickets, masses, found[-1])
        return f"{shown}; drawn again and run"

    def check_seed(self) -> str:
        """The claim's p, not the stated bound, has to follow: other draws show another bound."""
        sampling = self.predicate["sampling"]
        if sampling is None or sampling["plan"]["method"] == "exhaustive":
            return "nothing rests on a seed"
        masses = self._drawn_masses()
        limit = document.number(self.guarantee["limit_hex"])
        tickets = Tickets.of(self.content, masses)
        drawn = sampling | {"plan": sampling["plan"] | {"seed": self.seed}}
        alone, *_ = draws.divergences(
            drawn,
            tickets,
            self.tree.undecided,
            self.claim,
            self.runners,
            self.interface.input_type,
        )
        violating = ~(alone.divergences[: sampling["samples"]] <= self.claim.tolerance)
        counted = drawn | {"violations": int(violating.sum())}
        certain = self._certain(masses, limit)
        shown = statistics.check_bound(counted, tickets, self.tree.undecided, certain)
        return f"seed {self.seed}: {shown}, of P(d > ε) ≤ {limit}"

    def _drawn_masses(self) -> list[Fraction]:
        """Return the mass of each undecided leaf that is drawn from, 0 for the others."""
        return [m if d else Fraction(0) for m, d in self._undecided()]

    def _certain(self, masses: list[Fraction], allowed: float) -> statistics.Certain:
        """Return what holds without draws, and what they have to show."""
        return statistics.Certain(
            sum(masses, Fraction(0)),
            self.violated + self.integrated,
            0.0 if self.drawn.all() else self.claim.tolerance,
            allowed,
        )

    def _check_counts(
        self,
        sampling: dict[str, Any],
        tickets: Tickets,
        masses: list[Fraction],
        found: draws.Drawn | None,
    ) -> str:
        """Require the counts to show what is stated and, if they were made again, to be these."""
        violating = None
        if found is not None:
            violating = draws.recount(sampling, tickets, found, self.claim.tolerance)
        certain = self._certain(masses, self.allowed)
        leaves = self.tree.undecided
        shown = statistics.check_bound(sampling, tickets, leaves, certain, violating)
        spread.check(sampling, tickets, certain, self.claim, found)
        return shown

    def check_added(self) -> str:
        """Of what is not proved, what is certain all the same, and what the draws add."""
        shares = self.guarantee["shares"]
        proved, bounded, certified = (
            Fraction(document.number(shares[f"{name}_hex"]))
            for name in ("proved", "bounded", "certified")
        )
        value = Fraction(0)
        if self.guarantee["kind"] != "proved":
            value = Fraction(document.number(self.guarantee["value_hex"]))
        certain, sampling = value, self.predicate["sampling"]
        if sampling is not None and sampling["plan"]["method"] != "exhaustive":
            drawn = sum((m for m, d in self._undecided() if d), Fraction(0))
            certain = self.violated + self.integrated + drawn
        elif certified:
            raise CheckError("draws are given a share without draws")
        if min(bounded, certified) < 0 or proved + bounded > max(proved, 1 - certain):
            raise CheckError("less is certain than is stated")
        if proved + bounded + certified > max(proved + bounded, 1 - value):
            raise CheckError("the draws show less than is stated")
        parts = ((proved, "proved"), (bounded, "bounded"), (certified, "certified"))
        return ", ".join(f"{name} {float(share):.6g}" for share, name in parts)

    @cached_property
    def runners(self) -> tuple[draws.Runner, draws.Runner]:
        """Both files in ONNX Runtime."""
        f, g = map(draws.Runner, self.data, self.used)
        return f, g

    def check_witness(self) -> str:
        witness = self.predicate["witness"]
        if witness is None:
            return "there is none"
        x, f, g = (
            np.array([[document.number(text) for text in witness[f"{name}_hex"]]])
            for name in ("input", "original_output", "compressed_output")
        )
        region, box = self.claim.region, witness["box"]
        if x.shape[1] != region.lower.shape[1] or box >= len(region.lower):
            raise CheckError("the witness is no input of the region")
        if not ((region.lower[box] <= x) & (x <= region.upper[box])).all():
            raise CheckError("the witness lies outside its box")
        if (x.astype(self.interface.input_type) != x).any() or f.shape != g.shape:
            raise CheckError("the witness or its outputs are not what the networks take and give")
        columns = list(self.claim.compared(f.shape[1]))
        d = float(measured(self.claim.divergence, f[:, columns], g[:, columns])[0])
        stated = document.number(witness["divergence_hex"])
        if not math.isclose(d, stated, rel_tol=1e-12) or not stated > self.claim.tolerance:
            raise CheckError("the outputs of the witness do not differ by what is stated")
        return self._replay(x, (f, g))

    def _replay(self, x: np.ndarray[Any, Any], outputs: tuple[Any, Any]) -> str:
        if self.resample:
            for runner, output in zip(self.runners, outputs, strict=True):
                if (runner.run(x) != output).any():
                    raise CheckError("a file gives another output on the witness")
            return "both files were run on it"
        if self.networks is None:
            return f"its outputs were compared, the files not run: {self.unreadable}"
        for network, output in zip(self.networks, outputs, strict=True):
            found = network.evaluate(x)
            rounding = _FLOAT32_ROUNDING * max(1.0, float(np.abs(output).max()))
            if found.shape != output.shape or not (np.abs(found - output) <= rounding).all():
                raise CheckError("a network gives another output on the witness")
        return "both networks were evaluated on it"

    def check_runs(self) -> str:
        """No proof rests on it; a proof about other networks than those of the files shows here."""
        if find_spec("onnxruntime") is None:
            return "onnxruntime is not installed: not run"
        if self.networks is None:
            return f"not compared: {self.unreadable}"
        if not all(network.at_least_float32 for network in self.networks):
            return "not compared: they compute in narrower floats than float32"
        proved, undecided = self.tree.proved, self.tree.undecided
        leaves = proved if len(proved) else undecided if len(undecided) else self.tree.violated
        x = replay.points(leaves, self.interface.input_type)
        limit = self.limit if len(proved) else None
        count = replay.agree(x, self.both, self.runners, self.claim, limit)
        return f"{count} points"


_LEAVES = ("proved", "undecided", "violated")

_NO_STATEMENT: dict[str, Any] = {"required": [], "properties": {}, "additionalProperties": True}


def _functions(claim: Claim, outputs: int) -> Functions:
    """Return the functions that bound d, as coefficients of all outputs."""
    columns = list(claim.compared(outputs))
    parts = []
    for part in claim.divergence.rows(len(columns)):
        whole = np.zeros((len(part), outputs))
        whole[:, columns] = part
        parts.append(whole)
    return Functions(*parts)
