"""What a configuration may say, and how it says no."""

import math
from pathlib import Path

import pytest

from simcert.gate import GateError, read, single

PAIR = "[[pair]]\noriginal = 'f.onnx'\ncompressed = 'g.onnx'\n"


def config(tmp_path: Path, text: str, name: str = "simcert.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_five_lines_are_enough(tmp_path: Path) -> None:
    (job,) = read(config(tmp_path, PAIR + "region = 'r.vnnlib'\ntolerance = 0.05\n")).jobs
    assert job.name == "g.onnx / linf ≤ 0.05"
    assert job.original == tmp_path / "f.onnx"
    assert job.options == {"region": tmp_path / "r.vnnlib", "tolerance": 0.05}


def test_claims_inherit(tmp_path: Path) -> None:
    text = (
        "tolerance = 0.5\ntime_limit = 7\nseed = 3\n"
        + PAIR
        + "name = 'a'\naround = 'x.npy'\nradius = 0.1\nlower = [0, 0]\nseed = 4\n"
        + "[[pair.claim]]\n[[pair.claim]]\nname = 'rare'\nmax_violation = 0.01\n"
        + "[[pair.claim]]\nregion = 'r.json'\ntolerance = 1\nrows = [1]\n"
    )
    with pytest.raises(GateError, match="rows"):
        read(config(tmp_path, text))
    plain, rare, other = read(config(tmp_path, text.replace("rows = [1]\n", ""))).jobs
    ball = {"around": tmp_path / "x.npy", "radius": 0.1, "lower": (0.0, 0.0)}
    assert plain.options == {"tolerance": 0.5, "time_limit": 7.0, "seed": 4, **ball}
    assert rare.options == {**plain.options, "max_violation": 0.01}
    assert rare.name == "a / rare"
    assert other.options == {
        "tolerance": 1.0, "time_limit": 7.0, "seed": 4, "region": tmp_path / "r.json"
    }  # fmt: skip
    assert (plain.statistical, rare.statistical) == (False, True)


def test_a_flag_is_true_or_false(tmp_path: Path) -> None:
    text = "early_stopping = true\n" + PAIR + "tolerance = 1\n"
    (job,) = read(config(tmp_path, text)).jobs
    assert job.options["early_stopping"] is True
    with pytest.raises(GateError, match="early_stopping must be true or false"):
        read(config(tmp_path, text.replace("true", "1")))


def test_pyproject_has_its_table(tmp_path: Path) -> None:
    text = (PAIR + "tolerance = 1\n").replace("[[pair", "[[tool.simcert.pair")
    assert len(read(config(tmp_path, text, "pyproject.toml")).jobs) == 1
    assert len(read(config(tmp_path, text, "simcert.toml")).jobs) == 1
    with pytest.raises(GateError, match=r"no \[tool.simcert\]"):
        read(config(tmp_path, "[tool.other]\n", "pyproject.toml"))


@pytest.mark.parametrize(
    ("text", "cache"),
    [
        *(("", None), ("cache = false\n", None)),
        *(("cache = true\n", ".simcert-cache"), ("cache = 'kept'\n", "kept")),
    ],
)
def test_nothing_is_kept_unasked(tmp_path: Path, text: str, cache: str | None) -> None:
    configuration = read(config(tmp_path, text + PAIR + "tolerance = 1\n"))
    assert configuration.cache == (None if cache is None else tmp_path / cache)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tolerence = 1\n" + PAIR, "unknown key 'tolerence'; known: .*tolerance"),
        (PAIR + "tolerance = 1\nthreads = 2\n", "pair 1: unknown key 'threads'"),
        (PAIR + "tolerance = 1\n[[pair.claim]]\nepsilon = 1\n", "claim 1: unknown key 'epsilon'"),
        (PAIR, "pair 1 has no tolerance"),
        ("tolerance = 1\n", "no pair"),
        ("pair = 3\n", "array of tables"),
        ("[[pair]]\ncompressed = 'g.onnx'\ntolerance = 1\n", "no original"),
        (PAIR + "tolerance = '1'\n", "tolerance must be a finite number"),
        (PAIR + "tolerance = true\n", "tolerance must be a finite number"),
        *(
            (PAIR + f"tolerance = 1\ntime_limit = {text}\n", "time_limit must be a finite number")
            for text in ("nan", "inf", "-inf", "1e400")
        ),
        ("lower = [0, nan]\n" + PAIR, "lower must be a number or a list of numbers"),
        ("threads = 1000000\n" + PAIR, "threads must be a whole number from 1 to 1024"),
        (PAIR + "tolerance = 1\nseed = -1\n", "seed must be a whole number"),
        (PAIR + "tolerance = 1\nrows = [1.5]\ninputs = 'x.npy'\n", "rows must be a list"),
        (PAIR + "tolerance = 1\nregion = ''\n", "region must be a path"),
        (PAIR + "tolerance = 1\nregion = 'a'\ninputs = 'b'\n", "exclude each other"),
        (PAIR + "tolerance = 1\naround = 'a'\n", "go together"),
        (PAIR + "tolerance = 1\nlower = 0\n", "clip the balls"),
        (PAIR + "tolerance = 1\n" + PAIR + "tolerance = 1\n", "two claims are called"),
        ("threads = 0\n" + PAIR, "threads"),
        ("cache = 3\n" + PAIR + "tolerance = 1\n", "cache"),
        (PAIR + "name = 3\ntolerance = 1\n", "name"),
        ("tolerance = \n", "not TOML"),
    ],
)
def test_wrong_configurations_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(GateError, match=message):
        read(config(tmp_path, text))


def test_balls_may_be_clipped_on_one_side(tmp_path: Path) -> None:
    text = PAIR + "tolerance = 1\naround = 'x.npy'\nradius = 1\nlower = [0, -inf]\n"
    assert read(config(tmp_path, text)).jobs[0].options["lower"] == (0.0, -math.inf)


def test_names_are_printable(tmp_path: Path) -> None:
    text = PAIR + 'tolerance = 1\nname = "a\\n::error::b\\u001b[31m"\n'
    assert read(config(tmp_path, text)).jobs[0].name == r"a\n::error::b\x1b[31m / linf ≤ 1.0"


def test_a_single_claim_from_its_keys(tmp_path: Path) -> None:
    job = single(
        {"original": Path("f.onnx"), "compressed": "g.onnx", "tolerance": 1, "outputs": (0, 2)},
        tmp_path,
    )
    assert job.options == {"tolerance": 1.0, "outputs": (0, 2)}
    with pytest.raises(GateError, match="unknown key 'tolerence'"):
        single({"original": "f", "compressed": "g", "tolerence": 1}, tmp_path)


def test_files_are_read_as_their_claim_says(tmp_path: Path) -> None:
    text = PAIR + "tolerance = 1\noriginal_input_map = 'scale=2'\ncompressed_outputs = ['y', 'z']\n"
    (job,) = read(config(tmp_path, text)).jobs
    assert job.options["original_input_map"] == ("scale=2",)
    assert job.options["compressed_outputs"] == ("y", "z")
    with pytest.raises(GateError, match="compressed_outputs must be text or a list of texts"):
        read(config(tmp_path, text.replace("['y', 'z']", "[1]")))


def test_tolerances_take_the_place_of_what_is_compared_otherwise(tmp_path: Path) -> None:
    own = "[[pair.claim]]\ntolerances = '0=1,1=2'\n"
    text = "divergence = 'l1'\ntolerance = 0.5\n" + PAIR + own + "[[pair.claim]]\n"
    each, inherited = read(config(tmp_path, text)).jobs
    assert each.options == {"tolerances": "0=1,1=2"}
    assert inherited.options == {"tolerance": 0.5, "divergence": "l1"}
    with pytest.raises(GateError, match="tolerances excludes tolerance"):
        read(config(tmp_path, text.replace(own, own + "tolerance = 1\n")))
