"""The 45 files: where they come from, where they lie here, that they are the right ones."""

import csv
import hashlib
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from platformdirs import user_cache_path

from simcert.errors import ModelError

CACHE = "SIMCERT_CACHE"
"""Environment variable that moves the cache."""

_SOURCES = Path(__file__).with_name("sources.csv")


@dataclass(frozen=True)
class Source:
    """Where one network comes from.

    Attributes:
        network: previous advisory (1 to 5) and time to loss of separation (1 to 9), "1_1".
        sha256: of the file, lower-case hexadecimal.
        size: of the file, in bytes.
        url: of the file at a fixed commit.
        licence: as its source states it.
    """

    network: str
    sha256: str
    size: int
    url: str
    licence: str

    @property
    def file(self) -> str:
        """Name of the file."""
        return self.url.rpartition("/")[2]

    def check(self, data: bytes, place: str | Path) -> None:
        """Refuse anything but the published file.

        Raises:
            ModelError: another size or another content.
        """
        if len(data) != self.size or hashlib.sha256(data).hexdigest() != self.sha256:
            raise ModelError(
                f"{place}: the content is not that of the published network {self.network} "
                f"(SHA-256 {self.sha256[:16]}…, {self.size:,} bytes)"
            )


@cache
def sources() -> dict[str, Source]:
    """All 45 networks by name, "1_1" to "5_9"."""
    with _SOURCES.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        row["network"]: Source(
            row["network"], row["sha256"], int(row["bytes"]), row["url"], row["licence"]
        )
        for row in rows
    }


def source(name: str) -> Source:
    """Where the network of that name comes from.

    Raises:
        ModelError: there is no such network.
    """
    if not re.fullmatch(r"[1-5]_[1-9]", name):
        raise ModelError(
            f"there is no ACAS Xu network {name!r}; they are 1_1 to 5_9: the previous advisory and "
            "the time to loss of separation"
        )
    return sources()[name]


def cache_folder(chosen: str | os.PathLike[str] | None = None) -> Path:
    """Where fetched networks lie: in ``chosen``, in $SIMCERT_CACHE, or in the user's cache."""
    folder = chosen or os.environ.get(CACHE) or user_cache_path("simcert")
    return Path(folder) / "acasxu"


def network(a: int, b: int, *, folder: str | os.PathLike[str] | None = None) -> Path:
    """Find one of the networks and check that it is what it says.

    Args:
        a: previous advisory, 1 to 5.
        b: time to loss of vertical separation, 1 to 9.
        folder: where the files lie; the cache by default.

    Returns:
        The path; its content was verified.

    Raises:
        ModelError: no such network, no such file, or another content.
    """
    return find(f"{a}_{b}", folder)


def find(name: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """Find a network by its name, see :func:`network`."""
    wanted = source(name)
    path = (cache_folder() if folder is None else Path(folder)) / wanted.file
    if not path.is_file():
        cure = " here" if folder is not None else "; `simcert acasxu fetch` brings it"
        raise ModelError(f"{path}: there is no such file{cure}")
    wanted.check(path.read_bytes(), path)
    return path


def present(folder: str | os.PathLike[str] | None = None) -> list[str]:
    """Names of the networks whose files lie in a folder; in the cache by default."""
    place = cache_folder() if folder is None else Path(folder)
    return [name for name, known in sources().items() if (place / known.file).is_file()]
