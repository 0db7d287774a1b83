"""No changed certificate passes: every field by itself; then with all digests made anew."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from certificates import Certified, certify
from networks import write_mlp

from simcert.claim import Claim, Region
from simcert.result import Verdict

KINDS = ["proved", "violated", "integrated", "mixed", "early"]

Json = dict[str, Any]


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place that holds a plain value, and every list and object."""
    if path:
        yield path
    children: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    for key, child in children:
        yield from places(child, (*path, key))


def different(value: object) -> object:
    """Another value of the same type, where that is possible."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case float():
            return float(np.nextafter(value, np.inf))
        case str():
            if value.startswith(("0x", "-0x")):
                return float(np.nextafter(float.fromhex(value), np.inf)).hex()
            digit = "1" if value[-1:] == "0" else "0"
            return value[:-1] + digit if value else "x"
        case list():
            return value[:-1] if value else [0]
        case dict():
            return dict(list(value.items())[:-1]) if value else {"x": 0}
    return 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_changed(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Hundreds of single mutations: another value, and the field left out."""
    certificate: Certified = request.getfixturevalue(kind)
    statement = certificate.statement
    found = list(places(statement))
    assert len(found) > 150
    path = tmp_path / "changed.json"
    for place in found:
        for remove in (False, True):
            copy: Any = json.loads(json.dumps(statement))
            target = copy
            for key in place[:-1]:
                target = target[key]
            if remove:
                del target[place[-1]]
            else:
                target[place[-1]] = different(target[place[-1]])
            path.write_text(json.dumps(copy))
            assert not certificate.check(path).holds, place


def test_a_copy_that_is_not_changed_passes(proved: Certified, tmp_path: Path) -> None:
    """The harness itself: reading, sealing and writing alone changes nothing."""
    assert proved.changed(lambda _: None, tmp_path / "same.json").holds


# -- the file --------------------------------------------------------------------------------


def test_truncated(certified: Certified, tmp_path: Path) -> None:
    data = certified.path.read_bytes()
    for size in np.linspace(0, len(data) - 3, 40).astype(int):
        (tmp_path / "cut.json").write_bytes(data[:size])
        assert not certified.check(tmp_path / "cut.json").holds


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"kind": "proved"', '"kind": "proved", "kind": "proved"'),
        ('"threads": 1', '"threads": NaN'),
        ('"threads": 1', '"threads": Infinity'),
        ('"threads": 1', '"threads": 1e999'),
        ('"threads": 1', '"threads": true'),
        ('"threads": 1', '"threads": 1.0'),
        ('"threads": 1', '"threads": 01'),
        ('"threads": 1', '"threads": ' + "9" * 5000),
        ('"threads": 1', '"threads": ' + "[" * 100_000),
        ('"seed": 0', '"seed": -1'),
        ("{", "\ufeff{"),
        ("{", "[{"),
    ],
)
def test_malformed(proved: Certified, tmp_path: Path, old: str, new: str) -> None:
    text = proved.path.read_text()
    assert old in text
    (tmp_path / "bad.json").write_text(text.replace(old, new, 1))
    report = proved.check(tmp_path / "bad.json")
    assert not report.holds
    assert report.steps[-1].number <= 3


def test_something_after_the_end(proved: Certified, tmp_path: Path) -> None:
    (tmp_path / "more.json").write_bytes(proved.path.read_bytes() + b"{}")
    assert not proved.check(tmp_path / "more.json").holds


# -- the files -------------------------------------------------------------------------------


def test_models_swapped(proved: Certified) -> None:
    swapped = replace(proved, original=proved.compressed, compressed=proved.original)
    assert not swapped.check().holds
    same = replace(proved, compressed=proved.original)
    assert not same.check().holds


def test_one_bit_of_a_model(proved: Certified, tmp_path: Path) -> None:
    data = bytearray(proved.compressed.read_bytes())
    data[len(data) // 2] ^= 1
    other = tmp_path / "other.onnx"
    other.write_bytes(data)
    assert not replace(proved, compressed=other).check().holds


def test_a_worse_model_under_the_right_digest(
    proved: Certified, pruned: Path, tmp_path: Path
) -> None:
    """Whoever forges all digests still has to prove the bound."""
    import hashlib

    data = pruned.read_bytes()

    def change(statement: Json) -> None:
        statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(data).hexdigest()
        statement["predicate"]["compressed"]["bytes"] = len(data)

    report = replace(proved, compressed=pruned).changed(change, tmp_path / "worse.json")
    assert not report.holds
    assert report.steps[-1].name.startswith("d ≤ ε")


# -- with digests made anew ------------------------------------------------------------------


def unpack(packed: Json) -> np.ndarray:
    kind = {"float64": "<f8", "int64": "<i8"}[packed["type"]]
    return np.frombuffer(base64.b64decode(packed["data"]), kind).reshape(packed["shape"]).copy()


def pack(packed: Json, array: np.ndarray) -> None:
    packed["shape"] = list(array.shape)
    packed["data"] = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def number(owner: Json, name: str, value: float) -> None:
    owner[name], owner[f"{name}_hex"] = float(value), float(value).hex()


def content(statement: Json) -> Json:
    return statement["predicate"]["evidence"]["content"]


def edited(*keys: str) -> Callable[[Callable[[np.ndarray], np.ndarray]], Callable[[Json], None]]:
    """Change an array of the evidence."""

    def with_edit(edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[Json], None]:
        def change(statement: Json) -> None:
            packed = content(statement)
            for key in keys:
                packed = packed[key]
            pack(packed, edit(unpack(packed)))

        return change

    return with_edit


def at(index: int, value: float) -> Callable[[np.ndarray], np.ndarray]:
    def edit(array: np.ndarray) -> np.ndarray:
        array.flat[index] = value
        return array

    return edit


def last_cut_dropped(statement: Json) -> None:
    for name in ("node", "dimension", "cut"):
        edited("tree", name)(lambda array: array[:-1])(statement)


def cut_twice(statement: Json) -> None:
    edited("tree", "node")(lambda array: at(-1, array[0])(array))(statement)


def cut_of_a_later_node(statement: Json) -> None:
    edited("tree", "node")(lambda array: at(0, 2)(array))(statement)


def cut_outside(statement: Json) -> None:
    edited("tree", "cut")(at(0, 1e6))(statement)


def cut_at_the_end(statement: Json) -> None:
    """A half without inside would be a leaf that nothing covers."""
    axis = int(unpack(content(statement)["tree"]["dimension"])[0])
    end = float(unpack(content(statement)["region"]["lower"])[0, axis])
    edited("tree", "cut")(at(0, end))(statement)


def cut_between_float32(statement: Json) -> None:
    edited("tree", "cut")(lambda array: at(0, np.nextafter(array[0], np.inf))(array))(statement)


TREE = [
    cut_twice,
    cut_of_a_later_node,
    cut_outside,
    cut_at_the_end,
    cut_between_float32,
    edited("tree", "node")(at(0, -1)),
    edited("tree", "node")(at(0, 10**12)),
    edited("tree", "node")(lambda array: array[:-1]),
    edited("tree", "dimension")(at(0, -1)),
    edited("tree", "dimension")(at(0, 99)),
    edited("tree", "cut")(at(0, np.nan)),
    edited("tree", "cut")(at(0, np.inf)),
    edited("undecided")(lambda array: np.append(array, 0)),
    edited("undecided")(lambda array: np.append(array, -1)),
    edited("undecided")(lambda array: np.append(array, 10**12)),
    edited("violated")(lambda array: np.append(array, 0)),
    edited("region", "weights")(lambda array: array / 2),
    edited("region", "weights")(lambda array: -array),
    edited("region", "lower")(lambda array: array + 0.01),
    edited("region", "upper")(lambda array: array - 0.01),
    edited("region", "upper")(lambda array: array[:, :-1]),
]


@pytest.mark.parametrize("change", TREE)
@pytest.mark.parametrize("kind", ["proved", "certified"])
def test_a_tree_that_does_not_cover(
    kind: str, change: Callable[[Json], None], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    certificate: Certified = request.getfixturevalue(kind)
    report = certificate.changed(change, tmp_path / "tree.json")
    assert not report.holds
    assert report.steps[-1].number <= 9, report.steps[-1]


@pytest.mark.parametrize("kind", ["bounded", "certified", "violated"])
def test_undecided_leaves_called_proved(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What the search could not prove is not re-established either, or is truly proved."""
    certificate: Certified = request.getfixturevalue(kind)

    def change(statement: Json) -> None:
        edited("undecided")(lambda array: array[:0])(statement)
        edited("tickets")(lambda array: array[:0])(statement)

    assert not certificate.changed(change, tmp_path / "undecided.json").holds


def test_a_violated_leaf_called_proved(violated: Certified, tmp_path: Path) -> None:
    change = edited("violated")(lambda array: array[:0])
    assert not violated.changed(change, tmp_path / "violated.json").holds


def test_a_proved_leaf_called_violated(violated: Certified, tmp_path: Path) -> None:
    nodes = unpack(content(violated.statement)["tree"]["node"])
    others = {*nodes, *unpack(content(violated.statement)["undecided"])}
    others |= {*unpack(content(violated.statement)["violated"])}
    leaf = next(n for n in range(1, 2 * len(nodes)) if n not in others)
    change = edited("violated")(lambda array: np.append(array, leaf))
    assert not violated.changed(change, tmp_path / "called.json").holds


def of_claim(name: str, value: float) -> Callable[[Json], None]:
    """Change a number of the claim, with sentence, comparison and plan changed accordingly."""

    def change(statement: Json) -> None:
        predicate = statement["predicate"]
        claim = predicate["claim"]
        old = claim[name]
        number(claim, name, value)
        claim["sentence"] = claim["sentence"].replace(str(old), str(float(value)))
        if predicate["guarantee"]["limit"] == old:
            number(predicate["guarantee"], "limit", value)
        if predicate["sampling"] is not None:
            number(predicate["sampling"]["plan"], name, value)

    return change


def of_value(factor: float) -> Callable[[Json], None]:
    """Change the stated bound, wherever it stands."""

    def change(statement: Json) -> None:
        predicate = statement["predicate"]
        number(predicate["guarantee"], "value", factor * predicate["guarantee"]["value"])
        if predicate["sampling"] is not None:
            sampling = predicate["sampling"]
            number(sampling, "violation_upper", factor * sampling["violation_upper"])

    return change


def of_worst_case(factor: float) -> Callable[[Json], None]:
    def change(statement: Json) -> None:
        guarantee = statement["predicate"]["guarantee"]
        number(guarantee, "worst_case", factor * guarantee["worst_case"])

    return change


def worst_case_below_what_was_seen(statement: Json) -> None:
    predicate = statement["predicate"]
    seen = predicate["sampling"]["divergences"]["maximum"]
    assert seen > predicate["claim"]["tolerance"]
    number(predicate["guarantee"], "worst_case", 0.999 * seen)


def worst_case_below_the_tolerance(statement: Json) -> None:
    predicate = statement["predicate"]
    number(predicate["guarantee"], "worst_case", 0.999 * predicate["claim"]["tolerance"])


def no_worst_case(statement: Json) -> None:
    statement["predicate"]["guarantee"] |= {"worst_case": None, "worst_case_hex": None}


def more_of(name: str, less: str) -> Callable[[Json], None]:
    """Move a tenth of a share to another kind of guarantee."""

    def change(statement: Json) -> None:
        shares = statement["predicate"]["guarantee"]["shares"]
        moved = 0.1 * shares[less]
        assert moved > 0
        number(shares, name, shares[name] + moved)
        number(shares, less, shares[less] - moved)

    return change


def of_share(name: str, factor: float) -> Callable[[Json], None]:
    def change(statement: Json) -> None:
        shares = statement["predicate"]["guarantee"]["shares"]
        number(shares, name, factor * shares[name])

    return change


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("proved", of_value(0.7)),
        ("proved", of_value(3.0)),
        ("proved", of_claim("tolerance", 0.01)),
        ("proved", of_share("proved", 1.01)),
        ("bounded", of_value(0.9)),
        ("bounded", of_value(0.9999)),
        ("bounded", of_claim("tolerance", 0.02)),
        ("bounded", of_claim("max_violation", 0.1)),
        ("bounded", of_share("proved", 1.001)),
        ("bounded", of_share("undecided", 0.999)),
        ("certified", of_value(0.5)),
        ("certified", of_value(0.99)),
        ("certified", of_claim("max_violation", 1e-5)),
        ("certified", of_claim("confidence", 0.9999)),
        ("certified", of_share("undecided", 0.999)),
        ("violated", of_value(0.9)),
        ("violated", of_share("violated", 1.5)),
        ("violated", of_share("undecided", 0.5)),
        ("proved", of_worst_case(0.9)),
        ("proved", of_worst_case(1.1)),
        ("proved", no_worst_case),
        ("proved", more_of("bounded", "proved")),
        ("bounded", worst_case_below_the_tolerance),
        ("bounded", more_of("proved", "undecided")),
        ("certified", worst_case_below_what_was_seen),
        ("certified", of_share("certified", 1.01)),
        ("certified", more_of("bounded", "certified")),
        ("integrated", of_worst_case(0.5)),
        ("integrated", worst_case_below_the_tolerance),
        ("integrated", of_share("bounded", 1.01)),
        ("integrated", more_of("certified", "bounded")),
        ("mixed", worst_case_below_what_was_seen),
        ("violated", worst_case_below_the_tolerance),
        ("mixed", of_share("bounded", 1.01)),
        ("mixed", of_share("certified", 1.01)),
        ("mixed", more_of("bounded", "certified")),
    ],
)
def test_a_stronger_statement(
    kind: str, change: Callable[[Json], None], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    certificate: Certified = request.getfixturevalue(kind)
    assert not certificate.changed(change, tmp_path / "stronger.json").holds


def setting(*keys: str, to: object) -> Callable[[Json], None]:
    """Set a field of the predicate."""

    def change(statement: Json) -> None:
        target = statement["predicate"]
        for key in keys[:-1]:
            target = target[key]
        assert target[keys[-1]] != to
        target[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("proved", setting("claim", "sentence", to="f and g are the same")),
        ("proved", setting("claim", "divergence", to="l1")),
        ("proved", setting("claim", "divergence", to="cosine")),
        ("proved", setting("claim", "decision", to="argmax")),
        ("proved", setting("claim", "unit", to="nats")),
        ("proved", setting("claim", "outputs", to=[])),
        ("proved", setting("claim", "outputs", to=[1, 0])),
        ("proved", setting("claim", "outputs", to=[99])),
        ("proved", setting("claim", "distribution", to="normal")),
        ("proved", setting("claim", "arithmetic", to="real")),
        ("proved", setting("arithmetic", to="real")),
        ("proved", setting("claim", "region", "sha256", to="0" * 64)),
        ("proved", setting("claim", "region", "inputs", to=6)),
        ("proved", setting("claim", "region", "boxes", to=2)),
        ("proved", setting("claim", "region", "names", to=["x"])),
        ("proved", setting("claim", "region", "units", to=["x"])),
        ("proved", setting("claim", "region", "bounds", to=[])),
        ("proved", setting("guarantee", "kind", to="bounded")),
        ("proved", setting("guarantee", "kind", to="certified")),
        ("proved", setting("guarantee", "quantity", to="proof.violation_upper")),
        ("proved", setting("compressed", "bytes", to=1)),
        ("proved", setting("ledger", "family", to=2)),
        (
            "proved",
            setting(
                "ledger",
                "eta",
                to=[{"statement": "x", "alpha": 0.5, "alpha_hex": "0x1.0000000000000p-1"}],
            ),
        ),
        ("bounded", setting("guarantee", "kind", to="proved")),
        ("bounded", setting("claim", "distribution", to="truncated-normal:scale=0.01")),
        ("certified", setting("guarantee", "kind", to="bounded")),
        ("certified", setting("sampling", to=None)),
        ("certified", setting("sampling", "violations", to=10**9)),
        ("certified", setting("sampling", "drawn", to=10_000)),
        ("certified", setting("sampling", "drawn", to=10**9)),
        ("certified", setting("sampling", "samples", to=40_000)),
        ("certified", setting("sampling", "stopped", to="deadline")),
        ("certified", setting("sampling", "plan", "samples", to=40_000)),
        ("certified", setting("sampling", "plan", "seed", to=7)),
        ("certified", setting("sampling", "plan", "family", to=1)),
        ("certified", setting("sampling", "plan", "method", to="betting")),
        ("certified", setting("sampling", "plan", "stopping", to="planned")),
        ("certified", setting("sampling", "plan", "stopping", to="early")),
        ("certified", setting("sampling", "plan", "chunk", to=2**40)),
        ("certified", setting("sampling", "plan", "checkpoints", to=[])),
        ("certified", setting("sampling", "plan", "alpha_ledger", to=[])),
        ("certified", setting("ledger", "alpha", to=[])),
        ("certified", setting("ledger", "family", to=1)),
        ("certified", setting("run", "seed", to=7)),
        ("early", setting("sampling", "plan", "method", to="clopper-pearson")),
        ("early", setting("sampling", "plan", "stopping", to="deadline")),
        ("early", setting("sampling", "plan", "stopping", to="planned")),
        ("early", setting("sampling", "stopped", to="planned")),
        ("early", setting("sampling", "drawn", to=4000)),
        ("early", setting("sampling", "drawn", to=100_000)),
        ("early", setting("sampling", "samples", to=50_000)),
        ("early", setting("sampling", "violations", to=100)),
        ("early", setting("sampling", "plan", "checkpoints", to=[])),
        ("early", of_value(0.5)),
    ],
)
def test_a_field_with_digests_made_anew(
    kind: str, change: Callable[[Json], None], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    certificate: Certified = request.getfixturevalue(kind)
    assert not certificate.changed(change, tmp_path / "field.json").holds


def test_counts_and_tickets(certified: Certified, tmp_path: Path) -> None:
    def share(statement: Json) -> None:
        number(statement["predicate"]["sampling"], "share", 1.0)

    def moments(statement: Json) -> None:
        number(statement["predicate"]["sampling"], "sum", 1e-9)

    def alpha(statement: Json) -> None:
        predicate = statement["predicate"]
        for ledger in (predicate["ledger"]["alpha"], predicate["sampling"]["plan"]["alpha_ledger"]):
            for item in ledger:
                number(item, "alpha", 10 * item["alpha"])

    fewer = edited("tickets")(lambda array: array // 2)
    none = edited("tickets")(lambda array: 0 * array)
    one_less = edited("tickets")(lambda array: array[:-1])
    negative = edited("tickets")(lambda array: -array)

    def worth(statement: Json) -> None:
        content(statement)["ticket_hex"] = (
            0.5 * float.fromhex(content(statement)["ticket_hex"])
        ).hex()

    for change in (share, moments, alpha, fewer, none, one_less, negative, worth):
        assert not certified.changed(change, tmp_path / "counts.json").holds, change


def another_seed(statement: Json) -> None:
    statement["predicate"]["sampling"]["plan"]["seed"] = 1
    statement["predicate"]["run"]["seed"] = 1


@pytest.mark.parametrize(
    "change",
    [another_seed, setting("sampling", "violations", to=0), of_claim("tolerance", 0.09)],
)
def test_what_only_drawing_again_finds(
    certified: Certified, change: Callable[[Json], None], tmp_path: Path
) -> None:
    """Counts are taken as stated unless the draws are made again; only the seal protects them."""
    report = certified.changed(change, tmp_path / "drawn.json", resample=True)
    assert not report.holds
    assert report.steps[-1].name.startswith("the draws")


def test_a_leaf_dropped(certified: Certified, tmp_path: Path) -> None:
    """Without the last cut two leaves are one; the lists of leaves then name what is not there."""
    assert not certified.changed(last_cut_dropped, tmp_path / "leaf.json").holds


@pytest.mark.parametrize("kind", ["bounded", "certified"])
def test_a_witness(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    certificate: Certified = request.getfixturevalue(kind)
    witness = certificate.statement["predicate"]["witness"]
    if witness is None:
        pytest.skip("no witness was found")

    def scaled(name: str, factor: float) -> Callable[[Json], None]:
        def change(statement: Json) -> None:
            values = [factor * v for v in statement["predicate"]["witness"][name]]
            statement["predicate"]["witness"][name] = values
            statement["predicate"]["witness"][f"{name}_hex"] = [v.hex() for v in values]

        return change

    def divergence(statement: Json) -> None:
        owner = statement["predicate"]["witness"]
        number(owner, "divergence", 2 * owner["divergence"])

    for change in (
        scaled("input", 2.0),
        scaled("original_output", 2.0),
        scaled("compressed_output", 0.0),
        divergence,
        setting("witness", "box", to=9),
    ):
        assert not certificate.changed(change, tmp_path / "witness.json").holds, change


# -- integration, and how the draws are spread -------------------------------------------------


def numbers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every number, once: of one that stands twice, the decimal."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from numbers(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from numbers(child, (*path, index))
    elif isinstance(value, int | float):
        yield path


def resolved(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def is_true(path: tuple[str | int, ...], factor: float) -> bool:
    """Whether what a changed number says follows from what it said, or is shown by the checker.

    What integration leaves of the mixed certificate's leaves is 0 by the checker's own bounds, and
    the draws that are made again bear out ranks.
    """
    weaker = path[-1] in ("upper", "mass") and "histogram" not in path and factor > 1
    return weaker or path[-1] == "rank" or path == ("integration", "upper")


def scaled_at(path: tuple[str | int, ...], factor: float) -> Callable[[Json], None]:
    def change(statement: Json) -> None:
        owner, name = resolved(statement["predicate"], path[:-1]), path[-1]
        value = owner[name]
        if isinstance(value, int):
            owner[name] = value + 1 if factor > 1 else max(0, value - 1)
        elif f"{name}_hex" in owner:
            number(owner, name, value * factor)
        else:
            owner[name] = value * factor

    return change


@pytest.mark.parametrize("kind", ["integrated", "mixed"])
def test_every_new_number(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """With all digests made anew: refused, or true all the same."""
    certificate: Certified = request.getfixturevalue(kind)
    predicate = certificate.statement["predicate"]
    places = [("integration", *path) for path in numbers(predicate["integration"])]
    if predicate["sampling"] is not None:
        below = ("sampling", "divergences")
        places += [(*below, *path) for path in numbers(resolved(predicate, below))]
    tried = 0
    for place in places:
        for factor in (0.5, 1.5):
            change = scaled_at(place, factor)
            copy = certificate.statement
            change(copy)
            if copy == certificate.statement:
                continue
            tried += 1
            report = certificate.changed(change, tmp_path / "number.json", resample=True)
            assert not report.holds or is_true(place, factor), (place, factor)
    assert tried >= {"integrated": 8, "mixed": 150}[kind]


def leaf_without_tickets(statement: Json) -> None:
    """Move a leaf from what is drawn from to what is integrated over."""
    edited("tickets")(lambda array: at(int(array.argmax()), 0)(array))(statement)


def leaf_counted(statement: Json) -> None:
    leaf_without_tickets(statement)
    statement["predicate"]["integration"]["leaves"] += 1


def leaf_counted_and_weighed(statement: Json) -> None:
    leaf_counted(statement)
    number(statement["predicate"]["integration"], "mass", 0.9)


def leaf_with_a_ticket(statement: Json) -> None:
    """Move a leaf from what is integrated over to what is drawn from."""
    edited("tickets")(lambda array: at(int(array.argmin()), 1)(array))(statement)


def leaf_paid_for(statement: Json) -> None:
    """The same with enough tickets: an honest plan, which the draws are not of."""
    edited("tickets")(lambda array: at(int(array.argmin()), array.max())(array))(statement)
    statement["predicate"]["integration"]["leaves"] -= 1


def not_integrated(statement: Json) -> None:
    statement["predicate"]["integration"] = None


def more_eta(statement: Json) -> None:
    number(statement["predicate"]["integration"], "eta", 2.0**-20)


@pytest.mark.parametrize(
    "change",
    [
        leaf_without_tickets,
        leaf_counted,
        leaf_counted_and_weighed,
        leaf_with_a_ticket,
        leaf_paid_for,
        not_integrated,
        more_eta,
    ],
)
def test_leaves_between_shares(
    mixed: Certified, change: Callable[[Json], None], tmp_path: Path
) -> None:
    report = mixed.changed(change, tmp_path / "between.json", resample=True)
    assert not report.holds


def renamed(old: str, new: str) -> Callable[[Json], None]:
    def change(statement: Json) -> None:
        methods = statement["predicate"]["integration"]["methods"]
        next(item for item in methods if item["method"] == old)["method"] = new

    return change


def methods_of_draws(statement: Json) -> None:
    item: Json = {"method": "volume"}
    number(item, "upper", 0.04)
    statement["predicate"]["integration"]["methods"] = [item]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("integrated", renamed("volume", "guess")),
        ("integrated", renamed("volume", "chernoff")),
        ("integrated", not_integrated),
        ("integrated", more_eta),
        ("integrated", of_value(0.1)),
        ("integrated", of_claim("max_violation", 0.03)),
        ("integrated", of_claim("tolerance", 0.005)),
        ("mixed", methods_of_draws),
        ("mixed", of_value(0.5)),
    ],
)
def test_what_is_integrated(
    kind: str, change: Callable[[Json], None], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    certificate: Certified = request.getfixturevalue(kind)
    assert not certificate.changed(change, tmp_path / "integrated.json").holds


# -- arithmetic ----------------------------------------------------------------------------------


def with_room(statement: Json) -> None:
    """State no more than the claim: that d stays within ε."""
    predicate = statement["predicate"]
    for name in ("value", "worst_case"):
        number(predicate["guarantee"], name, predicate["claim"]["tolerance"])


def said_of_float32(statement: Json) -> None:
    """Say of a runtime what was proved over the reals, in every field that tells them apart."""
    with_room(statement)
    claim = statement["predicate"]["claim"]
    statement["predicate"]["arithmetic"] = claim["arithmetic"] = "float32"
    assert claim["sentence"].endswith("over the reals")
    claim["sentence"] = claim["sentence"].removesuffix("over the reals") + "in float32"


@pytest.mark.parametrize(("exponent", "holds"), [(2, True), (20, False)])
def test_real_is_not_float32(exponent: int, holds: bool, tmp_path: Path) -> None:
    """f = relu(x) and g = relu(x + 2^k) − 2^k are equal on [0, 1], but not where 2^k absorbs x."""
    one, zero = np.ones((1, 1)), np.zeros(1)
    f = write_mlp(tmp_path / "f.onnx", [(one, zero), (one, zero)])
    g = write_mlp(tmp_path / "g.onnx", [(one, zero + 2.0**exponent), (one, zero - 2.0**exponent)])
    region = Region.from_boxes([[0.0]], [[1.0]], source="unit interval")
    claim = Claim(region, tolerance=1e-3, arithmetic="real")
    certificate = certify(tmp_path, "real", f, g, claim, Verdict.PROVED)
    assert certificate.changed(with_room, tmp_path / "room.json").holds
    report = certificate.changed(said_of_float32, tmp_path / "float32.json")
    assert report.holds is holds
    assert holds or report.steps[-1].name.startswith("d ≤ ε")
