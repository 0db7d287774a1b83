"""Files that appear whole or not at all."""

import errno
import os
import secrets
from pathlib import Path


def write_atomically(path: Path, data: bytes) -> None:
    """Writes ``data`` to ``path``: a reader sees the old file or the new one, never a part.

    The bytes go to a fresh file in the same folder, are flushed to the disk, and then take the
    name. When anything fails, the fresh file is removed and ``path`` is as it was. A device or a
    pipe has no old content to keep and is written directly.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    path = resolved(path)  # a link keeps pointing: what it points to is replaced
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _flush_folder(path.parent)


def resolved(path: Path) -> Path:
    """Returns a path without links.

    Raises:
        OSError: a link leads back to itself.
    """
    try:
        return path.resolve()
    except RuntimeError as error:  # Python's, up to 3.12
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


def _flush_folder(folder: Path) -> None:
    """Makes the new name durable, where folders can be opened (not on Windows)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
