"""Every format, and what hostile names do in each of them: nothing."""

import html.parser
import json
import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from schemas import check_junit, check_sarif

from simcert.bounds.layers import LayerBound
from simcert.concentration import Concentration, Share
from simcert.integration import Integral
from simcert.report import github, junit, markdown, sarif, summary
from simcert.report import html as html_report
from simcert.report import text as text_report
from simcert.report.formats import OF_ONE, OF_SEVERAL
from simcert.report.printable import printable
from simcert.report.reading import of_result
from simcert.report.view import Entry
from simcert.result import Result, Verdict

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a\n::error::owned",
    "::error::owned",
    "\r\n::set-output name=x::y",
    "\x1b[31mred\x1b]0;title\x07",
    "##[error]owned",
    "##vso[task.complete]",
    "]]></failure><failure>",
    "![x](http://example.com/x.png) [y](javascript:alert(1)) https://example.com @everyone #1",
    "`code` | cell | <b>",
    "| a |\n|---|\n| b |",
    "{0} {{x}} {% raw %} ${{ github.token }} %0A::error::x",
    "\u202egpj.exe\u200b\udc80",
    "&lt;script&gt; &#60;script&#62;",
    "=cmd|' /C calc'!A0",
    "x" * 10_000,
    "",
]


def interface(text: str) -> dict[str, object]:
    """Two files whose tensors are named ``text``."""
    tensor = {"name": text, "shape": [1, 4], "type": "uint8"}
    scaled = {"scale": [(2.0).hex()], "offset": [(0.5).hex()], "axis": None, "shape": None}
    return {
        "inputs": [{**tensor, "map": {**scaled, "layout": "nhwc-nchw"}}],
        "outputs": [tensor, tensor],
        "selected": None,
    }


def poisoned(result: Result, text: str) -> Result:
    """The result of files in which every name and every message is ``text``."""
    model = replace(
        result.compressed,
        path=f"folder/{text}",
        operators={text: 3},
        compression=({"method": text, "parameters": {text: text}, "seed": 1},),
        interface=interface(text),
    )
    names = (text,) * result.claim.region.inputs
    region = replace(result.claim.region, source=text, names=names, units=names)
    return replace(
        result,
        claim=replace(result.claim, region=region),
        original=model,
        compressed=model,
        proof=replace(
            result.proof,
            reason=text,
            pairing=text,
            integral=Integral(3, 0.125, 0.1, ((text, 0.1),), ((0.05, 0.1), (0.06, 0.01))),
            concentration=Concentration(0.2, 0.06, (), (Share(text, text, 3, 0.1),)),
            layers=(
                LayerBound(text, text, 8, 2.0, 0.1),
                LayerBound(text, f"{text}b", 8, math.inf, 0.2),
            ),
        ),
        witness=None if result.witness is None else replace(result.witness, runtime=text),
        explanation=(text,),
        assumptions=(text,),
        versions={"simcert": text},
    )


def entries(result: Result, text: str) -> list[Entry]:
    report = of_result(poisoned(result, text))
    name = printable(text)
    return [Entry(name, report, location=name), Entry(name, None, error=name), Entry.of(report)]


def written(form: str, result: Result, text: str) -> str:
    if form in OF_ONE:
        return OF_ONE[form](of_result(poisoned(result, text)))
    return OF_SEVERAL[form](entries(result, text))


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("form", [*OF_ONE, *OF_SEVERAL])
def test_nothing_moves_the_cursor(result: Result, form: str, text: str) -> None:
    page = written(form, result, text)
    assert page.endswith("\n")
    invisible = {c for c in page if not c.isprintable()} - {"\n", "\u2060", "\u00a0"}
    assert not invisible
    page.encode("utf-8")


class Tags(html.parser.HTMLParser):
    """Collects elements with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("text", HOSTILE[:-1])
def test_html_holds_only_its_own_elements(result: Result, text: str) -> None:
    harmless = Tags(html_report.render(of_result(poisoned(result, "harmless")))).tags
    hostile = Tags(html_report.render(of_result(poisoned(result, text)))).tags
    assert [tag for tag, _ in harmless] == [tag for tag, _ in hostile]
    assert not {"script", "img", "iframe", "object", "embed"} & {tag for tag, _ in hostile}
    for _, attributes in hostile:
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "data:").startswith("data:")
        assert "src" not in attributes


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_hostile_text_as_text(result: Result, text: str) -> None:
    page = markdown.render(entries(result, text))
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(page)
    tags = {tag for tag, _ in Tags(rendered).tags}
    allowed = {"h2", "h3", "p", "code", "strong", "blockquote", "ul", "li", "details", "summary"}
    assert tags <= allowed | {"table", "thead", "tbody", "tr", "th", "td"}
    outside = re.sub(r"<code>.*?</code>", "", rendered, flags=re.DOTALL)
    assert not re.search(r"@\w|#\d|https?://|www\.", outside)
    harmless = markdown.render(entries(result, "harmless"))
    if text:
        assert rendered.count("<td") == MarkdownIt("commonmark").enable("table").render(
            harmless
        ).count("<td")


@pytest.mark.parametrize("text", HOSTILE)
def test_junit_is_valid(result: Result, text: str) -> None:
    page = junit.render(entries(result, text))
    check_junit(page)
    root = ET.fromstring(page)  # noqa: S314 - our own
    assert [len(list(root.iter(tag))) for tag in ("testcase", "failure", "error")] == [3, 2, 1]


@pytest.mark.parametrize("text", HOSTILE)
def test_sarif_is_valid(result: Result, text: str) -> None:
    run = check_sarif(sarif.render(entries(result, text), "0.1.0"))
    assert len(run["results"]) == 2
    assert run["invocations"][0]["executionSuccessful"] is False
    message = run["results"][0]["message"]["text"]
    assert not re.search(r"(?<!\\)(?:\\\\)*\[", message)  # no link
    assert not re.search(r"(?<!{)(?:{{)*{\d+}(?!})", message)  # no placeholder


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(st.characters(codec=None), max_size=60) | st.sampled_from(HOSTILE))
def test_every_line_of_github_is_one_of_ours(result: Result, text: str) -> None:
    lines = github.render(entries(result, text)).splitlines()
    assert len(lines) == 4
    for line in lines:
        assert re.match(r"::(error|warning|notice) (file=[^:,]*,)?title=SimCert[^:,]*::", line)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_line_of_the_gate_is_a_command(result: Result, text: str) -> None:
    lines = summary.render(entries(result, text)).splitlines()
    assert len(lines) == 5
    for line in lines[:3]:
        assert re.match(r"(ERROR|REFUTED) ", line)
        assert not re.search(r"##\w*\[", line)


@pytest.mark.parametrize(
    ("verdict", "kind", "level"),
    [
        (Verdict.REFUTED, "fail", "error"),
        (Verdict.INCONCLUSIVE, "open", "none"),
    ],
)
def test_sarif_kinds(result: Result, verdict: Verdict, kind: str, level: str) -> None:
    entry = Entry("pair / claim", of_result(replace(result, verdict=verdict)))
    (found,) = check_sarif(sarif.render([entry], "0.1.0"))["results"]
    assert (found["kind"], found["level"]) == (kind, level)


def test_a_claim_that_holds_passes_everywhere(certified: Result) -> None:
    entry = Entry("pair / claim", of_result(certified))
    (found,) = check_sarif(sarif.render([entry], "0.1.0"))["results"]
    assert (found["kind"], found["level"], found["ruleId"]) == ("pass", "none", "rarely-differs")
    page = junit.render([entry])
    check_junit(page)
    assert "<failure" not in page
    assert github.render([entry]).startswith("::notice title=SimCert%3A certified")
    assert markdown.render([entry]).startswith("## ✅ certified")
    assert json.dumps(entry.to_dict(), allow_nan=False)


def test_kept_results_took_no_time(certified: Result) -> None:
    report = of_result(certified)
    assert 'time="0.000"' in junit.render([Entry("a / b", report, cached=True)])


@pytest.mark.parametrize("verdict", Verdict)
def test_findings_are_rounded_outward(result: Result, verdict: Verdict) -> None:
    report = replace(of_result(result), verdict=verdict)
    finding = {
        Verdict.PROVED: "d ≤ 0.07001 is proved",
        Verdict.BOUNDED: "P(d > ε) ≤ 0.2501, with certainty",
        Verdict.CERTIFIED: "d ≤ 0.07001 is proved, at most 12.5 % undecided",
        Verdict.REFUTED: "P(d > ε) ≥ 0.125, with certainty",
        Verdict.INCONCLUSIVE: "d ≤ 0.07001 is proved, at most 12.5 % undecided",
    }[verdict]
    assert report.finding == finding


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_the_text_moves_the_cursor(result: Result, text: str) -> None:
    page = text_report.render(poisoned(result, text))
    assert all(char == "\n" or char.isprintable() for char in page)


@pytest.mark.parametrize("form", [*OF_ONE, *OF_SEVERAL])
@pytest.mark.parametrize(
    ("arithmetic", "words"), [("real", "real numbers"), ("float32", "float32, as any conforming")]
)
def test_every_format_names_the_arithmetic(
    result: Result, form: str, arithmetic: str, words: str
) -> None:
    result = replace(result, claim=replace(result.claim, arithmetic=arithmetic))
    assert words in written(form, result, "name")
    assert words in " ".join(text_report.render(result).split())
    assert result.to_dict()["claim"]["arithmetic"] == arithmetic


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_input_maps_and_layers_are_shown(result: Result, form: str) -> None:
    page = written(form, result, "name").replace("\\", "")
    assert "input name: nhwc → nchw, × 2, + 0.5, rounded to uint8; outputs name, name" in page
    assert "name / nameb" in page
    assert "≤ 0.2001" in page or "≤ 0.2" in page
