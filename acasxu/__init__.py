"""The ACAS Xu networks and properties: named, and known by their checksums; never copied here."""

import csv
import hashlib
import os
import re
from pathlib import Path

from simcert.errors import ModelError

SOURCES = Path(__file__).with_name("sources.csv")
"""File name, SHA-256, repository, commit, path and licence of every file."""


def network(name: str | os.PathLike[str], folder: str | os.PathLike[str] = ".") -> Path:
    """Find one of the networks and check that it is what it says.

    Args:
        name: previous advisory and time to loss of separation, "1_1" to "5_9", looked up in
            ``folder``; or the path of a file.
        folder: where the files lie.

    Returns:
        The path, its content verified against :data:`SOURCES`.

    Raises:
        ModelError: there is no such file, it is not listed, or its content is another.
    """
    path = Path(name)
    if re.fullmatch(r"[1-5]_[1-9]", path.name):
        path = Path(folder) / f"ACASXU_run2a_{path.name}_batch_2000.onnx"
    with SOURCES.open(newline="") as file:
        checksums = {row["file"]: row["sha256"] for row in csv.DictReader(file)}
    if path.name not in checksums:
        raise ModelError(f"{path}: not in {SOURCES.name}; its content cannot be checked")
    if not path.is_file():
        raise ModelError(f"{path}: no such file; {SOURCES.name} says where it comes from")
    if hashlib.sha256(path.read_bytes()).hexdigest() != checksums[path.name]:
        raise ModelError(f"{path}: the content is not that of the published file")
    return path
