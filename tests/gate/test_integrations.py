"""What the repository ships for CI systems, run as far as it can run here."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import check_jsonschema.builtin_schemas
import jsonschema
import pytest
from ruamel.yaml import YAML
from schemas import check_junit, check_sarif
from scratch import INCONCLUSIVE, PASSING, REFUTED

Project = Callable[..., Path]

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = Path(check_jsonschema.builtin_schemas.__file__).parent / "vendor"


def yaml(path: str) -> Any:
    return YAML(typ="safe", pure=True).load(ROOT / path)


def check(document: Any, name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(document)


def shell(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as a CI system does: bash that stops at the first error."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [shutil.which("bash") or "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_action_is_an_action() -> None:
    action = yaml(".ci/github-action/action.yml")
    check(action, "github-actions")
    assert action["runs"]["using"] == "composite"
    for step in action["runs"]["steps"]:
        assert "${{" not in step["run"]  # nothing is pasted into a command


@pytest.mark.parametrize(
    ("claims", "status"), [((PASSING, REFUTED, INCONCLUSIVE), 1), ((PASSING,), 0)]
)
def test_the_step_of_the_action(project: Project, claims: tuple[str, ...], status: int) -> None:
    folder = project(*claims).parent
    action = yaml(".ci/github-action/action.yml")
    defaults = {name: value["default"] for name, value in action["inputs"].items()}
    summary, hostile = folder / "step summary.md", "$(touch owned) ; x"
    (folder / hostile).mkdir()
    run = shell(
        action["runs"]["steps"][1]["run"],
        folder,
        SIMCERT_CONFIG=defaults["config"],
        SIMCERT_JUNIT=f"{hostile}/junit.xml",
        SIMCERT_SARIF=defaults["sarif"],
        SIMCERT_CACHE=hostile,
        GITHUB_STEP_SUMMARY=str(summary),
    )
    assert run.returncode == status, run.stderr
    assert all(line.startswith("::") for line in run.stdout.splitlines())
    assert not (folder / "owned").exists()
    check_junit((folder / hostile / "junit.xml").read_text())
    check_sarif((folder / defaults["sarif"]).read_text())
    assert summary.read_text().startswith("## ")
    assert list((folder / hostile).glob("*.json"))


def test_the_action_installs_what_it_lies_in() -> None:
    step = yaml(".ci/github-action/action.yml")["runs"]["steps"][0]
    source = step["env"]["SIMCERT_SOURCE"].replace(
        "${{ github.action_path }}", str(ROOT / ".ci" / "github-action")
    )
    assert (Path(source) / "pyproject.toml").samefile(ROOT / "pyproject.toml")


def test_the_gitlab_template(project: Project) -> None:
    template = yaml(".ci/gitlab/simcert.yml")
    check(template, "gitlab-ci")
    folder = project(PASSING, INCONCLUSIVE).parent
    guard, install, gate = template["simcert"]["script"]
    assert shell(guard, folder, SIMCERT_PACKAGE="").returncode == 2
    assert shell(guard, folder, SIMCERT_PACKAGE="simcert.whl").returncode == 0
    assert install.endswith('"$SIMCERT_PACKAGE"')
    for config in ("", "simcert.toml"):
        run = shell(gate, folder, SIMCERT_CONFIG=config)
        assert run.returncode == 3, run.stderr
    check_junit((folder / template["simcert"]["artifacts"]["reports"]["junit"]).read_text())
    assert (folder / template["simcert"]["artifacts"]["paths"][0]).exists()


def test_the_pre_commit_hook(project: Project) -> None:
    (hook,) = yaml(".pre-commit-hooks.yaml")
    assert hook.keys() >= {"id", "name", "entry", "language"}
    assert hook["pass_filenames"] is False
    assert shell(hook["entry"], project(PASSING).parent).returncode == 0
    assert shell(hook["entry"], project(REFUTED).parent).returncode == 1
