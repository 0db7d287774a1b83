"""The page: what it holds, and what a browser makes of it."""

import csv
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest

from simcert.report import html, plots
from simcert.report.reading import of_result, parse
from simcert.report.view import Report, Shares
from simcert.result import Proof, Result, Verdict


def table(page: str, name: str) -> list[list[str]]:
    """The numbers behind a picture."""
    link = re.search(rf'download="{name}" href="data:text/csv;charset=utf-8,([^"]*)"', page)
    assert link is not None
    return list(csv.reader(io.StringIO(unquote(link[1]))))[1:]


def test_it_says_what_it_must(certified: Result) -> None:
    page = html.render(of_result(certified))
    for part in (
        "Certified",
        "a statistical confidence",
        "What this does not say",
        "Assumptions and arithmetic",
        "ISO/IEC 24029-2",
        "clock" if certified.proof.stopped == "time limit" else "deterministic",
        certified.original.sha256,
        certified.compressed.sha256,
        "tolerance ε = 0.05",
        "simcert verify f.onnx g.onnx --region square.json --tolerance 0.05",
    ):
        assert part in page


def test_the_numbers_behind_the_pictures_are_exact(certified: Result) -> None:
    page = html.render(of_result(certified))
    counts = [int(row[2]) for row in table(page, "simcert-divergences.csv")]
    assert sum(counts) == certified.statistics.drawn
    bounds = [float.fromhex(row[2]) for row in table(page, "simcert-outputs.csv")]
    assert bounds == list(certified.proof.per_output)
    shares = {row[0]: float.fromhex(row[2]) for row in table(page, "simcert-shares.csv")}
    assert shares["proved"] == certified.proof.proved_mass


def test_the_curve_and_the_layers_are_drawn(certified: Result, certificate: dict) -> None:
    page = html.render(of_result(certified))
    found = {
        (float.fromhex(row[2]), float.fromhex(row[4])) for row in table(page, "simcert-curve.csv")
    }
    curve = certified.statistics.curve
    assert found >= {(q.upper, 1.0 - q.level) for q in curve if q.upper is not None} != set()
    rows = table(page, "simcert-layers.csv")
    assert [float.fromhex(row[6]) for row in rows] == [x.difference for x in certified.proof.layers]
    assert len(rows) == 3
    of_outputs = table(page, "simcert-output-quantiles.csv")
    assert {int(row[0]) for row in of_outputs} == {0, 1, 2}
    alone = html.render(parse(json.dumps(certificate).encode(), "certificate"))
    assert table(alone, "simcert-divergences.csv") == table(page, "simcert-divergences.csv")
    assert "How rarely d is larger" in alone
    assert "tolerance ε = 0.05" in alone


def test_the_staircase_falls_and_stays_above_what_is_stated(certified: Result) -> None:
    report = of_result(certified)
    picture = plots.curve(report)
    stairs = [stair for stair in picture.stairs if stair.kind == "certified"]
    assert all(one.end == other.x for one, other in pairwise(stairs))
    assert all(one.drop == other.y >= one.y for one, other in pairwise(stairs))
    assert (stairs[0].x, stairs[0].y, stairs[-1].end) == (0.0, 0.0, 100.0)


def test_cells_are_no_formulas(certified: Result) -> None:
    layers = (replace(certified.proof.layers[0], original="=cmd|' /C calc'!A0"),)
    page = html.render(of_result(replace(certified, proof=replace(certified.proof, layers=layers))))
    assert table(page, "simcert-layers.csv")[0][0].startswith("'=")


def test_it_needs_nothing_from_outside(certified: Result) -> None:
    page = html.render(of_result(certified))
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert not re.search(r"@import|url\((?!#)", page)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_has_a_page(result: Result, verdict: Verdict) -> None:
    page = html.render(replace(of_result(result), verdict=verdict))
    assert f"<h1>{verdict.capitalize()}</h1>" in page


def test_without_proof_draws_and_tolerance(result: Result) -> None:
    bare = replace(
        result,
        verdict=Verdict.INCONCLUSIVE,
        claim=replace(result.claim, tolerance=None, max_violation=None),
        proof=Proof.unavailable(2, "operator 'Erf' is not supported"),
        witness=None,
    )
    page = html.render(of_result(bare))
    assert "operator &#39;Erf&#39; is not supported" in page
    assert "<figure>" not in page


def test_a_certificate_has_a_page(certificate: dict) -> None:
    page = html.render(parse(json.dumps(certificate).encode(), "certificate"))
    assert "issued 2026-01-02" in page
    assert "simcert check CERTIFICATE" in page


def test_segments_cover_the_bar() -> None:
    whole, rest = plots.segments(Shares(0.97, 0.0, 0.02, 0.005))
    for row in (whole, rest):
        assert sum(part.width for part in row) == pytest.approx(100.0)
    assert [part.kind for part in rest] == ["certified", "undecided", "violated"]
    assert plots.segments(Shares(1.0, 0.0, 0.0, 0.0))[1] == ()


def test_marks_beyond_the_picture_are_said_to_be(certified: Result) -> None:
    report = of_result(certified)
    far = replace(report, proof=replace(report.proof, bound=1e6))
    marks = {mark.kind: mark for mark in plots.scale(far).marks}
    assert marks["proved"].far
    assert not marks["tolerance"].far


# -- in a browser ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> str:
    name = shutil.which("chromium") or shutil.which("google-chrome")
    if name is None:
        pytest.skip("no chromium here: the page was not opened in a browser")
    return name


def requested_by_pages(folder: Path) -> set[str]:
    """What pages asked the network for; the browser's own requests have no origin."""
    events = json.loads((folder / "net.json").read_text())["events"]
    parameters = [event["params"] for event in events if "params" in event]
    return {
        p["url"]
        for p in parameters
        if "url" in p and p.get("initiator", "not an origin") != "not an origin"
    }


def open_page(browser: str, page: Path, folder: Path, *options: str, quiet: bool = True) -> str:
    """Open a page, without any network, and return what became of it."""
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr"),
        *("--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND"),
        *(f"--log-net-log={folder / 'net.json'}", "--allow-file-access-from-files", *options),
    ]
    run = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert not quiet or "CONSOLE" not in run.stderr, run.stderr
    return run.stdout


@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_opens_it_without_an_error_or_a_request(
    browser: str, certified: Result, tmp_path: Path, dark: bool
) -> None:
    page = tmp_path / "report.html"
    page.write_text(html.render(of_result(certified)))
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    assert "<h1>Certified</h1>" in open_page(browser, page, tmp_path, *scheme)
    assert requested_by_pages(tmp_path) == set()


def test_a_request_of_a_page_would_be_seen(browser: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<link rel="stylesheet" href="http://host.invalid/x.css">')
    open_page(browser, page, tmp_path, quiet=False)
    assert requested_by_pages(tmp_path) == {"http://host.invalid/x.css"}


def widest(report: Report) -> Report:
    """A report with names that are long and cannot be broken."""
    network = replace(report.original, name="n" * 200 + ".onnx")
    return replace(report, original=network, explanation=("x" * 500,))


@pytest.mark.parametrize("width", [390, 320])
def test_it_fits_a_phone(browser: str, certified: Result, tmp_path: Path, width: int) -> None:
    (tmp_path / "report.html").write_text(html.render(widest(of_result(certified))))
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" src="report.html" style="width:{width}px;height:800px;border:0"></iframe>'
        "<script>onload = () => { const d = document.getElementById('f').contentDocument;"
        "document.title = d.documentElement.scrollWidth + '/' + d.documentElement.clientWidth }"
        "</script>"
    )
    page = open_page(browser, frame, tmp_path, "--virtual-time-budget=4000")
    found = re.search(r"<title>(\d+)/(\d+)</title>", page)
    assert found is not None, page[:500]
    assert int(found[1]) <= int(found[2]) <= width
