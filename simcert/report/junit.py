"""JUnit XML, as CI systems read it: one test case for each claim.

A refuted and an inconclusive claim are failures of different types (the claim was to be shown, and
was not), an error is an error; an unclaimed question passes.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from simcert.report.view import Entry


def render(entries: Sequence[Entry]) -> str:
    """Writes one test suite with a test case for each entry."""
    failed = [e for e in entries if e.report is not None and e.passed is False]
    errors = [e for e in entries if e.report is None]
    counts = {
        "tests": str(len(entries)),
        "failures": str(len(failed)),
        "errors": str(len(errors)),
        "time": f"{sum(map(_seconds, entries)):.3f}",
    }
    root = ET.Element("testsuites", {"name": "simcert", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": "simcert", **counts, "skipped": "0"})
    for entry in entries:
        _case(suite, entry)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ['<?xml version="1.0" encoding="UTF-8"?>\n', "\n"]
    )


def _case(suite: ET.Element, entry: Entry) -> None:
    pair, _, name = entry.name.rpartition(" / ")
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": f"simcert.{pair}" if pair else "simcert",
            "name": name,
            "time": f"{_seconds(entry):.3f}",
        },
    )
    report = entry.report
    if report is None:
        ET.SubElement(case, "error", {"type": "error", "message": entry.error})
        return
    if report.passed is False:
        failure = {"type": report.verdict.value, "message": f"{report.headline}: {report.finding}"}
        ET.SubElement(case, "failure", failure).text = report.claim.sentence
    lines = [f"{report.verdict.value}: {report.finding}", report.claim.sentence]
    lines += [f"original {report.original.name} sha256 {report.original.sha256}"]
    lines += [f"compressed {report.compressed.name} sha256 {report.compressed.sha256}"]
    lines += [f"arithmetic {report.claim.numbers}"]
    lines += [*report.explanation, *report.assumptions, report.command]
    ET.SubElement(case, "system-out").text = "\n".join(lines)


def _seconds(entry: Entry) -> float:
    """Time of this run: what was kept from an earlier one took none."""
    if entry.report is None or entry.cached:
        return 0.0
    return entry.report.elapsed_seconds or 0.0
