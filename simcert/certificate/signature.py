"""Signing a certificate: a DSSE envelope with one Ed25519 signature.

DSSE (https://github.com/secure-systems-lab/dsse, protocol v1) signs the type and the bytes of the
payload, here the certificate as it stands in its file. Needs the extra ``simcert[sign]``.
"""

import base64
import hashlib
import json
from pathlib import Path

from simcert.certificate.statement import STATEMENT_TYPE, CertificateError

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def sign(certificate: bytes, key: Path) -> bytes:
    """Returns the envelope of a certificate.

    Args:
        certificate: the bytes of its file.
        key: file of an Ed25519 private key, PEM, without a password.

    Raises:
        CertificateError: the certificate is no statement, the key no such key, or
            ``cryptography`` is not installed.
        OSError: the key cannot be read.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_pem_private_key,
        )
    except ImportError as error:
        raise CertificateError("signing needs cryptography: install simcert[sign]") from error
    try:
        statement = json.loads(certificate)
    except ValueError as error:
        raise CertificateError("only a certificate can be signed: this is not JSON") from error
    if not isinstance(statement, dict) or statement.get("_type") != STATEMENT_TYPE:
        raise CertificateError("only a certificate that is not yet signed can be signed")
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"{key} is no private key in PEM form without a password") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise CertificateError(f"{key} is no Ed25519 key")
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(certificate).decode("ascii"),
        "signatures": [
            {
                "keyid": hashlib.sha256(public).hexdigest(),
                "sig": base64.b64encode(private.sign(_encoded(certificate))).decode("ascii"),
            }
        ],
    }
    return (json.dumps(envelope, indent=2) + "\n").encode("ascii")


def _encoded(payload: bytes) -> bytes:
    """Returns DSSE's pre-authentication encoding."""
    kind = PAYLOAD_TYPE.encode("ascii")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
