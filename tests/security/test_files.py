"""Hostile regions, data and configurations are refused, in the words of their reason."""

import contextlib
import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hostile_models import honest
from hostile_regions import FILES
from hypothesis import given, settings
from hypothesis import strategies as st

from simcert.claim import data_rows, read_region
from simcert.errors import SimcertError
from simcert.gate import configuration
from simcert.model import load
from simcert.model.reader import read
from simcert.report import reading


@pytest.mark.parametrize("name", FILES)
def test_refused(tmp_path: Path, name: str) -> None:
    suffix, spell, message = FILES[name]
    path = tmp_path / f"file{suffix}"
    path.write_bytes(spell())
    with pytest.raises(SimcertError, match=message):
        configuration.read(path) if suffix == ".toml" else read_region(path, 2)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


READERS: dict[str, Callable[[Path], object]] = {
    ".vnnlib": lambda path: read_region(path, 2),
    ".vnnlib.gz": lambda path: read_region(path, 2),
    ".json": lambda path: read_region(path, 2),
    ".npz": lambda path: read_region(path, 2),
    ".npy": lambda path: data_rows(path, 2),
    ".toml": configuration.read,
    "": reading.load,
}


@pytest.mark.parametrize("suffix", READERS)
@pytest.mark.parametrize("make", [pipe, endless])
def test_only_regular_files_are_read(
    tmp_path: Path, suffix: str, make: Callable[[Path], None]
) -> None:
    """Nothing waits for the other end of a pipe, or reads what has no end."""
    path = tmp_path / f"file{suffix}"
    make(path)
    with pytest.raises((SimcertError, OSError), match="not a regular file"):
        READERS[suffix](path)


# --- whatever the bytes are: read, or refused

_VNNLIB = (
    b"(declare-const X_0 Real)(declare-const X_1 Real)(assert (or (and (<= X_0 1) (>= X_0 -1.5e0)"
    b" (<= X_1 1) (>= X_1 0)) (and (<= X_0 3) (>= X_0 2) (<= X_1 1) (>= X_1 0))))"
)
_JSON = b'{"boxes": [{"lower": [0, 0], "upper": [1, 0.5], "weight": 3}], "names": ["a", "b"]}'
_TOML = (
    b'tolerance = 0.5\n[[pair]]\noriginal = "a"\ncompressed = "b"\nrows = [1, 2]\ninputs = "c"\n'
)


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """Sound bytes with some of them cut, doubled, replaced or inserted."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = draw(st.integers(start, min(len(data), start + 20)))
        new = draw(st.one_of(st.binary(max_size=8), st.just(bytes(data[start:stop] * 2))))
        data[start:stop] = new
    return bytes(data)


def either(sound: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(damaged(sound), st.binary(max_size=100))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bytes], Path]:
    folder = tmp_path_factory.mktemp("files")

    def written(suffix: str, content: bytes) -> Path:
        path = folder / f"file{suffix}"
        path.write_bytes(content)
        return path

    return written


def _archive() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, lower=np.zeros((3, 2)), upper=np.ones((3, 2), dtype=np.int16))
    return stream.getvalue()


_PROPERTIES = settings(max_examples=150, deadline=None)


@given(either(_VNNLIB))
@_PROPERTIES
def test_vnnlib_is_read_or_refused(file: Callable[[str, bytes], Path], content: bytes) -> None:
    with contextlib.suppress(SimcertError):
        read_region(file(".vnnlib", content), 2)


@given(either(gzip.compress(_VNNLIB)))
@_PROPERTIES
def test_gzip_is_read_or_refused(file: Callable[[str, bytes], Path], content: bytes) -> None:
    with contextlib.suppress(SimcertError):
        read_region(file(".vnnlib.gz", content), 2)


@given(either(_JSON))
@_PROPERTIES
def test_json_is_read_or_refused(file: Callable[[str, bytes], Path], content: bytes) -> None:
    with contextlib.suppress(SimcertError):
        read_region(file(".json", content), 2)


@given(either(_archive()))
@_PROPERTIES
def test_npz_is_read_or_refused(file: Callable[[str, bytes], Path], content: bytes) -> None:
    for read_file in (read_region, data_rows):
        with contextlib.suppress(SimcertError):
            read_file(file(".npz", content), 2)


@given(either(_TOML))
@_PROPERTIES
def test_toml_is_read_or_refused(file: Callable[[str, bytes], Path], content: bytes) -> None:
    with contextlib.suppress(SimcertError):
        configuration.read(file(".toml", content))


@given(either(honest().SerializeToString()))
@_PROPERTIES
def test_models_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(SimcertError):
        read(content)


# --- what is large and honest


def test_a_thousand_layers_load(tmp_path: Path) -> None:
    model = honest()
    weight = model.graph.initializer[0]
    del model.graph.node[:]
    for layer in range(1000):
        end = "y" if layer == 999 else f"x{layer + 1}"
        start = f"x{layer}" if layer else "x"
        model.graph.node.add(op_type="MatMul", input=[start, f"w{layer}"], output=[f"h{layer}"])
        model.graph.node.add(op_type="Relu", input=[f"h{layer}"], output=[end])
        copy = model.graph.initializer.add()
        copy.CopyFrom(weight)
        copy.name = f"w{layer}"
    path = tmp_path / "deep.onnx"
    onnx.save(model, path)
    assert len(load(path).graph.nodes) == 2000


@pytest.mark.slow
def test_half_a_gigabyte_loads(tmp_path: Path) -> None:
    width = (500 << 20) // 8
    model = honest()
    model.graph.initializer[0].CopyFrom(
        onnx.TensorProto(name="w", data_type=1, dims=[2, width], raw_data=bytes(8 * width))
    )
    model.graph.node[1].CopyFrom(onnx.helper.make_node("ReduceMax", ["h"], ["y"], axes=[1]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString())
    del model
    assert path.stat().st_size > 500 << 20
    graph = load(path).graph
    assert graph.constants["w"].shape == (2, width)
    assert not np.any(graph.constants["w"][:, :: 1 << 16])


def test_every_real_network_is_admitted(data: Path) -> None:
    examples = Path(__file__).parents[2] / "examples"
    files = sorted([*data.glob("**/*.onnx"), *examples.glob("**/*.onnx")])
    assert len(files) > 50
    for file in files:
        load(file)
