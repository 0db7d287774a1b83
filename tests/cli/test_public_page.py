"""The public names of the package: all there, none of them loaded before its use."""

import subprocess
import sys

import pytest

import simcert


@pytest.mark.parametrize("name", simcert.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(simcert, name) is not None


def test_verify_is_a_function_whatever_was_imported() -> None:
    from simcert import cli, verification  # noqa: F401

    assert callable(simcert.verify)


def test_other_names_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = simcert.nothing


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, simcert; assert not {'numpy', 'torch', 'onnx'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
