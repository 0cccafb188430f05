"""Run programs in other languages on the real engine, each through its own Automation API."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.engine.harness import Run, apart
from tools.environment import installing
from tools.toolchain import same_versions

ROOT = Path(__file__).parents[3]
_DIRECTORY = ROOT / ".languages"
EXAMPLES = ROOT / "examples"
HERE = Path(__file__).parent


class Language:
    """A runner, compiled by *compile*, whose *command* takes its request from variables."""

    def __init__(self, compile: Callable[[], None], command: list[str]) -> None:
        self.compile = compile
        self._command = command

    def run(
        self,
        program: str,
        operation: str,
        directory: Path,
        environment: Mapping[str, str],
        pack: Mapping[str, list[str]] | None = None,
    ) -> Run:
        """Run *operation* on the stack in *directory*, with *program* as its program."""
        backend, work = directory / "backend", directory / "work"
        for folder in (backend, work):
            folder.mkdir(exist_ok=True)
        answer = directory / "answer.json"
        asked = {
            **apart(directory),
            "PROGRAM": program,
            "OPERATION": operation,
            "ANSWER": str(answer),
            "WORK_DIR": str(work),
            "PULUMI_BACKEND_URL": f"file://{backend}",
            "POLICY_PACK": " ".join((pack or {}).get("policy_packs", [])),
            "POLICY_PACK_CONFIG": " ".join((pack or {}).get("policy_pack_configs", [])),
        }
        answer.unlink(missing_ok=True)
        done = subprocess.run(
            self._command,
            env={**os.environ, **environment, **asked},
            capture_output=True,
            text=True,
            timeout=300,
        )
        message = done.stdout + done.stderr
        assert answer.exists(), message
        answered: dict[str, Any] = json.loads(answer.read_text())
        return Run(answered["ok"], message, outputs=answered["outputs"])


def _compile_typescript() -> None:
    """Check the types of the TypeScript runner and of the examples, and compile them together."""
    project = _DIRECTORY / "typescript"
    _require(project / "node_modules")
    for source in ("run.ts", "tsconfig.json"):
        shutil.copy(HERE / "typescript" / source, project)
    for example in (EXAMPLES / "typescript").iterdir():
        shutil.copy(example / "index.ts", project / f"{example.name}.ts")
    _must(["node", "node_modules/typescript/bin/tsc"], project)


def _compile_go() -> None:
    """Vet the Go runner together with the example, and compile it into the example's package."""
    project = _DIRECTORY / "go"
    _require(_DIRECTORY / "sdks" / "go")
    shutil.copytree(_DIRECTORY / "sdks" / "go", project / "sdks/cf-invoice", dirs_exist_ok=True)
    for source in ("main.go", "go.mod"):
        shutil.copy(EXAMPLES / "go" / "quickstart" / source, project)
    shutil.copy(HERE / "go" / "run_test.go", project)
    # The example's go.mod lists only its own two requirements; Go resolves the rest.
    compiled = same_versions(project, ROOT / "tools" / "engine", _DIRECTORY / "engine.mod")
    _must(["go", "vet", *compiled, "."], project)
    _must(["go", "test", *compiled, "-vet=off", "-c", "-o", "run", "."], project)


def _require(directory: Path) -> None:
    assert directory.exists(), f"no {directory}: run `make test`, or `python3 -m tools.languages`"


def _must(command: list[str], directory: Path) -> None:
    done = subprocess.run(
        command, cwd=directory, env=installing(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr


LANGUAGES = {
    "typescript": Language(
        _compile_typescript, ["node", str(_DIRECTORY / "typescript" / "bin" / "run.js")]
    ),
    "go": Language(_compile_go, [str(_DIRECTORY / "go" / "run"), "-test.run=TestRun", "-test.v"]),
}
