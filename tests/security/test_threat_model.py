"""The table in docs/threat_model.md says where each hostile file is refused; it is true."""

import re
from pathlib import Path

import pytest
from hostile_models import MODELS
from hostile_regions import FILES

from simcert.errors import ModelError
from simcert.model.admission import inspector, scan
from simcert.model.reader import read, read_bytes

DOCUMENT = Path(__file__).parents[2] / "docs" / "threat_model.md"
_ROW = re.compile(r"^\| (file|scan|inspection|values|regions|configuration) \|.*\| (.*) \|$", re.M)
_READERS = {".toml": "configuration"}


def documented() -> dict[str, str]:
    rows = _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    return {name.strip("`"): gate for gate, names in rows for name in names.split(", ")}


def gate_of(path: Path) -> str:
    """The first gate that a model does not pass."""
    try:
        data = read_bytes(path)
    except ModelError:
        return "file"
    try:
        flat = scan.skeleton(data)
    except ModelError:
        return "scan"
    try:
        inspector.inspect(flat)
    except inspector.Refused:
        return "inspection"
    with pytest.raises(ModelError):
        read(data)
    return "values"


@pytest.mark.parametrize("name", MODELS)
def test_each_model_is_refused_where_the_table_says(tmp_path: Path, name: str) -> None:
    make, _ = MODELS[name]
    assert documented().get(name) == gate_of(make(tmp_path))


def test_the_table_has_the_other_files_and_no_more() -> None:
    others = {name: _READERS.get(suffix, "regions") for name, (suffix, _, _) in FILES.items()}
    listed = documented()
    assert {name: listed.get(name) for name in others} == others
    assert set(listed) == MODELS.keys() | others.keys()
