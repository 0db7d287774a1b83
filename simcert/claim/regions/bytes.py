"""Reading untrusted files: never more bytes than a limit, compressed or not."""

import gzip
import zlib
from pathlib import Path

from simcert.errors import ClaimError
from simcert.regular import open_regular


def read_bytes(path: Path, limit: int) -> bytes:
    """The bytes of a file; of a ``.gz`` file, what they expand to.

    Args:
        path: the file.
        limit: most bytes, expanded.

    Raises:
        ClaimError: it is no regular file, cannot be read, is not gzip though its name says so, or
            is larger.
    """
    try:
        with open_regular(path) as file:
            if path.suffix == ".gz":
                with gzip.open(file) as expanded:
                    data = expanded.read(limit + 1)
            else:
                data = file.read(limit + 1)
    except gzip.BadGzipFile as error:
        raise ClaimError(f"{path} is not a gzip file: {error}") from error
    except OSError as error:
        raise ClaimError(f"{path} cannot be read: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise ClaimError(f"{path} is a damaged gzip file: {error}") from error
    except ValueError as error:  # a null character in the name
        raise ClaimError(f"{path!r} is no file name: {error}") from error
    if len(data) > limit:
        raise ClaimError(f"{path} holds more than {limit >> 20} MiB")
    return data
