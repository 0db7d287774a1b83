"""Fuzzing of what reads models, regions and configurations: ``make fuzz``.

libFuzzer, by way of atheris, changes sound files where that reaches new lines of the readers, a
fixed number of times from a fixed seed. Anything but a `SimcertError` is a finding.

    python tests/security/fuzz.py -runs=20000 -seed=1
"""

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

with atheris.instrument_imports(include=["simcert.model.admission", "simcert.claim.regions"]):
    from simcert.claim.regions import json_file, vnnlib
    from simcert.model.admission import inspector, scan

from hostile_models import MODELS, honest
from hostile_regions import FILES

from simcert.errors import SimcertError

_LARGEST_SEED = 10_000


def admit(data: bytes) -> None:
    """Both gates of a model, the second in this process."""
    with contextlib.suppress(inspector.Refused):
        inspector.inspect(scan.skeleton(data))


def main() -> None:
    """Fuzz; the first byte of an input says which reader gets the rest."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus, region = folder / "corpus", folder / "region.vnnlib"
        corpus.mkdir()

        def read_property(data: bytes) -> None:
            region.write_bytes(data)
            vnnlib.read(region, 2)

        def read_json(data: bytes) -> None:
            json_file.parse(data, 2, "region.json", "region.json")

        readers = [admit, read_property, read_json]
        for number, seed in enumerate(_seeds(folder)):
            (corpus / str(number)).write_bytes(seed)

        def one(data: bytes) -> None:
            with contextlib.suppress(SimcertError):
                readers[data[0] % len(readers) if data else 0](data[1:])

        atheris.Setup([*sys.argv, str(corpus)], one)
        atheris.Fuzz()


def _seeds(folder: Path) -> list[bytes]:
    """The honest model and the hostile files that are small."""
    seeds = [b"\0" + honest().SerializeToString()]
    for make, _ in MODELS.values():
        with tempfile.TemporaryDirectory(dir=folder) as name:
            path = make(Path(name))
            if path.is_file() and path.stat().st_size < _LARGEST_SEED:
                seeds.append(b"\0" + path.read_bytes())
    for suffix, spell, _ in FILES.values():
        which = {".vnnlib": b"\1", ".json": b"\2"}.get(suffix)
        if which is not None and len(content := spell()) < _LARGEST_SEED:
            seeds.append(which + content)
    return seeds


if __name__ == "__main__":
    main()
