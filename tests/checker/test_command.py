"""``simcert check`` and ``simcert sign``."""

import json
from pathlib import Path

import pytest
from certificates import Certified
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from simcert.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_check(certificate: Path, files: Certified, *options: object) -> Result:
    return run(
        "check",
        certificate,
        "--original",
        files.original,
        "--compressed",
        files.compressed,
        *options,
    )


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return write_keys(tmp_path, "key")


def write_keys(folder: Path, name: str) -> tuple[Path, Path]:
    private = Ed25519PrivateKey.generate()
    secret, public = folder / f"{name}.pem", folder / f"{name}.pub"
    secret.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return secret, public


def test_numbered_steps_and_the_claim(proved: Certified) -> None:
    result = run_check(proved.path, proved)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith(" 1. ok")
    assert lines[-1].startswith("confirmed, proved: max over x in R")


def test_a_failure_says_which_step(proved: Certified, bounded: Certified) -> None:
    result = run_check(proved.path, bounded)
    assert result.exit_code == 1
    assert "FAILS" in result.output
    assert result.output.splitlines()[-1] == "not confirmed"


def test_no_such_file(proved: Certified, tmp_path: Path) -> None:
    assert run_check(tmp_path / "nothing.json", proved).exit_code == 1


@pytest.mark.parametrize("count", ["1", "all"])
def test_exact(violated: Certified, count: str) -> None:
    result = run_check(violated.path, violated, "--exact", count)
    assert result.exit_code == 0, result.output
    assert "in exact arithmetic" in result.output


def test_exact_needs_a_number(proved: Certified) -> None:
    assert run_check(proved.path, proved, "--exact", "some").exit_code == 2


def test_signed_and_checked(certified: Certified, keys: tuple[Path, Path], tmp_path: Path) -> None:
    signed = tmp_path / "signed.json"
    done = run("sign", certified.path, "--key", keys[0], "-o", signed)
    assert done.exit_code == 0, done.output
    assert run_check(signed, certified, "--key", keys[1]).exit_code == 0
    assert run_check(signed, certified).exit_code == 0
    _, other = write_keys(tmp_path, "other")
    result = run_check(signed, certified, "--key", other)
    assert result.exit_code == 1
    assert "no signature" in result.output


def test_a_changed_envelope(certified: Certified, keys: tuple[Path, Path], tmp_path: Path) -> None:
    signed = tmp_path / "signed.json"
    run("sign", certified.path, "--key", keys[0], "-o", signed)
    envelope = json.loads(signed.read_text())
    for change in (
        {"payloadType": "application/json"},
        {"payload": envelope["payload"][:-8]},
        {"payload": "e30="},
        {"payload": "!"},
        {"payload": 1},
        {"signatures": []},
        {"signatures": [{"sig": "AAAA"}]},
        {"signatures": [{"sig": envelope["signatures"][0]["sig"], "x": 1}]},
        {"signatures": "AAAA"},
        {"more": 1},
    ):
        signed.write_text(json.dumps(envelope | change))
        assert run_check(signed, certified, "--key", keys[1]).exit_code == 1, change


def test_a_key_needs_a_signature(certified: Certified, keys: tuple[Path, Path]) -> None:
    result = run_check(certified.path, certified, "--key", keys[1])
    assert result.exit_code == 1
    assert "not signed" in result.output


def test_what_cannot_be_signed(
    certified: Certified, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    text = tmp_path / "text.json"
    for data in (b"{}", b"nothing", b"[]"):
        text.write_bytes(data)
        assert run("sign", text, "--key", keys[0]).exit_code == 2
    assert run("sign", certified.path, "--key", keys[1], "-o", text).exit_code == 2
    other = tmp_path / "ec.pem"
    other.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    assert run("sign", certified.path, "--key", other, "-o", text).exit_code == 2
    signed = tmp_path / "signed.json"
    run("sign", certified.path, "--key", keys[0], "-o", signed)
    assert run("sign", signed, "--key", keys[0]).exit_code == 2


def test_a_key_of_another_kind_does_not_verify(
    certified: Certified, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signed = tmp_path / "signed.json"
    run("sign", certified.path, "--key", keys[0], "-o", signed)
    for data in (b"nothing", keys[0].read_bytes()):
        wrong = tmp_path / "wrong.pub"
        wrong.write_bytes(data)
        assert run_check(signed, certified, "--key", wrong).exit_code == 1
    assert run_check(signed, certified, "--key", tmp_path / "none.pub").exit_code == 1
