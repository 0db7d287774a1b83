"""Bringing networks into the cache: from a folder, and over https from a server of the test."""

import datetime
import http.server
import shutil
import ssl
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import acasxu
from acasxu.download import FetchError, download
from simcert.cli import main

CONTENT = b"a network" * 100


def fetch(*arguments: object):
    return CliRunner().invoke(main, ["acasxu", "fetch", *map(str, arguments)])


def test_a_folder_fills_the_cache_offline(networks: Path, tmp_path: Path) -> None:
    done = fetch("--from", networks, "--cache", tmp_path)
    assert done.exit_code == 0, done.output
    assert "30 networks verified" in done.output
    assert "15 of the networks are not in" in done.output
    assert len(list((tmp_path / "acasxu").glob("*.onnx"))) == 30
    again = fetch("--cache", tmp_path, "--networks", "1_1,3_3")  # there: no connection is needed
    assert again.exit_code == 0, again.output
    assert again.output.count("there already") == 2


def test_a_wrong_file_is_refused_and_leaves_nothing(original: Path, tmp_path: Path) -> None:
    source, cache = tmp_path / "source", tmp_path / "cache"
    source.mkdir()
    (source / original.name).write_bytes(original.read_bytes() + b"\0")
    done = fetch("--from", source, "--cache", cache)
    assert done.exit_code == 2
    assert "not that of the published network 1_1" in done.output
    assert not cache.exists()


def test_a_damaged_copy_in_the_cache_is_replaced(original: Path, tmp_path: Path) -> None:
    copy = tmp_path / "acasxu" / original.name
    copy.parent.mkdir()
    copy.write_bytes(original.read_bytes()[:-5])
    acasxu.fetch(["1_1"], folder=original.parent, cache=tmp_path)
    assert copy.read_bytes() == original.read_bytes()
    assert list(copy.parent.iterdir()) == [copy]


def test_what_the_folder_lacks_is_an_error_when_it_is_named(tmp_path: Path) -> None:
    done = fetch("--from", tmp_path, "--networks", "1_7", "--cache", tmp_path / "cache")
    assert done.exit_code == 2
    assert "ACASXU_run2a_1_7_batch_2000.onnx: there is no such file" in done.output
    assert fetch("--from", tmp_path).exit_code == 2
    assert fetch("--networks", "7_7", "--from", tmp_path).exit_code == 2


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as the path says."""

    def do_GET(self) -> None:
        if self.path == "/gone":
            self.send_error(404)
            return
        if self.path in ("/plain", "/moved"):
            port = self.server.server_address[1]
            self.send_response(302)
            scheme = {"/plain": "http", "/moved": "https"}[self.path]
            self.send_header("Location", f"{scheme}://localhost:{port}/file")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(200)
        short = self.path == "/short"
        if self.path != "/unsaid":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: -5 if short else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    """The address of an https server, and whom to trust."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "certificate.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = folder / "key.pem"
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(pem, private)
    with http.server.HTTPServer(("localhost", 0), Server) as listening:
        listening.socket = own.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield (
            f"https://localhost:{listening.server_address[1]}",
            ssl.create_default_context(cafile=str(pem)),
        )
        listening.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.parametrize("path", ["/file", "/moved", "/unsaid"])
def test_a_file_comes_over_https_also_when_it_moved(server, path: str) -> None:
    address, trusted = server
    assert download(address + path, len(CONTENT), trusted) == CONTENT


@pytest.mark.parametrize(
    ("path", "limit", "message"),
    [
        ("/plain", len(CONTENT), "only https is followed"),
        ("/file", len(CONTENT) - 1, "longer than the 899 bytes"),
        ("/unsaid", len(CONTENT) - 1, "longer than the 899 bytes"),
        ("/short", len(CONTENT), "ended after 895 of 900"),
        ("/gone", len(CONTENT), "404"),
    ],
)
def test_anything_else_is_refused(server, path: str, limit: int, message: str) -> None:
    address, trusted = server
    with pytest.raises(FetchError, match=message):
        download(address + path, limit, trusted)


def test_no_trust_no_file(server) -> None:
    with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
        download(server[0] + "/file", len(CONTENT))


def test_plain_http_is_refused_before_any_connection() -> None:
    with pytest.raises(FetchError, match="https only"):
        download("http://localhost:1/file", 10)


def test_the_cache_must_be_a_folder(original: Path, tmp_path: Path) -> None:
    shutil.copy(original, tmp_path / "file")
    done = fetch("--from", original.parent, "--networks", "1_1", "--cache", tmp_path / "file")
    assert done.exit_code == 2
