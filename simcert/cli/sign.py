"""``simcert sign``: a certificate in a signed envelope."""

from pathlib import Path

import click

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command
@click.argument("certificate", type=_FILE)
@click.option("--key", type=_FILE, required=True, help="Ed25519 private key (PEM, no password).")
@click.option("--output", "-o", type=_FILE, help="Where to; by default CERTIFICATE is replaced.")
def sign(certificate: Path, key: Path, output: Path | None) -> None:
    """Put CERTIFICATE into a DSSE envelope, signed with an Ed25519 key.

    Evidence in a file beside the certificate is signed by its digest, and stays where it is.
    """
    from simcert.atomic import write_atomically
    from simcert.certificate.signature import sign as signed

    write_atomically(output or certificate, signed(certificate.read_bytes(), key))
