"""Calibration data and labels: what is read, and what is refused."""

import hashlib

import numpy as np
import pytest

import pruners
from pruners.calibration import read_calibration, read_labels
from simcert.errors import SimcertError


def test_arrays_and_files_give_the_same_rows(tmp_path):
    rows = np.random.default_rng(0).standard_normal((6, 2, 4)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", images=rows, labels=np.arange(6))
    flat = rows.reshape(6, 8).astype(float)
    digest = hashlib.sha256(flat.astype("<f8").tobytes()).hexdigest()
    for source in (rows, tmp_path / "rows.npy", tmp_path / "rows.npz"):
        data = read_calibration(source, 8)
        np.testing.assert_array_equal(data.inputs, flat)
        assert data.sha256 == digest
    np.testing.assert_array_equal(read_labels(tmp_path / "rows.npz", 6, 7), np.arange(6))
    np.testing.assert_array_equal(read_labels(f"{tmp_path}/rows.npz:labels", 6, 7), np.arange(6))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_refused(value, tmp_path):
    rows = np.zeros((3, 8))
    rows[1, 2] = value
    np.save(tmp_path / "rows.npy", rows)
    for source in (rows, tmp_path / "rows.npy"):
        with pytest.raises(SimcertError, match="NaN or infinity"):
            read_calibration(source, 8)


@pytest.mark.parametrize("shape", [(3, 7), (3, 9), (8,), (0, 8), (3, 2, 5)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(pruners.DataError, match="8 inputs"):
        read_calibration(np.zeros(shape), 8)


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "rows.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(SimcertError):
        read_calibration(tmp_path / "rows.npy", 8)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, 3]), "0 to 2"),
        (np.array([0, -1, 2]), "0 to 2"),
        (np.array([0, 1]), "3 whole numbers"),
        (np.zeros((3, 4)), "3 rows of 3"),
        (np.full((3, 3), np.nan), "NaN"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, message):
    with pytest.raises(pruners.DataError, match=message):
        read_labels(labels, 3, 3)


@pytest.mark.parametrize("method", ["wanda", "slamp", "agf"])
def test_no_method_takes_bad_data(mlp, method, options):
    bad = np.zeros((3, 8))
    bad[0, 0] = np.nan
    with pytest.raises(SimcertError, match="NaN"):
        pruners.METHODS[method](mlp(), **options(method, bad, np.zeros(3, int)))
    with pytest.raises(SimcertError, match="8 inputs"):
        pruners.METHODS[method](mlp(), **options(method, np.zeros((3, 5)), np.zeros(3, int)))


def test_the_record_names_the_data(mlp):
    import json

    import onnx

    rows = np.random.default_rng(0).standard_normal((6, 8))
    data = pruners.wanda(mlp(), sparsity=0.5, calibration=rows).data
    (record,) = json.loads(onnx.ModelProto.FromString(data).metadata_props[0].value)
    assert record["calibration_sha256"] == read_calibration(rows, 8).sha256
