"""The result for programs: one JSON object."""

import json
from pathlib import Path

from simcert.report.reading import parse, read_bytes
from simcert.result import Result


def render(result: Result) -> str:
    """Writes ``result.to_dict()`` as ASCII JSON, indented, with a final newline.

    Raises:
        ValueError: a number is infinite or NaN, which a result's JSON form must not contain.
    """
    return json.dumps(result.to_dict(), allow_nan=False, indent=2) + "\n"


def copy(path: Path) -> str:
    """Writes the document in a file once more, checked, as ASCII JSON with indentation.

    Raises:
        ReportError: it is neither a result nor a certificate, or contradicts itself.
        OSError: the file cannot be read.
    """
    data = read_bytes(path)
    parse(data, str(path))
    return json.dumps(json.loads(data), allow_nan=False, indent=2) + "\n"
