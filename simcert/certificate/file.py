"""Writing a certificate."""

import json
from pathlib import Path
from typing import Any

from simcert.atomic import write_atomically


def write(statement: dict[str, Any], path: Path) -> None:
    """Writes a statement as ASCII JSON, whole or not at all.

    Raises:
        OSError: the file cannot be written.
        ValueError: the statement holds an infinity or a NaN.
    """
    text = json.dumps(statement, allow_nan=False, indent=2) + "\n"
    write_atomically(path, text.encode("ascii"))
