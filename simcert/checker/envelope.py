"""A certificate may be bare, or in a DSSE envelope with Ed25519 signatures.

DSSE (https://github.com/secure-systems-lab/dsse, protocol v1) signs the type and the bytes of the
payload, each with its length before it. ``cryptography`` is imported only to verify.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from simcert.checker import document
from simcert.checker.errors import CannotCheckError, CheckError

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def opened(parsed: dict[str, Any]) -> tuple[bytes | None, list[bytes]]:
    """Return the payload and the signatures of an envelope; None and nothing for a bare statement.

    Raises:
        CheckError: the envelope is malformed.
    """
    if "payloadType" not in parsed:
        return None, []
    if set(parsed) != {"payloadType", "payload", "signatures"}:
        raise CheckError("the envelope has other keys than payloadType, payload, signatures")
    if parsed["payloadType"] != PAYLOAD_TYPE:
        raise CheckError(f"the envelope holds {parsed['payloadType']!r}, not {PAYLOAD_TYPE}")
    signatures = parsed["signatures"]
    if not isinstance(signatures, list) or not signatures:
        raise CheckError("the envelope holds no signature")
    found = []
    for item in signatures:
        if not isinstance(item, dict) or not {"sig"} <= set(item) <= {"sig", "keyid"}:
            raise CheckError("a signature of the envelope is malformed")
        found.append(_bytes(item["sig"]))
    return _bytes(parsed["payload"]), found


def pae(payload: bytes) -> bytes:
    """Return the bytes that are signed: DSSE's pre-authentication encoding."""
    kind = PAYLOAD_TYPE.encode("ascii")
    return b" ".join([b"DSSEv1", b"%d" % len(kind), kind, b"%d" % len(payload), payload])


def verify(payload: bytes, signatures: list[bytes], key: Path) -> None:
    """Require that one of the signatures is made with the key.

    Args:
        payload: that was signed.
        signatures: of the envelope.
        key: file of an Ed25519 public key, PEM.

    Raises:
        CheckError: none is, or the key is no such key.
        CannotCheckError: ``cryptography`` is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError as error:
        raise CannotCheckError("signatures need the extra simcert[sign]") from error
    try:
        public = load_pem_public_key(document.read_file(key, "key", 1 << 16))
    except ValueError as error:
        raise CheckError(f"{key} is no public key in PEM form") from error
    if not isinstance(public, Ed25519PublicKey):
        raise CheckError(f"{key} is no Ed25519 key")
    for signature in signatures:
        try:
            public.verify(signature, pae(payload))
        except InvalidSignature:
            continue
        return
    raise CheckError("no signature of the envelope is made with this key")


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise CheckError("a part of the envelope is not text")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckError("a part of the envelope is not base64") from error
    if base64.b64encode(data).decode("ascii") != text:
        raise CheckError("a part of the envelope is not canonical base64")
    return data
