"""The result for programs: one JSON object."""

import json

from simcert.result import Result


def render(result: Result) -> str:
    """Writes ``result.to_dict()`` as ASCII JSON, indented, with a final newline.

    Raises:
        ValueError: a number is infinite or NaN, which a result's JSON form must not contain.
    """
    return json.dumps(result.to_dict(), allow_nan=False, indent=2) + "\n"
