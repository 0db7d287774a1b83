"""Readers of arrays, JSON and data sets: what they accept, and that nothing else gets through."""

import io
import json
import zipfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simcert.claim import balls_around, data_rows, read_region, region_from_metadata
from simcert.claim.regions import arrays, json_file
from simcert.errors import ClaimError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("readers")


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def archive(folder: Path, **members: Any) -> Path:
    path = folder / "region.npz"
    np.savez_compressed(path, **members)
    return path


# -- regions in .npz ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int64, ">f4"])
@pytest.mark.parametrize("shape", [(6,), (1, 6), (2, 3), (1, 2, 3), (4, 6), (4, 2, 3)])
def test_npz_shapes_and_types(folder: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    lower = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    region = read_region(archive(folder, lower=lower, upper=lower + lower.dtype.type(1)), 6)
    assert region.lower.tolist() == lower.reshape(-1, 6).tolist()
    assert region.upper.tolist() == (lower + 1).reshape(-1, 6).tolist()
    assert region.source == "region.npz"


def test_npz_fortran_order_and_one_input(folder: Path) -> None:
    lower = np.asfortranarray(np.arange(12.0).reshape(2, 2, 3))
    assert read_region(archive(folder, lower=lower, upper=lower), 6).lower[1, 1] == 7
    points = np.arange(4.0).reshape(4, 1)
    assert read_region(archive(folder, lower=points, upper=points), 1).boxes == 4


def test_npz_weights(folder: Path) -> None:
    box = np.zeros((2, 3))
    region = read_region(archive(folder, lower=box, upper=box + 1, weights=np.array([3, 1])), 3)
    assert region.weights.tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"lower": np.zeros(5)}, "has the arrays lower; a region is given by lower and upper"),
        ({"lower": np.zeros(5), "upper": np.ones(5), "x": np.ones(5)}, "has the arrays"),
        ({"lower": np.zeros(5), "upper": np.ones(5)}, r"lower has shape \(5,\), .*have 3 inputs"),
        ({"lower": np.zeros(3), "upper": -np.ones(3)}, "lower bound is above the upper bound"),
        ({"lower": np.zeros(3), "upper": np.ones((2, 3))}, "same shape"),
        ({"lower": np.zeros(3), "upper": np.full(3, np.inf)}, "finite"),
        ({"lower": np.zeros(3, complex), "upper": np.ones(3)}, "not an array of plain"),
        ({"lower": np.zeros(3, bool), "upper": np.ones(3)}, "not an array of plain"),
        ({"lower": np.array(["a", "b", "c"]), "upper": np.ones(3)}, "not an array of plain"),
        ({"lower": np.array([1, 2, None]), "upper": np.ones(3)}, "not an array of plain"),
        ({"lower": np.full(3, 2**60), "upper": np.full(3, 2**60)}, "beyond 2.53"),
        ({"lower": np.full(3, -(2**63)), "upper": np.zeros(3)}, "beyond 2.53"),
        (
            {"lower": np.zeros(3), "upper": np.ones(3), "weights": np.ones(2)},
            r"weights of shape \(2,\) for 1 boxes",
        ),
    ],
)
def test_other_archives(folder: Path, members: dict[str, Any], message: str) -> None:
    path = folder / "region.npz"
    np.savez(path, allow_pickle=True, **members)
    with pytest.raises(ClaimError, match=message):
        read_region(path, 3)


def test_the_expanded_size_is_checked_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MAX_BYTES", 1 << 20)
    path = archive(folder, lower=np.zeros(1 << 20), upper=np.zeros(1 << 20))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(ClaimError, match=r"expands from .* bytes; at most 1048576"):
        read_region(path, 1 << 20)


def test_limits_on_members_and_values(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(folder, lower=np.zeros(8), upper=np.zeros(8))
    monkeypatch.setattr(arrays, "MAX_VALUES", 7)
    with pytest.raises(ClaimError, match="has 8 values; at most 7"):
        read_region(path, 8)
    monkeypatch.setattr(arrays, "MAX_MEMBERS", 1)
    with pytest.raises(ClaimError, match="2 members; at most 1"):
        read_region(path, 8)


def test_other_compression_is_refused(folder: Path) -> None:
    path = folder / "bzip2.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as stream:
        stream.writestr("lower.npy", npy(np.zeros(3)))
    with pytest.raises(ClaimError, match="encrypted or compressed in a way"):
        read_region(path, 3)


def test_a_shape_that_the_bytes_do_not_fill(folder: Path) -> None:
    whole = npy(np.zeros(1000))
    path = folder / "short.npy"
    path.write_bytes(whole.replace(b"(1000,)", b"(9**9,)"))
    with pytest.raises(ClaimError, match="not an array of plain"):
        data_rows(path, 1000)
    path.write_bytes(whole.replace(b"(1000,)", b"(1001,)"))
    with pytest.raises(ClaimError, match="needs 8008 bytes, the file has 8000"):
        data_rows(path, 1000)


@pytest.fixture(scope="module")
def valid(folder: Path) -> bytes:
    return archive(folder, lower=np.zeros(3), upper=np.ones(3)).read_bytes()


@given(edits=st.lists(st.tuples(st.integers(0, 10**4), st.binary(max_size=3)), max_size=4))
def test_damaged_archives_are_read_or_refused(
    folder: Path, valid: bytes, edits: list[tuple[int, bytes]]
) -> None:
    damaged = bytearray(valid)
    for place, new in edits:
        start = place % len(damaged)
        damaged[start : start + len(new)] = new
    path = folder / "damaged.npz"
    path.write_bytes(damaged)
    try:
        region = read_region(path, 3)
    except ClaimError:
        return
    assert (region.lower <= region.upper).all()


@given(
    edits=st.lists(
        st.tuples(st.integers(0, 140), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4
    )
)
def test_damaged_arrays_are_read_or_refused(folder: Path, edits: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(npy(np.zeros((2, 3))))
    for place, new in edits:
        damaged[place : place + len(new)] = new
    path = folder / "damaged.npy"
    path.write_bytes(damaged)
    try:
        region = data_rows(path, 3)
    except ClaimError:
        return
    assert region.inputs == 3


# -- JSON --------------------------------------------------------------------------------------


def write(folder: Path, document: object) -> Path:
    path = folder / "region.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_json_box_is_rounded_outward(folder: Path) -> None:
    region = read_region(write(folder, {"lower": [0.1, 0], "upper": [0.1, 0.25]}), 2)
    assert Fraction(region.lower[0, 0]) < Fraction(1, 10) < Fraction(region.upper[0, 0])
    assert region.upper[0, 1] == 0.25


def test_json_union_with_names_and_weights(folder: Path) -> None:
    document = {
        "boxes": [
            {"lower": [0], "upper": [1], "weight": 3},
            {"lower": [2], "upper": [4], "weight": 1},
        ],
        "names": ["speed"],
        "units": ["m/s"],
    }
    region = read_region(write(folder, document), 1)
    assert region.weights.tolist() == [0.75, 0.25]
    assert (region.names, region.units) == (("speed",), ("m/s",))
    del document["boxes"][0]["weight"], document["boxes"][1]["weight"]
    assert read_region(write(folder, document), 1).weights == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        ("\x00", "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ([], "must be an object with the keys lower, upper"),
        ({"lower": [0, 0]}, "has no key 'upper'"),
        ({"lower": [0, 0], "upper": [1, 1], "colour": 1}, "unknown key 'colour'; known: lower"),
        ('{"lower": [0, 0], "lower": [0, 0], "upper": [1, 1]}', "the key 'lower' comes twice"),
        ('{"lower": [NaN, 0], "upper": [1, 1]}', "NaN is not a number that a bound can have"),
        ('{"lower": [0, 0], "upper": [1, Infinity]}', "Infinity is not a number"),
        ('{"lower": [0, 0], "upper": [1, 1e999]}', "outside the range of float64"),
        ('{"lower": [0, 0], "upper": [1, %s]}' % ("1" * 5000), "5000 characters"),
        ({"lower": [0, "0"], "upper": [1, 1]}, "lower of box 0 must be a list of numbers"),
        ({"lower": [0, True], "upper": [1, 1]}, "must be a list of numbers"),
        ({"lower": [0, [0]], "upper": [1, 1]}, "must be a list of numbers"),
        ({"lower": 0, "upper": 1}, "must be a list of numbers"),
        ({"lower": [0, 0, 0], "upper": [1, 1]}, "lower of box 0 has 3 numbers, .*have 2 inputs"),
        ({"lower": [0, 2], "upper": [1, 1]}, r"input 1 of box 0 is bounded by \[2, 1\]; .*above"),
        ({"boxes": []}, "at least one box"),
        ({"boxes": [1]}, "box 0 must be an object"),
        ({"boxes": [{"lower": [0, 0], "upper": [1, 1]}], "lower": [0]}, "unknown key 'lower'"),
        (
            {
                "boxes": [
                    {"lower": [0, 0], "upper": [1, 1], "weight": 1},
                    {"lower": [0, 0], "upper": [1, 1]},
                ]
            },
            "box 1 has no weight, but others have",
        ),
        ({"lower": [0, 0], "upper": [1, 1], "names": ["a"]}, "1 names for 2 inputs"),
        ({"lower": [0, 0], "upper": [1, 1], "names": "ab"}, "names must be a list"),
        ({"lower": [0, 0], "upper": [1, 1], "units": ["a", "\x1b[2J"]}, "printable"),
    ],
)
def test_other_json(folder: Path, document: object, message: str) -> None:
    with pytest.raises(ClaimError, match=message):
        read_region(write(folder, document), 2)


def test_json_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "MAX_BYTES", 1 << 20)
    with pytest.raises(ClaimError, match="more than 1 MiB"):
        read_region(write(folder, " " * (2 << 20)), 2)
    with pytest.raises(ClaimError, match=r"metadata of f.onnx holds more than 1 MiB"):
        region_from_metadata(" " * (2 << 20), 2, "f.onnx")


def test_metadata() -> None:
    region = region_from_metadata('{"lower": [0], "upper": [1]}', 1, "f.onnx")
    assert region.source == "simcert.region in the metadata of f.onnx"
    with pytest.raises(ClaimError, match=r"simcert.region in the metadata of f.onnx: lower"):
        region_from_metadata('{"lower": [0], "upper": [1]}', 2, "f.onnx")
    with pytest.raises(ClaimError, match="is not JSON"):
        region_from_metadata("\ud800", 2, "f.onnx")


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["lower", "upper", "boxes", "weight", "names"]), inner),
    ),
    max_leaves=8,
)


@given(st.one_of(st.binary(max_size=100), values.map(lambda value: json.dumps(value).encode())))
def test_arbitrary_json_is_read_or_refused(folder: Path, body: bytes) -> None:
    path = folder / "arbitrary.json"
    path.write_bytes(body)
    try:
        region = read_region(path, 1)
    except ClaimError:
        return
    assert (region.lower <= region.upper).all()


# -- data sets ---------------------------------------------------------------------------------


def test_balls_around_mnist(data: Path) -> None:
    path = data / "vision" / "images" / "mnist_test_0000_4999.npz"
    region = balls_around(path, 784, 7.65, rows=range(10), lower=0, upper=255)
    assert (region.boxes, region.inputs) == (10, 784)
    assert region.lower.min() == 0
    assert region.upper.max() == 255
    assert region.weights.tolist() == [0.1] * 10
    assert region.source == "balls of radius 7.65 around 10 rows of mnist_test_0000_4999.npz"
    with pytest.raises(ClaimError, match=r"shape \(5000, 28, 28\), but the networks have 100"):
        balls_around(path, 100, 1.0)


def test_rows_of_real_data(data: Path) -> None:
    har = data_rows(data / "differential" / "inputs_har.npz", 561)
    assert (har.boxes, har.inputs) == (100, 561)
    assert (har.lower == har.upper).all()
    assert (har.rounded_outward(np.float32).lower == har.lower).all()
    words = data / "pairs" / "inputs" / "kws01_mfcc_int8.npz"
    with pytest.raises(ClaimError, match=r"choose one by kws01_mfcc_int8.npz:NAME"):
        data_rows(words, 490)
    assert data_rows(f"{words}:x_int8", 490, rows=[3, 1]).boxes == 2


@given(centre=st.floats(-1e6, 1e6), radius=st.floats(0, 1e3))
def test_balls_are_rounded_outward(folder: Path, centre: float, radius: float) -> None:
    path = folder / "centre.npy"
    np.save(path, np.array([[centre]]))
    region = balls_around(path, 1, radius)
    assert Fraction(region.lower[0, 0]) <= Fraction(centre) - Fraction(radius)
    assert Fraction(region.upper[0, 0]) >= Fraction(centre) + Fraction(radius)
    assert region.upper[0, 0] - region.lower[0, 0] <= 2 * radius + 4 * np.spacing(1e6)


def test_one_row_and_rows_by_number(folder: Path) -> None:
    path = folder / "one.npy"
    np.save(path, np.arange(6).reshape(2, 3))
    assert data_rows(path, 6).boxes == 1
    assert data_rows(path, 3, rows=[1]).lower.tolist() == [[3, 4, 5]]
    limited = balls_around(path, 3, 1, lower=[0, 1, 2], upper=[3, 4.5, 5])
    assert limited.lower.tolist() == [[0, 1, 2], [2, 3, 4]]
    assert limited.upper.tolist() == [[1, 2, 3], [3, 4.5, 5]]


def test_a_colon_in_the_file_name(folder: Path) -> None:
    path = folder / "a:x.npy"
    np.save(path, np.zeros((2, 3)))
    assert data_rows(path, 3).boxes == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [5]}, "has 2 rows, 0 to 1; there is no row 5"),
        ({"rows": [-1]}, "there is no row -1"),
        ({"rows": [1, 1]}, "row 1 is selected twice"),
        ({"rows": []}, "no row is selected"),
        ({"radius": -1.0}, "radius must be finite and not negative, not -1.0"),
        ({"radius": np.nan}, "radius must be finite"),
        ({"upper": 4}, r"input 2 of row 1 is 5.0, outside the limits \[-inf, 4.0\]"),
        ({"upper": 4, "rows": [1]}, "input 2 of row 1 is 5.0"),
        ({"lower": [0, 0]}, "lower limit must be one number or 3"),
        ({"lower": np.nan}, "lower limit must be"),
        ({"inputs": 4}, r"shape \(2, 3\), but the networks have 4 inputs"),
    ],
)
def test_balls_that_are_refused(folder: Path, arguments: dict[str, Any], message: str) -> None:
    path = folder / "data.npy"
    np.save(path, np.arange(6).reshape(2, 3))
    with pytest.raises(ClaimError, match=message):
        balls_around(path, **{"inputs": 3, "radius": 1.0} | arguments)


def test_data_that_is_refused(folder: Path) -> None:
    np.save(folder / "nan.npy", np.array([[np.nan, 0]]))
    with pytest.raises(ClaimError, match="the data must be finite"):
        balls_around(folder / "nan.npy", 2, 1.0)
    with pytest.raises(ClaimError, match="bounds must be finite"):
        data_rows(folder / "nan.npy", 2)
    with pytest.raises(ClaimError, match=r"read from .npy and .npz files"):
        data_rows(folder / "data.csv", 2)
    np.savez(folder / "two.npz", a=np.zeros(2), b=np.zeros(2))
    with pytest.raises(ClaimError, match=r"has the arrays a, b; choose one by two.npz:NAME"):
        data_rows(folder / "two.npz", 2)
    with pytest.raises(ClaimError, match="has no array 'c'; it has a, b"):
        data_rows(f"{folder / 'two.npz'}:c", 2)
    with pytest.raises(ClaimError, match=r"a region is read from .vnnlib, .vnnlib.gz, .npz, .json"):
        read_region(folder / "nan.npy", 2)
    (folder / "nothing.npz").write_bytes(b"")
    with pytest.raises(ClaimError, match=r"is not an .npz file"):
        read_region(folder / "nothing.npz", 2)
