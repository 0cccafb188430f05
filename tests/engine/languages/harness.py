"""Run programs in other languages on the real engine, each through its own Automation API."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.engine.harness import Run, apart
from tools.environment import installing
from tools.toolchain import same_versions

ROOT = Path(__file__).parents[3]
_DIRECTORY = ROOT / ".languages"
EXAMPLES = ROOT / "examples"
HERE = Path(__file__).parent


class Runner:
    """A process that runs operations of one stack, whose requests and answers are JSON lines."""

    def __init__(self, command: list[str], directory: Path, environment: Mapping[str, str]) -> None:
        backend, work = directory / "backend", directory / "work"
        for folder in (backend, work):
            folder.mkdir()
        asked = {
            **apart(directory),
            "WORK_DIR": str(work),
            "PULUMI_BACKEND_URL": f"file://{backend}",
        }
        self._errors = directory / "errors"
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **environment, **asked},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def run(self, program: str, operation: str, policy_packs: Sequence[str] = ()) -> Run:
        """Run *operation* on the stack, with *program* as its program."""
        assert self._process.stdin
        assert self._process.stdout
        request = {"program": program, "operation": operation, "policyPacks": [*policy_packs]}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, self._errors.read_text()
        answer: dict[str, Any] = json.loads(line)
        return Run(answer["ok"], answer["text"], outputs=answer["outputs"])

    def stop(self) -> None:
        """End the process."""
        with self._process:
            self._process.terminate()


@dataclass
class Language:
    """A language whose runner is compiled by *compile*, and is then the program *command*."""

    compile: Callable[[], None]
    command: list[str]


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
    "go": Language(_compile_go, [str(_DIRECTORY / "go" / "run"), "-test.run=TestRun"]),
}
