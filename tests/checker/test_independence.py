"""The checker loads nothing of what made the certificate."""

import json
import subprocess
import sys

from certificates import Certified

_FOREIGN = {
    "torch",
    "onnx",
    "onnxruntime",
    "scipy",
    "numba",
    "jsonschema",
    "google",
    "cryptography",
}

_SHARED = {"simcert.checker", "simcert.errors", "simcert.numerals", "simcert.result"}

_RUN = """
import json, sys
from simcert.checker import check
assert check(*sys.argv[1:]).holds
print(json.dumps(sorted(sys.modules)))
"""

_RUN_COMMAND = """
import json, sys
from simcert.cli import main
sys.argv[1:] = ["check", sys.argv[1], "--original", sys.argv[2], "--compressed", sys.argv[3]]
try:
    main()
except SystemExit as end:
    assert end.code == 0
print(json.dumps(sorted(sys.modules)))
"""


def _modules(program: str, certificate: Certified) -> set[str]:
    files = [certificate.path, certificate.original, certificate.compressed]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, files)], capture_output=True, check=True
    )
    return set(json.loads(done.stdout.decode().splitlines()[-1]))


def test_numpy_and_the_standard_library_only(certified: Certified) -> None:
    modules = _modules(_RUN, certified)
    tops = {name.partition(".")[0] for name in modules}
    assert not tops & _FOREIGN
    assert tops - set(sys.stdlib_module_names) - {"__main__"} <= {"numpy", "simcert"} | {
        name for name in tops if name.startswith("_")
    }


def test_nothing_of_the_verifier(certified: Certified) -> None:
    own = {name for name in _modules(_RUN, certified) if name.startswith("simcert.")}
    assert {".".join(name.split(".")[:2]) for name in own} <= _SHARED


def test_nor_on_the_command_line(proved: Certified) -> None:
    modules = _modules(_RUN_COMMAND, proved)
    assert not {name.partition(".")[0] for name in modules} & _FOREIGN
    for part in ("bounds", "search", "model", "pairing", "claim", "sampling", "verification"):
        assert f"simcert.{part}" not in modules
