"""Every hostile model is refused, in the words of its reason, within five seconds and 1 GiB."""

import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from hostile_models import MODELS, honest

from simcert.errors import ModelError
from simcert.model import load
from simcert.model.admission import scan, schema


def test_the_honest_model_is_admitted(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(honest().SerializeToString())
    assert [node.operator for node in load(path).graph.nodes] == ["MatMul", "Relu"]


def test_there_are_enough() -> None:
    assert len(MODELS) >= 45


@pytest.mark.parametrize("name", MODELS)
def test_refused(tmp_path: Path, name: str) -> None:
    make, message = MODELS[name]
    with pytest.raises(ModelError, match=message) as refusal:
        load(make(tmp_path))
    assert str(refusal.value).isprintable()


def test_the_functions_fit_in_three_kilobytes(tmp_path: Path) -> None:
    make, _ = MODELS["nested_model_local_functions"]
    assert make(tmp_path).stat().st_size < 4000


_RUN = """
import resource, sys
from simcert.cli import main
try:
    main(["verify", sys.argv[1], sys.argv[1], "--region", sys.argv[2], "-q"])
finally:
    status = open("/proc/self/status").read()
    print(status.split("VmHWM:")[1].split()[0], file=sys.stderr)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "name",
    [
        "nested_model_local_functions",
        "a_million_fields",
        "many_tensors_that_are_large_together",
    ],
)
def test_a_process_ends_with_2_in_time_and_memory(tmp_path: Path, name: str) -> None:
    make, message = MODELS[name]
    path, region = make(tmp_path), tmp_path / "region.json"
    region.write_text('{"lower": [0, 0], "upper": [1, 1]}')
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(path), str(region)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    said, *peaks = done.stderr.splitlines()
    assert done.returncode == 2
    assert re.search(message, said)
    assert done.stdout == ""
    assert sum(map(int, peaks)) < 1 << 20  # in KiB, of the process and of the one that inspects
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert used < 10  # seconds of computing, the start of Python and torch included


# --- the scanner and ONNX agree on what the format is


def _descriptor(kind: str) -> Any:
    at = {
        "model": onnx.ModelProto,
        "operator set": onnx.OperatorSetIdProto,
        "entry": onnx.StringStringEntryProto,
        "graph": onnx.GraphProto,
        "node": onnx.NodeProto,
        "attribute": onnx.AttributeProto,
        "tensor": onnx.TensorProto,
        "initialiser": onnx.TensorProto,
        "value": onnx.ValueInfoProto,
        "input": onnx.ValueInfoProto,
        "output": onnx.ValueInfoProto,
        "type": onnx.TypeProto,
        "tensor type": onnx.TypeProto.Tensor,
        "shape": onnx.TensorShapeProto,
        "size": onnx.TensorShapeProto.Dimension,
        "annotation": onnx.TensorAnnotation,
    }
    return at[kind].DESCRIPTOR


def _repeated(field: Any) -> bool:
    """By its newer name where protobuf has it, and has deprecated the older one."""
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(field.label == field.LABEL_REPEATED)


_TYPES = {
    schema.Kind.INT32: {"TYPE_INT32", "TYPE_ENUM"},
    schema.Kind.INT64: {"TYPE_INT64", "TYPE_UINT64"},
    schema.Kind.FLOAT: {"TYPE_FLOAT"},
    schema.Kind.DOUBLE: {"TYPE_DOUBLE"},
    schema.Kind.BYTES: {"TYPE_BYTES"},
    schema.Kind.TEXT: {"TYPE_STRING"},
    schema.Kind.NAME: {"TYPE_STRING"},
    schema.Kind.MESSAGE: {"TYPE_MESSAGE"},
}


@pytest.mark.parametrize("kind", schema.MESSAGES)
def test_the_schema_is_that_of_onnx(kind: str) -> None:
    descriptor = _descriptor(kind)
    known = {field.number: field for field in schema.MESSAGES[kind]}
    for theirs in descriptor.fields:
        ours = known.get(theirs.number)
        if ours is None:
            continue  # newer than the schema: refused as unknown
        assert ours.name == theirs.name
        if ours.kind is not schema.Kind.REFUSED:
            names = {getattr(theirs, name) for name in _TYPES[ours.kind]}
            assert theirs.type in names
            assert ours.repeated == _repeated(theirs)
    newer = {"configuration", "device_configurations", "overload", "metadata_props"}
    present = {theirs.number for theirs in descriptor.fields}
    missing = {field.name for number, field in known.items() if number not in present}
    assert missing <= newer  # an older onnx need not have them


def test_the_skeleton_is_the_model_without_weights(data: Path) -> None:
    for path in sorted(data.glob("**/*.onnx"))[:20]:
        whole = path.read_bytes()
        full = onnx.load_from_string(whole)
        flat = onnx.load_from_string(scan.skeleton(whole))
        for mine, theirs in zip(flat.graph.initializer, full.graph.initializer, strict=True):
            size = scan.bytes_of(list(theirs.dims), theirs.data_type)
            if size > scan.INLINE and theirs.raw_data:
                offset, length = scan.place(mine.raw_data)
                assert whole[offset : offset + length] == theirs.raw_data
                mine.raw_data = theirs.raw_data
        assert flat == full
