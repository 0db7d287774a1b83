"""The networks by name and checksum."""

import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import acasxu
from acasxu import files
from simcert.errors import ModelError


def test_all_45_networks_are_listed_with_https_addresses_at_a_fixed_commit() -> None:
    sources = acasxu.sources()
    assert set(sources) == {f"{a}_{b}" for a in range(1, 6) for b in range(1, 10)}
    assert len({source.sha256 for source in sources.values()}) == 45
    for name, source in sources.items():
        assert re.fullmatch(r"[0-9a-f]{64}", source.sha256)
        assert urlsplit(source.url).scheme == "https"
        assert re.search(r"/[0-9a-f]{40}/", source.url)
        assert source.file == f"ACASXU_run2a_{name}_batch_2000.onnx"


def test_every_network_of_the_data_folder_is_the_published_one(networks: Path) -> None:
    names = files.present(networks)
    assert len(names) == len(list(networks.glob("*.onnx"))) == 30
    for name in names:
        a, b = map(int, name.split("_"))
        assert acasxu.network(a, b, folder=networks).parent == networks


def test_another_content_is_refused(original: Path, tmp_path: Path) -> None:
    path = tmp_path / original.name
    data = bytearray(original.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="not that of the published network 1_1"):
        acasxu.network(1, 1, folder=tmp_path)


def test_a_missing_file_and_an_unknown_name_say_what_to_do(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(files.CACHE, str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="simcert acasxu fetch"):
        acasxu.network(2, 2)
    with pytest.raises(ModelError, match="1_1 to 5_9"):
        acasxu.network(6, 1)


def test_the_cache_moves_with_the_environment(original: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(files.CACHE, str(tmp_path))
    assert acasxu.cache_folder() == tmp_path / "acasxu"
    assert acasxu.cache_folder(tmp_path / "other") == tmp_path / "other" / "acasxu"
    acasxu.cache_folder().mkdir()
    shutil.copy(original, acasxu.cache_folder())
    assert acasxu.network(1, 1).parent == tmp_path / "acasxu"
    monkeypatch.delenv(files.CACHE)
    assert acasxu.cache_folder().name == "acasxu"
    assert tmp_path not in acasxu.cache_folder().parents
