"""What is kept, and when it counts."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from scratch import INCONCLUSIVE, PASSING, REFUTED, network

from simcert.gate import read, run
from simcert.report.view import Entry

Project = Callable[..., Path]


@pytest.fixture
def config(project: Project) -> Path:
    return project(PASSING, REFUTED, INCONCLUSIVE, top="cache = true")


def cached(path: Path, **options: object) -> list[bool]:
    return [entry.cached for entry in run(read(path), **options)]


def accept(certificate: Path, *_: object) -> str:
    return json.loads(certificate.read_text())["predicate"]["guarantee"]["kind"]


def kept(path: Path, verdict: str) -> Path:
    """The file in which the result with this verdict is kept."""
    files = (path.parent / ".simcert-cache").glob("*.result.json")
    return next(file for file in files if json.loads(file.read_text())["verdict"] == verdict)


def test_what_is_unchanged_is_not_run_again(config: Path) -> None:
    assert cached(config, check=accept) == [False, False, False]
    assert cached(config, check=accept) == [True, True, False]


def test_nothing_is_kept_unless_asked(project: Project) -> None:
    path = project(PASSING)
    assert cached(path) == cached(path) == [False]
    assert not (path.parent / ".simcert-cache").exists()


def test_a_kept_result_says_the_same(config: Path) -> None:
    first, second = (list(run(read(config), check=accept)) for _ in range(2))

    def said(entry: Entry) -> tuple[str, str]:
        return entry.outcome, entry.message

    assert [said(entry) for entry in first[:2]] == [said(entry) for entry in second[:2]]


@pytest.mark.parametrize("change", ["compressed", "claim", "seed", "family"])
def test_what_changed_is_run_again(project: Project, config: Path, change: str) -> None:
    cached(config, check=accept)
    if change == "compressed":
        network(config.parent / "g.onnx", 0.1001)
    elif change == "claim":
        project(PASSING.replace("0.06", "0.061"), top="cache = true")
    elif change == "seed":
        project(PASSING, top="cache = true\nseed = 1")
    else:
        rare = "  { name = 'a', tolerance = 0.025, max_violation = 0.3, boxes = 1 },\n"
        project(rare, top="cache = true")
        cached(config, check=accept)
        project(rare, rare.replace("'a'", "'b'"), top="cache = true")
    assert cached(config, check=accept)[0] is False


def test_a_certificate_that_does_not_check_is_made_anew(config: Path) -> None:
    cached(config, check=accept)
    asked = []

    def refuse(certificate: Path, original: Path, compressed: Path) -> str:
        asked.append((certificate.name.endswith(".certificate.json"), original.name))
        return ""

    assert cached(config, check=refuse) == [False, True, False]
    assert asked == [(True, "f.onnx")]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:100],
        lambda text: text.replace('"proved"', '"certified"'),
        lambda text: text.replace("0.06,", "0.07,"),
        lambda _: "{}",
    ],
)
def test_damaged_results_do_not_count(config: Path, damage: Callable[[str], str]) -> None:
    cached(config, check=accept)
    path = kept(config, "proved")
    path.write_text(damage(path.read_text()))
    assert cached(config, check=accept)[0] is False


def test_a_result_of_another_claim_does_not_count(config: Path) -> None:
    cached(config, check=accept)
    kept(config, "proved").write_bytes(kept(config, "refuted").read_bytes())
    entries = list(run(read(config), check=accept))
    assert (entries[0].cached, entries[0].outcome) == (False, "proved")


def test_without_its_certificate_a_result_does_not_count(config: Path) -> None:
    cached(config, check=accept)
    for path in (config.parent / ".simcert-cache").glob("*.certificate.json"):
        path.unlink()
    assert cached(config, check=accept) == [False, True, False]


def test_kept_certificates_are_checked(config: Path) -> None:
    assert cached(config) == [False, False, False]
    assert cached(config) == [True, True, False]


def test_a_certificate_of_a_weaker_claim_does_not_count(project: Project, config: Path) -> None:
    """The files of another claim under this one's name, both valid in themselves."""
    cached(config)
    path = kept(config, "proved")
    project(PASSING.replace("0.06", "0.08"), top="cache = 'other'")
    cached(config)
    (other,) = (config.parent / "other").glob("*.result.json")
    for kind in (".result.json", ".certificate.json"):
        target, source = (str(p).replace(".result.json", kind) for p in (path, other))
        Path(target).write_bytes(Path(source).read_bytes())
    project(PASSING, top="cache = true")
    assert cached(config) == [False]


def test_a_forged_result_does_not_pass(project: Project) -> None:
    """Whoever can write the folder cannot make a refuted claim pass."""
    path = project(PASSING, REFUTED, top="cache = true")
    cached(path)
    refuted, proved = kept(path, "refuted"), kept(path, "proved")
    forged = json.loads(proved.read_text())
    forged["claim"] = json.loads(refuted.read_text())["claim"]
    for key in ("bound", "bound_hex"):
        forged["proof"][key] = {"bound": 0.01, "bound_hex": (0.01).hex()}[key]
    refuted.write_text(json.dumps(forged))
    certificate = str(proved).replace(".result.json", ".certificate.json")
    target = Path(str(refuted).replace(".result.json", ".certificate.json"))
    target.write_bytes(Path(certificate).read_bytes())
    outcomes = [entry.outcome for entry in run(read(path))]
    assert outcomes == ["proved", "refuted"]


def test_a_result_of_files_read_in_another_way_does_not_count(project: Project) -> None:
    """The files of a claim without a map under the name of the one with it."""
    path = project(PASSING, top="cache = true")
    cached(path)
    mapped = PASSING.replace(" },", ", compressed_input_map = 'scale=1,offset=0.25' },")
    project(mapped.replace("0.06", "9"), top="cache = 'other'")
    cached(path)
    project(PASSING.replace("0.06", "9"), top="cache = 'plain'")
    cached(path)
    (target,), (source,) = ((path.parent / f).glob("*.result.json") for f in ("other", "plain"))
    for kind in (".result.json", ".certificate.json"):
        to, of = (Path(str(p).replace(".result.json", kind)) for p in (target, source))
        to.write_bytes(of.read_bytes())
    project(mapped.replace("0.06", "9"), top="cache = 'other'")
    assert cached(path) == [False]
    assert cached(path) == [True]
