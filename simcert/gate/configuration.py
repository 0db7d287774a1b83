"""Claims from ``[tool.simcert]`` of pyproject.toml, or from the top of simcert.toml.

    [[tool.simcert.pair]]
    original = "original.onnx"
    compressed = "small.onnx"
    region = "region.vnnlib"
    tolerance = 0.05

What a claim does not say it inherits from its pair, and a pair from the top. Where the inputs come
from (`_PLACE`) is inherited as a whole or not at all, and `tolerances` takes the place of what is
compared otherwise (`_COMPARED`). Paths are relative to the file.
"""

import math
import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from simcert.errors import SimcertError
from simcert.regular import open_regular
from simcert.report.printable import printable
from simcert.threads import MOST_THREADS

NAMES = ("simcert.toml", "pyproject.toml")
"""Where claims are looked for, the first one first."""

_MAX_BYTES = 1 << 20
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){16}""")
"""A dotted key of more than 16 parts: tomllib takes memory by the square of their number."""

_LARGEST = 2.0**53
"""Whole numbers up to here are floating-point numbers, too."""

_PLACE = ("region", "around", "radius", "lower", "upper", "inputs", "rows")
_COMPARED = ("tolerance", "divergence", "decision", "outputs")
_NUMBER, _WHOLE, _TEXT, _PATH, _NUMBERS, _INDICES, _FLAG, _TEXTS = range(8)
_KINDS: Mapping[str, int] = {
    "region": _PATH,
    "around": _PATH,
    "radius": _NUMBER,
    "lower": _NUMBERS,
    "upper": _NUMBERS,
    "inputs": _PATH,
    "rows": _INDICES,
    "original_input_map": _TEXTS,
    "compressed_input_map": _TEXTS,
    "original_outputs": _TEXTS,
    "compressed_outputs": _TEXTS,
    "distribution": _TEXT,
    "divergence": _TEXT,
    "decision": _TEXT,
    "outputs": _INDICES,
    "tolerance": _NUMBER,
    "tolerances": _TEXT,
    "max_violation": _NUMBER,
    "confidence": _NUMBER,
    "arithmetic": _TEXT,
    "samples": _WHOLE,
    "early_stopping": _FLAG,
    "time_limit": _NUMBER,
    "boxes": _WHOLE,
    "seed": _WHOLE,
}
_WORDS = {
    _NUMBER: "a finite number",
    _WHOLE: "a whole number, not negative",
    _TEXT: "text",
    _PATH: "a path, as text",
    _NUMBERS: "a number or a list of numbers",
    _INDICES: "a list of whole numbers, not negative",
    _FLAG: "true or false",
    _TEXTS: "text or a list of texts",
}


class GateError(SimcertError):
    """The configuration of the gate is missing or wrong; nothing is run."""


@dataclass(frozen=True)
class Job:
    """One claim about one pair, as it is configured.

    Attributes:
        name: of the pair and of the claim, printable and unique.
        original: path of the reference network.
        compressed: path of the network that is judged.
        options: of the claim and of its run, with the keys of the file; paths are resolved.
        location: of the configuration, for annotations.
    """

    name: str
    original: Path
    compressed: Path
    options: Mapping[str, Any]
    location: str

    @property
    def statistical(self) -> bool:
        """Whether draws may decide it."""
        return "max_violation" in self.options


@dataclass(frozen=True)
class Configuration:
    """All claims of a file.

    Attributes:
        path: of the file.
        jobs: in their order.
        threads: of each run.
        cache: folder of kept results; None for none.
    """

    path: Path
    jobs: tuple[Job, ...]
    threads: int
    cache: Path | None

    @property
    def family(self) -> int:
        """How many claims share the confidence: those that draws may decide; at least 1."""
        return max(1, sum(job.statistical for job in self.jobs))


def find(folder: Path) -> Path:
    """The configuration in a folder.

    Raises:
        GateError: there is none.
    """
    for name in NAMES:
        path = folder / name
        if path.is_file() and (name != "pyproject.toml" or "simcert" in _tools(_document(path))):
            return path
    raise GateError(
        f"{folder} has no simcert.toml and no pyproject.toml with [tool.simcert]: write one, or "
        "name it with --config"
    )


def read(path: Path) -> Configuration:
    """Reads and checks a configuration; no model is opened.

    Raises:
        GateError: not TOML, an unknown key (named, with those that are known), a value of another
            type, no pair, no tolerance, or two claims of the same name.
    """
    document = _document(path)
    where = path.name
    if path.name == "pyproject.toml":
        where += ": tool.simcert"
        if "simcert" not in _tools(document):
            raise GateError(f"{path} has no [tool.simcert]")
        document = _tools(document)["simcert"]
    elif "tool" in document and "simcert" in _tools(document) and "pair" not in document:
        document, where = _tools(document)["simcert"], f"{where}: tool.simcert"
    top = _table(document, where, {*_KINDS, "pair", "threads", "cache"})
    folder = path.resolve().parent
    threads = top.get("threads", 2)
    if not (_is(threads, _WHOLE) and 1 <= threads <= MOST_THREADS):
        raise GateError(f"{where}: threads must be a whole number from 1 to {MOST_THREADS}")
    defaults = _options(top, where, folder)
    jobs: list[Job] = []
    for pair_where, pair in _list(top, "pair", where):
        jobs += _jobs(pair, pair_where, folder, defaults, path.name)
    if not jobs:
        raise GateError(f"{where} has no pair: write [[pair]] with original and compressed")
    for name, count in Counter(job.name for job in jobs).items():
        if count > 1:
            raise GateError(f"{where}: two claims are called {name!r}: give them different names")
    return Configuration(path, tuple(jobs), threads, _cache(top.get("cache", False), where, folder))


def single(options: Mapping[str, Any], folder: Path) -> Job:
    """The only claim of a pair that is given by its keys.

    Args:
        options: the keys of a pair, with paths as text or `Path`, and sequences of any kind.
        folder: that paths are relative to.

    Raises:
        GateError: as `read`.
    """
    plain = {key: _plain(value) for key, value in options.items()}
    if "claim" in plain:
        raise GateError("a single claim has no claims of its own")
    return _jobs(plain, "simcert_claim", folder, {}, "")[0]


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple | range) else value


def _jobs(
    pair: Mapping[str, Any],
    where: str,
    folder: Path,
    defaults: Mapping[str, Any],
    location: str,
) -> list[Job]:
    """The claims of a pair; a pair without any is one itself."""
    _table(pair, where, {*_KINDS, "name", "original", "compressed", "claim"})
    files = []
    for key in ("original", "compressed"):
        if key not in pair:
            raise GateError(f"{where} has no {key}")
        files.append(_value(pair[key], _PATH, f"{where}: {key}", folder))
    original, compressed = files
    name = _name(pair, where) or compressed.name
    shared = _inherit(defaults, _options(pair, where, folder))
    jobs = []
    for claim_where, claim in _list(pair, "claim", where) or [(where, {})]:
        _table(claim, claim_where, {*_KINDS, "name"})
        options = _inherit(shared, _options(claim, claim_where, folder))
        _check_tolerance(options, claim_where)
        _check_place(options, claim_where)
        title = _name(claim, claim_where) or _title(options)
        jobs.append(Job(f"{name} / {title}", original, compressed, options, location))
    return jobs


def _title(options: Mapping[str, Any]) -> str:
    """What a claim without a name is called."""
    if "tolerances" in options:
        d, tolerance = "per-output", 1.0
    else:
        d, tolerance = options.get("divergence", "linf"), options["tolerance"]
    if "max_violation" in options:
        return f"P({d} > {tolerance!r}) ≤ {options['max_violation']!r}"
    return f"{d} ≤ {tolerance!r}"


def _check_tolerance(options: Mapping[str, Any], where: str) -> None:
    if "tolerances" in options:
        others = [key for key in _COMPARED if key in options]
        if others:
            raise GateError(f"{where}: tolerances excludes {' and '.join(others)}")
    elif "tolerance" not in options:
        raise GateError(f"{where} has no tolerance: what would have to hold?")


def _check_place(options: Mapping[str, Any], where: str) -> None:
    sources = [key for key in ("region", "around", "inputs") if key in options]
    if len(sources) > 1:
        raise GateError(f"{where}: {' and '.join(sources)} exclude each other")
    if ("around" in options) != ("radius" in options):
        raise GateError(f"{where}: around and radius go together")
    if "around" not in options and ("lower" in options or "upper" in options):
        raise GateError(f"{where}: lower and upper clip the balls of around")
    if "rows" in options and not ("around" in options or "inputs" in options):
        raise GateError(f"{where}: rows chooses rows of around or inputs")


def _inherit(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    inherited = dict(outer)
    if any(key in inner for key in ("region", "around", "inputs")):
        inherited = {key: value for key, value in inherited.items() if key not in _PLACE}
    if "tolerances" in inner:
        inherited = {key: value for key, value in inherited.items() if key not in _COMPARED}
    elif any(key in inner for key in _COMPARED):
        inherited.pop("tolerances", None)
    return {**inherited, **inner}


def _options(table: Mapping[str, Any], where: str, folder: Path) -> dict[str, Any]:
    return {
        key: _value(table[key], kind, f"{where}: {key}", folder)
        for key, kind in _KINDS.items()
        if key in table
    }


def _value(value: object, kind: int, where: str, folder: Path) -> Any:
    if not _is(value, kind):
        raise GateError(f"{where} must be {_WORDS[kind]}")
    if kind == _PATH:
        return folder / str(value)
    if kind == _NUMBERS and isinstance(value, list):
        return tuple(map(float, value))
    if kind == _INDICES and isinstance(value, list):
        return tuple(value)
    if kind == _TEXTS:
        return tuple(value) if isinstance(value, list) else (value,)
    return float(value) if kind in (_NUMBER, _NUMBERS) else value  # type: ignore[arg-type]


def _is(value: object, kind: int) -> bool:
    if kind == _FLAG:
        return isinstance(value, bool)
    if kind == _TEXTS and isinstance(value, list):
        return bool(value) and all(_is(item, _TEXT) for item in value)
    if kind in (_TEXT, _PATH, _TEXTS):
        return isinstance(value, str) and value != ""
    if kind == _NUMBERS:
        items = value if isinstance(value, list) else [value]
        return bool(items) and all(_is_number(item) for item in items)
    if kind == _INDICES:
        return isinstance(value, list) and bool(value) and all(_is(i, _WHOLE) for i in value)
    if kind == _WHOLE:
        return type(value) is int and 0 <= value <= _LARGEST
    return _is_number(value) and abs(value) < math.inf


def _is_number(value: object) -> TypeGuard[float]:
    """Whether it is a number, or an infinity: such a limit clips nothing."""
    if type(value) is int:
        return abs(value) <= _LARGEST
    return isinstance(value, float) and not math.isnan(value)


def _name(table: Mapping[str, Any], where: str) -> str:
    name = table.get("name", "")
    if not isinstance(name, str) or len(name) > 200:
        raise GateError(f"{where}: name must be text of at most 200 characters")
    return printable(name)


def _cache(value: object, where: str, folder: Path) -> Path | None:
    if value is False:
        return None
    if value is True:
        return folder / ".simcert-cache"
    if isinstance(value, str) and value:
        return folder / value
    raise GateError(f"{where}: cache must be true, false or a folder")


def _list(table: Mapping[str, Any], key: str, where: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The tables of an array, each with where it stands."""
    items = table.get(key, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise GateError(f"{where}: {key} must be an array of tables: write [[{key}]]")
    return [(f"{where}: {key} {number}", item) for number, item in enumerate(items, 1)]


def _table(table: object, where: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(table, dict):
        raise GateError(f"{where} must be a table")
    for key in table:
        if key not in known:
            raise GateError(f"{where}: unknown key {key!r}; known: {', '.join(sorted(known))}")
    return table


def _tools(document: Mapping[str, Any]) -> Mapping[str, Any]:
    tools = document.get("tool", {})
    return tools if isinstance(tools, dict) else {}


def _document(path: Path) -> dict[str, Any]:
    try:
        with open_regular(path) as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise GateError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _MAX_BYTES:
        raise GateError(f"{path} is larger than {_MAX_BYTES >> 20} MiB")
    try:
        text = data.decode("utf-8")
        if _LONG_KEY.search(text):
            raise GateError(f"{path} has a dotted key of more than 16 parts")
        return tomllib.loads(text)
    except ValueError as error:  # TOML's, UTF-8's, or of a number with too many digits
        raise GateError(f"{path} is not TOML: {error}") from error
    except RecursionError:
        raise GateError(f"{path} is nested too deeply") from None
