"""What is kept, and when it counts."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from certificates import NOW
from scratch import INCONCLUSIVE, PASSING, REFUTED, network

from simcert.certificate import build, sealed, write
from simcert.gate import judge, read, run
from simcert.report.json import render
from simcert.report.view import Entry
from simcert.result import Verdict

Project = Callable[..., Path]


@pytest.fixture
def config(project: Project) -> Path:
    return project(PASSING, REFUTED, INCONCLUSIVE, top="cache = true")


def cached(path: Path, **options: object) -> list[bool]:
    return [entry.cached for entry in run(read(path), **options)]


def accept(certificate: Path, *_: object) -> str:
    return json.loads(certificate.read_text())["predicate"]["guarantee"]["kind"]


def kept(path: Path, verdict: str, folder: str = ".simcert-cache") -> Path:
    """The file in which the claim with this verdict is kept."""
    kind = "result" if verdict == "refuted" else "certificate"
    (found,) = (path.parent / folder).glob(f"*.{kind}.json")
    return found


def test_what_is_unchanged_is_not_run_again(config: Path) -> None:
    assert cached(config, check=accept) == [False, False, False]
    assert cached(config, check=accept) == [True, True, False]


def test_nothing_is_kept_unless_asked(project: Project) -> None:
    path = project(PASSING)
    assert cached(path) == cached(path) == [False]
    assert not (path.parent / ".simcert-cache").exists()


def test_a_kept_result_says_the_same(config: Path) -> None:
    first, second = (list(run(read(config), check=accept)) for _ in range(2))
    assert [entry.outcome for entry in first] == [entry.outcome for entry in second]
    assert first[1].message == second[1].message


def bound(entry: Entry) -> float:
    assert entry.report is not None
    assert entry.report.proof is not None
    assert entry.report.proof.bound is not None
    return entry.report.proof.bound


def test_figures_are_those_of_the_certificate(config: Path) -> None:
    """Which the checker confirms: a smaller one is no longer one of a certificate that checks."""
    cached(config)
    path = kept(config, "proved")
    certificate = json.loads(path.read_text())
    stated = certificate["predicate"]["guarantee"]["value"]
    assert bound(next(iter(run(read(config))))) == stated
    guarantee = certificate["predicate"]["guarantee"]
    for key in ("value", "worst_case"):
        guarantee |= {key: 0.01, f"{key}_hex": (0.01).hex()}
    path.write_text(json.dumps(sealed(certificate)))
    entry = next(iter(run(read(config))))
    assert not entry.cached
    assert bound(entry) >= 0.05


RARE = "  { name = 'rare', tolerance = 0.025, max_violation = 0.3, boxes = 1, samples = 5000 },\n"
BOUNDED = "  { name = 'half', tolerance = 0.025, max_violation = 0.3, samples = 0 },\n"


def test_what_rests_on_draws_is_not_kept(project: Project) -> None:
    """Whoever writes the folder chooses the draws, their seed and their counts."""
    path = project(RARE, top="cache = true")
    for _ in range(2):
        (entry,) = run(read(path), check=accept)
        assert (entry.outcome, entry.cached) == ("certified", False)
    assert not list(path.parent.glob(".simcert-cache/*"))


def test_a_certificate_of_draws_does_not_count(project: Project) -> None:
    """Under the name of a claim that is bounded: the same claim, shown by draws that nobody saw."""
    path = project(BOUNDED, top="cache = true")
    assert cached(path) == [False]
    assert cached(path) == [True]
    target = kept(path, "bounded")
    configuration = read(project(BOUNDED.replace("samples = 0", "boxes = 1, samples = 5000")))
    result = judge(configuration.jobs[0])
    assert result.verdict is Verdict.CERTIFIED
    write(build(result, NOW), target)
    project(BOUNDED, top="cache = true")
    assert cached(path, check=accept) == [False]


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
        lambda text: text.replace('"proved"', '"certified"').replace('"refuted"', '"proved"'),
        lambda text: text.replace("0.06,", "0.07,").replace("0.04,", "0.05,"),
        lambda _: "{}",
        lambda _: '{"payloadType": "", "payload": "e30=", "signatures": []}',
    ],
)
@pytest.mark.parametrize("verdict", ["proved", "refuted"])
def test_damaged_files_do_not_count(
    config: Path, verdict: str, damage: Callable[[str], str]
) -> None:
    cached(config, check=accept)
    path = kept(config, verdict)
    path.write_text(damage(path.read_text()))
    assert cached(config, check=accept)[verdict == "refuted"] is False


def test_a_result_of_another_claim_does_not_count(config: Path) -> None:
    cached(config, check=accept)
    path = str(kept(config, "proved"))
    Path(path.replace("certificate", "result")).write_bytes(kept(config, "refuted").read_bytes())
    Path(path).unlink()
    entries = list(run(read(config), check=accept))
    assert (entries[0].cached, entries[0].outcome) == (False, "proved")


def test_a_result_that_claims_to_be_proved_does_not_count(config: Path) -> None:
    """Only a certificate can be checked."""
    cached(config, check=accept)
    path = kept(config, "proved")
    job = read(config).jobs[0]
    Path(str(path).replace("certificate", "result")).write_text(render(judge(job)))
    path.unlink()
    assert cached(config, check=accept)[0] is False


def test_kept_certificates_are_checked(config: Path) -> None:
    assert cached(config) == [False, False, False]
    assert cached(config) == [True, True, False]


def test_a_certificate_of_a_weaker_claim_does_not_count(project: Project, config: Path) -> None:
    """The files of another claim under this one's name, both valid in themselves."""
    cached(config)
    path = kept(config, "proved")
    project(PASSING.replace("0.06", "0.08"), top="cache = 'other'")
    cached(config)
    path.write_bytes(kept(config, "proved", "other").read_bytes())
    project(PASSING, top="cache = true")
    assert cached(config) == [False]


def test_a_forged_certificate_does_not_pass(project: Project) -> None:
    """Whoever can write the folder cannot make a refuted claim pass.

    A witness that is kept counts even beside a certificate that the checker accepts.
    """
    path = project(PASSING, REFUTED, top="cache = true")
    cached(path)
    refuted, proved = kept(path, "refuted"), kept(path, "proved")
    forged = json.loads(proved.read_text())
    forged["predicate"]["claim"] = json.loads(refuted.read_text())["claim"]
    guarantee = forged["predicate"]["guarantee"]
    for key, value in (("value", 0.01), ("worst_case", 0.01), ("limit", 0.04)):
        guarantee |= {key: value, f"{key}_hex": value.hex()}
    target = Path(str(refuted).replace("result", "certificate"))
    target.write_text(json.dumps(sealed(forged)))
    for check in (accept, None):
        outcomes = [entry.outcome for entry in run(read(path), check=check)]
        assert outcomes == ["proved", "refuted"]
        refuted.unlink()


def test_what_is_no_file_does_not_count(config: Path) -> None:
    """Nothing waits for the other end of a pipe."""
    cached(config, check=accept)
    for path in (kept(config, "refuted"), kept(config, "proved")):
        path.unlink()
        os.mkfifo(path)
    assert cached(config, check=accept) == [False, False, False]


def test_folders_in_the_way_are_left_alone(config: Path) -> None:
    cached(config, check=accept)
    taken = kept(config, "refuted"), kept(config, "proved")
    for path in taken:
        path.unlink()
        path.mkdir()
    entries = list(run(read(config), check=accept))
    assert [(entry.outcome, entry.cached) for entry in entries] == [
        ("proved", False), ("refuted", False), ("inconclusive", False)
    ]  # fmt: skip
    assert all(path.is_dir() for path in taken)


def test_a_result_of_files_read_in_another_way_does_not_count(project: Project) -> None:
    """The files of a claim without a map under the name of the one with it."""
    path = project(PASSING, top="cache = true")
    cached(path)
    mapped = PASSING.replace(" },", ", compressed_input_map = 'scale=1,offset=0.25' },")
    project(mapped.replace("0.06", "9"), top="cache = 'other'")
    cached(path)
    project(PASSING.replace("0.06", "9"), top="cache = 'plain'")
    cached(path)
    kept(path, "proved", "other").write_bytes(kept(path, "proved", "plain").read_bytes())
    project(mapped.replace("0.06", "9"), top="cache = 'other'")
    assert cached(path) == [False]
    assert cached(path) == [True]
