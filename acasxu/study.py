"""The study: networks × compressors × properties, one verified pair a row."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from acasxu import compressors, files
from acasxu.property import Property, properties
from acasxu.table import Rounded, Row, Table
from acasxu.units import domain
from pruners.registry import METHODS
from simcert.claim import Claim, Uniform
from simcert.errors import ClaimError, SimcertError
from simcert.model import load
from simcert.model.runtime import Runtime
from simcert.numerals import exact, format_lower, format_upper
from simcert.progress import Progress
from simcert.result import Result
from simcert.verification import verify

KEY = ("network", "compressor", "property")
COLUMNS: dict[str, Rounded] = {
    **dict.fromkeys(KEY, ""),
    "verdict": "",
    "bound": "up",
    "found": "down",
    "ratio": "up",
    "boxes": "",
    "seconds": "",
    "undecided": "up",
    "stopped": "",
    "note": "",
}
"""Of a row: the proved upper bound of the largest difference of a score (normalised), the largest
difference found by running both files, their ratio, boxes bounded, seconds, the probability that
is left undecided (with a tolerance), why the search ended, and what went wrong."""

_CALIBRATION_ROWS = 512
_DRAWS = 100_000

Place = Literal["domain", "property"]


@dataclass(frozen=True)
class Settings:
    """What all rows of a study have in common.

    Attributes:
        tolerance: ε in normalised scores; without one the worst case is narrowed.
        time_limit: seconds a pair.
        seed: of all random draws.
        threads: of each verification.
        arithmetic: of the claim; its default if None.
        calibrate: where data for compressors that look at data is drawn, uniformly: the whole
            input domain, or each property's region.
    """

    tolerance: float | None = None
    time_limit: float = 60.0
    seed: int = 0
    threads: int = 2
    arithmetic: str | None = None
    calibrate: Place = "domain"

    def claim(self, about: Property) -> Claim:
        """The claim about a pair on a property's inputs: all five outputs."""
        return claim_on(about, self.tolerance, self.arithmetic)


def claim_on(about: Property, tolerance: float | None, arithmetic: str | None) -> Claim:
    """The claim that no score differs by more than a tolerance on a property's inputs."""
    if arithmetic is None:
        return Claim(about.region, tolerance=tolerance)
    return Claim(about.region, tolerance=tolerance, arithmetic=arithmetic)


@dataclass(frozen=True)
class Pair:
    """One row to come."""

    network: str
    compressor: str
    about: Property

    @property
    def key(self) -> dict[str, str | int]:
        """The row's key."""
        return {
            "network": self.network,
            "compressor": self.compressor,
            "property": self.about.number,
        }

    def __str__(self) -> str:
        return f"{self.network} {self.compressor} property {self.about.number}"


def pairs(networks: Sequence[str], chosen: Sequence[str], numbers: Sequence[int]) -> list[Pair]:
    """All pairs, network by network; a property only where it is stated of the network.

    Raises:
        ClaimError: an unknown compressor or property, or nothing is left.
    """
    known = properties()
    for number in numbers:
        if number not in known:
            raise ClaimError(f"there is no property {number}; they are 1 to {max(known)}")
    for name in chosen:
        compressors.settings(name)
    found = [
        Pair(network, compressor, known[number])
        for network in networks
        for compressor in chosen
        for number in numbers
        if network in known[number].networks
    ]
    if not found:
        raise ClaimError("none of these properties is stated of any of these networks")
    return found


def study(
    todo: Sequence[Pair],
    output: Path,
    settings: Settings,
    *,
    folder: Path | None = None,
    name: str = "study",
    announce: Callable[[str], None] = lambda _: None,
    progress: Progress | None = None,
) -> Table:
    """Compress, verify and write row after row; rows that are there already are not made again.

    A pair that cannot be compressed or verified becomes a row that says why. When interrupted,
    the row under way is lost and the others stay.

    Args:
        todo: the pairs.
        output: folder for NAME.json, .csv, .md and the compressed files.
        settings: of every row.
        folder: where the networks lie; the cache by default.
        name: of the table.
        announce: is told about each row, in words.
        progress: is told how far a verification is.

    Raises:
        SimcertError: a network is missing, or the table was made with other settings.
        KeyboardInterrupt: at Ctrl-C.
    """
    originals = {pair.network: files.find(pair.network, folder) for pair in todo}
    table = Table(output, name, COLUMNS, KEY, asdict(settings))
    for pair in todo:
        if table.has(**pair.key):
            announce(f"{pair}: there already")
            continue
        row = _row(pair, originals[pair.network], output / "compressed", settings, progress)
        table.add(row)
        announce(f"{pair}: {_words(row)}")
    return table


def _row(
    pair: Pair, original: Path, folder: Path, settings: Settings, progress: Progress | None
) -> Row:
    try:
        compressed = compress(pair, original, folder, settings)
        result = verify(
            original,
            compressed,
            settings.claim(pair.about),
            samples=0,
            time_limit=settings.time_limit,
            threads=settings.threads,
            seed=settings.seed,
            progress=progress,
        )
        if result.proof.stopped == "interrupted":
            raise KeyboardInterrupt
        found = largest_difference(original, compressed, settings.claim(pair.about), settings.seed)
    except SimcertError as error:
        return {**dict.fromkeys(COLUMNS), **pair.key, "verdict": "unsupported", "note": str(error)}
    return {
        **pair.key,
        **figures(result, found),
        "compressed_sha256": hashlib.sha256(compressed.read_bytes()).hexdigest(),
        "versions": dict(result.versions),
    }


def compress(pair: Pair, original: Path, folder: Path, settings: Settings) -> Path:
    """Write the compressed file of a pair, or find it again, and return its path.

    Raises:
        SimcertError: the compressor refuses the network.
    """
    method, options = compressors.settings(pair.compressor)
    name = f"{pair.network}_{pair.compressor}"
    if compressors.needs_calibration(pair.compressor):
        region = domain()
        if settings.calibrate == "property":
            region, name = pair.about.region, f"{name}_property_{pair.about.number}"
        options["calibration"] = compressors.calibration(region, settings.seed, _CALIBRATION_ROWS)
    path = folder / f"{name}.onnx"
    compressed = METHODS[method](original, **options)
    folder.mkdir(parents=True, exist_ok=True)
    compressed.save(path)
    return path


def largest_difference(original: Path, compressed: Path, claim: Claim, seed: int) -> float:
    """The largest divergence of the two files among uniform draws from the claim's region."""
    f, g = Runtime(load(original)), Runtime(load(compressed))
    region = claim.region.rounded_outward(f.dtype)
    generator = np.random.default_rng([seed, 0xD1FF])
    box = generator.choice(region.boxes, size=_DRAWS, p=region.weights / region.weights.sum())
    low, high = region.lower[box], region.upper[box]
    points = Uniform().sample(low, high, low, high, generator, _DRAWS, f.dtype)
    return float(np.max(claim.divergence.evaluate(f.run(points), g.run(points))))


def figures(result: Result, found: float) -> dict[str, Any]:
    """What a row says of a verification.

    Args:
        result: of the pair.
        found: the largest divergence among draws; the witness may exceed it.
    """
    if result.witness is not None:
        found = max(found, result.witness.divergence)
    bound = result.proof.bound
    proved = math.isfinite(bound) and found > 0
    return {
        "verdict": result.verdict.value,
        **exact("bound", bound),
        **exact("found", found),
        "ratio": bound / found if proved else None,
        "boxes": result.proof.boxes,
        "seconds": round(result.elapsed_seconds, 3),
        "undecided": None if result.claim.tolerance is None else result.proof.undecided_mass,
        "stopped": result.proof.stopped,
        "note": result.proof.reason,
    }


def _words(row: Row) -> str:
    if row["verdict"] == "unsupported":
        return f"unsupported: {row['note']}"
    bound = "no bound" if row["bound"] is None else f"d ≤ {format_upper(row['bound'])}"
    found = "no number found" if row["found"] is None else f"found {format_lower(row['found'])}"
    boxes = f"{row['boxes']:,} box{'es' * (row['boxes'] != 1)}"
    return f"{row['verdict']}, {bound}, {found}, {boxes}, {row['seconds']:.1f} s"
