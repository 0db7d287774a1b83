"""Bringing the networks into the cache: from their public repository, or from a folder."""

import os
import ssl
from collections.abc import Callable, Iterable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from acasxu.files import Source, cache_folder, source
from simcert.atomic import write_atomically
from simcert.errors import ModelError, SimcertError

_TIMEOUT = 30.0
"""Seconds without an answer."""


class FetchError(SimcertError):
    """A file could not be brought."""


def fetch(
    names: Iterable[str],
    *,
    folder: str | os.PathLike[str] | None = None,
    cache: str | os.PathLike[str] | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Bring networks into the cache; what lies there with the right content stays.

    Each file is verified before it is written, and appears whole or not at all.

    Args:
        names: of the networks, "1_1" to "5_9".
        folder: take the files from there, without any network connection.
        cache: instead of the usual folder, see :func:`acasxu.cache_folder`.
        announce: is told what happens, in words.

    Returns:
        The paths, in the order of the names.

    Raises:
        SimcertError: a network is not known, cannot be read, or is not the published one.
        OSError: the cache cannot be written.
    """
    target, wanted = cache_folder(cache), [source(name) for name in names]
    for one in wanted:
        path = target / one.file
        if _is_there(path, one):
            announce(f"{one.network}: there already")
            continue
        data, place = _read(one, None if folder is None else Path(folder))
        one.check(data, place)
        target.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
        announce(f"{one.network}: from {place}")
    return [target / one.file for one in wanted]


def _is_there(path: Path, wanted: Source) -> bool:
    if not path.is_file():
        return False
    try:
        wanted.check(path.read_bytes(), path)
    except ModelError:
        return False  # a damaged copy is replaced
    return True


def _read(wanted: Source, folder: Path | None) -> tuple[bytes, str]:
    if folder is None:
        return download(wanted.url, wanted.size), wanted.url
    path = folder / wanted.file
    try:
        with path.open("rb") as file:
            return file.read(wanted.size + 1), str(path)
    except FileNotFoundError:
        raise FetchError(f"{path}: there is no such file in the folder") from None


def download(url: str, limit: int, context: ssl.SSLContext | None = None) -> bytes:
    """Read a file over https; redirects must stay on https.

    Args:
        url: of the file.
        limit: bytes that it may have at most.
        context: whom to trust; the system's certificates by default.

    Raises:
        FetchError: not https, no answer, an answer that is too long or cut short.
    """
    if urlsplit(url).scheme != "https":
        raise FetchError(f"{url}: files are fetched over https only")
    opener = build_opener(_HttpsRedirects(), HTTPSHandler(context=context))
    try:
        with opener.open(Request(url), timeout=_TIMEOUT) as answer:  # noqa: S310 - https, see above
            data: bytes = answer.read(limit + 1)
            announced = answer.headers.get("Content-Length")
    except (OSError, HTTPException) as error:
        raise FetchError(
            f"{url} cannot be fetched: {error}; without a connection, give a folder with the files"
        ) from error
    if len(data) > limit:
        raise FetchError(f"{url}: the answer is longer than the {limit:,} bytes of the file")
    if announced is not None and len(data) != int(announced):
        raise FetchError(f"{url}: the answer ended after {len(data):,} of {announced} bytes")
    return data


class _HttpsRedirects(HTTPRedirectHandler):
    """Follows redirects to https only."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        if urlsplit(newurl).scheme != "https":
            fp.close()
            raise FetchError(f"{req.full_url} redirects to {newurl}; only https is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)
